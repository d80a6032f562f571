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

struct receipt {
    const char *outcome;
    struct slice id;
    unsigned attempts;
    const char *text;
    uint64_t held;   /* its number there; 0: it is not held */
    uint64_t number; /* of the retry; 0: none */
};

static void put_receipt(struct lane *lane, struct change *change, uint64_t number, const struct receipt *receipt)
{
    struct store_key key = effect_key(lane->connection->name, number);
    struct buf *row = &lane->scratch;
    int64_t now_ms = clock_now_ms();
    buf_reset(row);
    record_add_text(row, "outcome", slice_of(receipt->outcome));
    record_add_text(row, "id", receipt->id);
    record_add_integer(row, "at", now_ms);
    record_add_integer(row, "attempts", receipt->attempts);
    record_add_text(row, "text", slice_of(receipt->text));
    if (receipt->held)
        record_add_integer(row, "held", (int64_t)receipt->held);
    if (receipt->number)
        record_add_integer(row, "number", (int64_t)receipt->number);
    change_put_until(change, TABLE_RECEIPTS, store_key_slice(&key), now_ms + lane->options.receipts_ms, buf_slice(row));
}

void receipt_retried(struct lane *lane, struct change *change, uint64_t number, uint64_t new_number)
{
    struct receipt receipt = {.outcome = "retried", .id = SLICE_NONE, .text = "", .number = new_number};
    put_receipt(lane, change, number, &receipt);
}

static void mark_sent(struct lane *lane, struct change *change, struct slice id)
{
    change_put_until(change, TABLE_SENT, id, clock_now_ms() + lane->options.receipts_ms, SLICE_NONE);
}

void lane_refuse_effect(struct lane *lane, struct change *change, struct slice held_row, const char *text)
{
    struct slice id = record_get(held_row, "effect_id");
    struct receipt receipt = {.outcome = "refused",
                              .id = id,
                              .attempts = (unsigned)record_get_integer(held_row, "attempts", 0),
                              .text = text};
    put_receipt(lane, change, (uint64_t)record_get_integer(held_row, "number", 0), &receipt);
    mark_sent(lane, change, id);
    change_count(change, lane->counter_keys[LANE_REFUSED], 1);
    struct slice campaign = record_get(record_get(held_row, "item"), "campaign");
    if (campaign.size)
        campaign_count(change, lane->connection->name, campaign, CAMPAIGN_REFUSED, 1);
}

void receipt_superseded(struct lane *lane, struct change *change, uint64_t number, struct slice id, const char *text)
{
    struct receipt receipt = {.outcome = "superseded", .id = id, .text = text};
    put_receipt(lane, change, number, &receipt);
}

void work_counts(struct work *work, struct change *change, enum campaign_counter counter)
{
    if (work->campaign.size)
        campaign_count(change, work->lane->connection->name, work->campaign, counter, 1);
}

static void leave_outbox(struct work *work, struct change *change)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    change_delete(change, TABLE_OUTBOX, store_key_slice(&key));
    if (work->has_attempts)
        change_delete(change, TABLE_ATTEMPTS, store_key_slice(&key));
    work->lane->waiting--;
    if (work->campaign.size)
        campaign_count(change, work->lane->connection->name, work->campaign, CAMPAIGN_OUTBOX, -1);
}

void attempts_put(struct work *work, struct change *change, const char *state, const char *text)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct buf *row = &work->lane->scratch;
    work->has_attempts = true;
    buf_reset(row);
    record_add_text(row, "state", slice_of(state));
    record_add_integer(row, "count", work->attempts);
    record_add_integer(row, "due_ms", work->entry.due_ms);
    record_add_integer(row, "at", clock_now_ms());
    record_add_text(row, "text", slice_of(text));
    change_put(change, TABLE_ATTEMPTS, store_key_slice(&key), buf_slice(row));
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
    work->entry.due_ms =
        clock_now_ms() + (wait_ms ? wait_ms : backoff_ms(work->attempts, BACKOFF_LEAST_MS, BACKOFF_MOST_MS));
    work->lane->later++;
    attempts_put(work, change, "waiting", text);
    store_commit(work->lane->store, change);
}

void work_hold_in(struct work *work, struct change *change, const char *verdict, const char *text)
{
    struct lane *lane = work->lane;
    struct slice item = {work->row, 0};
    struct store_key key = effect_key(lane->connection->name, work->entry.number);
    store_get(lane->store, TABLE_OUTBOX, store_key_slice(&key), &item);

    struct buf *row = &lane->scratch;
    buf_reset(row);
    record_add_text(row, "kind", slice_of("effect"));
    record_add_integer(row, "at", clock_now_ms());
    record_add_text(row, "verdict", slice_of(verdict));
    record_add_text(row, "reason", slice_of(text));
    record_add_text(row, "connection", slice_of(lane->connection->name));
    record_add_integer(row, "number", (int64_t)work->entry.number);
    record_add_text(row, "verb", record_get(item, "verb"));
    record_add_text(row, "flow", record_get(item, "flow"));
    record_add_text(row, "release", record_get(item, "release"));
    record_add_text(row, "key", record_get(item, "key"));
    record_add_text(row, "event_id", record_get(item, "event_id"));
    record_add_text(row, "effect_id", record_get(item, "id"));
    record_add_integer(row, "attempts", work->attempts + 1);
    record_add_text(row, "item", item);
    uint64_t number = held_add(lane->held, change, buf_slice(row));

    struct receipt receipt = {
        .outcome = "held", .id = slice_of(work->id), .attempts = work->attempts + 1, .text = text, .held = number};
    leave_outbox(work, change);
    put_receipt(lane, change, work->entry.number, &receipt);
    log_about(LOG_LEVEL_WARNING,
              (struct log_about){.flow = work->flow, .connection = lane->connection->name, .effect = work->id},
              "lane %s: effect %s of %s is held as %llu (%s): %s", lane->connection->name, work->id, work->flow,
              (unsigned long long)number, verdict, text);
    store_commit(lane->store, change);
}

struct change *work_change(struct work *work)
{
    return change_new(on_settled, work);
}

void work_hold(struct work *work, const char *verdict, const char *text)
{
    work_hold_in(work, work_change(work), verdict, text);
}

/* It leaves the outbox, with a receipt that says how. */
void work_leave(struct work *work, struct change *change, const char *outcome, const char *text)
{
    struct receipt receipt = {.outcome = outcome, .id = slice_of(work->id), .attempts = work->attempts, .text = text};
    leave_outbox(work, change);
    put_receipt(work->lane, change, work->entry.number, &receipt);
}

/* It is not sent, or not again, and nobody needs to decide. */
void work_refuse(struct work *work, struct change *change, enum campaign_counter counter, const char *text)
{
    work_leave(work, change, "refused", text);
    work_counts(work, change, counter);
    change_count(change, work->lane->counter_keys[LANE_REFUSED], 1);
    store_commit(work->lane->store, change);
}

/* The mark of this very effect says that it was delivered, or refused for good, already: the same event came again,
 * long after it was forgotten as seen.  Where sending twice is the same as once, nobody needs to look. */
bool work_is_repeat(struct work *work)
{
    int64_t expires_ms;
    struct slice nothing;
    return !work->delivery.verb->is_idempotent
           && store_get_until(work->lane->store, TABLE_SENT, slice_of(work->id), &expires_ms, &nothing);
}

void work_supersede(struct work *work)
{
    struct change *change = change_new(on_settled, work);
    struct receipt receipt = {.outcome = "superseded",
                              .id = slice_of(work->id),
                              .text = "it was sent before, for an earlier arrival of the event"};
    leave_outbox(work, change);
    put_receipt(work->lane, change, work->entry.number, &receipt);
    change_count(change, work->lane->counter_keys[LANE_SUPERSEDED], 1);
    work_counts(work, change, CAMPAIGN_SUPERSEDED);
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
    if (lane->paused_until_ms <= clock_now_ms()
        && (probe_failed || (!lane->rests && lane->failures >= BREAKER_FAILURES)))
        lane_rest(lane, text);
}

/* ---- answers of the adapter -------------------------------------------------------------------------------- */

#define FORMAT_TEXT(text)                                                                                              \
    char text[2 * TEXT_MAX];                                                                                           \
    va_list args;                                                                                                      \
    va_start(args, format);                                                                                            \
    vsnprintf(text, sizeof text, format, args);                                                                        \
    va_end(args);                                                                                                      \
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
    struct receipt receipt = {
        .outcome = "delivered", .id = slice_of(work->id), .attempts = work->delivery.attempt, .text = text};
    leave_outbox(work, change);
    put_receipt(work->lane, change, work->entry.number, &receipt);
    if (!work->delivery.verb->is_idempotent)
        mark_sent(work->lane, change, slice_of(work->id));
    change_count(change, work->lane->counter_keys[LANE_DELIVERED], 1);
    work_counts(work, change, CAMPAIGN_DELIVERED);
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

void delivery_never_again(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    note_success(work->lane);
    work_bounce(work, text);
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
    bool is_down = state == CONNECTION_DOWN;
    if (is_new)
        log_about(is_down ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, (struct log_about){.connection = connection->name},
                  "connection %s: %s%s", connection->name, is_down ? "down: " : "", text);
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
