/* ledger.c - see ledger.h */
#include "core/campaign/ledger.h"

#include "core/base/clock.h"
#include "core/base/record.h"

#include <stdlib.h>

struct taken {
    int64_t at_ms; /* when it was decided */
};

void ledger_open(struct ledger *ledger, struct store *store, const char *connection)
{
    *ledger = (struct ledger){store, connection, MAP_INIT};
}

static void free_taken(void *context, struct slice key, void *value)
{
    (void)context, (void)key;
    free(value);
}

void ledger_clear(struct ledger *ledger)
{
    map_each(&ledger->decided, free_taken, NULL);
    map_clear(&ledger->decided);
}

struct store_key ledger_prefix(const char *connection, struct slice campaign)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, connection);
    store_key_add(&key, campaign);
    store_key_add(&key, (struct slice){"", 1});
    return key;
}

static struct store_key key_of(const struct ledger *ledger, struct slice campaign, struct slice recipient)
{
    struct store_key key = ledger_prefix(ledger->connection, campaign);
    store_key_add(&key, recipient);
    return key;
}

/* In memory there is one connection: its name is no part of the key. */
static struct slice names_of(const struct ledger *ledger, const struct store_key *key)
{
    size_t skip = strlen(ledger->connection) + 1;
    return (struct slice){key->bytes + skip, key->size - skip};
}

bool ledger_find(struct ledger *ledger, struct slice campaign, struct slice recipient, int64_t *at_ms)
{
    struct store_key key = key_of(ledger, campaign, recipient);
    const struct taken *taken = map_get(&ledger->decided, names_of(ledger, &key));
    struct slice row;
    if (taken) {
        *at_ms = taken->at_ms;
        return true;
    }
    if (!store_get(ledger->store, TABLE_LEDGER, store_key_slice(&key), &row) || record_has(row, "why"))
        return false;
    *at_ms = record_get_integer(row, "at", 0);
    return true;
}

void ledger_take(struct ledger *ledger, struct change *change, struct slice campaign, struct slice recipient,
                 uint64_t number)
{
    struct store_key key = key_of(ledger, campaign, recipient);
    struct taken *taken = mem_zero(sizeof *taken);
    struct buf row = BUF_INIT(200);
    taken->at_ms = clock_now_ms();
    map_put(&ledger->decided, names_of(ledger, &key), taken);
    record_add_integer(&row, "at", taken->at_ms);
    record_add_integer(&row, "number", (int64_t)number);
    change_put(change, TABLE_LEDGER, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
}

void ledger_committed(struct ledger *ledger, struct slice campaign, struct slice recipient)
{
    struct store_key key = key_of(ledger, campaign, recipient);
    free(map_remove(&ledger->decided, names_of(ledger, &key)));
}

void ledger_note(struct ledger *ledger, struct change *change, struct slice campaign, struct slice recipient,
                 const char *why)
{
    struct store_key key = key_of(ledger, campaign, recipient);
    struct buf row = BUF_INIT(4096);
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "why", slice_of(why));
    change_put(change, TABLE_LEDGER, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
}
