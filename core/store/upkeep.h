/* upkeep.h - the store as something that is kept for years: how large it is, when it will be full, copies of it
 *
 * Sizes are of pages, so a table's bytes are what it takes in the file.  Free pages are used again before the file
 * grows; the file never shrinks by itself (`headgate store compact`). */
#ifndef HEADGATE_STORE_UPKEEP_H
#define HEADGATE_STORE_UPKEEP_H

#include "core/store/store.h"
#include "core/store/tables.h"

struct store_sizes {
    struct {
        int64_t rows, bytes;
    } tables[TABLE_COUNT];
    int64_t free_bytes; /* pages in the file that are free */
    int64_t used_bytes; /* all others */
    int64_t file_bytes; /* the file */

    /* From the samples of the last seven days; of a store that is younger than that, from those there are. */
    int64_t growth_bytes; /* a day */
    int64_t sampled_ms;   /* the time between first and last sample; growth over less than six hours says little */
};

void picture_sizes(struct picture *picture, struct store_sizes *sizes);
/* When `used_bytes` will be `bytes`, ms since 1970, if it grows as it did; 0: never, or nobody can tell yet. */
int64_t sizes_reach(const struct store_sizes *sizes, int64_t bytes, int64_t now_ms);

#endif
