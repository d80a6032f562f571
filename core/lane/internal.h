/* internal.h - what the files of the lane share
 *
 *      lane.c     opening and closing, what to do next
 *      backlog.c  the outbox, read into memory in windows: one for each priority
 *      pace.c     may it send now? rates, pauses, the breaker
 *      begin.c    an effect, or a batch of them, on its way to the adapter
 *      campaign.c who is written to, and who not
 *      feeder.c   from lists of recipients into the outbox; feed.c: one of them
 *      park.c     effects of a flow whose gate is tripped
 *      merge.c    earlier effects that a later one does for
 *      verdict.c  what the adapter answers
 *      settle.c   what becomes of an effect, on disk
 *      view.c     for people */
#ifndef HEADGATE_LANE_INTERNAL_H
#define HEADGATE_LANE_INTERNAL_H

#include "core/campaign/campaign.h"
#include "core/lane/backlog.h"
#include "core/lane/effect.h"
#include "core/lane/lane.h"
#include "core/lane/rate.h"

#define UNSETTLED_MOST 256 /* calls that are answered, but not on disk yet: what a crash may make come again */
#define TEXT_MAX 501       /* bytes of what a far side said, with the zero */

/* An effect in memory. The adapter sees `delivery`. */
struct work {
    struct entry entry; /* first: an entry of the window is a work */
    struct lane *lane;
    struct delivery delivery;
    struct call *call; /* that it is part of, while it is under way; NULL else */
    char *row;         /* copy of the outbox row while it is under way; NULL else */
    char id[EFFECT_ID_SIZE];
    char flow[NAME_MAX_BYTES + 1];
    struct slice campaign;          /* in `row`, while it is loaded */
    struct slice next;              /* the same: its flow wants to know how it ends */
    unsigned attempts;              /* made before */
    int64_t since_ms;               /* its age counts from here */
    int64_t received_ms;            /* when the event came that it comes from */
    enum when_unknown when_unknown; /* the flow's word */
    bool is_marked;                 /* a `sending` mark is on disk */
    int64_t marked_ms;              /* since when, of one that is unknown after a crash */
    bool has_attempts;              /* a row in `attempts` is on disk, or on its way there */
    bool is_given;                  /* the adapter has it and owes an answer */
    bool was_given;                 /* it got it, in this call */
    bool is_awaited;                /* its call waits for its answer, or (not idempotent) until that is on disk */
    char key[];                     /* behind entry.key */
};

/* One call to the far side: one effect, or a batch of them. */
struct call {
    struct lane *lane;
    size_t open;    /* works in it whose outcome is not on disk yet */
    size_t awaited; /* works in it that it waits for; at 0 another call may begin */
    size_t count;
    bool has_failed;               /* a failure of it was noted: it counts once */
    struct delivery *deliveries[]; /* of the works in it */
};

enum lane_counter {
    LANE_ASKED,
    LANE_RETRIED,
    LANE_DELIVERED,
    LANE_SUPERSEDED,
    LANE_REFUSED,
    LANE_WAITING, /* rows of the first priority in the outbox; the others follow */
    LANE_COUNTERS = LANE_WAITING + PRIORITIES
};

/* What pace.c decides by. */
struct pace {
    struct rate rates[RATES_MAX];
    size_t rate_count;
    bool is_dirty;           /* what is used of rolling ones is not on its way to the disk yet */
    int64_t far_left;        /* calls that the far side still allows, if far_reset_ms is not over */
    int64_t far_reset_ms;    /* until when; 0: it said nothing */
    int64_t paused_until_ms; /* the far side or the adapter wants a pause */
    unsigned failures;       /* `later` in a row */
    unsigned rests;          /* of the breaker in a row: they grow */
    int64_t rest_until_ms;   /* the breaker is open */
    unsigned trust;          /* calls at once, after a rest; grows with each success */
};

struct lane {
    struct store *store;
    struct held_numbers *held;
    struct connection *connection;
    struct lane_options options;
    struct supply *supplies; /* lists and parked rows that are not yet in the outbox whole, in the order they came */
    bool feeds;              /* there may be something to feed */
    uint64_t last_list;      /* number given out */
    char list_counter[NAME_MAX_BYTES + 16];
    struct ledger ledger; /* of who was written to in campaigns */
    struct backlog backlogs[PRIORITIES];
    int credit[PRIORITIES]; /* for taking turns by weight */
    uint64_t next_running;  /* number for the next effect that is asked for */
    unsigned under_way;     /* works between take and their settlement */
    unsigned calls;         /* that wait for an answer */
    unsigned open_calls;    /* these, and those that are answered, but not on disk yet */
    unsigned merges;        /* on their way to the disk */
    bool wants_unpark;      /* what was parked may leave: read again */
    bool is_woken;          /* there may be rows to read, or work to begin */
    bool is_stopped;
    bool is_suspended; /* until the connection is open again */

    enum connection_state state; /* as the adapter says */
    char text[200];              /* why */
    bool is_refused;
    struct pace pace;
    uint64_t delivered, later; /* since start */
    struct stats stats;        /* the same, and more, for /metrics */
    char counter_keys[LANE_COUNTERS][NAME_MAX_BYTES + 32];
    struct buf scratch; /* for rows that are encoded and at once copied into a change */

    uv_prepare_t before_wait; /* does the woken lane's work before the loop waits */
    uv_timer_t timer;         /* for the next due, the end of a pause or a rest */
    unsigned handles;         /* that are not closed yet */
};

static inline struct work *work_of(struct delivery *delivery)
{
    return (struct work *)((char *)delivery - offsetof(struct work, delivery));
}

/* pace.c */
void pace_open(struct lane *lane);
int64_t pace_blocked_until(struct lane *lane, int64_t now_ms); /* 0: a call may begin now */
unsigned pace_most_calls(const struct lane *lane);
void pace_use(struct lane *lane); /* a call begins */
void pace_save(struct lane *lane, struct change *change);
void pace_note_success(struct work *work);
void pace_note_failure(struct work *work, const char *text);
enum breaker_state pace_breaker(const struct lane *lane, int64_t now_ms);
int64_t pace_retry_ms(unsigned attempts); /* after so many: core's own backoff */

/* park.c */
bool lane_parks(const struct lane *lane, const char *flow); /* nothing of it may leave now */
bool call_is_parked(const struct call *call);
void work_park(struct work *work); /* one that is in line */
void lane_read_again(struct lane *lane);

/* begin.c */
void lane_begin(struct work *work);
bool work_load(struct work *work, const char **why); /* false: the row is gone, or why its verb cannot be used */
void work_unload(struct work *work);
bool work_may_repeat(const struct work *work); /* what is unknown of it may be sent again */

/* campaign.c */
bool work_is_unwanted(struct work *work); /* it was not sent, and why is on its way to the disk */
void work_bounce(struct work *work, const char *text);
void campaign_enters(struct lane *lane, struct change *change, struct slice row);

/* feeder.c */
void feeder_open(struct lane *lane);
void feeder_close(struct lane *lane);
void feeder_work(struct lane *lane);
void feeder_parked(struct lane *lane, struct slice campaign); /* a row of it is parked, on disk */

/* lane.c */
uint64_t lane_put_row(struct lane *lane, struct change *change, struct slice row, enum lane_counter counter);

/* merge.c */
bool work_would_merge(const struct work *work);
bool work_merge(struct work *work); /* true: those behind it do for it; it settles by itself */

/* next.c: tells the flow, where it asked for that; `data`: JSON of the adapter, or SLICE_NONE */
void work_tell(struct work *work, struct change *change, const char *outcome, const char *text, struct slice data);
void lane_tell(struct lane *lane, struct change *change, const struct lane_outcome *outcome);

/* settle.c: each in one change; what it is about is settled when that is on disk */
struct receipt {
    const char *outcome;
    struct slice id;
    unsigned attempts;
    const char *text;
    uint64_t held;   /* its number there; 0: it is not held */
    uint64_t number; /* of the retry, or of what superseded it; 0: none */
};
void receipt_put(struct lane *lane, struct change *change, uint64_t number, const struct receipt *receipt);
void work_delivered(struct work *work, struct slice data, const char *text);
void work_postpone(struct work *work, int64_t wait_ms, const char *text);
void work_hold(struct work *work, const char *verdict, const char *text, const struct delivery_known *known);
void work_hold_in(struct work *work, struct change *change, const char *verdict, const char *text,
                  const struct delivery_known *known);
void receipt_refused(struct lane *lane, struct change *change, uint64_t number, struct slice id, const char *text);
void receipt_superseded(struct lane *lane, struct change *change, uint64_t number, struct slice id, const char *text);
void work_counts(struct work *work, struct change *change, enum campaign_counter counter);
void work_refuse(struct work *work, struct change *change, enum campaign_counter counter, const char *text);
void work_leave(struct work *work, struct change *change, const char *outcome, const char *text);
struct change *work_change(struct work *work); /* whose end settles the work */
void work_expire(struct work *work, const char *last);
bool work_is_expired(const struct work *work, int64_t at_ms);
bool work_is_repeat(const struct work *work);
void work_repeat(struct work *work);
void work_leave_outbox(struct work *work, struct change *change);
void work_settled(struct work *work);  /* its outcome is on disk: the key is free */
void work_answered(struct work *work); /* its call waits for it no more */
void work_release(struct work *work);  /* it is not under way any more; stays in the window */
void attempts_put(struct work *work, struct change *change, const char *state, const char *text);

#endif
