/* trip.c - a fuse blows: the gate trips, at once, and stays so until a person resets it
 *
 *      open ──fuse──► tripped ──reset, with a reason──► as it was
 *
 * From the moment at which it is decided nothing more of the flow leaves: its effects stay in their lanes, parked; runs
 * under way that asked for something go to the inbox; events stay at their source, also where the manifest says drop.
 * What wrote it down is the change of the effect, event or answer that blew it: after a crash either both are there, or
 * the same happens again. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/utf8.h"
#include "core/flow/internal.h"

#include <stdio.h>

bool flow_is_open(const struct flow *flow)
{
    return flow->is_on && !flow->trip.at_ms;
}

const struct flow_trip *flow_tripped(const struct flow *flow)
{
    return flow->trip.at_ms ? &flow->trip : NULL;
}

void flow_set_trip(struct flow *flow, const struct flow_trip *trip)
{
    flow->trip = trip ? *trip : (struct flow_trip){.at_ms = 0};
    flow_adjust(flow);
}

void flow_blow(struct flow *flow, struct change *change, const char *connection, const char *reason)
{
    struct flow_trip *trip = &flow->trip;
    if (trip->at_ms)
        return;
    struct slice text = utf8_cut(slice_of(reason), sizeof trip->reason - 1);
    trip->at_ms = clock_now_ms();
    snprintf(trip->connection, sizeof trip->connection, "%s", connection ? connection : "");
    snprintf(trip->reason, sizeof trip->reason, "%.*s", SLICE_ARG(text));
    log_error("flow %s: its gate is tripped: %s. Nothing more of it leaves, and what comes waits, until a person has "
              "looked: headgate reset %s --why TEXT",
              flow->name, trip->reason, flow->name);
    if (flow->context->on_trip)
        flow->context->on_trip(flow->context->engine, change, flow);
    flow->wants_adjust = true; /* before the loop waits: a source must not be silenced while it hands an event over */
}

/* ---- what ended well and what did not ------------------------------------------------------------------ */

void flow_note_run(struct job *job, struct change *change, bool is_good, const char *reason)
{
    struct flow *flow = job->flow;
    struct fuses *fuses = &flow->context->fuses;
    const struct limits *limits = flow->live ? &flow->live->manifest->limits : NULL;
    char text[sizeof flow->trip.reason];
    if (!limits)
        return;
    if (!fuse_note(fuses, change, "flow", flow->name, "failing", is_good, limits->failures_in_a_row)) {
        snprintf(text, sizeof text,
                 "%lld events in a row became held (limits: failures_in_a_row in flow.yaml), the last: %.*s",
                 (long long)limits->failures_in_a_row, (int)strcspn(reason, "\n"), reason);
        flow_blow(flow, change, NULL, text);
    }
    if (!fuse_note_run(fuses, &job->claim, change, flow->name, limits->error_percent, is_good)) {
        snprintf(text, sizeof text,
                 "%lld%% or more of the events of the last ten minutes became held (limits: error_ratio in flow.yaml), "
                 "the last: %.*s",
                 (long long)limits->error_percent, (int)strcspn(reason, "\n"), reason);
        flow_blow(flow, change, NULL, text);
    }
}

static void note_answer(struct flow *flow, struct change *change, const struct connection *connection, bool is_lane,
                        bool is_good, int64_t most, const char *answer)
{
    char text[sizeof flow->trip.reason];
    if (fuse_note(&flow->context->fuses, change, is_lane ? "lane" : "flow", is_lane ? connection->name : flow->name,
                  "failing_effects", is_good, most))
        return;
    snprintf(text, sizeof text,
             "%lld effects in a row were refused or are unknown (%s: failures_in_a_row in %s), the last by %s: %s",
             (long long)most, is_lane ? "fuse" : "limits", is_lane ? "headgate.yaml" : "flow.yaml", connection->name,
             answer);
    flow_blow(flow, change, is_lane ? connection->name : NULL, text);
}

void flow_note_answer(struct flow *flow, struct change *change, const struct connection *connection, bool is_good,
                      const char *answer)
{
    if (flow->live)
        note_answer(flow, change, connection, false, is_good, flow->live->manifest->limits.failures_in_a_row, answer);
    if (connection->fuse)
        note_answer(flow, change, connection, true, is_good, connection->fuse->failures_in_a_row, answer);
}

void flow_reset_fuses(struct flow *flow, struct change *change)
{
    struct fuses *fuses = &flow->context->fuses;
    fuse_reset(fuses, change, "flow", flow->name);
    if (flow->trip.connection[0])
        fuse_reset(fuses, change, "lane", flow->trip.connection);
}
