/* test_state.c - what a flow keeps between its runs is as true as its effects: with them, or not at all */
#include "flow_kit.h"

#define BOXED HEAD EVENT
#define COUNTS                                                                                                         \
    "function step.run(event) local n = (state.get('n') or 0) + 1 state.set('n', n) box.put { text = 'n' .. n } end "

TEST(a_run_sees_what_earlier_runs_set_on_disk_or_not)
{
    flow_open(BOXED, FLOW(COUNTS));
    arrive_id(1, "e1", "a");
    arrive_id(2, "e2", "b"); /* nothing of the first is on disk yet */
    arrive_id(3, "e3", "a");
    assert_int_equal(rows_in(TABLE_STATE), 0);
    expect_acks(3);
    expect_asked("n1,n2,n3");
    assert_int_equal(rows_in(TABLE_STATE), 1);
    flow_reopen(BOXED, FLOW(COUNTS));
    arrive_id(4, "e4", "a");
    expect_acks(1);
    expect_asked("n1,n2,n3,n4");
    flow_close();
}

TEST(a_run_sees_what_it_set_itself_and_values_come_back_as_they_were)
{
    flow_open(BOXED,
              FLOW("function step.run(event) "
                   "assert(state.get('x') == nil) state.set('x', { big = 9007199254740993, list = json.array {}, "
                   "none = json.null, f = 1.5 }) local x = state.get 'x' "
                   "assert(x.big == 9007199254740993 and json.encode(x.list) == '[]' and x.none == json.null) "
                   "state.set('x', false) assert(state.get('x') == false) "
                   "state.delete 'x' assert(state.get('x') == nil) "
                   "state.set('y', json.null) assert(state.get('y') == json.null) end "));
    arrive_id(1, "e1", "k");
    expect_acks(1);
    assert_int_equal(flow_now().finished, 1);
    assert_int_equal(rows_in(TABLE_STATE), 1);
    flow_close();
}

TEST(a_run_that_fails_or_is_cancelled_leaves_nothing)
{
    flow_open(BOXED,
              FLOW("function step.run(event) box.put { text = tostring(state.get 'x') } state.set('x', event.id) "
                   "if event.key == 'bad' then error 'no' end "
                   "if event.key == 'slow' then box.get { name = 'x' } end end "));
    arrive_id(1, "e1", "bad");
    arrive_id(2, "e2", "slow");
    arrive_id(3, "e3", "good");
    expect_acks(2);
    expect_asked("nil");
    struct question *asked = question(1);
    flow_reopen(BOXED, FLOW(COUNTS)); /* the slow one was under way */
    question_later(asked, "nobody waits any more");
    assert_int_equal(rows_in(TABLE_STATE), 1);
    flow_close();
}

TEST(of_two_runs_side_by_side_the_one_that_ends_last_wins)
{
    flow_open(BOXED, FLOW("function step.run(event) box.get { name = 'x' } state.set('x', event.id) end "));
    arrive_id(1, "e1", "a");
    arrive_id(2, "e2", "b");
    question_answer(question(2), slice_of("{}"));
    question_answer(question(1), slice_of("{}"));
    expect_acks(2);
    flow_reopen(BOXED, FLOW("function step.run(event) box.put { text = state.get 'x' } end "));
    arrive_id(3, "e3", "a");
    expect_acks(1);
    expect_asked("e1");
    flow_close();
}

TEST(what_expires_is_gone_after_that_time_and_not_before)
{
    flow_open(BOXED, FLOW("function step.run(event) local old = state.get 'x' box.put { text = tostring(old) } "
                          "if not old then state.set('x', event.id, { expires = '1h' }) end end "));
    clock_set_ms(1800000000000);
    arrive_id(1, "e1", "k");
    expect_acks(1);
    clock_set_ms(1800000000000 + 3599999);
    arrive_id(2, "e2", "k");
    expect_acks(2);
    clock_set_ms(1800000000000 + 3600000);
    arrive_id(3, "e3", "k");
    expect_acks(3);
    expect_asked("nil,e1,nil");
    flow_close();
}

static void expect_refused(const char *lua, const char *words)
{
    char source[2000];
    snprintf(source, sizeof source, "return { run = function(event) %s end }", lua);
    flow_open(BOXED, source);
    arrive_id(1, "e1", "k");
    expect_acks(1);
    struct slice reason = record_get(held_row(1), "reason");
    if (!memmem(reason.data, reason.size, words, strlen(words)))
        fail_msg("%s: %.*s", lua, SLICE_ARG(reason));
    assert_int_equal(rows_in(TABLE_STATE), 0);
    flow_close();
}

TEST(every_bound_is_said_in_a_sentence)
{
    expect_refused("state.set(('k'):rep(201), 1)", "has 201 bytes or control characters");
    expect_refused("state.set('', 1)", "has 0 bytes or control characters");
    expect_refused("state.set('a\\nb', 1)", "control characters");
    expect_refused("state.set(7, 1)", "must be a text, not number");
    expect_refused("state.set('k')", "there is no value; state.delete forgets a key");
    expect_refused("state.set('k', ('v'):rep(65536))", "it has more than 64 KiB");
    expect_refused("state.set('k', print)", "state.set: the value: ");
    expect_refused("state.set('k', 1, { expires = 'soon' })", "`expires` must be a duration");
    expect_refused("state.set('k', 1, { expires = '400d' })", "allowed are 1 ms to 366 days");
    expect_refused("state.set('k', 1, { expire = '1d' })", "there is no option `expire`; there is `expires`");
    expect_refused("state.set('k', 1, '1d')", "the options must be a table");
    expect_refused("for i = 1, 201 do state.set('k' .. i, i) end", "more than 200 keys and timers");
    expect_refused("for i = 1, 20 do state.set('k' .. i, ('v'):rep(60000)) end", "more than 1024 KiB in all");
}

TEST(a_flow_keeps_so_much_and_no_more_until_some_of_it_is_forgotten)
{
    flow_open(BOXED, FLOW("function step.run(event) if event.key == 'less' then state.delete('e1-1') "
                          "state.delete('e1-2') return end "
                          "for i = 1, 16 do state.set(event.id .. '-' .. i, ('v'):rep(65000)) end end "));
    char id[20];
    for (uint64_t i = 1; i <= 65; i++) {
        snprintf(id, sizeof id, "e%d", (int)i);
        arrive_id(i, id, "more");
        expect_acks(i);
    }
    assert_int_equal(rows_in(TABLE_HELD), 1);
    struct slice reason = record_get(held_row(1), "reason");
    assert_non_null(memmem(reason.data, reason.size, "allowed are 100000 and 65536 KiB: let them expire", 48));
    arrive_id(66, "less", "less");
    expect_acks(66);
    assert_int_equal(rows_in(TABLE_STATE), 64 * 16 - 2);
    flow_close();
}

TEST(a_uuid_is_the_same_when_the_event_is_run_again_and_another_each_time_it_is_asked_for)
{
    flow_open(BOXED, FLOW("local first = nil function step.run(event) local a, b = uuid(), uuid() "
                          "assert(a ~= b and #a == 36 and a:sub(15, 15) == '8' and a:sub(20, 20):find '[89ab]') "
                          "box.get { name = a } box.put { text = a:sub(1, 20) } end "));
    arrive_id(1, "e1", "a");
    arrive_id(2, "e2", "b");
    struct slice one = record_get(question(1)->fields, "name"), other = record_get(question(2)->fields, "name");
    char first[40], second[40];
    snprintf(first, sizeof first, "%.*s", SLICE_ARG(one));
    snprintf(second, sizeof second, "%.*s", SLICE_ARG(other));
    assert_string_not_equal(first, second);
    question_later(question(1), "not now");
    question_answer(question(2), slice_of("{}"));
    expect_acks(2);
    assert_true(slice_is(record_get(question(3)->fields, "name"), first));
    question_answer(question(3), slice_of("{}"));
    WAIT_UNTIL(flow_now().finished == 2);
    flow_close();
}

TEST(now_of_a_run_that_is_tried_again_is_the_moment_of_its_first_try)
{
    static const char lua[] = FLOW("function step.run(event) box.get { name = tostring(now()) } end ");
    flow_open(BOXED, lua);
    clock_set_ms(1800000000000);
    arrive_id(1, "e1", "a");
    question_later(question(1), "not now");
    expect_acks(1);
    clock_set_ms(1800000099000);
    flow_reopen(BOXED, lua);
    clock_set_ms(1800000099000);
    assert_true(slice_is(record_get(question(1)->fields, "name"), "1800000000000"));
    question_answer(question(1), slice_of("{}"));
    WAIT_UNTIL(flow_now().finished == 1);
    flow_close();
}
