/* lanes.c - GET /v1/lanes, /v1/lanes/NAME: how each connection is delivered to, now and later
 *
 * Only what the loop thread knows, so it is answered at once, however long the backlog is; whether the books balance is
 * in /v1/status. */
#include "core/admin/internal.h"

#include "core/base/clock.h"

#include <stdlib.h>

#define SCHEDULE_MOST 100 /* lines of a schedule that is told */

static int64_t from_now(int64_t at_ms, int64_t now_ms)
{
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static json_t *rates_json(const struct lane_view *view, int64_t now_ms)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->rate_count; i++) {
        const struct rate_view *rate = &view->rates[i];
        json_t *json = json_pack("{s:s, s:I, s:I}", "rate", rate->text, "most", (json_int_t)rate->most, "next_in_ms",
                                 (json_int_t)from_now(rate->free_ms, now_ms));
        if (rate->used >= 0) {
            int64_t left = rate->most - rate->used;
            json_object_set_new(json, "used", json_integer(rate->used));
            json_object_set_new(json, "left", json_integer(left > 0 ? left : 0));
        }
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *breaker_json(const struct lane_view *view, int64_t now_ms)
{
    return json_pack("{s:s, s:i, s:I}", "state", breaker_names[view->breaker], "failures", (int)view->failures,
                     "probes_in_ms", (json_int_t)from_now(view->breaker_until_ms, now_ms));
}

static json_t *lane_json(struct lane *lane)
{
    struct lane_view view;
    int64_t now_ms = clock_now_ms();
    lane_look(lane, &view);
    json_t *waiting_of = json_object();
    static const enum priority order[] = {PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW};
    for (size_t i = 0; i < PRIORITIES; i++)
        json_object_set_new(waiting_of, priority_names[order[i]], json_integer((json_int_t)view.waiting_of[order[i]]));
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:o, s:i, s:i, s:i, s:i, s:o, s:I, s:o, s:I, s:I, s:I, s:I, s:s, s:I, s:I}",
        "connection", view.connection, "adapter", view.adapter, "state", view.state, "text",
        json_of(slice_of(view.text)), "resumes_in_ms", (json_int_t)from_now(view.until_ms, now_ms), "breaker",
        breaker_json(&view, now_ms), "concurrency", (int)view.options->concurrency, "calls_at_once",
        (int)view.calls_most, "calls", (int)view.calls, "under_way", (int)view.under_way, "rates",
        rates_json(&view, now_ms), "waiting", (json_int_t)view.waiting, "waiting_of", waiting_of, "retrying",
        (json_int_t)view.retrying, "parked", (json_int_t)view.parked, "oldest_ms",
        (json_int_t)(view.oldest_ms ? now_ms - view.oldest_ms : 0), "max_age_ms", (json_int_t)view.options->max_age_ms,
        "when_unknown", view.options->retries_unknown ? "retry" : "hold", "delivered", (json_int_t)view.delivered,
        "retries", (json_int_t)view.later);
    if (view.far_reset_ms)
        json_object_set_new(json, "far_side",
                            json_pack("{s:I, s:I}", "left", (json_int_t)view.far_left, "resets_in_ms",
                                      (json_int_t)from_now(view.far_reset_ms, now_ms)));
    return json;
}

/* One line for each attempt that fails, until the waits do not grow any more: the last one stands for all that follow
 * until the effect is too old. */
static json_t *schedule_json(int64_t max_age_ms)
{
    json_t *list = json_array();
    int64_t most_before_ms = 0, least_sum_ms = 0, most_sum_ms = 0;
    for (unsigned attempt = 1; attempt <= SCHEDULE_MOST; attempt++) {
        int64_t least_ms, most_ms;
        lane_schedule(attempt, &least_ms, &most_ms);
        if (most_ms == most_before_ms || (max_age_ms && least_sum_ms + least_ms > max_age_ms))
            break;
        most_before_ms = most_ms;
        json_array_append_new(list,
                              json_pack("{s:i, s:I, s:I, s:I, s:I}", "attempt", (int)attempt, "least_elapsed_ms",
                                        (json_int_t)least_sum_ms, "most_elapsed_ms", (json_int_t)most_sum_ms,
                                        "least_wait_ms", (json_int_t)least_ms, "most_wait_ms", (json_int_t)most_ms));
        least_sum_ms += least_ms;
        most_sum_ms += most_ms;
    }
    return list;
}

void answer_lanes(struct admin *admin, struct request *request)
{
    json_t *list = json_array();
    struct connection *connection;
    for (size_t i = 0; (connection = engine_connection_at(admin->engine, i)); i++)
        json_array_append_new(list, lane_json(connection->lane));
    reply_json(request, 200, json_pack("{s:o}", "lanes", list));
}

void answer_lane(struct admin *admin, struct request *request, const char *name)
{
    struct connection *connection = engine_connection(admin->engine, name);
    if (!connection) {
        reply_error(request, 404, "there is no connection %s; `headgate lanes` lists them", name);
        return;
    }
    struct lane_view view;
    json_t *json = lane_json(connection->lane);
    lane_look(connection->lane, &view);
    json_object_set_new(json, "schedule", schedule_json(view.options->max_age_ms));
    reply_json(request, 200, json);
}
