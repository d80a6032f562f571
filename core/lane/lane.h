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
 * let a later effect overtake an earlier one.  That holds within one priority: effects of a higher one overtake those
 * of a lower one, whatever their key.  Of 21 deliveries 16 are high, 4 normal and 1 low while there are some of each,
 * so nothing starves.  Memory does not grow with the backlog, and a key that fails leaves the place to others
 * (backlog.h).
 *
 * What the outbox holds is counted in the changes that put and take its rows, so opening a lane reads one row,
 * however many there are. */
#ifndef HEADGATE_LANE_LANE_H
#define HEADGATE_LANE_LANE_H

#include "core/adapter.h"
#include "core/lane/effect.h"
#include "core/lane/rate.h"
#include "core/lane/stats.h"
#include "core/store/held.h"
#include "core/store/store.h"

#define RATES_MAX 4

/* How an effect ended, for the flow that wants to know it (`next`). */
struct lane_outcome {
    struct slice flow, connection, verb, id; /* whose, where, what, and the effect's id */
    struct slice next;                       /* as the flow gave it along */
    const char *outcome;                     /* "delivered", "refused", "superseded" */
    const char *text;                        /* what the far side said, or a person */
    unsigned attempts;
    struct slice data; /* JSON that the adapter gave; size 0: none */
};

/* Files of a flow's releases, from which the mails of a list are made, say. */
struct lane_releases {
    void *(*open)(void *context, const char *flow, const char *hash, struct err *err); /* NULL with the reason */
    bool (*find)(const void *release, const char *path, struct slice *content);        /* lent until it is closed */
    void (*list)(const void *release, const char *prefix, struct buf *names);          /* comma-separated */
    void (*close)(void *release);
    void *context;
};

/* A recipient of a list who is about to be asked for. */
struct lane_listed {
    const struct connection *connection;
    const struct verb *verb;
    const char *flow; /* that handed the list over */
    const char *effect_id;
    struct slice recipient; /* as they are recognised */
};

/* Fuses of the flows that handed lists over.  A claim is what one change counts; NULL to begin with. */
struct fuse_claim;
struct lane_fuses {
    /* False: not this one, and nothing more of the flow, whose gate is tripped in this change. */
    bool (*allows)(void *context, struct change *change, struct fuse_claim **claim, const struct lane_listed *listed);
    void (*count)(void *context, struct change *change, struct fuse_claim *claim);
    void (*end)(void *context, struct fuse_claim *claim); /* the change is on disk */
    void *context;
};

struct lane_options {
    unsigned concurrency;               /* calls under way at once; a call is one delivery, or a batch of them */
    struct rate_limit rates[RATES_MAX]; /* calls begun, within each of these */
    size_t rate_count;
    bool retries_unknown; /* when_unknown: retry; else an unknown effect that is not idempotent is held */
    int64_t max_age_ms;   /* since a flow asked, or a person took it back; older ones are held; 0: no bound */
    int64_t receipts_ms;  /* how long a receipt is kept */
    /* Tells a flow how an effect ended, in the change that says so.  NULL: nobody asks. */
    void (*on_outcome)(void *context, struct change *change, const struct lane_outcome *outcome);
    const struct lane_releases *releases; /* lent for the lane's life; may be NULL where no list is ever handed over */
    const struct lane_fuses *fuses;       /* the same */
    /* Nothing of this flow may leave now: its effects stay where they are, until lane_unpark. NULL: of none. */
    bool (*is_parked)(void *context, const char *flow);
    /* How an effect ended at the far side: done, or refused or unknown; in the change that has it. NULL: nobody asks.
     */
    void (*on_answer)(void *context, struct change *change, const struct connection *connection, const char *flow,
                      bool is_good, const char *text);
    void *context; /* of these */
};

struct lane *lane_open(struct store *store, struct held_numbers *held, struct connection *connection,
                       const struct lane_options *options);
/* Begins to deliver.  After the adapter's open: libuv runs prepare handles in the reverse order of their start, and
 * what a lane hands over just before the loop waits must still be sent by the adapter's own prepare handle, in the same
 * round. */
void lane_start(struct lane *lane);
void lane_close(struct lane *lane); /* call after the connection was closed; what was under way stays in the store */
void lane_stop(struct lane *lane);  /* begins nothing more */
/* Begins nothing until lane_resume: the connection is about to be closed. */
void lane_suspend(struct lane *lane);
/* It is about to be opened, with these options: no pause, rest, refusal or backoff of before counts.  Then lane_start.
 */
void lane_resume(struct lane *lane, const struct lane_options *options);
bool lane_is_idle(const struct lane *lane);           /* nothing is under way */
void lane_refuse(struct lane *lane, const char *why); /* delivers nothing: the connection may not be opened */
const char *lane_refusal(const struct lane *lane);    /* why; NULL: it is not refused */

/* Puts the effect's row into the outbox, by the priority that it names, and counts it as asked for; returns its number
 * there, which no other effect of this lane ever had.  Changes must be committed in the order of these calls; from
 * their `done`, call lane_wake. */
uint64_t lane_add(struct lane *lane, struct change *change, struct slice row);
void lane_wake(struct lane *lane);
void lane_unpark(struct lane *lane); /* a flow may let its effects leave again */
/* The same for an effect of a campaign (its row says so): only if nobody of it was written to this recipient before,
 * else it is counted as superseded, with a receipt that says when.  From the change's `done`, call lane_wrote. */
uint64_t lane_add_once(struct lane *lane, struct change *change, struct slice row);
bool lane_has_written(struct lane *lane, struct slice campaign, struct slice recipient); /* lane_add_once would not */
void lane_wrote(struct lane *lane, struct slice campaign, struct slice recipient);       /* it is on disk */
/* A list of recipients, frozen in this change; they enter the outbox a few hundred at a time, at low priority.  Returns
 * its number; from the change's `done`, call lane_feed. */
struct list;
uint64_t lane_hand_over(struct lane *lane, struct change *change, const struct list *list);
void lane_feed(struct lane *lane, uint64_t list);
void lane_look_at_campaigns(struct lane *lane);                       /* the state of one was changed, on disk */
double lane_feed_rate(const struct lane *lane, const char *campaign); /* recipients a second; 0: it does not go on */
/* Takes the effect of a held row (its `item`, which had `number`) back into the outbox, with its old id; its age counts
 * from now. */
uint64_t lane_retry(struct lane *lane, struct change *change, struct slice item, uint64_t number);
/* The same for an item that a person may have edited: of a campaign, another recipient than it was asked for is taken
 * in the ledger with it.  False, and nothing is done: the campaign wrote to that one already, or it is no recipient. */
bool lane_retry_edited(struct lane *lane, struct change *change, struct slice item, uint64_t number, struct err *err);
/* Writes down that a person gave the effect of a held row up, and why. */
void lane_refuse_effect(struct lane *lane, struct change *change, struct slice held_row, const char *text);

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };
extern const char *const breaker_names[]; /* "closed", "open", "probing" */

struct rate_view {
    char text[32]; /* "500/h" */
    int64_t used,
        most;        /* in the window that ends now; of a smooth rate (seconds, minutes) used is -1: it is not kept */
    int64_t free_ms; /* when the next call may begin; 0: now */
};

struct lane_view {
    const char *connection, *adapter;
    char state[16];   /* "idle", "up", "down", "resting", "paused", "refused", "reopening" */
    char text[200];   /* why, or what the far side said last */
    int64_t until_ms; /* when a rest or pause ends; 0: none */
    uint64_t waiting; /* effects in the outbox */
    uint64_t waiting_of[PRIORITIES];
    uint64_t parked; /* of those that wait: their flow's gate is tripped, as far as they were looked at */
    size_t retrying; /* of those in memory: they wait for their next try */
    unsigned under_way, calls;
    int64_t oldest_ms;         /* when the oldest of those in memory was asked for; 0: none */
    uint64_t delivered, later; /* since start */
    enum breaker_state breaker;
    int64_t breaker_until_ms; /* when it is open: until when */
    unsigned failures;        /* in a row */
    unsigned calls_most;      /* at once, now: less than the concurrency while it probes and after that */
    struct rate_view rates[RATES_MAX];
    size_t rate_count;
    int64_t far_left, far_reset_ms; /* calls that the far side still allows, until then; 0 and 0: it said nothing */
    const struct lane_options *options;
};
void lane_look(struct lane *lane, struct lane_view *view);
const struct stats *lane_stats(const struct lane *lane); /* since start */
/* Between which two the wait after so many failed attempts lies. */
void lane_schedule(unsigned attempts, int64_t *least_ms, int64_t *most_ms);

#endif
