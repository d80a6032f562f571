/* lane.h - one connection's part of the outbox, and how it is delivered
 *
 *      committed ──► window ──► due, first of its key ──► marked `sending` (if not idempotent)
 *                      ▲                                        │ on disk
 *                      │                                        ▼
 *                      │                                    adapter->deliver
 *                      └── later: backoff ◄──────────────────── verdict
 *                                        done: receipt ◄────────┤
 *                                        never, unknown: held ◄─┘
 *
 * A key is free for its next effect when the outcome of the last is on disk, so that no crash can
 * let a later effect overtake an earlier one.  At most WINDOW effects are in memory, however
 * long the backlog is. */
#ifndef HEADGATE_LANE_LANE_H
#define HEADGATE_LANE_LANE_H

#include "core/adapter.h"
#include "core/store/held.h"
#include "core/store/store.h"

struct lane_options {
    unsigned concurrency; /* deliveries under way at once */
    int64_t rate_per_day; /* deliveries begun; 0: no bound */
    bool retries_unknown; /* when_unknown: retry; else an unknown effect that is not idempotent is held */
    int64_t receipts_ms;  /* how long a receipt is kept */
};

struct lane *lane_open(struct store *store, struct held_numbers *held, struct connection *connection,
                       const struct lane_options *options);
/* Begins to deliver.  After the adapter's open: libuv runs prepare handles in the reverse order of their start, and
 * what a lane hands over just before the loop waits must still be sent by the adapter's own prepare handle, in the same
 * round. */
void lane_start(struct lane *lane);
void lane_close(struct lane *lane); /* call after the connection was closed; what was under way stays in the store */
void lane_stop(struct lane *lane);  /* begins nothing more */
bool lane_is_idle(const struct lane *lane);           /* nothing is under way */
void lane_refuse(struct lane *lane, const char *why); /* delivers nothing: the connection may not be opened */
const char *lane_refusal(const struct lane *lane);    /* why; NULL: it is not refused */

/* Puts the effect's row into the outbox and counts it as asked for; returns its number there, which no other effect of
 * this lane ever had.  Changes must be committed in the order of these calls; from their `done`, call lane_wake. */
uint64_t lane_add(struct lane *lane, struct change *change, struct slice row);
void lane_wake(struct lane *lane);
/* The same for an effect of a campaign (its row says so): only if nobody of it was written to this recipient before,
 * else it is counted as superseded, with a receipt that says when.  From the change's `done`, call lane_wrote. */
uint64_t lane_add_once(struct lane *lane, struct change *change, struct slice row);
void lane_wrote(struct lane *lane, struct slice campaign, struct slice recipient); /* it is on disk */
/* Takes the effect of a held row (its `item`, which had `number`) back into the outbox, with its old id. */
void lane_retry(struct lane *lane, struct change *change, struct slice item, uint64_t number);
/* Writes down that a person gave the effect of a held row up, and why. */
void lane_refuse_effect(struct lane *lane, struct change *change, struct slice held_row, const char *text);

struct lane_view {
    const char *connection, *adapter;
    char state[16];   /* "idle", "up", "down", "resting", "paused", "refused" */
    char text[200];   /* why, or what the far side said last */
    int64_t until_ms; /* when a rest or pause ends; 0: none */
    uint64_t waiting; /* effects in the outbox */
    unsigned under_way;
    int64_t oldest_ms;         /* when the oldest of them was asked for; 0: none */
    uint64_t delivered, later; /* since start */
};
void lane_look(struct lane *lane, struct lane_view *view);

#endif
