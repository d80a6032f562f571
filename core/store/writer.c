/* writer.c - the store thread: group commit
 *
 *      wait ──changes──► write all in one transaction ──fsync──► tell the loop ──► wait
 *                           │
 *                           ├ map too small:  ask the loop to grow it, write the same batch again
 *                           └ no room at all: say FULL, wait a little, write the same batch again
 *
 * The instant at which everything becomes true is the return of mdb_txn_commit.  A batch stays in
 * memory until then, because one MDB_MAP_FULL spoils the whole transaction.  While a commit syncs,
 * the next batch gathers in the mailbox: no timer is needed. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/internal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH_BYTES ((size_t)8 << 20) /* of operations in one transaction */
#define RETRY_MS 500                  /* between tries while there is no room */
#define COUNTERS_MAX 256              /* different counters gathered before they are written */

struct counter {
    struct slice name;
    int64_t difference;
};

struct counters {
    struct counter list[COUNTERS_MAX];
    size_t count;
};

/* Counters change with every run; gathered, each is written once a transaction. */
static int flush_counters(struct environment *env, MDB_txn *txn, struct counters *counters)
{
    int status = 0;
    for (size_t i = 0; i < counters->count && status == 0; i++) {
        MDB_val key = to_val(counters->list[i].name), value;
        int64_t sum = counters->list[i].difference;
        status = mdb_get(txn, env->tables[TABLE_COUNTERS], &key, &value);
        if (status == 0 && value.mv_size == 8) {
            uint64_t before;
            memcpy(&before, value.mv_data, 8);
            sum += (int64_t)le64toh(before);
        } else if (status == MDB_NOTFOUND) {
            status = 0;
        }
        uint64_t bytes = htole64((uint64_t)sum);
        value = (MDB_val){8, &bytes};
        if (status == 0)
            status = mdb_put(txn, env->tables[TABLE_COUNTERS], &key, &value, 0);
    }
    counters->count = 0;
    return status;
}

static int count(struct environment *env, MDB_txn *txn, struct counters *counters, const struct op *op)
{
    uint64_t bytes;
    memcpy(&bytes, op->value.data, 8);
    for (size_t i = 0; i < counters->count; i++) {
        if (slice_equal(counters->list[i].name, op->key)) {
            counters->list[i].difference += (int64_t)le64toh(bytes);
            return 0;
        }
    }
    int status = counters->count == COUNTERS_MAX ? flush_counters(env, txn, counters) : 0;
    counters->list[counters->count++] = (struct counter){op->key, (int64_t)le64toh(bytes)};
    return status;
}

static int apply(struct environment *env, MDB_txn *txn, struct change *change, struct counters *counters)
{
    struct op op;
    int status = 0;
    for (size_t at = 0; status == 0 && op_next(buf_slice(&change->ops), &at, &op);) {
        MDB_val key = to_val(op.key), value = to_val(op.value);
        if (op.code == OP_PUT)
            status = mdb_put(txn, env->tables[op.table], &key, &value, 0);
        else if (op.code == OP_COUNT)
            status = count(env, txn, counters, &op);
        else if (op.code == OP_PUSH || op.code == OP_TALLY)
            status = list_apply(env, txn, &op);
        else if ((status = mdb_del(txn, env->tables[op.table], &key, NULL)) == MDB_NOTFOUND)
            status = 0;
    }
    return status;
}

/* One transaction for the batch.  0, or what LMDB said. */
static int write_batch(struct environment *env, struct mail *batch)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (status != 0)
        return status;
    struct counters counters = {.count = 0};
    for (struct mail *mail = batch; mail && status == 0; mail = mail->next)
        status = apply(env, txn, (struct change *)mail, &counters);
    if (status == 0)
        status = flush_counters(env, txn, &counters);
    if (status != 0) {
        mdb_txn_abort(txn);
        return status;
    }
    return mdb_txn_commit(txn);
}

bool environment_write(struct environment *env, struct change *change, struct err *err)
{
    int status;
    MDB_envinfo info;
    change->mail.next = NULL;
    while ((status = write_batch(env, &change->mail)) == MDB_MAP_FULL) {
        mdb_env_info(env->mdb, &info);
        if (mdb_env_set_mapsize(env->mdb, 2 * info.me_mapsize) != 0)
            break;
    }
    change_drop(change);
    return status == 0 || err_set(err, "%s", mdb_strerror(status));
}

void store_tell(struct store *store, struct note *note)
{
    mailbox_put(&store->notes, &note->mail);
}

static void tell_state(struct store *store, enum store_state state, const char *why)
{
    if (store->told == state)
        return;
    store->told = state;
    atomic_store(&store->wants_room, state == STORE_FULL);
    struct note *note = mem_zero(sizeof *note);
    note->kind = NOTE_STATE;
    note->state = state;
    snprintf(note->why, sizeof note->why, "%s", why);
    store_tell(store, note);
}

/* The map may change its size only while no transaction lives anywhere in the process.  The loop thread has none
 * between two of its callbacks, so it does it, and this thread waits.  False: the limit is reached. */
static bool grow(struct store *store)
{
    size_t most = (size_t)(store->limit_bytes + store->slack_bytes);
    if (store->map_bytes >= most)
        return false;
    size_t wanted = store->map_bytes * 2 < most ? store->map_bytes * 2 : most;
    struct note *note = mem_zero(sizeof *note);
    note->kind = NOTE_GROW;
    note->map_bytes = wanted;

    pthread_mutex_lock(&store->grow_mutex);
    store->has_grown = false;
    atomic_store(&store->wants_room, true);
    store_tell(store, note);
    while (!store->has_grown)
        pthread_cond_wait(&store->grown, &store->grow_mutex);
    pthread_mutex_unlock(&store->grow_mutex);
    atomic_store(&store->wants_room, store->told == STORE_FULL);
    MDB_envinfo info;
    mdb_env_info(store->env.mdb, &info);
    bool has_grown = info.me_mapsize > store->map_bytes; /* it may have been refused: no address space */
    store->map_bytes = info.me_mapsize;
    return has_grown;
}

static void measure(struct store *store)
{
    MDB_txn *txn;
    int64_t free_bytes;
    if (mdb_txn_begin(store->env.mdb, NULL, MDB_RDONLY, &txn) != 0)
        return;
    int64_t used = txn_used_bytes(txn, &free_bytes);
    mdb_txn_abort(txn);
    atomic_store(&store->used_bytes, used);

    int64_t high = store->limit_bytes - store->limit_bytes / 10, low = store->limit_bytes - store->limit_bytes / 5;
    if (used > high)
        tell_state(store, STORE_HIGH, "the store has reached its high-water mark (90 % of store.limit)");
    else if (used < low || store->told == STORE_FULL)
        tell_state(store, STORE_OK, "there is room in the store");
}

/* Only the device itself is beyond trying again: what it claims to have synced cannot be trusted any more.  EIO is not
 * among these: LMDB says it for a write that ended half way, which is how a disk becomes full.  The next try writes
 * every page of the batch again; and where the device failed under the meta page itself, it says MDB_PANIC. */
static bool is_hopeless(int status)
{
    return status == MDB_PANIC || status == MDB_CORRUPTED || status == MDB_PAGE_NOTFOUND || status == MDB_INVALID
           || status == MDB_VERSION_MISMATCH || status == EROFS;
}

/* False: there is no room, and the store is to be closed.  Nobody was told that any of it is done. */
static bool write_until_it_holds(struct store *store, struct mail *batch)
{
    for (;;) {
        int status = write_batch(&store->env, batch);
        if (status == 0)
            break;
        if (status == MDB_MAP_FULL && grow(store))
            continue;
        if (is_hopeless(status)) {
            log_error(
                "store: %s: cannot be written any more (%s); stopping, so that nothing is acknowledged that is not "
                "on disk. Check the device, then start again.",
                store->env.folder, mdb_strerror(status));
            _exit(74);
        }
        char why[200];
        snprintf(why, sizeof why, "cannot write, is there room on the disk? %s", mdb_strerror(status));
        tell_state(store, STORE_FULL, why);
        if (atomic_load(&store->is_closing)) {
            log_error("store: closed with changes that could not be written (%s); what they were about is not "
                      "acknowledged and comes again",
                      mdb_strerror(status));
            return false;
        }
        usleep(RETRY_MS * 1000);
    }
    if (store->told == STORE_FULL)
        measure(store);
    return true;
}

static void give_up(struct mail *batch)
{
    while (batch) {
        struct change *change = (struct change *)batch;
        batch = batch->next;
        change_drop(change);
    }
}

static void tell_done(struct store *store, struct mail *batch)
{
    struct note *note = mem_zero(sizeof *note);
    note->kind = NOTE_DONE;
    note->changes = batch;
    store_tell(store, note);
}

/* Takes the first changes off `*all`, up to BATCH_BYTES; `*is_last` when the order to stop came among them. */
static struct mail *next_batch(struct store *store, struct mail **all, bool *is_last)
{
    struct mail *first = NULL, **end = &first;
    for (size_t bytes = 0; *all && bytes < BATCH_BYTES;) {
        struct mail *mail = *all;
        *all = mail->next;
        if (mail == &store->stop) {
            *is_last = true;
            continue;
        }
        bytes += ((struct change *)mail)->ops.size;
        mail->next = NULL;
        *end = mail;
        end = &mail->next;
    }
    return first;
}

void *store_thread(void *context)
{
    struct store *store = context;
    bool is_last = false, gave_up = false;
    measure(store);
    sample_if_due(store, store_used_bytes(store));
    int64_t measured_ns = clock_mono_ns();
    while (!is_last) {
        int64_t wait_ns = store->sweep_due_ns - clock_mono_ns();
        struct mail *all = mailbox_wait(&store->changes, wait_ns > 0 ? (int)(wait_ns / 1000000) + 1 : 0);
        while (all) {
            struct mail *batch = next_batch(store, &all, &is_last);
            if (batch && !gave_up && write_until_it_holds(store, batch)) {
                tell_done(store, batch);
            } else if (batch) { /* nothing overtakes: all that is behind it goes the same way */
                gave_up = true;
                give_up(batch);
            }
        }
        sweep_if_due(store);
        if (clock_mono_ns() - measured_ns > 1000000000) {
            measure(store);
            sample_if_due(store, store_used_bytes(store));
            measured_ns = clock_mono_ns();
        }
    }
    struct note *note = mem_zero(sizeof *note);
    note->kind = NOTE_ENDED;
    store_tell(store, note);
    return NULL;
}
