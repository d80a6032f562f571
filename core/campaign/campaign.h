/* campaign.h - a job that writes to many: what is known of it as a whole
 *
 *      running ──pause──► paused ──resume──► running
 *         └───────────────┴──cancel──► cancelled, for ever
 *
 * A campaign is of one connection and begins to exist with the first effect that names it, or with the first list that
 * is handed over.  What became of its recipients is counted in the changes in which it happens:
 *
 *      total = duplicate + unfit + cancelled + superseded + delivered + refused + bounced + suppressed
 *            + not yet fed (rows) + waiting (rows) + held (rows)
 *
 *     campaigns   connection \0 campaign -> at (ms), flow, state, who, why, since (ms); one for each, for ever
 *     parked      connection \0 campaign \0 number -> outbox row: what a paused campaign had in the outbox
 *     counters    "campaign.CONNECTION.CAMPAIGN.COUNTER" */
#ifndef HEADGATE_CAMPAIGN_CAMPAIGN_H
#define HEADGATE_CAMPAIGN_CAMPAIGN_H

#include "core/campaign/ledger.h"

enum campaign_state { CAMPAIGN_RUNNING, CAMPAIGN_PAUSED, CAMPAIGN_CANCELLED };

enum campaign_counter {
    CAMPAIGN_TOTAL,      /* recipients that it was asked to write to */
    CAMPAIGN_DUPLICATE,  /* twice in a list, or written to before */
    CAMPAIGN_UNFIT,      /* nothing could be made for them; the ledger says why */
    CAMPAIGN_GIVEN_UP,   /* "cancelled": not sent, because it was cancelled */
    CAMPAIGN_SUPERSEDED, /* sent before, as the mark of their effect says */
    CAMPAIGN_DELIVERED,
    CAMPAIGN_REFUSED,    /* held, and given up by a person */
    CAMPAIGN_BOUNCED,    /* there is no such recipient, the far side says: suppressed from then on */
    CAMPAIGN_SUPPRESSED, /* not sent, because they were suppressed before */
    CAMPAIGN_OUTBOX,     /* a gauge, for the feeder: rows in the outbox; no part of the balance, which counts them */
    CAMPAIGN_COUNTERS
};
extern const char *const campaign_counter_names[CAMPAIGN_COUNTERS];

struct campaign_view {
    enum campaign_state state;
    int64_t at_ms, since_ms; /* when it began; when its state was changed last, 0: never */
    char who[100], why[300]; /* of that change */
};

bool campaign_name_is_good(struct slice name, struct err *err);
/* False: there is none of that name. */
bool campaign_look(struct store *store, const char *connection, struct slice name, struct campaign_view *view);
/* Makes it known, if it is not. */
void campaign_begin(struct store *store, struct change *change, const char *connection, struct slice name,
                    struct slice flow);
void campaign_set_state(struct store *store, struct change *change, const char *connection, struct slice name,
                        enum campaign_state state, const char *who, const char *why);
const char *campaign_state_name(enum campaign_state state);

void campaign_count(struct change *change, const char *connection, struct slice name, enum campaign_counter counter,
                    int64_t difference);
int64_t campaign_counted(struct store *store, const char *connection, struct slice name, enum campaign_counter counter);
/* Adds a number to a prefix such as ledger_prefix: the key of a parked row. */
struct store_key campaign_parked_key(const char *connection, struct slice name, uint64_t number);

#endif
