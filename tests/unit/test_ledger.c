/* test_ledger.c - one campaign writes to one recipient once, for ever; and to nobody who is suppressed */
#include "core/campaign/campaign.h"
#include "core/campaign/suppressed.h"

#include "flow_kit.h"

/* Says what the event says, to whom it says, in the campaign it names. */
#define TELL_ALL                                                                                                       \
    FLOW("function step.run(event) box.tell { campaign = event.body.campaign, to = event.body.to, text = 'x' } end ")

static void answer_done(struct delivery *delivery)
{
    delivery_done(delivery, "thanks");
}

static void answer_gone(struct delivery *delivery)
{
    delivery_never_again(delivery, "nobody of that name");
}

static void answer_never(struct delivery *delivery)
{
    delivery_never(delivery, "not like this");
}

static void open_flow(void (*answer)(struct delivery *delivery))
{
    flow_open(MANIFEST, TELL_ALL);
    kit.on_deliver = answer;
}

static void ask(uint64_t token, const char *campaign, const char *to)
{
    char body[300];
    snprintf(body, sizeof body, "{\"id\":\"e%d\",\"key\":\"k\",\"to\":\"%s\"%s%s%s}", (int)token, to,
             campaign ? ",\"campaign\":\"" : "", campaign ? campaign : "", campaign ? "\"" : "");
    arrive(token, body);
}

static int64_t counted(const char *campaign, enum campaign_counter which)
{
    store_refresh(kit.store);
    return campaign_counted(kit.store, "box", slice_of(campaign), which);
}

static void settle(void)
{
    WAIT_UNTIL(lane_is_idle(kit.connections[0].lane) && rows_in(TABLE_OUTBOX) == 0);
    expect_balance();
}

static struct slice receipt_at(uint64_t number)
{
    struct store_key key = effect_key("box", number);
    struct slice row = SLICE_NONE;
    int64_t expires_ms;
    assert_true(store_get_until(kit.store, TABLE_RECEIPTS, store_key_slice(&key), &expires_ms, &row));
    return row;
}

static bool has_words(struct slice text, const char *words)
{
    return memmem(text.data, text.size, words, strlen(words)) != NULL;
}

TEST(a_campaign_writes_to_one_recipient_once_whatever_event_asks)
{
    open_flow(answer_done);
    ask(1, "c", "ada");
    expect_acks(1);
    ask(2, "c", "ada");
    ask(3, "c", "ADA");
    ask(4, "c", "bob");
    ask(5, "d", "ada");
    expect_acks(5);
    settle();
    assert_int_equal(kit.delivery_count, 3);
    assert_int_equal(counted("c", CAMPAIGN_TOTAL), 4);
    assert_int_equal(counted("c", CAMPAIGN_DUPLICATE), 2);
    assert_int_equal(counted("c", CAMPAIGN_DELIVERED), 2);
    assert_int_equal(counted("c", CAMPAIGN_OUTBOX), 0);
    assert_int_equal(counter("lane.box.asked"), 5);
    assert_int_equal(counter("lane.box.superseded"), 2);
    expect_text(receipt_at(2), "outcome", "superseded");
    assert_true(has_words(record_get(receipt_at(2), "text"), "campaign c wrote to this recipient already (20"));
    flow_close();
}

TEST(a_recipient_who_is_only_decided_and_not_on_disk_yet_is_not_written_to_twice)
{
    open_flow(answer_done);
    ask(1, "c", "ada"); /* both are decided before the store thread can answer */
    ask(2, "c", "ada");
    expect_acks(2);
    settle();
    assert_int_equal(kit.delivery_count, 1);
    flow_close();
}

TEST(the_ledger_outlives_restarts)
{
    open_flow(answer_done);
    ask(1, "c", "ada");
    expect_acks(1);
    settle();
    flow_reopen(MANIFEST, TELL_ALL);
    kit.on_deliver = answer_done;
    ask(2, "c", "ada");
    expect_acks(1);
    settle();
    assert_int_equal(kit.delivery_count, 0);
    flow_close();
}

TEST(the_place_stays_taken_while_the_effect_is_held_and_a_retry_keeps_its_id)
{
    open_flow(answer_never);
    ask(1, "c", "ada");
    expect_acks(1);
    settle();
    assert_int_equal(rows_in(TABLE_HELD), 1);
    ask(2, "c", "ada");
    expect_acks(2);
    settle();
    assert_int_equal(kit.delivery_count, 1);

    kit.on_deliver = answer_done;
    bool is_done;
    struct change *change = kit_change(&is_done);
    struct slice row = held_row(1);
    lane_retry(kit.connections[0].lane, change, record_get(row, "item"),
               (uint64_t)record_get_integer(row, "number", 0));
    held_remove(change, 1);
    kit_commit(change, &is_done);
    lane_wake(kit.connections[0].lane);
    WAIT_UNTIL(kit.delivery_count == 2);
    settle();
    assert_string_equal(kit.effect_ids[0], kit.effect_ids[1]);
    assert_int_equal(counted("c", CAMPAIGN_DELIVERED), 1);
    assert_int_equal(counted("c", CAMPAIGN_OUTBOX), 0);
    flow_close();
}

/* Takes held 1 back with another recipient, as `headgate held edit` leaves it. */
static bool retry_to(const char *to)
{
    bool is_done, ok;
    struct change *change = kit_change(&is_done);
    struct slice row = held_row(1), item = record_get(row, "item");
    struct buf edited = BUF_INIT(5000), fields = BUF_INIT(1000);
    struct err err = ERR_INIT;
    buf_add_slice(&fields, record_get(item, "fields"));
    record_add_text(&fields, "to", slice_of(to));
    buf_add_slice(&edited, item);
    record_add_text(&edited, "fields", buf_slice(&fields));
    ok = lane_retry_edited(kit.connections[0].lane, change, buf_slice(&edited),
                           (uint64_t)record_get_integer(row, "number", 0), &err);
    if (ok)
        held_remove(change, 1);
    kit_commit(change, &is_done);
    lane_wake(kit.connections[0].lane);
    buf_clear(&edited);
    buf_clear(&fields);
    return ok;
}

TEST(a_held_one_that_is_edited_reaches_nobody_a_second_time_and_its_new_recipient_is_taken)
{
    open_flow(answer_never);
    ask(1, "c", "ada");
    expect_acks(1);
    settle();
    kit.on_deliver = answer_done;
    ask(2, "c", "bob");
    expect_acks(2);
    settle();
    assert_int_equal(kit.delivery_count, 2);
    assert_false(retry_to("Bob"));
    assert_false(retry_to("!x"));
    settle();
    assert_int_equal(rows_in(TABLE_HELD), 1);
    assert_true(retry_to("Eve"));
    WAIT_UNTIL(kit.delivery_count == 3);
    settle();
    ask(3, "c", "eve");
    expect_acks(3);
    settle();
    assert_int_equal(kit.delivery_count, 3);
    assert_int_equal(counted("c", CAMPAIGN_DUPLICATE), 1);
    flow_close();
}

TEST(the_same_recipient_twice_in_one_run_is_asked_for_once)
{
    flow_open(MANIFEST, FLOW("function step.run(event) for _, to in ipairs { 'ada', 'Ada', 'bob' } do "
                             "box.tell { campaign = 'c', to = to, text = 'x' } end end "));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    expect_acks(1);
    settle();
    assert_int_equal(kit.delivery_count, 2);
    flow_close();
}

TEST(a_campaign_has_a_name_and_a_recipient)
{
    flow_open(MANIFEST, FLOW("function step.run(event) box.tell { campaign = event.body.c, to = event.body.to } end "));
    arrive(1, "{\"id\":\"1\",\"key\":\"k\",\"c\":\"\",\"to\":\"ada\"}");
    arrive(2, "{\"id\":\"2\",\"key\":\"k\",\"c\":\"a\\u0000b\",\"to\":\"ada\"}");
    arrive(3, "{\"id\":\"3\",\"key\":\"k\",\"c\":\"c\",\"to\":\"\"}");
    arrive(4, "{\"id\":\"4\",\"key\":\"k\",\"c\":\"c\",\"to\":\"!x\"}");
    expect_acks(4);
    assert_int_equal(rows_in(TABLE_HELD), 4);
    assert_int_equal(rows_in(TABLE_LEDGER), 0);
    assert_true(has_words(record_get(held_row(1), "reason"), "the name of a campaign has 1 to 100 bytes"));
    assert_true(has_words(record_get(held_row(3), "reason"), "`to` is empty"));
    assert_true(has_words(record_get(held_row(4), "reason"), "!x is nobody"));
    flow_close();
}

/* ---- suppression --------------------------------------------------------------------------------- */

TEST(a_recipient_who_does_not_exist_is_suppressed_and_not_written_to_again)
{
    open_flow(answer_gone);
    ask(1, "c", "Ada");
    expect_acks(1);
    settle();
    assert_int_equal(rows_in(TABLE_SUPPRESSED), 1);
    assert_int_equal(rows_in(TABLE_HELD), 0);
    assert_int_equal(counted("c", CAMPAIGN_BOUNCED), 1);
    kit.on_deliver = answer_done;
    ask(2, "d", "ada");
    ask(3, NULL, "ADA");
    expect_acks(3);
    settle();
    assert_int_equal(kit.delivery_count, 1);
    assert_int_equal(counted("d", CAMPAIGN_SUPPRESSED), 1);
    assert_int_equal(counter("lane.box.refused"), 3);
    expect_text(receipt_at(3), "outcome", "refused");
    struct slice text = record_get(receipt_at(3), "text");
    assert_true(has_words(text, "suppressed since 20"));
    assert_true(has_words(text, "because nobody of that name"));
    flow_close();
}

TEST(an_effect_of_no_campaign_that_bounces_is_held_as_well)
{
    open_flow(answer_gone);
    ask(1, NULL, "ada");
    expect_acks(1);
    settle();
    assert_int_equal(rows_in(TABLE_SUPPRESSED), 1);
    expect_text(held_row(1), "verdict", "never");
    flow_close();
}

TEST(who_is_taken_off_the_list_is_written_to)
{
    open_flow(answer_done);
    bool is_done;
    struct suppression suppression = {.who = "eve", .why = "wants nothing"};
    struct change *change = kit_change(&is_done);
    suppressed_add(change, "box", slice_of("ada"), &suppression);
    kit_commit(change, &is_done);
    ask(1, NULL, "ada");
    expect_acks(1);
    settle();
    assert_int_equal(kit.delivery_count, 0);
    assert_true(has_words(record_get(receipt_at(1), "text"), "because eve says: wants nothing"));
    change = kit_change(&is_done);
    suppressed_remove(change, "box", slice_of("ada"));
    kit_commit(change, &is_done);
    ask(2, NULL, "ada");
    expect_acks(2);
    settle();
    assert_int_equal(kit.delivery_count, 1);
    flow_close();
}

/* ---- states ----------------------------------------------------------------------------------------- */

static void set_state(enum campaign_state state)
{
    bool is_done;
    struct change *change = kit_change(&is_done);
    campaign_set_state(kit.store, change, "box", slice_of("c"), state, "eve", "because");
    kit_commit(change, &is_done);
}

TEST(a_paused_campaign_is_out_of_the_way_of_others_and_its_effects_count_as_waiting)
{
    open_flow(answer_done);
    ask(1, "c", "ada");
    expect_acks(1);
    settle();
    set_state(CAMPAIGN_PAUSED);
    ask(2, "c", "bob");
    ask(3, "d", "ada");
    expect_acks(3);
    settle();
    assert_int_equal(kit.delivery_count, 2);
    assert_int_equal(rows_in(TABLE_PARKED), 1);
    expect_text(receipt_at(2), "outcome", "parked");
    struct books books = read_books();
    assert_int_equal(books_lane(&books, "box")->waiting, 1);
    books_clear(&books);
    flow_close();
}

TEST(what_a_cancelled_campaign_has_in_the_outbox_is_refused_and_counted)
{
    open_flow(answer_done);
    ask(1, "c", "ada");
    expect_acks(1);
    settle();
    set_state(CAMPAIGN_CANCELLED);
    ask(2, "c", "bob");
    expect_acks(2);
    settle();
    assert_int_equal(kit.delivery_count, 1);
    assert_int_equal(counted("c", CAMPAIGN_GIVEN_UP), 1);
    assert_true(has_words(record_get(receipt_at(2), "text"), "cancelled by eve: because"));
    flow_close();
}
