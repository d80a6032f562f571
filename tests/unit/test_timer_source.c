/* test_timer_source.c - the clock as a source: no moment is lost, none is run twice, what was missed comes as one */
#include "core/adapter.h"

extern const struct adapter adapter_timer;
#define FEED adapter_timer
#define FEED_NAME "timer"
#define FEED_ON "{every: \"*/15 * * * *\"}"
#include "flow_kit.h"

#define T0 1795619700000 /* 2026-11-25T15:15:00Z */
#define MINUTE 60000
#define ID "event: {id: body.moment, key: properties.every}\n"
#define SAYS                                                                                                           \
    FLOW("function step.run(event) box.put { text = event.body.moment:sub(12, 16) .. ' ' .. event.late_by .. ' ' "     \
         ".. event.body.missed } end ")

static void open_feed(void)
{
    struct err err = ERR_INIT;
    struct connection *feed = &kit.connections[1];
    feed->adapter = &adapter_timer;
    feed->settings = config_find(config, slice_of("feed"))->settings;
    if (!adapter_timer.open(feed, &err))
        fail_msg("%s", err.text);
}

static void ticking_open(void)
{
    config_open();
    kit_open();
    open_feed();
    make_flow(instance_of(HEAD ID, SAYS));
}

static void ticking_reopen(const char *manifest)
{
    kit.connections[1].is_open = false;
    flow_end();
    adapter_timer.close(&kit.connections[1]);
    kit_reopen();
    open_feed();
    make_flow(instance_of(manifest, SAYS));
}

static void ticking_close(void)
{
    kit.connections[1].is_open = false;
    flow_end();
    adapter_timer.close(&kit.connections[1]);
    kit_close();
    config_close();
}

static void expect_finished(uint64_t count)
{
    WAIT_UNTIL(flow_now().finished >= count && flow_now().under_way == 0);
    let_happen();
    assert_int_equal(flow_now().finished, count);
    expect_balance();
}

/* The source begins anew, and looks at the clock at once. */
static void look_again(void)
{
    flow_set_gate(flow, false);
    flow_set_gate(flow, true);
}

TEST(each_moment_of_the_schedule_is_an_event)
{
    clock_set_ms(T0 - 10);
    ticking_open();
    let_happen();
    assert_int_equal(flow_now().received, 0);
    clock_set_ms(T0);
    expect_finished(1);
    clock_set_ms(T0 + 15 * MINUTE + 7);
    look_again();
    expect_finished(2);
    expect_asked("15:15 0 0,15:30 7 0");
    ticking_close();
}

TEST(the_first_time_nothing_was_missed)
{
    clock_set_ms(T0 + 1);
    ticking_open();
    let_happen();
    assert_int_equal(flow_now().received, 0);
    assert_int_equal(rows_in(TABLE_SOURCES), 1); /* from here on */
    ticking_reopen(HEAD ID);
    clock_set_ms(T0 + 15 * MINUTE);
    look_again();
    expect_finished(1);
    expect_asked("15:30 0 0");
    ticking_close();
}

TEST(what_was_missed_while_the_daemon_was_down_is_one_event_that_says_how_late_it_is)
{
    clock_set_ms(T0);
    ticking_open();
    let_happen();
    ticking_reopen(HEAD ID);
    clock_set_ms(T0 + 50 * MINUTE);
    look_again();
    expect_finished(1);
    expect_asked("16:00 300000 2");
    ticking_close();
}

TEST(an_event_that_was_run_but_not_remembered_comes_again_and_is_known)
{
    clock_set_ms(T0 - 10);
    ticking_open();
    clock_set_ms(T0);
    expect_finished(1);
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, "f");
    store_key_add_text(&key, "feed");
    struct buf memory = BUF_INIT(1000);
    bool is_done;
    struct change *change = kit_change(&is_done);
    record_add_integer(&memory, "position_ms", T0 - 10);
    record_add_text(&memory, "every", slice_of("*/15 * * * *"));
    record_add_text(&memory, "zone", slice_of("UTC"));
    change_put(change, TABLE_SOURCES, store_key_slice(&key), buf_slice(&memory));
    kit_commit(change, &is_done);
    buf_clear(&memory);
    ticking_reopen(HEAD ID);
    WAIT_UNTIL(flow_now().skipped == 1);
    expect_finished(1);
    expect_asked("15:15 0 0");
    ticking_close();
}

TEST(a_clock_that_jumps_by_an_hour_makes_no_event_come_twice)
{
    clock_set_ms(T0 - 10);
    ticking_open();
    clock_set_ms(T0);
    expect_finished(1);
    clock_set_ms(T0 + 60 * MINUTE);
    look_again();
    expect_finished(2);
    for (int i = -4; i <= 4; i++) { /* back, and through it all again */
        clock_set_ms(T0 + i * 15 * MINUTE);
        look_again();
        let_happen();
    }
    expect_finished(2);
    clock_set_ms(T0 + 75 * MINUTE);
    look_again();
    expect_finished(3);
    expect_asked("15:15 0 0,16:15 0 3,16:30 0 0");
    assert_int_equal(flow_now().skipped, 0);
    ticking_close();
}

TEST(a_clock_that_was_far_ahead_does_not_stop_the_schedule_for_ever)
{
    clock_set_ms(T0 + 400 * 86400000ll - 10);
    ticking_open();
    clock_set_ms(T0 + 400 * 86400000ll);
    expect_finished(1);
    clock_set_ms(T0 - 10);
    look_again();
    let_happen();
    clock_set_ms(T0);
    expect_finished(2);
    ticking_close();
}

TEST(of_another_schedule_nothing_was_missed)
{
    clock_set_ms(T0);
    ticking_open();
    let_happen();
    clock_set_ms(T0 + 50 * MINUTE);
    ticking_reopen("flow: f\ntitle: A flow\nowner: us\non: {feed: {every: 10m}}\nuses: [box]\n" ID);
    clock_set_ms(T0 + 50 * MINUTE);
    let_happen();
    assert_int_equal(flow_now().received, 0);
    clock_set_ms(T0 + 55 * MINUTE);
    look_again();
    expect_finished(1);
    expect_asked("16:10 0 0");
    ticking_close();
}

TEST(a_moment_does_not_overtake_the_one_before_it)
{
    clock_set_ms(T0 - 10);
    config_open();
    kit_open();
    open_feed();
    make_flow(instance_of(HEAD ID, FLOW("function step.run(event) box.get { name = event.body.moment } end ")));
    clock_set_ms(T0);
    struct question *asked = question(1);
    clock_set_ms(T0 + 40 * MINUTE);
    let_happen();
    assert_int_equal(kit.question_count, 1);
    question_answer(asked, slice_of("{}"));
    assert_true(slice_is(record_get(question(2)->fields, "name"), "2026-11-25T15:45:00.000Z")); /* the last it missed */
    question_answer(question(2), slice_of("{}"));
    expect_finished(2);
    ticking_close();
}

TEST(a_schedule_that_is_wrong_is_found_before_anything_is_deployed)
{
    struct err err = ERR_INIT;
    config_open();
    struct manifest *manifest = manifest_parse(
        "flow.yaml",
        slice_of("flow: f\ntitle: A flow\nowner: us\non:\n  feed: {every: \"61 * * * *\"}\nevent: {id: body.moment}\n"),
        config, &err);
    assert_null(manifest);
    assert_string_equal(err.text, "flow.yaml:5:3: feed: \"61 * * * *\" is neither a duration such as 15m nor a cron "
                                  "expression: the minute 61 is not between 0 and 59");
    config_close();
}
