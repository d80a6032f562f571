/* lane.c - opening and closing a lane, and what it does next; internal.h says where the rest is */
#include "core/lane/lane.h"

#include "core/base/clock.h"
#include "core/lane/internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what to do now ------------------------------------------------------------------------------ */

/* How often each priority is taken while there are some of each. */
static const int weights[PRIORITIES] = {[PRIORITY_HIGH] = 16, [PRIORITY_NORMAL] = 4, [PRIORITY_LOW] = 1};

/* Those that have work gain their weight; who has most goes, and pays for all. */
static struct entry *take(struct lane *lane, int64_t now_ms)
{
    int best = -1, sum = 0;
    for (int i = 0; i < PRIORITIES; i++) {
        if (!window_has_ready(&lane->backlogs[i].window, now_ms)) {
            lane->credit[i] = 0;
            continue;
        }
        sum += weights[i];
        lane->credit[i] += weights[i];
        if (best < 0 || lane->credit[i] > lane->credit[best])
            best = i;
    }
    if (best < 0)
        return NULL;
    lane->credit[best] -= sum;
    return window_take(&lane->backlogs[best].window, now_ms);
}

static bool fill(struct lane *lane)
{
    bool has_more = false;
    for (int i = 0; i < PRIORITIES; i++)
        has_more = backlog_fill(&lane->backlogs[i]) || has_more;
    return has_more;
}

static int64_t next_due(const struct lane *lane)
{
    int64_t due_ms = INT64_MAX;
    for (int i = 0; i < PRIORITIES; i++)
        if (window_next_due(&lane->backlogs[i].window) < due_ms)
            due_ms = window_next_due(&lane->backlogs[i].window);
    return due_ms;
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
    int64_t now_ms = clock_wait_ms(), again_ms = INT64_MAX;
    if (lane->wants_unpark && !lane->merges)
        lane_read_again(lane);
    bool has_more = fill(lane);
    while (lane->calls < pace_most_calls(lane) && lane->open_calls < lane->options.concurrency + UNSETTLED_MOST) {
        int64_t until_ms = pace_blocked_until(lane, now_ms);
        if (until_ms) {
            again_ms = until_ms;
            break;
        }
        struct entry *entry = take(lane, now_ms);
        if (!entry) {
            again_ms = next_due(lane);
            break;
        }
        if (lane_parks(lane, ((struct work *)entry)->flow))
            work_park((struct work *)entry);
        else
            lane_begin((struct work *)entry);
        has_more = fill(lane);
    }
    /* With all hands full no timer is needed: the next settlement wakes the lane. */
    look_again_at(lane, has_more ? now_ms : again_ms, now_ms);
}

static bool may_work(const struct lane *lane)
{
    return !lane->is_stopped && !lane->is_suspended && !lane->is_refused;
}

static void on_before_wait(uv_prepare_t *prepare)
{
    struct lane *lane = prepare->data;
    if (may_work(lane))
        feeder_work(lane);
    while (lane->is_woken && may_work(lane)) {
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
    enum priority priority = PRIORITY_NORMAL;
    priority_parse(record_get(row, "priority"), &priority);
    struct backlog *backlog = &lane->backlogs[priority];
    uint64_t number = effect_number(priority, lane->next_running++);
    struct store_key key = effect_key(lane->connection->name, number);
    change_put(change, TABLE_OUTBOX, store_key_slice(&key), row);
    lane->stats.asked_bytes += (int64_t)(key.size + row.size);
    change_count(change, lane->counter_keys[counter], 1);
    change_count(change, lane->counter_keys[LANE_WAITING + priority], 1);
    backlog->end_number = number + 1;
    backlog->waiting++;
    campaign_enters(lane, change, row);
    return number;
}

uint64_t lane_add(struct lane *lane, struct change *change, struct slice row)
{
    return lane_put_row(lane, change, row, LANE_ASKED);
}

uint64_t lane_retry(struct lane *lane, struct change *change, struct slice item, uint64_t number)
{
    struct buf row = BUF_INIT(EFFECT_ROW_MAX + 100);
    buf_add_slice(&row, item);
    record_add_integer(&row, "since_ms", clock_now_ms()); /* the last of a name counts */
    struct receipt receipt = {.outcome = "retried", .id = SLICE_NONE, .text = ""};
    receipt.number = lane_put_row(lane, change, buf_slice(&row), LANE_RETRIED);
    receipt_put(lane, change, number, &receipt);
    buf_clear(&row);
    return receipt.number;
}

/* ---- opening and closing ------------------------------------------------------------------------------ */

static void name_counters(struct lane *lane)
{
    static const char *const names[LANE_WAITING] = {"asked", "retried", "delivered", "superseded", "refused"};
    for (int i = 0; i < LANE_COUNTERS; i++)
        snprintf(lane->counter_keys[i], sizeof lane->counter_keys[i], "lane.%s.%s%s", lane->connection->name,
                 i < LANE_WAITING ? names[i] : "waiting-", i < LANE_WAITING ? "" : priority_names[i - LANE_WAITING]);
}

struct lane *lane_open(struct store *store, struct held_numbers *held, struct connection *connection,
                       const struct lane_options *options)
{
    struct lane *lane = mem_zero(sizeof *lane);
    lane->store = store;
    lane->held = held;
    lane->connection = connection;
    lane->options = *options;
    lane->scratch = (struct buf)BUF_INIT(EFFECT_ROW_MAX + 65536);
    ledger_open(&lane->ledger, store, connection->name);
    name_counters(lane);
    /* Every number was given out by an ask or a retry, so these counters tell which is the next. */
    lane->next_running = 1 + (uint64_t)store_counter(store, lane->counter_keys[LANE_ASKED])
                         + (uint64_t)store_counter(store, lane->counter_keys[LANE_RETRIED]);
    for (int i = 0; i < PRIORITIES; i++)
        backlog_open(&lane->backlogs[i], lane, (enum priority)i);
    pace_open(lane);
    feeder_open(lane);
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

void lane_suspend(struct lane *lane)
{
    lane->is_suspended = true;
}

void lane_resume(struct lane *lane, const struct lane_options *options)
{
    lane->options = *options;
    lane->pace = (struct pace){.rate_count = 0};
    pace_open(lane);
    for (int i = 0; i < PRIORITIES; i++) /* what failed as things were may go well as they are now */
        window_hurry(&lane->backlogs[i].window, clock_wait_ms());
    lane->is_suspended = lane->is_refused = false;
    lane->state = CONNECTION_IDLE;
    lane->text[0] = '\0';
    lane->is_woken = true;
    uv_prepare_stop(&lane->before_wait); /* it must be started behind those of the adapter */
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

static void on_closed(uv_handle_t *handle)
{
    struct lane *lane = handle->data;
    if (--lane->handles)
        return;
    for (int i = 0; i < PRIORITIES; i++)
        backlog_clear(&lane->backlogs[i]);
    buf_clear(&lane->scratch);
    feeder_close(lane);
    ledger_clear(&lane->ledger);
    stats_clear(&lane->stats);
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
