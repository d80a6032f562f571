/* test_timers.c - a timer fires once, whatever happens to the daemon, the clock or the gate meanwhile */
#include "flow_kit.h"

#include "core/flow/internal.h"

#define T0 1800000000000
#define STEPS HEAD EVENT "steps:\n  - do: wait\n    then: stop\n  - do: again\n"
#define AGAIN                                                                                                          \
    "function step.again(event) box.put { text = event.id .. ' ' .. tostring(event.timer.data) .. ' ' .. "             \
    "event.late_by } end "
#define WAITS FLOW("function step.wait(event) timer.after('10m', 'again', event.body.data) end " AGAIN)
#define NAMED                                                                                                          \
    FLOW("function step.wait(event) if event.body.cancel then timer.cancel(event.key) else "                           \
         "timer.after(event.body.wait or '10m', 'again', event.id, { name = event.key }) end end " AGAIN)

static void arrive_with(uint64_t token, const char *id, const char *key, const char *more)
{
    char body[600];
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"key\":\"%s\"%s}", id, key, more);
    arrive(token, body);
}

/* What is due goes into the inbox, and runs a moment after it is on disk there. */
static void all_quiet(void)
{
    let_happen();
    WAIT_UNTIL((clock_set_ms(clock_now_ms() + 1), flow_wake(flow), flow_now().inbox == 0 && flow_now().under_way == 0));
    let_happen();
    expect_balance();
}

static void at(int64_t ms)
{
    clock_set_ms(T0 + ms);
    flow_wake(flow); /* as its clock does every few seconds */
    all_quiet();
}

TEST(a_timer_begins_a_run_at_its_step_when_it_is_due_and_not_before)
{
    clock_set_ms(T0);
    flow_open(STEPS, WAITS);
    arrive_with(1, "e1", "k", ",\"data\":42");
    expect_acks(1);
    assert_int_equal(rows_in(TABLE_TIMERS), 1);
    assert_int_equal(flow_now().timers, 1);
    assert_int_equal(flow_now().next_timer_ms, T0 + 600000);
    at(500000);
    expect_asked("");
    at(600000);
    expect_asked("e1 42 0");
    assert_int_equal(rows_in(TABLE_TIMERS) + rows_in(TABLE_TIMER_NAMES), 0);
    assert_int_equal(flow_now().timers, 0);
    assert_int_equal(counter("flow.f.timers"), 0);
    assert_int_equal(counter("flow.f.timer_bytes"), 0);
    assert_int_equal(flow_now().received, 2);
    assert_int_equal(flow_now().finished, 2);
    flow_close();
}

TEST(a_timer_that_was_due_while_the_daemon_was_down_fires_once_and_says_how_late_it_is)
{
    clock_set_ms(T0);
    flow_open(STEPS, WAITS);
    arrive_with(1, "e1", "k", ",\"data\":true");
    expect_acks(1);
    flow_reopen(STEPS, WAITS);
    at(660000);
    expect_asked("e1 true 60000");
    flow_reopen(STEPS, WAITS);
    at(9660000);
    expect_asked("e1 true 60000");
    flow_close();
}

TEST(the_data_of_a_timer_may_be_left_out_and_its_step_must_be_there)
{
    clock_set_ms(T0);
    flow_open(STEPS,
              FLOW("function step.wait(event) assert(not pcall(timer.after, 1000, 'agian')) "
                   "local ok, why = pcall(timer.after, 1000, 'agian') assert(why:find('there is no step `agian`; "
                   "the steps are wait, again', 1, true), why) "
                   "assert(not pcall(timer.after, 0, 'again')) assert(not pcall(timer.after, '400d', 'again')) "
                   "assert(not pcall(timer.after, 1000, 'again', nil, { nam = 'x' })) "
                   "timer.after(1000, 'again') end " AGAIN));
    arrive_with(1, "e1", "k", "");
    expect_acks(1);
    assert_int_equal(rows_in(TABLE_HELD), 0);
    at(1000);
    expect_asked("e1 nil 0");
    flow_close();
}

TEST(a_timer_of_a_run_that_fails_is_none)
{
    flow_open(STEPS, FLOW("function step.wait(event) timer.after('10m', 'again') error 'no' end " AGAIN));
    arrive_with(1, "e1", "k", "");
    expect_acks(1);
    assert_int_equal(rows_in(TABLE_TIMERS), 0);
    assert_int_equal(flow_now().timers, 0);
    flow_close();
}

TEST(a_timer_is_cancelled_or_replaced_by_its_name)
{
    clock_set_ms(T0);
    flow_open(STEPS, NAMED);
    arrive_with(1, "a1", "a", "");
    arrive_with(2, "b1", "b", "");
    arrive_with(3, "c1", "c", "");
    arrive_with(4, "a2", "a", ",\"cancel\":true"); /* the first is not on disk yet */
    expect_acks(4);
    assert_int_equal(flow_now().timers, 2);
    arrive_with(5, "b2", "b", ",\"wait\":\"20m\"");
    arrive_with(6, "d1", "d", ",\"cancel\":true"); /* there is none */
    expect_acks(6);
    assert_int_equal(rows_in(TABLE_TIMERS), 2);
    assert_int_equal(rows_in(TABLE_TIMER_NAMES), 2);
    at(600000);
    expect_asked("c1 c1 0");
    at(1200000);
    expect_asked("c1 c1 0,b2 b2 0");
    assert_int_equal(flow_now().timers, 0);
    assert_int_equal(counter("flow.f.timer_bytes"), 0);
    flow_close();
}

TEST(a_timer_that_is_cancelled_while_it_becomes_due_does_not_fire)
{
    clock_set_ms(T0);
    flow_open(STEPS, NAMED);
    arrive_with(1, "a1", "a", "");
    expect_acks(1);
    clock_set_ms(T0 + 600000);
    arrive_with(2, "a2", "a", ",\"cancel\":true"); /* decided, not on disk */
    timers_work(flow);                             /* within the same turn of the loop: it reads what was before */
    all_quiet();
    expect_acks(2);
    expect_asked("");
    assert_int_equal(flow_now().received, 2);
    flow_close();
}

TEST(a_clock_that_jumps_by_an_hour_makes_a_timer_early_or_late_but_never_fire_twice)
{
    clock_set_ms(T0);
    flow_open(STEPS, NAMED);
    arrive_with(1, "a1", "a", "");
    expect_acks(1);
    at(3600000 + 600000);
    expect_asked("a1 a1 3600000");
    clock_set_ms(T0);
    arrive_with(2, "b1", "b", "");
    expect_acks(2);
    at(-3600000);
    at(500000);
    at(600000); /* for the second time at this moment */
    expect_asked("a1 a1 3600000,b1 b1 0");
    at(3600000 + 600000);
    expect_asked("a1 a1 3600000,b1 b1 0");
    flow_close();
}

TEST(while_the_gate_is_closed_a_timer_waits_and_then_it_is_late)
{
    clock_set_ms(T0);
    flow_open(STEPS, NAMED);
    arrive_with(1, "a1", "a", "");
    expect_acks(1);
    flow_set_gate(flow, false);
    at(600000);
    expect_asked("");
    clock_set_ms(T0 + 700000);
    flow_set_gate(flow, true);
    all_quiet();
    expect_asked("a1 a1 100000");
    flow_close();
}

TEST(the_run_of_a_timer_has_effects_of_its_own_and_may_wind_up_the_next)
{
    clock_set_ms(T0);
    flow_open(HEAD EVENT, FLOW("function step.run(event) local n = event.timer and event.timer.data or 0 "
                               "box.put { text = n .. ' ' .. uuid():sub(1, 8) } "
                               "if n < 3 then timer.after('1m', 'run', n + 1, { name = 'tick' }) end end "));
    arrive_id(1, "e1", "k");
    expect_acks(1);
    for (int i = 1; i <= 4; i++)
        at(i * 100000);
    WAIT_UNTIL(kit.delivery_count == 1); /* of one key, one after another */
    for (size_t i = 0; i < 4; i++) {
        WAIT_UNTIL(kit.delivery_count == i + 1);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(kit.effect_ids[i], kit.effect_ids[j]);
            assert_false(slice_equal(record_get(kit.deliveries[i]->fields, "text"), SLICE_NONE));
        }
        delivery_done(kit.deliveries[i], "ok");
    }
    all_quiet();
    assert_int_equal(flow_now().received, 4);
    assert_int_equal(kit.delivery_count, 4);
    flow_close();
}

TEST(a_timer_whose_step_is_gone_is_held_and_goes_on_when_it_is_back)
{
    clock_set_ms(T0);
    flow_open(STEPS, NAMED);
    arrive_with(1, "a1", "a", "");
    expect_acks(1);
    flow_switch(flow, instance_of(HEAD EVENT "steps:\n  - do: wait\n", NAMED));
    at(600000);
    struct slice reason = record_get(held_row(1), "reason");
    assert_non_null(memmem(reason.data, reason.size, "go on at step again, which this release does not have", 53));
    expect_text(held_row(1), "key", "a");
    expect_text(held_row(1), "event_id", "a1");
    flow_switch(flow, instance_of(STEPS, NAMED));
    bool is_done;
    struct change *change = kit_change(&is_done);
    struct slice item = record_get(held_row(1), "item");
    flow_retry(flow, change, item, "a", SLICE_NONE);
    held_remove(change, 1);
    kit_commit(change, &is_done);
    flow_wake(flow);
    all_quiet();
    expect_asked("a1 a1 0");
    flow_close();
}

TEST(a_continuation_keeps_its_place_among_the_events_of_its_key)
{
    clock_set_ms(T0);
    flow_open(STEPS, FLOW("function step.wait(event) if event.body.slow then box.get { name = 'x' } "
                          "box.put { text = event.id } else timer.after('10m', 'again', 1) end end " AGAIN));
    arrive_with(1, "a1", "a", "");
    expect_acks(1);
    arrive_with(2, "a2", "a", ",\"slow\":true");
    struct question *asked = question(1);
    clock_set_ms(T0 + 600000);
    flow_wake(flow);
    WAIT_UNTIL(flow_now().inbox == 1);
    arrive_with(3, "a3", "a", ",\"slow\":true");
    let_happen();
    expect_asked("");
    question_answer(asked, slice_of("{}"));
    WAIT_UNTIL((clock_set_ms(clock_now_ms() + 1), flow_wake(flow), kit.question_count == 2));
    question_answer(question(2), slice_of("{}"));
    all_quiet();
    all_quiet();
    expect_asked("a2,a1 1 0,a3");
    flow_close();
}

TEST(thousands_of_timers_that_are_due_at_once_all_fire_once_and_the_inbox_stays_small)
{
    enum { MANY = 3000 };
    clock_set_ms(T0);
    flow_open(HEAD EVENT "limits: {effects_per_event: 1}\nsteps:\n  - do: wait\n    then: stop\n  - do: again\n",
              FLOW("function step.wait(event) for i = 1, 200 do timer.after('10m', 'again', i) end end "
                   "function step.again(event) state.set(event.key .. '-' .. event.timer.data, true) end "));
    char id[20];
    for (int i = 0; i < MANY / 200; i++) {
        snprintf(id, sizeof id, "e%d", i);
        arrive_id((uint64_t)i, id, id);
    }
    expect_acks(MANY / 200);
    assert_int_equal(flow_now().timers, MANY);
    clock_set_ms(T0 + 600000);
    flow_wake(flow);
    while (flow_now().finished < MANY + MANY / 200) {
        assert_true(flow_now().inbox <= 2000);
        turn();
        clock_set_ms(clock_now_ms() + 1);
    }
    all_quiet();
    assert_int_equal(rows_in(TABLE_STATE), MANY);
    assert_int_equal(rows_in(TABLE_TIMERS), 0);
    assert_int_equal(flow_now().finished, MANY + MANY / 200);
    flow_close();
}

static void arrive_large(uint64_t token, size_t size)
{
    char *body = mem_new(size + 100);
    int head = sprintf(body, "{\"id\":\"%d\",\"key\":\"k\",\"text\":\"", (int)token);
    memset(body + head, 'x', size);
    strcpy(body + head + size, "\"}");
    struct buf record = BUF_INIT((size_t)64 << 20);
    record_add_text(&record, "body", slice_of(body));
    arrive_record(&record, token);
    free(body);
}

static void expect_reason(uint64_t number, const char *words)
{
    struct slice reason = record_get(held_row(number), "reason");
    if (!memmem(reason.data, reason.size, words, strlen(words)))
        fail_msg("held for another reason: %.*s", SLICE_ARG(reason));
}

TEST(large_events_can_only_be_carried_on_within_bounds)
{
    flow_open(HEAD "event: {id: body.id, key: body.key, limit: 64MiB}\nsteps:\n  - do: wait\n  - do: again\n",
              FLOW("function step.wait(event) for i = 1, 5 do timer.after('10m', 'again', i) end end "
                   "function step.again(event) end "));
    arrive_large(1, (size_t)17 << 20);
    arrive_large(2, (size_t)14 << 20);
    expect_acks(2);
    expect_reason(1, "bytes; one that goes on later may have 16 MiB");
    expect_reason(2, "what is kept of this event to go on with has more than 64 MiB in all");
    flow->memory.timer_bytes = TIMERS_BYTES_MOST - 100;
    arrive_large(3, 1000);
    expect_acks(3);
    expect_reason(3, "0 timers of this flow wait, with 1023 MiB; allowed are 1000000 and 1024 MiB");
    assert_int_equal(rows_in(TABLE_TIMERS), 0);
    flow->memory.timer_bytes = 0;
    flow_close();
}

/* As a person may edit it who mends a held event. */
TEST(a_continuation_with_an_id_that_no_event_has_is_held)
{
    flow_open(STEPS, NAMED);
    struct buf event = BUF_INIT(10000), item = BUF_INIT(20000), id = BUF_INIT(1000);
    bool is_done;
    for (int i = 0; i < 600; i++)
        buf_add_char(&id, 'x');
    record_add_text(&event, "body", slice_of("{\"id\":\"a\",\"key\":\"k\"}"));
    record_add_text(&event, "id", buf_slice(&id));
    record_add_text(&event, "key", buf_slice(&id));
    record_add_text(&event, "continues_at", slice_of("again"));
    record_add_text(&event, "cause", buf_slice(&id));
    record_add_text(&item, "event", buf_slice(&event));
    struct change *change = kit_change(&is_done);
    flow_retry(flow, change, buf_slice(&item), "k", SLICE_NONE);
    change_count(change, "flow.f.received", 1);
    kit_commit(change, &is_done);
    flow_wake(flow);
    WAIT_UNTIL(rows_in(TABLE_HELD) == 1);
    expect_reason(1, "the event's id (as it is stored) has 600 bytes");
    all_quiet();
    buf_clear(&event);
    buf_clear(&item);
    buf_clear(&id);
    flow_close();
}
