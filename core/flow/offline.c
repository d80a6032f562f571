/* offline.c - see offline.h */
#include "core/flow/offline.h"

#include "core/base/clock.h"

#include <stdlib.h>

#define EVENT_MAX ((size_t)64 << 20)

static struct connection *find_connection(void *context, const char *name)
{
    struct offline *offline = context;
    for (size_t i = 0; i < offline->connection_count; i++)
        if (strcmp(offline->connections[i].name, name) == 0)
            return &offline->connections[i];
    abort(); /* the manifest was checked against the same configuration */
}

struct instance_options offline_options(struct offline *offline)
{
    return (struct instance_options){
        .config = offline->config, .rulebook = &offline->rules, .connection = find_connection, .context = offline};
}

bool offline_open(struct offline *offline, const char *config_path, const char *rules, bool may_read_secrets,
                  struct err *err)
{
    *offline = (struct offline){.config = config_load_with(config_path, adapters, may_read_secrets, err)};
    if (!offline->config)
        return false;
    for (struct config_connection *from = offline->config->connections; from; from = from->next) {
        offline->connections =
            mem_resize(offline->connections, (offline->connection_count + 1) * sizeof *offline->connections);
        offline->connections[offline->connection_count++] =
            (struct connection){.name = from->name,
                                .environment = offline->config->environment,
                                .adapter = from->adapter,
                                .settings = from->settings};
    }
    if (rulebook_load_folder(&offline->rules, rules ? rules : offline->config->rules, err))
        return true;
    offline_close(offline);
    return false;
}

void offline_close(struct offline *offline)
{
    rulebook_clear(&offline->rules);
    free(offline->connections);
    config_free(offline->config);
    *offline = (struct offline){.config = NULL};
}

struct instance *offline_load(struct offline *offline, const char *folder, struct err *err)
{
    struct release *release = release_from_path(folder, err);
    struct instance_options options = offline_options(offline);
    if (release && release->kind != RELEASE_FLOW) {
        err_set(err, "%s: this is a rule; a flow's folder is expected", folder);
        release_free(release);
        return NULL;
    }
    return release ? instance_new(release, &options, err) : NULL;
}

/* ---- one event ------------------------------------------------------------------------------------ */

static bool add_json(struct buf *record, const char *name, json_t *value)
{
    if (!value)
        return true;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    bool ok = record_add(record, name, RECORD_JSON, slice_of(text));
    free(text);
    return ok;
}

static void add_word(struct buf *record, const char *name, json_t *from, const char *key)
{
    const char *text = json_string_value(json_object_get(from, key));
    if (text)
        record_add_text(record, name, slice_of(text));
}

/* {"step", "timer" or "result", "late_by", "cause", "id", "key"}: the run goes on where an earlier one left off. */
static void add_continuation(struct buf *record, json_t *from)
{
    if (!from)
        return;
    add_word(record, "continues_at", from, "step");
    add_word(record, "cause", from, "cause");
    add_word(record, "id", from, "id");
    add_word(record, "key", from, "key");
    add_json(record, "timer", json_object_get(from, "timer"));
    add_json(record, "result", json_object_get(from, "result"));
    if (json_object_get(from, "late_by"))
        record_add_integer(record, "late_ms", json_integer_value(json_object_get(from, "late_by")));
}

/* A body that is a text stands for the raw bytes in a flow of `format: text`. */
static bool make_record(const struct instance *instance, json_t *event, struct buf *record, struct err *err)
{
    json_t *body = json_object_get(event, "body");
    if (!body)
        return err_set(err, "a sample event is {\"body\": ..., \"headers\": {}, \"properties\": {}}; it has no body");
    if (instance->manifest->format == FORMAT_TEXT) {
        if (!json_is_string(body))
            return err_set(err, "the flow takes text, so the sample's body must be a text");
        record_add_text(record, "body", slice_of(json_string_value(body)));
    } else {
        char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
        record_add_text(record, "body", slice_of(text));
        free(text);
    }
    add_json(record, "headers", json_object_get(event, "headers"));
    add_json(record, "properties", json_object_get(event, "properties"));
    add_continuation(record, json_object_get(event, "continue"));
    return !record->is_over || err_set(err, "the sample event is too large");
}

struct ending {
    bool has_ended;
    enum run_outcome outcome;
    offline_answer answer;
    void *context;
    json_t *state; /* what state.get finds; NULL: nothing */
    char *lent;    /* JSON of the value that it found last */
};

static bool get_state(const struct run *run, struct slice key, struct slice *json)
{
    struct ending *ending = run->owner;
    json_t *value = json_object_getn(ending->state, key.data, key.size);
    if (!value)
        return false;
    free(ending->lent);
    ending->lent = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    *json = slice_of(ending->lent);
    return true;
}

static bool has_room(const struct run *run, enum wish_kind kind, size_t bytes, struct err *err)
{
    (void)run, (void)kind, (void)bytes, (void)err;
    return true;
}

static const struct run_memory offline_memory = {.get = get_state, .has_room = has_room};

static void on_ended(struct run *run, enum run_outcome outcome)
{
    struct ending *ending = run->owner;
    ending->has_ended = true;
    ending->outcome = outcome;
}

static void answer_read(struct run *run)
{
    struct ending *ending = run->owner;
    ending->answer(run, ending->context);
}

/* The trail has the steps as they were passed; what kind each is, the manifest knows. */
static json_t *decisions_of(const struct run *run)
{
    struct buf text = BUF_INIT(1 << 20);
    buf_addf(&text, "[%s]", run->trail.size ? run->trail.data : "");
    json_t *steps = json_loadb(text.data, text.size, 0, NULL), *step;
    size_t i;
    buf_clear(&text);
    json_array_foreach(steps, i, step) {
        json_object_set_new(step, "kind", json_string(json_object_get(step, "answer") ? "ask" : "do"));
        if (!json_object_get(step, "why"))
            json_object_set_new(step, "why", json_string(""));
    }
    return steps ? steps : json_array();
}

static json_t *field_json(const struct field *field, struct slice record)
{
    char name[256];
    memcpy(name, field->name.data, field->name.size);
    name[field->name.size] = '\0';
    switch (field->kind) {
    case RECORD_INTEGER: return json_integer(record_get_integer(record, name, 0));
    case RECORD_BOOLEAN: return json_boolean(record_get_boolean(record, name, false));
    case RECORD_JSON: return json_loadb(field->value.data, field->value.size, JSON_DECODE_ANY, NULL);
    case RECORD_TEXT:
    case RECORD_NUMBER: break;
    }
    return json_stringn(field->value.data ? field->value.data : "", field->value.size);
}

static void add_fields(json_t *fields, struct slice record)
{
    struct field field;
    for (size_t at = 0; record_next(record, &at, &field);) {
        char name[256];
        memcpy(name, field.name.data, field.name.size);
        name[field.name.size] = '\0';
        json_t *value = field_json(&field, record);
        json_object_set_new(fields, name, value ? value : json_null());
    }
}

/* As the flow said them, but each once: a text, or a table where one has more for itself. */
static json_t *recipients_json(const struct asked *asked)
{
    json_t *list = json_array();
    struct field entry;
    for (size_t at = 0; record_next(buf_slice(&asked->recipients), &at, &entry);) {
        json_t *fields = json_object();
        add_fields(fields, entry.value);
        if (json_object_size(fields) == 1) {
            json_array_append(list, json_object_get(fields, asked->verb->recipient_field));
            json_decref(fields);
        } else {
            json_array_append_new(list, fields);
        }
    }
    return list;
}

static json_t *effects_of(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->asked_count; i++) {
        const struct asked *asked = &run->asked[i];
        json_t *fields = json_object();
        add_fields(fields, buf_slice(&asked->as_said));
        if (asked->is_list)
            json_object_set_new(fields, asked->verb->recipient_field, recipients_json(asked));
        json_t *effect = json_pack("{s:s, s:s, s:s, s:o}", "id", asked->id, "connection", asked->connection->name,
                                   "verb", asked->verb->name, "fields", fields);
        if (asked->next >= 0) {
            json_object_set_new(effect, "next", json_string(instance_step_name(run->instance, asked->next)));
            json_object_set_new(effect, "cause", json_string(asked->cause));
        }
        json_array_append_new(list, effect);
    }
    return list;
}

static json_t *wished_json(const struct wish *wish)
{
    return wish->json ? json_loadb(wish->json, wish->json_size, JSON_DECODE_ANY, NULL) : NULL;
}

static json_t *state_of(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->wishes.count; i++) {
        const struct wish *wish = &run->wishes.list[i];
        if (wish->kind == WISH_SET)
            json_array_append_new(list, json_pack("{s:s, s:o, s:I}", "key", wish->name, "value", wished_json(wish),
                                                  "expires_in", (json_int_t)wish->in_ms));
        else if (wish->kind == WISH_DELETE)
            json_array_append_new(list, json_pack("{s:s, s:b}", "key", wish->name, "deleted", 1));
    }
    return list;
}

static json_t *timers_of(const struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->wishes.count; i++) {
        const struct wish *wish = &run->wishes.list[i];
        if (wish->kind == WISH_TIMER)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:I, s:o*, s:s}", "name", wish->name, "step",
                                            instance_step_name(run->instance, wish->step), "in",
                                            (json_int_t)wish->in_ms, "data", wished_json(wish), "cause", wish->cause));
        else if (wish->kind == WISH_CANCEL)
            json_array_append_new(list, json_pack("{s:s, s:b}", "name", wish->name, "cancelled", 1));
    }
    return list;
}

static json_t *result_of(const struct run *run, bool ok, const char *error, const char *skipped)
{
    return json_pack("{s:b, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "ok", ok, "error", error, "skipped", skipped,
                     "id", run->id ? run->id : "", "key", run->key ? run->key : "", "decisions", decisions_of(run),
                     "effects", effects_of(run), "state", state_of(run), "timers", timers_of(run));
}

/* What is said about a run beside its event. */
struct setting {
    int64_t received_ms, now_ms;
    json_t *state;
    bool is_continued; /* then it is never too old: it was ours already */
};

static json_t *run_record(struct instance *instance, struct slice record, const struct setting *setting,
                          offline_answer answer, void *context)
{
    struct ending ending = {.answer = answer, .context = context, .state = setting->state};
    struct run *run = run_new(instance, setting->received_ms);
    struct err err = ERR_INIT;
    json_t *result;
    int64_t expires_ms = instance->manifest->expires_ms;
    run->owner = &ending;
    run->ended = on_ended;
    run->answer = answer_read;
    run->memory = &offline_memory;
    run->keeps_fields = true;
    run->began_ms = setting->now_ms;
    if (!run_admit(run, record, "sample", &err)) {
        result = result_of(run, false, err.text, "");
    } else if (expires_ms && !setting->is_continued && setting->now_ms - run->time_ms > expires_ms) {
        result = result_of(run, true, "", "expired");
    } else {
        run_start(run);
        bool ok = ending.has_ended && ending.outcome == RUN_FINISHED;
        result = result_of(run, ok, ok ? "" : run->err.text, "");
    }
    run_free(run);
    free(ending.lent);
    return result;
}

static int64_t time_of(json_t *event, const char *name, int64_t fallback_ms)
{
    json_t *time = json_object_get(event, name);
    return json_is_integer(time) ? json_integer_value(time) : fallback_ms;
}

json_t *offline_run(struct instance *instance, struct slice event_json, offline_answer answer, void *context,
                    struct err *err)
{
    json_error_t problem;
    json_t *event = json_loadb(event_json.data, event_json.size, JSON_REJECT_DUPLICATES, &problem);
    struct buf record = BUF_INIT(EVENT_MAX);
    json_t *result = NULL;
    if (!event) {
        err_set(err, "line %d, column %d: %s", problem.line, problem.column, problem.text);
    } else if (make_record(instance, event, &record, err)) {
        struct setting setting = {.received_ms = time_of(event, "received", clock_now_ms()),
                                  .state = json_object_get(event, "state"),
                                  .is_continued = json_object_get(event, "continue") != NULL};
        setting.now_ms = time_of(event, "now", setting.received_ms);
        result = run_record(instance, buf_slice(&record), &setting, answer, context);
    }
    buf_clear(&record);
    json_decref(event);
    return result;
}
