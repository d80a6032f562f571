/* test_lane_age.c - effects that are too old, and effects of which nobody knows */
#include "lane_kit.h"

#define AGE INT64_C(100000)

static void open_aging(void)
{
    lane = kit_lane_with(0, &(struct lane_options){.concurrency = 2, .receipts_ms = 86400000, .max_age_ms = AGE});
}

TEST(an_effect_that_is_too_old_is_held_as_expired_and_never_dropped)
{
    kit_open();
    clock_set_ms(1000000);
    open_aging();
    connection_pause(&kit.connections[0], AGE + 1, "closed for the week");
    ask("put", "k", 1);
    forward(AGE + 1);
    WAIT_UNTIL(counter("held.last") == 1);
    expect_settled();
    assert_int_equal(kit.delivery_count, 0);
    expect_text(held_row(1), "verdict", "expired");
    assert_int_equal(record_get_integer(held_row(1), "attempts", -1), 0);
    assert_non_null(strstr(record_get(held_row(1), "reason").data, "not delivered within 100s"));
    expect_text(receipt_of("put-k-1"), "outcome", "held");
    kit_close();
}

TEST(a_try_beyond_its_age_is_not_waited_for)
{
    kit_open();
    clock_set_ms(1000000);
    open_aging();
    ask("put", "k", 1);
    delivery_later(wait_for_delivery(1), AGE, "come back");
    WAIT_UNTIL(lane_is_idle(lane));
    assert_int_equal(rows_in(TABLE_HELD), 0); /* just in time */
    forward(AGE);
    delivery_later(wait_for_delivery(2), 1, "come back once more");
    WAIT_UNTIL(counter("held.last") == 1);
    expect_settled();
    expect_text(held_row(1), "verdict", "expired");
    assert_int_equal(record_get_integer(held_row(1), "attempts", 0), 2);
    assert_non_null(strstr(record_get(held_row(1), "reason").data, "come back once more"));
    kit_close();
}

TEST(its_age_counts_anew_when_a_person_takes_it_back)
{
    kit_open();
    clock_set_ms(1000000);
    open_aging();
    ask_priority = PRIORITY_HIGH;
    ask("put", "k", 1);
    ask_priority = PRIORITY_NORMAL;
    forward(50000);
    delivery_never(wait_for_delivery(1), "no");
    WAIT_UNTIL(counter("held.last") == 1);
    forward(10 * AGE);
    struct change *change = change_new(on_committed, lane);
    lane_retry(lane, change, record_get(held_row(1), "item"), (uint64_t)record_get_integer(held_row(1), "number", 0));
    held_remove(change, 1);
    store_commit(kit.store, change);
    assert_string_equal(wait_for_delivery(2)->effect_id, "put-k-1");
    assert_int_equal(view_of().waiting_of[PRIORITY_HIGH], 1); /* and it is what it was */
    delivery_done(kit.deliveries[1], "ok");
    expect_settled();
    kit_close();
}

TEST(a_held_unknown_effect_says_what_is_known_of_it)
{
    kit_open();
    clock_set_ms(1000000);
    open_aging();
    ask("send", "k", 1);
    struct delivery_known known = {
        .sent_bytes = 90, .whole_bytes = 120, .phase = "the message", .last_reply = "354 go ahead", .sent_ms = 999000};
    delivery_unknown(wait_for_delivery(1), &known, "the line went dead");
    expect_settled();
    struct slice row = held_row(1);
    expect_text(row, "verdict", "unknown");
    expect_text(row, "last_reply", "354 go ahead");
    expect_text(row, "phase", "the message");
    assert_int_equal(record_get_integer(row, "bytes_sent", 0), 90);
    assert_int_equal(record_get_integer(row, "bytes_total", 0), 120);
    assert_int_equal(record_get_integer(row, "sent_at", 0), 999000);
    kit_close();
}

TEST(after_a_crash_it_says_since_when_it_was_being_sent)
{
    kit_open();
    clock_set_ms(1000000);
    open_aging();
    ask("send", "k", 1);
    wait_for_delivery(1);
    kit_reopen();
    clock_set_ms(1500000); /* by now it is too old as well, but that it may have arrived matters more */
    open_aging();
    WAIT_UNTIL(counter("held.last") == 1);
    expect_text(held_row(1), "verdict", "unknown");
    assert_int_equal(record_get_integer(held_row(1), "sent_at", 0), 1000000);
    kit_close();
}

static void no_answer(struct delivery *delivery)
{
    delivery_unknown(delivery, NULL, "no answer");
}

TEST(the_word_of_the_flow_wins_over_that_of_the_connection)
{
    kit_open();
    clock_set_ms(1000000);
    open_aging(); /* the connection holds */
    kit.on_deliver = no_answer;
    ask_unknown = UNKNOWN_RETRY;
    ask("send", "k", 1);
    WAIT_UNTIL(lane_is_idle(lane) && kit.delivery_count == 1);
    assert_int_equal(rows_in(TABLE_HELD), 0);
    kit_reopen();
    clock_set_ms(1000000);
    lane = kit_lane_with(0, &(struct lane_options){.concurrency = 2, .receipts_ms = 86400000, .retries_unknown = true});
    kit.on_deliver = no_answer;
    ask_unknown = UNKNOWN_HOLD;
    ask("send", "other", 2);
    ask_unknown = UNKNOWN_AS_CONNECTION;
    WAIT_UNTIL(counter("held.last") == 1);
    expect_text(held_row(1), "effect_id", "send-other-2");
    kit.on_deliver = NULL;
    forward(2000);
    WAIT_UNTIL(kit.delivery_count == 2);
    assert_string_equal(kit.deliveries[1]->effect_id, "send-k-1");
    delivery_done(kit.deliveries[1], "ok");
    expect_settled();
    kit_close();
}
