/* pace.c - may a lane send now, and how much at once
 *
 *      pause       the far side, or the adapter, wants none for a while
 *      allowance   the far side said how many calls it still allows, and until when
 *      rates       the configuration says how many calls may begin a second, minute, hour, day
 *      breaker     closed ──5 failures in a row──► open ──its rest is over──► probing: one call, of one effect
 *                    ▲                              ▲                             │
 *                    └─ a probe succeeded; calls    └──────────it failed──────────┘
 *                       at once: 1, then one more with each success
 *
 * What hours and days have used, and what the far side allows, is written with what becomes of each effect: a restart
 * forgets at most the calls that were under way. */
#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/lane/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BREAKER_FAILURES 5 /* `later` in a row, after which the lane rests and probes */
#define REST_LEAST_MS 1000
#define REST_MOST_MS 60000
#define BACKOFF_LEAST_MS 500
#define BACKOFF_MOST_MS 300000
#define TRY_AGAIN_MS 60000 /* where the far side allows none and does not say until when */

/* ---- on disk ------------------------------------------------------------------------------- */

static const char *field_of(const struct rate *rate, char name[32])
{
    snprintf(name, 32, "used_%" PRId64, rate->limit.per_ms);
    return name;
}

static struct store_key key_of(const struct lane *lane)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add(&key, slice_of(lane->connection->name));
    return key;
}

void pace_open(struct lane *lane)
{
    struct pace *pace = &lane->pace;
    struct store_key key = key_of(lane);
    struct slice row = SLICE_NONE;
    char name[32];
    bool has_row = store_get(lane->store, TABLE_PACES, store_key_slice(&key), &row);
    for (size_t i = 0; i < lane->options.rate_count; i++) {
        struct rate *rate = &pace->rates[pace->rate_count++];
        rate_init(rate, &lane->options.rates[i]);
        if (has_row)
            rate_load(rate, record_get(row, field_of(rate, name)), clock_wait_ms());
    }
    if (has_row) {
        pace->far_left = record_get_integer(row, "far_left", 0);
        pace->far_reset_ms = clock_wait_of(record_get_integer(row, "far_reset_ms", 0));
    }
    pace->trust = lane->options.concurrency;
}

void pace_save(struct lane *lane, struct change *change)
{
    struct pace *pace = &lane->pace;
    if (!pace->is_dirty)
        return;
    struct store_key key = key_of(lane);
    struct buf row = BUF_INIT(8192), used = BUF_INIT(1024);
    char name[32];
    for (size_t i = 0; i < pace->rate_count; i++) {
        if (!rate_is_rolling(&pace->rates[i]))
            continue;
        buf_reset(&used);
        rate_save(&pace->rates[i], &used);
        record_add_text(&row, field_of(&pace->rates[i], name), buf_slice(&used));
    }
    record_add_integer(&row, "far_left", pace->far_left);
    record_add_integer(&row, "far_reset_ms", pace->far_reset_ms ? clock_moment_of(pace->far_reset_ms) : 0);
    change_put(change, TABLE_PACES, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
    buf_clear(&used);
    pace->is_dirty = false;
}

/* ---- may it? ---------------------------------------------------------------------------------- */

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t pace_blocked_until(struct lane *lane, int64_t now_ms)
{
    struct pace *pace = &lane->pace;
    int64_t until_ms = later_of(pace->paused_until_ms, pace->rest_until_ms);
    if (pace->far_left <= 0)
        until_ms = later_of(until_ms, pace->far_reset_ms);
    for (size_t i = 0; i < pace->rate_count; i++)
        until_ms = later_of(until_ms, rate_free_ms(&pace->rates[i], now_ms));
    return until_ms > now_ms ? until_ms : 0;
}

unsigned pace_most_calls(const struct lane *lane)
{
    const struct pace *pace = &lane->pace;
    return pace->rests ? 1 : pace->trust < lane->options.concurrency ? pace->trust : lane->options.concurrency;
}

void pace_use(struct lane *lane)
{
    struct pace *pace = &lane->pace;
    int64_t now_ms = clock_wait_ms();
    for (size_t i = 0; i < pace->rate_count; i++) {
        rate_use(&pace->rates[i], now_ms);
        pace->is_dirty = pace->is_dirty || rate_is_rolling(&pace->rates[i]);
    }
    if (pace->far_reset_ms <= now_ms)
        return;
    pace->far_left--;
    pace->is_dirty = true;
}

/* It counted the calls that it has seen; those under way beside the one that it answers may be among them, or not. */
void connection_allows(struct connection *connection, int64_t calls, int64_t reset_ms)
{
    struct lane *lane = connection->lane;
    if (!lane)
        return;
    struct pace *pace = &lane->pace;
    int64_t others = lane->calls ? lane->calls - 1 : 0;
    pace->far_left = calls - others;
    pace->far_reset_ms = reset_ms ? clock_wait_of(reset_ms) : clock_wait_ms() + TRY_AGAIN_MS;
    pace->is_dirty = true;
    lane->is_woken = true;
}

/* ---- the breaker ------------------------------------------------------------------------------- */

int64_t pace_retry_ms(unsigned attempts)
{
    return backoff_ms(attempts, BACKOFF_LEAST_MS, BACKOFF_MOST_MS);
}

void lane_schedule(unsigned attempts, int64_t *least_ms, int64_t *most_ms)
{
    backoff_bounds(attempts, BACKOFF_LEAST_MS, BACKOFF_MOST_MS, least_ms, most_ms);
}

enum breaker_state pace_breaker(const struct lane *lane, int64_t now_ms)
{
    const struct pace *pace = &lane->pace;
    return !pace->rests ? BREAKER_CLOSED : pace->rest_until_ms > now_ms ? BREAKER_OPEN : BREAKER_PROBING;
}

static void rest(struct lane *lane, const char *why)
{
    struct pace *pace = &lane->pace;
    int64_t rest_ms = REST_LEAST_MS + backoff_ms(++pace->rests, REST_LEAST_MS, REST_MOST_MS);
    pace->rest_until_ms = clock_wait_ms() + rest_ms;
    if (pace->rests == 1)
        log_warning("lane %s: rests after %u failures in a row, then sends one probe at a time; the last: %s",
                    lane->connection->name, pace->failures, why);
}

void pace_note_success(struct work *work)
{
    struct lane *lane = work->lane;
    struct pace *pace = &lane->pace;
    if (pace->rests) {
        log_info("lane %s: works again", lane->connection->name);
        pace->trust = 1;
    }
    if (pace->trust < lane->options.concurrency)
        pace->trust++;
    pace->failures = pace->rests = 0;
    pace->rest_until_ms = 0;
}

void pace_note_failure(struct work *work, const char *text)
{
    struct lane *lane = work->lane;
    struct pace *pace = &lane->pace;
    snprintf(lane->text, sizeof lane->text, "%.199s", text);
    if (work->call->has_failed)
        return;
    work->call->has_failed = true;
    pace->failures++;
    int64_t now_ms = clock_wait_ms();
    bool probe_failed = pace->rests && pace->rest_until_ms <= now_ms;
    if (pace->paused_until_ms <= now_ms && (probe_failed || (!pace->rests && pace->failures >= BREAKER_FAILURES)))
        rest(lane, text);
}
