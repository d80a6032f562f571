/* manifest.c - flow.yaml, checked
 *
 * The manifest is read by people, drawn as a picture and run as a program, so all three must be
 * the same: every name that it uses exists, every step can only lead to a later one (so every flow
 * ends), and nothing in it is without effect.  Each of its maps is checked against a table of
 * options first; what remains to be checked here is how its parts fit together. */
#include "core/flow/manifest.h"

#include "core/base/nearest.h"
#include "core/config/yaml.h"
#include "core/flow/silence.h"

#include <stdlib.h>

#define DAY_MS INT64_C(86400000)

static const struct option flow_options[] = {
    {.name = "flow",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = NAME_MAX_BYTES,
     .help = "the name of the flow, which is its folder's"},
    {.name = "title",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 200,
     .help = "what the flow does, in a sentence for people"},
    {.name = "owner",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 100,
     .help = "who is asked when something is wrong with it"},
    {.name = "when_off",
     .kind = OPTION_TEXT,
     .choices = "hold|drop",
     .fallback = "hold",
     .help = "what becomes of events while the gate is off"},
    {.name = "priority",
     .kind = OPTION_TEXT,
     .choices = "high|normal|low",
     .fallback = "normal",
     .help = "whether its effects overtake those of other flows, or let them pass"},
    {.name = "when_unknown",
     .kind = OPTION_TEXT,
     .choices = "retry|hold",
     .help = "what becomes of an effect that was sent without an answer; not said: as the connection says"},
    {.name = "expect",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 60,
     .help = "how many events must come in a time, as in `at least 1 per 15m`; with fewer, the flow is silent"},
    {.name = "uses", .kind = OPTION_LIST, .help = "the connections that it may touch"},
    OPTION_END,
};

static const struct option event_options[] = {
    {.name = "id",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 200,
     .help = "where an event's id stands, such as body.id; or none, which accepts repeats"},
    {.name = "key", .kind = OPTION_TEXT, .least = 1, .most = 200, .help = "events of one key run one after another"},
    {.name = "time", .kind = OPTION_TEXT, .least = 1, .most = 200, .help = "where it stands when the event happened"},
    {.name = "remember",
     .kind = OPTION_DURATION,
     .fallback = "7d",
     .least = 1000,
     .most = 366 * DAY_MS,
     .help = "how long a repeat is recognised"},
    {.name = "expires",
     .kind = OPTION_DURATION,
     .least = 1000,
     .most = 366 * DAY_MS,
     .help = "older events are skipped and counted"},
    {.name = "format", .kind = OPTION_TEXT, .choices = "json|text", .fallback = "json", .help = "how the body is read"},
    {.name = "limit",
     .kind = OPTION_SIZE,
     .fallback = "1MiB",
     .least = 1,
     .most = 128 << 20,
     .help = "a larger body is held"},
    OPTION_END,
};

/* Everything that is at hand while a manifest is checked. */
struct reading {
    const struct config *config; /* NULL: connections are not checked */
    struct manifest *manifest;   /* what comes of it */
    struct err *err;             /* where to say what is wrong */
};

static bool is_for_later(const struct reading *reading, const struct yaml *map, const char *key)
{
    const struct yaml *entry = map ? yaml_get(map, key) : NULL;
    return !entry
           || yaml_err_key(entry, reading->err, "%s: this version of Headgate does not have it yet; leave it out", key);
}

/* Against a table, without references: a flow sees no secrets. */
static bool check(const struct reading *reading, const struct yaml *at, const struct option *options,
                  const char *const *ignore, struct settings *settings)
{
    return yaml_settings(at, options, ignore, NULL, false, settings, reading->err);
}

/* ---- flow, title, owner, when_off ----------------------------------------------------------- */

static bool is_flow_name(const char *name)
{
    bool ok = name[0] >= 'a' && name[0] <= 'z';
    for (const char *c = name; ok && *c; c++)
        ok = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-';
    return ok;
}

static bool read_flow(struct reading *reading, const struct yaml *root)
{
    static const char *const elsewhere[] = {"on", "event", "limits", "steps", NULL};
    static const char *const later[] = {"require", "conflict", "decide_by", NULL};
    for (const char *const *key = later; *key; key++)
        if (!is_for_later(reading, root, *key))
            return false;
    char shown[YAML_SHOWN_MAX];
    struct manifest *manifest = reading->manifest;
    struct settings *flow = settings_new(flow_options);
    bool ok = check(reading, root, flow_options, elsewhere, flow);
    if (ok && !is_flow_name(settings_text(flow, "flow"))) {
        const struct yaml *name = yaml_get(root, "flow");
        ok = yaml_err(name, reading->err,
                      "flow: found %s; a flow's name begins with a small letter and goes on with "
                      "small letters, digits and -, such as \"offline-case\"",
                      yaml_shown(name->text, shown));
    }
    const char *expect = ok ? settings_text(flow, "expect") : NULL;
    if (expect && !silence_parse(expect, &manifest->expect_least, &manifest->expect_ms))
        ok = yaml_err(yaml_get(root, "expect"), reading->err,
                      "expect: found %s; expected how many events must come in a time of a second to 366 days, as in "
                      "`at least 1 per 15m`",
                      yaml_shown(yaml_get(root, "expect")->text, shown));
    if (ok) {
        manifest->name = mem_text(settings_text(flow, "flow"));
        manifest->title = mem_text(settings_text(flow, "title"));
        manifest->owner = mem_text(settings_text(flow, "owner"));
        manifest->drops_when_off = strcmp(settings_text(flow, "when_off"), "drop") == 0;
        priority_parse(slice_of(settings_text(flow, "priority")), &manifest->priority);
        const char *unknown = settings_text(flow, "when_unknown");
        manifest->when_unknown = !unknown                        ? UNKNOWN_AS_CONNECTION
                                 : strcmp(unknown, "retry") == 0 ? UNKNOWN_RETRY
                                                                 : UNKNOWN_HOLD;
    }
    settings_free(flow);
    return ok;
}

/* ---- connections: on, uses -------------------------------------------------------------------- */

static bool has_effects(const struct adapter *adapter)
{
    return (adapter->verbs && adapter->verbs[0].name) || (adapter->queries && adapter->queries[0].name);
}

static bool has_events(const struct adapter *adapter)
{
    return adapter->source_options != NULL;
}

/* The connection that `name` means; NULL after an error, which is said at `at`'s value or key. */
static const struct config_connection *find_connection(const struct reading *reading, struct slice name,
                                                       const struct yaml *at, bool is_key, const char *what,
                                                       bool (*can)(const struct adapter *), const char *cannot)
{
    struct yaml place = *at;
    if (is_key) {
        place.line = at->key_line;
        place.column = at->key_column;
    }
    char shown[YAML_SHOWN_MAX];
    yaml_shown(name, shown);
    struct nearest nearest = nearest_for(name);
    const struct config_connection *other = reading->config->connections;
    for (; other; other = other->next)
        if (can(other->adapter))
            nearest_offer(&nearest, slice_of(other->name));
    const struct config_connection *found = config_find(reading->config, name);
    if (found && can(found->adapter))
        return found;
    if (found)
        yaml_err(
            &place, reading->err, "%s: %s is a connection of adapter %s, and %s%s", what, shown, found->adapter->name,
            cannot,
            nearest_text(&nearest, can == has_events ? "connections that deliver events" : "connections that do more"));
    else
        yaml_err(&place, reading->err, "%s: there is no connection %s in %s%s", what, shown, reading->config->path,
                 nearest_text(&nearest, "connections"));
    return NULL;
}

static bool read_source(struct reading *reading, const struct yaml *at, struct manifest_source *source)
{
    source->connection = mem_copy(at->key);
    if (!reading->config)
        return true;
    const struct config_connection *connection =
        find_connection(reading, at->key, at, true, "on", has_events, "no events come from it");
    if (!connection)
        return false;
    source->settings = settings_new(connection->adapter->source_options);
    if (!check(reading, at, connection->adapter->source_options, NULL, source->settings))
        return false;
    struct err why = ERR_INIT;
    const struct adapter *adapter = connection->adapter;
    return !adapter->check_source || adapter->check_source(connection->settings, source->settings, &why)
           || yaml_err_key(at, reading->err, "%s: %s", source->connection, why.text);
}

static bool read_sources(struct reading *reading, const struct yaml *root)
{
    static const char help[] = "expected at least one connection that events come from, as in `on: {broker: {...}}`";
    const struct yaml *on = yaml_get(root, "on");
    if (!on)
        return yaml_err(root, reading->err, "on is missing here; %s", help);
    if (on->kind != YAML_MAP || !on->first)
        return yaml_err(on, reading->err, "on: found %s; %s", on->kind == YAML_MAP ? "an empty map" : yaml_found(on),
                        help);
    struct manifest_source **last = &reading->manifest->sources;
    for (const struct yaml *entry = on->first; entry; entry = entry->next) {
        *last = mem_zero(sizeof **last);
        if (!read_source(reading, entry, *last))
            return false;
        last = &(*last)->next;
    }
    return true;
}

/* That `uses` is a list of texts has been checked with the rest of the root. */
static bool read_uses(struct reading *reading, const struct yaml *root)
{
    char shown[YAML_SHOWN_MAX];
    const struct yaml *uses = yaml_get(root, "uses");
    size_t count = 0;
    for (const struct yaml *item = uses ? uses->first : NULL; item; item = item->next)
        count++;
    char **names = reading->manifest->uses = mem_zero((count + 1) * sizeof names[0]);
    for (const struct yaml *item = uses ? uses->first : NULL; item; item = item->next) {
        for (char **other = reading->manifest->uses; *other; other++)
            if (slice_is(item->text, *other))
                return yaml_err(item, reading->err, "uses: found %s a second time; once is enough",
                                yaml_shown(item->text, shown));
        if (reading->config
            && !find_connection(reading, item->text, item, false, "uses", has_effects, "a flow can only listen to it"))
            return false;
        *names++ = mem_copy(item->text);
    }
    return true;
}

/* ---- event ----------------------------------------------------------------------------- */

/* "body.site.id": one of the three parts of an event, then names with dots between them. */
static bool is_path(const char *path, bool has_fields)
{
    static const char *const parts[] = {"headers.", "properties.", "body."};
    size_t start = 0;
    for (size_t i = 0; !start && i < (has_fields ? 3 : 2); i++)
        if (strncmp(path, parts[i], strlen(parts[i])) == 0)
            start = strlen(parts[i]);
    if (!start)
        return false;
    char last = '.';
    for (const char *c = path + start; *c; last = *c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7F || (*c == '.' && last == '.'))
            return false;
    return last != '.';
}

/* The path of `name`, for the caller to free; NULL where none was said.  False after an error. */
static bool read_path(struct reading *reading, const struct yaml *event, const struct settings *settings,
                      const char *name, char **path)
{
    char shown[YAML_SHOWN_MAX];
    const char *said = settings_text(settings, name);
    const struct yaml *at = yaml_get(event, name);
    bool has_fields = strcmp(settings_text(settings, "format"), "json") == 0;
    *path = mem_text(said);
    if (!said || is_path(said, has_fields))
        return true;
    if (!has_fields && is_path(said, true))
        return yaml_err(at, reading->err,
                        "%s: found %s, but with `format: text` a body has no fields; expected a path "
                        "such as headers.%s or properties.message_id",
                        name, yaml_shown(at->text, shown), name);
    return yaml_err(at, reading->err,
                    "%s: found %s; expected a path such as body.%s, headers.%s or "
                    "properties.message_id%s",
                    name, yaml_shown(at->text, shown), name, name, strcmp(name, "id") == 0 ? ", or none" : "");
}

static bool read_event(struct reading *reading, const struct yaml *root)
{
    const struct yaml *at = yaml_get(root, "event");
    if (!at)
        return yaml_err(root, reading->err,
                        "event is missing here; expected at least where the id of an event stands, "
                        "as in `event: {id: body.id}`, or `event: {id: none}`, which accepts repeats");
    struct manifest *manifest = reading->manifest;
    struct settings *event = settings_new(event_options);
    bool ok = check(reading, at, event_options, NULL, event);
    bool has_id = ok && strcmp(settings_text(event, "id"), "none") != 0;
    if (ok && !has_id && yaml_get(at, "remember"))
        ok = yaml_err_key(yaml_get(at, "remember"), reading->err,
                          "remember: with `id: none` there is nothing to "
                          "remember a repeat by; leave it out, or say where the id stands");
    ok = ok && (!has_id || read_path(reading, at, event, "id", &manifest->id_path))
         && read_path(reading, at, event, "key", &manifest->key_path)
         && read_path(reading, at, event, "time", &manifest->time_path);
    if (ok) {
        manifest->format = strcmp(settings_text(event, "format"), "text") == 0 ? FORMAT_TEXT : FORMAT_JSON;
        manifest->remember_ms = settings_number(event, "remember");
        manifest->expires_ms = settings_number(event, "expires");
        manifest->body_limit = settings_number(event, "limit");
    }
    settings_free(event);
    return ok;
}

/* ---- the file ------------------------------------------------------------------------------------ */

struct manifest *manifest_parse(const char *file, struct slice source, const struct config *config, struct err *err)
{
    struct yaml *root = yaml_parse(file, source, err);
    if (!root)
        return NULL;
    struct manifest *manifest = mem_zero(sizeof *manifest);
    struct reading reading = {config, manifest, err};
    bool ok = read_flow(&reading, root) && read_sources(&reading, root) && read_event(&reading, root)
              && read_uses(&reading, root) && manifest_limits(manifest, yaml_get(root, "limits"), err)
              && manifest_steps(manifest, yaml_get(root, "steps"), err);
    yaml_tree_free(root);
    if (ok)
        return manifest;
    manifest_free(manifest);
    return NULL;
}

void manifest_free(struct manifest *manifest)
{
    if (!manifest)
        return;
    while (manifest->sources) {
        struct manifest_source *source = manifest->sources;
        manifest->sources = source->next;
        settings_free(source->settings);
        free(source->connection);
        free(source);
    }
    for (int i = 0; i < manifest->step_count; i++) {
        free(manifest->steps[i].name);
        free(manifest->steps[i].title);
    }
    for (char **name = manifest->uses; name && *name; name++)
        free(*name);
    free(manifest->uses);
    free(manifest->quotas);
    free(manifest->steps);
    free(manifest->id_path);
    free(manifest->key_path);
    free(manifest->time_path);
    free(manifest->name);
    free(manifest->title);
    free(manifest->owner);
    free(manifest);
}
