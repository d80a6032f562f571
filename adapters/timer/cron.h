/* cron.h - the five fields of a cron expression; see schedule.h */
#ifndef HEADGATE_TIMER_CRON_H
#define HEADGATE_TIMER_CRON_H

#include "adapters/timer/zone.h"

struct cron {
    uint64_t minutes, hours, days, months, weekdays; /* bit n: n is meant */
    bool any_day, any_weekday;                       /* the field begins with a * */
};

bool cron_parse(const char *text, struct cron *cron, struct err *err);
bool cron_has_day(const struct cron *cron, const struct zone_date *date);
bool cron_is_hourly(const struct cron *cron); /* every hour is meant */

#endif
