/* stats.h - what a lane did since the daemon started, for /metrics
 *
 * The books (core/engine/books.h) are counted on disk and must balance; these are in memory, and tell more: for which
 * flow, how often it was tried, how long it took. */
#ifndef HEADGATE_LANE_STATS_H
#define HEADGATE_LANE_STATS_H

#include "core/base/map.h"
#include "core/base/slice.h"

#include <stdint.h>

/* How an effect left the outbox. */
enum stats_outcome {
    STATS_DELIVERED,
    STATS_HELD,
    STATS_REFUSED, /* a person gave it up */
    STATS_SUPERSEDED,
    STATS_OUTCOMES
};
/* What one attempt came to. */
enum stats_result { STATS_DONE, STATS_LATER, STATS_NEVER, STATS_UNKNOWN, STATS_RESULTS };

extern const char *const stats_outcome_names[STATS_OUTCOMES];
enum stats_outcome stats_outcome_of(const char *name); /* of those names; another one is a bug and ends the process */
extern const char *const stats_result_names[STATS_RESULTS];

#define STATS_BUCKETS 19
extern const int64_t stats_bounds_ms[STATS_BUCKETS]; /* upper bounds, inclusive, ascending */

struct stats {
    struct map flows; /* name -> int64_t[STATS_OUTCOMES], owned */
    int64_t results[STATS_RESULTS];
    int64_t latency[STATS_BUCKETS + 1]; /* deliveries that took so long, from the event's arrival; the last: longer */
    int64_t latency_sum_ms;
    int64_t asked_bytes; /* of all rows that were put into the outbox */
};

void stats_outcome(struct stats *stats, struct slice flow, enum stats_outcome outcome);
void stats_latency(struct stats *stats, int64_t ms);
int64_t stats_of(const struct stats *stats, const char *flow, enum stats_outcome outcome);
/* Calls for each flow that anything was counted for. */
void stats_each_flow(const struct stats *stats, void (*each)(void *context, struct slice flow), void *context);
void stats_clear(struct stats *stats);

#endif
