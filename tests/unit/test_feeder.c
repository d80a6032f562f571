/* test_feeder.c - a list of recipients is frozen, fed a few hundred at a time, and everybody gets one */
#include "core/campaign/book.h"

#include "flow_kit.h"

#define TO(list) FLOW("function step.run(event) box.tell { campaign = 'c', to = " list ", text = 'x' } end ")
/* People "p1" ... in so many entries. */
#define MANY(count)                                                                                                    \
    FLOW("function step.run(event) local to = {} for i = 1, " #count " do to[i] = 'p' .. i end "                       \
         "box.tell { campaign = 'c', to = to, text = 'x' } end ")

static void answer_done(struct delivery *delivery)
{
    delivery_done(delivery, "thanks");
}

static int64_t counted(enum campaign_counter which)
{
    store_refresh(kit.store);
    return campaign_counted(kit.store, "box", slice_of("c"), which);
}

/* What was given is somewhere, and only there. */
static void expect_book(void)
{
    struct err err = ERR_INIT;
    struct campaign_books books;
    struct picture *picture = picture_open(kit.store, &err);
    campaign_books_read(picture, NULL, NULL, &books);
    picture_close(picture);
    for (size_t i = 0; i < books.count; i++)
        if (books.list[i].difference)
            fail_msg("campaign %s: the books differ by %d", books.list[i].name, (int)books.list[i].difference);
    campaign_books_clear(&books);
}

static void expect_fed(void)
{
    WAIT_UNTIL(rows_in(TABLE_LISTS) == 0 && rows_in(TABLE_RECIPIENTS) == 0 && rows_in(TABLE_PARKED) == 0
               && rows_in(TABLE_OUTBOX) == 0 && lane_is_idle(kit.connections[0].lane));
    assert_int_equal(counted(CAMPAIGN_OUTBOX), 0);
    expect_balance();
    expect_book();
}

static void set_state(enum campaign_state state)
{
    bool is_done;
    struct change *change = kit_change(&is_done);
    campaign_set_state(kit.store, change, "box", slice_of("c"), state, "eve", "because");
    kit_commit(change, &is_done);
    lane_look_at_campaigns(kit.connections[0].lane);
}

static void expect_each_once(size_t count)
{
    assert_int_equal(kit.delivery_count, count);
    struct map seen = MAP_INIT;
    for (size_t i = 0; i < count; i++) {
        if (map_get(&seen, slice_of(kit.effect_ids[i])))
            fail_msg("%s was delivered twice", kit.effect_ids[i]);
        map_put(&seen, slice_of(kit.effect_ids[i]), &kit);
    }
    map_clear(&seen);
}

TEST(everybody_on_a_list_is_written_to_once)
{
    flow_open(MANIFEST, TO("{ 'ada', 'bob', 'ADA', { to = 'eve', text = 'y' } }"));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    expect_acks(1);
    expect_fed();
    expect_each_once(3);
    assert_int_equal(counted(CAMPAIGN_TOTAL), 4);
    assert_int_equal(counted(CAMPAIGN_DUPLICATE), 1);
    assert_int_equal(counted(CAMPAIGN_DELIVERED), 3);
    assert_int_equal(counter("lane.box.asked"), 3); /* recipients count as asked for when they enter the outbox */
    flow_close();
}

static char last_text[64];

static void note_text(struct delivery *delivery)
{
    snprintf(last_text, sizeof last_text, "%.*s to %.*s, key %.*s", SLICE_ARG(record_get(delivery->fields, "text")),
             SLICE_ARG(record_get(delivery->fields, "to")), SLICE_ARG(delivery->key));
    delivery_done(delivery, "thanks");
}

TEST(what_an_entry_says_for_itself_counts_and_effects_of_different_people_do_not_wait_for_each_other)
{
    flow_open(MANIFEST, TO("{ { to = 'Eve', text = 'y' } }"));
    kit.on_deliver = note_text;
    arrive_id(1, "e1", "k");
    expect_fed();
    WAIT_UNTIL(last_text[0]);
    assert_string_equal(last_text, "y to Eve, key eve");
    flow_close();
}

TEST(what_is_not_said_comes_from_the_files_of_the_release_that_handed_the_list_over)
{
    flow_open(MANIFEST, FLOW("function step.run(event) box.tell { campaign = 'c', to = { 'ada' } } end "));
    kit.on_deliver = note_text;
    arrive_id(1, "e1", "k");
    WAIT_UNTIL(kit.delivery_count == 1);
    expect_fed();
    assert_string_equal(last_text, "content of a to ada, key ada");
    flow_close();
}

TEST(a_list_handed_over_again_reaches_only_those_who_were_not_written_to)
{
    flow_open(MANIFEST, TO("event.body.to"));
    kit.on_deliver = answer_done;
    arrive(1, "{\"id\":\"1\",\"key\":\"k\",\"to\":[\"ada\",\"bob\"]}");
    arrive(2, "{\"id\":\"2\",\"key\":\"l\",\"to\":[\"bob\",\"ada\",\"eve\"]}");
    expect_acks(2);
    expect_fed();
    expect_each_once(3);
    assert_int_equal(counted(CAMPAIGN_TOTAL), 5);
    assert_int_equal(counted(CAMPAIGN_DUPLICATE), 2);
    flow_close();
}

TEST(only_a_few_hundred_are_in_the_outbox_however_long_the_list)
{
    flow_open(MANIFEST, MANY(3000));
    arrive_id(1, "e1", "k"); /* nobody answers the deliveries */
    expect_acks(1);
    WAIT_UNTIL(kit.delivery_count == 4);
    let_happen();
    assert_true(rows_in(TABLE_OUTBOX) >= 200 && rows_in(TABLE_OUTBOX) <= 400);
    assert_int_equal(rows_in(TABLE_OUTBOX) + rows_in(TABLE_RECIPIENTS), 3000);
    expect_book();
    flow_close();
}

TEST(after_a_crash_it_goes_on_where_it_was_and_nobody_is_written_to_twice)
{
    flow_open(MANIFEST, MANY(1000));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    size_t delivered = 0;
    for (size_t stop = 150; stop <= 900; stop += 250) {
        WAIT_UNTIL(delivered + kit.delivery_count >= stop);
        delivered += kit.delivery_count;
        flow_reopen(MANIFEST, MANY(1000));
        kit.on_deliver = answer_done;
    }
    WAIT_UNTIL(rows_in(TABLE_RECIPIENTS) == 0);
    expect_fed();
    assert_int_equal(counted(CAMPAIGN_DELIVERED) + (int64_t)rows_in(TABLE_HELD), 1000);
    assert_int_equal(rows_in(TABLE_LEDGER), 1000);
    flow_close();
}

TEST(a_recipient_for_whom_nothing_can_be_made_is_counted_with_its_reason_and_may_be_asked_for_again)
{
    flow_open(MANIFEST, TO("event.body.to"));
    kit.on_deliver = answer_done;
    arrive(1, "{\"id\":\"1\",\"key\":\"k\",\"to\":[\"ada\",\"!x\",{\"to\":\"bob\",\"text\":\"bad\"},\"eve\"]}");
    expect_acks(1);
    expect_fed();
    assert_int_equal(kit.delivery_count, 2);
    assert_int_equal(counted(CAMPAIGN_UNFIT), 2);
    struct slice row;
    struct store_key key = ledger_prefix("box", slice_of("c"));
    store_key_add(&key, slice_of("bob"));
    assert_true(store_get(kit.store, TABLE_LEDGER, store_key_slice(&key), &row));
    expect_text(row, "why", "bad is not wanted");
    arrive(2, "{\"id\":\"2\",\"key\":\"k\",\"to\":[\"bob\"]}");
    expect_acks(2);
    expect_fed();
    assert_int_equal(kit.delivery_count, 3);
    assert_int_equal(counted(CAMPAIGN_TOTAL), 5);
    flow_close();
}

TEST(a_list_whose_first_cannot_be_written_to_at_all_fails_its_step)
{
    flow_open(MANIFEST, TO("{ '!a', '!b' }"));
    arrive_id(1, "e1", "k");
    expect_acks(1);
    struct slice reason = record_get(held_row(1), "reason");
    assert_non_null(memmem(reason.data, reason.size, "the first 2 of the list", 23));
    assert_int_equal(rows_in(TABLE_LISTS), 0);
    flow_close();
}

static void expect_refused(const char *list, const char *words)
{
    char lua[400];
    snprintf(lua, sizeof lua, "local step = {} function step.run(event) box.tell { %s, text = 'x' } end return step",
             list);
    flow_open(MANIFEST, lua);
    arrive_id(1, "e1", "k");
    expect_acks(1);
    struct slice reason = record_get(held_row(1), "reason");
    if (!memmem(reason.data, reason.size, words, strlen(words)))
        fail_msg("%s: %.*s", list, SLICE_ARG(reason));
    flow_close();
}

TEST(a_list_that_is_none_is_refused_with_words)
{
    expect_refused("to = { 'ada' }", "needs a `campaign`");
    expect_refused("campaign = 'c', to = { to = 'ada' }", "one recipient or a list of them");
    expect_refused("campaign = 'c', to = { 'ada', 7 }", "`to`, entry 2: `to` must be a text, not number");
    expect_refused("campaign = 'c', to = { { text = 'a' } }", "`to`, entry 1: `to` is missing");
    expect_refused("campaign = 'c', to = { { to = 'a', nope = 1 } }", "there is no field `nope`");
    expect_refused("campaign = 'c', to = { { to = 'a', campaign = 'd' } }", "the same for all");
    expect_refused("campaign = 'c', to = { { to = 'a', choice = 'up' } }", "must be one of left|right");
}

TEST(an_empty_list_reaches_nobody)
{
    flow_open(MANIFEST, TO("{}"));
    arrive_id(1, "e1", "k");
    expect_acks(1);
    expect_fed();
    assert_int_equal(rows_in(TABLE_HELD), 0);
    assert_int_equal(rows_in(TABLE_CAMPAIGNS), 1);
    flow_close();
}

/* ---- paused, resumed, cancelled ---------------------------------------------------------------------- */

TEST(a_paused_campaign_sends_nothing_more_and_a_resumed_one_the_rest)
{
    flow_open(MANIFEST, MANY(1000));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    WAIT_UNTIL(kit.delivery_count >= 100);
    set_state(CAMPAIGN_PAUSED);
    WAIT_UNTIL(rows_in(TABLE_OUTBOX) == 0 && lane_is_idle(kit.connections[0].lane));
    let_happen();
    size_t delivered = kit.delivery_count;
    assert_true(delivered < 1000 && rows_in(TABLE_PARKED) > 0);
    assert_int_equal(delivered + rows_in(TABLE_PARKED) + rows_in(TABLE_RECIPIENTS), 1000);
    expect_book();
    flow_reopen(MANIFEST, MANY(1000)); /* also over a restart */
    kit.on_deliver = answer_done;
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    expect_balance();
    set_state(CAMPAIGN_RUNNING);
    WAIT_UNTIL(rows_in(TABLE_RECIPIENTS) == 0);
    expect_fed();
    expect_each_once(1000 - delivered);
    assert_int_equal(counted(CAMPAIGN_DELIVERED), 1000);
    flow_close();
}

TEST(what_a_cancelled_campaign_has_not_sent_is_counted)
{
    flow_open(MANIFEST, MANY(3000));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    WAIT_UNTIL(kit.delivery_count >= 100);
    set_state(CAMPAIGN_PAUSED); /* so that some are parked */
    WAIT_UNTIL(rows_in(TABLE_OUTBOX) == 0 && lane_is_idle(kit.connections[0].lane));
    set_state(CAMPAIGN_CANCELLED);
    expect_fed();
    assert_int_equal(counted(CAMPAIGN_DELIVERED), kit.delivery_count);
    assert_int_equal(counted(CAMPAIGN_DELIVERED) + counted(CAMPAIGN_GIVEN_UP), 3000);
    flow_close();
}

TEST(a_campaign_whose_release_is_gone_is_paused_and_says_why)
{
    struct campaign_view view = {.state = CAMPAIGN_RUNNING};
    flow_open(MANIFEST, TO("{ 'ada' }"));
    kit.on_deliver = answer_done;
    has_no_release = true;
    arrive_id(1, "e1", "k");
    expect_acks(1);
    WAIT_UNTIL(campaign_look(kit.store, "box", slice_of("c"), &view) && view.state == CAMPAIGN_PAUSED);
    assert_string_equal(view.why, "its release is gone");
    has_no_release = false;
    set_state(CAMPAIGN_RUNNING);
    WAIT_UNTIL(kit.delivery_count == 1);
    expect_fed();
    flow_close();
}

/* ---- fuses ------------------------------------------------------------------------------------------------ */

TEST(a_fuse_that_blows_within_a_list_lets_nothing_more_of_it_leave_until_it_is_reset)
{
    bool is_done;
    flow_open(MANIFEST "limits: {box: 50/h}\n", MANY(80));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    expect_acks(1);
    WAIT_UNTIL(flow_tripped(flow));
    assert_int_equal(trips, 1);
    assert_non_null(strstr(flow_tripped(flow)->reason, "flow f may ask box for 50/h"));
    let_happen();
    assert_int_equal(rows_in(TABLE_RECIPIENTS), 30);
    size_t before = kit.delivery_count;
    struct change *change = kit_change(&is_done);
    flow_reset_fuses(flow, change);
    kit_commit(change, &is_done);
    flow_set_trip(flow, NULL);
    lane_unpark(kit.connections[0].lane);
    WAIT_UNTIL(rows_in(TABLE_RECIPIENTS) == 0);
    expect_fed();
    assert_true(before <= 50);
    expect_each_once(80);
    flow_close();
}

TEST(the_same_list_started_again_counts_nobody_twice)
{
    flow_open(MANIFEST "limits: {per_recipient: 1/d}\n", MANY(20));
    kit.on_deliver = answer_done;
    arrive_id(1, "e1", "k");
    arrive_id(2, "e2", "l");
    expect_acks(2);
    expect_fed();
    assert_null(flow_tripped(flow));
    expect_each_once(20);
    flow_close();
}
