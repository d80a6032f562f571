/* change.c - what one run (or one answer of a far side) writes: a list of operations, all or none
 *
 *     operation = code(1) table(1) key size(2) value size(4) key value        little endian
 *
 * The loop thread encodes, the store thread applies.  Everything is checked while it is encoded,
 * so that nothing but a lack of room can go wrong in the transaction. */
#include "core/store/internal.h"

#include <endian.h>
#include <stdlib.h>

#define CHANGE_MAX ((size_t)1 << 30) /* bytes; far above what one run can write */
#define CHANGE_ROOM 1500             /* bytes to begin with: enough for most */
#define SPARE_CHANGES 512
#define SPARE_BYTES 8192 /* a larger one is not kept */

/* Changes that are on disk are used again, with their memory: two are made for every event. */
static struct change *spare[SPARE_CHANGES];
static size_t spare_count;

void change_done(struct change *change)
{
    if (spare_count == SPARE_CHANGES || change->ops.room > SPARE_BYTES) {
        change_drop(change);
        return;
    }
    buf_reset(&change->ops);
    spare[spare_count++] = change;
}

void change_clear_spare(void)
{
    while (spare_count)
        change_drop(spare[--spare_count]);
}

struct change *change_new(void (*done)(void *context), void *context)
{
    struct change *change = spare_count ? spare[--spare_count] : NULL;
    if (!change) {
        change = mem_zero(sizeof *change);
        change->ops = (struct buf)BUF_INIT(CHANGE_MAX);
        buf_reserve(&change->ops, CHANGE_ROOM);
    }
    change->done = done;
    change->context = context;
    return change;
}

void change_drop(struct change *change)
{
    buf_clear(&change->ops);
    free(change);
}

static char *reserve(struct change *change, char code, enum table table, struct slice key, size_t value_size)
{
    if (key.size == 0 || key.size > STORE_KEY_MAX)
        abort(); /* a bug: makers of keys check their input */
    char *to = buf_reserve(&change->ops, OP_HEAD + key.size + value_size);
    if (!to)
        abort();
    uint16_t key_size = htole16((uint16_t)key.size);
    uint32_t size = htole32((uint32_t)value_size);
    to[0] = code;
    to[1] = (char)table;
    memcpy(to + 2, &key_size, 2);
    memcpy(to + 4, &size, 4);
    memcpy(to + OP_HEAD, key.data, key.size);
    change->ops.size += OP_HEAD + key.size + value_size;
    return to + OP_HEAD + key.size;
}

static char *add_bytes(char *to, struct slice bytes)
{
    if (bytes.size)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static char *add_expiry(char *to, int64_t expires_ms)
{
    uint64_t expiry = htobe64((uint64_t)expires_ms);
    memcpy(to, &expiry, 8);
    return to + 8;
}

void change_put(struct change *change, enum table table, struct slice key, struct slice value)
{
    add_bytes(reserve(change, OP_PUT, table, key, value.size), value);
}

void change_put_until(struct change *change, enum table table, struct slice key, int64_t expires_ms, struct slice value)
{
    add_bytes(add_expiry(reserve(change, OP_PUT, table, key, 8 + value.size), expires_ms), value);
}

void change_delete(struct change *change, enum table table, struct slice key)
{
    reserve(change, OP_DELETE, table, key, 0);
}

void change_count(struct change *change, const char *counter, int64_t difference)
{
    uint64_t bytes = htole64((uint64_t)difference);
    memcpy(reserve(change, OP_COUNT, TABLE_COUNTERS, slice_of(counter), 8), &bytes, 8);
}

void change_push(struct change *change, struct slice key, int64_t expires_ms, struct slice item, unsigned most,
                 size_t bytes)
{
    uint32_t bounds[2] = {htole32(most), htole32((uint32_t)bytes)};
    char *to = reserve(change, OP_PUSH, TABLE_TRAILS, key, sizeof bounds + 8 + item.size);
    memcpy(to, bounds, sizeof bounds);
    add_bytes(add_expiry(to + sizeof bounds, expires_ms), item);
}

void change_tally(struct change *change, struct slice key, int64_t expires_ms, struct slice head, struct slice tail,
                  unsigned most, size_t bytes)
{
    uint32_t bounds[2] = {htole32(most), htole32((uint32_t)bytes)}, size = htole32((uint32_t)head.size);
    char *to = reserve(change, OP_TALLY, TABLE_TRAILS, key, sizeof bounds + 8 + sizeof size + head.size + tail.size);
    memcpy(to, bounds, sizeof bounds);
    to = add_expiry(to + sizeof bounds, expires_ms);
    memcpy(to, &size, sizeof size);
    add_bytes(add_bytes(to + sizeof size, head), tail);
}

bool op_next(struct slice ops, size_t *at, struct op *op)
{
    if (*at >= ops.size)
        return false;
    const char *from = ops.data + *at;
    uint16_t key_size;
    uint32_t value_size;
    memcpy(&key_size, from + 2, 2);
    memcpy(&value_size, from + 4, 4);
    op->code = from[0];
    op->table = (enum table)from[1];
    op->key = (struct slice){from + OP_HEAD, le16toh(key_size)};
    op->value = (struct slice){op->key.data + op->key.size, le32toh(value_size)};
    *at += OP_HEAD + op->key.size + op->value.size;
    return true;
}

void store_key_add(struct store_key *key, struct slice part)
{
    if (part.size > sizeof key->bytes - key->size)
        abort();
    if (part.size)
        memcpy(key->bytes + key->size, part.data, part.size);
    key->size += part.size;
}

void store_key_set(struct store_key *key, struct slice bytes)
{
    key->size = 0;
    store_key_add(key, bytes);
}

void store_key_add_text(struct store_key *key, const char *part)
{
    store_key_add(key, (struct slice){part, strlen(part) + 1});
}

void store_key_add_number(struct store_key *key, uint64_t number)
{
    uint64_t bytes = htobe64(number);
    store_key_add(key, (struct slice){(const char *)&bytes, 8});
}

uint64_t store_key_number(struct slice key)
{
    uint64_t bytes = 0;
    if (key.size >= 8)
        memcpy(&bytes, key.data + key.size - 8, 8);
    return be64toh(bytes);
}
