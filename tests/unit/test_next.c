/* test_next.c - the outcome of an effect comes back as a run, exactly once, and in the change that says how it ended */
#include "flow_kit.h"

#define STEPS HEAD EVENT "steps:\n  - do: ask\n    then: stop\n  - do: told\n"
#define TOLD                                                                                                           \
    "function step.told(event) local r = event.result "                                                                \
    "box.put { text = r.outcome .. ' ' .. r.connection .. '.' .. r.verb, any = r } end "
#define ASKS FLOW("function step.ask(event) box[event.body.verb or 'put'] { text = event.id, next = 'told' } end " TOLD)

static void arrive_verb(uint64_t token, const char *id, const char *verb)
{
    char body[300];
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"key\":\"k\",\"verb\":\"%s\"}", id, verb);
    arrive(token, body);
}

static struct delivery *delivery(size_t nth)
{
    WAIT_UNTIL(kit.delivery_count >= nth);
    return kit.deliveries[nth - 1];
}

static void expect_text_of(struct delivery *delivery, const char *text)
{
    struct slice said = record_get(delivery->fields, "text");
    if (!slice_is(said, text))
        fail_msg("asked for \"%.*s\", not \"%s\"", SLICE_ARG(said), text);
}

static void expect_given(struct delivery *delivery, const char *words)
{
    struct slice any = record_get(delivery->fields, "any");
    if (!memmem(any.data, any.size, words, strlen(words)))
        fail_msg("\"%s\" is not in %.*s", words, SLICE_ARG(any));
}

TEST(what_was_delivered_comes_back_with_what_the_far_side_said_and_gave)
{
    flow_open(STEPS, ASKS);
    arrive_verb(1, "e1", "put");
    delivery_done_with(delivery(1), slice_of("{\"record\":\"0035\"}"), "stored");
    expect_text_of(delivery(2), "delivered box.put");
    expect_given(delivery(2), "\"data\":{\"record\":\"0035\"}");
    expect_given(delivery(2), "\"text\":\"stored\"");
    expect_given(delivery(2), kit.effect_ids[0]);
    assert_string_not_equal(kit.effect_ids[0], kit.effect_ids[1]);
    assert_true(slice_is(delivery(2)->key, "k"));
    delivery_done(delivery(2), "ok");
    let_happen();
    assert_int_equal(kit.delivery_count, 2);
    assert_int_equal(flow_now().received, 2);
    assert_int_equal(flow_now().finished, 2);
    expect_acks(1);
    flow_close();
}

TEST(without_next_no_outcome_comes_back_and_the_row_is_as_small_as_before)
{
    flow_open(MANIFEST, FLOW(TELL));
    arrive_id(1, "e1", "k");
    delivery_done(delivery(1), "ok");
    expect_acks(1);
    assert_int_equal(flow_now().received, 1);
    flow_close();
}

TEST(an_outcome_is_told_once_though_the_daemon_dies_at_any_moment)
{
    flow_open(STEPS, ASKS);
    arrive_verb(1, "e1", "put");
    delivery_later(delivery(1), 0, "not now"); /* no outcome yet */
    expect_acks(1);
    flow_reopen(STEPS, ASKS);
    delivery_done(delivery(1), "ok");
    flow_reopen(STEPS, ASKS); /* decided, and told in the same change */
    expect_text_of(delivery(1), "delivered box.put");
    flow_reopen(STEPS, ASKS); /* the run ended, its effect is under way */
    expect_text_of(delivery(1), "delivered box.put");
    delivery_done(delivery(1), "ok");
    let_happen();
    assert_int_equal(kit.delivery_count, 1);
    assert_int_equal(flow_now().received, 2);
    expect_balance();
    flow_close();
}

TEST(what_is_held_comes_back_when_a_person_has_decided)
{
    flow_open(STEPS, ASKS);
    arrive_verb(1, "e1", "put");
    delivery_never(delivery(1), "a stranger");
    WAIT_UNTIL(rows_in(TABLE_HELD) == 1);
    let_happen();
    assert_int_equal(flow_now().received, 1);
    bool is_done;
    struct change *change = kit_change(&is_done);
    lane_refuse_effect(kit.connections[0].lane, change, held_row(1), "discarded by ada: it is old");
    held_remove(change, 1);
    kit_commit(change, &is_done);
    expect_text_of(delivery(2), "refused box.put");
    expect_given(delivery(2), "\"text\":\"discarded by ada: it is old\"");
    delivery_done(delivery(2), "ok");
    let_happen();
    expect_balance();
    flow_close();
}

TEST(what_was_sent_before_comes_back_as_superseded_and_as_another_run)
{
    flow_open(HEAD
              "event: {id: body.id, key: body.key, remember: 1s}\nsteps:\n  - do: ask\n    then: stop\n  - do: told\n",
              ASKS);
    arrive_verb(1, "e1", "send");
    delivery_done(delivery(1), "ok");
    expect_text_of(delivery(2), "delivered box.send");
    delivery_done(delivery(2), "ok");
    expect_acks(1);
    WAIT_UNTIL(flow_now().finished == 2);
    clock_set_ms(clock_now_ms() + 2000);
    arrive_verb(2, "e1", "send"); /* forgotten as seen, not as sent */
    WAIT_UNTIL((clock_set_ms(clock_now_ms() + 1), flow_wake(flow), kit.delivery_count == 3));
    expect_text_of(delivery(3), "superseded box.send");
    delivery_done(delivery(3), "ok");
    let_happen();
    expect_balance();
    flow_close();
}

TEST(next_names_a_step_of_the_flow)
{
    flow_open(STEPS,
              FLOW("function step.ask(event) "
                   "local ok, why = pcall(box.put, { text = 'x', next = 'tolled' }) "
                   "assert(why:find('`next`: there is no step `tolled`; the steps are ask, told', 1, true), why) "
                   "ok, why = pcall(box.put, { text = 'x', next = 7 }) "
                   "assert(why:find('`next` must be a text', 1, true), why) "
                   "ok, why = pcall(box.put, { text = 'x', nxet = 'told' }) "
                   "assert(why:find('any, file, next', 1, true), why) "
                   "ok, why = pcall(box.get, { name = 'x', next = 'told' }) "
                   "assert(why:find('there is no field `next`', 1, true), why) end " TOLD));
    arrive_verb(1, "e1", "put");
    expect_acks(1);
    assert_int_equal(rows_in(TABLE_HELD), 0);
    flow_close();
}

TEST(outcomes_of_one_run_are_runs_of_their_own_with_effects_of_their_own)
{
    flow_open(
        HEAD EVENT "steps:\n  - do: ask\n    then: stop\n  - do: told\n",
        FLOW("function step.ask(event) for i = 1, 3 do box.put { text = 'a' .. i, next = 'told' } end end " TOLD));
    arrive_verb(1, "e1", "put");
    for (size_t i = 1; i <= 6; i++)
        delivery_done(delivery(i), "ok");
    let_happen();
    assert_int_equal(kit.delivery_count, 6);
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(kit.effect_ids[i], kit.effect_ids[j]);
    assert_int_equal(flow_now().received, 4);
    expect_acks(1);
    flow_close();
}
