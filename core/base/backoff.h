/* backoff.h - how long to wait before trying again */
#ifndef HEADGATE_BASE_BACKOFF_H
#define HEADGATE_BASE_BACKOFF_H

#include <stdint.h>

/* Exponential with full jitter: after the n-th failure (1, 2, ...) a random time up to `least_ms` * 2^(n-1), at most
 * `most_ms`, plus a tenth of `least_ms`: a herd that failed together does not come back together. */
int64_t backoff_ms(unsigned failures, int64_t least_ms, int64_t most_ms);
/* Between which two it lies. */
void backoff_bounds(unsigned failures, int64_t least_ms, int64_t most_ms, int64_t *from_ms, int64_t *to_ms);

#endif
