/* verify.h - is the store what it should be?  Every row is looked at, and what must fit together is compared */
#ifndef HEADGATE_ENGINE_VERIFY_H
#define HEADGATE_ENGINE_VERIFY_H

#include "core/base/buf.h"
#include "core/store/store.h"

#define VERIFY_SHOWN 200 /* findings that are described; the others are counted */

struct verified {
    struct buf findings; /* one a line */
    int64_t finding_count;
    int64_t rows;       /* looked at */
    bool is_incomplete; /* the store needed room and the picture was in the way: nothing was found up to there */
};

/* Any thread; takes as long as it takes. */
void verify(struct picture *picture, struct verified *verified);
void verified_clear(struct verified *verified);

#endif
