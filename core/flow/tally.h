/* tally.h - how many within a time, remembered in little room
 *
 * A window is cut into 24 parts; a tally has the number of each part that had any.  What is counted stays in it until
 * the whole of its part is older than the window: so a limit of 4 a day means four within any 24 hours, and the fifth
 * is possible again up to an hour later. */
#ifndef HEADGATE_FLOW_TALLY_H
#define HEADGATE_FLOW_TALLY_H

#include "core/base/buf.h"

#define TALLY_PARTS 24               /* of a window */
#define TALLY_MOST (TALLY_PARTS + 4) /* parts that are kept; more only after a change of the window */

struct tally_part {
    int64_t at_ms; /* its beginning */
    int64_t count;
};

struct tally {
    int64_t epoch; /* counts only while nobody has reset it */
    struct tally_part parts[TALLY_MOST];
    size_t count; /* of the parts, oldest first */
};

int64_t tally_sum(const struct tally *tally, int64_t window_ms, int64_t now_ms);
void tally_add(struct tally *tally, int64_t window_ms, int64_t now_ms, int64_t count);
/* When all of it is forgotten. */
int64_t tally_end(const struct tally *tally, int64_t window_ms);
void tally_encode(const struct tally *tally, struct buf *row);
void tally_decode(struct tally *tally, struct slice row); /* a damaged row counts nothing */

#endif
