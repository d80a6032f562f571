/* test_tally.c - how many within a time */
#include "core/config/limits.h"
#include "core/flow/tally.h"

#include "test.h"

#define HOUR 3600000
#define DAY (24 * INT64_C(3600000))
#define NOW INT64_C(1795340469250)

TEST(what_is_counted_counts_for_the_whole_window_and_little_longer)
{
    struct tally tally = {.epoch = 1};
    for (int64_t at = NOW; at < NOW + 3 * HOUR; at += 1700000)
        tally_add(&tally, DAY, at, 1);
    assert_int_equal(tally_sum(&tally, DAY, NOW + 3 * HOUR), 7);
    assert_int_equal(tally_sum(&tally, DAY, NOW + DAY), 7);        /* the first is just a day old */
    assert_true(tally_sum(&tally, DAY, NOW + DAY + 2 * HOUR) < 7); /* it is forgotten by then */
    assert_int_equal(tally_sum(&tally, DAY, NOW + DAY + 5 * HOUR), 0);
    assert_true(tally_end(&tally, DAY) >= NOW + DAY + 2 * HOUR);
}

TEST(never_more_than_the_limit_within_any_window_however_the_events_come)
{
    static int64_t passed[20000];
    struct tally tally = {.epoch = 0};
    size_t count = 0;
    srandom(7);
    for (int64_t at = NOW; at < NOW + 40 * HOUR; at += random() % 60000) {
        if (tally_sum(&tally, HOUR, at) + 1 > 50)
            continue;
        tally_add(&tally, HOUR, at, 1);
        passed[count++] = at;
    }
    assert_true(count > 50 * 40 * 9 / 10);
    for (size_t i = 50; i < count; i++)
        assert_true(passed[i] - passed[i - 50] >= HOUR);
}

TEST(a_tally_outlives_its_row_a_set_clock_and_another_window)
{
    struct tally tally = {.epoch = 3}, again;
    struct buf row = BUF_INIT(sizeof tally);
    for (int i = 0; i < 200; i++)
        tally_add(&tally, DAY, NOW + i * (DAY / 100), 2);
    tally_encode(&tally, &row);
    tally_decode(&again, buf_slice(&row));
    assert_int_equal(again.epoch, 3);
    int64_t now = NOW + 199 * (DAY / 100);
    assert_int_equal(tally_sum(&again, DAY, now), tally_sum(&tally, DAY, now));
    assert_true(tally_sum(&again, DAY, now) >= 200 && tally_sum(&again, DAY, now) <= 210);
    tally_add(&again, DAY, now - HOUR, 1); /* the clock was set back */
    assert_int_equal(tally_sum(&again, DAY, now - HOUR), tally_sum(&tally, DAY, now - HOUR) + 1);
    tally_add(&again, HOUR, now, 1); /* a new release counts by the hour */
    assert_true(tally_sum(&again, HOUR, now) >= 2);
    tally_decode(&again, (struct slice){row.data, row.size - 3});
    assert_int_equal(again.count, 0);
    buf_clear(&row);
}

TEST(a_quota_is_a_number_within_a_time)
{
    char text[QUOTA_TEXT_MAX];
    struct quota quota;
    static const char *const bad[] = {
        "", "4", "/d", "0/d", "4/w", "-4/d", "4 /d", "4/dd", "4/", "9999999999999/d", "nothing"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (quota_parse(bad[i], &quota))
            fail_msg("%s was taken for a quota", bad[i]);
    static const char *const good[] = {"4/d", "24/d", "500/h", "10/m", "5/s", "none"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(quota_parse(good[i], &quota));
        assert_string_equal(quota_text(&quota, text), good[i]);
    }
}
