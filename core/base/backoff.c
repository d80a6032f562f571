/* backoff.c - see backoff.h */
#include "core/base/backoff.h"

#include <stdlib.h>

void backoff_bounds(unsigned failures, int64_t least_ms, int64_t most_ms, int64_t *from_ms, int64_t *to_ms)
{
    int64_t ceiling = least_ms;
    for (unsigned i = 1; i < failures && ceiling < most_ms; i++)
        ceiling *= 2;
    if (ceiling > most_ms)
        ceiling = most_ms;
    *from_ms = least_ms / 10;
    *to_ms = least_ms / 10 + ceiling;
}

int64_t backoff_ms(unsigned failures, int64_t least_ms, int64_t most_ms)
{
    int64_t from_ms, to_ms;
    backoff_bounds(failures, least_ms, most_ms, &from_ms, &to_ms);
    return from_ms + random() % (to_ms - from_ms);
}
