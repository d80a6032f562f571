/* test_faults_memory.c - whatever fails: what a flow keeps, its timers and the outcomes that come back count once */
#include "faults.h"
#include "flow_kit.h"

#include "core/flow/internal.h"

#define EVENTS 2
#define STEPS HEAD EVENT "steps:\n  - do: first\n    then: stop\n  - do: again\n    then: stop\n  - do: told\n"

/* Each event counts, asks for one effect whose outcome comes back and counts, and sets a timer that asks for another.
 */
static const char lua[] = FLOW("local function count(name) state.set(name, (state.get(name) or 0) + 1) end "
                               "function step.first(event) "
                               "  count 'first' "
                               "  box.put { text = event.id, next = 'told' } "
                               "  timer.after(1000, 'again') "
                               "end "
                               "function step.again(event) count 'again' box.put { text = event.id } end "
                               "function step.told() count 'told' end ");

static void note_ack(struct event *event)
{
    noted->is_done[event->token] = true;
}

static void deliver(struct delivery *delivery)
{
    delivery_done(delivery, "ok");
}

static void open_flow(struct instance *instance)
{
    kit.on_ack = note_ack;
    kit.on_deliver = deliver;
    make_flow(instance);
}

/* Nobody waits for timers: the clock is put forward. */
static bool becomes_quiet(void)
{
    struct flow_view view = flow_now();
    if (view.under_way == 0 && rows_in(TABLE_INBOX) + rows_in(TABLE_OUTBOX) + rows_in(TABLE_TIMERS) == 0)
        return true;
    clock_set_ms(clock_now_ms() + 1000);
    flow_wake(flow);
    return false;
}

static void bring(void)
{
    for (uint64_t token = 1; token <= EVENTS; token++)
        if (!noted->is_done[token])
            arrive_id(token, token == 1 ? "e1" : "e2", "k");
    for (uint64_t token = 1; token <= EVENTS; token++)
        WAIT_UNTIL(noted->is_done[token]);
    WAIT_UNTIL(becomes_quiet());
}

static void work(void)
{
    config_open();
    kit_open();
    struct instance *instance = instance_of(STEPS, lua);
    arm();
    open_flow(instance);
    bring();
    flow_end();
    kit_shut();
}

static void expect_count(const char *name)
{
    char key[40];
    int size = snprintf(key, sizeof key, "f%c%s", 0, name);
    struct slice value = SLICE_NONE;
    int64_t expires_ms;
    store_get_until(kit.store, TABLE_STATE, (struct slice){key, (size_t)size}, &expires_ms, &value);
    if (!slice_is(value, "2"))
        fail_msg("call %d, %s: %s counted %.*s", call_to_fail, noted->call, name, SLICE_ARG(value));
}

static void check(void)
{
    config_open();
    kit_open();
    open_flow(instance_of(STEPS, lua));
    is_again = true;
    bring(); /* the source delivers again what was not acknowledged */
    is_again = false;
    expect_count("first");
    expect_count("again");
    expect_count("told");
    if (counter("lane.box.asked") != 2 * EVENTS || counter("lane.box.delivered") != 2 * EVENTS)
        fail_msg("call %d, %s: %d effects", call_to_fail, noted->call, (int)counter("lane.box.asked"));
    assert_int_equal(rows_in(TABLE_HELD) + rows_in(TABLE_TIMER_NAMES), 0);
    expect_balance();
    expect_nothing_found();
    flow_close();
}

static const struct scenario scenario = {work, check};

TEST(each_call_of_lmdb_may_fail_under_state_timers_and_outcomes)
{
    fail_each_call(FAULT_LMDB, &scenario);
}

TEST(each_write_may_fail_under_state_timers_and_outcomes)
{
    fail_each_call(FAULT_DISK, &scenario);
}

TEST(each_allocation_may_fail_under_state_timers_and_outcomes)
{
    fail_each_call(FAULT_MEMORY, &scenario);
}
