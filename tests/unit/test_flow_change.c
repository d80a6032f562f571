/* test_flow_change.c - releases, gates and sources change, and no event is lost by it */
#include "flow_kit.h"

TEST(a_switch_between_two_events_lets_the_run_under_way_finish_under_its_own_release)
{
    flow_open(MANIFEST,
              FLOW("function step.run(event) box.get { name = 'n' } box.put { text = 'old ' .. event.id } end "));
    arrive_id(1, "e1", "k");
    arrive_id(2, "e2", "k");
    question(1);
    flow_switch(flow,
                instance_of(MANIFEST, FLOW("function step.run(event) box.put { text = 'new ' .. event.id } end ")));
    assert_int_equal(kit.source_count, 1); /* the same source goes on undisturbed */
    arrive_id(3, "e3", "other");
    question_answer(question(1), slice_of("{}"));
    expect_acks(3);
    expect_asked("new e3,old e1,new e2");
    flow_close();
}

TEST(a_source_that_the_new_release_wants_otherwise_is_replaced_and_its_events_still_answered)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    struct source *old = source_now();
    arrive_id(1, "e1", "k");
    question(1);
    flow_switch(flow, instance_of("flow: f\ntitle: A flow\nowner: us\non: {feed: {topic: other}}\nuses: [box]\n" EVENT,
                                  FLOW(TELL)));
    assert_int_equal(kit.source_count, 2);
    assert_int_equal(kit.silenced, 1);
    assert_ptr_not_equal(source_now(), old);
    question_answer(question(1), slice_of("{}"));
    expect_acks(1);
    flow_close();
}

TEST(a_release_that_finds_another_key_does_not_block_those_who_wait)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive(1, "{\"id\":\"e1\",\"key\":\"k\",\"other\":\"x\"}");
    arrive(2, "{\"id\":\"e2\",\"key\":\"k\",\"other\":\"y\"}");
    arrive(3, "{\"id\":\"e3\",\"key\":\"k\",\"other\":\"x\"}");
    arrive(4, "{\"id\":\"e4\",\"key\":\"k\",\"other\":\"x\"}");
    question(1);
    flow_switch(flow, instance_of(HEAD "event: {id: body.id, key: body.other}\n", FLOW(LOOK_UP)));
    question_answer(question(1), slice_of("{}"));
    for (size_t i = 2; i <= 4; i++)
        question_answer(question(i), slice_of("{}"));
    expect_acks(4);
    flow_close();
}

TEST(runs_that_are_given_up_put_their_events_back_and_leave_no_trace)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive_id(1, "e1", "k");
    arrive_id(2, "e2", "k");
    arrive_id(3, "e3", "other");
    question(2);
    flows.takes_events = false;
    flow_adjust(flow);
    flow_cancel_runs(flow);
    assert_true(was_returned(1) && was_returned(2) && was_returned(3));
    assert_int_equal(flow_now().under_way, 0);
    question_answer(question(1), slice_of("{}")); /* too late: nobody waits */
    question_later(question(2), "busy");
    let_happen();
    assert_int_equal(kit.ack_count, 0);
    assert_int_equal(rows_in(TABLE_OUTBOX) + rows_in(TABLE_SEEN) + rows_in(TABLE_HELD) + rows_in(TABLE_INBOX), 0);
    flow_close();
}

TEST(while_the_store_is_full_events_are_put_back_and_sources_silent)
{
    flow_open(MANIFEST, FLOW(TELL));
    flows.takes_events = false;
    flow_adjust(flow);
    arrive_id(1, "e1", "k");
    assert_true(was_returned(1));
    assert_int_equal(kit.silenced, 1);
    flows.takes_events = true;
    flow_adjust(flow);
    assert_int_equal(kit.source_count, 2);
    arrive_id(2, "e1", "k");
    expect_acks(1);
    flow_close();
}

TEST(a_connection_that_may_not_be_opened_is_neither_listened_to_nor_asked)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive_id(1, "e1", "k");
    lane_refuse(kit.connections[0].lane, "it is for production");
    lane_refuse(kit.connections[1].lane, "it is for production");
    flow_set_gate(flow, false);
    arrive_id(2, "e2", "other");
    flow_set_gate(flow, true);
    assert_int_equal(kit.source_count, 1);
    assert_true(flow_now().is_refused);
    assert_string_equal(flow_now().source_state, "it is for production");
    question_answer(question(1), slice_of("{}"));
    expect_acks(1);
    arrive_id(3, "e3", "k");
    expect_acks(2);
    assert_int_equal(flow_now().inbox, 1); /* waits for a configuration in which it may ask */
    assert_int_equal(kit.question_count, 1);
    flow_close();
}

TEST(a_source_that_cannot_listen_says_why)
{
    config_open();
    kit_open();
    kit.refuses_listen = true;
    make_flow(instance_of(MANIFEST, FLOW(TELL)));
    assert_true(flow_now().is_refused);
    assert_string_equal(flow_now().source_state, "there is no such topic");
    flow_close();
}

static unsigned remembered;

static void on_source_remembered(struct source *source)
{
    remembered++;
    assert_true(slice_is(source->memory, "queue two"));
}

TEST(what_a_source_remembers_is_there_after_a_restart)
{
    flow_open(MANIFEST, FLOW(TELL));
    assert_false(source_now()->declared_before);
    remembered = 0;
    source_remember(source_now(), slice_of("queue one"), on_source_remembered);
    source_remember(source_now(), slice_of("queue two"), on_source_remembered); /* the link was lost meanwhile */
    WAIT_UNTIL(remembered == 1);
    let_happen();
    assert_int_equal(remembered, 1);
    flow_reopen(MANIFEST, FLOW(TELL));
    assert_true(source_now()->declared_before);
    assert_true(slice_is(source_now()->memory, "queue two"));
    flow_close();
}
