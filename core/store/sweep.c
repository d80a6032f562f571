/* sweep.c - expiry: a hand that goes round the clock
 *
 * Rows of the tables with expiry begin with the time at which they may go.  Once a second the sweeper looks at the next
 * slice of each such table, for a millisecond at most, and deletes what is due; it never makes a long transaction,
 * keeps no index, and after a restart just begins somewhere.  Where it finds much to delete it looks again at once,
 * after whatever waits to be committed: so it keeps up with any rate at which rows are written, and what is due takes
 * a twentieth of a table at most.
 *
 * A table that takes more than its share of the limit loses its oldest rows before their time: with each round in
 * which there was still too much, what may go is a day younger. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/internal.h"

#include <endian.h>

#define LOOK_NS 1000000  /* spent on one slice */
#define LOOK_ROWS 64     /* between two looks at the clock */
#define DELETE_ROWS 1000 /* deleted in one slice */
#define INTERVAL_NS 1000000000
#define CROWDED_NS 20000000 /* while a table has more than its share */
#define DAY_MS 86400000

struct slice_of_work {
    size_t looked, deleted;
    bool is_crowded; /* the table has more than its share */
};

static bool is_due(MDB_val value, int64_t now_ms)
{
    uint64_t expiry;
    if (value.mv_size < 8)
        return false; /* damaged: for `headgate store verify` to find */
    memcpy(&expiry, value.mv_data, 8);
    return (int64_t)be64toh(expiry) <= now_ms;
}

static int64_t bytes_of(MDB_txn *txn, MDB_dbi table)
{
    MDB_stat stat;
    if (mdb_stat(txn, table, &stat) != 0)
        return 0;
    return (int64_t)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
}

/* The hand is at the end of the table. */
static void round_ended(struct store *store, enum table table, int64_t bytes, int64_t most)
{
    struct sweep *sweep = &store->sweeps[table];
    sweep->from.size = 0;
    if (bytes > most) {
        if (!sweep->early_ms)
            log_warning("store: %s take more than %u %% of store.limit: the oldest go before they expire",
                        table_forms[table].name, table_forms[table].share);
        sweep->early_ms += DAY_MS;
    } else if (bytes < most - most / 10 && sweep->early_ms) {
        sweep->early_ms -= DAY_MS;
    }
}

static struct slice_of_work sweep_slice(struct store *store, MDB_txn *txn, enum table table)
{
    struct sweep *sweep = &store->sweeps[table];
    struct slice_of_work work = {0};
    MDB_cursor *cursor;
    if (mdb_cursor_open(txn, store->env.tables[table], &cursor) != 0)
        return work;
    int64_t bytes = bytes_of(txn, store->env.tables[table]);
    int64_t most = table_forms[table].share ? store->limit_bytes / 100 * table_forms[table].share : INT64_MAX;
    int64_t due_ms = clock_now_ms() + sweep->early_ms, until_ns = clock_mono_ns() + LOOK_NS;
    MDB_val key = {sweep->from.size, sweep->from.bytes}, value;
    int status = mdb_cursor_get(cursor, &key, &value, sweep->from.size ? MDB_SET_RANGE : MDB_FIRST);
    for (; status == 0 && work.deleted < DELETE_ROWS; work.looked++) {
        if (work.looked % LOOK_ROWS == LOOK_ROWS - 1 && clock_mono_ns() > until_ns)
            break;
        if (is_due(value, due_ms) && mdb_cursor_del(cursor, 0) == 0)
            work.deleted++;
        status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    work.is_crowded = bytes > most;
    if (status != 0)
        round_ended(store, table, bytes, most);
    else
        store_key_set(&sweep->from, from_val(key));
    mdb_cursor_close(cursor);
    return work;
}

void sweep_if_due(struct store *store)
{
    int64_t now_ns = clock_mono_ns(), wait_ns = INTERVAL_NS;
    if (now_ns < store->sweep_due_ns)
        return;
    MDB_txn *txn;
    store->sweep_due_ns = now_ns + INTERVAL_NS;
    if (mdb_txn_begin(store->env.mdb, NULL, 0, &txn) != 0)
        return;
    size_t deleted = 0;
    for (enum table table = 0; table < TABLE_COUNT; table++) {
        if (!table_forms[table].expires)
            continue;
        struct slice_of_work work = sweep_slice(store, txn, table);
        deleted += work.deleted;
        if (work.deleted * 20 > work.looked)
            wait_ns = 0;
        else if (work.is_crowded && wait_ns)
            wait_ns = CROWDED_NS;
    }
    /* A sweep that cannot be written is no trouble: it is tried again. */
    if (!deleted)
        mdb_txn_abort(txn);
    else if (mdb_txn_commit(txn) != 0)
        wait_ns = INTERVAL_NS;
    store->sweep_due_ns = now_ns + wait_ns;
}
