/* held.h - what needs a person: numbered, with its reason, never dropped
 *
 *      event: run failed, body unreadable, too large ──► held ──retry──► inbox, runs again
 *      effect: refused (never), too old (expired), or nobody knows (unknown) ──► held ──retry──► outbox, same id
 *                                                                                 └─discard, with a reason──► counted
 *
 * The row is a record: kind ("event" or "effect"), at (ms), reason, detail (a traceback), flow,
 * release, key, event_id; of an effect: connection, verb, effect_id, attempts, verdict ("never",
 * "expired" or "unknown"); of an unknown one what is known: sent_at (ms), phase, bytes_sent, bytes_total, last_reply;
 * and the thing itself: item (record of the event, or the outbox row of the effect).
 * Of one that a person edited: original (the item as it was at first), edited_at, edited_by, edited_why.
 * Numbers are never used twice. */
#ifndef HEADGATE_STORE_HELD_H
#define HEADGATE_STORE_HELD_H

#include "core/store/store.h"

struct held_numbers {
    struct store *store;
    uint64_t last; /* given out */
};

void held_open(struct held_numbers *held, struct store *store);
/* Adds the row to the change; returns its number. */
uint64_t held_add(struct held_numbers *held, struct change *change, struct slice row);
bool held_get(struct held_numbers *held, uint64_t number, struct slice *row); /* lent as by store_get */
void held_put(struct change *change, uint64_t number, struct slice row);      /* in place of the row that is there */
void held_remove(struct change *change, uint64_t number);

/* Which of them are meant.  A member that is NULL or 0 means any. */
struct held_filter {
    uint64_t first, last;                                        /* numbers, both included */
    const char *kind, *flow, *connection, *verb, *verdict, *key; /* exactly */
    const char *release;                                         /* its hash begins so */
    const char *reason;                                          /* stands in it; capitals do not matter */
    int64_t since_ms, until_ms;                                  /* when it became held: not before, not after */
};
bool held_matches(const struct held_filter *filter, uint64_t number, struct slice row);

#endif
