/* schedule.c - see schedule.h */
#include "adapters/timer/schedule.h"

#include "adapters/timer/cron.h"
#include "core/base/buf.h"
#include "core/base/settings.h"

#include <stdio.h>
#include <stdlib.h>

#define MINUTE 60
#define HOUR 3600
#define DAY 86400
#define YEARS_AHEAD 9 /* a 29th of February comes at least so often */
#define INTERVAL_MOST_MS (366 * 86400000ll)

struct schedule {
    int64_t interval_ms; /* 0: it is a cron expression */
    struct cron cron;
    struct zone *zone;
};

static bool parse(struct schedule *schedule, const char *every, struct err *err)
{
    if (!settings_parse(OPTION_DURATION, every, &schedule->interval_ms)) {
        schedule->interval_ms = 0;
        return cron_parse(every, &schedule->cron, err)
               || err_wrap(err, "\"%.60s\" is neither a duration such as 15m nor a cron expression", every);
    }
    return (schedule->interval_ms >= 1000 && schedule->interval_ms <= INTERVAL_MOST_MS)
           || err_set(err, "\"%s\": allowed are 1s to 366d", every);
}

struct schedule *schedule_new(const char *every, const char *zone, struct err *err)
{
    struct schedule *schedule = mem_zero(sizeof *schedule);
    bool ok = parse(schedule, every, err) && (schedule->zone = zone_open(zone, err)) != NULL;
    if (ok && schedule_next(schedule, 0) == INT64_MAX)
        ok = err_set(err, "\"%s\" is never due: no year has such a day", every);
    if (ok)
        return schedule;
    schedule_free(schedule);
    return NULL;
}

void schedule_free(struct schedule *schedule)
{
    if (!schedule)
        return;
    zone_close(schedule->zone);
    free(schedule);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t round_up(int64_t t, int64_t unit)
{
    return floor_div(t + unit - 1, unit) * unit;
}

/* Whether this local minute (in seconds since 1970, as if it were UTC) is meant. `*skip`: to where nothing is. */
static bool is_meant(const struct cron *cron, int64_t local, int64_t *skip)
{
    struct zone_date date = zone_date_of(floor_div(local, DAY));
    int64_t of_day = local - floor_div(local, DAY) * DAY;
    if (!cron_has_day(cron, &date))
        *skip = round_up(local + 1, DAY);
    else if (!(cron->hours >> (of_day / HOUR) & 1))
        *skip = round_up(local + 1, HOUR);
    else if (!(cron->minutes >> (of_day % HOUR / MINUTE) & 1))
        *skip = local + MINUTE;
    else
        return true;
    return false;
}

/* The first local minute in [from, until) that is meant; `until` if there is none. */
static int64_t first_meant(const struct cron *cron, int64_t from, int64_t until)
{
    int64_t local = round_up(from, MINUTE), skip;
    while (local < until && !is_meant(cron, local, &skip))
        local = skip;
    return local < until ? local : until;
}

/* Goes from one change of the clocks to the next; `t` in seconds, UTC. */
static int64_t next_of_cron(const struct schedule *schedule, int64_t t)
{
    const struct cron *cron = &schedule->cron;
    int64_t end = t + (int64_t)YEARS_AHEAD * 366 * DAY;
    while (t < end) {
        struct zone_span span = zone_span_at(schedule->zone, t);
        int64_t before = span.from == INT64_MIN ? span.offset : zone_span_at(schedule->zone, span.from - 1).offset;
        int64_t until = span.until < end ? span.until : end, from = t;
        if (!cron_is_hourly(cron)) {
            int64_t left_out = span.from + before; /* local minutes from here to the new time are left out */
            if (t == span.from && before < span.offset
                && first_meant(cron, left_out, t + span.offset) < t + span.offset)
                return t;
            if (before > span.offset && t < span.from + before - span.offset)
                from = span.from + before - span.offset; /* until then local time is as it was before */
        }
        int64_t local = first_meant(cron, from + span.offset, until + span.offset);
        if (local < until + span.offset)
            return local - span.offset;
        t = until;
    }
    return INT64_MAX;
}

int64_t schedule_next(const struct schedule *schedule, int64_t after_ms)
{
    if (schedule->interval_ms)
        return (floor_div(after_ms, schedule->interval_ms) + 1) * schedule->interval_ms;
    int64_t t = next_of_cron(schedule, floor_div(after_ms, 1000) + 1);
    return t == INT64_MAX ? t : t * 1000;
}

int64_t schedule_last(const struct schedule *schedule, int64_t first_ms, int64_t now_ms, int64_t *passed)
{
    *passed = 0;
    if (schedule->interval_ms) {
        *passed = floor_div(now_ms - first_ms, schedule->interval_ms);
        return first_ms + *passed * schedule->interval_ms;
    }
    for (int64_t next_ms; (next_ms = schedule_next(schedule, first_ms)) <= now_ms; first_ms = next_ms)
        ++*passed;
    return first_ms;
}

const char *schedule_local(const struct schedule *schedule, int64_t ms, char *text)
{
    int64_t t = floor_div(ms, 1000), offset = zone_span_at(schedule->zone, t).offset, local = t + offset;
    struct zone_date date = zone_date_of(floor_div(local, DAY));
    int of_day = (int)(local - floor_div(local, DAY) * DAY), minutes = (int)(llabs(offset) / MINUTE);
    snprintf(text, SCHEDULE_LOCAL_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", (int)date.year % 10000, date.month,
             date.day, of_day / HOUR, of_day % HOUR / MINUTE, of_day % MINUTE, offset < 0 ? '-' : '+',
             minutes / 60 % 100, minutes % 60);
    return text;
}
