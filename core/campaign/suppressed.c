/* suppressed.c - see suppressed.h */
#include "core/campaign/suppressed.h"

#include "core/base/clock.h"
#include "core/base/record.h"

struct store_key suppressed_key(const char *connection, struct slice recipient)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, connection);
    store_key_add(&key, recipient);
    return key;
}

bool suppressed_find(struct store *store, const char *connection, struct slice recipient, struct slice *row)
{
    struct store_key key = suppressed_key(connection, recipient);
    return store_get(store, TABLE_SUPPRESSED, store_key_slice(&key), row);
}

void suppressed_add(struct change *change, const char *connection, struct slice recipient,
                    const struct suppression *suppression)
{
    struct store_key key = suppressed_key(connection, recipient);
    struct buf row = BUF_INIT(8192);
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "who", slice_of(suppression->who));
    record_add_text(&row, "why", slice_of(suppression->why));
    if (suppression->effect)
        record_add_text(&row, "effect", slice_of(suppression->effect));
    change_put(change, TABLE_SUPPRESSED, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
}

void suppressed_remove(struct change *change, const char *connection, struct slice recipient)
{
    struct store_key key = suppressed_key(connection, recipient);
    change_delete(change, TABLE_SUPPRESSED, store_key_slice(&key));
}
