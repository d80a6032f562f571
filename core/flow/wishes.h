/* wishes.h - what a run wants kept beside its effects: state that it sets, timers that it winds up or stops
 *
 * Like effects they are only collected while the run lasts; with a run that fails or is cancelled they are gone. */
#ifndef HEADGATE_FLOW_WISHES_H
#define HEADGATE_FLOW_WISHES_H

#include "core/adapter.h"

#define STATE_KEY_MAX 200                    /* bytes of a key of state, and of a timer's name */
#define STATE_VALUE_MAX ((size_t)64 << 10)   /* bytes of a value as JSON, and of a timer's data */
#define WISHES_MOST 200                      /* of one run: keys that it sets, and timers that it winds up or stops */
#define WISHES_BYTES ((size_t)1 << 20)       /* of all their values */
#define KEPT_MOST_MS (366 * 86400000ll)      /* how far ahead an expiry or a timer may be */
#define STATE_ROWS_MOST 100000               /* keys of one flow */
#define STATE_BYTES_MOST ((size_t)64 << 20)  /* of one flow, keys and values */
#define TIMERS_MOST 1000000                  /* of one flow */
#define TIMERS_BYTES_MOST ((int64_t)1 << 30) /* of one flow, with the events that they carry */

enum wish_kind { WISH_SET, WISH_DELETE, WISH_TIMER, WISH_CANCEL };

struct wish {
    enum wish_kind kind;
    char *name;                 /* owned: the key of the state, or the timer's name */
    char *json;                 /* owned: the value, or the timer's data; NULL: none */
    size_t json_size;           /* bytes of `json` */
    int64_t in_ms;              /* WISH_SET: it expires after so long, 0: never; WISH_TIMER: it is due after so long */
    int step;                   /* WISH_TIMER: where the new run begins */
    char cause[EFFECT_ID_SIZE]; /* WISH_TIMER: see continuation_cause */
};

struct wishes {
    struct wish *list;
    size_t count, bytes; /* bytes: of all `json` */
};

/* A wish of this name and of the same sort (state or timer) is replaced. NULL with the reason, where there is no room;
 * `json` may be SLICE_NONE. */
struct wish *wishes_add(struct wishes *wishes, enum wish_kind kind, struct slice name, struct slice json,
                        struct err *err);
/* The wish about this key of the state; NULL: the run has not touched it. */
const struct wish *wishes_find(const struct wishes *wishes, struct slice key);
void wishes_clear(struct wishes *wishes);

#endif
