/* test_lane_pace.c - how fast a lane sends, and whether at all */
#include "lane_kit.h"

static void say_later(struct delivery *delivery)
{
    delivery_later(delivery, 0, "connection refused");
}

TEST(after_five_failures_in_a_row_the_lane_rests_and_then_sends_one_probe_at_a_time)
{
    open_lane(4);
    clock_set_ms(1000000);
    kit.on_deliver = say_later;
    struct change *change = change_new(on_committed, lane);
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        add(change, "put", key, i);
    }
    store_commit(kit.store, change);
    WAIT_UNTIL(strcmp(view_of().state, "resting") == 0 && lane_is_idle(lane));
    size_t before = kit.delivery_count;
    assert_in_range(before, 5, 8); /* what was under way when the fifth failed may still end */
    let_happen();
    assert_int_equal(kit.delivery_count, before);
    kit.on_deliver = NULL;
    forward(view_of().until_ms - clock_now_ms());
    wait_for_delivery(before + 1);
    let_happen();
    assert_int_equal(kit.delivery_count, before + 1); /* one probe */
    int64_t first_rest_ms = clock_now_ms();
    delivery_later(kit.deliveries[before], 0, "still down");
    WAIT_UNTIL(lane_is_idle(lane));
    assert_string_equal(view_of().state, "resting");
    assert_true(view_of().until_ms > first_rest_ms);
    let_happen();
    assert_int_equal(kit.delivery_count, before + 1);
    forward(view_of().until_ms - clock_now_ms());
    delivery_done(wait_for_delivery(before + 2), "up");
    WAIT_UNTIL(kit.delivery_count == before + 4); /* two at a time */
    let_happen();
    assert_int_equal(kit.delivery_count, before + 4);
    delivery_done(kit.deliveries[before + 2], "up");
    WAIT_UNTIL(kit.delivery_count == before + 6); /* three */
    let_happen();
    assert_int_equal(kit.delivery_count, before + 6);
    delivery_done(kit.deliveries[before + 3], "up");
    WAIT_UNTIL(kit.delivery_count == before + 8); /* four again */
    expect_balance();
    kit_close();
}

TEST(a_later_with_a_time_is_no_sign_of_an_outage)
{
    open_lane(1);
    clock_set_ms(1000000);
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        ask("put", key, i);
        delivery_later(wait_for_delivery((size_t)i + 1), 60000, "429");
    }
    WAIT_UNTIL(lane_is_idle(lane));
    assert_string_equal(view_of().state, "idle");
    kit_close();
}

TEST(a_paused_connection_sends_nothing_until_the_pause_is_over)
{
    open_lane(4);
    clock_set_ms(1000000);
    connection_pause(&kit.connections[0], 30000, "bad key");
    ask("put", "k", 1);
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    assert_string_equal(view_of().state, "paused");
    assert_string_equal(view_of().text, "bad key");
    forward(30000);
    delivery_done(wait_for_delivery(1), "ok");
    expect_settled();
    kit_close();
}

static uint64_t looks;

static void count_look(uv_prepare_t *prepare)
{
    (void)prepare;
    looks++;
}

TEST(a_lane_that_may_not_send_what_is_due_does_not_spin)
{
    open_lane(1);
    clock_set_ms(1000000);
    ask("put", "a", 1);
    delivery_later(wait_for_delivery(1), 100, "wait");
    WAIT_UNTIL(lane_is_idle(lane));
    connection_pause(&kit.connections[0], 30000, "pause");
    forward(200); /* due, but paused */
    uv_timer_stop(&kit.tick);
    uv_timer_start(&kit.tick, on_tick, 100, 100);
    uv_prepare_t prepare;
    uv_prepare_init(&kit.loop, &prepare);
    uv_prepare_start(&prepare, count_look);
    looks = 0;
    for (uint64_t until = kit.ticks + 3; kit.ticks < until;)
        turn();
    assert_in_range(looks, 1, 20);
    uv_close((uv_handle_t *)&prepare, NULL);
    kit_close();
}

static void say_done(struct delivery *delivery)
{
    delivery_done(delivery, "ok");
}

TEST(a_rate_is_kept)
{
    kit_open();
    struct lane_options options = {.concurrency = 50, .receipts_ms = 1000000, .rates = {{40, 1000}}, .rate_count = 1};
    lane = kit_lane_with(0, &options);
    lane_start(lane);
    kit.on_deliver = say_done;
    struct change *change = change_new(on_committed, lane);
    for (int i = 0; i < 100; i++)
        add(change, "put", i % 2 ? "a" : "b", i);
    int64_t began_ns = clock_mono_ns();
    store_commit(kit.store, change);
    WAIT_UNTIL(kit.delivery_count >= 30);
    double seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    assert_true(seconds > 29 / 40.0 - 0.01);
    assert_true(seconds < 10);
    kit_close();
}

TEST(a_refused_lane_delivers_nothing_and_keeps_everything)
{
    open_lane(4);
    assert_null(lane_refusal(lane));
    lane_refuse(lane, "it is for production");
    ask("put", "k", 1);
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    assert_string_equal(view_of().state, "refused");
    assert_string_equal(lane_refusal(lane), "it is for production");
    assert_int_equal(rows_in(TABLE_OUTBOX), 1);
    kit_close();
}

/* ---- rates of hours and days, and what the far side allows ------------------------------------------------- */

static void open_with_rates(const struct lane_options *options)
{
    lane = kit_lane_with(0, options);
    kit.on_deliver = say_done;
}

TEST(what_a_day_has_used_survives_a_restart)
{
    struct lane_options options = {
        .concurrency = 4, .receipts_ms = 1000000, .rates = {{5, 86400000}, {1000, 3600000}}, .rate_count = 2};
    kit_open();
    clock_set_ms(INT64_C(1700000000000));
    open_with_rates(&options);
    for (int i = 0; i < 3; i++)
        ask("put", "k", i);
    WAIT_UNTIL(view_of().waiting == 0);
    kit_reopen();
    open_with_rates(&options);
    assert_int_equal(view_of().rates[0].used, 3);
    assert_int_equal(view_of().rates[1].used, 3);
    assert_string_equal(view_of().rates[0].text, "5/d");
    for (int i = 3; i < 8; i++)
        ask("put", "k", i);
    WAIT_UNTIL(view_of().waiting == 3);
    let_happen();
    assert_int_equal(kit.delivery_count, 2);
    int64_t wait_ms = view_of().rates[0].free_ms - clock_now_ms();
    assert_in_range(wait_ms, 86400000, 86400000 + 24 * 60000);
    forward(wait_ms);
    WAIT_UNTIL(view_of().waiting == 0);
    kit_close();
}

static int64_t allowed;

static void say_what_is_left(struct delivery *delivery)
{
    connection_allows(&kit.connections[0], allowed--, clock_now_ms() + 60000);
    delivery_done(delivery, "ok");
}

TEST(what_the_far_side_says_of_its_allowance_is_obeyed_and_shown)
{
    open_lane(4);
    clock_set_ms(1000000);
    allowed = 2;
    kit.on_deliver = say_what_is_left;
    for (int i = 0; i < 5; i++)
        ask("put", "k", i);
    WAIT_UNTIL(view_of().waiting == 2);
    let_happen();
    assert_int_equal(kit.delivery_count, 3);
    assert_int_equal(view_of().far_left, 0);
    assert_int_equal(view_of().far_reset_ms, 1060000);
    reopen_lane(); /* a restart does not make it forget */
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    kit.on_deliver = say_done;
    forward(59999);
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    forward(1);
    WAIT_UNTIL(view_of().waiting == 0);
    kit_close();
}

TEST(the_breaker_says_what_it_does)
{
    open_lane(1);
    clock_set_ms(1000000);
    kit.on_deliver = say_later;
    assert_int_equal(view_of().breaker, BREAKER_CLOSED);
    for (int i = 0; i < 5; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        ask("put", key, i);
        WAIT_UNTIL(kit.delivery_count == (size_t)i + 1 && lane_is_idle(lane));
    }
    assert_int_equal(view_of().breaker, BREAKER_OPEN);
    assert_int_equal(view_of().failures, 5);
    assert_true(view_of().breaker_until_ms > 1000000);
    assert_string_equal(view_of().state, "resting");
    kit.on_deliver = NULL;
    forward(view_of().breaker_until_ms - 1000000);
    assert_int_equal(view_of().breaker, BREAKER_PROBING);
    delivery_done(wait_for_delivery(6), "up");
    WAIT_UNTIL(view_of().breaker == BREAKER_CLOSED);
    kit_close();
}

TEST(the_waits_of_the_schedule_are_those_that_are_kept)
{
    int64_t least_ms, most_ms, last_ms = 0;
    for (unsigned attempts = 1; attempts < 30; attempts++) {
        lane_schedule(attempts, &least_ms, &most_ms);
        assert_true(least_ms > 0 && most_ms > least_ms && most_ms >= last_ms);
        last_ms = most_ms;
    }
    open_lane(1);
    clock_set_ms(1000000);
    ask("put", "k", 1);
    delivery_later(wait_for_delivery(1), 0, "no");
    WAIT_UNTIL(lane_is_idle(lane));
    lane_schedule(1, &least_ms, &most_ms);
    forward(least_ms - 1);
    let_happen();
    assert_int_equal(kit.delivery_count, 1);
    forward(most_ms - least_ms + 1);
    delivery_done(wait_for_delivery(2), "ok");
    kit_close();
}

TEST(a_suspended_lane_ends_what_is_under_way_and_begins_nothing_until_it_is_resumed)
{
    open_lane(4);
    ask("put", "a", 1);
    wait_for_delivery(1);
    lane_suspend(lane);
    ask("put", "b", 2);
    let_happen();
    assert_int_equal(kit.delivery_count, 1);
    assert_string_equal(view_of().state, "reopening");
    assert_false(lane_is_idle(lane));
    delivery_later(kit.deliveries[0], 3600000, "401");
    WAIT_UNTIL(lane_is_idle(lane));
    connection_pause(&kit.connections[0], 3600000, "a key that was wrong"); /* and what was tried waits for an hour */
    lane_resume(lane, &(struct lane_options){.concurrency = 1, .receipts_ms = 86400000});
    lane_start(lane);
    wait_for_delivery(2);
    let_happen();
    assert_int_equal(kit.delivery_count, 2); /* one at a time, as the new options say */
    delivery_done(kit.deliveries[1], "ok");
    delivery_done(wait_for_delivery(3), "ok");
    expect_settled();
    kit_close();
}
