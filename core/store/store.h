/* store.h - what must outlive us: one LMDB environment, two threads
 *
 *      loop thread                              store thread
 *      ───────────                              ────────────
 *      change_new, change_put, ...
 *      store_commit(change) ──── mailbox ────►  one transaction for all that wait: group commit
 *                                               (abort, grow, try the same batch again)
 *      change->done(context) ◄── mailbox ─────  on disk
 *
 *      store_get, store_scan: read transactions of the loop thread's own, never across a wait
 *
 * Changes are committed in the order of store_commit, each whole or not at all.  A change that
 * could not be written yet (full disk, store at its limit) is kept and tried again before
 * anything later is written: nothing is lost, and nothing overtakes. */
#ifndef HEADGATE_STORE_STORE_H
#define HEADGATE_STORE_STORE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mailbox.h"

#include <uv.h>

/* Keys are at most 500 bytes.  In the tables marked (*) a value begins with its expiry: 8 bytes, ms since 1970, big
 * endian; the sweeper deletes the row some time after it.  A new table is a line here and one in tables.c.
 *
 * What bounds them: the store's limit bounds all of them together, for its high-water mark pauses the sources.  What is
 * waiting (inbox, outbox, attempts) and what needs a person (held) stays until it is settled.  What only tells of the
 * past has an age, and the large ones of these a share of the limit too (tables.c): above it the oldest go early. Marks
 * that keep us from doing something twice (seen, sent) never go early.  Audit and releases are for ever: people make
 * them, they are small, and `headgate store` shows their size. */
enum table {
    TABLE_META,     /* "schema" -> version as text */
    TABLE_RELEASES, /* "flow" or "rule" \0 name \0 hash -> record; for ever */
    TABLE_GATES,    /* "flow" or "rule" \0 name \0 -> record: gate, live and previous release; one a name */
    TABLE_AUDIT,    /* number (8 bytes, big endian) -> record: who, when, why; for ever */
    TABLE_SOURCES,  /* flow \0 connection \0 -> what an adapter remembers (the queue that it declared); one a source */
    TABLE_INBOX,    /* flow \0 number -> record: an event that is ours now and waits to run; until it ran */
    TABLE_SEEN,     /* (*) flow \0 event id -> nothing more; ids in their own order, for what grows together lies
                     * together; as long as its manifest says (`remember`) */
    TABLE_OUTBOX,   /* connection \0 number -> record: an effect; until it is settled */
    TABLE_ATTEMPTS, /* key as in the outbox -> record: is it being sent, how often was it tried, when again; as long as
                     * its effect */
    TABLE_RECEIPTS, /* (*) key as it was in the outbox -> record: what became of the effect; 30 days, a fifth of the
                     * limit */
    TABLE_SENT,     /* (*) effect id -> nothing more: what must not be sent twice was delivered, or refused for good; 30
                     * days */
    TABLE_HELD,     /* number -> record: an event or effect that needs a person; until that person decided */
    TABLE_TRAILS,   /* (*) event key \0 flow \0 -> the last few trails; 8 and 16 KiB a row, 30 days, a fifth of the
                     * limit */
    TABLE_LEDGER,   /* connection \0 campaign \0 recipient -> record: was written to; for ever, some 100 bytes each */
    TABLE_CAMPAIGNS, /* connection \0 campaign -> record: state; for ever: one for each campaign */
    TABLE_LISTS, /* connection \0 number -> record: a list that is not yet fed whole; goes with its last recipient */
    TABLE_RECIPIENTS, /* connection \0 list \0 number -> record: waits to be fed into the outbox */
    TABLE_PARKED,     /* connection \0 campaign \0 number -> outbox row of a paused campaign */
    TABLE_SUPPRESSED, /* connection \0 recipient -> record: is not written to any more; until a person removes it */
    TABLE_FUSES,      /* (*) "flow" or "lane" \0 name \0 what \0 who -> how many lately; at most a day after the last */
    TABLE_COUNTERS,   /* name -> int64, little endian; a few a flow and connection */
    TABLE_STATE,      /* (*) flow \0 key -> JSON: what a flow keeps; as long as it says, 64 MiB a flow */
    TABLE_TIMERS,     /* flow \0 due (ms, 8 bytes, big endian) name -> record; until it is due, a million a flow */
    TABLE_TIMER_NAMES, /* flow \0 name -> due, size (int64, little endian): the row of each timer */
    TABLE_PACES,       /* connection -> record: what is used of its hourly and daily rates; one row a connection */
    TABLE_SAMPLES,     /* (*) hour since 1970 -> record: how large the store was; 90 days */
    TABLE_COUNT
};

#define STORE_SCHEMA 2 /* see upgrade.c */
#define STORE_KEY_MAX 500
#define STORE_LEAST_LIMIT (8 << 20) /* bytes */

struct store;

enum store_state {
    STORE_OK,
    STORE_HIGH, /* above the high-water mark: take nothing in until it is below the low-water mark */
    STORE_FULL, /* a commit could not be written and is tried again */
};

struct store_options {
    const char *folder;  /* DATA; the environment is in DATA/store, the lock in DATA/lock */
    int64_t limit_bytes; /* sources pause at 90 % of it */
    int64_t
        slack_bytes; /* above the limit, for events that were already taken in, and for work that leaves; 0: 1 GiB */
    void (*on_state)(void *context, enum store_state state, const char *why); /* loop thread; on every change of it */
    void *context;
};

/* The two ways to fail that the command line tells apart. */
enum store_failure { STORE_FAILED, STORE_IN_USE };

/* Opens, or makes, the store and starts its thread.  `failure` tells why it is NULL. */
struct store *store_open(uv_loop_t *loop, const struct store_options *options, enum store_failure *failure,
                         struct err *err);
/* Commits what was handed over, then closes.  Its `done` functions are still called; but not those of changes for which
 * there is no room even now: these are given up.  No picture may be open. */
void store_close(struct store *store);
enum store_state store_get_state(const struct store *store);
int64_t store_used_bytes(const struct store *store); /* pages in use, some seconds old at most */

/* ---- writing ------------------------------------------------------------------------------ */

struct change {
    struct mail mail;
    struct buf ops;              /* encoded operations */
    void (*done)(void *context); /* on the loop thread, once it is on disk; may be NULL */
    void *context;
};

struct change *change_new(void (*done)(void *context), void *context);
void change_put(struct change *change, enum table table, struct slice key, struct slice value);
/* The same for a table with expiry: `expires_ms` goes in front of the value. */
void change_put_until(struct change *change, enum table table, struct slice key, int64_t expires_ms,
                      struct slice value);
void change_delete(struct change *change, enum table table, struct slice key);
void change_count(struct change *change, const char *counter, int64_t difference);
/* Adds `item` at the end of a list row (TABLE_TRAILS), which keeps the last `most` items within `bytes`. */
void change_push(struct change *change, struct slice key, int64_t expires_ms, struct slice item, unsigned most,
                 size_t bytes);
/* The same for an item that counts: `head` N `tail` takes the place of the one that begins with `head`, and its N is
 * one more; `tail` begins with no digit. */
void change_tally(struct change *change, struct slice key, int64_t expires_ms, struct slice head, struct slice tail,
                  unsigned most, size_t bytes);
void store_commit(struct store *store, struct change *change); /* takes the change */
void change_drop(struct change *change);                       /* instead of committing it */

/* ---- reading, on the loop thread ------------------------------------------------------------ */

/* Lent until the loop thread waits again, or the next store_refresh. */
bool store_get(struct store *store, enum table table, struct slice key, struct slice *value);
bool store_get_until(struct store *store, enum table table, struct slice key, int64_t *expires_ms, struct slice *value);
/* Rows whose key begins with `prefix`, from `from` (or the prefix where empty) on, in order; `each` returns false to
 * stop. */
void store_scan(struct store *store, enum table table, struct slice prefix, struct slice from,
                bool (*each)(void *context, struct slice key, struct slice value), void *context);
/* The last key that begins with `prefix`; false: none. */
bool store_last(struct store *store, enum table table, struct slice prefix, struct slice *key);
/* Items of a list row, oldest first: start with *at = 0. */
bool store_list_next(struct slice value, size_t *at, struct slice *item);
int64_t store_counter(struct store *store, const char *counter);
void store_refresh(struct store *store); /* the next read sees the newest commit */

/* ---- reading elsewhere: one consistent picture, on a thread that may take its time ----------- */

struct picture;
struct picture *picture_open(struct store *store, struct err *err); /* loop thread */
void picture_close(struct picture *picture);                        /* loop thread */
bool store_is_pictured(const struct store *store);                  /* one is open: the store must not be closed */
/* Any one thread between the two. */
bool picture_is_in_the_way(const struct picture *picture); /* the store waits for room: whoever takes long should end */
bool picture_get(struct picture *picture, enum table table, struct slice key, struct slice *value);
void picture_scan(struct picture *picture, enum table table, struct slice prefix,
                  bool (*each)(void *context, struct slice key, struct slice value), void *context);

/* ---- keys ------------------------------------------------------------------------------------ */

struct store_key {
    char bytes[STORE_KEY_MAX];
    size_t size;
};

#define STORE_KEY_INIT                                                                                                 \
    {                                                                                                                  \
        .size = 0                                                                                                      \
    }
/* Appends; too long is a bug of the caller and ends the process: whoever makes keys from input checks it before. */
void store_key_add(struct store_key *key, struct slice part);
void store_key_set(struct store_key *key, struct slice bytes);
void store_key_add_text(struct store_key *key, const char *part);  /* with its terminating zero */
void store_key_add_number(struct store_key *key, uint64_t number); /* 8 bytes, big endian: sorts */
uint64_t store_key_number(struct slice key);                       /* of the last 8 bytes */

static inline struct slice store_key_slice(const struct store_key *key)
{
    return (struct slice){key->bytes, key->size};
}

#endif
