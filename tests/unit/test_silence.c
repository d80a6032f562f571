/* test_silence.c - a flow that gets fewer events than it should; how long the store could take it */
#include "core/engine/forecast.h"
#include "core/flow/silence.h"

#include "test.h"

#define S 1000
#define MIN (60 * S)

TEST(what_is_expected_is_said_in_words)
{
    int64_t least, window_ms;
    assert_true(silence_parse("at least 1 per 15m", &least, &window_ms));
    assert_int_equal(least, 1);
    assert_int_equal(window_ms, 15 * MIN);
    assert_true(silence_parse("at least 5000 per 1d", &least, &window_ms));
    static const char *const wrong[] = {"",
                                        "1 per 15m",
                                        "at least 0 per 15m",
                                        "at least -1 per 15m",
                                        "at least 1 per 15",
                                        "at least 1 per m",
                                        "at least 1 per 10ms",
                                        "at least 1 per 15m or so",
                                        "at most 1 per 15m",
                                        "at least 99999999999 per 1h",
                                        "at least one per 15m"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (silence_parse(wrong[i], &least, &window_ms))
            fail_msg("%s", wrong[i]);
}

/* Looks every second until `until_ms`; at which second the first turn of this kind came, or -1. */
static int64_t look_until(struct silence *silence, int64_t from_ms, int64_t until_ms, enum silence_turn wanted)
{
    int64_t at_ms = -1;
    for (int64_t now_ms = from_ms; now_ms < until_ms; now_ms += S)
        if (silence_look(silence, true, now_ms) == wanted && at_ms < 0)
            at_ms = now_ms;
    return at_ms;
}

TEST(a_flow_is_silent_once_a_whole_window_has_passed_and_is_told_once)
{
    struct silence silence = {.least = 0};
    silence_expect(&silence, 1, 10 * MIN);
    assert_int_equal(look_until(&silence, 500 * MIN, 510 * MIN, SILENCE_BEGAN), -1);
    assert_int_equal(look_until(&silence, 510 * MIN, 511 * MIN, SILENCE_BEGAN), 510 * MIN);
    assert_int_equal(look_until(&silence, 511 * MIN, 600 * MIN, SILENCE_BEGAN), -1);
    silence_event(&silence, 600 * MIN);
    assert_int_equal(silence_look(&silence, true, 600 * MIN + S), SILENCE_ENDED);
    int64_t again_ms = look_until(&silence, 600 * MIN + 2 * S, 620 * MIN, SILENCE_BEGAN);
    assert_true(again_ms >= 610 * MIN && again_ms <= 610 * MIN + 11 * S);
}

TEST(a_flow_with_enough_events_is_never_silent)
{
    struct silence silence = {.least = 0};
    silence_expect(&silence, 3, MIN);
    for (int64_t now_ms = 0; now_ms < 60 * MIN; now_ms += S) {
        if (now_ms % (20 * S) == 0)
            silence_event(&silence, now_ms);
        assert_int_equal(silence_look(&silence, true, now_ms), SILENCE_AS_BEFORE);
        assert_false(silence.is_silent);
    }
}

TEST(too_few_is_silent_too)
{
    struct silence silence = {.least = 0};
    int64_t began_ms = -1;
    silence_expect(&silence, 5, MIN);
    for (int64_t now_ms = 100 * MIN; now_ms < 105 * MIN; now_ms += S) {
        if (now_ms % (20 * S) == 0)
            silence_event(&silence, now_ms);
        if (silence_look(&silence, true, now_ms) == SILENCE_BEGAN)
            began_ms = now_ms;
    }
    assert_int_equal(began_ms, 101 * MIN);
}

TEST(while_no_event_could_come_nobody_is_told_and_the_window_begins_anew)
{
    struct silence silence = {.least = 0};
    silence_expect(&silence, 1, MIN);
    assert_int_equal(look_until(&silence, 0, 2 * MIN, SILENCE_BEGAN), MIN + S);
    assert_int_equal(silence_look(&silence, false, 2 * MIN), SILENCE_AS_BEFORE);
    assert_false(silence.is_silent);
    assert_int_equal(look_until(&silence, 9 * MIN, 10 * MIN, SILENCE_BEGAN), -1);
    assert_int_equal(look_until(&silence, 10 * MIN, 11 * MIN, SILENCE_BEGAN), 10 * MIN);
}

TEST(another_expectation_begins_anew_the_same_one_goes_on)
{
    struct silence silence = {.least = 0};
    silence_expect(&silence, 1, MIN);
    look_until(&silence, MIN, 3 * MIN, SILENCE_BEGAN);
    silence_expect(&silence, 1, MIN);
    assert_true(silence.is_silent);
    silence_expect(&silence, 2, MIN);
    assert_false(silence.is_silent);
    silence_expect(&silence, 0, 0);
    assert_int_equal(silence_look(&silence, true, 99 * MIN), SILENCE_AS_BEFORE);
}

/* ---- the forecast ---------------------------------------------------------------------------------------- */

TEST(nothing_is_foretold_before_anything_came_in)
{
    struct forecast forecast = {.count = 0};
    assert_int_equal(forecast_left_ms(&forecast, 1000), -1);
    for (int64_t i = 0; i < 200; i++)
        forecast_note(&forecast, i * S, 500, 0);
    assert_int_equal(forecast_left_ms(&forecast, 1000), -1);
}

TEST(what_effects_bring_goes_on_at_its_rate_even_while_the_lanes_keep_up)
{
    struct forecast forecast = {.count = 0};
    for (int64_t i = 0; i <= 600; i++)
        forecast_note(&forecast, i * S, 1000000, i * 100); /* 100 bytes/s asked for, the store does not grow */
    int64_t left_ms = forecast_left_ms(&forecast, 1000000 + 200 * 3600);
    assert_int_equal(left_ms, 3600 * S);
}

TEST(a_store_that_grows_faster_than_effects_tell_is_believed)
{
    struct forecast forecast = {.count = 0};
    for (int64_t i = 0; i <= 60; i++)
        forecast_note(&forecast, i * 10 * S, i * 10000, i * 100);
    assert_int_equal(forecast_left_ms(&forecast, 600000 + 3600000), 3600 * S);
    assert_int_equal(forecast_left_ms(&forecast, 600000), 0);
}

TEST(only_the_last_minutes_count)
{
    struct forecast forecast = {.count = 0};
    for (int64_t i = 0; i <= 500; i++)
        forecast_note(&forecast, i * 10 * S, i < 300 ? i * 1000000 : 300000000, 0);
    assert_int_equal(forecast_left_ms(&forecast, 400000000), -1);
}
