/* continuation.c - see continuation.h */
#include "core/flow/continuation.h"

#include "core/base/clock.h"
#include "core/flow/internal.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const own_fields[] = {"id",     "key",     "received_ms", "continues_at", "cause", "timer",
                                         "result", "late_ms", NULL};

int continuation_step(const struct run *run, const char *name, struct err *err)
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
    return step;
}

static bool is_own(struct slice name)
{
    for (const char *const *own = own_fields; *own; own++)
        if (slice_is(name, *own))
            return true;
    return false;
}

void continuation_carry(const struct run *run, struct slice record, int step, struct buf *carried)
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

void continuation_arrives(struct flow *flow, struct change *change, const struct continuation *continuation)
{
    struct slice carried = continuation->carried;
    struct buf record = BUF_INIT(2 * CARRIED_MOST);
    buf_add_slice(&record, carried);
    record_add_text(&record, "cause", continuation->cause);
    record_add(&record, continuation->what, RECORD_JSON, continuation->json);
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
