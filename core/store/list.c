/* list.c - list rows: the last few of something (store thread)
 *
 *      expiry (8)  then items, oldest first: size (4, little endian) bytes
 *
 * An item is added at the end; the oldest go, where there are too many, or too many bytes.  An item may count: then one
 * that begins in the same way is taken out first, and its number goes on in the new one. */
#include "core/store/internal.h"

#include <endian.h>
#include <stdlib.h>

#define BOUNDS 16 /* in front of an operation's items: how many (4), how many bytes (4), expiry (8) */

static uint32_t number_at(const char *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return le32toh(number);
}

static void add_item(struct buf *items, struct slice item)
{
    uint32_t size = htole32((uint32_t)item.size);
    buf_add(items, &size, sizeof size);
    buf_add_slice(items, item);
}

static bool begins_with(struct slice item, struct slice head)
{
    return item.size >= head.size && memcmp(item.data, head.data, head.size) == 0;
}

/* The items of the row, without those that begin with `head` (size 0: with all); how many, and what those counted. */
static size_t gather(MDB_val old, struct slice head, struct buf *items, int64_t *counted)
{
    size_t count = 0;
    struct slice item;
    buf_reserve(items, old.mv_size);
    for (size_t at = 0; old.mv_size > 8 && store_list_next(from_val(old), &at, &item);) {
        if (head.size && begins_with(item, head)) {
            *counted += strtoll(item.data + head.size, NULL, 10); /* `tail` follows, which begins with no digit */
            continue;
        }
        add_item(items, item);
        count++;
    }
    return count;
}

/* The old value lies in the map and dies with the write: it is gathered first. */
static int put(struct environment *env, MDB_txn *txn, const struct op *op, struct slice items, size_t count,
               struct slice item)
{
    size_t most = number_at(op->value.data), bytes = number_at(op->value.data + 4);
    while (count > 0 && (count + 1 > most || items.size + 4 + item.size > bytes)) {
        uint32_t size = number_at(items.data);
        items = (struct slice){items.data + 4 + size, items.size - 4 - size};
        count--;
    }
    struct buf row = BUF_INIT(CHANGE_ROW_MAX);
    buf_add(&row, op->value.data + 8, 8);
    buf_add_slice(&row, items);
    add_item(&row, item);
    MDB_val key = to_val(op->key), value = {row.size, row.data};
    int status = mdb_put(txn, env->tables[TABLE_TRAILS], &key, &value, 0);
    buf_clear(&row);
    return status;
}

int list_apply(struct environment *env, MDB_txn *txn, const struct op *op)
{
    struct slice head = SLICE_NONE, item = {op->value.data + BOUNDS, op->value.size - BOUNDS};
    struct buf items = BUF_INIT(CHANGE_ROW_MAX), made = BUF_INIT(CHANGE_ROW_MAX);
    int64_t counted = 0;
    MDB_val key = to_val(op->key), old = {0, NULL};
    int status = mdb_get(txn, env->tables[TABLE_TRAILS], &key, &old);
    if (status != 0 && status != MDB_NOTFOUND)
        return status;
    if (op->code == OP_TALLY) {
        head = (struct slice){item.data + 4, number_at(item.data)};
        item = (struct slice){head.data + head.size, item.size - 4 - head.size}; /* the tail */
    }
    size_t count = gather(old, head, &items, &counted);
    if (op->code == OP_TALLY) {
        buf_add_slice(&made, head);
        buf_add_number(&made, counted + 1);
        buf_add_slice(&made, item);
        item = buf_slice(&made);
    }
    status = put(env, txn, op, buf_slice(&items), count, item);
    buf_clear(&items);
    buf_clear(&made);
    return status;
}
