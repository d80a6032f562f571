/* list.h - a list of recipients that was handed over in one effect, frozen
 *
 *      run ends ──one change──► list row + a row for each recipient ──feeder──► outbox row + ledger row, the row here
 * gone
 *
 * A recipient waits here or is in the outbox, never in both and never in neither: each move is one change.  So there is
 * no position to remember: what is still here is what is not yet asked for, and after a crash the feeder goes on there.
 *
 *     lists        connection \0 number -> campaign, verb, flow, release, step, event_id, asked_ms, when_unknown,
 * fields (of all) recipients   connection \0 list \0 number -> record: the fields that this one has for himself */
#ifndef HEADGATE_CAMPAIGN_LIST_H
#define HEADGATE_CAMPAIGN_LIST_H

#include "core/campaign/campaign.h"

struct list {
    struct slice campaign;
    const char *verb;
    const char *flow, *release, *step; /* texts of its maker */
    struct slice event_id;
    int64_t asked_ms;
    int when_unknown;        /* the flow's word, as the lane knows it */
    struct slice fields;     /* record: what all recipients share */
    struct slice recipients; /* record: a field of any name for each, its value a record */
    size_t duplicates;       /* recipients that were left out, because they are in it already */
};

#define LIST_ROW_MAX ((size_t)64 << 20) /* bytes of a list's row */

void list_put(struct store *store, struct change *change, const char *connection, uint64_t number,
              const struct list *list);
/* connection \0 number: of the list's row, and of all rows of its recipients. */
struct store_key list_key(const char *connection, uint64_t number);

#endif
