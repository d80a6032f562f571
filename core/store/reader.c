/* reader.c - looking into the store: the loop thread's own read transaction
 *
 * The loop thread renews its transaction at the first look after a wait or a commit and lets it
 * go before it waits: a reader that stays makes the file grow. */
#include "core/store/internal.h"

#include <endian.h>
#include <stdlib.h>

static MDB_txn *live_reader(struct store *store)
{
    if (!store->reader_is_live) {
        if (mdb_txn_renew(store->reader) != 0)
            abort(); /* only if the environment is broken */
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

bool store_get(struct store *store, enum table table, struct slice key, struct slice *value)
{
    MDB_val k = to_val(key), v;
    if (key.size == 0 || key.size > STORE_KEY_MAX || mdb_get(live_reader(store), store->env.tables[table], &k, &v) != 0)
        return false;
    *value = from_val(v);
    return true;
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
    if (mdb_cursor_open(txn, table, &cursor) != 0)
        return;
    MDB_val key = to_val(from.size ? from : prefix), value;
    int status = mdb_cursor_get(cursor, &key, &value, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);
    while (status == 0 && begins_with(key, prefix) && each(context, from_val(key), from_val(value)))
        status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
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
    if (mdb_cursor_open(live_reader(store), store->env.tables[table], &cursor) != 0)
        return false;
    /* Behind the last possible key of the prefix, then one back. */
    struct store_key beyond = STORE_KEY_INIT;
    store_key_add(&beyond, prefix);
    while (beyond.size < sizeof beyond.bytes)
        beyond.bytes[beyond.size++] = (char)0xff;
    MDB_val k = {beyond.size, beyond.bytes}, value;
    int status = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
    status = mdb_cursor_get(cursor, &k, &value, status == 0 ? MDB_PREV : MDB_LAST);
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
