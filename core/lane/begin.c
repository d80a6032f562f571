/* begin.c - an effect, or a batch of them, on its way to the adapter
 *
 *      taken ──► loaded ──► is it to be sent at all? ──► joined by others (batch) ──► idempotent: given at once
 *                             │ no: settled here                                 └──► else: marked `sending` on
 *                             ▼                                                       disk, then given
 *              repeat, expired, unknown after a crash, unknown verb
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/lane/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define LOOKED_AT_MOST 1000 /* effects, for one batch */

/* ---- loading -------------------------------------------------------------------------------- */

static const struct verb *find_verb(const struct connection *connection, struct slice name)
{
    const struct verb *verbs = connection->verbs ? connection->verbs : connection->adapter->verbs;
    for (const struct verb *verb = verbs; verb && verb->name; verb++)
        if (slice_is(name, verb->name))
            return verb;
    return NULL;
}

static void copy_text(char *to, size_t room, struct slice text)
{
    size_t size = text.size < room ? text.size : room - 1;
    if (size)
        memcpy(to, text.data, size);
    to[size] = '\0';
}

bool work_load(struct work *work, const char **why)
{
    struct lane *lane = work->lane;
    struct store_key key = effect_key(lane->connection->name, work->entry.number);
    struct slice row;
    *why = NULL;
    if (!store_get(lane->store, TABLE_OUTBOX, store_key_slice(&key), &row))
        return false;
    work->row = mem_copy(row);
    work->was_given = false;
    row.data = work->row;
    work->since_ms = work->received_ms = work->entry.asked_ms;
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
        else if (slice_is(field.name, "verb"))
            work->delivery.verb = find_verb(lane->connection, field.value);
        else if (slice_is(field.name, "campaign"))
            work->campaign = field.value;
        else if (slice_is(field.name, "next"))
            work->next = field.value;
        else if (slice_is(field.name, "fields"))
            work->delivery.fields = field.value;
        else if (slice_is(field.name, "when_unknown"))
            work->when_unknown = slice_is(field.value, "retry") ? UNKNOWN_RETRY : UNKNOWN_HOLD;
        else if (slice_is(field.name, "since_ms"))
            work->since_ms = record_get_integer(row, "since_ms", work->since_ms);
        else if (slice_is(field.name, "received_ms"))
            work->received_ms = record_get_integer(row, "received_ms", work->received_ms);
    }
    if (!work->delivery.verb)
        *why = "this version of the adapter has no such verb";
    return work->delivery.verb != NULL;
}

void work_unload(struct work *work)
{
    free(work->row);
    work->row = NULL;
    work->campaign = work->next = SLICE_NONE;
}

/* ---- calls ------------------------------------------------------------------------------------ */

static struct call *call_new(struct lane *lane, size_t most)
{
    struct call *call = mem_zero(sizeof *call + most * sizeof(struct delivery *));
    call->lane = lane;
    lane->calls++;
    lane->open_calls++;
    return call;
}

static void call_add(struct call *call, struct work *work)
{
    call->deliveries[call->count++] = &work->delivery;
    call->open++;
    call->awaited++;
    work->is_awaited = true;
    work->call = call;
    call->lane->under_way++;
}

bool work_may_repeat(const struct work *work)
{
    return work->delivery.verb->is_idempotent || work->when_unknown == UNKNOWN_RETRY
           || (work->when_unknown == UNKNOWN_AS_CONNECTION && work->lane->options.retries_unknown);
}

/* Nothing but to send it remains. */
static bool is_plain(const struct work *work)
{
    return !work->delivery.verb->recipient_field && !(work->is_marked && !work_may_repeat(work))
           && !work_is_repeat(work) && !work_is_expired(work, clock_now_ms());
}

/* Why it is not known whether a marked effect arrived: a crash, or what its mark says. */
static void hold_unknown(struct work *work)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct delivery_known known = {.sent_ms = work->marked_ms};
    struct slice row = SLICE_NONE;
    char text[TEXT_MAX];
    store_get(work->lane->store, TABLE_ATTEMPTS, store_key_slice(&key), &row);
    copy_text(text, sizeof text, record_get(row, "text"));
    work_hold(work, "unknown", text[0] ? text : "the daemon stopped while this was being sent: it may have arrived",
              &known);
}

/* Settles what is not to be sent; false: it is one of these. */
static bool is_to_be_sent(struct work *work)
{
    if (work_is_repeat(work)) {
        work_repeat(work);
    } else if (work->is_marked && !work_may_repeat(work)) {
        hold_unknown(work);
    } else if (work_is_unwanted(work)) {
        return false;
    } else if (work_is_expired(work, clock_now_ms())) {
        work_expire(work, "it waited");
    } else {
        return !work_merge(work);
    }
    return false;
}

/* ---- batches ------------------------------------------------------------------------------------- */

static bool may_join(struct call *call, struct work *work)
{
    const struct verb *verb = call->deliveries[0]->verb;
    const char *why;
    if (!work_load(work, &why))
        return false;
    return work->delivery.verb == verb && is_plain(work) && !lane_parks(work->lane, work->flow)
           && (!verb->goes_with || verb->goes_with(call->deliveries[0]->fields, work->delivery.fields))
           && !work_would_merge(work);
}

/* Takes whatever may go with the first; all of other keys, for of each key only the first is in line. */
static void gather(struct call *call, size_t most)
{
    struct window *window = &call->lane->backlogs[priority_of(work_of(call->deliveries[0])->entry.number)].window;
    struct entry *aside[LOOKED_AT_MOST], *entry;
    size_t aside_count = 0;
    int64_t now_ms = clock_wait_ms();
    while (call->count < most && aside_count < LOOKED_AT_MOST && (entry = window_take(window, now_ms))) {
        struct work *work = (struct work *)entry;
        if (may_join(call, work)) {
            call_add(call, work);
        } else {
            work_unload(work);
            aside[aside_count++] = entry;
        }
    }
    while (aside_count)
        window_untake(window, aside[--aside_count]);
}

/* ---- giving ----------------------------------------------------------------------------------------- */

/* Answers may come before deliver returns, and with the last one the call is gone. */
static void give(struct call *call)
{
    struct connection *connection = call->lane->connection;
    for (size_t i = 0; i < call->count; i++) {
        struct work *work = work_of(call->deliveries[i]);
        work->is_given = work->was_given = true;
    }
    if (call->deliveries[0]->verb->batch_most)
        connection->adapter->deliver_batch(connection, call->deliveries, call->count);
    else
        connection->adapter->deliver(connection, call->deliveries[0]);
}

static void on_marked(void *context)
{
    struct call *call = context;
    struct lane *lane = call->lane;
    bool is_parked = call_is_parked(call);
    if (!lane->is_stopped && !is_parked && lane->pace.paused_until_ms <= clock_wait_ms()) {
        give(call);
        return;
    }
    /* Not sent, though the marks say so: they are taken back, so that nothing is unknown after a crash. */
    struct change *change = change_new(NULL, NULL);
    for (size_t count = call->count, i = 0; i < count; i++) {
        struct work *work = work_of(call->deliveries[i]);
        work->is_marked = false;
        work->entry.due_ms = lane->pace.paused_until_ms;
        attempts_put(work, change, "waiting",
                     lane->is_stopped ? "the daemon stopped before it was sent"
                     : is_parked      ? "the gate of its flow is tripped"
                                      : lane->text);
        work_release(work); /* with the last one the call is gone */
        backlog_delay(work);
    }
    store_commit(lane->store, change);
}

/* A verb that is not idempotent is marked on disk before it leaves: after a crash it is unknown, not due. */
static void mark_and_give(struct call *call)
{
    struct change *change = change_new(on_marked, call);
    for (size_t i = 0; i < call->count; i++) {
        struct work *work = work_of(call->deliveries[i]);
        work->is_marked = true;
        attempts_put(work, change, "sending", "");
    }
    store_commit(call->lane->store, change);
}

static size_t most_in_call(const struct lane *lane, const struct verb *verb)
{
    return verb && verb->batch_most > 1 && !lane->pace.rests ? verb->batch_most : 1; /* a probe is one effect */
}

void lane_begin(struct work *work)
{
    struct lane *lane = work->lane;
    const char *why;
    bool is_loaded = work_load(work, &why);
    size_t most = most_in_call(lane, is_loaded ? work->delivery.verb : NULL);
    struct call *call = call_new(lane, most);
    call_add(call, work);
    if (!is_loaded && why) {
        work_hold(work, "never", why, NULL);
    } else if (!is_loaded) {
        log_error("lane %s: effect number %" PRIu64 " is gone from the outbox", lane->connection->name,
                  work->entry.number);
        work_settled(work);
    } else if (is_to_be_sent(work)) {
        pace_use(lane);
        gather(call, most);
        if (work->delivery.verb->is_idempotent)
            give(call);
        else
            mark_and_give(call);
    }
}
