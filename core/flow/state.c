/* state.c - the flow's own memory; see memory.h
 *
 * What expired is nobody's any more, whether the sweeper has been there or not. How much there is, is counted when the
 * first run sets something and again when the bound seems to be reached: no start waits for it. */
#include "core/base/clock.h"
#include "core/flow/internal.h"

#include <endian.h>

#define COUNT_AGAIN_NS 10000000000

static struct store_key key_of(const struct flow *flow, struct slice key)
{
    struct store_key row = STORE_KEY_INIT;
    store_key_add_text(&row, flow->name);
    store_key_add(&row, key);
    return row;
}

/* The value as of what was decided; false: there is none. */
static bool find(const struct flow *flow, struct slice key, struct slice *json)
{
    const struct decided_row *decided = decided_get(&flow->memory.state, key);
    struct store_key row = key_of(flow, key);
    int64_t expires_ms;
    if (decided) {
        *json = decided_value(decided);
        return !decided->is_gone && decided->expires_ms > clock_now_ms();
    }
    return store_get_until(flow->context->store, TABLE_STATE, store_key_slice(&row), &expires_ms, json)
           && expires_ms > clock_now_ms();
}

static bool get(const struct run *run, struct slice key, struct slice *json)
{
    return find(((struct job *)run->owner)->flow, key, json);
}

/* ---- how much there is ---------------------------------------------------------------------------- */

static bool count_row(void *context, struct slice key, struct slice value)
{
    struct memory *memory = context;
    uint64_t expiry;
    if (value.size < sizeof expiry)
        return true;
    memcpy(&expiry, value.data, sizeof expiry);
    if ((int64_t)be64toh(expiry) <= clock_now_ms())
        return true;
    memory->rows++;
    memory->bytes += (int64_t)(key.size - strlen(key.data) - 1 + value.size - sizeof expiry);
    return true;
}

static void add_decided(void *context, struct slice key, void *value)
{
    struct memory *memory = context;
    const struct decided_row *row = value;
    if (row->is_gone)
        return;
    memory->rows++;
    memory->bytes += (int64_t)(key.size + row->size);
}

static void count(struct flow *flow)
{
    struct memory *memory = &flow->memory;
    struct store_key prefix = key_of(flow, SLICE_NONE);
    memory->rows = memory->bytes = 0;
    memory->is_counted = true;
    memory->counted_ns = clock_mono_ns();
    store_scan(flow->context->store, TABLE_STATE, store_key_slice(&prefix), SLICE_NONE, count_row, memory);
    map_each(&memory->state.rows, add_decided, memory);
}

static bool is_within(const struct memory *memory, size_t rows, size_t bytes)
{
    return memory->rows + (int64_t)rows <= STATE_ROWS_MOST
           && memory->bytes + (int64_t)bytes <= (int64_t)STATE_BYTES_MOST;
}

static bool has_room(const struct run *run, enum wish_kind kind, size_t bytes, struct err *err)
{
    struct flow *flow = ((struct job *)run->owner)->flow;
    struct memory *memory = &flow->memory;
    size_t rows = run->wishes.count + 1;
    bytes += run->wishes.bytes;
    if (kind == WISH_TIMER)
        return (memory->timer_count < TIMERS_MOST
                && memory->timer_bytes + (int64_t)(run->event_bytes + bytes) <= TIMERS_BYTES_MOST)
               || err_set(err, "%llu timers of this flow wait, with %lld MiB; allowed are %d and %lld MiB",
                          (unsigned long long)memory->timer_count, (long long)memory->timer_bytes >> 20, TIMERS_MOST,
                          (long long)TIMERS_BYTES_MOST >> 20);
    if (!memory->is_counted
        || (!is_within(memory, rows, bytes) && clock_mono_ns() - memory->counted_ns > COUNT_AGAIN_NS))
        count(flow);
    return is_within(memory, rows, bytes)
           || err_set(err, "the flow keeps %lld keys and %lld KiB; allowed are %d and %zu KiB: let them expire",
                      (long long)memory->rows, (long long)memory->bytes >> 10, STATE_ROWS_MOST, STATE_BYTES_MOST >> 10);
}

const struct run_memory flow_memory = {.get = get, .has_room = has_room};

/* ---- changing it ------------------------------------------------------------------------------------ */

void state_put(struct flow *flow, struct change *change, uint64_t number, const struct wish *wish)
{
    struct memory *memory = &flow->memory;
    struct slice key = slice_of(wish->name), old, json = {wish->json, wish->json_size};
    struct store_key row = key_of(flow, key);
    if (!memory->is_counted)
        count(flow);
    if (find(flow, key, &old)) {
        memory->rows--;
        memory->bytes -= (int64_t)(key.size + old.size);
    }
    if (wish->kind == WISH_DELETE) {
        change_delete(change, TABLE_STATE, store_key_slice(&row));
        decided_put(&memory->state, number, key, NULL, 0);
        return;
    }
    int64_t expires_ms = wish->in_ms ? clock_now_ms() + wish->in_ms : INT64_MAX;
    change_put_until(change, TABLE_STATE, store_key_slice(&row), expires_ms, json);
    decided_put(&memory->state, number, key, &json, expires_ms);
    memory->rows++;
    memory->bytes += (int64_t)(key.size + json.size);
}

static bool is_about_state(const struct wish *wish)
{
    return wish->kind == WISH_SET || wish->kind == WISH_DELETE;
}

void memory_put(struct job *job, struct change *change)
{
    const struct wishes *wishes = &job->run->wishes;
    struct memory *memory = &job->flow->memory;
    if (!wishes->count)
        return;
    job->decided = decided_begin(&memory->state);
    for (size_t i = 0; i < wishes->count; i++) {
        if (is_about_state(&wishes->list[i]))
            state_put(job->flow, change, job->decided, &wishes->list[i]);
        else
            timers_put(job, change, job->decided, &wishes->list[i]);
    }
}

void memory_done(struct job *job)
{
    struct memory *memory = &job->flow->memory;
    if (!job->decided)
        return;
    for (size_t i = 0; i < job->run->wishes.count; i++) {
        const struct wish *wish = &job->run->wishes.list[i];
        decided_done(is_about_state(wish) ? &memory->state : &memory->timers, job->decided, slice_of(wish->name));
        if (!is_about_state(wish))
            memory->next_due_ms = 0;
    }
}
