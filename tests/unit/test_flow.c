/* test_flow.c - an event is acknowledged when all it caused is on disk, and runs in the order of its key */
#include "flow_kit.h"

static size_t outbox_at_ack, seen_at_ack;

static void look_at_ack(struct event *event)
{
    (void)event;
    outbox_at_ack = rows_in(TABLE_OUTBOX);
    seen_at_ack = rows_in(TABLE_SEEN);
}

TEST(an_event_is_acknowledged_when_its_effects_mark_and_trail_are_on_disk)
{
    flow_open(MANIFEST, FLOW(TELL));
    kit.on_ack = look_at_ack;
    arrive_id(7, "e1", "k");
    assert_int_equal(kit.ack_count, 0);
    expect_acks(1);
    assert_true(was_acked(7));
    assert_int_equal(outbox_at_ack, 1);
    assert_int_equal(seen_at_ack, 1);
    assert_int_equal(rows_in(TABLE_TRAILS), 1);
    WAIT_UNTIL(kit.delivery_count == 1); /* and its lane was woken */
    assert_true(slice_is(kit.deliveries[0]->key, "k"));
    assert_int_equal(flow_now().finished, 1);
    flow_close();
}

TEST(a_run_that_fails_is_held_with_reason_and_traceback_and_leaves_no_effect)
{
    flow_open(MANIFEST, FLOW("function step.run(event) box.put { text = 'x' } error 'not today' end "));
    arrive_id(1, "e1", "k");
    expect_acks(1);
    assert_int_equal(rows_in(TABLE_OUTBOX), 0);
    struct slice row = held_row(1);
    expect_text(row, "kind", "event");
    expect_text(row, "flow", "f");
    expect_text(row, "key", "k");
    expect_text(row, "event_id", "e1");
    assert_non_null(memmem(record_get(row, "reason").data, record_get(row, "reason").size, "step run: ", 10));
    assert_non_null(memmem(record_get(row, "reason").data, record_get(row, "reason").size, "not today", 9));
    assert_non_null(memmem(record_get(row, "detail").data, record_get(row, "detail").size, "flow.lua:1", 10));
    assert_int_equal(flow_now().failed, 1);
    flow_close();
}

static void expect_reason(uint64_t number, const char *words)
{
    struct slice reason = record_get(held_row(number), "reason");
    if (!memmem(reason.data, reason.size, words, strlen(words)))
        fail_msg("held for another reason: %.*s", SLICE_ARG(reason));
}

TEST(what_cannot_be_read_has_no_id_or_is_too_large_is_held)
{
    flow_open(MANIFEST, FLOW(TELL));
    char long_id[300];
    memset(long_id, 'x', sizeof long_id);
    long_id[201] = '\0';
    arrive(1, "{\"id\":");
    arrive(2, "");
    arrive(3, "{\"key\":\"k\"}");
    arrive(4, "{\"id\":\"i\",\"key\":{}}");
    arrive(5, "{\"id\":\"a\\u0000b\",\"key\":\"k\"}");
    arrive_id(6, long_id, "k");
    struct buf record = BUF_INIT(1000);
    record_add_text(&record, "body", slice_of("{}"));
    record_add_boolean(&record, "oversize", true);
    arrive_record(&record, 7);
    record_add_text(&record, "body", slice_of("<a/>"));
    record_add_text(&record, "content_type", slice_of("text/xml"));
    arrive_record(&record, 8);
    record_add_text(&record, "body", slice_of("{\"id\":1.5,\"key\":\"k\"}"));
    arrive_record(&record, 9);
    expect_acks(9);
    expect_reason(1, "not good JSON");
    expect_reason(2, "empty");
    expect_reason(3, "has no id");
    expect_reason(4, "has no key");
    expect_reason(5, "control characters");
    expect_reason(6, "201 bytes");
    expect_reason(7, "takes at most");
    expect_reason(8, "text/xml");
    expect_reason(9, "neither a text nor an integer");
    assert_int_equal(rows_in(TABLE_HELD), 9);
    flow_close();
}

TEST(what_cannot_be_read_is_held_once_though_the_source_delivers_it_again)
{
    flow_open(MANIFEST, FLOW(TELL));
    arrive(1, "{\"id\":");
    expect_acks(1);
    is_again = true; /* as after a crash between the commit and the ack */
    arrive(2, "{\"id\":");
    arrive(3, "{\"id\" 1}");
    is_again = false;
    arrive(4, "{\"id\":"); /* another one that looks the same */
    expect_acks(4);
    assert_int_equal(rows_in(TABLE_HELD), 3);
    assert_int_equal(counter("flow.f.repeat"), 1);
    flow_close();
}

TEST(times_that_cannot_be_are_refused_or_not_believed)
{
    flow_open(HEAD "event: {id: body.id, time: body.at, expires: 1h}\n", FLOW(TELL));
    arrive(1, "{\"id\":1,\"at\":-9223372036854775807}");
    arrive(2, "{\"id\":2,\"at\":9223372036854775807}");
    arrive(3, "{\"id\":3,\"at\":\"yesterday\"}");
    struct buf record = BUF_INIT(1000);
    record_add_text(&record, "body", slice_of("{\"id\":4}"));
    record_add_integer(&record, "time_ms", INT64_MIN);
    arrive_record(&record, 4);
    expect_acks(4);
    for (uint64_t i = 1; i <= 3; i++)
        expect_reason(i, "is not a time");
    assert_int_equal(flow_now().finished, 1);
    flow_close();
}

TEST(a_repeat_is_counted_and_acknowledged_but_not_run)
{
    flow_open(MANIFEST, FLOW(TELL));
    arrive_id(1, "e1", "k");
    arrive_id(2, "e1", "k"); /* its first is not on disk yet */
    expect_acks(2);
    arrive_id(3, "e1", "k");
    expect_acks(3);
    assert_int_equal(rows_in(TABLE_OUTBOX), 1);
    assert_int_equal(flow_now().skipped, 2);
    flow_reopen(MANIFEST, FLOW(TELL));
    arrive_id(4, "e1", "k");
    expect_acks(1);
    assert_int_equal(flow_now().skipped, 3);
    flow_close();
}

TEST(a_repeat_waits_while_the_first_still_runs_and_is_acknowledged_after_it)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive_id(1, "e1", "k");
    arrive_id(2, "e1", "k");
    arrive_id(3, "e1", "another key"); /* the same id, though */
    let_happen();
    assert_int_equal(kit.ack_count, 0);
    assert_int_equal(kit.question_count, 1);
    question_answer(question(1), slice_of("{}"));
    expect_acks(3);
    assert_int_equal(kit.acked[0], 1);
    expect_asked("e1");
    assert_int_equal(flow_now().skipped, 2);
    flow_close();
}

TEST(a_repeat_is_forgotten_after_the_time_that_the_manifest_says)
{
    flow_open(HEAD "event: {id: body.id, remember: 1h}\n", FLOW(TELL));
    clock_set_ms(1000000);
    arrive_id(1, "e1", "k");
    expect_acks(1);
    clock_set_ms(1000000 + 3600000);
    arrive_id(2, "e1", "k");
    expect_acks(2);
    assert_int_equal(flow_now().finished, 2);
    flow_close();
}

TEST(an_event_that_is_too_old_is_counted_and_not_run)
{
    flow_open(HEAD "event: {id: body.id, time: body.at, expires: 2h}\n", FLOW(TELL));
    clock_set_ms(1800000000000);
    arrive(1, "{\"id\":1,\"at\":1799992799}");
    arrive(2, "{\"id\":2,\"at\":1799992800}");
    expect_acks(2);
    assert_int_equal(flow_now().expired, 1);
    expect_asked("2");
    flow_close();
}

TEST(off_holds_by_putting_back_and_drop_counts)
{
    flow_open(MANIFEST, FLOW(TELL));
    flow_set_gate(flow, false);
    assert_int_equal(kit.silenced, 1);
    arrive_id(1, "e1", "k"); /* it was on its way */
    assert_true(was_returned(1));
    flow_switch(flow, instance_of(HEAD EVENT "when_off: drop\n", FLOW(TELL)));
    assert_int_equal(kit.source_count, 2); /* listens, to drop */
    arrive_id(2, "e2", "k");
    expect_acks(1);
    assert_int_equal(flow_now().skipped, 1);
    flow_set_gate(flow, true);
    arrive_id(3, "e2", "k"); /* what was dropped was not seen */
    expect_acks(2);
    expect_asked("e2");
    flow_close();
}

TEST(a_source_that_stays_open_hears_that_the_gate_is_closed)
{
    struct adapter open_adapter = fake;
    open_adapter.stays_open = true;
    config_open();
    kit_open();
    kit.connections[1].adapter = &open_adapter;
    make_flow(instance_of(MANIFEST, FLOW(TELL)));
    flow_set_gate(flow, false);
    assert_int_equal(kit.silenced, 0);
    arrive_id(1, "a", "k");
    assert_true(was_returned(1));
    flow_set_gate(flow, true);
    arrive_id(2, "a", "k");
    expect_acks(1);
    flow_close();
}

TEST(events_of_one_key_run_one_after_another_and_others_pass)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive_id(1, "a1", "a");
    arrive_id(2, "a2", "a");
    arrive_id(3, "b1", "b");
    arrive_id(4, "a3", "a");
    let_happen();
    assert_int_equal(kit.question_count, 2);
    question_answer(question(2), slice_of("{}"));
    WAIT_UNTIL(was_acked(3));
    for (size_t i = 0; i < 3; i++)
        question_answer(question(i ? i + 2 : 1), slice_of("null"));
    expect_acks(4);
    expect_asked("b1,a1,a2,a3");
    flow_close();
}

/* ---- the inbox -------------------------------------------------------------------------------------------- */

TEST(a_read_that_says_later_puts_the_event_and_those_behind_it_into_the_inbox_in_order)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    clock_set_ms(1000000);
    arrive_id(1, "a1", "a");
    arrive_id(2, "a2", "a");
    question_later(question(1), "busy");
    expect_acks(2);
    assert_int_equal(flow_now().inbox, 2);
    arrive_id(3, "a3", "a"); /* comes later, stands behind */
    arrive_id(4, "a1", "a"); /* a repeat of what waits */
    arrive_id(5, "b1", "b");
    question_answer(question(2), slice_of("{}"));
    expect_acks(5);
    assert_int_equal(kit.question_count, 2);
    clock_set_ms(0); /* long after */
    question_answer(question(3), slice_of("{}"));
    question_answer(question(4), slice_of("{}"));
    question_answer(question(5), slice_of("{}"));
    WAIT_UNTIL(flow_now().inbox == 0 && flow_now().under_way == 0);
    expect_asked("b1,a1,a2,a3");
    assert_int_equal(rows_in(TABLE_INBOX), 0);
    assert_int_equal(flow_now().received, 5);
    assert_int_equal(flow_now().skipped, 1);
    expect_acks(5);
    flow_close();
}

TEST(a_read_that_says_never_makes_the_event_held)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive_id(1, "a1", "a");
    question_never(question(1), "no such table");
    expect_acks(1);
    expect_reason(1, "box.get: no such table");
    flow_close();
}

TEST(what_is_in_the_inbox_runs_after_a_restart_in_the_order_of_its_key)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    for (uint64_t i = 1; i <= 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", (int)i);
        arrive_id(i, id, i % 2 ? "odd" : "even");
    }
    question_later(question(1), "busy");
    question_later(question(2), "busy");
    expect_acks(50);
    flow_reopen(MANIFEST, FLOW(TELL));
    WAIT_UNTIL(flow_now().inbox == 0 && flow_now().under_way == 0);
    expect_balance();
    assert_int_equal(counter("flow.f.finished"), 50);
    struct buf texts = BUF_INIT(10000);
    store_scan(kit.store, TABLE_OUTBOX, SLICE_NONE, SLICE_NONE, add_asked, &texts);
    int last[2] = {0, 0}, count = 0;
    for (char *at = texts.data; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL, count++) {
        assert_true(atoi(at) > last[atoi(at) % 2]);
        last[atoi(at) % 2] = atoi(at);
    }
    assert_int_equal(count, 50);
    buf_clear(&texts);
    flow_close();
}

static void answer_at_once(struct question *asked)
{
    question_answer(asked, slice_of("{}"));
}

TEST(an_inbox_larger_than_its_window_drains_in_order)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    clock_set_ms(1000000);
    arrive_id(1, "first", "k");
    question_later(question(1), "busy");
    WAIT_UNTIL(flow_now().inbox == 1);
    for (uint64_t i = 2; i <= 2801; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", (int)i);
        arrive_id(i, id, i % 5 ? "k" : "other");
    }
    WAIT_UNTIL(flow_now().inbox > 2200);
    kit.on_ask = answer_at_once;
    for (size_t i = 1; i < kit.question_count; i++)
        question_answer(kit.questions[i], slice_of("{}"));
    clock_set_ms(0); /* long after */
    WAIT_UNTIL(flow_now().finished == 2801 && flow_now().under_way == 0);
    assert_int_equal(flow_now().inbox, 0);
    expect_balance();
    flow_close();
}

static void retry(uint64_t number)
{
    bool is_done;
    struct change *change = kit_change(&is_done);
    struct slice row = held_row(number);
    char *key = mem_copy(record_get(row, "key"));
    flow_retry(flow, change, record_get(row, "item"), key, SLICE_NONE);
    held_remove(change, number);
    kit_commit(change, &is_done);
    flow_wake(flow);
    free(key);
}

TEST(a_held_event_that_is_taken_back_runs_with_the_release_of_then)
{
    flow_open(MANIFEST, FLOW("function step.run(event) error 'broken' end "));
    arrive_id(1, "e1", "k");
    expect_acks(1);
    flow_switch(flow, instance_of(MANIFEST, FLOW(TELL)));
    retry(1);
    WAIT_UNTIL(flow_now().finished == 1 && flow_now().under_way == 0);
    expect_asked("e1");
    assert_int_equal(rows_in(TABLE_HELD), 0);
    assert_int_equal(rows_in(TABLE_INBOX), 0);
    expect_acks(1);
    flow_close();
}

TEST(a_held_event_that_could_not_be_read_is_held_again_or_runs_under_its_key)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    arrive(1, "{\"id\":\"x1\",\"name\":\"k\"}");
    expect_acks(1);
    retry(1);
    WAIT_UNTIL(counter("held.last") == 2 && flow_now().under_way == 0);
    expect_balance();
    flow_switch(flow, instance_of(HEAD "event: {id: body.id, key: body.name}\n", FLOW(LOOK_UP)));
    arrive(2, "{\"id\":\"x2\",\"name\":\"k\"}"); /* runs, when the other comes back under the same key */
    WAIT_UNTIL(kit.question_count == 1);
    retry(2);
    arrive(3, "{\"id\":\"x3\",\"name\":\"k\"}");
    let_happen();
    assert_int_equal(kit.question_count, 1);
    kit.on_ask = answer_at_once;
    question_answer(question(1), slice_of("{}"));
    WAIT_UNTIL(flow_now().finished == 3 && flow_now().under_way == 0);
    expect_acks(3);
    flow_close();
}

TEST(events_without_an_id_keep_effects_of_their_own_across_restarts)
{
    static const char manifest[] = HEAD "event: {id: none}\n";
    static const char lua[] = FLOW("function step.run() box.get { name = 'n' } box.put { text = 'x' } end ");
    flow_open(manifest, lua);
    for (int round = 0; round < 2; round++) {
        clock_set_ms(1000000);
        arrive(1, "{}");
        question_later(question(1), "busy");
        WAIT_UNTIL(flow_now().inbox == 1 && flow_now().under_way == 0);
        clock_set_ms(0); /* long after */
        question_answer(question(2), slice_of("{}"));
        WAIT_UNTIL(kit.delivery_count == 1); /* not taken for a repeat of the round before */
        delivery_done(kit.deliveries[0], "ok");
        WAIT_UNTIL(counter("lane.box.delivered") == round + 1);
        expect_balance();
        flow_reopen(manifest, lua);
    }
    assert_int_equal(counter("lane.box.superseded"), 0);
    flow_close();
}

TEST(a_flow_lets_go_of_a_connection_and_listens_again_when_it_is_open)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    struct connection *feed = &kit.connections[1];
    arrive_id(1, "a", "k");
    question(1);
    feed->is_closing = true;
    flow_let_go(flow, feed);
    flow_adjust(flow); /* a gate is changed meanwhile, say */
    assert_int_equal(kit.silenced, 1);
    assert_int_equal(kit.source_count, 1);
    assert_false(flow_has_let_go(flow, feed, false));
    assert_true(flow_has_let_go(flow, feed, true));
    question_answer(kit.questions[0], slice_of("1"));
    WAIT_UNTIL(flow_has_let_go(flow, feed, false));
    assert_true(was_acked(1));
    feed->is_closing = false;
    flow_adjust(flow);
    assert_int_equal(kit.source_count, 2);
    flow_close();
}

TEST(a_question_to_a_connection_that_closes_is_asked_again_later_and_counted_until_it_is_answered)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    struct connection *box = &kit.connections[0];
    arrive_id(1, "a", "k");
    question(1);
    assert_int_equal(box->questions, 1);
    box->is_closing = true;
    arrive_id(2, "b", "l");
    let_happen();
    assert_int_equal(kit.question_count, 1);
    assert_int_equal(box->questions, 1);
    question_answer(kit.questions[0], slice_of("1"));
    assert_int_equal(box->questions, 0);
    box->is_closing = false;
    question_answer(question(2), slice_of("1")); /* from the inbox, after its backoff */
    WAIT_UNTIL(flow_now().finished == 2);
    expect_balance();
    flow_close();
}

TEST(an_event_of_an_earlier_opening_of_its_connection_is_not_answered)
{
    flow_open(MANIFEST, FLOW(LOOK_UP));
    struct connection *feed = &kit.connections[1];
    arrive_id(1, "a", "k");
    question(1);
    arrive_id(2, "b", "k");
    feed->opening++; /* closed and opened meanwhile: these tokens mean other events now, or none */
    question_answer(kit.questions[0], slice_of("1"));
    question_answer(question(2), slice_of("1"));
    WAIT_UNTIL(flow_now().finished == 2 && flow_now().under_way == 0);
    assert_int_equal(kit.ack_count, 0);
    arrive_id(3, "a", "k"); /* the source delivers it again */
    expect_acks(1);
    assert_true(was_acked(3));
    assert_int_equal(flow_now().finished, 2);
    flow_close();
}
