/* feeder.h - what the two files of the feeder share: feeder.c (which, when, how many) and feed.c (one recipient) */
#ifndef HEADGATE_LANE_FEEDER_H
#define HEADGATE_LANE_FEEDER_H

#include "core/campaign/list.h"
#include "core/lane/internal.h"

/* Where recipients come from: a list, or what is parked of a campaign. */
struct supply {
    struct supply *next;
    struct lane *lane;
    uint64_t list; /* its number; 0: what is parked of the campaign */
    char campaign[CAMPAIGN_NAME_MAX + 1];
    char *row;                        /* of the list, a copy; NULL: parked */
    size_t row_size;                  /* bytes */
    char *flow, *release_hash, *step; /* of its row, owned */
    const struct verb *verb;          /* of the list */
    void *release;                    /* of the list, opened when it is needed */
    struct fuse_claim *claim;         /* what the change under way counts; NULL: nothing */
    struct buf taken;                 /* recipients whose rows are on their way to the disk, each with a zero */
    bool is_busy;                     /* a change is under way */
    bool is_over;                     /* its last row is gone, once that is on disk */
    uint64_t fed;                     /* since `fed_ns` */
    int64_t fed_ns;                   /* when it began, or went on after a pause; 0: it does not go on */
};

/* One turn of one supply: one change. */
struct feeding {
    struct supply *supply;
    struct change *change;
    size_t rows, most, bytes;               /* met so far, how many at most; of the outbox */
    int64_t until_ns;                       /* the loop's next turn is due then */
    struct buf fields, out, row, recipient; /* of the recipient at hand */
};

static inline struct slice supply_row(const struct supply *supply)
{
    return (struct slice){supply->row, supply->row_size};
}

void supply_count(struct supply *supply, struct change *change, enum campaign_counter counter);
/* The recipient of whom the list has these fields.  False: a fuse blew, and they wait where they are. */
bool feed_one(struct feeding *feeding, struct slice own);

#endif
