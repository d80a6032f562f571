/* nearest.c - "did you mean ...?"; see nearest.h
 *
 * Two names are as far apart as the number of letters to change, add, drop or swap with their
 * neighbour.  Capitals do not count, nor whether words are joined by "-" or "_".  A name is only
 * offered if it is so near that it was probably meant: a wrong guess is worse than none. */
#include "core/base/nearest.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>

#define LETTERS_MAX 64 /* names are no longer; what is longer is compared up to here */

static char plain(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t letters(struct slice name)
{
    return least(name.size, LETTERS_MAX);
}

/* Edit distance with swaps of neighbours, row by row; the two rows above are all that is ever looked at. */
static size_t distance_of(struct slice a, struct slice b)
{
    size_t rows[3][LETTERS_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    size_t width = letters(b);
    for (size_t x = 0; x <= width; x++)
        before[x] = last[x] = x;
    for (size_t y = 1; y <= letters(a); y++) {
        row[0] = y;
        for (size_t x = 1; x <= width; x++) {
            char here = plain(a.data[y - 1]), there = plain(b.data[x - 1]);
            row[x] = least(least(last[x], row[x - 1]) + 1, last[x - 1] + (here != there));
            if (y > 1 && x > 1 && here == plain(b.data[x - 2]) && there == plain(a.data[y - 2]))
                row[x] = least(row[x], before[x - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[width];
}

/* "pass" for "password" */
static bool begins(struct slice name, struct slice start)
{
    if (start.size < 3 || start.size > name.size)
        return false;
    for (size_t i = 0; i < start.size; i++)
        if (plain(name.data[i]) != plain(start.data[i]))
            return false;
    return true;
}

struct nearest nearest_for(struct slice wanted)
{
    return (struct nearest){.wanted = wanted, .distance = SIZE_MAX};
}

static void add_name(struct nearest *nearest, struct slice name)
{
    static const char more[] = ", ...";
    size_t room = sizeof nearest->names - nearest->size;
    const char *between = nearest->size ? ", " : "";
    if (nearest->is_full)
        return;
    nearest->is_full = strlen(between) + name.size + sizeof more > room;
    if (nearest->is_full)
        snprintf(nearest->names + nearest->size, room, "%s", more);
    else
        nearest->size += (size_t)snprintf(nearest->names + nearest->size, room, "%s%.*s", between, SLICE_ARG(name));
}

void nearest_offer(struct nearest *nearest, struct slice name)
{
    nearest->count++;
    add_name(nearest, name);
    size_t distance = distance_of(nearest->wanted, name);
    if (distance > 2 && begins(name, nearest->wanted))
        distance = 2;
    size_t size = letters(nearest->wanted);
    size_t near = size < 4 ? 1 : size < 8 ? 2 : 3;
    if (distance <= near && distance < name.size && distance < nearest->distance) {
        nearest->best = name;
        nearest->distance = distance;
    }
}

const char *nearest_text(struct nearest *nearest, const char *label)
{
    if (nearest->count == 0)
        return "; there are none";
    if (nearest->best.size)
        snprintf(nearest->text, sizeof nearest->text, "; did you mean \"%.*s\"? (%s: %s)", SLICE_ARG(nearest->best),
                 label, nearest->names);
    else
        snprintf(nearest->text, sizeof nearest->text, "; %s: %s", label, nearest->names);
    return nearest->text;
}
