/* stats.c - see stats.h */
#include "core/lane/stats.h"

#include "core/base/buf.h"

#include <stdlib.h>

const char *const stats_outcome_names[STATS_OUTCOMES] = {"delivered", "held", "refused", "superseded"};
const char *const stats_result_names[STATS_RESULTS] = {"done", "later", "never", "unknown"};

/* From one commit on a fast disk to a far side that was down over the weekend. */
const int64_t stats_bounds_ms[STATS_BUCKETS] = {
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 3600000, 14400000, 86400000};

enum stats_outcome stats_outcome_of(const char *name)
{
    for (int i = 0; i < STATS_OUTCOMES; i++)
        if (strcmp(name, stats_outcome_names[i]) == 0)
            return (enum stats_outcome)i;
    abort();
}

void stats_outcome(struct stats *stats, struct slice flow, enum stats_outcome outcome)
{
    int64_t *counts = map_get(&stats->flows, flow);
    if (!counts) {
        counts = mem_zero(STATS_OUTCOMES * sizeof *counts);
        map_put(&stats->flows, flow, counts);
    }
    counts[outcome]++;
}

void stats_latency(struct stats *stats, int64_t ms)
{
    size_t bucket = 0;
    if (ms < 0)
        ms = 0; /* the machine's clock was set back meanwhile */
    while (bucket < STATS_BUCKETS && ms > stats_bounds_ms[bucket])
        bucket++;
    stats->latency[bucket]++;
    stats->latency_sum_ms += ms;
}

int64_t stats_of(const struct stats *stats, const char *flow, enum stats_outcome outcome)
{
    const int64_t *counts = map_get(&stats->flows, slice_of(flow));
    return counts ? counts[outcome] : 0;
}

struct each {
    void (*each)(void *context, struct slice flow);
    void *context;
};

static void call(void *context, struct slice key, void *value)
{
    struct each *each = context;
    (void)value;
    each->each(each->context, key);
}

void stats_each_flow(const struct stats *stats, void (*each)(void *context, struct slice flow), void *context)
{
    struct each all = {each, context};
    map_each(&stats->flows, call, &all);
}

static void free_counts(void *context, struct slice key, void *value)
{
    (void)context, (void)key;
    free(value);
}

void stats_clear(struct stats *stats)
{
    map_each(&stats->flows, free_counts, NULL);
    map_clear(&stats->flows);
}
