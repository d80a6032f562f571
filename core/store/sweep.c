/* sweep.c - expiry: a hand that goes round the clock
 *
 * Rows of the tables with expiry begin with the time at which they may go.  Once a second the
 * sweeper looks at the next slice of each such table and deletes what is due; it never makes a
 * long transaction, keeps no index, and after a restart just begins somewhere.  Where it finds
 * much to delete it looks again at once, after whatever waits to be committed. */
#include "core/base/clock.h"
#include "core/store/internal.h"

#include <endian.h>

#define LOOK_ROWS 2000  /* looked at in one slice */
#define DELETE_ROWS 400 /* deleted in one slice */
#define INTERVAL_NS 1000000000

static const enum table swept[] = {TABLE_SEEN, TABLE_RECEIPTS, TABLE_SENT, TABLE_TRAILS};

static bool is_due(MDB_val value, int64_t now_ms)
{
    uint64_t expiry;
    if (value.mv_size < 8)
        return true;
    memcpy(&expiry, value.mv_data, 8);
    return (int64_t)be64toh(expiry) <= now_ms;
}

/* One slice of one table; how many rows it deleted. */
static size_t sweep_slice(MDB_txn *txn, MDB_dbi table, struct store_key *from)
{
    MDB_cursor *cursor;
    if (mdb_cursor_open(txn, table, &cursor) != 0)
        return 0;
    int64_t now_ms = clock_now_ms();
    size_t deleted = 0;
    MDB_val key = {from->size, from->bytes}, value;
    int status = mdb_cursor_get(cursor, &key, &value, from->size ? MDB_SET_RANGE : MDB_FIRST);
    for (size_t looked = 0; status == 0 && looked < LOOK_ROWS && deleted < DELETE_ROWS; looked++) {
        if (is_due(value, now_ms) && mdb_cursor_del(cursor, 0) == 0)
            deleted++;
        status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    from->size = 0; /* at the end: from the start again */
    if (status == 0)
        store_key_add(from, from_val(key));
    mdb_cursor_close(cursor);
    return deleted;
}

bool sweep_is_due(const struct store *store)
{
    return clock_mono_ns() - store->swept_ns >= INTERVAL_NS;
}

void sweep_if_due(struct store *store)
{
    int64_t now_ns = clock_mono_ns();
    if (!sweep_is_due(store))
        return;
    MDB_txn *txn;
    if (mdb_txn_begin(store->env, NULL, 0, &txn) != 0)
        return;
    size_t deleted = 0, most = 0;
    for (size_t i = 0; i < sizeof swept / sizeof *swept; i++) {
        size_t n = sweep_slice(txn, store->tables[swept[i]], &store->sweep_from[swept[i]]);
        deleted += n;
        most = n > most ? n : most;
    }
    /* A sweep that cannot be written is no trouble: it is tried again. */
    if (deleted)
        mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (most < DELETE_ROWS)
        store->swept_ns = now_ns;
}
