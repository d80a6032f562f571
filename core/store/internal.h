/* internal.h - what the files of the store share; nobody else includes it */
#ifndef HEADGATE_STORE_INTERNAL_H
#define HEADGATE_STORE_INTERNAL_H

#include "core/store/environment.h"
#include "core/store/store.h"
#include "core/store/tables.h"

#include <pthread.h>
#include <stdatomic.h>

enum { OP_PUT = 'p', OP_DELETE = 'd', OP_COUNT = 'c', OP_PUSH = 'l', OP_TALLY = 'n' };
#define OP_HEAD 8 /* bytes in front of an operation's key */
#define CHANGE_ROW_MAX ((size_t)1 << 30)

struct op {
    char code;
    enum table table;
    struct slice key, value;
};

void change_done(struct change *change); /* loop thread: instead of change_drop, for one that may be used again */
void change_clear_spare(void);
bool op_next(struct slice ops, size_t *at, struct op *op);
int list_apply(struct environment *env, MDB_txn *txn,
               const struct op *op); /* OP_PUSH, OP_TALLY; 0, or what LMDB says */

/* What the store thread tells the loop thread. */
enum note_kind { NOTE_DONE, NOTE_STATE, NOTE_GROW, NOTE_ENDED };
struct note {
    struct mail mail;
    enum note_kind kind;
    struct mail *changes;   /* NOTE_DONE: committed, in order */
    enum store_state state; /* NOTE_STATE */
    char why[200];          /* NOTE_STATE */
    size_t map_bytes;       /* NOTE_GROW: wanted */
};

/* How far the sweeper is in a table. */
struct sweep {
    struct store_key from; /* where it goes on */
    int64_t early_ms;      /* rows go so long before they expire, because the table has more than its share */
};

struct store {
    struct environment env;
    int64_t limit_bytes; /* sources pause at 90 % of it */
    int64_t slack_bytes; /* the map may grow so far above the limit */
    void (*on_state)(void *context, enum store_state state, const char *why);
    void *context;

    /* loop thread */
    uv_async_t notes_arrived; /* wakes the loop for `notes` */
    uv_prepare_t before_wait; /* lets go of the read transaction before the loop waits */
    MDB_txn *reader;          /* reset while the loop waits */
    bool reader_is_live;      /* renewed and not yet reset */
    unsigned pictures;        /* open; the map cannot grow before they are closed */
    size_t grow_to;           /* bytes that the store thread waits for, 0: nothing */
    enum store_state state;   /* as last told */
    bool has_ended;           /* the store thread told that it is gone */
    unsigned handles;         /* that are not closed yet */
    struct backup *backup;    /* the one that runs, or the last; NULL: none yet */

    /* between the two */
    struct mailbox changes; /* to the store thread */
    struct mailbox notes;   /* to the loop thread */
    struct mail stop;       /* put into `changes`: the last one */
    pthread_t thread;
    pthread_mutex_t grow_mutex; /* guards has_grown */
    pthread_cond_t grown;
    bool has_grown;
    _Atomic int64_t used_bytes; /* as measured by the store thread */
    _Atomic bool is_closing;    /* the store thread waits for room no more */
    _Atomic bool wants_room;    /* the store thread waits for room: who keeps old pages alive should let go */

    /* store thread */
    size_t map_bytes; /* size of the map now */
    struct sweep sweeps[TABLE_COUNT];
    int64_t sweep_due_ns;  /* when the sweeper looks again */
    uint64_t sampled_hour; /* since 1970, of the newest sample */
    enum store_state told; /* the state last told to the loop */
};

/* upgrade.c: is it of a schema that we know?  A new store gets ours. */
bool schema_check(struct environment *env, MDB_txn *txn, struct err *err);

void store_grow_if_wanted(struct store *store); /* store.c */

/* writer.c */
void *store_thread(void *store);
void store_tell(struct store *store, struct note *note);

void sweep_if_due(struct store *store); /* sweep.c */

/* sizes.c */
int64_t txn_used_bytes(MDB_txn *txn, int64_t *free_bytes);
void sample_if_due(struct store *store, int64_t used_bytes);

/* reader.c: what cannot be read ends the process. */
bool txn_get(MDB_txn *txn, MDB_dbi table, struct slice key, struct slice *value);
void txn_scan(MDB_txn *txn, MDB_dbi table, struct slice prefix, struct slice from,
              bool (*each)(void *context, struct slice key, struct slice value), void *context);

struct backup;
void backup_free(struct backup *backup); /* backup.c */

/* picture.c */
MDB_txn *picture_txn(struct picture *picture);
MDB_dbi picture_table(struct picture *picture, enum table table);

static inline MDB_val to_val(struct slice slice)
{
    return (MDB_val){slice.size, (void *)slice.data};
}

static inline struct slice from_val(MDB_val val)
{
    return (struct slice){val.mv_data, val.mv_size};
}

#endif
