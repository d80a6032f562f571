/* listed.c - recipients of a list, who are asked for long after their run: the fuses of its flow hold for them, too
 *
 * They are counted as they enter the outbox, so that a job which is started twice counts nobody twice: the ledger has
 * been asked before.  One too many trips the gate in the change of those who were fed before; the list waits where it
 * is until a person resets it. */
#include "core/flow/internal.h"

#include <stdlib.h>

bool flow_may_feed(struct flow *flow, struct change *change, struct fuse_claim **claim,
                   const struct lane_listed *listed)
{
    struct err why = ERR_INIT;
    if (!flow->live)
        return true;
    if (!*claim)
        *claim = mem_zero(sizeof **claim);
    struct fuse_load load = {.flow = flow->name,
                             .manifest = flow->live->manifest,
                             .connection = listed->connection,
                             .verb = listed->verb,
                             .effect_id = listed->effect_id,
                             .recipient = listed->recipient,
                             .is_listed = true};
    if (fuse_take(&flow->context->fuses, *claim, &load, &why))
        return true;
    flow_blow(flow, change, (*claim)->connection, why.text);
    return false;
}

void flows_count_fed(struct flow_context *context, struct change *change, struct fuse_claim *claim)
{
    fuse_count(&context->fuses, claim, change);
}

void flows_have_fed(struct flow_context *context, struct fuse_claim *claim)
{
    fuse_end(&context->fuses, claim);
    free(claim);
}
