/* internal.h - what the files of the running flow share: flow.c, admit.c, outcome.c, inbox.c */
#ifndef HEADGATE_FLOW_INTERNAL_H
#define HEADGATE_FLOW_INTERNAL_H

#include "core/base/map.h"
#include "core/flow/flow.h"
#include "core/flow/memory.h"
#include "core/flow/run.h"
#include "core/flow/silence.h"
#include "core/lane/lane.h"
#include "core/lane/window.h"

#define INBOX_WINDOW 2000   /* events of the inbox in memory */
#define AGAIN_MOST_MS 60000 /* until a run is tried again */
#define RATE_SECONDS 10

enum flow_counter {
    COUNT_RECEIVED, /* events that became ours, or were settled */
    COUNT_FINISHED,
    COUNT_REPEAT,  /* skipped: seen before */
    COUNT_DROPPED, /* skipped: the gate was off, and the manifest says drop */
    COUNT_EXPIRED,
    COUNT_DISCARDED, /* skipped: held, and a person discarded it */
    COUNT_FAILED,    /* became held: not part of the balance, which counts the held themselves */
    FLOW_COUNTERS
};
extern const char *const flow_counter_names[FLOW_COUNTERS];

struct flow_source {
    struct source source; /* what the adapter sees */
    struct flow *flow;
    struct instance *instance; /* kept: its manifest owns the settings */
    struct buf memory;         /* behind source.memory */
    enum source_state state;
    char text[200];
    unsigned outstanding; /* events that are not answered yet */
    bool is_listening;
    bool is_retired;                           /* a newer release replaced it: freed when nothing is outstanding */
    unsigned remembering;                      /* source_remember under way */
    void (*remembered)(struct source *source); /* of the last of them */
    struct flow_source *next;
};

/* An event that runs, or waits for the run of an earlier one of its key. */
struct job {
    struct flow *flow;
    struct flow_source *source; /* NULL: from the inbox */
    struct event *event;        /* of a source; NULL: from the inbox */
    struct arrival *arrival;    /* of the inbox; NULL: from a source */
    struct run *run;            /* NULL while it waits in a line */
    struct slice record;        /* the event's */
    char *id, *key;             /* of the run, or copies while it waits */
    struct fuse_claim claim;    /* what it adds to tallies, until that is on disk */
    bool is_ended;              /* its outcome is decided, and on its way to the disk */
    struct job *next;           /* in a line */
    char *owned_record;         /* of an inbox row */
    int64_t began_ms;           /* when it was first tried; 0: not yet */
    uint64_t decided;           /* number of the change that has what it keeps; 0: none */
    char *release;              /* hash of the release that it must run under; NULL: the live one */
};

/* The events of one key, while one of them runs or they wait. */
struct line {
    char *key;
    struct job *running;
    struct job *first, **last;
    bool is_draining;
};

/* An event in the inbox, as the window has it. */
struct arrival {
    struct entry entry; /* first: an entry of the window is an arrival */
    struct flow *flow;
    unsigned attempts;
    bool is_on_disk;    /* its change is committed */
    bool is_taken_back; /* from the held: its row tells when it is on disk */
};

struct flow {
    char *name;
    struct flow_context *context;
    struct instance *live;
    struct instance *recalled; /* an earlier release that a held event ran under last; NULL: none */
    bool is_on;                /* as people want it */
    struct flow_trip trip;     /* a fuse blew */
    bool wants_adjust;         /* it has just tripped */
    struct flow_source *sources;
    struct map pending; /* event id -> the job that is not on disk yet */
    struct map lines;   /* key -> line */
    unsigned under_way; /* jobs in all */

    struct window inbox;
    uint64_t inbox_next; /* number for the next row */
    uint64_t inbox_read; /* the window has everything below */
    uint64_t inbox_rows; /* in the store, as of what was decided */
    bool is_woken;
    uv_prepare_t before_wait;
    uv_timer_t timer; /* for the next due event of the inbox */
    unsigned handles; /* that are not closed yet */

    struct memory memory;

    struct buf scratch; /* for rows that are encoded and at once copied into a change */
    char counter_keys[FLOW_COUNTERS][NAME_MAX_BYTES + 32];
    uint64_t counts[FLOW_COUNTERS]; /* as of what was decided */
    unsigned seconds[RATE_SECONDS];
    int64_t second; /* of the newest in `seconds` */
    struct silence silence;
    int64_t last_event_ms, saved_event_ms; /* when the last event came; the same as it is on disk; 0: never */
};

/* admit.c */
void admit_event(struct flow *flow, struct flow_source *source, struct event *event);
void admit_arrival(struct flow *flow, struct arrival *arrival, struct slice row);
void line_ended(struct job *job);
void job_free(struct job *job);
void job_put_back(struct job *job);

/* outcome.c: each decides and commits; the job is answered and freed once it is on disk */
void outcome_of_run(struct run *run, enum run_outcome outcome);
void outcome_counted(struct job *job, enum flow_counter counter);
void outcome_held(struct job *job, const char *reason);
void outcome_to_inbox(struct job *job, const char *why);
struct store_key seen_key(const struct flow *flow, const char *id);
#define UNREADABLE_ID 40
/* A name for an event in which no id can be found: from its body. */
void unreadable_id(const struct job *job, char id[UNREADABLE_ID]);
void flow_count(struct flow *flow, struct change *change, enum flow_counter counter);

/* inbox.c */
void inbox_open(struct flow *flow);
void inbox_work(struct flow *flow);
bool inbox_blocks(const struct flow *flow, const char *key); /* an event of this key must go behind others there */
/* What a row of the inbox holds. */
struct inbox_row {
    struct slice record;  /* of the event */
    struct slice id;      /* of the run, which it keeps where the manifest finds none in the event */
    struct slice key;     /* or empty, where it could not be read */
    struct slice release; /* hash of the release that it must run under; empty: the live one */
    int64_t received_ms;
    unsigned attempts; /* made before */
    int64_t due_ms;    /* not before, on the clock for waits; 0: now */
    int64_t began_ms;  /* now() of its runs: when the first of them began; 0: none did */
};
struct arrival *inbox_add(struct flow *flow, struct change *change, const struct inbox_row *row);
/* The row again, with one attempt more; its key is the arrival's. */
void inbox_again(struct arrival *arrival, struct change *change, const struct inbox_row *row);
void inbox_remove(struct arrival *arrival, struct change *change); /* the row; the window by inbox_gone */
void inbox_gone(struct arrival *arrival);
void inbox_free(struct flow *flow);

/* expect.c */
void expect_open(struct flow *flow);
void expect_event(struct flow *flow, int64_t received_ms, int64_t mono_ms); /* a source delivered one */
void expect_save(struct flow *flow, struct change *change);                 /* with the change of an event */

/* trail.c: what `headgate trace` tells, in the change of what it is about */
void trail_of_run(struct job *job, struct change *change, const char *outcome, const char *why, uint64_t held);
/* An event that was not run, or is not run any more. */
void trail_of_skipped(struct flow *flow, struct change *change, const char *event_key, struct slice event_id,
                      enum flow_counter counter, const char *why);

/* trip.c */
bool flow_is_open(const struct flow *flow); /* on, and not tripped */
/* `connection`: whose fuse it is; NULL: the flow's own. */
void flow_blow(struct flow *flow, struct change *change, const char *connection, const char *reason);
/* How an event ended, in the change that says so: finished, or held for `reason`. */
void flow_note_run(struct job *job, struct change *change, bool is_good, const char *reason);

/* flow.c */
void source_answered(struct flow_source *source);

#endif
