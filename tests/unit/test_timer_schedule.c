/* test_timer_schedule.c - when is it due again?  Cron expressions, intervals, and clocks that change */
#include "adapters/timer/schedule.h"
#include "core/base/clock.h"

#include "test.h"

#include <time.h>

static struct schedule *schedule_of(const char *every, const char *zone)
{
    struct err err = ERR_INIT;
    struct schedule *schedule = schedule_new(every, zone, &err);
    if (!schedule)
        fail_msg("%s: %s", every, err.text);
    return schedule;
}

static int64_t ms_of(const char *text)
{
    int64_t ms;
    if (!clock_parse(text, strlen(text), &ms))
        fail_msg("no time: %s", text);
    return ms;
}

/* The moments after `after`, in order; the list ends with NULL. */
static void expect(const char *every, const char *zone, const char *after, const char *const *moments)
{
    struct schedule *schedule = schedule_of(every, zone);
    int64_t at = ms_of(after);
    char text[CLOCK_TEXT_MAX];
    for (; *moments; moments++) {
        at = schedule_next(schedule, at);
        if (at != ms_of(*moments))
            fail_msg("%s in %s: %s, not %s", every, zone, clock_text(at, text), *moments);
    }
    schedule_free(schedule);
}

#define EXPECT(every, zone, after, ...) expect(every, zone, after, (const char *const[]){__VA_ARGS__, NULL})

TEST(an_interval_is_counted_from_the_same_moment_on_every_node)
{
    EXPECT("15m", "UTC", "2026-11-25T15:04:05Z", "2026-11-25T15:15:00Z", "2026-11-25T15:30:00Z");
    EXPECT("15m", "UTC", "2026-11-25T15:15:00Z", "2026-11-25T15:30:00Z");
    EXPECT("30s", "UTC", "2026-11-25T15:14:59.999Z", "2026-11-25T15:15:00Z", "2026-11-25T15:15:30Z");
    EXPECT("1d", "Europe/Berlin", "2026-11-25T15:15:00Z", "2026-11-26T00:00:00Z");
}

TEST(a_cron_expression_names_minutes)
{
    EXPECT("*/15 * * * *", "UTC", "2026-11-25T15:04:05Z", "2026-11-25T15:15:00Z", "2026-11-25T15:30:00Z",
           "2026-11-25T15:45:00Z", "2026-11-25T16:00:00Z");
    EXPECT("5,35 8-9 * * mon-fri", "UTC", "2026-11-27T09:05:00Z", "2026-11-27T09:35:00Z", "2026-11-30T08:05:00Z");
    EXPECT("0 0 1 jan *", "UTC", "2026-11-25T15:00:00Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z");
    EXPECT("0 12 29 feb *", "UTC", "2026-11-25T15:00:00Z", "2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z");
    EXPECT("0 12 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T12:00:00Z"); /* 2100 has none */
    EXPECT("0 8 * * 7", "UTC", "2026-11-25T15:00:00Z", "2026-11-29T08:00:00Z");
    EXPECT("0 8 * * SUN", "UTC", "2026-11-25T15:00:00Z", "2026-11-29T08:00:00Z");
    EXPECT("50/3 0 * * *", "UTC", "2026-11-25T15:00:00Z", "2026-11-26T00:50:00Z", "2026-11-26T00:53:00Z",
           "2026-11-26T00:56:00Z", "2026-11-26T00:59:00Z", "2026-11-27T00:50:00Z");
    EXPECT("@weekly", "UTC", "2026-11-25T15:00:00Z", "2026-11-29T00:00:00Z");
    EXPECT("  0   8\t1 * * ", "UTC", "2026-11-25T15:00:00Z", "2026-12-01T08:00:00Z");
}

TEST(of_two_restricted_days_either_will_do)
{
    EXPECT("0 0 13 * fri", "UTC", "2026-11-25T15:00:00Z", "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z",
           "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z");
    EXPECT("0 0 */2 * fri", "UTC", "2026-11-25T15:00:00Z", "2026-11-27T00:00:00Z", "2026-12-11T00:00:00Z");
}

TEST(a_zone_says_when_eight_in_the_morning_is)
{
    EXPECT("0 8 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T06:00:00Z");
    EXPECT("0 8 * * *", "Europe/Berlin", "2026-12-01T00:00:00Z", "2026-12-01T07:00:00Z");
    EXPECT("0 8 * * *", "Europe/Berlin", "2060-07-01T00:00:00Z", "2060-07-01T06:00:00Z"); /* by the file's rule */
    EXPECT("0 8 * * *", "Europe/Berlin", "2060-12-01T00:00:00Z", "2060-12-01T07:00:00Z");
    EXPECT("0 8 * * *", "Asia/Kolkata", "2026-07-01T00:00:00Z", "2026-07-01T02:30:00Z");
    EXPECT("0 8 * * *", "America/New_York", "2026-07-01T00:00:00Z", "2026-07-01T12:00:00Z");
    EXPECT("0 8 * * *", "Australia/Sydney", "2061-01-01T00:00:00Z", "2061-01-01T21:00:00Z"); /* summer over new year */
    EXPECT("0 0 1 * *", "Pacific/Auckland", "2026-12-15T00:00:00Z", "2026-12-31T11:00:00Z");
}

TEST(what_falls_into_the_hour_that_is_left_out_is_due_when_it_would_have_begun)
{
    EXPECT("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z",
           "2026-03-30T00:30:00Z");
    EXPECT("0,15,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z");
    EXPECT("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z");
    EXPECT("30 2 * * *", "Europe/Berlin", "2060-03-27T12:00:00Z", "2060-03-28T01:00:00Z", "2060-03-29T00:30:00Z");
    EXPECT("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:20:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z");
    EXPECT("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z"); /* half an hour */
}

TEST(what_falls_into_the_hour_that_comes_twice_is_due_the_first_time)
{
    EXPECT("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
    EXPECT("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z");
    EXPECT("0 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z");
    EXPECT("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
           "2026-10-25T02:30:00Z");
    EXPECT("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z");
}

TEST(the_last_of_those_that_were_missed_is_found_and_the_others_are_counted)
{
    struct schedule *schedule = schedule_of("*/15 * * * *", "UTC");
    int64_t passed;
    int64_t first = ms_of("2026-11-25T15:15:00Z"), now = ms_of("2026-11-25T17:50:00Z");
    assert_int_equal(schedule_last(schedule, first, now, &passed), ms_of("2026-11-25T17:45:00Z"));
    assert_int_equal(passed, 10);
    assert_int_equal(schedule_last(schedule, first, first, &passed), first);
    assert_int_equal(passed, 0);
    schedule_free(schedule);
    schedule = schedule_of("1s", "UTC");
    assert_int_equal(schedule_last(schedule, first, now, &passed), now);
    assert_int_equal(passed, 9300);
    schedule_free(schedule);
}

static void is_wrong(const char *every, const char *zone, const char *words)
{
    struct err err = ERR_INIT;
    struct schedule *schedule = schedule_new(every, zone, &err);
    if (schedule)
        fail_msg("%s in %s is taken", every, zone);
    if (!strstr(err.text, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", every, err.text, words);
}

TEST(what_is_no_schedule_is_refused_with_the_reason)
{
    is_wrong("60 * * * *", "UTC", "the minute 60 is not between 0 and 59");
    is_wrong("* 24 * * *", "UTC", "the hour 24 is not between 0 and 23");
    is_wrong("* * 0 * *", "UTC", "the day of the month 0 is not between 1 and 31");
    is_wrong("* * * 13 *", "UTC", "the month 13 is not between 1 and 12");
    is_wrong("* * * * 8", "UTC", "the day of the week 8 is not between 0 and 7");
    is_wrong("* * * * mond", "UTC", "cannot stand in the day of the week");
    is_wrong("* * * foo *", "UTC", "\"foo *\" is no month");
    is_wrong("* * * *", "UTC", "the day of the week is missing; there are five fields");
    is_wrong("* * * * * *", "UTC", "\"*\" is too much");
    is_wrong("5-1 * * * *", "UTC", "goes from 5 to 1, which is backwards");
    is_wrong("*/0 * * * *", "UTC", "is no number from 1 on");
    is_wrong("1, * * * *", "UTC", "is no minute");
    is_wrong("", "UTC", "is missing");
    is_wrong("soon", "UTC", "is neither a duration such as 15m nor a cron expression");
    is_wrong("0 0 30 2 *", "UTC", "is never due");
    is_wrong("500ms", "UTC", "allowed are 1s to 366d");
    is_wrong("15m", "Europe/Berlyn", "there is no time zone \"Europe/Berlyn\"");
    is_wrong("15m", "../../../etc/passwd", "there is no time zone");
    is_wrong("15m", "/etc/localtime", "there is no time zone");
    is_wrong("15m", "zone.tab", "there is no time zone");
}

TEST(local_time_is_said_with_its_distance_to_utc)
{
    char text[SCHEDULE_LOCAL_MAX];
    struct schedule *schedule = schedule_of("15m", "Europe/Berlin");
    assert_string_equal(schedule_local(schedule, ms_of("2026-11-25T15:15:00Z"), text), "2026-11-25T16:15:00+01:00");
    schedule_free(schedule);
    schedule = schedule_of("15m", "America/St_Johns");
    assert_string_equal(schedule_local(schedule, ms_of("2026-11-25T01:15:00Z"), text), "2026-11-24T21:45:00-03:30");
    schedule_free(schedule);
}

TEST(every_zone_of_the_system_agrees_with_the_c_library_on_every_day_of_some_years)
{
    static const char *const zones[] = {"Europe/Berlin",    "America/New_York", "Australia/Lord_Howe",
                                        "Asia/Kathmandu",   "America/Santiago", "Africa/Casablanca",
                                        "Europe/Dublin",    "Asia/Gaza",        "Pacific/Apia",
                                        "America/St_Johns", "Antarctica/Troll", "Asia/Tehran"};
    char text[SCHEDULE_LOCAL_MAX], wanted[SCHEDULE_LOCAL_MAX];
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct schedule *schedule = schedule_of("15m", zones[i]);
        setenv("TZ", zones[i], 1);
        tzset();
        for (time_t t = 1000000000; t < 3400000000; t += 86400 * 3 + 3607) {
            struct tm tm;
            localtime_r(&t, &tm);
            strftime(wanted, sizeof wanted, "%Y-%m-%dT%H:%M:%S", &tm);
            schedule_local(schedule, (int64_t)t * 1000, text);
            if (strncmp(text, wanted, 19) != 0)
                fail_msg("%s: %s, not %s", zones[i], text, wanted);
        }
        schedule_free(schedule);
    }
    unsetenv("TZ");
}
