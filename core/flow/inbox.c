/* inbox.c - events that are ours and wait to run: a read said later, an earlier one of their key waits, or a person
 * took them back from the held
 *
 *      row = record: event (record), received_ms, attempts, due_ms, id, key, release (where it must be a certain
 *      one), began_ms (where it was tried before)
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

static struct arrival *add_to_window(struct flow *flow, uint64_t number, const struct inbox_row *row)
{
    struct arrival *arrival = mem_zero(sizeof *arrival);
    arrival->flow = flow;
    arrival->attempts = row->attempts;
    arrival->entry.number = number;
    arrival->entry.due_ms = row->due_ms;
    arrival->entry.asked_ms = row->received_ms;
    arrival->entry.key = (struct slice){mem_copy(row->key), row->key.size};
    window_add(&flow->inbox, &arrival->entry, clock_wait_ms());
    flow->inbox_read = number + 1;
    return arrival;
}

/* No row waits longer than that: more is left of a clock that was set back. */
static int64_t due_of(int64_t moment_ms)
{
    int64_t due_ms = clock_wait_of(moment_ms), most_ms = clock_wait_ms() + AGAIN_MOST_MS;
    return due_ms < most_ms ? due_ms : most_ms;
}

static bool read_row(void *context, struct slice key, struct slice bytes)
{
    struct flow *flow = context;
    struct inbox_row row = {.key = record_get(bytes, "key"),
                            .received_ms = record_get_integer(bytes, "received_ms", 0),
                            .attempts = (unsigned)record_get_integer(bytes, "attempts", 0),
                            .due_ms = due_of(record_get_integer(bytes, "due_ms", 0))};
    add_to_window(flow, store_key_number(key), &row)->is_on_disk = true;
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

static void put_row(struct flow *flow, struct change *change, uint64_t number, const struct inbox_row *row)
{
    struct buf bytes = BUF_INIT(ROW_MAX);
    struct store_key key = key_of(flow, number);
    record_add_integer(&bytes, "received_ms", row->received_ms);
    record_add_integer(&bytes, "attempts", row->attempts);
    record_add_integer(&bytes, "due_ms", row->due_ms ? clock_moment_of(row->due_ms) : 0);
    if (row->began_ms)
        record_add_integer(&bytes, "began_ms", row->began_ms);
    record_add_text(&bytes, "id", row->id);
    record_add_text(&bytes, "key", row->key);
    if (row->release.size)
        record_add_text(&bytes, "release", row->release);
    record_add_text(&bytes, "event", row->record);
    change_put(change, TABLE_INBOX, store_key_slice(&key), buf_slice(&bytes));
    buf_clear(&bytes);
}

struct arrival *inbox_add(struct flow *flow, struct change *change, const struct inbox_row *row)
{
    uint64_t number = flow->inbox_next;
    bool fits = flow->inbox_read == number && flow->inbox.count < INBOX_WINDOW;
    flow->inbox_next++;
    flow->inbox_rows++;
    put_row(flow, change, number, row);
    return fits ? add_to_window(flow, number, row) : NULL;
}

void inbox_again(struct arrival *arrival, struct change *change, const struct inbox_row *row)
{
    struct inbox_row again = *row;
    again.attempts = ++arrival->attempts;
    again.key = arrival->entry.key;
    arrival->is_on_disk = arrival->is_taken_back = false;
    arrival->entry.due_ms = row->due_ms;
    put_row(arrival->flow, change, arrival->entry.number, &again);
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
    window_remove(&arrival->flow->inbox, &arrival->entry, clock_wait_ms());
    free((char *)arrival->entry.key.data);
    free(arrival);
}

static void look_again(uv_timer_t *timer)
{
    ((struct flow *)timer->data)->is_woken = true;
}

void inbox_work(struct flow *flow)
{
    int64_t now_ms = clock_wait_ms();
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
