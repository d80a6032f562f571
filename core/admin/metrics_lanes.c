/* metrics_lanes.c - effects: what waits, what was tried, what became of it, and how each destination is */
#include "core/admin/metrics.h"

#include "core/base/clock.h"
#include "core/engine/books.h"
#include "core/lane/stats.h"

static const struct lane_book no_book;

/* One destination while a family is written. */
struct of_lane {
    struct exposition *out;
    struct engine *engine;
    const struct connection *connection;
    const struct lane_view *view;
    const struct lane_book *book;
    const struct stats *stats;
};

struct of_lanes {
    struct exposition *out;
    struct engine *engine;
    const struct books *books;
};

/* Calls for each connection that flows can ask something of. */
static void each_lane(const struct of_lanes *all, void (*each)(const struct of_lane *lane))
{
    struct connection *connection;
    for (size_t i = 0; (connection = engine_connection_at(all->engine, i)); i++) {
        struct lane_view view;
        lane_look(connection->lane, &view);
        const struct lane_book *book = books_lane(all->books, view.connection);
        struct of_lane lane = {
            all->out, all->engine, connection, &view, book ? book : &no_book, lane_stats(connection->lane)};
        each(&lane);
    }
}

/* ---- effects by flow: those that a flow's manifest names are there from the start ------------------------------- */

static void add_flow_effects(const struct of_lane *lane, const char *flow)
{
    for (int i = 0; i < STATS_OUTCOMES; i++)
        exposition_add(lane->out, "", (double)stats_of(lane->stats, flow, (enum stats_outcome)i), "destination",
                       lane->connection->name, "flow", flow, "outcome", stats_outcome_names[i]);
}

static bool uses(struct flow *flow, const char *connection)
{
    struct instance *live = flow ? flow_live(flow) : NULL;
    for (char **name = live ? live->manifest->uses : NULL; name && *name; name++)
        if (strcmp(*name, connection) == 0)
            return true;
    return false;
}

/* A flow that does not use it any more, or is gone, but did since the start. */
static void add_former(void *context, struct slice name)
{
    const struct of_lane *lane = context;
    char flow[NAME_MAX_BYTES + 1];
    snprintf(flow, sizeof flow, "%.*s", SLICE_ARG(name));
    if (!uses(engine_flow(lane->engine, flow), lane->connection->name))
        add_flow_effects(lane, flow);
}

static void add_effects(const struct of_lane *lane)
{
    struct flow *flow;
    for (size_t i = 0; (flow = engine_flow_at(lane->engine, i)); i++)
        if (uses(flow, lane->connection->name))
            add_flow_effects(lane, flow_name(flow));
    stats_each_flow(lane->stats, add_former, (void *)lane);
}

/* ---- the rest -----------------------------------------------------------------------------------------------------
 */

static void add(const struct of_lane *lane, double value)
{
    exposition_add(lane->out, "", value, "destination", lane->connection->name);
}

static void add_asked(const struct of_lane *lane)
{
    add(lane, (double)lane->book->asked);
}

static void add_outbox(const struct of_lane *lane)
{
    const char *name = lane->connection->name;
    double sending = lane->view->under_way, waiting = (double)lane->view->waiting - sending;
    exposition_add(lane->out, "", waiting > 0 ? waiting : 0, "destination", name, "state", "waiting");
    exposition_add(lane->out, "", sending, "destination", name, "state", "sending");
}

static void add_parked(const struct of_lane *lane)
{
    add(lane, (double)lane->view->parked);
}

static void add_held(const struct of_lane *lane)
{
    add(lane, (double)lane->book->held);
}

static void add_oldest(const struct of_lane *lane)
{
    int64_t age_ms = lane->view->oldest_ms ? clock_now_ms() - lane->view->oldest_ms : 0;
    add(lane, age_ms > 0 ? (double)age_ms / 1000 : 0);
}

static void add_attempts(const struct of_lane *lane)
{
    for (int i = 0; i < STATS_RESULTS; i++)
        exposition_add(lane->out, "", (double)lane->stats->results[i], "destination", lane->connection->name, "result",
                       stats_result_names[i]);
}

static void add_latency(const struct of_lane *lane)
{
    const char *name = lane->connection->name;
    int64_t sum = 0;
    for (int i = 0; i < STATS_BUCKETS; i++) {
        char bound[32];
        sum += lane->stats->latency[i];
        snprintf(bound, sizeof bound, "%g", (double)stats_bounds_ms[i] / 1000);
        exposition_add(lane->out, "_bucket", (double)sum, "destination", name, "le", bound);
    }
    sum += lane->stats->latency[STATS_BUCKETS];
    exposition_add(lane->out, "_bucket", (double)sum, "destination", name, "le", "+Inf");
    exposition_add(lane->out, "_sum", (double)lane->stats->latency_sum_ms / 1000, "destination", name);
    exposition_add(lane->out, "_count", (double)sum, "destination", name);
}

static void add_state(const struct of_lane *lane)
{
    static const char *const states[] = {"idle", "up", "down", "resting", "paused", "refused", "reopening"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        exposition_add(lane->out, "", strcmp(lane->view->state, states[i]) == 0, "destination", lane->connection->name,
                       "state", states[i]);
}

static void add_breaker(const struct of_lane *lane)
{
    add(lane, lane->view->breaker);
}

/* Of smooth rates (seconds, minutes) nothing is kept that could be shown. */
static void add_quota(const struct of_lane *lane)
{
    for (size_t i = 0; i < lane->view->rate_count; i++) {
        const struct rate_view *rate = &lane->view->rates[i];
        if (rate->used >= 0)
            exposition_add(lane->out, "", (double)rate->used / (double)rate->most, "destination",
                           lane->connection->name, "window", strchr(rate->text, '/') + 1);
    }
}

static void add_difference(const struct of_lane *lane)
{
    add(lane, (double)lane->book->difference);
}

void metrics_of_lanes(struct exposition *out, struct engine *engine, const struct books *books)
{
    struct of_lanes all = {out, engine, books};
    exposition_family(out, "headgate_effects_asked_total", EXPOSITION_COUNTER, "Effects that flows asked for.");
    each_lane(&all, add_asked);
    exposition_family(out, "headgate_effects_total", EXPOSITION_COUNTER,
                      "Effects that left the outbox, and how; since the daemon started.");
    each_lane(&all, add_effects);
    exposition_family(out, "headgate_outbox_effects", EXPOSITION_GAUGE, "Effects in the outbox.");
    each_lane(&all, add_outbox);
    exposition_family(out, "headgate_parked_effects", EXPOSITION_GAUGE,
                      "Of those in the outbox: the gate of their flow is tripped.");
    each_lane(&all, add_parked);
    exposition_family(out, "headgate_held_effects", EXPOSITION_GAUGE, "Effects that need a person.");
    each_lane(&all, add_held);
    exposition_family(out, "headgate_outbox_oldest_seconds", EXPOSITION_GAUGE,
                      "Age of the oldest effect in the outbox; 0: nothing waits.");
    each_lane(&all, add_oldest);
    exposition_family(out, "headgate_effect_attempts_total", EXPOSITION_COUNTER,
                      "Attempts to deliver, by what they came to; since the daemon started.");
    each_lane(&all, add_attempts);
    exposition_family(out, "headgate_effect_latency_seconds", EXPOSITION_HISTOGRAM,
                      "From the arrival of an event to the confirmed delivery of its effect.");
    each_lane(&all, add_latency);
    exposition_family(out, "headgate_connection_state", EXPOSITION_GAUGE, "1 for the state that the connection is in.");
    each_lane(&all, add_state);
    exposition_family(out, "headgate_breaker_state", EXPOSITION_GAUGE, "0 closed, 1 open, 2 probing.");
    each_lane(&all, add_breaker);
    exposition_family(out, "headgate_quota_used_ratio", EXPOSITION_GAUGE,
                      "How much of a rate for an hour (h) or a day (d) is used; 1: no call may begin.");
    each_lane(&all, add_quota);
    exposition_family(out, "headgate_lane_conservation_difference", EXPOSITION_GAUGE,
                      "asked - delivered - refused - superseded - waiting - held; anything but 0 is a lost or doubled "
                      "effect.");
    each_lane(&all, add_difference);
}
