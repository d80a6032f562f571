/* test_faults_lane.c - whatever fails under a lane, an effect that was asked for is delivered or held, in order, and
 * what cannot be repeated is sent once at most */
#include "faults.h"
#include "lane_kit.h"

#define EFFECTS 6
#define LATE 7                    /* asked for after the fault */
#define OVERTOOK (NOTED_MOST - 1) /* in noted->is_done: an effect came before an earlier one of its key was settled */

/* number, key, verb; and what the far side says to it */
static const struct {
    const char *verb, *key;
} effects[LATE + 1] = {
    [1] = {"put", "a"},  /* done */
    [2] = {"send", "b"}, /* done */
    [3] = {"put", "a"},  /* later, then done */
    [4] = {"put", "c"},  /* never */
    [5] = {"send", "d"}, /* unknown */
    [6] = {"send", "b"}, /* done */
    [7] = {"send", "e"}, /* done */
};

static struct slice outcome_of(int number)
{
    char id[64];
    snprintf(id, sizeof id, "%s-%s-%d", effects[number].verb, effects[number].key, number);
    struct receipt_search search = {id, SLICE_NONE};
    store_scan(kit.store, TABLE_RECEIPTS, SLICE_NONE, SLICE_NONE, look_for_receipt, &search);
    return record_get(search.found, "outcome");
}

static void answer(struct delivery *delivery)
{
    int number = number_of(delivery);
    noted->times[number]++;
    if ((number == 3 && !outcome_of(1).size) || (number == 6 && !outcome_of(2).size))
        noted->is_done[OVERTOOK] = true;
    if (number == 3 && noted->times[3] == 1)
        delivery_later(delivery, 1, "busy");
    else if (number == 4)
        delivery_never(delivery, "not wanted");
    else if (number == 5)
        delivery_unknown(delivery, NULL, "no answer");
    else
        delivery_done(delivery, "ok");
}

static void on_asked(void *context)
{
    noted->is_done[(intptr_t)context] = true;
    lane_wake(lane);
}

static void ask_for(int number)
{
    struct change *change = change_new(on_asked, (void *)(intptr_t)number);
    add(change, effects[number].verb, effects[number].key, number);
    store_commit(kit.store, change);
}

static void work(void)
{
    kit_open();
    kit.on_deliver = answer;
    arm();
    lane = kit_lane(0, 4);
    for (int number = 1; number <= EFFECTS; number++)
        ask_for(number);
    for (int number = 1; number <= EFFECTS; number++)
        WAIT_UNTIL(noted->is_done[number]);
    WAIT_UNTIL(lane_is_idle(lane) && view_of().waiting == 0);
    kit_shut();
}

static void check_effect(int number)
{
    struct slice outcome = outcome_of(number);
    bool is_send = strcmp(effects[number].verb, "send") == 0, is_held = slice_is(outcome, "held");
    unsigned times = noted->times[number];
    if (!noted->is_done[number] && !outcome.size)
        return; /* it was never promised */
    if (!is_held && !slice_is(outcome, "delivered"))
        fail_msg("call %d, %s: effect %d was asked for, and is neither delivered nor held", call_to_fail, noted->call,
                 number);
    if ((number == 4 || number == 5) != is_held && !(is_send && is_held))
        fail_msg("call %d, %s: effect %d: %.*s", call_to_fail, noted->call, number, SLICE_ARG(outcome));
    if ((!is_held && times == 0) || (is_send && times > 1))
        fail_msg("call %d, %s: effect %d was sent %u times", call_to_fail, noted->call, number, times);
}

static void check(void)
{
    kit_open();
    kit.on_deliver = answer;
    lane = kit_lane(0, 4);
    ask_for(LATE);
    WAIT_UNTIL(noted->is_done[LATE]);
    expect_settled();
    assert_false(noted->is_done[OVERTOOK]);
    for (int number = 1; number <= LATE; number++)
        check_effect(number);
    assert_true(slice_is(outcome_of(LATE), "delivered"));
    kit_close();
}

static const struct scenario scenario = {work, check};

TEST(each_call_of_lmdb_may_fail_under_a_lane)
{
    fail_each_call(FAULT_LMDB, &scenario);
}

TEST(each_write_may_fail_under_a_lane)
{
    fail_each_call(FAULT_DISK, &scenario);
}

TEST(each_allocation_may_fail_in_a_lane)
{
    fail_each_call(FAULT_MEMORY, &scenario);
}
