/* test_rate.c - so many in a time, and never more */
#include "core/lane/rate.h"

#include "test.h"

#define HOUR INT64_C(3600000)
#define START (INT64_C(500000) * HOUR + 12345)

TEST(a_rate_is_a_number_and_a_unit)
{
    struct rate_limit limit;
    char text[32];
    static const char *const good[] = {"10/s", "600/m", "500/h", "40000/d"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(rate_limit_parse(good[i], &limit));
        assert_string_equal(rate_limit_text(&limit, text), good[i]);
    }
    static const char *const bad[] = {"", "10", "0/s", "-1/s", "10/w", "10/sec", "/s"};
    for (size_t i = 0; i < 7; i++)
        assert_false(rate_limit_parse(bad[i], &limit));
}

static struct rate rate_of(const char *text)
{
    struct rate_limit limit;
    struct rate rate;
    assert_true(rate_limit_parse(text, &limit));
    rate_init(&rate, &limit);
    return rate;
}

TEST(what_an_hour_allows_may_go_at_once_and_then_nothing_until_it_is_over)
{
    struct rate rate = rate_of("100/h");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(rate_free_ms(&rate, START), 0);
        rate_use(&rate, START);
    }
    int64_t free_ms = rate_free_ms(&rate, START);
    assert_in_range(free_ms, START + HOUR, START + HOUR + 60000);
    assert_int_equal(rate_used(&rate, START), 100);
    assert_int_not_equal(rate_free_ms(&rate, free_ms - 1), 0);
    assert_int_equal(rate_free_ms(&rate, free_ms), 0);
    assert_int_equal(rate_used(&rate, free_ms), 0);
}

TEST(in_no_hour_wherever_it_begins_there_are_more)
{
    static int64_t used[20000];
    size_t count = 0, first = 0;
    struct rate rate = rate_of("500/h");
    srandom(3);
    for (int64_t now = START; count < 20000; now += random() % 9000) {
        while (count < 20000 && random() % 3 && !rate_free_ms(&rate, now)) {
            rate_use(&rate, now);
            used[count++] = now;
            while (now - used[first] >= HOUR)
                first++;
            assert_true(count - first <= 500);
        }
    }
    assert_true(first > 10000);
}

TEST(its_use_survives_being_saved_and_another_limit_counts_what_was_used)
{
    struct rate rate = rate_of("10/d"), more = rate_of("11/d"), elsewhere = rate_of("10/h");
    struct buf saved = BUF_INIT(1000);
    for (int i = 0; i < 10; i++)
        rate_use(&rate, START + i * HOUR);
    rate_save(&rate, &saved);
    int64_t now = START + 10 * HOUR;
    rate_load(&more, buf_slice(&saved), now);
    assert_int_equal(rate_used(&more, now), 10);
    assert_int_equal(rate_free_ms(&more, now), 0);
    rate_use(&more, now);
    assert_in_range(rate_free_ms(&more, now), START + 24 * HOUR, START + 24 * HOUR + 24 * 60000);
    rate_load(&more, buf_slice(&saved), START + 40 * HOUR); /* it was off for a long time */
    assert_int_equal(rate_used(&more, START + 40 * HOUR), 0);
    rate_load(&elsewhere, slice_of("damaged"), now);
    assert_int_equal(rate_used(&elsewhere, now), 0);
    buf_clear(&saved);
}

TEST(a_clock_that_is_set_back_never_allows_more)
{
    struct rate rate = rate_of("10/h");
    for (int i = 0; i < 10; i++)
        rate_use(&rate, START);
    assert_true(rate_free_ms(&rate, START - HOUR / 2) > START);
    int64_t day_before = START - 24 * HOUR;
    assert_in_range(rate_free_ms(&rate, day_before), day_before + HOUR, day_before + HOUR + 60000);
}
