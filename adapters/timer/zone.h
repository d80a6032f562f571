/* zone.h - time zones: how far from UTC a place is, and when that changes
 *
 * Read from the system's database (package tzdata) and not from the C library, which knows only one zone a process. */
#ifndef HEADGATE_TIMER_ZONE_H
#define HEADGATE_TIMER_ZONE_H

#include "core/base/err.h"

#include <stdint.h>

struct zone;

/* "UTC", or a name such as "Europe/Berlin". NULL with the reason. */
struct zone *zone_open(const char *name, struct err *err);
void zone_close(struct zone *zone); /* may be NULL */

/* A stretch of time in which the distance stays the same; all in seconds since 1970, UTC. */
struct zone_span {
    int64_t from, until; /* from <= t < until; INT64_MIN, INT64_MAX: without an end */
    int64_t offset;      /* seconds that local time is ahead of UTC */
};
struct zone_span zone_span_at(const struct zone *zone, int64_t t);

/* ---- the calendar ------------------------------------------------------------------------- */

struct zone_date {
    int64_t year;
    int month, day, weekday; /* 1 to 12, 1 to 31, 0 is Sunday */
};
int64_t zone_days(int64_t year, int month, int day); /* days since 1970-01-01 */
struct zone_date zone_date_of(int64_t days);

#endif
