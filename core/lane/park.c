/* park.c - effects of a flow whose gate is tripped: they stay in the outbox, and out of everybody's way
 *
 *      read, or in line, and its flow is tripped ──► counted, and not in the window
 *      the flow is reset ──► the windows are forgotten, but for what is under way, and read again from the start
 *
 * The windows are only views of the outbox, so forgetting them loses nothing, and what is read again comes in its
 * order. Parked effects are counted as waiting. */
#include "core/lane/internal.h"

bool lane_parks(const struct lane *lane, const char *flow)
{
    const struct lane_options *options = &lane->options;
    return options->is_parked && options->is_parked(options->context, flow);
}

bool call_is_parked(const struct call *call)
{
    for (size_t i = 0; i < call->count; i++)
        if (lane_parks(call->lane, work_of(call->deliveries[i])->flow))
            return true;
    return false;
}

void work_park(struct work *work)
{
    work->lane->backlogs[priority_of(work->entry.number)].parked++;
    backlog_remove(work);
}

void lane_read_again(struct lane *lane)
{
    lane->wants_unpark = false;
    for (int i = 0; i < PRIORITIES; i++)
        if (lane->backlogs[i].parked)
            backlog_read_again(&lane->backlogs[i]);
}

/* Not while effects are being merged: what stands behind them in the window is on its way out of the outbox. */
void lane_unpark(struct lane *lane)
{
    lane->wants_unpark = true;
    lane->feeds = true;
    lane->is_woken = true;
}
