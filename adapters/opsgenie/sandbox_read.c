/* sandbox_read.c - reads of the Alert API: request status, alert, notes, log, count, list */
#include "adapters/opsgenie/sandbox_api.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_LIMIT_MAX 100
#define LIST_LIMIT_DEFAULT 20
#define LIST_END_MAX 20000 /* offset + limit */

void sandbox_read_status(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    const struct sandbox_work *work = sandbox_work_find(call->account->works, segments[1]);
    if (!work) {
        sandbox_api_refuse(call, 404, "Request does not exist");
        return;
    }
    if (!work->is_applied) {
        call->error_type = call->dialect == SANDBOX_OPS ? NULL : "RequestNotProcessed";
        sandbox_api_refuse(call, 404, "Request is not processed yet");
        return;
    }
    char time[CLOCK_TEXT_MAX];
    const struct sandbox_outcome *outcome = &work->outcome;
    sandbox_api_data(call, json_pack("{s:b, s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "success", outcome->is_success,
                                     "action", sandbox_work_name(work->action), "processedAt",
                                     clock_text(work->processed_ms, time), "integrationId", SANDBOX_INTEGRATION_ID,
                                     "isSuccess", outcome->is_success, "status", outcome->status, "alertId",
                                     outcome->alert_id, "alias", outcome->alias ? outcome->alias : ""));
}

static struct sandbox_alert *find_alert(struct sandbox_call *call, char **segments)
{
    enum sandbox_identifier by;
    if (!sandbox_api_identifier(call, &by))
        return NULL;
    struct sandbox_alert *alert = sandbox_alerts_find(call->account->alerts, by, segments[0]);
    if (!alert)
        sandbox_api_refuse(call, 404, "Alert does not exist");
    return alert;
}

void sandbox_read_get(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    const struct sandbox_alert *alert = find_alert(call, segments);
    if (alert)
        sandbox_api_data(call, call->dialect == SANDBOX_OPS ? sandbox_ops_alert(sandbox_alerts_show(alert, false))
                                                            : sandbox_alerts_show(alert, false));
}

static bool take_number(struct sandbox_call *call, const char *name, long most, long *number)
{
    const char *text = request_query(call->request, name);
    char *end = NULL;
    if (!text || !*text)
        return true;
    *number = strtol(text, &end, 10);
    if (*end || *number < 0 || *number > most) {
        char why[80];
        snprintf(why, sizeof why, "should be a number from 0 to %ld", most);
        sandbox_api_refuse_field(call, name, why);
        return false;
    }
    return true;
}

/* Notes and log lines: the offset is the last line that the client has seen. */
void sandbox_read_lines(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    const struct sandbox_alert *alert = find_alert(call, segments);
    const char *offset = request_query(call->request, "offset"), *order = request_query(call->request, "order");
    long limit = LIST_LIMIT_MAX;
    if (!alert || !take_number(call, "limit", LIST_LIMIT_MAX, &limit))
        return;
    const json_t *lines = strcmp(route->path, "alerts/*/notes") == 0 ? alert->notes : alert->log;
    bool is_rising = order && strcmp(order, "asc") == 0, has_begun = !offset || !*offset;
    size_t count = json_array_size(lines);
    json_t *shown = json_array();
    for (size_t i = 0; i < count && json_array_size(shown) < (size_t)limit; i++) {
        json_t *line = json_array_get(lines, is_rising ? i : count - 1 - i);
        if (has_begun)
            json_array_append(shown, line);
        else
            has_begun = strcmp(json_string_value(json_object_get(line, "offset")), offset) == 0;
    }
    sandbox_api_data(call, shown);
}

/* ---- list and count ------------------------------------------------------------------------------------ */

enum sort { BY_CREATED, BY_UPDATED, BY_LAST, BY_COUNT, BY_TINY_ID, SORT_COUNT };
static const char *const sort_name[SORT_COUNT] = {"createdAt", "updatedAt", "lastOccurredAt", "count", "tinyId"};

struct hit {
    int64_t value; /* what is sorted by */
    const struct sandbox_alert *alert;
};

static int64_t sort_value(const struct sandbox_alert *alert, int sort)
{
    switch (sort) {
    case BY_CREATED: return alert->created_ms;
    case BY_UPDATED: return alert->updated_ms;
    case BY_LAST: return alert->last_ms;
    case BY_COUNT: return alert->count;
    default: return (int64_t)alert->number;
    }
}

static int compare(const void *a, const void *b)
{
    const struct hit *left = a, *right = b;
    if (left->value != right->value)
        return left->value < right->value ? -1 : 1;
    return left->alert->number < right->alert->number ? -1 : left->alert->number > right->alert->number;
}

/* All alerts that the call's query asks for; false if it was refused.  The caller frees *hits. */
static bool search(struct sandbox_call *call, int sort, struct hit **hits, size_t *count)
{
    struct err err = ERR_INIT;
    struct sandbox_query *query = sandbox_query_new(request_query(call->request, "query"), &err);
    size_t room = 0;
    *hits = NULL;
    *count = 0;
    if (!query) {
        sandbox_api_refuse_field(call, "query", err.text);
        return false;
    }
    uint64_t number = 0;
    const struct sandbox_alert *alert;
    while ((alert = sandbox_alerts_next(call->account->alerts, &number))) {
        if (!sandbox_query_fits(query, alert))
            continue;
        if (*count == room)
            *hits = mem_resize(*hits, (room = room ? room * 2 : 64) * sizeof **hits);
        (*hits)[(*count)++] = (struct hit){sort_value(alert, sort), alert};
    }
    sandbox_query_free(query);
    return true;
}

void sandbox_read_count(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    (void)segments;
    struct hit *hits;
    size_t count;
    if (search(call, BY_CREATED, &hits, &count)) {
        free(hits);
        sandbox_api_data(call, json_pack("{s:I}", "count", (json_int_t)count));
    }
}

static void add_page(struct sandbox_call *call, const char *name, long offset, long limit)
{
    buf_addf(&call->answer, "\"%s\":\"http://127.0.0.1:%d/v2/alerts?limit=%ld&offset=%ld\"", name,
             server_port(call->account->server), limit, offset);
}

static void add_paging(struct sandbox_call *call, long offset, long limit, long count)
{
    buf_add_text(&call->answer, ",\"paging\":{");
    add_page(call, "first", 0, limit);
    if (offset + limit < count) {
        buf_add_char(&call->answer, ',');
        add_page(call, "next", offset + limit, limit);
    }
    if (offset > 0) {
        buf_add_char(&call->answer, ',');
        add_page(call, "prev", offset > limit ? offset - limit : 0, limit);
    }
    buf_add_char(&call->answer, ',');
    add_page(call, "last", count > 0 && limit > 0 ? (count - 1) / limit * limit : 0, limit);
    buf_add_char(&call->answer, '}');
}

static bool take_sort(struct sandbox_call *call, int *sort, bool *is_rising)
{
    const char *name = request_query(call->request, "sort"), *order = request_query(call->request, "order");
    for (*sort = 0; name && *sort < SORT_COUNT && strcmp(name, sort_name[*sort]) != 0;)
        ++*sort;
    *is_rising = order && strcmp(order, "asc") == 0;
    if (*sort == SORT_COUNT || (*sort == BY_UPDATED && call->dialect == SANDBOX_OPS))
        sandbox_api_refuse_field(call, "sort",
                                 "the sandbox sorts by createdAt, updatedAt, lastOccurredAt, count, tinyId");
    else if (order && !*is_rising && strcmp(order, "desc") != 0)
        sandbox_api_refuse_field(call, "order", "should be one of [ asc, desc ]");
    return call->status == 0;
}

static void add_hits(struct sandbox_call *call, const struct hit *hits, size_t first, size_t end, bool is_rising,
                     size_t count)
{
    bool is_ops = call->dialect == SANDBOX_OPS;
    buf_add_text(&call->answer, is_ops ? "{\"values\":[" : "{\"data\":[");
    for (size_t i = first; i < end && i < count; i++) {
        json_t *shown = sandbox_alerts_show(hits[is_rising ? i : count - 1 - i].alert, false);
        shown = is_ops ? sandbox_ops_alert(shown) : shown;
        buf_add_text(&call->answer, i > first ? "," : "");
        json_dump_callback(shown, sandbox_api_add_bytes, &call->answer, JSON_COMPACT);
        json_decref(shown);
    }
    buf_add_char(&call->answer, ']');
}

void sandbox_read_list(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    (void)segments;
    long offset = 0, limit = LIST_LIMIT_DEFAULT;
    int sort;
    bool is_rising, is_ops = call->dialect == SANDBOX_OPS;
    struct hit *hits;
    size_t count;
    if (!take_number(call, "offset", LIST_END_MAX, &offset)
        || !take_number(call, is_ops ? "size" : "limit", LIST_LIMIT_MAX, &limit) || !take_sort(call, &sort, &is_rising))
        return;
    if (offset + limit > LIST_END_MAX) {
        sandbox_api_refuse_field(call, "offset", "offset and limit together should not be above 20000");
        return;
    }
    if (!search(call, sort, &hits, &count))
        return;
    if (count)
        qsort(hits, count, sizeof *hits, compare);
    add_hits(call, hits, (size_t)offset, (size_t)(offset + limit), is_rising, count);
    free(hits);
    if (is_ops) {
        buf_add_text(&call->answer, ",\"links\":{}}");
        call->status = 200;
    } else {
        add_paging(call, offset, limit, (long)count);
        sandbox_api_finish(call, 200);
    }
}
