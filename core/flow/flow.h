/* flow.h - one feature at work: its gate, its live release, its events
 *
 *      source ──event──► admit ──► run ──► one change: effects, seen-mark, trail, counters ──► ack
 *                          │        │
 *                          │        ├ later ──► inbox: it is ours now, acknowledged, runs again
 *                          │        └ failed ─► held: with the reason, for a person
 *                          ├ cannot be read, too large, no id ──► held
 *                          └ repeat, expired, dropped ──► counted
 *
 * Events of one key run one after another; of different keys, concurrently.  An event is
 * acknowledged only by the `done` of the change that has all it caused. */
#ifndef HEADGATE_FLOW_FLOW_H
#define HEADGATE_FLOW_FLOW_H

#include "core/flow/fuse.h"
#include "core/flow/instance.h"
#include "core/lane/lane.h"
#include "core/store/held.h"

struct flow;

/* Why nothing more of a flow leaves, until a person resets it. */
struct flow_trip {
    int64_t at_ms;                       /* 0: it is not tripped */
    char connection[NAME_MAX_BYTES + 1]; /* whose fuse blew; "": the flow's own */
    char reason[600];                    /* a sentence for people */
};

/* What all flows share; made by the engine. */
struct flow_context {
    uv_loop_t *loop;
    struct store *store;
    struct held_numbers *held;
    struct connection *(*connection)(void *engine, const char *name);
    void *engine;
    /* Loads an earlier release of a flow; the caller releases it.  NULL with the reason. */
    struct instance *(*recall)(void *engine, const char *flow, const char *hash, struct err *err);
    void (*on_trip)(void *engine, struct change *change, struct flow *flow); /* writes it down; NULL: nobody does */
    struct fuses fuses;
    bool takes_events; /* false while the store is full or the daemon stops */
};

struct flow *flow_new(struct flow_context *context, const char *name);
void flow_free(struct flow *flow); /* after the connections are closed and the store has ended */
const char *flow_name(const struct flow *flow);

/* Makes the instance the live one, between two events; runs that began finish under theirs. Takes it. */
void flow_switch(struct flow *flow, struct instance *live);
struct instance *flow_live(const struct flow *flow); /* NULL: no release of it can be loaded */
void flow_set_gate(struct flow *flow, bool is_on);
bool flow_is_on(const struct flow *flow); /* as people want it; a tripped gate may be on, and is not open */
/* Listens, or stops listening, as gate, release and context->takes_events say: call after each change of those. */
void flow_adjust(struct flow *flow);
/* The connection is about to be closed: its sources are silent until flow_adjust. */
void flow_let_go(struct flow *flow, const struct connection *connection);
/* Nothing of its sources is under way any more; if `is_late`, events that are not answered yet do not count. */
bool flow_has_let_go(const struct flow *flow, const struct connection *connection, bool is_late);
/* Runs that are under way are given up: they leave no trace, their events stay at the source. */
void flow_cancel_runs(struct flow *flow);

/* trip.c */
const struct flow_trip *flow_tripped(const struct flow *flow); /* NULL: it is not */
/* As the store has it, at start; NULL: it was reset, and that is on disk. */
void flow_set_trip(struct flow *flow, const struct flow_trip *trip);
void flow_reset_fuses(struct flow *flow, struct change *change); /* what they counted counts no more */
/* How an effect of the flow ended at its far side: done, or refused or unknown; in the change that says so. */
void flow_note_answer(struct flow *flow, struct change *change, const struct connection *connection, bool is_good,
                      const char *answer);

/* listed.c: whether this recipient of a list that the flow handed over may be asked for; false: its gate is tripped, in
 * this change.  `claim`: NULL for the first of a change, then what all of them count. */
bool flow_may_feed(struct flow *flow, struct change *change, struct fuse_claim **claim,
                   const struct lane_listed *listed);
void flows_count_fed(struct flow_context *context, struct change *change, struct fuse_claim *claim);
void flows_have_fed(struct flow_context *context, struct fuse_claim *claim); /* it is on disk; frees the claim */

/* Takes a held event (the `item` of its row; its key, or "" where it could not be read) back: into the inbox, in the
 * same change.  It runs under the release with this hash, or under the one that is live by then where it is empty.
 * Call flow_wake from its `done`. */
void flow_retry(struct flow *flow, struct change *change, struct slice item, const char *key, struct slice release);
/* The release with this hash, loaded; lent until the next call.  NULL with the reason. */
struct instance *flow_recall(struct flow *flow, const char *hash, struct err *err);
/* Counts a held event of this flow (its row) that a person discarded; `text` says who and why. */
void flow_discard(struct flow *flow, struct change *change, struct slice held_row, const char *text);
/* The outcome of an effect comes back to the flow, as a run at the step that `next` named; in the same change. */
void flow_outcome(struct flow *flow, struct change *change, const struct lane_outcome *outcome);
void flow_wake(struct flow *flow); /* there may be something in the inbox: call from the change's `done` */

struct flow_view {
    const char *name, *title, *owner;
    bool is_on, drops_when_off;
    const struct flow_trip *trip;                          /* NULL: it is not tripped */
    const char *release;                                   /* hash, or "" */
    char source_state[200];                                /* of its sources, for a person */
    bool is_refused;                                       /* a source of it refuses */
    bool is_listening;                                     /* all of its sources deliver */
    double rate;                                           /* events a second, over the last ten seconds */
    uint64_t received, finished, skipped, expired, failed; /* since the store was made; failed: became held */
    uint64_t inbox;                                        /* events waiting in the store */
    unsigned under_way;                                    /* taken and not yet committed */
    uint64_t timers;                                       /* that wait */
    int64_t next_timer_ms;                                 /* when the first of them is due; 0: none */
    bool is_silent;                                        /* fewer events came than the manifest expects */
    int64_t expect_least, expect_ms;                       /* what it expects; 0: nothing */
    int64_t last_event_ms;                                 /* when the last event came; 0: never */
};
void flow_look(struct flow *flow, struct flow_view *view);
void flow_look_for_silence(struct flow *flow); /* about every second: says in the log when it begins or ends */
/* Calls for each source that the flow has now. */
void flow_each_source(struct flow *flow, void (*each)(void *context, struct source *source), void *context);

#endif
