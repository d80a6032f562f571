/* internal.h - what the files of the lane share */
#ifndef HEADGATE_LANE_INTERNAL_H
#define HEADGATE_LANE_INTERNAL_H

#include "core/campaign/campaign.h"
#include "core/lane/effect.h"
#include "core/lane/lane.h"
#include "core/lane/window.h"

#define WINDOW 4096        /* effects in memory */
#define BREAKER_FAILURES 5 /* `later` in a row, after which the lane rests and probes */
#define TEXT_MAX 501       /* bytes of what a far side said, with the zero */

/* An effect in memory. The adapter sees `delivery`. */
struct work {
    struct entry entry; /* first: an entry of the window is a work */
    struct lane *lane;
    struct delivery delivery;
    char *row; /* copy of the outbox row while it is under way; NULL else */
    char id[EFFECT_ID_SIZE];
    char flow[NAME_MAX_BYTES + 1];
    char key[KEY_MAX_BYTES]; /* behind entry.key */
    struct slice campaign;   /* in `row`, while it is loaded */
    unsigned attempts;       /* made before */
    bool is_marked;          /* a `sending` mark is on disk */
    bool has_attempts;       /* a row in `attempts` is on disk, or on its way there */
    bool is_given;           /* the adapter has it and owes an answer */
};

enum lane_counter { LANE_ASKED, LANE_RETRIED, LANE_DELIVERED, LANE_SUPERSEDED, LANE_REFUSED, LANE_COUNTERS };

struct lane {
    struct store *store;
    struct held_numbers *held;
    struct connection *connection;
    struct lane_options options;
    struct ledger ledger; /* of who was written to in campaigns */
    struct window window;
    uint64_t next_number; /* for the next effect that is asked for */
    uint64_t read_number; /* the window has everything below */
    uint64_t waiting;     /* rows in the outbox, as of what was decided */
    unsigned under_way;   /* works between take and their settlement */
    bool is_woken;        /* there may be rows to read, or work to begin */
    bool is_stopped;

    enum connection_state state; /* as the adapter says */
    char text[200];              /* why */
    bool is_refused;
    int64_t paused_until_ms;   /* the far side or the adapter wants a pause */
    unsigned failures;         /* `later` in a row */
    unsigned rests;            /* rests in a row: they grow */
    int64_t rest_until_ms;     /* the breaker is open */
    double allowance;          /* deliveries that the rate allows now */
    int64_t allowance_ns;      /* when it was computed */
    uint64_t delivered, later; /* since start */
    char counter_keys[LANE_COUNTERS][NAME_MAX_BYTES + 32];
    struct buf scratch; /* for rows that are encoded and at once copied into a change */

    uv_prepare_t before_wait; /* does the woken lane's work before the loop waits */
    uv_timer_t timer;         /* for the next due, the end of a pause or a rest */
    unsigned handles;         /* that are not closed yet */
};

/* campaign.c */
bool work_is_unwanted(struct work *work); /* it was not sent, and why is on its way to the disk */
void work_bounce(struct work *work, const char *text);
void campaign_enters(struct lane *lane, struct change *change, struct slice row);

/* verdict.c */
void work_counts(struct work *work, struct change *change, enum campaign_counter counter);
void work_refuse(struct work *work, struct change *change, enum campaign_counter counter, const char *text);
void work_leave(struct work *work, struct change *change, const char *outcome, const char *text);
struct change *work_change(struct work *work);
uint64_t lane_put_row(struct lane *lane, struct change *change, struct slice row, enum lane_counter counter);
void receipt_superseded(struct lane *lane, struct change *change, uint64_t number, struct slice id, const char *text);
void work_settled(struct work *work); /* its outcome is on disk: the key is free */
void work_release(struct work *work);
bool work_is_repeat(struct work *work);
void receipt_retried(struct lane *lane, struct change *change, uint64_t number, uint64_t new_number);
void work_supersede(struct work *work);
void work_hold(struct work *work, const char *verdict, const char *text);
void work_hold_in(struct work *work, struct change *change, const char *verdict, const char *text);
void attempts_put(struct work *work, struct change *change, const char *state, const char *text);
void lane_rest(struct lane *lane, const char *why);

#endif
