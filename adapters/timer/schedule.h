/* schedule.h - when something is due again: "15m", or "0 8 * * mon-fri" in a time zone
 *
 * An interval is counted from 1970-01-01T00:00Z, so that 15m is at :00, :15, :30 and :45 on every node.
 *
 * A cron expression has five fields: minute, hour, day of the month, month, day of the week; each a *, a number, a name
 * (jan, mon), a range, with /n for every n-th, or a list of those.  Where both days are restricted, either will do.
 * When clocks change: what falls into the hour that is left out is due when that hour would have begun; what falls into
 * the hour that comes twice is due the first time.  An expression that names every hour is due at all real ones. */
#ifndef HEADGATE_TIMER_SCHEDULE_H
#define HEADGATE_TIMER_SCHEDULE_H

#include "adapters/timer/zone.h"

struct schedule;

struct schedule *schedule_new(const char *every, const char *zone, struct err *err);
void schedule_free(struct schedule *schedule); /* may be NULL */
/* The first moment after `after_ms`; all in ms since 1970.  INT64_MAX: none in the years to come. */
int64_t schedule_next(const struct schedule *schedule, int64_t after_ms);
/* The last moment up to `now_ms`, where `first_ms` is one; `*passed`: how many there are from there on, without it. */
int64_t schedule_last(const struct schedule *schedule, int64_t first_ms, int64_t now_ms, int64_t *passed);
#define SCHEDULE_LOCAL_MAX 64
/* "2026-11-25T16:15:00+01:00" into `text` of SCHEDULE_LOCAL_MAX bytes; returns `text`. */
const char *schedule_local(const struct schedule *schedule, int64_t ms, char *text);

#endif
