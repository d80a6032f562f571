/* lane_kit.h - one lane on core_kit.h, effects made by hand */
#ifndef HEADGATE_TESTS_UNIT_LANE_KIT_H
#define HEADGATE_TESTS_UNIT_LANE_KIT_H

#include "core_kit.h"

static struct lane *lane;
static bool is_committed;

UNUSED static void on_committed(void *context)
{
    is_committed = true;
    lane_wake(context);
}

/* What the next effects say beside their number. */
static enum priority ask_priority;
static enum when_unknown ask_unknown;

UNUSED static void add(struct change *change, const char *verb, const char *key, int number)
{
    struct buf row = BUF_INIT(1000);
    struct effect effect = {.flow = "f",
                            .release = "r",
                            .step = "s",
                            .key = slice_of(key),
                            .event_id = slice_of("e"),
                            .priority = ask_priority,
                            .when_unknown = ask_unknown};
    struct buf fields = BUF_INIT(100);
    record_add_integer(&fields, "number", number);
    effect.fields = buf_slice(&fields);
    effect.asked_ms = clock_now_ms();
    for (const struct verb *each = fake_verbs; each->name; each++)
        if (strcmp(each->name, verb) == 0)
            effect.verb = each;
    snprintf(effect.id, sizeof effect.id, "%s-%s-%d", verb, key, number);
    effect_encode(&effect, &row);
    lane_add(lane, change, buf_slice(&row));
    buf_clear(&row);
    buf_clear(&fields);
}

/* Asks for one effect; returns when it is on disk. */
UNUSED static void ask(const char *verb, const char *key, int number)
{
    struct change *change = change_new(on_committed, lane);
    is_committed = false;
    add(change, verb, key, number);
    store_commit(kit.store, change);
    WAIT_UNTIL(is_committed);
}

UNUSED static void open_lane(unsigned concurrency)
{
    kit_open();
    lane = kit_lane(0, concurrency);
}

UNUSED static void reopen_lane(void)
{
    kit_reopen();
    lane = kit_lane(0, 4);
}

UNUSED static struct lane_view view_of(void)
{
    struct lane_view view;
    lane_look(lane, &view);
    return view;
}

UNUSED static struct delivery *wait_for_delivery(size_t nth)
{
    WAIT_UNTIL(kit.delivery_count >= nth);
    return kit.deliveries[nth - 1];
}

UNUSED static int number_of(const struct delivery *delivery)
{
    return (int)record_get_integer(delivery->fields, "number", -1);
}

struct receipt_search {
    const char *id;
    struct slice found;
};

static bool look_for_receipt(void *context, struct slice key, struct slice value)
{
    struct receipt_search *search = context;
    struct slice row = {value.data + 8, value.size - 8}; /* behind its expiry */
    (void)key;
    if (slice_is(record_get(row, "id"), search->id))
        search->found = row;
    return true;
}

UNUSED static struct slice receipt_of(const char *id)
{
    struct receipt_search search = {id, SLICE_NONE};
    store_scan(kit.store, TABLE_RECEIPTS, SLICE_NONE, SLICE_NONE, look_for_receipt, &search);
    if (!search.found.size)
        fail_msg("%s has no receipt", id);
    return search.found;
}

UNUSED static void expect_settled(void)
{
    WAIT_UNTIL(lane_is_idle(lane) && view_of().waiting == 0);
    assert_int_equal(rows_in(TABLE_OUTBOX), 0);
    assert_int_equal(rows_in(TABLE_ATTEMPTS), 0);
    expect_balance();
}

/* Forwards the wall clock, which the tests freeze. */
UNUSED static void forward(int64_t ms)
{
    clock_set_ms(clock_now_ms() + ms);
    lane_wake(lane);
}

#endif
