/* grid.c - columns and words for people */
#include "core/cli/cli.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MAX 16

void grid_add(struct grid *grid, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_addv(&grid->cells, format, args);
    va_end(args);
    buf_add(&grid->cells, "", 1);
}

void grid_print(struct grid *grid)
{
    size_t width[COLUMNS_MAX] = {0};
    unsigned column = 0;
    const char *end = grid->cells.data + grid->cells.size;
    for (const char *cell = grid->cells.data; cell < end; cell += strlen(cell) + 1) {
        size_t size = utf8_count(slice_of(cell));
        width[column] = size > width[column] ? size : width[column];
        column = (column + 1) % grid->columns;
    }
    bool is_heading = true;
    for (const char *cell = grid->cells.data; cell < end; cell += strlen(cell) + 1) {
        int pad = (int)(width[column] - utf8_count(slice_of(cell)));
        bool is_last = column + 1 == grid->columns;
        if (column == 0 && is_heading)
            fputs(cli_paint("\033[1m"), stdout);
        if (grid->right & (1u << column))
            printf("%*s%s", pad, "", cell);
        else
            printf("%s%*s", cell, is_last ? 0 : pad, "");
        fputs(is_last ? (is_heading ? cli_paint("\033[0m") : "") : "  ", stdout);
        if (is_last)
            putchar('\n');
        is_heading = is_heading && !is_last;
        column = (column + 1) % grid->columns;
    }
    buf_clear(&grid->cells);
}

bool cli_colour(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && !(term && strcmp(term, "dumb") == 0);
}

const char *cli_paint(const char *code)
{
    return cli_colour() ? code : "";
}

const char *cli_duration(int64_t ms, char *room)
{
    int64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(room, 32, "%lldms", (long long)ms);
    else if (s < 60)
        snprintf(room, 32, "%llds", (long long)s);
    else if (s < 3600)
        snprintf(room, 32, "%lldm%02llds", (long long)s / 60, (long long)s % 60);
    else if (s < 86400)
        snprintf(room, 32, "%lldh%02lldm", (long long)s / 3600, (long long)s / 60 % 60);
    else
        snprintf(room, 32, "%lldd%02lldh", (long long)s / 86400, (long long)s / 3600 % 24);
    return room;
}

const char *cli_size(int64_t bytes, char *room)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(room, 32, value < 10 && unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return room;
}

const char *cli_moment(int64_t ms, char *room)
{
    time_t then = (time_t)(ms / 1000), now = (time_t)(clock_now_ms() / 1000);
    struct tm a, b;
    localtime_r(&then, &a);
    localtime_r(&now, &b);
    bool is_today = a.tm_yday == b.tm_yday && a.tm_year == b.tm_year;
    strftime(room, 32, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &a);
    return room;
}

const char *cli_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int64_t cli_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}
