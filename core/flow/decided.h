/* decided.h - rows that are decided and not yet on disk: what the next run must see already
 *
 *      decided_put ──► the change is handed over ──► its `done` ──► decided_done
 *                  └────── decided_get answers before the store does ──────┘
 *
 * A row that two changes wrote is kept until the later one is on disk. */
#ifndef HEADGATE_FLOW_DECIDED_H
#define HEADGATE_FLOW_DECIDED_H

#include "core/base/map.h"

struct decided {
    struct map rows; /* key -> struct decided_row, owned */
    uint64_t last;   /* the newest change's number */
};

struct decided_row {
    uint64_t change;    /* the number of the last change that wrote it */
    bool is_gone;       /* it was deleted */
    int64_t expires_ms; /* of a row with expiry */
    size_t size;        /* of the value, which stands behind this struct */
};

/* A number for the change that is about to be made; numbers grow. */
uint64_t decided_begin(struct decided *decided);
/* `value` NULL: the row is gone. */
void decided_put(struct decided *decided, uint64_t change, struct slice key, const struct slice *value,
                 int64_t expires_ms);
const struct decided_row *decided_get(const struct decided *decided, struct slice key); /* NULL: ask the store */
struct slice decided_value(const struct decided_row *row);
void decided_done(struct decided *decided, uint64_t change, struct slice key); /* that change is on disk */
void decided_clear(struct decided *decided);

#endif
