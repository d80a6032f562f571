/* run.h - one event passing through one release of one flow
 *
 *      run_new ─► run_admit ─► run_start ──steps──► ended(FINISHED): effects and trail are in the run
 *                  id, key        │  ▲              ended(FAILED):   err says why; no effect counts
 *                                 ▼  │              ended(LATER):    a read said later; no effect counts
 *                              a read waits
 *
 * A run touches nothing but itself: what it asked for is collected, and the caller decides what becomes of it. */
#ifndef HEADGATE_FLOW_RUN_H
#define HEADGATE_FLOW_RUN_H

#include "core/flow/instance.h"
#include "core/flow/wishes.h"
#include "core/lane/effect.h"

enum run_outcome { RUN_FINISHED, RUN_FAILED, RUN_LATER };

/* An effect that the run asked for. */
struct asked {
    struct connection *connection;
    const struct verb *verb;
    char id[EFFECT_ID_SIZE];
    char *campaign;         /* in whose course; NULL: of none; owned */
    struct buf recipient;   /* whom it reaches, as they are recognised; empty: nobody in particular */
    bool is_list;           /* it reaches a list of them: */
    struct buf recipients;  /* record: a field `r` for each, its value a record of the fields that it has for itself */
    size_t recipient_count; /* of these */
    size_t duplicate_count; /* left out: in it already */
    int step;
    int next;                   /* the step at which a run is told how it ended; -1: nobody asks */
    char cause[EFFECT_ID_SIZE]; /* of that run */
    uint64_t number;            /* in its lane's outbox, once it is there */
    struct buf fields;          /* record, as the adapter prepared it */
    struct buf as_said;         /* record, as the flow said it; only where `keeps_fields` (try, test) */
};

struct run;
#define CAUSE_MARK '\x1f' /* no id of an event has it */

/* What the flow keeps between its runs, for a run that looks it up. */
struct run_memory {
    /* The value as JSON, lent until the loop waits; false: there is none. */
    bool (*get)(const struct run *run, struct slice key, struct slice *json);
    /* Whether there is room for one more value of that size, or for one more timer; false with the reason. */
    bool (*has_room)(const struct run *run, enum wish_kind kind, size_t bytes, struct err *err);
};

struct run {
    struct instance *instance;      /* kept until run_free */
    lua_State *thread;              /* NULL before the start and after the end */
    int event_ref;                  /* the event's table in the registry */
    char *id, *key;                 /* owned; after run_admit */
    char cause[EFFECT_ID_SIZE + 1]; /* of a continuation: CAUSE_MARK and the id of its timer or effect; "": the event */
    size_t event_bytes;             /* of its record */
    size_t carried_bytes;           /* of its copies that timers and effects keep, so far */
    int64_t time_ms;                /* when the event happened */
    int64_t received_ms;
    int64_t began_ms;  /* now() for this run */
    unsigned attempt;  /* 1, 2, ... */
    int step;          /* where it is */
    unsigned position; /* effects asked for in this step */
    struct asked *asked;
    size_t asked_count;
    size_t asked_bytes; /* of all of them */
    struct buf trail;   /* JSON: the entries of the steps, comma-separated */
    struct wishes wishes;
    unsigned named;                  /* uuids and timers so far: each has its own number */
    const struct run_memory *memory; /* NULL: nothing was kept, and there is room */

    bool keeps_fields;
    const struct query *query; /* the read that the run waits for, while the thread yields */
    struct connection *query_connection;
    struct buf query_fields;
    struct asking *asking; /* while the adapter has the question */
    bool is_asking;        /* inside of the adapter's `ask` (or of `answer`) */
    bool has_answer;       /* it came before `ask` returned, and is on top of the thread */
    /* How reads are answered instead of asking the adapter; NULL: the adapter. For try and test. Calls run_answer. */
    void (*answer)(struct run *run);
    void (*ended)(struct run *run, enum run_outcome outcome); /* once; may be called inside of run_start */
    void *owner;
    struct err err; /* why it failed, or waits; the last member: only its first byte is cleared */
};

/* `record`: of the event, see struct event. */
struct run *run_new(struct instance *instance, int64_t received_ms);
void run_free(struct run *run);
/* Decodes the event and finds id, key and time as the manifest says.  False: the reason for holding it. */
bool run_admit(struct run *run, struct slice record, const char *given_id, struct err *err);
/* What sets this run apart from every other of its flow, and is the same when it is run again. */
struct slice run_identity(const struct run *run);
void run_start(struct run *run);
/* The answer to `query`: JSON text; or why there is none (`is_final`: there will never be). */
void run_answer(struct run *run, struct slice json);
void run_no_answer(struct run *run, bool is_final, const char *why);
/* What the ended run asked for is forgotten: it is not going to be asked for. */
void run_forget_effects(struct run *run);
/* Ends a run that waits for a read, without calling `ended`. */
void run_cancel(struct run *run);

#endif
