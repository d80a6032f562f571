/* inbox.c - events that are ours and wait to run: a read said later, an earlier one of their key waits, or a person
 * took them back from the held
 *
 *      row = record: event (record), received_ms, attempts, due_ms, id, key
 *
 * At most INBOX_WINDOW of them are in memory.  While there are more on disk, every new event goes behind them, because
 * nobody can tell whether one of its key is among them. */
#include "core/base/clock.h"
#include "core/flow/internal.h"

#include <stdlib.h>

#define ROW_MAX ((size_t)256 << 20)

static struct store_key key_of(const struct flow *flow, uint64_t number)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, flow->name);
    store_key_add_number(&key, number);
    return key;
}

static struct store_key prefix_of(const struct flow *flow)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, flow->name);
    return key;
}

static struct arrival *add_to_window(struct flow *flow, uint64_t number, struct slice key, int64_t received_ms,
                                     unsigned attempts, int64_t due_ms)
{
    struct arrival *arrival = mem_zero(sizeof *arrival);
    arrival->flow = flow;
    arrival->attempts = attempts;
    arrival->entry.number = number;
    arrival->entry.due_ms = due_ms;
    arrival->entry.asked_ms = received_ms;
    arrival->entry.key = (struct slice){mem_copy(key), key.size};
    window_add(&flow->inbox, &arrival->entry, clock_now_ms());
    flow->inbox_read = number + 1;
    return arrival;
}

static bool read_row(void *context, struct slice key, struct slice row)
{
    struct flow *flow = context;
    struct arrival *arrival =
        add_to_window(flow, store_key_number(key), record_get(row, "key"), record_get_integer(row, "received_ms", 0),
                      (unsigned)record_get_integer(row, "attempts", 0), record_get_integer(row, "due_ms", 0));
    arrival->is_on_disk = true;
    return flow->inbox.count < INBOX_WINDOW;
}

static void fill(struct flow *flow)
{
    if (flow->inbox.count >= INBOX_WINDOW || flow->inbox_read == flow->inbox_next)
        return;
    struct store_key prefix = prefix_of(flow), from = key_of(flow, flow->inbox_read);
    store_scan(flow->context->store, TABLE_INBOX, store_key_slice(&prefix), store_key_slice(&from), read_row, flow);
}

static bool count_row(void *context, struct slice key, struct slice row)
{
    struct flow *flow = context;
    (void)row;
    if (!flow->inbox_rows++)
        flow->inbox_read = store_key_number(key);
    flow->inbox_next = store_key_number(key) + 1;
    return true;
}

void inbox_open(struct flow *flow)
{
    struct store_key prefix = prefix_of(flow);
    window_init(&flow->inbox);
    flow->inbox_read = flow->inbox_next = 1;
    store_scan(flow->context->store, TABLE_INBOX, store_key_slice(&prefix), SLICE_NONE, count_row, flow);
    fill(flow);
}

bool inbox_blocks(const struct flow *flow, const char *key)
{
    return flow->inbox_read != flow->inbox_next || map_get(&flow->inbox.heads, slice_of(key));
}

static void put_row(struct flow *flow, struct change *change, uint64_t number, struct slice record, struct slice id,
                    struct slice key, int64_t received_ms, unsigned attempts, int64_t due_ms)
{
    struct buf row = BUF_INIT(ROW_MAX);
    struct store_key row_key = key_of(flow, number);
    record_add_integer(&row, "received_ms", received_ms);
    record_add_integer(&row, "attempts", attempts);
    record_add_integer(&row, "due_ms", due_ms);
    record_add_text(&row, "id", id);
    record_add_text(&row, "key", key);
    record_add_text(&row, "event", record);
    change_put(change, TABLE_INBOX, store_key_slice(&row_key), buf_slice(&row));
    buf_clear(&row);
}

struct arrival *inbox_add(struct flow *flow, struct change *change, struct slice record, struct slice id,
                          const char *key, int64_t received_ms, unsigned attempts, int64_t due_ms)
{
    uint64_t number = flow->inbox_next;
    bool fits = flow->inbox_read == number && flow->inbox.count < INBOX_WINDOW;
    flow->inbox_next++;
    flow->inbox_rows++;
    put_row(flow, change, number, record, id, slice_of(key), received_ms, attempts, due_ms);
    return fits ? add_to_window(flow, number, slice_of(key), received_ms, attempts, due_ms) : NULL;
}

void inbox_again(struct arrival *arrival, struct change *change, struct slice record, struct slice id,
                 int64_t received_ms, int64_t due_ms)
{
    arrival->attempts++;
    arrival->is_on_disk = arrival->is_taken_back = false;
    arrival->entry.due_ms = due_ms;
    put_row(arrival->flow, change, arrival->entry.number, record, id, arrival->entry.key, received_ms,
            arrival->attempts, due_ms);
    window_delay(&arrival->flow->inbox, &arrival->entry);
}

void inbox_remove(struct arrival *arrival, struct change *change)
{
    struct store_key key = key_of(arrival->flow, arrival->entry.number);
    change_delete(change, TABLE_INBOX, store_key_slice(&key));
    arrival->flow->inbox_rows--;
}

void inbox_gone(struct arrival *arrival)
{
    window_remove(&arrival->flow->inbox, &arrival->entry, clock_now_ms());
    free((char *)arrival->entry.key.data);
    free(arrival);
}

static void look_again(uv_timer_t *timer)
{
    ((struct flow *)timer->data)->is_woken = true;
}

void inbox_work(struct flow *flow)
{
    int64_t now_ms = clock_now_ms();
    struct entry *entry;
    fill(flow);
    while ((entry = window_take(&flow->inbox, now_ms))) {
        struct arrival *arrival = (struct arrival *)entry;
        struct store_key key = key_of(flow, entry->number);
        struct slice row;
        bool has_row = store_get(flow->context->store, TABLE_INBOX, store_key_slice(&key), &row);
        if (arrival->is_taken_back && has_row)
            arrival->is_on_disk = true;
        if (!arrival->is_on_disk || map_get(&flow->lines, entry->key)) {
            entry->due_ms = now_ms + 20; /* its change, or the run of an earlier event, is under way */
            window_delay(&flow->inbox, entry);
        } else if (has_row) {
            admit_arrival(flow, arrival, row);
        } else {
            inbox_gone(arrival);
        }
        fill(flow);
    }
    int64_t due_ms = window_next_due(&flow->inbox);
    if (due_ms == INT64_MAX) {
        uv_timer_stop(&flow->timer);
        return;
    }
    uv_update_time(flow->context->loop);
    uv_timer_start(&flow->timer, look_again, due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 1, 0);
}

static void free_arrivals(void *context, struct slice key, void *value)
{
    struct entry *entry = value;
    (void)context, (void)key;
    while (entry) {
        struct entry *behind = entry->behind;
        free((char *)entry->key.data);
        free(entry);
        entry = behind;
    }
}

void inbox_free(struct flow *flow)
{
    map_each(&flow->inbox.heads, free_arrivals, NULL);
    map_clear(&flow->inbox.heads);
    free(flow->inbox.delayed);
}
