/* list.c - see list.h */
#include "core/campaign/list.h"

#include "core/base/record.h"

struct store_key list_key(const char *connection, uint64_t number)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, connection);
    store_key_add_number(&key, number);
    return key;
}

static void put_row(struct change *change, const struct store_key *key, const struct list *list)
{
    struct buf row = BUF_INIT(LIST_ROW_MAX);
    record_add_text(&row, "campaign", list->campaign);
    record_add_text(&row, "verb", slice_of(list->verb));
    record_add_text(&row, "flow", slice_of(list->flow));
    record_add_text(&row, "release", slice_of(list->release));
    record_add_text(&row, "step", slice_of(list->step));
    record_add_text(&row, "event_id", list->event_id);
    record_add_integer(&row, "asked_ms", list->asked_ms);
    record_add_integer(&row, "when_unknown", list->when_unknown);
    record_add_text(&row, "fields", list->fields);
    change_put(change, TABLE_LISTS, store_key_slice(key), buf_slice(&row));
    buf_clear(&row);
}

void list_put(struct store *store, struct change *change, const char *connection, uint64_t number,
              const struct list *list)
{
    struct store_key key = list_key(connection, number);
    struct field recipient;
    size_t count = 0;
    put_row(change, &key, list);
    for (size_t at = 0; record_next(list->recipients, &at, &recipient);) {
        struct store_key of_one = key;
        store_key_add_number(&of_one, ++count);
        change_put(change, TABLE_RECIPIENTS, store_key_slice(&of_one), recipient.value);
    }
    campaign_begin(store, change, connection, list->campaign, slice_of(list->flow));
    campaign_count(change, connection, list->campaign, CAMPAIGN_TOTAL, (int64_t)(count + list->duplicates));
    campaign_count(change, connection, list->campaign, CAMPAIGN_DUPLICATE, (int64_t)list->duplicates);
}
