/* test_lane_batch.c - several effects in one call, and one that does for several */
#include "lane_kit.h"

/* So many effects of one verb, each of a key of its own, numbered from `first` in steps, on disk before any is sent. */
static void ask_many(const char *verb, int count, int first, int by)
{
    struct change *change = change_new(on_committed, lane);
    is_committed = false;
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", first + i * by);
        add(change, verb, key, first + i * by);
    }
    store_commit(kit.store, change);
    WAIT_UNTIL(is_committed);
}

static void ask_of_key(const char *verb, const char *key, int count, int first)
{
    struct change *change = change_new(on_committed, lane);
    is_committed = false;
    for (int i = 0; i < count; i++)
        add(change, verb, key, first + i);
    store_commit(kit.store, change);
    WAIT_UNTIL(is_committed);
}

static void wait_for_batches(size_t count)
{
    WAIT_UNTIL(kit.batch_count >= count);
}

static void say_done(struct delivery *delivery)
{
    delivery_done(delivery, "ok");
}

/* ---- batches --------------------------------------------------------------------------------------- */

TEST(effects_of_a_verb_with_batches_go_together_as_far_as_it_says_and_a_batch_is_one_call)
{
    open_lane(1);
    ask_many("many", 25, 0, 2);
    wait_for_batches(1);
    let_happen();
    assert_int_equal(kit.batch_count, 1); /* one call at a time */
    assert_int_equal(kit.batches[0], 10);
    assert_int_equal(view_of().calls, 1);
    assert_int_equal(view_of().under_way, 10);
    kit.on_deliver = say_done;
    for (int i = 0; i < 10; i++)
        delivery_done(kit.deliveries[i], "ok");
    WAIT_UNTIL(view_of().waiting == 0);
    assert_int_equal(kit.batch_count, 3);
    assert_int_equal(kit.batches[2], 5);
    expect_settled();
    kit_close();
}

TEST(only_what_may_go_together_does)
{
    open_lane(4);
    lane_refuse(lane, "not yet"); /* so that all are there when the first is begun */
    ask_many("many", 8, 0, 1);
    ask_many("put", 1, 100, 1);
    reopen_lane();
    wait_for_batches(2);
    WAIT_UNTIL(kit.delivery_count == 9);
    assert_int_equal(kit.batches[0], 4);
    assert_int_equal(kit.batches[1], 4);
    for (size_t i = 0; i < 9; i++)
        if (strcmp(kit.deliveries[i]->verb->name, "many") == 0)
            assert_int_equal(number_of(kit.deliveries[i]) % 2, i / 4);
    for (size_t i = 0; i < 9; i++)
        delivery_done(kit.deliveries[i], "ok");
    expect_settled();
    kit_close();
}

TEST(two_of_one_key_are_never_in_one_batch)
{
    open_lane(4);
    lane_refuse(lane, "not yet");
    ask_of_key("many", "k", 4, 0);
    reopen_lane();
    for (size_t i = 0; i < 4; i++) {
        wait_for_batches(i + 1);
        let_happen();
        assert_int_equal(kit.batches[i], 1);
        assert_int_equal(number_of(kit.deliveries[i]), (int)i);
        delivery_done(kit.deliveries[i], "ok");
    }
    expect_settled();
    kit_close();
}

TEST(each_of_a_batch_has_its_own_outcome_and_a_bad_one_does_no_harm_to_the_good)
{
    open_lane(1);
    clock_set_ms(1000000);
    ask_many("many", 5, 0, 2);
    wait_for_batches(1);
    assert_int_equal(kit.batches[0], 5);
    delivery_done(kit.deliveries[4], "ok"); /* in any order */
    delivery_never(kit.deliveries[1], "no such field");
    delivery_later(kit.deliveries[2], 60000, "row is locked");
    delivery_done(kit.deliveries[0], "ok");
    delivery_done(kit.deliveries[3], "ok");
    WAIT_UNTIL(lane_is_idle(lane));
    assert_int_equal(view_of().waiting, 1);
    expect_text(held_row(1), "effect_id", "many-k2-2");
    expect_text(receipt_of("many-k0-0"), "outcome", "delivered");
    expect_balance();
    forward(60000);
    wait_for_batches(2);
    assert_int_equal(number_of(kit.deliveries[5]), 4);
    assert_int_equal(kit.deliveries[5]->attempt, 2);
    delivery_done(kit.deliveries[5], "ok");
    expect_settled();
    kit_close();
}

TEST(a_batch_that_fails_as_a_whole_is_one_failure)
{
    open_lane(1);
    clock_set_ms(1000000);
    ask_many("many", 8, 0, 2);
    wait_for_batches(1);
    for (int i = 0; i < 8; i++)
        delivery_later(kit.deliveries[i], 0, "no route");
    WAIT_UNTIL(lane_is_idle(lane));
    assert_int_equal(view_of().failures, 1);
    assert_int_equal(view_of().breaker, BREAKER_CLOSED);
    kit_close();
}

TEST(a_probe_is_one_effect_even_where_batches_are_possible)
{
    open_lane(1);
    clock_set_ms(1000000);
    for (int i = 0; i < 5; i++) {
        ask_many("many", 1, 2 * i, 2);
        delivery_later(wait_for_delivery((size_t)i + 1), 0, "down");
        WAIT_UNTIL(lane_is_idle(lane));
    }
    assert_int_equal(view_of().breaker, BREAKER_OPEN);
    ask_many("many", 8, 100, 2);
    forward(view_of().breaker_until_ms - clock_now_ms());
    wait_for_delivery(6);
    let_happen();
    assert_int_equal(kit.delivery_count, 6);
    kit.on_deliver = say_done;
    delivery_done(kit.deliveries[5], "up");
    WAIT_UNTIL(view_of().waiting == 0);
    assert_int_equal(kit.batches[6], 10);
    expect_settled();
    kit_close();
}

TEST(a_batch_that_cannot_be_repeated_is_marked_as_a_whole_and_unknown_after_a_crash)
{
    open_lane(1);
    ask_many("bulk", 6, 0, 1);
    wait_for_batches(1);
    assert_int_equal(kit.batches[0], 6);
    assert_int_equal(rows_in(TABLE_ATTEMPTS), 6);
    delivery_done(kit.deliveries[2], "250"); /* one answer was on disk when it died */
    WAIT_UNTIL(view_of().waiting == 5);
    reopen_lane();
    WAIT_UNTIL(counter("held.last") == 5);
    expect_settled();
    assert_int_equal(kit.delivery_count, 0);
    assert_int_equal(counter("lane.box.delivered"), 1);
    kit_close();
}

/* ---- one that does for several ------------------------------------------------------------------------- */

static void expect_latest(struct delivery *delivery)
{
    assert_in_range(number_of(delivery), 4, 50);
    delivery_done(delivery, "ok");
}

TEST(later_writes_supersede_those_that_wait_and_the_receipts_name_the_one_that_did)
{
    open_lane(1);
    connection_pause(&kit.connections[0], 60000, "wait");
    ask_of_key("set", "k", 5, 0);
    ask_of_key("set", "other", 1, 50);
    clock_set_ms(clock_now_ms());
    forward(60001);
    wait_for_batches(1);
    WAIT_UNTIL(counter("lane.box.superseded") == 4);
    kit.on_deliver = expect_latest;
    for (size_t i = 0; i < kit.delivery_count; i++)
        expect_latest(kit.deliveries[i]);
    expect_settled();
    assert_int_equal(kit.delivery_count, 2);
    expect_text(receipt_of("set-k-0"), "outcome", "superseded");
    expect_text(receipt_of("set-k-3"), "outcome", "superseded");
    assert_int_equal(record_get_integer(receipt_of("set-k-0"), "number", 0), 5);
    assert_int_equal(record_get_integer(receipt_of("set-k-3"), "number", 0), 5);
    expect_text(receipt_of("set-k-4"), "outcome", "delivered");
    assert_int_equal(counter("lane.box.delivered"), 2);
    kit_close();
}

static int64_t merged_into[10000]; /* number of a delivery -> how many it did for */

static void note_merged(struct delivery *delivery)
{
    merged_into[number_of(delivery) % 10000] = record_get_integer(delivery->fields, "merged", 0);
    delivery_done(delivery, "ok");
}

TEST(what_the_verb_does_not_want_to_merge_is_sent_by_itself)
{
    open_lane(1);
    connection_pause(&kit.connections[0], 60000, "wait");
    ask_of_key("set", "k", 12, 0); /* 0..8, 9 stands for itself and takes 10, 11 */
    clock_set_ms(clock_now_ms());
    kit.on_deliver = note_merged;
    forward(60001);
    WAIT_UNTIL(view_of().waiting == 0);
    expect_settled();
    assert_int_equal(kit.delivery_count, 2);
    assert_int_equal(merged_into[8], 8);
    assert_int_equal(merged_into[11], 2);
    kit_close();
}

TEST(a_crash_between_merging_and_sending_leaves_one_write_that_does_for_all)
{
    open_lane(1);
    connection_pause(&kit.connections[0], 60000, "wait");
    ask_of_key("set", "k", 5, 0);
    clock_set_ms(clock_now_ms());
    forward(60001);
    while (counter("lane.box.superseded") < 4)
        turn();
    reopen_lane(); /* whether or not it was given to the adapter */
    assert_int_equal(view_of().waiting, 1);
    expect_balance();
    kit.on_deliver = note_merged;
    WAIT_UNTIL(view_of().waiting == 0);
    assert_int_equal(merged_into[4], 4);
    expect_settled();
    kit_close();
}

TEST(what_came_while_one_was_put_off_does_for_it_too)
{
    open_lane(1);
    clock_set_ms(1000000);
    ask("set", "k", 0);
    wait_for_batches(1);
    ask_of_key("set", "k", 8, 1); /* comes while the first is under way */
    delivery_later(kit.deliveries[0], 1000, "busy");
    WAIT_UNTIL(lane_is_idle(lane));
    kit.on_deliver = note_merged;
    forward(1000);
    WAIT_UNTIL(view_of().waiting == 0);
    expect_settled();
    assert_int_equal(kit.delivery_count, 2);
    assert_int_equal(merged_into[8], 8);
    kit_close();
}

TEST(what_may_have_arrived_is_not_superseded)
{
    open_lane(1);
    ask("post", "k", 0);
    wait_for_batches(0);
    wait_for_delivery(1);
    ask("post", "k", 1);
    kit_reopen();
    lane = kit_lane_with(0, &(struct lane_options){.concurrency = 1, .receipts_ms = 86400000, .retries_unknown = true});
    delivery_done(wait_for_delivery(1), "ok");
    assert_string_equal(kit.effect_ids[0], "post-k-0");
    delivery_done(wait_for_delivery(2), "ok");
    expect_settled();
    assert_int_equal(counter("lane.box.superseded"), 0);
    kit_close();
}
