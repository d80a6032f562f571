/* settle.c - what becomes of an effect: each in one change, and true when that is on disk
 *
 *      outcome      in one change                                                      then
 *      delivered    outbox row gone, receipt, counted; mark that it was sent           the key is free
 *      superseded   outbox row gone, receipt, counted                                  the key is free
 *      held         outbox row gone, held row with the reason, receipt                 the key is free
 *      postponed    attempts: count, due, what was said                                the key waits, others pass
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/lane/internal.h"

#include <stdio.h>
#include <stdlib.h>

void receipt_put(struct lane *lane, struct change *change, uint64_t number, const struct receipt *receipt)
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
    receipt_put(lane, change, (uint64_t)record_get_integer(held_row, "number", 0), &receipt);
    mark_sent(lane, change, id);
    change_count(change, lane->counter_keys[LANE_REFUSED], 1);
    struct slice campaign = record_get(record_get(held_row, "item"), "campaign");
    if (campaign.size)
        campaign_count(change, lane->connection->name, campaign, CAMPAIGN_REFUSED, 1);
    lane_tell(lane, change,
              &(struct lane_outcome){.flow = record_get(held_row, "flow"),
                                     .verb = record_get(held_row, "verb"),
                                     .id = id,
                                     .next = record_get(record_get(held_row, "item"), "next"),
                                     .outcome = receipt.outcome,
                                     .text = text,
                                     .attempts = receipt.attempts});
}

/* Of one that is not in the outbox any more. */
void receipt_refused(struct lane *lane, struct change *change, uint64_t number, struct slice id, const char *text)
{
    struct receipt receipt = {.outcome = "refused", .id = id, .text = text};
    receipt_put(lane, change, number, &receipt);
    change_count(change, lane->counter_keys[LANE_REFUSED], 1);
}

void receipt_superseded(struct lane *lane, struct change *change, uint64_t number, struct slice id, const char *text)
{
    struct receipt receipt = {.outcome = "superseded", .id = id, .text = text};
    receipt_put(lane, change, number, &receipt);
}

void work_counts(struct work *work, struct change *change, enum campaign_counter counter)
{
    if (work->campaign.size)
        campaign_count(change, work->lane->connection->name, work->campaign, counter, 1);
}

/* ---- rows of the work --------------------------------------------------------------------------- */

void work_leave_outbox(struct work *work, struct change *change)
{
    struct lane *lane = work->lane;
    enum priority priority = priority_of(work->entry.number);
    struct store_key key = effect_key(lane->connection->name, work->entry.number);
    change_delete(change, TABLE_OUTBOX, store_key_slice(&key));
    if (work->has_attempts)
        change_delete(change, TABLE_ATTEMPTS, store_key_slice(&key));
    change_count(change, lane->counter_keys[LANE_WAITING + priority], -1);
    lane->backlogs[priority].waiting--;
    if (work->campaign.size)
        campaign_count(change, lane->connection->name, work->campaign, CAMPAIGN_OUTBOX, -1);
    pace_save(lane, change);
}

void attempts_put(struct work *work, struct change *change, const char *state, const char *text)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct buf *row = &work->lane->scratch;
    work->has_attempts = true;
    buf_reset(row);
    record_add_text(row, "state", slice_of(state));
    record_add_integer(row, "count", work->attempts);
    record_add_integer(row, "due_ms", clock_moment_of(work->entry.due_ms));
    record_add_integer(row, "at", clock_now_ms());
    record_add_text(row, "text", slice_of(text));
    change_put(change, TABLE_ATTEMPTS, store_key_slice(&key), buf_slice(row));
    pace_save(work->lane, change);
}

/* ---- in memory ------------------------------------------------------------------------------------ */

/* The far side has answered: the next call need not wait for the disk.  One that is not idempotent waits for it, so
 * that a crash leaves as few as possible of which nobody knows. */
void work_answered(struct work *work)
{
    if (!work->is_awaited)
        return;
    work->is_awaited = false;
    if (--work->call->awaited)
        return;
    work->lane->calls--;
    work->lane->is_woken = true;
}

void work_release(struct work *work)
{
    struct call *call = work->call;
    work_answered(work);
    work_unload(work);
    work->call = NULL;
    work->lane->under_way--;
    work->lane->is_woken = true;
    if (--call->open)
        return;
    work->lane->open_calls--;
    free(call);
}

void work_settled(struct work *work)
{
    work->lane->feeds = true;
    work_release(work);
    backlog_remove(work);
}

static void on_settled(void *context)
{
    work_settled(context);
}

static void on_postponed(void *context)
{
    struct work *work = context;
    work_release(work);
    backlog_delay(work);
}

struct change *work_change(struct work *work)
{
    return change_new(on_settled, work);
}

/* It leaves the outbox, with a receipt that says how. */
void work_leave(struct work *work, struct change *change, const char *outcome, const char *text)
{
    struct receipt receipt = {.outcome = outcome, .id = slice_of(work->id), .attempts = work->attempts, .text = text};
    work_leave_outbox(work, change);
    receipt_put(work->lane, change, work->entry.number, &receipt);
}

/* It is not sent, or not again, and nobody needs to decide. */
void work_refuse(struct work *work, struct change *change, enum campaign_counter counter, const char *text)
{
    work_leave(work, change, "refused", text);
    work_counts(work, change, counter);
    change_count(change, work->lane->counter_keys[LANE_REFUSED], 1);
    work_tell(work, change, "refused", text, SLICE_NONE);
    store_commit(work->lane->store, change);
}

/* ---- outcomes --------------------------------------------------------------------------------------- */

/* For its flow's fuses.  What was not even sent says nothing about the far side. */
static void tell_fuses(struct work *work, struct change *change, bool is_good, const char *text)
{
    const struct lane_options *options = &work->lane->options;
    if (options->on_answer && work->was_given)
        options->on_answer(options->context, change, work->lane->connection, work->flow, is_good, text);
}

void work_delivered(struct work *work, struct slice data, const char *text)
{
    struct change *change = change_new(on_settled, work);
    struct receipt receipt = {
        .outcome = "delivered", .id = slice_of(work->id), .attempts = work->delivery.attempt, .text = text};
    work_leave_outbox(work, change);
    receipt_put(work->lane, change, work->entry.number, &receipt);
    if (!work->delivery.verb->is_idempotent)
        mark_sent(work->lane, change, slice_of(work->id));
    change_count(change, work->lane->counter_keys[LANE_DELIVERED], 1);
    work_counts(work, change, CAMPAIGN_DELIVERED);
    work_tell(work, change, receipt.outcome, text, data);
    tell_fuses(work, change, true, text);
    work->lane->delivered++;
    stats_latency(&work->lane->stats, clock_now_ms() - work->received_ms);
    store_commit(work->lane->store, change);
}

/* The mark of this very effect says that it was delivered, or refused for good, already: the same event came again,
 * long after it was forgotten as seen.  Where sending twice is the same as once, nobody needs to look. */
bool work_is_repeat(const struct work *work)
{
    int64_t expires_ms;
    struct slice nothing;
    return !work->delivery.verb->is_idempotent
           && store_get_until(work->lane->store, TABLE_SENT, slice_of(work->id), &expires_ms, &nothing);
}

void work_repeat(struct work *work)
{
    static const char text[] = "it was sent before, for an earlier arrival of the event";
    struct change *change = change_new(on_settled, work);
    work_leave_outbox(work, change);
    receipt_superseded(work->lane, change, work->entry.number, slice_of(work->id), text);
    work_tell(work, change, "superseded", text, SLICE_NONE);
    change_count(change, work->lane->counter_keys[LANE_SUPERSEDED], 1);
    work_counts(work, change, CAMPAIGN_SUPERSEDED);
    store_commit(work->lane->store, change);
}

/* A try at a time that is beyond its age would be none: it is held now. */
void work_postpone(struct work *work, int64_t wait_ms, const char *text)
{
    int64_t due_ms = clock_now_ms() + (wait_ms ? wait_ms : pace_retry_ms(work->attempts + 1));
    work->lane->later++;
    if (work_is_expired(work, due_ms)) {
        work_expire(work, text);
        return;
    }
    struct change *change = change_new(on_postponed, work);
    work->attempts++;
    work->is_marked = false;
    work->entry.due_ms = clock_wait_of(due_ms);
    attempts_put(work, change, "waiting", text);
    store_commit(work->lane->store, change);
}

/* ---- held -------------------------------------------------------------------------------------------- */

static void add_known(struct buf *row, const struct delivery_known *known)
{
    if (known->whole_bytes) {
        record_add_integer(row, "bytes_sent", known->sent_bytes);
        record_add_integer(row, "bytes_total", known->whole_bytes);
    }
    if (known->phase)
        record_add_text(row, "phase", slice_of(known->phase));
    if (known->last_reply && known->last_reply[0])
        record_add_text(row, "last_reply", slice_of(known->last_reply));
    record_add_integer(row, "sent_at", known->sent_ms ? known->sent_ms : clock_now_ms());
}

void work_hold_in(struct work *work, struct change *change, const char *verdict, const char *text,
                  const struct delivery_known *known)
{
    struct lane *lane = work->lane;
    struct slice item = {work->row, 0};
    struct store_key key = effect_key(lane->connection->name, work->entry.number);
    store_get(lane->store, TABLE_OUTBOX, store_key_slice(&key), &item);
    unsigned attempts = work->attempts + work->was_given;

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
    record_add_integer(row, "attempts", attempts);
    if (known)
        add_known(row, known);
    record_add_text(row, "item", item);
    uint64_t number = held_add(lane->held, change, buf_slice(row));
    tell_fuses(work, change, false, text);

    struct receipt receipt = {
        .outcome = "held", .id = slice_of(work->id), .attempts = attempts, .text = text, .held = number};
    work_leave_outbox(work, change);
    receipt_put(lane, change, work->entry.number, &receipt);
    stats_outcome(&lane->stats, slice_of(work->flow), STATS_HELD);
    log_about(LOG_LEVEL_WARNING,
              (struct log_about){.flow = work->flow, .connection = lane->connection->name, .effect = work->id},
              "lane %s: effect %s of %s is held as %llu (%s): %s", lane->connection->name, work->id, work->flow,
              (unsigned long long)number, verdict, text);
    store_commit(lane->store, change);
}

void work_hold(struct work *work, const char *verdict, const char *text, const struct delivery_known *known)
{
    work_hold_in(work, work_change(work), verdict, text, known);
}

bool work_is_expired(const struct work *work, int64_t at_ms)
{
    int64_t max_age_ms = work->lane->options.max_age_ms;
    return max_age_ms && at_ms - work->since_ms > max_age_ms;
}

void work_expire(struct work *work, const char *last)
{
    char text[TEXT_MAX + 200], age[SETTINGS_PRINT_MAX];
    settings_print(OPTION_DURATION, work->lane->options.max_age_ms, age);
    snprintf(text, sizeof text, "not delivered within %s (max_age of the connection), and not tried any more; last: %s",
             age, last);
    work_hold(work, "expired", text, NULL);
}
