/* next.c - how an effect ended, told to the flow that asked for it by `next`
 *
 *      delivered, refused, superseded ─► on_outcome: a row of the flow's inbox, in the same change
 *      held ─► nothing yet: it is a person who decides how it ends */
#include "core/lane/internal.h"

static void tell(struct lane *lane, struct change *change, const struct lane_outcome *outcome)
{
    struct lane_outcome told = *outcome;
    told.connection = slice_of(lane->connection->name);
    if (told.next.size && lane->options.on_outcome)
        lane->options.on_outcome(lane->options.context, change, &told);
}

void lane_tell(struct lane *lane, struct change *change, const struct lane_outcome *outcome)
{
    stats_outcome(&lane->stats, outcome->flow, stats_outcome_of(outcome->outcome));
    tell(lane, change, outcome);
}

void work_tell(struct work *work, struct change *change, const char *outcome, const char *text, struct slice data)
{
    stats_outcome(&work->lane->stats, slice_of(work->flow), stats_outcome_of(outcome));
    if (!work->next.size)
        return;
    struct lane_outcome told = {.flow = slice_of(work->flow),
                                .verb = slice_of(work->delivery.verb->name),
                                .id = slice_of(work->id),
                                .next = work->next,
                                .outcome = outcome,
                                .text = text,
                                .attempts = work->delivery.attempt,
                                .data = data};
    tell(work->lane, change, &told);
}
