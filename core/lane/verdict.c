/* verdict.c - what becomes of a delivery: done, later, never, unknown
 *
 *      verdict    on disk, in one change                            then
 *      done       outbox row gone, receipt "delivered", counted     the key is free
 *      later      attempts: count, due, what was said               the key waits, others pass
 *      never      outbox row gone, held with the reason             the key is free
 *      unknown    idempotent: as later; else as never, "unknown"
 */
#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/utf8.h"
#include "core/lane/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BACKOFF_LEAST_MS 500
#define BACKOFF_MOST_MS 300000
#define REST_LEAST_MS 1000
#define REST_MOST_MS 60000

static struct work *work_of(struct delivery *delivery)
{
    return (struct work *)((char *)delivery - offsetof(struct work, delivery));
}

/* What a far side said is shown on terminals and in logs: no control characters, no half characters, not too long. */
static void clean(char *text)
{
    struct slice cut = utf8_cut(slice_of(text), TEXT_MAX - 1);
    text[cut.size] = '\0';
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static void put_receipt(struct work *work, struct change *change, const char *outcome, const char *text, uint64_t held)
{
    struct buf row = BUF_INIT(4096);
    int64_t now_ms = clock_now_ms();
    record_add_text(&row, "outcome", slice_of(outcome));
    record_add_integer(&row, "at", now_ms);
    record_add_integer(&row, "attempts", work->delivery.attempt);
    record_add_text(&row, "connection", slice_of(work->lane->connection->name));
    record_add_text(&row, "text", slice_of(text));
    if (held)
        record_add_integer(&row, "held", (int64_t)held);
    change_put_until(change, TABLE_RECEIPTS, slice_of(work->id), now_ms + work->lane->options.receipts_ms,
                     buf_slice(&row));
    buf_clear(&row);
}

static void leave_outbox(struct work *work, struct change *change)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    change_delete(change, TABLE_OUTBOX, store_key_slice(&key));
    if (work->is_marked || work->attempts)
        change_delete(change, TABLE_ATTEMPTS, store_key_slice(&key));
    work->lane->waiting--;
}

static void count(struct work *work, struct change *change, const char *what)
{
    char counter[NAME_MAX_BYTES + 32];
    snprintf(counter, sizeof counter, "lane.%s.%s", work->lane->connection->name, what);
    change_count(change, counter, 1);
}

void attempts_put(struct work *work, struct change *change, const char *state, const char *text)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct buf row = BUF_INIT(4096);
    record_add_text(&row, "state", slice_of(state));
    record_add_integer(&row, "count", work->attempts);
    record_add_integer(&row, "due_ms", work->entry.due_ms);
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "text", slice_of(text));
    change_put(change, TABLE_ATTEMPTS, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
}

/* The work is no longer under way; it stays in the window. */
void work_release(struct work *work)
{
    free(work->row);
    work->row = NULL;
    work->lane->under_way--;
    work->lane->is_woken = true;
}

static void on_settled(void *context)
{
    work_settled(context);
}

void work_settled(struct work *work)
{
    struct lane *lane = work->lane;
    work_release(work);
    window_remove(&lane->window, &work->entry, clock_now_ms());
    free((char *)work->entry.key.data);
    free(work);
}

static void on_postponed(void *context)
{
    struct work *work = context;
    work_release(work);
    window_delay(&work->lane->window, &work->entry);
}

static void postpone(struct work *work, int64_t wait_ms, const char *text)
{
    struct change *change = change_new(on_postponed, work);
    work->attempts++;
    work->is_marked = false;
    work->entry.due_ms = clock_now_ms() + (wait_ms ? wait_ms : backoff_ms(work->attempts, BACKOFF_LEAST_MS, BACKOFF_MOST_MS));
    work->lane->later++;
    attempts_put(work, change, "waiting", text);
    store_commit(work->lane->store, change);
}

void work_hold(struct work *work, const char *verdict, const char *text)
{
    struct lane *lane = work->lane;
    struct change *change = change_new(on_settled, work);
    struct slice item = {work->row, 0};
    struct store_key key = effect_key(lane->connection->name, work->entry.number);
    store_get(lane->store, TABLE_OUTBOX, store_key_slice(&key), &item);

    struct buf row = BUF_INIT(EFFECT_ROW_MAX + 65536);
    record_add_text(&row, "kind", slice_of("effect"));
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "verdict", slice_of(verdict));
    record_add_text(&row, "reason", slice_of(text));
    record_add_text(&row, "connection", slice_of(lane->connection->name));
    record_add_text(&row, "verb", record_get(item, "verb"));
    record_add_text(&row, "flow", record_get(item, "flow"));
    record_add_text(&row, "release", record_get(item, "release"));
    record_add_text(&row, "key", record_get(item, "key"));
    record_add_text(&row, "event_id", record_get(item, "event_id"));
    record_add_text(&row, "effect_id", record_get(item, "id"));
    record_add_integer(&row, "attempts", work->attempts + 1);
    record_add_text(&row, "item", item);
    uint64_t number = held_add(lane->held, change, buf_slice(&row));
    buf_clear(&row);

    leave_outbox(work, change);
    put_receipt(work, change, "held", text, number);
    log_warning("lane %s: effect %s of %s is held as %llu (%s): %s", lane->connection->name, work->id, work->flow,
                (unsigned long long)number, verdict, text);
    store_commit(lane->store, change);
}

/* A receipt of this very effect says that it was delivered or refused already: the same event came again long after. */
bool work_is_repeat(struct work *work, const char **outcome)
{
    int64_t expires_ms;
    struct slice row;
    if (!store_get_until(work->lane->store, TABLE_RECEIPTS, slice_of(work->id), &expires_ms, &row))
        return false;
    *outcome = slice_is(record_get(row, "outcome"), "delivered") ? "delivered" : "refused";
    return slice_is(record_get(row, "outcome"), *outcome);
}

void work_supersede(struct work *work)
{
    struct change *change = change_new(on_settled, work);
    leave_outbox(work, change);
    count(work, change, "superseded");
    store_commit(work->lane->store, change);
}

/* ---- the breaker ---------------------------------------------------------------------------------------- */

void lane_rest(struct lane *lane, const char *why)
{
    int64_t rest_ms = REST_LEAST_MS + backoff_ms(++lane->rests, REST_LEAST_MS, REST_MOST_MS);
    lane->rest_until_ms = clock_now_ms() + rest_ms;
    if (lane->rests == 1)
        log_warning("lane %s: rests after %u failures in a row, then sends one probe at a time; the last: %s",
                    lane->connection->name, lane->failures, why);
}

static void note_success(struct lane *lane)
{
    if (lane->rests)
        log_info("lane %s: works again", lane->connection->name);
    lane->failures = lane->rests = 0;
    lane->rest_until_ms = 0;
}

static void note_failure(struct lane *lane, const char *text)
{
    snprintf(lane->text, sizeof lane->text, "%.199s", text);
    lane->failures++;
    bool probe_failed = lane->rests && lane->rest_until_ms <= clock_now_ms();
    if (lane->paused_until_ms <= clock_now_ms() && (probe_failed || (!lane->rests && lane->failures >= BREAKER_FAILURES)))
        lane_rest(lane, text);
}

/* ---- answers of the adapter -------------------------------------------------------------------------------- */

#define FORMAT_TEXT(text)                         \
    char text[2 * TEXT_MAX];                      \
    va_list args;                                 \
    va_start(args, format);                       \
    vsnprintf(text, sizeof text, format, args);   \
    va_end(args);                                 \
    clean(text)

/* An answer that comes twice would count one effect twice: it is a bug of the adapter and ends the process. */
static struct work *answered(struct delivery *delivery)
{
    struct work *work = work_of(delivery);
    if (!work->is_given) {
        log_error("lane %s: the adapter answered effect %s twice", work->lane->connection->name, work->id);
        abort();
    }
    work->is_given = false;
    return work;
}

void delivery_done(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    struct change *change = change_new(on_settled, work);
    leave_outbox(work, change);
    put_receipt(work, change, "delivered", text, 0);
    count(work, change, "delivered");
    work->lane->delivered++;
    note_success(work->lane);
    store_commit(work->lane->store, change);
}

void delivery_later(struct delivery *delivery, int64_t wait_ms, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    if (wait_ms)
        note_success(work->lane); /* the far side answered, and wants this one later: it is no sign of an outage */
    else
        note_failure(work->lane, text);
    postpone(work, wait_ms, text);
}

void delivery_never(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    note_success(work->lane); /* the far side answered: it is this effect that it does not want */
    work_hold(work, "never", text);
}

void delivery_unknown(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    if (work->delivery.verb->is_idempotent || work->lane->options.retries_unknown) {
        note_failure(work->lane, text);
        postpone(work, 0, text);
    } else {
        work_hold(work, "unknown", text);
    }
}

void connection_says(struct connection *connection, enum connection_state state, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct lane *lane = connection->lane;
    if (!lane)
        return; /* a connection that is only looked at: `headgate check` */
    bool is_new = lane->state != state;
    lane->state = state;
    snprintf(lane->text, sizeof lane->text, "%.199s", text);
    if (is_new && state == CONNECTION_DOWN)
        log_warning("connection %s: down: %s", connection->name, text);
    else if (is_new)
        log_info("connection %s: %s", connection->name, text);
}

void connection_pause(struct connection *connection, int64_t pause_ms, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct lane *lane = connection->lane;
    int64_t until_ms = clock_now_ms() + pause_ms;
    if (lane->paused_until_ms <= clock_now_ms())
        log_warning("connection %s: pauses for %lld s: %s", connection->name, (long long)(pause_ms + 999) / 1000, text);
    if (until_ms > lane->paused_until_ms)
        lane->paused_until_ms = until_ms;
    snprintf(lane->text, sizeof lane->text, "%.199s", text);
    lane->is_woken = true;
}
