/* test_lane_backlog.c - long backlogs: who may pass whom, what is in memory, what a start reads */
#include "lane_kit.h"

#define MANY 6000
#define OF_ONE 4500 /* more than the window takes */

static int last_of_key[1000];
static int delivered_of_key[1000];

static int key_number(const struct delivery *delivery)
{
    char text[KEY_MAX_BYTES + 1];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(delivery->key));
    return atoi(text + 1);
}

static void expect_order(struct delivery *delivery)
{
    int key = key_number(delivery), number = number_of(delivery);
    if (number <= last_of_key[key])
        fail_msg("k%d: %d was sent after %d", key, number, last_of_key[key]);
}

static void note_done(struct delivery *delivery)
{
    last_of_key[key_number(delivery)] = number_of(delivery);
    delivered_of_key[key_number(delivery)]++;
    delivery_done(delivery, "ok");
}

static void take_in_order(struct delivery *delivery)
{
    expect_order(delivery);
    note_done(delivery);
}

/* Effects `from` up to `to` of keys k0, k1, ..., in one change for each thousand; returns when they are on disk. */
static void fill_more(int from, int to, int (*key_of)(int i))
{
    struct change *change = NULL;
    is_committed = false;
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", key_of(i));
        if ((i - from) % 1000 == 0)
            change = i + 1000 < to ? change_new(NULL, NULL) : change_new(on_committed, lane);
        add(change, "put", key, i);
        if ((i - from) % 1000 == 999 || i == to - 1)
            store_commit(kit.store, change);
    }
    WAIT_UNTIL(is_committed);
}

static void fill_with(int count, int (*key_of)(int i))
{
    memset(last_of_key, -1, sizeof last_of_key);
    memset(delivered_of_key, 0, sizeof delivered_of_key);
    fill_more(0, count, key_of);
}

static void expect_drained(int count)
{
    WAIT_UNTIL(kit.delivery_count >= (size_t)count && view_of().waiting == 0);
    expect_settled();
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static int one_then_others(int i)
{
    return i < OF_ONE ? 0 : 1 + i % 900;
}

static void fail_key_0(struct delivery *delivery)
{
    expect_order(delivery);
    if (key_number(delivery) == 0)
        delivery_later(delivery, 600000, "not that one");
    else
        note_done(delivery);
}

TEST(thousands_of_one_key_that_fails_let_all_others_pass_and_are_sent_in_order_when_it_heals)
{
    open_lane(8);
    clock_set_ms(1000000);
    kit.on_deliver = fail_key_0;
    fill_with(MANY, one_then_others);
    WAIT_UNTIL(view_of().waiting == OF_ONE && lane_is_idle(lane));
    assert_int_equal(delivered_of_key[0], 0);
    assert_int_equal(view_of().retrying, 1); /* of the others nothing is in memory */
    kit.on_deliver = take_in_order;
    forward(600000);
    WAIT_UNTIL(delivered_of_key[0] >= 150); /* each costs a commit */
    expect_balance();
    kit_close();
}

static void keep_key_0(struct delivery *delivery)
{
    if (key_number(delivery) != 0)
        take_in_order(delivery);
}

TEST(thousands_of_one_key_whose_first_takes_long_let_all_others_pass)
{
    open_lane(8);
    kit.on_deliver = keep_key_0;
    fill_with(MANY, one_then_others);
    WAIT_UNTIL(view_of().waiting == OF_ONE && view_of().under_way == 1);
    expect_balance();
    kit_close();
}

static int in_turn(int i)
{
    return i % 7;
}

static int by_chance(int i)
{
    (void)i;
    return (int)(random() % 300);
}

TEST(few_keys_with_many_effects_each_drain_in_order_while_more_come)
{
    open_lane(8);
    kit.on_deliver = take_in_order;
    fill_with(700, in_turn);
    for (int count = 700; count < 3500; count += 350) {
        WAIT_UNTIL(view_of().waiting < 350);
        fill_more(count, count + 350, in_turn);
    }
    expect_drained(3500);
    kit_close();
}

static void fail_by_chance(struct delivery *delivery)
{
    expect_order(delivery);
    int dice = (int)(random() % 20);
    if (dice == 0)
        delivery_later(delivery, 1 + random() % 30, "not now");
    else
        note_done(delivery);
}

TEST(whatever_fails_in_between_the_order_of_each_key_is_kept_also_over_a_restart)
{
    srandom(7);
    open_lane(16);
    kit.on_deliver = fail_by_chance;
    fill_with(MANY / 2, by_chance);
    WAIT_UNTIL(kit.delivery_count > MANY / 6);
    /* What was answered is on its way to the disk; the kit's crash comes after that. */
    reopen_lane();
    kit.on_deliver = fail_by_chance;
    WAIT_UNTIL(view_of().waiting == 0);
    int sum = 0;
    for (int i = 0; i < 300; i++)
        sum += delivered_of_key[i];
    assert_int_equal(sum, MANY / 2);
    expect_settled();
    kit_close();
}

TEST(a_pile_of_retries_and_new_effects_take_turns)
{
    open_lane(1);
    clock_set_ms(1000000);
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        ask("put", key, i);
        delivery_later(wait_for_delivery((size_t)i + 1), 1000, "later");
        WAIT_UNTIL(lane_is_idle(lane));
    }
    for (int i = 20; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        struct change *change = change_new(NULL, NULL); /* nobody wakes the lane */
        add(change, "put", key, i);
        store_commit(kit.store, change);
    }
    forward(1000);
    int retried = 0;
    for (size_t i = 20; i < 40; i++) {
        struct delivery *delivery = wait_for_delivery(i + 1);
        retried += delivery->attempt > 1;
        delivery_done(delivery, "ok");
    }
    assert_in_range(retried, 9, 11);
    kit_close();
}

/* ---- priorities -------------------------------------------------------------------------------------- */

TEST(a_high_effect_overtakes_a_backlog_of_low_ones)
{
    open_lane(1);
    ask_priority = PRIORITY_LOW;
    fill_with(5000, in_turn);
    ask_priority = PRIORITY_HIGH;
    ask("put", "urgent", 7);
    ask_priority = PRIORITY_NORMAL;
    delivery_done(wait_for_delivery(1), "ok"); /* it was under way already */
    assert_true(slice_is(wait_for_delivery(2)->key, "urgent"));
    assert_int_equal(view_of().waiting_of[PRIORITY_LOW], 4999);
    assert_int_equal(view_of().waiting_of[PRIORITY_HIGH], 1);
    kit_close();
}

static size_t taken[PRIORITIES];

static void count_priority(struct delivery *delivery)
{
    if (taken[0] + taken[1] + taken[2] < 420) /* of each there are as many: later some are used up */
        taken[key_number(delivery) % PRIORITIES]++;
    delivery_done(delivery, "ok");
}

TEST(while_there_are_some_of_each_all_are_served_by_weight)
{
    open_lane(8);
    connection_pause(&kit.connections[0], 60000, "wait");
    clock_set_ms(clock_now_ms());
    for (int priority = 0; priority < PRIORITIES; priority++) {
        struct change *change = change_new(on_committed, lane);
        ask_priority = (enum priority)priority;
        for (int i = 0; i < 420; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", i * PRIORITIES + priority);
            add(change, "put", key, i);
        }
        is_committed = false;
        store_commit(kit.store, change);
        WAIT_UNTIL(is_committed);
    }
    ask_priority = PRIORITY_NORMAL;
    memset(taken, 0, sizeof taken);
    kit.on_deliver = count_priority;
    forward(60001);
    WAIT_UNTIL(kit.delivery_count >= 420);
    assert_in_range(taken[PRIORITY_HIGH], 310, 330);
    assert_in_range(taken[PRIORITY_NORMAL], 72, 88);
    assert_in_range(taken[PRIORITY_LOW], 15, 25);
    expect_drained(1260);
    kit_close();
}

/* ---- a start ------------------------------------------------------------------------------------------ */

TEST(what_waits_is_counted_in_the_changes_that_put_and_take_it)
{
    open_lane(4);
    lane_refuse(lane, "not yet");
    ask("put", "a", 1);
    ask("put", "b", 2);
    ask_priority = PRIORITY_LOW;
    ask("put", "c", 3);
    ask_priority = PRIORITY_NORMAL;
    assert_int_equal(counter("lane.box.waiting-normal"), 2);
    assert_int_equal(counter("lane.box.waiting-low"), 1);
    reopen_lane();
    assert_int_equal(view_of().waiting, 3);
    delivery_done(wait_for_delivery(1), "ok");
    WAIT_UNTIL(counter("lane.box.waiting-normal") == 1);
    for (size_t i = 1; i < 3; i++)
        delivery_never(wait_for_delivery(i + 1), "no");
    expect_settled();
    assert_int_equal(counter("lane.box.waiting-normal") + counter("lane.box.waiting-low"), 0);
    kit_close();
}
