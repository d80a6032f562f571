/* rate.c - see rate.h */
#include "core/lane/rate.h"

#include "core/base/clock.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACES (RATE_PARTS + 1) /* the part that now is in, and those that lie within the window before it */

static const struct {
    char letter;
    int64_t ms;
} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};

bool rate_limit_parse(const char *text, struct rate_limit *limit)
{
    char *end;
    long long most = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (most > 0 && end[0] == '/' && end[1] == units[i].letter && !end[2]) {
            *limit = (struct rate_limit){most, units[i].ms};
            return true;
        }
    }
    return false;
}

const char *rate_limit_text(const struct rate_limit *limit, char text[32])
{
    char letter = '?';
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].ms == limit->per_ms)
            letter = units[i].letter;
    snprintf(text, 32, "%lld/%c", (long long)limit->most, letter);
    return text;
}

void rate_init(struct rate *rate, const struct rate_limit *limit)
{
    *rate = (struct rate){.limit = *limit, .allowance = 1, .allowance_ns = clock_mono_ns()};
}

bool rate_is_rolling(const struct rate *rate)
{
    return rate->limit.per_ms >= 3600000;
}

/* ---- smooth --------------------------------------------------------------------------------- */

static void grow_allowance(struct rate *rate)
{
    double per_ns = (double)rate->limit.most / ((double)rate->limit.per_ms * 1e6);
    int64_t now_ns = clock_mono_ns();
    double most = per_ns * 1e9 > 1 ? per_ns * 1e9 : 1; /* one second's worth */
    rate->allowance += (double)(now_ns - rate->allowance_ns) * per_ns;
    rate->allowance_ns = now_ns;
    if (rate->allowance > most)
        rate->allowance = most;
}

/* ---- rolling --------------------------------------------------------------------------------- */

static uint32_t *place_of(struct rate *rate, int64_t part)
{
    return &rate->used[part % PLACES];
}

/* Forgets what has left the window.  A clock that was set back by less than a window just waits until it is where it
 * was; by more, all that was used counts as used now. */
static void roll(struct rate *rate, int64_t now_ms)
{
    int64_t part = now_ms / (rate->limit.per_ms / RATE_PARTS);
    if (part < rate->part - PLACES) {
        memset(rate->used, 0, sizeof rate->used);
        *place_of(rate, part) = (uint32_t)rate->sum;
        rate->part = part;
    }
    int64_t from = part - rate->part > PLACES ? part - PLACES : rate->part;
    for (int64_t gone = from + 1; gone <= part; gone++) {
        rate->sum -= *place_of(rate, gone);
        *place_of(rate, gone) = 0;
    }
    if (part > rate->part)
        rate->part = part;
}

static int64_t rolling_free_ms(struct rate *rate, int64_t now_ms)
{
    roll(rate, now_ms);
    int64_t left = rate->sum;
    if (left < rate->limit.most)
        return 0;
    for (int64_t part = rate->part - RATE_PARTS; part <= rate->part; part++) {
        left -= part < 0 ? 0 : *place_of(rate, part);
        if (left < rate->limit.most)
            return (part + PLACES) * (rate->limit.per_ms / RATE_PARTS);
    }
    return now_ms + rate->limit.per_ms;
}

/* ---- both -------------------------------------------------------------------------------------- */

int64_t rate_free_ms(struct rate *rate, int64_t now_ms)
{
    if (rate_is_rolling(rate))
        return rolling_free_ms(rate, now_ms);
    grow_allowance(rate);
    if (rate->allowance >= 1)
        return 0;
    return now_ms + 1 + (int64_t)((1 - rate->allowance) * (double)rate->limit.per_ms / (double)rate->limit.most);
}

void rate_use(struct rate *rate, int64_t now_ms)
{
    if (!rate_is_rolling(rate)) {
        rate->allowance -= 1;
        return;
    }
    roll(rate, now_ms);
    ++*place_of(rate, rate->part);
    rate->sum++;
}

int64_t rate_used(struct rate *rate, int64_t now_ms)
{
    if (!rate_is_rolling(rate))
        return -1;
    roll(rate, now_ms);
    return rate->sum;
}

/* number of the newest part (8 bytes), then the use of each place (4 bytes each), little endian */
void rate_save(const struct rate *rate, struct buf *out)
{
    uint64_t part = htole64((uint64_t)rate->part);
    buf_add(out, &part, sizeof part);
    for (size_t i = 0; i < PLACES; i++) {
        uint32_t used = htole32(rate->used[i]);
        buf_add(out, &used, sizeof used);
    }
}

void rate_load(struct rate *rate, struct slice saved, int64_t now_ms)
{
    uint64_t part;
    if (saved.size != sizeof part + sizeof rate->used)
        return;
    memcpy(&part, saved.data, sizeof part);
    rate->part = (int64_t)le64toh(part);
    rate->sum = 0;
    for (size_t i = 0; i < PLACES; i++) {
        uint32_t used;
        memcpy(&used, saved.data + sizeof part + i * sizeof used, sizeof used);
        rate->used[i] = le32toh(used);
        rate->sum += rate->used[i];
    }
    roll(rate, now_ms);
}
