/* held.c - see held.h */
#include "core/store/held.h"

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

void held_remove(struct change *change, uint64_t number)
{
    struct store_key key = key_of(number);
    change_delete(change, TABLE_HELD, store_key_slice(&key));
}
