/* backoff.c - see backoff.h */
#include "core/base/backoff.h"

#include <stdlib.h>

int64_t backoff_ms(unsigned failures, int64_t least_ms, int64_t most_ms)
{
    int64_t ceiling = least_ms;
    for (unsigned i = 1; i < failures && ceiling < most_ms; i++)
        ceiling *= 2;
    if (ceiling > most_ms)
        ceiling = most_ms;
    return least_ms / 10 + random() % ceiling;
}
