/* continuation.c - see continuation.h */
#include "core/flow/continuation.h"

#include "core/base/clock.h"
#include "core/flow/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define NOT_A_STEP "\x1f" /* begins what no step can be named */

static const char *const own_fields[] = {"id",    "key",    "received_ms", "continues_at", "cause",
                                         "timer", "result", "because",     "late_ms",      NULL};

int continuation_step(struct run *run, const char *name, struct err *err)
{
    struct buf names = BUF_INIT(4000);
    int step = instance_find_step(run->instance, slice_of(name), &names);
    if (step < 0)
        err_set(err, "there is no step `%.100s`; the steps are %s", name, names.data);
    buf_clear(&names);
    if (step >= 0 && run->event_bytes > CARRIED_MOST) {
        err_set(err, "the event has %zu bytes; one that goes on later may have %zu MiB", run->event_bytes,
                CARRIED_MOST >> 20);
        return -1;
    }
    if (step >= 0 && (run->carried_bytes += run->event_bytes) > CARRIED_RUN_MOST) {
        err_set(err, "what is kept of this event to go on with has more than %zu MiB in all", CARRIED_RUN_MOST >> 20);
        return -1;
    }
    return step;
}

static bool is_own(struct slice name)
{
    for (const char *const *own = own_fields; *own; own++)
        if (slice_is(name, *own))
            return true;
    return false;
}

void continuation_cause(struct run *run, char *cause)
{
    effect_make_id(run->instance->release->name, run_identity(run), NOT_A_STEP "cause", run->named++, cause);
}

void continuation_carry(const struct run *run, struct slice record, int step, const char *cause, struct buf *carried)
{
    struct field field;
    char name[256];
    buf_reset(carried);
    for (size_t at = 0; record_next(record, &at, &field);) {
        if (is_own(field.name))
            continue;
        memcpy(name, field.name.data, field.name.size);
        name[field.name.size] = '\0';
        record_add(carried, name, field.kind, field.value);
    }
    record_add_text(carried, "id", slice_of(run->id));
    record_add_text(carried, "key", slice_of(run->key));
    record_add_integer(carried, "received_ms", run->received_ms);
    record_add_text(carried, "continues_at", slice_of(instance_step_name(run->instance, step)));
    record_add_text(carried, "cause", slice_of(cause));
}

bool continuation_take_up(struct run *run, struct slice record, struct err *err)
{
    struct slice step = record_get(record, "continues_at"), cause = record_get(record, "cause");
    struct buf names = BUF_INIT(4000);
    snprintf(run->cause, sizeof run->cause, "%c%.*s", CAUSE_MARK, SLICE_ARG(cause));
    run->step = instance_find_step(run->instance, step, &names);
    if (run->step < 0)
        err_set(err,
                "it is to go on at step %.*s, which this release does not have; its steps are %s. Deploy one that has "
                "it and retry, or discard it",
                SLICE_ARG(step), names.data);
    buf_clear(&names);
    bool ok = run->step >= 0;
    run->step = ok ? run->step : 0;
    return ok;
}

#define TRAIL_TIMERS 20 /* of one run */

void continuation_trail(const struct run *run, struct slice record, struct buf *item)
{
    struct slice because = record_get(record, "because");
    size_t count = 0;
    if (because.size) {
        buf_add_text(item, ",\"because\":");
        buf_add_json(item, because);
    }
    for (size_t i = 0; i < run->wishes.count && count < TRAIL_TIMERS; i++) {
        const struct wish *wish = &run->wishes.list[i];
        if (wish->kind != WISH_TIMER && wish->kind != WISH_CANCEL)
            continue;
        buf_add_text(item, count++ ? ",{\"name\":" : ",\"timers\":[{\"name\":");
        buf_add_json(item, slice_of(wish->name));
        if (wish->kind == WISH_TIMER)
            buf_addf(item, ",\"in\":%lld,\"step\":\"%s\"}", (long long)wish->in_ms,
                     instance_step_name(run->instance, wish->step));
        else
            buf_add_text(item, ",\"cancelled\":true}");
    }
    if (count)
        buf_add_char(item, ']');
}

void continuation_arrives(struct flow *flow, struct change *change, const struct continuation *continuation)
{
    struct slice carried = continuation->carried;
    struct buf record = BUF_INIT(2 * CARRIED_MOST);
    buf_add_slice(&record, carried);
    record_add(&record, continuation->what, RECORD_JSON, continuation->json);
    record_add_text(&record, "because", slice_of(continuation->because));
    if (continuation->late_ms)
        record_add_integer(&record, "late_ms", *continuation->late_ms);
    struct inbox_row row = {.record = buf_slice(&record),
                            .id = record_get(carried, "id"),
                            .key = record_get(carried, "key"),
                            .received_ms = record_get_integer(carried, "received_ms", clock_now_ms())};
    struct arrival *arrival = inbox_add(flow, change, &row);
    if (arrival)
        arrival->is_taken_back = true;
    flow_count(flow, change, COUNT_RECEIVED);
    buf_clear(&record);
}

void flow_outcome(struct flow *flow, struct change *change, const struct lane_outcome *outcome)
{
    struct buf json = BUF_INIT((size_t)1 << 20);
    buf_add_text(&json, "{\"outcome\":");
    buf_add_json(&json, slice_of(outcome->outcome));
    buf_add_text(&json, ",\"connection\":");
    buf_add_json(&json, outcome->connection);
    buf_add_text(&json, ",\"verb\":");
    buf_add_json(&json, outcome->verb);
    buf_add_text(&json, ",\"id\":");
    buf_add_json(&json, outcome->id);
    buf_add_text(&json, ",\"text\":");
    buf_add_json(&json, slice_of(outcome->text));
    buf_addf(&json, ",\"attempts\":%u,\"at\":%lld", outcome->attempts, (long long)clock_now_ms());
    if (outcome->data.size) {
        buf_add_text(&json, ",\"data\":");
        buf_add_slice(&json, outcome->data);
    }
    buf_add_text(&json, "}");
    char because[3 * NAME_MAX_BYTES];
    snprintf(because, sizeof because, "%.*s.%.*s %s", SLICE_ARG(outcome->connection), SLICE_ARG(outcome->verb),
             outcome->outcome);
    struct continuation continuation = {
        .carried = outcome->next, .what = "result", .because = because, .json = buf_slice(&json)};
    continuation_arrives(flow, change, &continuation);
    flow->is_woken = true;
    buf_clear(&json);
}
