/* test_exposition.c - the text of /metrics, line by line; what a lane counts */
#include "core/admin/exposition.h"
#include "core/lane/stats.h"

#include <math.h>

#include "test.h"

static struct exposition out;

static void begin(bool is_open_metrics)
{
    out = (struct exposition)EXPOSITION_INIT(is_open_metrics);
}

static void expect(const char *text)
{
    assert_string_equal(out.text.data, text);
    buf_clear(&out.text);
}

TEST(a_family_has_one_head_and_lines_with_its_name)
{
    begin(false);
    exposition_family(&out, "h_events_total", EXPOSITION_COUNTER, "Events.");
    exposition_add(&out, "", 3, "flow", "f", "outcome", "x");
    exposition_add(&out, "", 0);
    exposition_end(&out);
    expect("# HELP h_events_total Events.\n# TYPE h_events_total counter\n"
           "h_events_total{flow=\"f\",outcome=\"x\"} 3\nh_events_total 0\n");
}

TEST(open_metrics_has_no_total_in_a_counters_head_and_an_end)
{
    begin(true);
    exposition_family(&out, "h_events_total", EXPOSITION_COUNTER, "Events.");
    exposition_add(&out, "", 3);
    exposition_family(&out, "h_total", EXPOSITION_GAUGE, "A gauge keeps its name.");
    exposition_end(&out);
    expect("# HELP h_events Events.\n# TYPE h_events counter\nh_events_total 3\n"
           "# HELP h_total A gauge keeps its name.\n# TYPE h_total gauge\n# EOF\n");
}

TEST(label_values_are_escaped_and_never_make_the_page_unreadable)
{
    begin(false);
    exposition_family(&out, "g", EXPOSITION_GAUGE, "G.");
    buf_reset(&out.text);
    exposition_add(&out, "", 1, "a", "\\ \"x\"\ny", "b", "\xc3\xbc", "c", "\xff\xc3");
    expect("g{a=\"\\\\ \\\"x\\\"\\ny\",b=\"\xc3\xbc\",c=\"?"
           "?\"} 1\n");
}

TEST(numbers_keep_all_their_digits)
{
    begin(false);
    exposition_family(&out, "g", EXPOSITION_GAUGE, "G.");
    buf_reset(&out.text);
    exposition_add(&out, "", 9007199254740991.0);
    exposition_add(&out, "", -2);
    exposition_add(&out, "", 0.5);
    exposition_add(&out, "", INFINITY);
    expect("g 9007199254740991\ng -2\ng 0.5\ng +Inf\n");
}

/* ---- what a lane counts ------------------------------------------------------------------------------------ */

static void note_name(void *context, struct slice flow)
{
    buf_add_slice(context, flow);
}

TEST(effects_are_counted_by_flow_and_outcome)
{
    struct stats stats = {.asked_bytes = 0};
    struct buf names = BUF_INIT(100);
    assert_int_equal(stats_of(&stats, "f", STATS_HELD), 0);
    stats_outcome(&stats, slice_of("f"), STATS_HELD);
    stats_outcome(&stats, slice_of("f"), STATS_HELD);
    stats_outcome(&stats, slice_of("f"), STATS_DELIVERED);
    assert_int_equal(stats_of(&stats, "f", STATS_HELD), 2);
    assert_int_equal(stats_of(&stats, "f", STATS_DELIVERED), 1);
    assert_int_equal(stats_of(&stats, "g", STATS_DELIVERED), 0);
    stats_each_flow(&stats, note_name, &names);
    assert_string_equal(names.data, "f");
    buf_clear(&names);
    stats_clear(&stats);
}

TEST(a_latency_falls_into_the_first_bucket_that_holds_it)
{
    struct stats stats = {.asked_bytes = 0};
    for (int i = 1; i < STATS_BUCKETS; i++)
        assert_true(stats_bounds_ms[i] > stats_bounds_ms[i - 1]);
    stats_latency(&stats, -5); /* the clock was set back */
    stats_latency(&stats, 1);
    stats_latency(&stats, 2);
    stats_latency(&stats, 3);
    stats_latency(&stats, INT64_C(90000000));
    assert_int_equal(stats.latency[0], 2);
    assert_int_equal(stats.latency[1], 1);
    assert_int_equal(stats.latency[2], 1);
    assert_int_equal(stats.latency[STATS_BUCKETS], 1);
    assert_int_equal(stats.latency_sum_ms, 90000006);
    stats_clear(&stats);
}
