/* effect.h - one intended write to a connection, as it lies in the outbox
 *
 * The row is a record and never changes; what happens to the effect is kept beside it:
 *
 *     outbox    connection \0 number -> id, flow, release, step, verb, key, event_id, asked_ms, fields;
 *                                       where it is said: priority, when_unknown, campaign, recipient, next;
 *                                       of one that a person took back: since_ms
 *     attempts  the same key         -> state ("sending" or "waiting"), count, due_ms, at, text
 *     receipts  the same key         -> outcome ("delivered", "held", "retried", "refused", "superseded"), id, at,
 *                                       attempts, text, held (its number there), number (of the retry, or of the
 *                                       effect that superseded it)
 *     sent      id                   -> a mark for verbs that are not idempotent: they are never sent again
 *
 * A number is a running one with the priority above it, so that the effects of each priority lie together:
 *
 *     0 (1 byte)  priority (1 byte)  running number of the lane (6 bytes)
 */
#ifndef HEADGATE_LANE_EFFECT_H
#define HEADGATE_LANE_EFFECT_H

#include "core/adapter.h"
#include "core/store/store.h"

/* As they are in the number of an effect.  Normal is 0: so are all numbers of stores that know no priorities. */
enum priority { PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_LOW, PRIORITIES };
extern const char *const priority_names[PRIORITIES]; /* as in a manifest: "normal", "high", "low" */
bool priority_parse(struct slice name, enum priority *priority);
enum priority priority_of(uint64_t number);
uint64_t effect_number(enum priority priority, uint64_t running);

/* What to do with an effect that is unknown, where sending it twice is not the same as once. */
enum when_unknown { UNKNOWN_AS_CONNECTION, UNKNOWN_RETRY, UNKNOWN_HOLD };

struct effect {
    char id[EFFECT_ID_SIZE];
    const char *flow, *release, *step; /* texts of its maker */
    const struct verb *verb;
    struct slice key, event_id;
    int64_t asked_ms;
    int64_t received_ms; /* when the event came; written where it waited before it ran */
    enum priority priority;
    enum when_unknown when_unknown;
    struct slice campaign;  /* in whose course it was asked for; size 0: of none */
    struct slice recipient; /* of a campaign: whom it reaches, in the form under which they are recognised */
    struct slice next;      /* record: how its outcome comes back to the flow; size 0: nobody asks for it */
    struct slice fields;    /* record, as the adapter prepared it */
};

#define EFFECT_ROW_MAX ((size_t)64 << 20) /* bytes of an outbox row */

bool effect_encode(const struct effect *effect, struct buf *row);
/* The id follows from flow, event, step and position in the step: the same event cannot make the same effect twice. */
void effect_make_id(const char *flow, struct slice event_id, const char *step, unsigned position, char *id);
/* Of a campaign's effect: it follows from whom it reaches, whoever asks for it, whenever. */
void effect_make_campaign_id(const char *connection, struct slice campaign, struct slice recipient, char *id);
struct store_key effect_key(const char *connection, uint64_t number);

#endif
