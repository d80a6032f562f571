/* reads.c - what flows may look up, and what they get
 *
 * A read shows what has been delivered, not what is still on its way.  Whatever the dialect, an
 * alert has the same members: `jsm-ops` calls details extraProperties, and spells lastOccurredAt in
 * two ways. */
#include "adapters/opsgenie/opsgenie.h"

#include <stdio.h>

#define PAGE_END_MOST 20000 /* offset and limit together */

static const struct option get_fields[] = {
    {.name = "alias", .kind = OPTION_TEXT, .help = "Which alert: the name that it was created with."},
    {.name = "id", .kind = OPTION_TEXT, .help = "Which alert, in place of `alias`: the id that OpsGenie gave it."},
    {.name = "tiny",
     .kind = OPTION_TEXT,
     .help = "Which alert, in place of `alias`: the short number that people see; it is used again in time."},
    OPTION_END};
#define SEARCH                                                                                                         \
    {                                                                                                                  \
        .name = "query", .kind = OPTION_TEXT,                                                                          \
        .help = "In OpsGenie's search language, such as \"status: open AND tag: storage\"; default: all."              \
    }
static const struct option list_fields[] = {
    SEARCH,
    {.name = "limit", .kind = OPTION_INTEGER, .least = 1, .most = 100, .help = "At most so many; default: 20."},
    {.name = "offset",
     .kind = OPTION_INTEGER,
     .least = 0,
     .most = PAGE_END_MOST,
     .help = "How many of them are passed over; with `limit` at most 20000."},
    {.name = "sort",
     .kind = OPTION_TEXT,
     .choices = "createdAt|updatedAt|lastOccurredAt",
     .help = "By what; default: createdAt.  jsm-ops does not know updatedAt."},
    {.name = "order", .kind = OPTION_TEXT, .choices = "asc|desc", .help = "Default: desc, the latest first."},
    OPTION_END};
static const struct option count_fields[] = {SEARCH, OPTION_END};
static const struct option heartbeat_fields[] = {
    {.name = "name", .kind = OPTION_TEXT, .is_required = true, .help = "Name of the heartbeat."}, OPTION_END};

const struct query opsgenie_queries[] = {
    {.name = "get", .summary = "One alert as OpsGenie shows it, or null.", .fields = get_fields},
    {.name = "list", .summary = "Alerts that a search finds, as a list.", .fields = list_fields},
    {.name = "count", .summary = "How many alerts a search finds.", .fields = count_fields},
    {.name = "heartbeat",
     .summary = "A heartbeat with `enabled`, `expired`, `interval`, or null.",
     .fields = heartbeat_fields},
    {.name = NULL}};

/* ---- the request -------------------------------------------------------------------------------------------- */

static bool request_get(struct opsgenie_request *request, enum opsgenie_dialect dialect, struct slice fields,
                        struct err *err)
{
    static const char *const names[] = {"alias", "id", "tiny"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!record_has(fields, names[i]))
            continue;
        if (found)
            return err_set(err, "`%s` and `%s` say the same thing: leave one out", found, names[i]);
        found = names[i];
    }
    if (!found)
        return err_set(err, "one of `alias`, `id`, `tiny` is needed");
    return opsgenie_check_name(found, record_get(fields, found), OPSGENIE_ALIAS_MOST, err)
           && opsgenie_request_alert(request, dialect, found, record_get(fields, found), err);
}

static void add_search(struct opsgenie_request *request, struct slice fields, char mark)
{
    struct slice query = record_get(fields, "query");
    if (!query.size)
        return;
    buf_addf(&request->path, "%cquery=", mark);
    http_escape(&request->path, query);
}

static bool request_list(struct opsgenie_request *request, enum opsgenie_dialect dialect, struct slice fields,
                         struct err *err)
{
    bool is_ops = dialect == OPSGENIE_OPS;
    struct slice sort = record_get(fields, "sort"), order = record_get(fields, "order");
    int64_t limit = record_get_integer(fields, "limit", 20), offset = record_get_integer(fields, "offset", 0);
    if (limit + offset > PAGE_END_MOST)
        return err_set(err, "`offset` and `limit` together are above 20000: ask a narrower question");
    if (is_ops && slice_is(sort, "updatedAt"))
        return err_set(err, "the dialect jsm-ops sorts by createdAt or lastOccurredAt, not by updatedAt");
    buf_addf(&request->path, "/%s/alerts?%s=%lld&offset=%lld", is_ops ? "v1" : "v2", is_ops ? "size" : "limit",
             (long long)limit, (long long)offset);
    buf_addf(&request->path, "&sort=%.*s&order=%.*s", SLICE_ARG(sort.size ? sort : slice_of("createdAt")),
             SLICE_ARG(order.size ? order : slice_of("desc")));
    add_search(request, fields, '&');
    return true;
}

static bool request_heartbeat(struct opsgenie_request *request, const struct settings *settings, struct slice fields,
                              struct err *err)
{
    struct slice name = record_get(fields, "name");
    const char *team = opsgenie_dialect(settings) == OPSGENIE_OPS ? settings_text(settings, "team") : NULL;
    if (!opsgenie_check_name("name", name, 200, err))
        return false;
    if (opsgenie_dialect(settings) == OPSGENIE_V2) {
        buf_add_text(&request->path, "/v2/heartbeats/");
        return http_escape(&request->path, name);
    }
    if (!team)
        return err_set(err, "a heartbeat of Jira Service Management belongs to a team: say in `team` of the connection "
                            "which id it has");
    buf_add_text(&request->path, "/v1/teams/");
    http_escape(&request->path, slice_of(team));
    buf_add_text(&request->path, "/heartbeats?name=");
    return http_escape(&request->path, name);
}

bool opsgenie_request_read(struct opsgenie_request *request, const struct settings *settings, const struct query *query,
                           struct slice fields, struct err *err)
{
    enum opsgenie_dialect dialect = opsgenie_dialect(settings);
    bool ok;
    request->method = "GET";
    if (dialect == OPSGENIE_EVENTS)
        ok = err_set(err, "the dialect jsm-events can look up nothing: `dialect: jsm-ops` can");
    else if (strcmp(query->name, "get") == 0)
        ok = request_get(request, dialect, fields, err);
    else if (strcmp(query->name, "list") == 0)
        ok = request_list(request, dialect, fields, err);
    else if (strcmp(query->name, "heartbeat") == 0)
        ok = request_heartbeat(request, settings, fields, err);
    else if (dialect == OPSGENIE_OPS)
        ok = err_set(err, "the dialect jsm-ops cannot count alerts: use `list`");
    else {
        ok = buf_add_text(&request->path, "/v2/alerts/count");
        add_search(request, fields, '?');
    }
    return ok && request->path.is_over ? err_set(err, "`query` is too long") : ok;
}

/* ---- the answer --------------------------------------------------------------------------------------------- */

static void rename_member(json_t *object, const char *from, const char *to)
{
    json_t *value = json_object_get(object, from);
    if (value && !json_object_get(object, to))
        json_object_set(object, to, value);
    if (value)
        json_object_del(object, from);
}

static json_t *same_members(json_t *alert)
{
    rename_member(alert, "extraProperties", "details");
    rename_member(alert, "lastOccuredAt", "lastOccurredAt");
    return alert;
}

/* The one of that name: the search for a name may find others that only resemble it. */
static json_t *one_named(json_t *values, struct slice name)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        json_t *value = json_array_get(values, i);
        const char *is = json_string_value(json_object_get(value, "name"));
        const char *status = json_string_value(json_object_get(value, "status"));
        if (!is || !slice_is(name, is))
            continue;
        if (status && !json_object_get(value, "expired"))
            json_object_set_new(value, "expired", json_boolean(strcmp(status, "Unresponsive") == 0));
        return json_incref(value);
    }
    return json_null();
}

json_t *opsgenie_read_answer(enum opsgenie_dialect dialect, const char *query, struct slice name, json_t *body)
{
    bool is_ops = dialect == OPSGENIE_OPS;
    json_t *data = json_object_get(body, is_ops ? "values" : "data");
    size_t index;
    json_t *alert;
    if (strcmp(query, "list") == 0) {
        json_array_foreach(data, index, alert)
            same_members(alert);
        return json_is_array(data) ? json_incref(data) : NULL;
    }
    if (strcmp(query, "count") == 0) {
        json_t *count = json_object_get(data, "count");
        return json_is_integer(count) ? json_incref(count) : NULL;
    }
    if (is_ops && strcmp(query, "heartbeat") == 0)
        return json_is_array(data) ? one_named(data, name) : NULL;
    json_t *one = is_ops ? body : data;
    return json_is_object(one) ? json_incref(same_members(one)) : NULL;
}
