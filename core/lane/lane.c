/* lane.c - what a lane does next; what becomes of a delivery is in verdict.c */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/lane/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct verb *find_verb(const struct adapter *adapter, struct slice name)
{
    for (const struct verb *verb = adapter->verbs; verb && verb->name; verb++)
        if (slice_is(name, verb->name))
            return verb;
    return NULL;
}

/* ---- reading the outbox into the window ------------------------------------------------------ */

struct reading {
    struct lane *lane;
    int64_t now_ms;
};

static void read_attempts(struct work *work, struct slice key)
{
    struct slice row;
    if (!store_get(work->lane->store, TABLE_ATTEMPTS, key, &row))
        return;
    work->attempts = (unsigned)record_get_integer(row, "count", 0);
    work->entry.due_ms = record_get_integer(row, "due_ms", 0);
    work->is_marked = slice_is(record_get(row, "state"), "sending");
    work->has_attempts = true;
}

static bool read_row(void *context, struct slice key, struct slice row)
{
    struct reading *reading = context;
    struct lane *lane = reading->lane;
    struct work *work = mem_zero(sizeof *work);
    struct slice effect_key = record_get(row, "key");
    work->lane = lane;
    work->entry.number = store_key_number(key);
    work->entry.asked_ms = record_get_integer(row, "asked_ms", 0);
    work->entry.key =
        (struct slice){work->key, effect_key.size < sizeof work->key ? effect_key.size : sizeof work->key};
    if (work->entry.key.size)
        memcpy(work->key, effect_key.data, work->entry.key.size);
    read_attempts(work, key);
    window_add(&lane->window, &work->entry, reading->now_ms);
    lane->read_number = work->entry.number + 1;
    return lane->window.count < WINDOW;
}

static void fill(struct lane *lane)
{
    if (lane->window.count >= WINDOW || lane->read_number == lane->next_number)
        return;
    struct store_key prefix = STORE_KEY_INIT;
    store_key_add_text(&prefix, lane->connection->name);
    struct store_key from = effect_key(lane->connection->name, lane->read_number);
    struct reading reading = {lane, clock_now_ms()};
    store_scan(lane->store, TABLE_OUTBOX, store_key_slice(&prefix), store_key_slice(&from), read_row, &reading);
}

/* ---- beginning a delivery --------------------------------------------------------------------- */

static void copy_text(char *to, size_t room, struct slice text)
{
    size_t size = text.size < room ? text.size : room - 1;
    if (size)
        memcpy(to, text.data, size);
    to[size] = '\0';
}

/* Loads the row for the adapter; false if it is gone or its verb is not known any more. */
static bool load(struct work *work, const char **why)
{
    struct lane *lane = work->lane;
    struct store_key key = effect_key(lane->connection->name, work->entry.number);
    struct slice row;
    *why = NULL;
    if (!store_get(lane->store, TABLE_OUTBOX, store_key_slice(&key), &row))
        return false;
    work->row = mem_copy(row);
    row.data = work->row;
    work->delivery = (struct delivery){.connection = lane->connection,
                                       .effect_id = work->id,
                                       .flow = work->flow,
                                       .key = work->entry.key,
                                       .attempt = work->attempts + 1,
                                       .asked_ms = work->entry.asked_ms};
    struct field field;
    for (size_t at = 0; record_next(row, &at, &field);) { /* in one pass: this runs for every effect */
        if (slice_is(field.name, "id"))
            copy_text(work->id, sizeof work->id, field.value);
        else if (slice_is(field.name, "flow"))
            copy_text(work->flow, sizeof work->flow, field.value);
        else if (slice_is(field.name, "verb"))
            work->delivery.verb = find_verb(lane->connection->adapter, field.value);
        else if (slice_is(field.name, "campaign"))
            work->campaign = field.value;
        else if (slice_is(field.name, "fields"))
            work->delivery.fields = field.value;
    }
    if (!work->delivery.verb)
        *why = "this version of the adapter has no such verb";
    return work->delivery.verb != NULL;
}

static void give(struct work *work)
{
    work->is_given = true;
    work->lane->connection->adapter->deliver(work->lane->connection, &work->delivery);
}

static void on_marked(void *context)
{
    struct work *work = context;
    struct lane *lane = work->lane;
    if (!lane->is_stopped && lane->paused_until_ms <= clock_now_ms()) {
        give(work);
        return;
    }
    /* Not sent, though the mark says so: it is taken back, so that it is not unknown after a crash. */
    struct change *change = change_new(NULL, NULL);
    work->is_marked = false;
    work->entry.due_ms = lane->paused_until_ms;
    attempts_put(work, change, "waiting", lane->is_stopped ? "the daemon stopped before it was sent" : lane->text);
    store_commit(lane->store, change);
    work_release(work);
    window_delay(&lane->window, &work->entry);
}

/* A verb that is not idempotent is marked on disk before it leaves: after a crash it is unknown, not due. */
static void mark_and_give(struct work *work)
{
    struct change *change = change_new(on_marked, work);
    work->is_marked = true;
    attempts_put(work, change, "sending", "");
    store_commit(work->lane->store, change);
}

/* Why it is not known whether a marked effect arrived: a crash, or what its mark says. */
static const char *why_unknown(struct work *work, char room[TEXT_MAX])
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct slice row = SLICE_NONE;
    store_get(work->lane->store, TABLE_ATTEMPTS, store_key_slice(&key), &row);
    copy_text(room, TEXT_MAX, record_get(row, "text"));
    return room[0] ? room : "the daemon stopped while this was being sent: it may have arrived";
}

static void begin(struct work *work)
{
    struct lane *lane = work->lane;
    const char *text;
    char room[TEXT_MAX];
    lane->under_way++;
    if (!load(work, &text)) {
        if (text) {
            work_hold(work, "never", text);
        } else {
            log_error("lane %s: effect number %" PRIu64 " is gone from the outbox", lane->connection->name,
                      work->entry.number);
            work_settled(work);
        }
    } else if (work_is_repeat(work)) {
        work_supersede(work);
    } else if (work->is_marked && !work->delivery.verb->is_idempotent && !lane->options.retries_unknown) {
        work_hold(work, "unknown", why_unknown(work, room));
    } else if (work_is_unwanted(work)) {
        return;
    } else if (work->delivery.verb->is_idempotent) {
        give(work);
    } else {
        mark_and_give(work);
    }
}

/* ---- what to do now ------------------------------------------------------------------------------ */

static bool rate_allows(struct lane *lane)
{
    if (!lane->options.rate_per_day)
        return true;
    double per_ns = (double)lane->options.rate_per_day / 86400e9;
    int64_t now_ns = clock_mono_ns();
    double most = per_ns * 1e9 > 1 ? per_ns * 1e9 : 1; /* one second's worth */
    lane->allowance += (double)(now_ns - lane->allowance_ns) * per_ns;
    lane->allowance_ns = now_ns;
    if (lane->allowance > most)
        lane->allowance = most;
    return lane->allowance >= 1;
}

/* 0: may begin now; else when to look again. */
static int64_t blocked_until(struct lane *lane, int64_t now_ms)
{
    if (lane->paused_until_ms > now_ms)
        return lane->paused_until_ms;
    if (lane->rest_until_ms > now_ms)
        return lane->rest_until_ms;
    if (!rate_allows(lane))
        return now_ms + 1 + (int64_t)((1 - lane->allowance) * 86400e3 / (double)lane->options.rate_per_day);
    return 0;
}

static unsigned most_under_way(const struct lane *lane)
{
    return lane->rests ? 1 : lane->options.concurrency; /* a rested lane sends one probe */
}

static void look_again(uv_timer_t *timer)
{
    struct lane *lane = timer->data;
    lane->is_woken = true;
}

static void look_again_at(struct lane *lane, int64_t at_ms, int64_t now_ms)
{
    if (at_ms == INT64_MAX) {
        uv_timer_stop(&lane->timer);
        return;
    }
    uv_update_time(lane->connection->loop);
    uv_timer_start(&lane->timer, look_again, at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 1, 0);
}

static void lane_work(struct lane *lane)
{
    int64_t now_ms = clock_now_ms(), again_ms = INT64_MAX;
    fill(lane);
    while (lane->under_way < most_under_way(lane)) {
        int64_t until_ms = blocked_until(lane, now_ms);
        if (until_ms) {
            again_ms = until_ms;
            break;
        }
        struct entry *entry = window_take(&lane->window, now_ms);
        if (!entry) {
            again_ms = window_next_due(&lane->window);
            break;
        }
        if (lane->options.rate_per_day)
            lane->allowance -= 1;
        begin((struct work *)entry);
        fill(lane);
    }
    /* With all hands full no timer is needed: the next settlement wakes the lane. */
    look_again_at(lane, again_ms, now_ms);
}

static void on_before_wait(uv_prepare_t *prepare)
{
    struct lane *lane = prepare->data;
    while (lane->is_woken && !lane->is_stopped && !lane->is_refused) {
        lane->is_woken = false;
        lane_work(lane);
    }
}

void lane_wake(struct lane *lane)
{
    lane->is_woken = true;
}

/* ---- asking ---------------------------------------------------------------------------------------- */

uint64_t lane_put_row(struct lane *lane, struct change *change, struct slice row, enum lane_counter counter)
{
    uint64_t number = lane->next_number++;
    struct store_key key = effect_key(lane->connection->name, number);
    change_put(change, TABLE_OUTBOX, store_key_slice(&key), row);
    change_count(change, lane->counter_keys[counter], 1);
    lane->waiting++;
    campaign_enters(lane, change, row);
    return number;
}

uint64_t lane_add(struct lane *lane, struct change *change, struct slice row)
{
    return lane_put_row(lane, change, row, LANE_ASKED);
}

void lane_retry(struct lane *lane, struct change *change, struct slice item, uint64_t number)
{
    receipt_retried(lane, change, number, lane_put_row(lane, change, item, LANE_RETRIED));
}

/* ---- opening and closing ------------------------------------------------------------------------------ */

struct counting {
    uint64_t rows, first;
};

static bool count_row(void *context, struct slice key, struct slice row)
{
    struct counting *counting = context;
    (void)row;
    if (!counting->rows++)
        counting->first = store_key_number(key);
    return true;
}

/* Every number was given out by an ask or a retry, so these counters tell which is the next. */
static void find_place(struct lane *lane)
{
    static const char *const names[LANE_COUNTERS] = {"asked", "retried", "delivered", "superseded", "refused"};
    struct store_key prefix = STORE_KEY_INIT;
    struct counting counting = {0};
    for (int i = 0; i < LANE_COUNTERS; i++)
        snprintf(lane->counter_keys[i], sizeof lane->counter_keys[i], "lane.%s.%s", lane->connection->name, names[i]);
    lane->next_number = 1 + (uint64_t)store_counter(lane->store, lane->counter_keys[LANE_ASKED])
                        + (uint64_t)store_counter(lane->store, lane->counter_keys[LANE_RETRIED]);
    store_key_add_text(&prefix, lane->connection->name);
    store_scan(lane->store, TABLE_OUTBOX, store_key_slice(&prefix), SLICE_NONE, count_row, &counting);
    lane->waiting = counting.rows;
    lane->read_number = counting.rows ? counting.first : lane->next_number;
}

struct lane *lane_open(struct store *store, struct held_numbers *held, struct connection *connection,
                       const struct lane_options *options)
{
    struct lane *lane = mem_zero(sizeof *lane);
    lane->store = store;
    lane->held = held;
    lane->connection = connection;
    lane->options = *options;
    lane->allowance_ns = clock_mono_ns();
    lane->allowance = 1;
    lane->scratch = (struct buf)BUF_INIT(EFFECT_ROW_MAX + 65536);
    window_init(&lane->window);
    ledger_open(&lane->ledger, store, connection->name);
    find_place(lane);
    uv_prepare_init(connection->loop, &lane->before_wait);
    lane->before_wait.data = lane;
    uv_timer_init(connection->loop, &lane->timer);
    lane->timer.data = lane;
    lane->is_woken = true;
    connection->lane = lane;
    return lane;
}

void lane_start(struct lane *lane)
{
    uv_prepare_start(&lane->before_wait, on_before_wait);
    uv_unref((uv_handle_t *)&lane->before_wait);
}

void lane_stop(struct lane *lane)
{
    lane->is_stopped = true;
}

bool lane_is_idle(const struct lane *lane)
{
    return lane->under_way == 0;
}

void lane_refuse(struct lane *lane, const char *why)
{
    lane->is_refused = true;
    snprintf(lane->text, sizeof lane->text, "%s", why);
}

const char *lane_refusal(const struct lane *lane)
{
    return lane && lane->is_refused ? lane->text : NULL;
}

static void free_work(void *context, struct slice key, void *value)
{
    struct entry *entry = value;
    (void)context, (void)key;
    while (entry) {
        struct work *work = (struct work *)entry;
        entry = entry->behind;
        free(work->row);
        free(work);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct lane *lane = handle->data;
    if (--lane->handles)
        return;
    map_each(&lane->window.heads, free_work, NULL);
    map_clear(&lane->window.heads);
    free(lane->window.delayed);
    buf_clear(&lane->scratch);
    ledger_clear(&lane->ledger);
    free(lane);
}

void lane_close(struct lane *lane)
{
    lane->is_stopped = true;
    uv_prepare_stop(&lane->before_wait);
    lane->handles = 2;
    uv_close((uv_handle_t *)&lane->before_wait, on_closed);
    uv_close((uv_handle_t *)&lane->timer, on_closed);
}

void lane_look(struct lane *lane, struct lane_view *view)
{
    int64_t now_ms = clock_now_ms();
    static const char *const states[] = {"idle", "up", "down"};
    const char *state = states[lane->state];
    *view = (struct lane_view){.connection = lane->connection->name, .adapter = lane->connection->adapter->name};
    if (lane->is_refused)
        state = "refused";
    else if (lane->paused_until_ms > now_ms)
        state = "paused", view->until_ms = lane->paused_until_ms;
    else if (lane->rest_until_ms > now_ms)
        state = "resting", view->until_ms = lane->rest_until_ms;
    snprintf(view->state, sizeof view->state, "%s", state);
    snprintf(view->text, sizeof view->text, "%s", lane->text);
    view->waiting = lane->waiting;
    view->under_way = lane->under_way;
    view->delivered = lane->delivered;
    view->later = lane->later;
    struct entry *oldest = window_oldest(&lane->window);
    view->oldest_ms = oldest ? oldest->asked_ms : 0;
}
