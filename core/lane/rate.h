/* rate.h - how many calls may begin in a time, and how many did
 *
 *      per second or minute   smooth: what was not used adds up to one second's worth at most
 *      per hour or day        rolling: in no hour (day), wherever it begins, more than so many; the use is kept on
 *                             disk, so that a restart does not begin to count anew
 *
 * A rolling window is counted in 60 parts: what was used is free again when its whole part is out of the window, which
 * is a minute (of a day: 24 minutes) late at most, and never early. */
#ifndef HEADGATE_LANE_RATE_H
#define HEADGATE_LANE_RATE_H

#include "core/base/buf.h"

#include <stdint.h>

#define RATE_PARTS 60

struct rate_limit {
    int64_t most;   /* calls */
    int64_t per_ms; /* in this time: a second, a minute, an hour, a day */
};

struct rate {
    struct rate_limit limit;
    double allowance;              /* smooth: calls that may begin now */
    int64_t allowance_ns;          /* smooth: when that was computed */
    uint32_t used[RATE_PARTS + 1]; /* rolling: in each part; a part's place is its number modulo their count */
    int64_t part;                  /* rolling: number of the newest one */
    int64_t sum;                   /* rolling: of `used` */
};

/* "10/s", "600/m", "500/h", "4/d"; false if it is none. */
bool rate_limit_parse(const char *text, struct rate_limit *limit);
const char *rate_limit_text(const struct rate_limit *limit, char text[32]);

void rate_init(struct rate *rate, const struct rate_limit *limit);
bool rate_is_rolling(const struct rate *rate);
int64_t rate_free_ms(struct rate *rate, int64_t now_ms); /* when the next call may begin; 0: now */
void rate_use(struct rate *rate, int64_t now_ms);        /* one call begins; rate_free_ms was asked before */
int64_t rate_used(struct rate *rate, int64_t now_ms);    /* in the window that ends now; of a smooth one: -1 */

/* A rolling one's use, as bytes, and back. */
void rate_save(const struct rate *rate, struct buf *out);
void rate_load(struct rate *rate, struct slice saved, int64_t now_ms);

#endif
