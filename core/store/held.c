/* held.c - see held.h */
#include "core/store/held.h"

#include "core/base/record.h"

#include <strings.h>

#define LAST_COUNTER "held.last"

void held_open(struct held_numbers *held, struct store *store)
{
    held->store = store;
    held->last = (uint64_t)store_counter(store, LAST_COUNTER);
}

static struct store_key key_of(uint64_t number)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_number(&key, number);
    return key;
}

uint64_t held_add(struct held_numbers *held, struct change *change, struct slice row)
{
    struct store_key key = key_of(++held->last);
    change_put(change, TABLE_HELD, store_key_slice(&key), row);
    change_count(change, LAST_COUNTER, 1);
    return held->last;
}

bool held_get(struct held_numbers *held, uint64_t number, struct slice *row)
{
    struct store_key key = key_of(number);
    return store_get(held->store, TABLE_HELD, store_key_slice(&key), row);
}

void held_put(struct change *change, uint64_t number, struct slice row)
{
    struct store_key key = key_of(number);
    change_put(change, TABLE_HELD, store_key_slice(&key), row);
}

void held_remove(struct change *change, uint64_t number)
{
    struct store_key key = key_of(number);
    change_delete(change, TABLE_HELD, store_key_slice(&key));
}

static bool is(struct slice row, const char *field, const char *wanted)
{
    return !wanted || slice_is(record_get(row, field), wanted);
}

static bool begins(struct slice text, const char *wanted)
{
    size_t size = wanted ? strlen(wanted) : 0;
    return text.size >= size && (size == 0 || memcmp(text.data, wanted, size) == 0);
}

static bool contains(struct slice text, const char *wanted)
{
    size_t size = wanted ? strlen(wanted) : 0;
    for (size_t at = 0; size && at + size <= text.size; at++)
        if (strncasecmp(text.data + at, wanted, size) == 0)
            return true;
    return size == 0;
}

bool held_matches(const struct held_filter *filter, uint64_t number, struct slice row)
{
    int64_t at_ms = record_get_integer(row, "at", 0);
    return number >= filter->first && (!filter->last || number <= filter->last) && at_ms >= filter->since_ms
           && (!filter->until_ms || at_ms <= filter->until_ms) && is(row, "kind", filter->kind)
           && is(row, "flow", filter->flow) && is(row, "connection", filter->connection)
           && is(row, "verb", filter->verb) && is(row, "verdict", filter->verdict) && is(row, "key", filter->key)
           && begins(record_get(row, "release"), filter->release)
           && contains(record_get(row, "reason"), filter->reason);
}
