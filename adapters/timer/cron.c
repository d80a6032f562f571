/* cron.c - see cron.h */
#include "adapters/timer/cron.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct field {
    const char *name;
    int least, most;
    const char *words; /* names of the values, from `least` on; NULL: none */
};

static const struct field fields[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
    {"day of the week", 0, 7, "sun mon tue wed thu fri sat"},
};

static const char *const short_forms[][2] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {NULL, NULL}};

static bool read_number(const char **at, int *number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    long value = strtol(*at, &end, 10);
    *number = value > 9999 ? 9999 : (int)value;
    *at = end;
    return true;
}

/* A number, or a name of three letters. */
static bool read_value(const struct field *field, const char **at, int *value, struct err *err)
{
    const char *from = *at;
    if (!read_number(at, value)) {
        *value = -1;
        for (int i = 0; field->words && *value < 0 && field->words[4 * i + 2]; i++) {
            if (strncasecmp(from, field->words + 4 * i, 3) == 0)
                *value = field->least + i;
            if (!field->words[4 * i + 3])
                break;
        }
        if (*value < 0)
            return err_set(err, "\"%.20s\" is no %s", from, field->name);
        *at += 3;
    }
    return (*value >= field->least && *value <= field->most)
           || err_set(err, "the %s %d is not between %d and %d", field->name, *value, field->least, field->most);
}

/* "*", "5", "1-5", each with "/2" or without. */
static bool read_item(const struct field *field, const char **at, uint64_t *bits, struct err *err)
{
    int from = field->least, to = field->most, step = 1;
    bool is_one = false;
    if (**at == '*') {
        ++*at;
    } else {
        if (!read_value(field, at, &from, err))
            return false;
        is_one = **at != '-';
        if (!is_one) {
            ++*at;
            if (!read_value(field, at, &to, err))
                return false;
        }
    }
    if (**at == '/') {
        ++*at;
        is_one = false;
        if (!read_number(at, &step) || step < 1)
            return err_set(err, "behind the / of the %s, \"%.20s\" is no number from 1 on", field->name, *at);
    }
    if (is_one)
        to = from;
    if (from > to)
        return err_set(err, "the %s goes from %d to %d, which is backwards; write it as two", field->name, from, to);
    for (int value = from; value <= to; value += step)
        *bits |= UINT64_C(1) << value;
    return true;
}

static bool read_field(const struct field *field, const char **at, uint64_t *bits, bool *is_any, struct err *err)
{
    *bits = 0;
    *at += strspn(*at, " \t");
    if (!**at)
        return err_set(err, "the %s is missing; there are five fields: minute, hour, day, month, day of the week",
                       field->name);
    *is_any = **at == '*';
    for (;;) {
        if (!read_item(field, at, bits, err))
            return false;
        if (**at != ',')
            break;
        ++*at;
    }
    return !**at || **at == ' ' || **at == '\t' || err_set(err, "\"%.20s\" cannot stand in the %s", *at, field->name);
}

bool cron_parse(const char *text, struct cron *cron, struct err *err)
{
    uint64_t *const bits[] = {&cron->minutes, &cron->hours, &cron->days, &cron->months, &cron->weekdays};
    bool is_any[5];
    const char *at = text;
    for (size_t i = 0; short_forms[i][0]; i++)
        if (strcmp(text, short_forms[i][0]) == 0)
            at = short_forms[i][1];
    for (size_t i = 0; i < 5; i++)
        if (!read_field(&fields[i], &at, bits[i], &is_any[i], err))
            return false;
    at += strspn(at, " \t");
    if (*at)
        return err_set(err, "\"%.20s\" is too much; there are five fields: minute, hour, day, month, day of the week",
                       at);
    cron->any_day = is_any[2];
    cron->any_weekday = is_any[4];
    if (cron->weekdays & (UINT64_C(1) << 7)) /* 7 is Sunday, too */
        cron->weekdays |= 1;
    return true;
}

bool cron_has_day(const struct cron *cron, const struct zone_date *date)
{
    bool day = cron->days >> date->day & 1, weekday = cron->weekdays >> date->weekday & 1;
    if (!(cron->months >> date->month & 1))
        return false;
    return cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
}

bool cron_is_hourly(const struct cron *cron)
{
    return cron->hours == (UINT64_C(1) << 24) - 1;
}
