/* books.h - do the books balance?  Counted from one consistent picture of the store
 *
 *      a flow:   received = finished + skipped + expired + waiting + held       skipped: repeat, dropped, discarded
 *      a lane:   asked = delivered + refused + superseded + waiting + held
 *
 * Waiting and held are rows that are there, the others are counters; so what was lost or doubled anywhere shows as a
 * difference that is not zero. */
#ifndef HEADGATE_ENGINE_BOOKS_H
#define HEADGATE_ENGINE_BOOKS_H

#include "core/adapter.h"
#include "core/store/store.h"

struct flow_book {
    char name[NAME_MAX_BYTES + 1];
    int64_t received, finished, repeat, dropped, discarded, expired;
    int64_t waiting, held;
    int64_t difference;
};

struct lane_book {
    char name[NAME_MAX_BYTES + 1];
    int64_t asked, delivered, refused, superseded;
    int64_t waiting, held;
    int64_t difference;
};

struct books {
    struct flow_book *flows; /* whatever the store knows of, in no order */
    size_t flow_count;
    struct lane_book *lanes;
    size_t lane_count;
};

/* Any thread; takes as long as it takes. */
void books_read(struct picture *picture, struct books *books);
void books_clear(struct books *books);
const struct flow_book *books_flow(const struct books *books, const char *name); /* NULL: nothing was counted yet */
const struct lane_book *books_lane(const struct books *books, const char *name);

#endif
