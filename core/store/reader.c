/* reader.c - looking into the store: the loop thread's own read transaction
 *
 * The loop thread renews its transaction at the first look after a wait or a commit and lets it
 * go before it waits: a reader that stays makes the file grow.
 *
 * "It is not there" is an answer on which something is sent, or run, or forgotten.  So a look that fails is no answer:
 * it ends the process, and the next start finds what is on disk. */
#include "core/base/log.h"
#include "core/store/internal.h"

#include <endian.h>
#include <unistd.h>

static void expect_read(MDB_txn *txn, int status)
{
    const char *path = "";
    if (status == 0 || status == MDB_NOTFOUND)
        return;
    mdb_env_get_path(mdb_txn_env(txn), &path);
    log_error("store: %s: cannot be read (%s); stopping, so that nothing is decided on what is not known. Check the "
              "device and the memory, then start again; `headgate store verify` tells what can be read.",
              path, mdb_strerror(status));
    _exit(74);
}

static MDB_txn *live_reader(struct store *store)
{
    if (!store->reader_is_live) {
        expect_read(store->reader, mdb_txn_renew(store->reader));
        store->reader_is_live = true;
    }
    return store->reader;
}

void store_refresh(struct store *store)
{
    if (store->reader_is_live)
        mdb_txn_reset(store->reader);
    store->reader_is_live = false;
}

bool txn_get(MDB_txn *txn, MDB_dbi table, struct slice key, struct slice *value)
{
    MDB_val k = to_val(key), v;
    int status = mdb_get(txn, table, &k, &v);
    expect_read(txn, status);
    if (status == 0)
        *value = from_val(v);
    return status == 0;
}

bool store_get(struct store *store, enum table table, struct slice key, struct slice *value)
{
    return key.size > 0 && key.size <= STORE_KEY_MAX
           && txn_get(live_reader(store), store->env.tables[table], key, value);
}

bool store_get_until(struct store *store, enum table table, struct slice key, int64_t *expires_ms, struct slice *value)
{
    uint64_t expiry;
    if (!store_get(store, table, key, value) || value->size < 8)
        return false;
    memcpy(&expiry, value->data, 8);
    *expires_ms = (int64_t)be64toh(expiry);
    *value = (struct slice){value->data + 8, value->size - 8};
    return true;
}

static bool begins_with(MDB_val key, struct slice prefix)
{
    return key.mv_size >= prefix.size && (prefix.size == 0 || memcmp(key.mv_data, prefix.data, prefix.size) == 0);
}

void txn_scan(MDB_txn *txn, MDB_dbi table, struct slice prefix, struct slice from,
              bool (*each)(void *context, struct slice key, struct slice value), void *context)
{
    MDB_cursor *cursor;
    if (table == NO_TABLE)
        return;
    expect_read(txn, mdb_cursor_open(txn, table, &cursor));
    MDB_val key = to_val(from.size ? from : prefix), value;
    int status = mdb_cursor_get(cursor, &key, &value, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);
    while (status == 0 && begins_with(key, prefix) && each(context, from_val(key), from_val(value)))
        status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    expect_read(txn, status);
    mdb_cursor_close(cursor);
}

void store_scan(struct store *store, enum table table, struct slice prefix, struct slice from,
                bool (*each)(void *context, struct slice key, struct slice value), void *context)
{
    txn_scan(live_reader(store), store->env.tables[table], prefix, from, each, context);
}

bool store_last(struct store *store, enum table table, struct slice prefix, struct slice *key)
{
    MDB_cursor *cursor;
    MDB_txn *txn = live_reader(store);
    expect_read(txn, mdb_cursor_open(txn, store->env.tables[table], &cursor));
    /* Behind the last possible key of the prefix, then one back. */
    struct store_key beyond = STORE_KEY_INIT;
    store_key_add(&beyond, prefix);
    while (beyond.size < sizeof beyond.bytes)
        beyond.bytes[beyond.size++] = (char)0xff;
    MDB_val k = {beyond.size, beyond.bytes}, value;
    int status = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
    expect_read(txn, status);
    status = mdb_cursor_get(cursor, &k, &value, status == 0 ? MDB_PREV : MDB_LAST);
    expect_read(txn, status);
    mdb_cursor_close(cursor);
    if (status != 0 || !begins_with(k, prefix))
        return false;
    *key = from_val(k);
    return true;
}

bool store_list_next(struct slice value, size_t *at, struct slice *item)
{
    size_t from = *at ? *at : 8; /* behind the expiry */
    uint32_t size;
    if (from + 4 > value.size)
        return false;
    memcpy(&size, value.data + from, 4);
    size = le32toh(size);
    if (size > value.size - from - 4)
        return false;
    *item = (struct slice){value.data + from + 4, size};
    *at = from + 4 + size;
    return true;
}

int64_t store_counter(struct store *store, const char *counter)
{
    struct slice value;
    uint64_t bytes;
    if (!store_get(store, TABLE_COUNTERS, slice_of(counter), &value) || value.size != 8)
        return 0;
    memcpy(&bytes, value.data, 8);
    return (int64_t)le64toh(bytes);
}
