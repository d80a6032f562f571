/* sizes.c - how large the store is, was each hour, and when it will be full; see upkeep.h */
#include "core/base/clock.h"
#include "core/base/record.h"
#include "core/store/internal.h"
#include "core/store/upkeep.h"

#include <endian.h>

#define HOUR_MS 3600000
#define DAY_MS 86400000
#define SAMPLES_KEPT_MS ((int64_t)90 * DAY_MS)
#define LOOK_BACK_MS ((int64_t)7 * DAY_MS)
#define LEAST_SPAN_MS ((int64_t)6 * HOUR_MS)

/* Pages that are in use, of a transaction's view. */
int64_t txn_used_bytes(MDB_txn *txn, int64_t *free_bytes)
{
    MDB_envinfo info;
    MDB_stat stat;
    MDB_cursor *cursor;
    size_t free_pages = 0;
    mdb_env_info(mdb_txn_env(txn), &info);
    mdb_env_stat(mdb_txn_env(txn), &stat);
    if (mdb_cursor_open(txn, 0, &cursor) == 0) { /* table 0 is LMDB's list of free pages */
        MDB_val key, value;
        while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            size_t pages;
            memcpy(&pages, value.mv_data, sizeof pages);
            free_pages += pages;
        }
        mdb_cursor_close(cursor);
    }
    *free_bytes = (int64_t)free_pages * stat.ms_psize;
    return (int64_t)(info.me_last_pgno + 1) * stat.ms_psize - *free_bytes;
}

/* Store thread: the first of each hour. One that cannot be written is tried again. */
void sample_if_due(struct store *store, int64_t used_bytes)
{
    int64_t now_ms = clock_now_ms();
    uint64_t hour = (uint64_t)(now_ms / HOUR_MS);
    if (hour == store->sampled_hour)
        return;
    MDB_txn *txn;
    if (mdb_txn_begin(store->env.mdb, NULL, 0, &txn) != 0)
        return;
    struct store_key key = STORE_KEY_INIT;
    struct buf row = BUF_INIT(1000);
    uint64_t expiry = htobe64((uint64_t)(now_ms + SAMPLES_KEPT_MS));
    store_key_add_number(&key, hour);
    buf_add(&row, &expiry, 8);
    record_add_integer(&row, "at", now_ms);
    record_add_integer(&row, "used_bytes", used_bytes);
    MDB_val k = to_val(store_key_slice(&key)), v = to_val(buf_slice(&row));
    int status = mdb_put(txn, store->env.tables[TABLE_SAMPLES], &k, &v, MDB_NOOVERWRITE);
    if (status == 0)
        status = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (status == 0 || status == MDB_KEYEXIST)
        store->sampled_hour = hour;
    buf_clear(&row);
}

/* ---- growth -------------------------------------------------------------------------------------- */

/* A straight line through the samples, by least squares; days and bytes from the first sample on. */
struct line {
    int64_t from_ms;               /* samples before are not looked at */
    int64_t first_ms, first_bytes; /* of the first sample */
    int64_t last_ms;
    double count, x, y, xx, xy; /* sums */
};

static void add_sample(struct line *line, int64_t at_ms, int64_t bytes)
{
    if (line->count == 0) {
        line->first_ms = at_ms;
        line->first_bytes = bytes;
    }
    double x = (double)(at_ms - line->first_ms) / DAY_MS, y = (double)(bytes - line->first_bytes);
    line->last_ms = at_ms;
    line->count += 1;
    line->x += x;
    line->y += y;
    line->xx += x * x;
    line->xy += x * y;
}

static bool read_sample(void *context, struct slice key, struct slice value)
{
    struct line *line = context;
    struct slice row = value.size > 8 ? (struct slice){value.data + 8, value.size - 8} : SLICE_NONE;
    int64_t at_ms = record_get_integer(row, "at", 0);
    (void)key;
    if (at_ms >= line->from_ms)
        add_sample(line, at_ms, record_get_integer(row, "used_bytes", 0));
    return true;
}

static void measure_growth(struct picture *picture, struct store_sizes *sizes)
{
    int64_t now_ms = clock_now_ms();
    struct line line = {.from_ms = now_ms - LOOK_BACK_MS};
    picture_scan(picture, TABLE_SAMPLES, SLICE_NONE, read_sample, &line);
    add_sample(&line, now_ms, sizes->used_bytes);
    double spread = line.count * line.xx - line.x * line.x;
    sizes->sampled_ms = line.last_ms - line.first_ms;
    sizes->growth_bytes = spread > 0 ? (int64_t)((line.count * line.xy - line.x * line.y) / spread) : 0;
}

int64_t sizes_reach(const struct store_sizes *sizes, int64_t bytes, int64_t now_ms)
{
    if (sizes->used_bytes >= bytes)
        return now_ms;
    if (sizes->sampled_ms < LEAST_SPAN_MS || sizes->growth_bytes <= 0)
        return 0;
    double days = (double)(bytes - sizes->used_bytes) / (double)sizes->growth_bytes;
    return days > 100 * 365.0 ? 0 : now_ms + (int64_t)(days * DAY_MS);
}

void picture_sizes(struct picture *picture, struct store_sizes *sizes)
{
    MDB_txn *txn = picture_txn(picture);
    *sizes = (struct store_sizes){.free_bytes = 0};
    for (enum table table = 0; table < TABLE_COUNT; table++) {
        MDB_stat stat;
        if (mdb_stat(txn, picture_table(picture, table), &stat) != 0)
            continue;
        size_t pages = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        sizes->tables[table].rows = (int64_t)stat.ms_entries;
        sizes->tables[table].bytes = (int64_t)pages * stat.ms_psize;
    }
    sizes->used_bytes = txn_used_bytes(txn, &sizes->free_bytes);
    sizes->file_bytes = sizes->used_bytes + sizes->free_bytes;
    measure_growth(picture, sizes);
}
