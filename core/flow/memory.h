/* memory.h - what a flow keeps between its runs: its state, and its timers
 *
 *      state.set, state.delete ─► wishes ─┐                 ┌─► state        flow \0 key -> expiry, JSON
 *      timer.after, .cancel    ─► wishes ─┴─ run finishes ──┤
 *                                         in its one change └─► timers       flow \0 due, name -> record
 *                                                               timer_names  flow \0 name -> due, size
 *      a timer is due ──► its rows go, a continuation stands in the inbox: one change
 *
 * The instant at which all of it becomes true is that change's commit; what later runs of the flow see before that is
 * in `decided`.  Runs of different keys run side by side: of two that set the same key of the state, the one that ends
 * last wins.  Timers stay on disk until they are due, however many there are. */
#ifndef HEADGATE_FLOW_MEMORY_H
#define HEADGATE_FLOW_MEMORY_H

#include "core/flow/decided.h"
#include "core/flow/run.h"
#include "core/store/store.h"

#include <uv.h>

struct memory {
    struct decided state;  /* key -> JSON */
    struct decided timers; /* name -> due, 8 bytes of this machine */
    bool is_counted;       /* the next two are known */
    int64_t counted_ns;    /* when they were counted */
    int64_t rows, bytes;   /* of the state: at most so many, because what expired in between is still in them */
    uint64_t timer_count;  /* as of what was decided */
    int64_t timer_bytes;   /* of their rows */
    int64_t next_due_ms;   /* no timer needs a look before; 0: not looked yet */
    bool is_firing;        /* a change that moves due timers into the inbox is on its way */
    uv_timer_t clock;      /* looks for due timers */
    char counter[NAME_MAX_BYTES + 32], bytes_counter[NAME_MAX_BYTES + 32]; /* names of the counters of both */
};

struct job;
/* Into the change of a run that finished. */
void memory_put(struct job *job, struct change *change);
void memory_done(struct job *job); /* that change is on disk */

/* state.c */
extern const struct run_memory flow_memory; /* for a run whose owner is a job */
void state_put(struct flow *flow, struct change *change, uint64_t number, const struct wish *wish);

/* timers.c */
void timers_open(struct flow *flow);
int64_t timers_next_due(const struct flow *flow); /* of those on disk; 0: there is none */
void timers_put(struct job *job, struct change *change, uint64_t number, const struct wish *wish);
/* Moves what is due into the inbox, as far as there is room in it. */
void timers_work(struct flow *flow);

#endif
