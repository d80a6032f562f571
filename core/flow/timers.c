/* timers.c - timers of a flow: on disk until they are due; see memory.h
 *
 *      timers       flow \0 due (8 bytes, big endian) name -> record: carried (see continuation.h), data, set_ms
 *      timer_names  flow \0 name -> due (ms), size of the row (bytes): int64, little endian
 *
 * The wall clock decides, because a timer outlives the process: it is asked again every few seconds, so that a clock
 * that was set forward lets a timer wait no longer, and one that was set back lets none fire twice (its row is gone).
 * A timer that was due while the daemon was down, or the gate closed, fires once, and its run is told how late. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/flow/continuation.h"
#include "core/flow/internal.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 5000                 /* the clock is asked at least so often */
#define FIRE_MOST 200                /* timers in one change */
#define FIRE_BYTES ((size_t)4 << 20) /* of them */
#define ROW_MAX (2 * CARRIED_MOST)

static struct store_key due_key(const struct flow *flow, int64_t due_ms, struct slice name)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, flow->name);
    store_key_add_number(&key, (uint64_t)due_ms);
    store_key_add(&key, name);
    return key;
}

static struct store_key name_key(const struct flow *flow, struct slice name)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, flow->name);
    store_key_add(&key, name);
    return key;
}

void timers_open(struct flow *flow)
{
    struct memory *memory = &flow->memory;
    snprintf(memory->counter, sizeof memory->counter, "flow.%s.timers", flow->name);
    memory->timer_count = (uint64_t)store_counter(flow->context->store, memory->counter);
    snprintf(memory->bytes_counter, sizeof memory->bytes_counter, "flow.%s.timer_bytes", flow->name);
    memory->timer_bytes = store_counter(flow->context->store, memory->bytes_counter);
}

/* Where a timer is, and how much room it takes. */
struct place {
    int64_t due_ms, bytes;
};

static void count(struct flow *flow, struct change *change, int timers, int64_t bytes)
{
    flow->memory.timer_count += (uint64_t)(int64_t)timers;
    flow->memory.timer_bytes += timers * bytes;
    change_count(change, flow->memory.counter, timers);
    change_count(change, flow->memory.bytes_counter, timers * bytes);
}

/* When the timer of this name is due, as of what was decided; false: there is none. */
static bool find(const struct flow *flow, struct slice name, struct place *place)
{
    const struct decided_row *decided = decided_get(&flow->memory.timers, name);
    struct store_key key = name_key(flow, name);
    struct slice value;
    uint64_t numbers[2];
    if (decided) {
        if (!decided->is_gone)
            memcpy(place, decided_value(decided).data, sizeof *place);
        return !decided->is_gone;
    }
    if (!store_get(flow->context->store, TABLE_TIMER_NAMES, store_key_slice(&key), &value)
        || value.size != sizeof numbers)
        return false;
    memcpy(numbers, value.data, sizeof numbers);
    *place = (struct place){(int64_t)le64toh(numbers[0]), (int64_t)le64toh(numbers[1])};
    return true;
}

static bool take_due(void *context, struct slice key, struct slice row)
{
    size_t prefix = strlen(key.data) + 1;
    (void)row;
    *(int64_t *)context = (int64_t)store_key_number((struct slice){key.data + prefix, 8});
    return false;
}

static void remove_timer(struct flow *flow, struct change *change, uint64_t number, struct slice name,
                         const struct place *place)
{
    struct store_key due = due_key(flow, place->due_ms, name), named = name_key(flow, name);
    change_delete(change, TABLE_TIMERS, store_key_slice(&due));
    change_delete(change, TABLE_TIMER_NAMES, store_key_slice(&named));
    decided_put(&flow->memory.timers, number, name, NULL, 0);
    count(flow, change, -1, place->bytes);
}

static void add_timer(struct job *job, struct change *change, uint64_t number, const struct wish *wish)
{
    struct flow *flow = job->flow;
    struct slice name = slice_of(wish->name);
    int64_t now_ms = clock_now_ms(), due_ms = now_ms + wish->in_ms;
    struct buf carried = BUF_INIT(ROW_MAX), row = BUF_INIT(ROW_MAX);
    struct store_key due = due_key(flow, due_ms, name), named = name_key(flow, name);
    continuation_carry(job->run, job->record, wish->step, wish->cause, &carried);
    record_add_text(&row, "carried", buf_slice(&carried));
    record_add(&row, "data", RECORD_JSON, (struct slice){wish->json, wish->json_size});
    record_add_integer(&row, "set_ms", now_ms);
    change_put(change, TABLE_TIMERS, store_key_slice(&due), buf_slice(&row));
    const struct place place = {due_ms, (int64_t)row.size};
    const uint64_t numbers[] = {htole64((uint64_t)due_ms), htole64(row.size)};
    change_put(change, TABLE_TIMER_NAMES, store_key_slice(&named),
               (struct slice){(const char *)numbers, sizeof numbers});
    decided_put(&flow->memory.timers, number, name, &(struct slice){(const char *)&place, sizeof place}, 0);
    count(flow, change, 1, place.bytes);
    buf_clear(&carried);
    buf_clear(&row);
}

int64_t timers_next_due(const struct flow *flow)
{
    struct store_key prefix = name_key(flow, SLICE_NONE);
    int64_t due_ms = 0;
    store_scan(flow->context->store, TABLE_TIMERS, store_key_slice(&prefix), SLICE_NONE, take_due, &due_ms);
    return due_ms;
}

void timers_put(struct job *job, struct change *change, uint64_t number, const struct wish *wish)
{
    struct place place;
    if (find(job->flow, slice_of(wish->name), &place))
        remove_timer(job->flow, change, number, slice_of(wish->name), &place);
    if (wish->kind == WISH_TIMER)
        add_timer(job, change, number, wish);
}

/* ---- firing ------------------------------------------------------------------------------------------ */

/* One change that moves due timers into the inbox. */
struct firing {
    struct flow *flow;
    struct change *change;
    uint64_t number; /* of the change, in `decided` */
    int64_t now_ms;
    size_t most, bytes; /* timers that still fit in, bytes that are in */
    char **names;       /* owned */
    size_t count;
};

static void fire(struct firing *firing, struct slice name, int64_t due_ms, struct slice row)
{
    struct buf json = BUF_INIT(2 * STATE_VALUE_MAX);
    int64_t late_ms = firing->now_ms - due_ms;
    struct slice data = record_get(row, "data");
    buf_add_text(&json, "{\"name\":");
    buf_add_json(&json, name);
    if (data.size) {
        buf_add_text(&json, ",\"data\":");
        buf_add_slice(&json, data);
    }
    buf_add_text(&json, "}");
    char because[STATE_KEY_MAX + 60];
    snprintf(because, sizeof because, "timer %.*s, %lld ms late", SLICE_ARG(name), (long long)late_ms);
    struct continuation continuation = {.carried = record_get(row, "carried"),
                                        .what = "timer",
                                        .because = because,
                                        .json = buf_slice(&json),
                                        .late_ms = &late_ms};
    continuation_arrives(firing->flow, firing->change, &continuation);
    firing->names = mem_resize(firing->names, (firing->count + 1) * sizeof *firing->names);
    firing->names[firing->count++] = mem_copy(name);
    remove_timer(firing->flow, firing->change, firing->number, name, &(struct place){due_ms, (int64_t)row.size});
    firing->bytes += row.size;
    buf_clear(&json);
}

static bool look_at(void *context, struct slice key, struct slice row)
{
    struct firing *firing = context;
    struct memory *memory = &firing->flow->memory;
    size_t prefix = strlen(firing->flow->name) + 1;
    struct slice name = {key.data + prefix + 8, key.size - prefix - 8};
    int64_t due_ms = (int64_t)store_key_number((struct slice){key.data + prefix, 8});
    bool is_over = due_ms > firing->now_ms || !firing->most || firing->bytes > FIRE_BYTES;
    /* A change about this very timer is on its way to the disk: what is read here may be its past. */
    bool is_changing = decided_get(&memory->timers, name) != NULL;
    if ((is_over || is_changing) && due_ms < memory->next_due_ms)
        memory->next_due_ms = due_ms;
    if (is_over || is_changing)
        return !is_over;
    fire(firing, name, due_ms, row);
    firing->most--;
    return true;
}

static void on_fired(void *context)
{
    struct firing *firing = context;
    struct flow *flow = firing->flow;
    for (size_t i = 0; i < firing->count; i++) {
        decided_done(&flow->memory.timers, firing->number, slice_of(firing->names[i]));
        free(firing->names[i]);
    }
    flow->memory.is_firing = false;
    flow->memory.next_due_ms = 0;
    flow->is_woken = true;
    free(firing->names);
    free(firing);
}

static void on_clock(uv_timer_t *timer)
{
    ((struct flow *)timer->data)->is_woken = true;
}

static void look_again(struct flow *flow, int64_t now_ms)
{
    struct memory *memory = &flow->memory;
    int64_t wait_ms = memory->next_due_ms - now_ms;
    uv_update_time(flow->context->loop);
    uv_timer_start(&memory->clock, on_clock, (uint64_t)(wait_ms < 1 ? 1000 : wait_ms > LOOK_MS ? LOOK_MS : wait_ms), 0);
}

void timers_work(struct flow *flow)
{
    struct memory *memory = &flow->memory;
    if (memory->is_firing) /* it wakes us when it is on disk */
        return;
    if (!memory->timer_count) {
        uv_timer_stop(&memory->clock);
        return;
    }
    if (memory->next_due_ms > clock_now_ms()) {
        look_again(flow, clock_now_ms());
        return;
    }
    struct firing *firing = mem_zero(sizeof *firing);
    uint64_t room = flow->inbox_rows < INBOX_WINDOW ? INBOX_WINDOW - flow->inbox_rows : 0;
    struct store_key prefix = name_key(flow, SLICE_NONE);
    firing->flow = flow;
    firing->now_ms = clock_now_ms();
    firing->most = room < FIRE_MOST ? room : FIRE_MOST;
    firing->change = change_new(on_fired, firing);
    firing->number = decided_begin(&memory->state);
    memory->next_due_ms = INT64_MAX;
    store_scan(flow->context->store, TABLE_TIMERS, store_key_slice(&prefix), SLICE_NONE, look_at, firing);
    if (firing->count) {
        memory->is_firing = true;
        store_commit(flow->context->store, firing->change);
    } else {
        change_drop(firing->change);
        free(firing);
    }
    look_again(flow, clock_now_ms());
}
