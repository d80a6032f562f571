/* held.h - what needs a person: numbered, with its reason, never dropped
 *
 *      event: run failed, body unreadable, too large ──► held ──retry──► inbox, runs again
 *      effect: refused (never), or nobody knows (unknown) ──► held ──retry──► outbox, same id
 *                                                              └─discard, with a reason──► counted
 *
 * The row is a record: kind ("event" or "effect"), at (ms), reason, detail (a traceback), flow,
 * release, key, event_id; of an effect: connection, verb, effect_id, attempts, verdict ("never" or
 * "unknown"); and the thing itself: item (record of the event, or the outbox row of the effect).
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
void held_remove(struct change *change, uint64_t number);

#endif
