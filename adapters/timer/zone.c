/* zone.c - see zone.h; files of the form RFC 8536 (TZif)
 *
 *      changes that are listed, oldest first ─► after the last of them: the rule at the file's end
 * ("CET-1CEST,M3.5.0,...")
 */
#include "adapters/timer/zone.h"

#include "core/base/file.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER "/usr/share/zoneinfo"
#define FILE_MAX ((size_t)1 << 20)
#define HEADER 44 /* bytes */
#define DAY 86400

/* When in a year a rule changes: "M3.5.0/2", "J60", "59". */
struct moment {
    char kind; /* 'M', 'J', or 'n' for days from 0 */
    int month, week, day;
    int64_t seconds; /* of the day, local; may be negative or beyond the day */
};

struct zone {
    size_t count; /* of changes */
    int64_t *at;
    int64_t *offset; /* from that change on */
    int64_t first;   /* before all of them */
    bool has_rule, has_summer;
    int64_t standard, summer; /* offsets of the rule */
    struct moment begins, ends;
};

/* ---- the calendar (H. Hinnant's algorithms) ------------------------------------------------------- */

int64_t zone_days(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct zone_date zone_date_of(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    struct zone_date date = {.day = (int)(of_year - (153 * month + 2) / 5 + 1),
                             .month = (int)(month < 10 ? month + 3 : month - 9),
                             .weekday = (int)(((days + 4) % 7 + 7) % 7)};
    date.year = year + era * 400 + (date.month <= 2);
    return date;
}

/* ---- the rule at the end of the file ------------------------------------------------------------------ */

static bool skip_name(const char **at)
{
    const char *from = *at;
    if (*from == '<') {
        *at = strchr(from, '>');
        return *at && (*at)++;
    }
    while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z'))
        ++*at;
    return *at - from >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool read_seconds(const char **at, int64_t *seconds)
{
    int sign = **at == '-' ? -1 : 1;
    int64_t unit = 3600;
    *seconds = 0;
    if (**at == '-' || **at == '+')
        ++*at;
    if (**at < '0' || **at > '9')
        return false;
    for (; unit; unit /= 60) {
        char *end;
        *seconds += strtol(*at, &end, 10) * unit;
        *at = end;
        if (**at != ':')
            break;
        ++*at;
    }
    *seconds *= sign;
    return true;
}

static bool read_moment(const char **at, struct moment *moment)
{
    char *end;
    moment->kind = **at == 'M' || **at == 'J' ? *(*at)++ : 'n';
    moment->seconds = 7200;
    int *const parts[] = {&moment->month, &moment->week, &moment->day};
    int first = moment->kind == 'M' ? 0 : 2;
    for (int i = first; i < 3; i++) {
        *parts[i] = (int)strtol(*at, &end, 10);
        if (end == *at || (i < 2 && *end != '.'))
            return false;
        *at = i < 2 ? end + 1 : end;
    }
    if (moment->kind == 'M'
        && (moment->month < 1 || moment->month > 12 || moment->week < 1 || moment->week > 5 || moment->day < 0
            || moment->day > 6))
        return false;
    if (**at != '/')
        return true;
    ++*at;
    return read_seconds(at, &moment->seconds);
}

static bool read_rule(struct zone *zone, const char *text)
{
    int64_t west;
    if (!*text)
        return true; /* the last change lasts */
    if (!skip_name(&text) || !read_seconds(&text, &west))
        return false;
    zone->standard = -west;
    zone->has_rule = true;
    if (!*text)
        return true;
    zone->has_summer = true;
    zone->summer = zone->standard + 3600;
    if (!skip_name(&text))
        return false;
    if (*text != ',') {
        if (!read_seconds(&text, &west))
            return false;
        zone->summer = -west;
    }
    return *text++ == ',' && read_moment(&text, &zone->begins) && *text++ == ',' && read_moment(&text, &zone->ends)
           && !*text;
}

static int64_t day_of(const struct moment *moment, int64_t year)
{
    int64_t first = zone_days(year, 1, 1);
    bool is_leap = zone_days(year + 1, 1, 1) - first == 366;
    if (moment->kind == 'n')
        return first + moment->day;
    if (moment->kind == 'J') /* the 29th of February is not counted */
        return first + moment->day - 1 + (is_leap && moment->day >= 60);
    int64_t month = zone_days(year, moment->month, 1);
    int64_t next = moment->month == 12 ? zone_days(year + 1, 1, 1) : zone_days(year, moment->month + 1, 1);
    int64_t day = month + (moment->day - zone_date_of(month).weekday + 7) % 7 + 7 * (moment->week - 1);
    return day < next ? day : day - 7;
}

/* Goes through the changes of the years around t, which are in order within each year's two. */
static struct zone_span rule_span(const struct zone *zone, int64_t t)
{
    struct zone_span span = {.from = INT64_MIN, .until = INT64_MAX, .offset = zone->standard};
    int64_t year = zone_date_of(t / DAY).year;
    for (int64_t y = year - 1; zone->has_summer && y <= year + 1; y++) {
        int64_t begins = day_of(&zone->begins, y) * DAY + zone->begins.seconds - zone->standard;
        int64_t ends = day_of(&zone->ends, y) * DAY + zone->ends.seconds - zone->summer;
        const int64_t at[2] = {begins, ends}, offset[2] = {zone->summer, zone->standard};
        for (int i = 0; i < 2; i++) {
            int which = begins < ends ? i : 1 - i;
            if (at[which] <= t && at[which] > span.from)
                span.from = at[which], span.offset = offset[which];
            else if (at[which] > t && at[which] < span.until)
                span.until = at[which];
        }
    }
    return span;
}

struct zone_span zone_span_at(const struct zone *zone, int64_t t)
{
    size_t low = 0, high = zone->count; /* the first change after t is in [low, high] */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (zone->at[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < zone->count || !zone->has_rule)
        return (struct zone_span){.from = low ? zone->at[low - 1] : INT64_MIN,
                                  .until = low < zone->count ? zone->at[low] : INT64_MAX,
                                  .offset = low ? zone->offset[low - 1] : zone->first};
    struct zone_span span = rule_span(zone, t);
    if (low && span.from < zone->at[low - 1])
        span.from = zone->at[low - 1];
    return span;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

static uint32_t big32(const char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, 4);
    return be32toh(value);
}

static int64_t big64(const char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return (int64_t)be64toh(value);
}

/* Sizes of what follows a header. */
struct block {
    size_t times, types, all; /* changes, kinds of time, bytes in all */
};

static bool read_header(struct slice file, size_t at, size_t time_size, struct block *block)
{
    if (file.size < at + HEADER || memcmp(file.data + at, "TZif", 4) != 0 || file.data[at + 4] < '2')
        return false;
    const char *counts = file.data + at + 20;
    size_t universal = big32(counts), standard = big32(counts + 4), leaps = big32(counts + 8), names;
    block->times = big32(counts + 12);
    block->types = big32(counts + 16);
    names = big32(counts + 20);
    size_t most = universal | standard | leaps | block->times | block->types | names;
    if (most > FILE_MAX || !block->types)
        return false;
    block->all =
        block->times * (time_size + 1) + block->types * 6 + names + leaps * (time_size + 4) + standard + universal;
    return at + HEADER + block->all <= file.size;
}

static bool read_file(struct zone *zone, struct slice file)
{
    struct block old, block;
    if (!read_header(file, 0, 4, &old) || !read_header(file, HEADER + old.all, 8, &block))
        return false;
    const char *times = file.data + 2 * HEADER + old.all, *kinds = times + block.times * 8;
    const char *types = kinds + block.times, *end = file.data + file.size;
    const char *rule = times + block.all;
    zone->first = (int32_t)big32(types);
    zone->count = block.times;
    zone->at = mem_zero((block.times + 1) * sizeof *zone->at);
    zone->offset = mem_zero((block.times + 1) * sizeof *zone->offset);
    for (size_t i = 0; i < block.times; i++) {
        if ((unsigned char)kinds[i] >= block.types)
            return false;
        zone->at[i] = big64(times + i * 8);
        zone->offset[i] = (int32_t)big32(types + (size_t)(unsigned char)kinds[i] * 6);
        if (i && zone->at[i] <= zone->at[i - 1])
            return false;
    }
    const char *stop = rule < end && *rule == '\n' ? memchr(rule + 1, '\n', (size_t)(end - rule - 1)) : NULL;
    if (!stop)
        return false;
    char *text = mem_copy((struct slice){rule + 1, (size_t)(stop - rule - 1)});
    bool ok = read_rule(zone, text);
    free(text);
    return ok;
}

static bool is_name(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= 100 && name[0] != '/' && !strstr(name, "..")
           && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/") == size;
}

struct zone *zone_open(const char *name, struct err *err)
{
    struct zone *zone = mem_zero(sizeof *zone);
    struct buf file = BUF_INIT(FILE_MAX);
    struct err reason = ERR_INIT;
    char path[200];
    if (strcmp(name, "UTC") == 0)
        return zone;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    bool ok = is_name(name) && file_read(path, &file, &reason) && read_file(zone, buf_slice(&file));
    buf_clear(&file);
    if (ok)
        return zone;
    zone_close(zone);
    err_set(err, "there is no time zone \"%.100s\" in " FOLDER "; expected one such as \"Europe/Berlin\", or \"UTC\"",
            name);
    return NULL;
}

void zone_close(struct zone *zone)
{
    if (!zone)
        return;
    free(zone->at);
    free(zone->offset);
    free(zone);
}
