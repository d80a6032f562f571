/* book.h - what became of the recipients of each campaign; counted from one consistent picture of the store
 *
 *      total = duplicate + unfit + cancelled + superseded + delivered + refused + bounced + suppressed
 *            + not yet fed + waiting + held
 *
 * The last three are rows that are there, the others counters: so what was lost or doubled anywhere shows as a
 * difference that is not zero. */
#ifndef HEADGATE_CAMPAIGN_BOOK_H
#define HEADGATE_CAMPAIGN_BOOK_H

#include "core/campaign/campaign.h"

#define UNFIT_SHOWN 20

struct campaign_book {
    char *connection, *name, *flow; /* owned; the flow that began it */
    int64_t at_ms, since_ms;        /* when it began; when its state was changed last, 0: never */
    char *state, *who, *why;        /* owned */
    int64_t counted[CAMPAIGN_COUNTERS];
    int64_t not_fed;       /* recipients of lists that are not yet in the outbox */
    int64_t waiting;       /* in the outbox, or parked */
    int64_t held, unknown; /* unknown: those of the held of which nobody knows whether they arrived */
    int64_t difference;
};

struct campaign_books {
    const char *connection, *name; /* only these; NULL: any */
    struct campaign_book *list;    /* in order of connections and names */
    size_t count;
    struct map by_key; /* connection \0 name -> index + 1 */
    struct buf unfit;  /* record: recipient -> why, of the first UNFIT_SHOWN; where one campaign is asked for */
    size_t unfit_shown;
};

/* Any thread; takes as long as it takes.  `connection` and `name` are lent until the books are cleared. */
void campaign_books_read(struct picture *picture, const char *connection, const char *name,
                         struct campaign_books *books);
void campaign_books_clear(struct campaign_books *books);

#endif
