/* test_lane.c - effects of a lane: in order, answered once, remembered */
#include "lane_kit.h"

TEST(a_delivered_effect_leaves_the_outbox_and_has_a_receipt)
{
    open_lane(4);
    ask("put", "k", 1);
    struct delivery *delivery = wait_for_delivery(1);
    assert_string_equal(delivery->effect_id, "put-k-1");
    assert_string_equal(delivery->flow, "f");
    assert_string_equal(delivery->verb->name, "put");
    assert_true(slice_is(delivery->key, "k"));
    assert_int_equal(delivery->attempt, 1);
    assert_int_equal(number_of(delivery), 1);
    assert_int_equal(rows_in(TABLE_OUTBOX), 1);
    assert_int_equal(rows_in(TABLE_ATTEMPTS), 0); /* can be repeated: needs no mark */
    delivery_done(delivery, "as %s", "a\x1b[31m\nb");
    expect_settled();
    expect_text(receipt_of("put-k-1"), "outcome", "delivered");
    expect_text(receipt_of("put-k-1"), "text", "as a [31m b");
    assert_int_equal(counter("lane.box.asked"), 1);
    assert_int_equal(counter("lane.box.delivered"), 1);
    kit_close();
}

TEST(later_is_on_disk_and_sent_again_when_due_with_one_attempt_more)
{
    open_lane(4);
    clock_set_ms(1000000);
    ask("put", "k", 1);
    delivery_later(wait_for_delivery(1), 5000, "busy");
    WAIT_UNTIL(lane_is_idle(lane));
    struct store_key key = effect_key("box", 1);
    struct slice row;
    assert_true(store_get(kit.store, TABLE_ATTEMPTS, store_key_slice(&key), &row));
    expect_text(row, "state", "waiting");
    expect_text(row, "text", "busy");
    assert_int_equal(record_get_integer(row, "count", 0), 1);
    assert_int_equal(record_get_integer(row, "due_ms", 0), 1005000);
    let_happen();
    assert_int_equal(kit.delivery_count, 1);
    reopen_lane(); /* what is not due waits after a restart, too */
    clock_set_ms(1004999);
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    forward(1);
    assert_int_equal(wait_for_delivery(1)->attempt, 2);
    delivery_done(kit.deliveries[0], "ok");
    expect_settled();
    assert_int_equal(record_get_integer(receipt_of("put-k-1"), "attempts", 0), 2);
    kit_close();
}

TEST(a_refused_effect_is_held_with_the_reason_and_its_row)
{
    open_lane(4);
    ask("put", "k", 1);
    delivery_never(wait_for_delivery(1), "422: %s", "no such thing");
    expect_settled();
    struct slice row = held_row(1);
    expect_text(row, "kind", "effect");
    expect_text(row, "verdict", "never");
    expect_text(row, "reason", "422: no such thing");
    expect_text(row, "connection", "box");
    expect_text(row, "effect_id", "put-k-1");
    expect_text(row, "flow", "f");
    expect_text(receipt_of("put-k-1"), "outcome", "held");
    assert_int_equal(record_get_integer(receipt_of("put-k-1"), "held", 0), 1);

    struct change *change = change_new(on_committed, lane); /* and goes back with its old id */
    lane_retry(lane, change, record_get(row, "item"), (uint64_t)record_get_integer(row, "number", 0));
    held_remove(change, 1);
    store_commit(kit.store, change);
    assert_string_equal(wait_for_delivery(2)->effect_id, "put-k-1");
    expect_balance();
    delivery_done(kit.deliveries[1], "ok");
    expect_settled();
    kit_close();
}

TEST(unknown_is_sent_again_where_a_repeat_is_harmless_and_held_where_not)
{
    open_lane(4);
    clock_set_ms(1000000);
    ask("put", "a", 1);
    delivery_unknown(wait_for_delivery(1), NULL, "no answer");
    ask("send", "b", 2);
    delivery_unknown(wait_for_delivery(2), NULL, "no answer");
    WAIT_UNTIL(lane_is_idle(lane));
    expect_text(held_row(1), "verdict", "unknown");
    expect_text(held_row(1), "effect_id", "send-b-2");
    forward(2000);
    assert_string_equal(wait_for_delivery(3)->effect_id, "put-a-1");
    delivery_done(kit.deliveries[2], "ok");
    expect_settled();
    kit_close();
}

static bool was_marked;

static void look_for_mark(struct delivery *delivery)
{
    struct store_key key = effect_key("box", 1);
    struct slice row;
    (void)delivery;
    was_marked = store_get(kit.store, TABLE_ATTEMPTS, store_key_slice(&key), &row)
                 && slice_is(record_get(row, "state"), "sending");
}

TEST(what_cannot_be_repeated_is_marked_on_disk_before_it_leaves_and_unknown_after_a_crash)
{
    open_lane(4);
    kit.on_deliver = look_for_mark;
    ask("send", "k", 1);
    wait_for_delivery(1);
    assert_true(was_marked);
    reopen_lane();
    WAIT_UNTIL(counter("held.last") == 1);
    expect_text(held_row(1), "verdict", "unknown");
    expect_settled();
    assert_int_equal(kit.delivery_count, 0);
    kit_close();
}

TEST(with_retries_unknown_it_is_sent_again_after_a_crash)
{
    open_lane(4);
    ask("send", "k", 1);
    wait_for_delivery(1);
    kit_reopen();
    struct lane_options options = {.concurrency = 1, .receipts_ms = 1000000, .retries_unknown = true};
    lane = kit_lane_with(0, &options);
    lane_start(lane);
    kit.on_deliver = look_for_mark;
    was_marked = false;
    delivery_unknown(wait_for_delivery(1), NULL, "again no answer");
    assert_true(was_marked);
    WAIT_UNTIL(kit.delivery_count == 2);
    delivery_done(kit.deliveries[1], "ok");
    expect_settled();
    kit_close();
}

TEST(what_can_be_repeated_is_simply_sent_again_after_a_crash)
{
    open_lane(4);
    ask("put", "k", 1);
    wait_for_delivery(1);
    reopen_lane();
    assert_string_equal(wait_for_delivery(1)->effect_id, "put-k-1");
    delivery_done(kit.deliveries[0], "ok");
    expect_settled();
    kit_close();
}

TEST(the_key_is_free_only_when_the_outcome_is_on_disk)
{
    open_lane(4);
    ask("put", "k", 1);
    ask("put", "k", 2);
    ask("put", "other", 3);
    WAIT_UNTIL(kit.delivery_count == 2);
    assert_int_equal(number_of(kit.deliveries[1]), 3);
    let_happen();
    assert_int_equal(kit.delivery_count, 2);
    delivery_done(kit.deliveries[0], "ok");
    while (kit.delivery_count < 3) {
        assert_int_equal(rows_in(TABLE_RECEIPTS), 0);
        turn();
        if (rows_in(TABLE_RECEIPTS))
            break;
    }
    assert_int_equal(number_of(wait_for_delivery(3)), 2);
    expect_text(receipt_of("put-k-1"), "outcome", "delivered");
    delivery_done(kit.deliveries[1], "ok");
    delivery_done(kit.deliveries[2], "ok");
    expect_settled();
    kit_close();
}

TEST(a_later_holds_back_its_key_and_nothing_else)
{
    open_lane(1);
    clock_set_ms(1000000);
    ask("put", "k", 1);
    ask("put", "k", 2);
    ask("put", "other", 3);
    delivery_later(wait_for_delivery(1), 60000, "wait");
    assert_int_equal(number_of(wait_for_delivery(2)), 3);
    delivery_done(kit.deliveries[1], "ok");
    WAIT_UNTIL(lane_is_idle(lane));
    let_happen();
    assert_int_equal(kit.delivery_count, 2);
    forward(60000);
    assert_int_equal(number_of(wait_for_delivery(3)), 1);
    delivery_done(kit.deliveries[2], "ok");
    assert_int_equal(number_of(wait_for_delivery(4)), 2);
    delivery_done(kit.deliveries[3], "ok");
    expect_settled();
    kit_close();
}

TEST(what_must_not_be_sent_twice_is_recognised_and_counted)
{
    open_lane(4);
    for (int i = 0; i < 2; i++) {
        ask("send", "k", 1);
        if (i == 0)
            delivery_done(wait_for_delivery(1), "ok");
        WAIT_UNTIL(view_of().waiting == 0);
    }
    expect_settled();
    assert_int_equal(kit.delivery_count, 1);
    assert_int_equal(counter("lane.box.superseded"), 1);
    kit_close();
}

TEST(a_verb_that_the_adapter_does_not_have_any_more_is_held)
{
    open_lane(4);
    struct change *change = change_new(on_committed, lane);
    struct buf row = BUF_INIT(1000);
    record_add_text(&row, "id", slice_of("x"));
    record_add_text(&row, "verb", slice_of("gone"));
    record_add_text(&row, "key", slice_of("k"));
    lane_add(lane, change, buf_slice(&row));
    buf_clear(&row);
    store_commit(kit.store, change);
    WAIT_UNTIL(counter("held.last") == 1);
    expect_settled();
    assert_non_null(strstr(record_get(held_row(1), "reason").data, "no such verb"));
    kit_close();
}

/* ---- long backlogs, restarts ------------------------------------------------------------------------------- */

static int last_of_key[10];

static void check_order(struct delivery *delivery)
{
    int key = delivery->key.data[0] - '0', number = number_of(delivery);
    assert_true(number > last_of_key[key]);
    last_of_key[key] = number;
    delivery_done(delivery, "ok");
}

TEST(ten_thousand_effects_drain_in_the_order_of_their_keys_through_a_smaller_window)
{
    open_lane(8);
    for (int batch = 0; batch < 10; batch++) {
        struct change *change = change_new(NULL, NULL);
        for (int i = 0; i < 1000; i++) {
            char key[2] = {(char)('0' + (i * 7 + batch) % 10), '\0'};
            add(change, "put", key, batch * 1000 + i);
        }
        store_commit(kit.store, change);
    }
    reopen_lane(); /* they lie there at the start */
    assert_int_equal(view_of().waiting, 10000);
    memset(last_of_key, -1, sizeof last_of_key);
    kit.on_deliver = check_order;
    WAIT_UNTIL(kit.delivery_count == 10000);
    expect_settled();
    kit_close();
}

TEST(numbers_go_on_behind_what_is_there_after_a_restart)
{
    open_lane(4);
    lane_refuse(lane, "not yet");
    ask("put", "k", 1);
    ask("put", "k", 2);
    reopen_lane();
    ask("put", "k", 3);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(number_of(wait_for_delivery((size_t)i)), i);
        delivery_done(kit.deliveries[i - 1], "ok");
    }
    expect_settled();
    kit_close();
}

static void stop_when_marked(uv_prepare_t *prepare)
{
    (void)prepare;
    if (!lane_is_idle(lane))
        lane_stop(lane);
}

TEST(a_stopped_lane_takes_back_the_mark_of_what_it_did_not_send)
{
    kit_open();
    uv_prepare_t
        prepare; /* started before the lane's own, so it is called after it: the mark is on its way to the disk */
    uv_prepare_init(&kit.loop, &prepare);
    uv_prepare_start(&prepare, stop_when_marked);
    lane = kit_lane(0, 4);
    ask("send", "k", 1);
    WAIT_UNTIL(rows_in(TABLE_ATTEMPTS) == 1 && lane_is_idle(lane));
    assert_int_equal(kit.delivery_count, 0);
    uv_close((uv_handle_t *)&prepare, NULL);
    reopen_lane();
    wait_for_delivery(1); /* not unknown */
    assert_int_equal(rows_in(TABLE_HELD), 0);
    delivery_done(kit.deliveries[0], "ok");
    expect_settled();
    kit_close();
}

TEST(answers_still_count_after_the_lane_was_stopped)
{
    open_lane(1);
    ask("put", "a", 1);
    ask("put", "b", 2);
    wait_for_delivery(1);
    lane_stop(lane);
    delivery_done(kit.deliveries[0], "ok");
    WAIT_UNTIL(lane_is_idle(lane));
    let_happen();
    assert_int_equal(kit.delivery_count, 1);
    assert_int_equal(rows_in(TABLE_OUTBOX), 1);
    expect_balance();
    kit_close();
}
