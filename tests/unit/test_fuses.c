/* test_fuses.c - a careless flow is stopped before it does harm: what it may ask for, and what becomes of the rest */
#include "flow_kit.h"

#define WRITE "function step.run(event) box.mail { text = event.key } end "
#define LIMITS(text) MANIFEST "limits: {" text "}\n"

static void write_to(const char *who, uint64_t from, uint64_t to)
{
    char id[30];
    for (uint64_t i = from; i <= to; i++) {
        snprintf(id, sizeof id, "e%d", (int)i);
        arrive_id(i, id, who);
    }
}

/* As a person does: it is on disk, then the flow goes on and the lanes, too. */
static void reset(void)
{
    bool is_done;
    struct change *change = kit_change(&is_done);
    flow_reset_fuses(flow, change);
    kit_commit(change, &is_done);
    flow_set_trip(flow, NULL);
    lane_unpark(kit.connections[0].lane);
}

static void expect_trip(const char *words)
{
    assert_non_null(flow_tripped(flow));
    if (!strstr(flow_tripped(flow)->reason, words))
        fail_msg("tripped for another reason: %s", flow_tripped(flow)->reason);
}

static void deliver(struct delivery *delivery)
{
    delivery_done(delivery, "taken");
}

TEST(nobody_is_written_to_again_and_again_though_no_limit_was_thought_of)
{
    flow_open(MANIFEST, FLOW(WRITE));
    kit.on_deliver = deliver;
    write_to("Ada", 1, 20);
    expect_acks(20);
    WAIT_UNTIL(counter("lane.box.delivered") == 20);
    assert_null(flow_tripped(flow));
    write_to("aDA", 21, 21); /* upper and lower case are the same person */
    write_to("bob", 22, 22); /* too late: it is tripped */
    expect_acks(21);
    expect_trip("box.mail to aDA would be number 21 within a day; flow f may reach one person 20/d (built in");
    assert_true(was_returned(22));
    assert_int_equal(trips, 1);
    assert_int_equal(counter("lane.box.delivered"), 20);
    expect_text(held_row(1), "event_id", "e21");
    assert_int_equal(kit.silenced, 1); /* and nothing more is taken */
    flow_close();
}

TEST(a_run_that_asks_for_one_too_many_asks_for_nothing)
{
    flow_open(LIMITS("effects: 5/h"),
              FLOW("function step.run(event) for i = 1, 2 do box.put { text = event.id } end end "));
    write_to("k", 1, 3);
    expect_acks(3);
    expect_trip("box.put would be number 6 within an hour; flow f may ask for 5/h (limits: effects in flow.yaml)");
    assert_int_equal(counter("lane.box.asked"), 4);
    assert_int_equal(rows_in(TABLE_HELD), 1);
    flow_close();
}

TEST(a_limit_holds_for_one_connection)
{
    flow_open(LIMITS("box: 2/m"), FLOW(TELL));
    write_to("k", 1, 3);
    expect_acks(3);
    expect_trip("within a minute; flow f may ask box for 2/m (limits: box in flow.yaml)");
    flow_close();
}

TEST(who_wants_no_limit_says_so)
{
    flow_open(LIMITS("per_recipient: none, box: none"), FLOW(WRITE));
    write_to("ada", 1, 60);
    expect_acks(60);
    assert_null(flow_tripped(flow));
    assert_int_equal(rows_in(TABLE_FUSES), 0);
    flow_close();
}

TEST(a_connection_has_fuses_of_its_own_for_all_flows)
{
    flow_open(LIMITS("per_recipient: 9/d"), FLOW(WRITE));
    quota_parse("3/d", &box_limits.per_recipient);
    write_to("ada", 1, 4);
    expect_acks(4);
    expect_trip(
        "number 4 within a day; connection box, for all flows, may reach one person 3/d (fuse: per_recipient in");
    reset();
    write_to("ada", 5, 7);
    expect_acks(7);
    assert_null(flow_tripped(flow)); /* that of the connection began anew, too */
    flow_close();
}

TEST(what_was_counted_is_known_after_a_crash)
{
    flow_open(LIMITS("per_recipient: 4/d, effects: 100/d"), FLOW(WRITE));
    write_to("ada", 1, 3);
    expect_acks(3);
    flow_reopen(LIMITS("per_recipient: 4/d, effects: 100/d"), FLOW(WRITE));
    write_to("ada", 4, 5);
    expect_acks(2);
    expect_trip("number 5 within a day");
    flow_close();
}

TEST(events_that_end_before_the_disk_is_done_are_counted_too)
{
    flow_open(LIMITS("per_recipient: 4/d"), FLOW(WRITE));
    for (uint64_t i = 1; i <= 9; i++) { /* different keys: nothing makes one wait for the other */
        char body[100];
        snprintf(body, sizeof body, "{\"id\":%d,\"key\":\"ada\",\"other\":%d}", (int)i, (int)i);
        arrive(i, body);
    }
    WAIT_UNTIL(kit.ack_count + kit.return_count == 9);
    expect_acks(5);
    assert_int_equal(counter("lane.box.asked"), 4);
    flow_close();
}

TEST(a_day_later_they_may_be_written_to_again)
{
    flow_open(LIMITS("per_recipient: 2/d"), FLOW(WRITE));
    kit.on_deliver = deliver;
    clock_set_ms(1795340469250);
    write_to("ada", 1, 2);
    expect_acks(2);
    clock_set_ms(1795340469250 + INT64_C(86400000) - 1000);
    write_to("bob", 3, 3);
    expect_acks(3);
    clock_set_ms(1795340469250 + INT64_C(86400000) + 7200000);
    write_to("ada", 4, 5);
    expect_acks(5);
    assert_null(flow_tripped(flow));
    write_to("ada", 6, 6);
    expect_acks(6);
    assert_non_null(flow_tripped(flow));
    flow_close();
}

TEST(a_run_that_is_run_again_counts_once)
{
    flow_open(LIMITS("per_recipient: 2/d"),
              FLOW("function step.run(event) box.mail { text = event.key } box.get { name = event.id } end "));
    arrive_id(1, "e1", "ada");
    for (size_t i = 1; i <= 3; i++) /* it cannot be said just now: again, later */
        question_later(question(i), "busy");
    question_answer(question(4), slice_of("{}"));
    expect_acks(1);
    arrive_id(2, "e2", "ada");
    question_never(question(5), "gone"); /* held: it asked for nothing */
    expect_acks(2);
    arrive_id(3, "e3", "ada");
    question_answer(question(6), slice_of("{}"));
    expect_acks(3);
    assert_null(flow_tripped(flow));
    assert_int_equal(counter("lane.box.asked"), 2);
    flow_close();
}

TEST(what_was_sent_before_is_not_counted_when_its_event_comes_again)
{
    flow_open(HEAD "event: {id: body.id, key: body.key, remember: 1s}\nlimits: {per_recipient: 1/d}\n", FLOW(WRITE));
    kit.on_deliver = deliver;
    clock_set_ms(1795340469250);
    arrive_id(1, "e1", "ada");
    expect_acks(1);
    WAIT_UNTIL(counter("lane.box.delivered") == 1);
    clock_set_ms(1795340469250 + 60000);
    arrive_id(2, "e1", "ada"); /* forgotten as seen; the same effect by its id */
    expect_acks(2);
    assert_null(flow_tripped(flow));
    WAIT_UNTIL(counter("lane.box.superseded") == 1);
    flow_close();
}

TEST(a_tripped_flow_parks_its_effects_and_after_the_reset_they_leave_in_order)
{
    flow_open(LIMITS("effects: 6/h"), FLOW(TELL));
    write_to("k", 1, 3); /* one after another: only the first leaves before an answer */
    write_to("l", 4, 6);
    expect_acks(6);
    WAIT_UNTIL(kit.delivery_count == 2);
    write_to("k", 7, 7);
    expect_acks(7);
    expect_trip("number 7");
    delivery_done(kit.deliveries[0], "taken");    /* what had left has left */
    delivery_later(kit.deliveries[1], 1, "busy"); /* and this one comes back */
    WAIT_UNTIL(counter("lane.box.delivered") == 1);
    let_happen();
    assert_int_equal(kit.delivery_count, 2);
    assert_int_equal(rows_in(TABLE_OUTBOX), 5);
    struct lane_view view;
    lane_look(kit.connections[0].lane, &view);
    assert_int_equal(view.parked, 5);
    assert_int_equal(view.waiting, 5);
    expect_balance();

    kit.on_deliver = deliver;
    reset();
    WAIT_UNTIL(counter("lane.box.delivered") == 6);
    let_happen();
    assert_int_equal(kit.delivery_count, 7); /* one of them twice */
    assert_int_equal(rows_in(TABLE_OUTBOX), 0);
    expect_balance();
    flow_close();
}

TEST(parked_effects_stay_parked_over_a_crash)
{
    flow_open(LIMITS("effects: 3/h"), FLOW(TELL));
    write_to("k", 1, 4);
    expect_acks(4);
    struct flow_trip trip = *flow_tripped(flow);
    flow_reopen(LIMITS("effects: 3/h"), FLOW(TELL));
    flow_set_trip(flow, &trip); /* as the engine does, from the row of the gate */
    let_happen();
    assert_int_equal(kit.delivery_count, 0);
    write_to("k", 5, 5);
    let_happen();
    assert_true(was_returned(5));
    kit.on_deliver = deliver;
    reset();
    WAIT_UNTIL(counter("lane.box.delivered") == 3);
    flow_close();
}

TEST(effects_of_another_flow_pass_those_that_are_parked_however_many)
{
    bool is_done;
    concurrency = 100;
    flow_open(LIMITS("effects: 1/h"), FLOW(TELL));
    concurrency = 4;
    write_to("k", 1, 1);
    expect_acks(1);
    WAIT_UNTIL(kit.delivery_count == 1);
    write_to("k", 2, 2);
    expect_acks(2);
    struct change *change = kit_change(&is_done);
    struct buf row = BUF_INIT(10000);
    for (int i = 0; i < 6000; i++) { /* far more than are kept in memory */
        char id[EFFECT_ID_SIZE], key[20];
        snprintf(id, sizeof id, "%024d", i);
        snprintf(key, sizeof key, "%d", i);
        struct effect effect = {.flow = i < 5999 ? "f" : "other",
                                .release = "r",
                                .step = "run",
                                .verb = &fake_verbs[0],
                                .key = slice_of(i < 5999 ? key : "k"),
                                .event_id = slice_of(id),
                                .fields = SLICE_NONE};
        memcpy(effect.id, id, sizeof id);
        buf_reset(&row);
        effect_encode(&effect, &row);
        lane_add(kit.connections[0].lane, change, buf_slice(&row));
    }
    buf_clear(&row);
    kit_commit(change, &is_done);
    delivery_done(kit.deliveries[0], "taken");
    lane_wake(kit.connections[0].lane);
    WAIT_UNTIL(kit.delivery_count == 2);
    assert_string_equal(kit.deliveries[1]->flow, "other");
    assert_string_equal(kit.effect_ids[1], "000000000000000000005999");
    let_happen();
    assert_int_equal(kit.delivery_count, 2);
    kit.on_deliver = deliver;
    reset();
    WAIT_UNTIL(kit.delivery_count == 6001);
    for (int i = 0; i < 5999; i++)
        assert_int_equal(atoi(kit.effect_ids[(2 + i) % KEPT_MOST]), i);
    delivery_done(kit.deliveries[1], "taken");
    WAIT_UNTIL(rows_in(TABLE_OUTBOX) == 0);
    flow_close();
}

TEST(runs_that_were_under_way_when_it_tripped_wait_in_the_inbox)
{
    flow_open(LIMITS("effects: 1/h"),
              FLOW("function step.run(event) if event.key == 'slow' then box.get { name = 'n' } end "
                   "box.put { text = event.id } end "));
    write_to("slow", 1, 1);
    question(1);
    write_to("k", 2, 3);
    expect_acks(2);
    expect_trip("number 2");
    question_answer(question(1), slice_of("{}"));
    expect_acks(3);
    assert_int_equal(flow_now().inbox, 1);
    assert_int_equal(rows_in(TABLE_HELD), 1);
    expect_asked("e2");
    reset();
    question_answer(question(2), slice_of("{}"));
    WAIT_UNTIL(flow_now().inbox == 0);
    let_happen();
    assert_null(flow_tripped(flow));
    expect_asked("e2,e1");
    flow_close();
}

TEST(a_tripped_flow_never_drops)
{
    flow_open(HEAD EVENT "when_off: drop\nlimits: {effects: 1/h}\n", FLOW(TELL));
    write_to("k", 1, 2);
    expect_acks(2);
    assert_non_null(flow_tripped(flow));
    arrive_id(3, "e3", "k");
    assert_true(was_returned(3));
    flow_set_gate(flow, false); /* closed as well: it still does not */
    arrive_id(4, "e4", "k");
    assert_true(was_returned(4));
    assert_int_equal(counter("flow.f.dropped"), 0);
    flow_close();
}

TEST(so_many_failures_in_a_row_trip_the_gate_also_over_a_crash)
{
    static const char manifest[] = LIMITS("failures_in_a_row: 3");
    static const char lua[] = FLOW("function step.run(event) if event.key == 'bad' then error 'no' end end ");
    flow_open(manifest, lua);
    write_to("bad", 1, 2);
    write_to("good", 3, 3);
    write_to("bad", 4, 5);
    expect_acks(5);
    assert_null(flow_tripped(flow));
    flow_reopen(manifest, lua);
    write_to("bad", 6, 6);
    expect_acks(1);
    expect_trip("3 events in a row became held (limits: failures_in_a_row in flow.yaml), the last: step run: ");
    assert_int_equal(rows_in(TABLE_HELD), 5);
    flow_close();
}

TEST(a_share_of_failures_trips_the_gate_once_there_is_enough_to_judge)
{
    flow_open(LIMITS("error_ratio: 50%"),
              FLOW("function step.run(event) if event.key == 'bad' then error 'no' end end "));
    write_to("bad", 1, 9);
    write_to("good", 10, 18);
    expect_acks(18);
    assert_null(flow_tripped(flow)); /* half of 18: too few to say anything */
    write_to("good", 19, 20);
    write_to("bad", 21, 21);
    expect_acks(21);
    assert_null(flow_tripped(flow)); /* 10 of 21 */
    write_to("bad", 22, 22);
    expect_acks(22);
    expect_trip("50% or more of the events of the last ten minutes became held");
    flow_close();
}

static void refuse(struct delivery *delivery)
{
    delivery_never(delivery, "there is no such thing");
}

TEST(so_many_refused_effects_in_a_row_trip_the_gate)
{
    flow_open(LIMITS("failures_in_a_row: 4"), FLOW(TELL));
    box_limits.failures_in_a_row = 3;
    kit.on_deliver = refuse;
    write_to("k", 1, 2);
    WAIT_UNTIL(rows_in(TABLE_HELD) == 2);
    kit.on_deliver = deliver;
    write_to("k", 3, 3);
    WAIT_UNTIL(counter("lane.box.delivered") == 1);
    kit.on_deliver = refuse;
    write_to("k", 4, 8);
    WAIT_UNTIL(rows_in(TABLE_HELD) == 5);
    let_happen();
    assert_int_equal(rows_in(TABLE_HELD), 5);
    assert_int_equal(rows_in(TABLE_OUTBOX), 2); /* parked before they are refused as well */
    expect_trip(
        "3 effects in a row were refused or are unknown (fuse: failures_in_a_row in headgate.yaml), the last by box: "
        "there is no such thing");
    expect_balance();
    flow_close();
}
