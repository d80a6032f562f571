/* clock.c - see clock.h */
#include "core/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic int64_t frozen_ms;

int64_t clock_now_ms(void)
{
    int64_t set = atomic_load_explicit(&frozen_ms, memory_order_relaxed);
    if (set)
        return set;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wait_ms(void)
{
    static _Atomic int64_t began_ms; /* the wall clock when the monotonic one was 0 */
    int64_t mono_ms = clock_mono_ns() / 1000000, set = atomic_load_explicit(&frozen_ms, memory_order_relaxed);
    if (set)
        return set;
    int64_t began = atomic_load_explicit(&began_ms, memory_order_relaxed);
    if (!began) {
        int64_t none = 0;
        began = clock_now_ms() - mono_ms;
        if (!atomic_compare_exchange_strong(&began_ms, &none, began))
            began = none; /* another thread was first */
    }
    return began + mono_ms;
}

int64_t clock_moment_of(int64_t wait_ms)
{
    return wait_ms - clock_wait_ms() + clock_now_ms();
}

int64_t clock_wait_of(int64_t moment_ms)
{
    return moment_ms - clock_now_ms() + clock_wait_ms();
}

int64_t clock_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void clock_set_ms(int64_t now_ms)
{
    atomic_store(&frozen_ms, now_ms);
}

const char *clock_text(int64_t ms, char *text)
{
    time_t seconds = (time_t)(ms / 1000);
    int rest = (int)(ms % 1000);
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t n = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, CLOCK_TEXT_MAX - n, ".%03dZ", rest);
    return text;
}

static bool digits(const char *text, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (text[i] - '0');
    }
    return true;
}

/* "Z" or "+02:00", in minutes east of UTC. */
static bool parse_zone(const char *at, const char *end, int *minutes)
{
    *minutes = 0;
    if (end - at == 1 && (*at == 'Z' || *at == 'z'))
        return true;
    int h, m;
    if (end - at != 6 || (*at != '+' && *at != '-') || at[3] != ':' || !digits(at + 1, 2, &h) || !digits(at + 4, 2, &m)
        || h > 23 || m > 59)
        return false;
    *minutes = (h * 60 + m) * (*at == '-' ? -1 : 1);
    return true;
}

bool clock_parse(const char *text, size_t size, int64_t *ms)
{
    struct tm utc = {0};
    const char *end = text + size;
    if (size < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ')
        || text[13] != ':' || text[16] != ':')
        return false;
    if (!digits(text, 4, &utc.tm_year) || !digits(text + 5, 2, &utc.tm_mon) || !digits(text + 8, 2, &utc.tm_mday)
        || !digits(text + 11, 2, &utc.tm_hour) || !digits(text + 14, 2, &utc.tm_min)
        || !digits(text + 17, 2, &utc.tm_sec))
        return false;
    if (utc.tm_mon < 1 || utc.tm_mon > 12 || utc.tm_mday < 1 || utc.tm_mday > 31 || utc.tm_hour > 23 || utc.tm_min > 59
        || utc.tm_sec > 60)
        return false;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;

    const char *at = text + 19;
    int millis = 0;
    if (*at == '.') {
        int scale = 100;
        for (at++; at < end && *at >= '0' && *at <= '9'; at++, scale /= 10)
            millis += (*at - '0') * scale;
    }
    int minutes;
    if (!parse_zone(at, end, &minutes))
        return false;
    *ms = ((int64_t)timegm(&utc) - minutes * 60) * 1000 + millis;
    return true;
}
