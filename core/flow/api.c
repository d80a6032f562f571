/* api.c - see api.h */
#include "core/flow/api.h"

#include "core/base/utf8.h"
#include "core/campaign/campaign.h"
#include "core/flow/continuation.h"
#include "core/flow/recipients.h"
#include "core/flow/run.h"
#include "core/lua/json.h"

#include <lauxlib.h>
#include <stdlib.h>

#define FIELDS_MAX ((size_t)16 << 20)  /* bytes of what one effect may say */
#define EFFECTS_MAX ((size_t)64 << 20) /* bytes of all effects of one event */
#define FIRST_OF_LIST 3                /* recipients for whom a mail, say, is made at once, to see whether it can be */
#define BYTES_PER_INSTRUCTION 8        /* encoding is work that the hook does not see: it is charged to the budget */

/* What every verb may be given, beside its adapter's own fields. */
static const struct option common_fields[] = {
    {.name = "next",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = NAME_MAX_BYTES,
     .help = "The step at which a new run begins when this is delivered or refused; see event.result."},
    OPTION_END};

static const struct option no_fields[] = {OPTION_END};

static const char *kind_words(enum option_kind kind)
{
    switch (kind) {
    case OPTION_INTEGER: return "an integer";
    case OPTION_BOOLEAN: return "true or false";
    case OPTION_DURATION: return "a duration such as \"10m\", or milliseconds";
    case OPTION_SIZE: return "a size such as \"64KiB\", or bytes";
    case OPTION_RATE: return "a rate such as \"10/s\"";
    case OPTION_RATES: return "a list of rates";
    case OPTION_LIST: return "a list of texts";
    case OPTION_MAP: return "a table of texts";
    case OPTION_ANY: return "a value";
    case OPTION_TEXT:
    case OPTION_SECRET: break;
    }
    return "a text";
}

static bool add_text(lua_State *L, const struct option *option, struct buf *record, struct err *err)
{
    struct slice text;
    text.data = lua_tolstring(L, -1, &text.size);
    if (!utf8_is_valid(text))
        return err_set(err, "`%s` is not UTF-8", option->name);
    if (option->most && ((int64_t)text.size < option->least || (int64_t)text.size > option->most))
        return err_set(err, "`%s` has %zu bytes; allowed are %lld to %lld", option->name, text.size,
                       (long long)option->least, (long long)option->most);
    return record_add_text(record, option->name, text) || err_set(err, "`%s` is too large", option->name);
}

static bool add_integer(const struct option *option, int64_t value, struct buf *record, struct err *err)
{
    if ((option->least || option->most) && (value < option->least || value > option->most))
        return err_set(err, "`%s` is %lld; allowed are %lld to %lld", option->name, (long long)value,
                       (long long)option->least, (long long)option->most);
    return record_add_integer(record, option->name, value) || err_set(err, "too large");
}

static bool add_json(lua_State *L, const struct option *option, struct buf *record, struct err *err)
{
    struct buf json = BUF_INIT(FIELDS_MAX);
    bool ok = json_add(L, lua_gettop(L), &json, err)
              && (record_add(record, option->name, RECORD_JSON, buf_slice(&json)) || err_set(err, "too large"));
    size_t size = json.size;
    buf_clear(&json);
    if (!ok)
        world_charge(L, (int64_t)(size / BYTES_PER_INSTRUCTION)); /* nothing of it is in the record, but it was work */
    return ok || err_wrap(err, "`%s`", option->name);
}

/* The value is on top of the stack. */
static bool add_field(lua_State *L, const struct option *option, struct buf *record, struct err *err)
{
    int type = lua_type(L, -1);
    int64_t number;
    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_SECRET:
        if (type == LUA_TSTRING)
            return add_text(L, option, record, err);
        break;
    case OPTION_ANY: return type == LUA_TSTRING ? add_text(L, option, record, err) : add_json(L, option, record, err);
    case OPTION_INTEGER:
        if (lua_isinteger(L, -1))
            return add_integer(option, lua_tointeger(L, -1), record, err);
        break;
    case OPTION_BOOLEAN:
        if (type == LUA_TBOOLEAN)
            return record_add_boolean(record, option->name, lua_toboolean(L, -1));
        break;
    case OPTION_DURATION:
    case OPTION_SIZE:
    case OPTION_RATE:
        if (lua_isinteger(L, -1))
            return add_integer(option, lua_tointeger(L, -1), record, err);
        if (type == LUA_TSTRING && settings_parse(option->kind, lua_tostring(L, -1), &number))
            return add_integer(option, number, record, err);
        break;
    case OPTION_RATES:
    case OPTION_LIST:
    case OPTION_MAP:
        if (type == LUA_TTABLE)
            return add_json(L, option, record, err);
        break;
    }
    return err_set(err, "`%s` must be %s, not %s", option->name, kind_words(option->kind), luaL_typename(L, -1));
}

static void list_names(const struct option *options, struct buf *names)
{
    for (const struct option *option = options; option->name; option++)
        buf_addf(names, "%s%s", names->size ? ", " : "", option->name);
}

static bool has_name(const struct option *options, const char *name)
{
    while (options->name && strcmp(options->name, name) != 0)
        options++;
    return options->name != NULL;
}

static bool refuse_unknown(lua_State *L, int table, const struct option *options, const struct option *common,
                           struct err *err)
{
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (name && (has_name(options, name) || has_name(common, name)))
            continue;
        struct buf names = BUF_INIT(1000);
        list_names(options, &names);
        list_names(common, &names);
        err_set(err, "there is no field `%s`; the fields are %s", name ? name : luaL_typename(L, -1),
                names.size ? names.data : "none");
        buf_clear(&names);
        return false;
    }
    return true;
}

/* Only for strings: does not leap. */
static bool choice_is_good(const struct option *option, struct slice value)
{
    for (const char *at = option->choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        size_t size = strcspn(at, "|");
        if (slice_equal((struct slice){at, size}, value))
            return true;
    }
    return false;
}

/* Takes what is common out of the call: the step that `next` names, -1 where it is not said, into `next`. */
static bool take_common(lua_State *L, int table, struct run *run, int *next, struct err *err)
{
    struct buf record = BUF_INIT(1000);
    *next = -1;
    lua_pushstring(L, common_fields[0].name);
    if (lua_rawget(L, table) == LUA_TNIL) {
        lua_pop(L, 1);
        return true;
    }
    bool ok = add_field(L, &common_fields[0], &record, err);
    buf_clear(&record);
    if (ok && (*next = continuation_step(run, lua_tostring(L, -1), err)) < 0)
        ok = err_wrap(err, "`next`");
    lua_pop(L, 1);
    return ok;
}

/* Encodes the table at `table` by the table of options; what is named in `common` may stand there, too.  False with the
 * reason.  Raises only on lack of memory.  `elsewhere`: a field that is not looked at here, because the table says only
 * a part; then nothing is missing. */
static bool encode_part(lua_State *L, int table, const struct option *options, const struct option *common,
                        const char *elsewhere, struct buf *record, struct err *err)
{
    int given = 0, taken = 0;
    for (const struct option *option = options; option->name; option++) {
        lua_pushstring(L, option->name);
        int type = lua_rawget(L, table);
        if (elsewhere && strcmp(option->name, elsewhere) == 0) {
            given += type != LUA_TNIL;
        } else if (type != LUA_TNIL) {
            given++;
            size_t before = record->size;
            if (!add_field(L, option, record, err))
                return false;
            if (option->choices
                && !choice_is_good(
                    option, record_get((struct slice){record->data + before, record->size - before}, option->name)))
                return err_set(err, "`%s` must be one of %s", option->name, option->choices);
        } else if (option->is_required && !elsewhere) {
            return err_set(err, "`%s` is missing: %s", option->name, option->help);
        }
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        taken++;
    }
    for (const struct option *option = common; option->name; option++) {
        lua_pushstring(L, option->name);
        given += lua_rawget(L, table) != LUA_TNIL;
        lua_pop(L, 1);
    }
    return taken == given || refuse_unknown(L, table, options, common, err);
}

/* ---- a list of recipients ------------------------------------------------------------------------ */

static const struct option *option_of(const struct option *options, const char *name)
{
    while (strcmp(options->name, name) != 0)
        options++;
    return options;
}

/* The entry on top: a recipient, or a table of the fields that it has for itself. */
static bool encode_entry(lua_State *L, const struct verb *verb, struct buf *entry, struct err *err)
{
    if (lua_type(L, -1) != LUA_TTABLE)
        return add_field(L, option_of(verb->fields, verb->recipient_field), entry, err);
    int table = lua_gettop(L);
    lua_pushstring(L, verb->campaign_field);
    if (lua_rawget(L, table) != LUA_TNIL)
        return err_set(err, "`%s` is the same for all of a list", verb->campaign_field);
    return encode_part(L, table, verb->fields, no_fields, verb->campaign_field, entry, err)
           && (record_has(buf_slice(entry), verb->recipient_field)
               || err_set(err, "`%s` is missing", verb->recipient_field));
}

/* The list on top, as recipients_list wants it. */
static bool encode_list(lua_State *L, const struct verb *verb, struct buf *entries, struct err *err)
{
    static struct buf entry = BUF_INIT(FIELDS_MAX); /* not on the stack: lack of memory leaps over it */
    int list = lua_gettop(L);
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    lua_pushnil(L);
    if (count == 0 && lua_next(L, list))
        return err_set(err, "`%s` must be one recipient or a list of them", verb->recipient_field);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_settop(L, list);
        lua_rawgeti(L, list, i);
        buf_reset(&entry);
        if (!encode_entry(L, verb, &entry, err))
            return err_wrap(err, "`%s`, entry %lld", verb->recipient_field, (long long)i);
        if (!record_add_text(entries, "r", buf_slice(&entry)))
            return err_set(err, "`%s` is larger than %zu MiB", verb->recipient_field, EFFECTS_MAX >> 20);
    }
    return true;
}

/* True: the recipient's field of the table at 1 is a list, which is on top of the stack. */
static bool has_list(lua_State *L, const struct verb *verb)
{
    if (!verb->campaign_field)
        return false;
    lua_pushstring(L, verb->recipient_field);
    return lua_rawget(L, 1) == LUA_TTABLE;
}

struct run *api_run(lua_State *L, const char *what)
{
    struct run *run = *(struct run **)lua_getextraspace(L);
    if (!run)
        luaL_error(L, "%s can only be used inside of a step", what);
    return run;
}

static bool release_file_of(const struct ask *ask, const char *path, struct slice *content)
{
    const struct run *run = ask->context;
    return release_find(run->instance->release, path, content);
}

static void list_files_of(const struct ask *ask, const char *prefix, struct buf *names)
{
    const struct release *release = ((const struct run *)ask->context)->instance->release;
    for (size_t i = 0; i < release->count; i++)
        if (strncmp(release->files[i].path, prefix, strlen(prefix)) == 0)
            buf_addf(names, "%s%s", names->size ? ", " : "", release->files[i].path);
}

static bool prepare(struct run *run, const struct asked *asked, struct slice fields, struct buf *out, struct err *err)
{
    if (!asked->verb->prepare)
        return buf_add_slice(out, fields);
    struct ask ask = {.connection = asked->connection,
                      .verb = asked->verb,
                      .flow = run->instance->release->name,
                      .effect_id = asked->id,
                      .now_ms = run->began_ms,
                      .fields = fields,
                      .file = release_file_of,
                      .list = list_files_of,
                      .context = run};
    return asked->verb->prepare(&ask, out, err) && (!out->is_over || err_set(err, "it is too large"));
}

/* A list is prepared later, one by one.  If nothing can be made for any of its first, there is no need to wait. */
static bool try_first(struct run *run, const struct asked *asked, struct err *err)
{
    struct buf fields = BUF_INIT(2 * FIELDS_MAX), out = BUF_INIT(FIELDS_MAX), recipient = BUF_INIT(RECIPIENT_MAX);
    struct field entry;
    struct err each;
    bool ok = asked->recipient_count == 0;
    int tries = 0;
    for (size_t at = 0; !ok && tries < FIRST_OF_LIST && record_next(buf_slice(&asked->recipients), &at, &entry);
         tries++) {
        buf_reset(&fields);
        buf_reset(&out);
        buf_add_slice(&fields, buf_slice(&asked->fields));
        buf_add_slice(&fields, entry.value);
        err_clear(&each);
        buf_reset(&recipient);
        ok = recipients_recognise(asked->verb, record_get(entry.value, asked->verb->recipient_field), &recipient, &each)
             && prepare(run, asked, buf_slice(&fields), &out, &each);
        if (!ok && tries == 0)
            *err = each;
    }
    buf_clear(&fields);
    buf_clear(&out);
    buf_clear(&recipient);
    return ok || err_wrap(err, "nothing can be made for the first %d of the list; for its first", tries);
}

/* `entries`: of a list; data NULL: it is none. */
static bool build(struct run *run, struct asked *asked, struct slice fields, struct slice entries, struct err *err)
{
    if (run->keeps_fields)
        buf_add_slice(&asked->as_said, fields);
    if (entries.data && asked->next >= 0)
        return err_set(err, "`next` is for one effect; of a list, `headgate campaigns` tells what became of each");
    if (entries.data)
        return recipients_list(asked, fields, entries, err) && try_first(run, asked, err);
    return recipients_one(asked, fields, err) && prepare(run, asked, fields, &asked->fields, err);
}

static bool collect(struct run *run, struct connection *connection, const struct verb *verb, struct slice fields,
                    struct slice entries, int next, struct err *err)
{
    int64_t most = run->instance->manifest->effects_per_event;
    if ((int64_t)run->asked_count >= most)
        return err_set(err, "this event asks for more than %lld effects (limits: effects_per_event in flow.yaml)",
                       (long long)most);
    run->asked = mem_resize(run->asked, (run->asked_count + 1) * sizeof *run->asked);
    struct asked *asked = &run->asked[run->asked_count];
    *asked = (struct asked){.connection = connection,
                            .verb = verb,
                            .step = run->step,
                            .next = next,
                            .fields = BUF_INIT(FIELDS_MAX),
                            .as_said = BUF_INIT(FIELDS_MAX),
                            .recipient = BUF_INIT(RECIPIENT_MAX),
                            .recipients = BUF_INIT(EFFECTS_MAX)};
    effect_make_id(run->instance->release->name, run_identity(run), instance_step_name(run->instance, run->step),
                   run->position, asked->id);
    run->asked_count++;
    if (!build(run, asked, fields, entries, err)) {
        buf_clear(&asked->fields); /* the flow may catch the error and go on: nothing of it stays */
        buf_clear(&asked->as_said);
        buf_clear(&asked->recipient);
        buf_clear(&asked->recipients);
        free(asked->campaign);
        run->asked_count--;
        return false;
    }
    if (next >= 0)
        continuation_cause(run, asked->cause);
    run->position++;
    run->asked_bytes += asked->fields.size + asked->recipients.size;
    return run->asked_bytes <= EFFECTS_MAX
           || err_set(err, "the effects of this event have more than %zu MiB in all", EFFECTS_MAX >> 20);
}

/* An error must not leap over what C owns: everything is freed before it is raised.  It quotes what a flow said, so it
 * is made one line: the first line of an error is its reason, what follows is the traceback. */
static void raise_about(lua_State *L, const struct connection *connection, const char *name, struct err *err)
{
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    luaL_error(L, "%s.%s: %s", connection->name, name, err->text);
}

static int call_verb(lua_State *L)
{
    struct connection *connection = lua_touserdata(L, lua_upvalueindex(1));
    const struct verb *verb = lua_touserdata(L, lua_upvalueindex(2));
    struct run *run = api_run(L, connection->name);
    struct err err;
    err_clear(&err);
    if (lua_gettop(L) != 1 || !lua_istable(L, 1))
        return luaL_error(L, "%s.%s takes one table of fields: %s.%s { ... }", connection->name, verb->name,
                          connection->name, verb->name);
    static struct buf fields = BUF_INIT(FIELDS_MAX); /* of the loop thread; kept, because this runs for every effect */
    static struct buf entries = BUF_INIT(EFFECTS_MAX);
    buf_reset(&fields);
    buf_clear(&entries);
    int next = -1;
    bool is_list = has_list(L, verb);
    bool ok = !is_list || (buf_add_text(&entries, "") && encode_list(L, verb, &entries, &err));
    lua_settop(L, 1);
    ok = ok && encode_part(L, 1, verb->fields, common_fields, is_list ? verb->recipient_field : NULL, &fields, &err)
         && take_common(L, 1, run, &next, &err)
         && collect(run, connection, verb, buf_slice(&fields), is_list ? buf_slice(&entries) : SLICE_NONE, next, &err);
    world_charge(
        L, (int64_t)((fields.size + entries.size) / BYTES_PER_INSTRUCTION)); /* also where it failed: it was work */
    buf_clear(&entries);
    if (!ok)
        raise_about(L, connection, verb->name, &err);
    return 0;
}

/* What the host pushed before it resumed is on top of the arguments. */
static int query_answered(lua_State *L, int status, lua_KContext arguments)
{
    (void)status;
    return lua_gettop(L) - (int)arguments;
}

static int call_query(lua_State *L)
{
    struct connection *connection = lua_touserdata(L, lua_upvalueindex(1));
    const struct query *query = lua_touserdata(L, lua_upvalueindex(2));
    struct run *run = api_run(L, connection->name);
    struct err err = ERR_INIT;
    if (lua_gettop(L) != 1 || !lua_istable(L, 1))
        return luaL_error(L, "%s.%s takes one table of fields", connection->name, query->name);
    if (!lua_isyieldable(L))
        return luaL_error(L, "%s.%s reads, and cannot do so inside of a comparator or a gsub function",
                          connection->name, query->name);
    buf_reset(&run->query_fields);
    if (!encode_part(L, 1, query->fields, no_fields, NULL, &run->query_fields, &err))
        raise_about(L, connection, query->name, &err);
    run->query = query;
    run->query_connection = connection;
    lua_settop(L, 1);
    return lua_yieldk(L, 0, 1, query_answered);
}

static void add_function(lua_State *L, const char *name, struct connection *connection, const void *what,
                         lua_CFunction function)
{
    lua_pushlightuserdata(L, connection);
    lua_pushlightuserdata(L, (void *)what);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

void api_add_connection(struct world *world, struct connection *connection)
{
    lua_State *L = world_lua(world);
    world_push_globals(world);
    lua_newtable(L);
    for (const struct verb *verb = connection->adapter->verbs; verb && verb->name; verb++)
        add_function(L, verb->name, connection, verb, call_verb);
    for (const struct query *query = connection->adapter->queries; query && query->name; query++)
        add_function(L, query->name, connection, query, call_query);
    lua_setfield(L, -2, connection->name);
    lua_pop(L, 1);
}
