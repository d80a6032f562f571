/* backlog.h - the effects of one priority that wait: on disk, and as far as memory goes in a window
 *
 *      outbox  ──fill──► window          the first LINE_MOST of each key, in the order of the outbox
 *         ▲                 │
 *         └── passed over ◄─┘            of a key that has more, or whose first waits for its next try: counted, and
 *                                        read again from there when its turn comes
 *
 * So one key cannot fill the window, however many effects it has: thousands that stand behind one that fails leave the
 * place to others.  Memory does not grow with the backlog.  The order of each key is kept: what was passed over comes
 * before everything of its key that is read later. */
#ifndef HEADGATE_LANE_BACKLOG_H
#define HEADGATE_LANE_BACKLOG_H

#include "core/lane/effect.h"
#include "core/lane/window.h"

struct work;

/* Effects of one key that are on disk only. */
struct rest {
    struct rest *next; /* among those that want to be read */
    uint64_t from;     /* none of them has a lower number */
    uint64_t count;
    bool is_wanted; /* nothing of the key is in the window */
    size_t key_size;
    char key[];
};

struct backlog {
    struct lane *lane;
    enum priority priority;
    struct window window;
    struct map rests; /* key -> rest */
    struct rest *wanted;
    uint64_t read_number; /* everything below was read: it is in the window, gone, or passed over */
    uint64_t end_number;  /* there is nothing at or above */
    uint64_t parked;      /* rows that were left out, because their flow is tripped */
    uint64_t waiting;     /* rows in the outbox, as of what was decided */
};

void backlog_open(struct backlog *backlog, struct lane *lane, enum priority priority);
void backlog_clear(struct backlog *backlog);
bool backlog_fill(struct backlog *backlog); /* true: there is more to read at once, after others had their turn */
void backlog_delay(struct work *work);      /* until entry.due_ms */
void backlog_remove(struct work *work);     /* and frees it */
void backlog_recall(struct work *work);     /* reads what was passed over of its key, to stand behind it again */
/* Forgets all that is in memory but what is under way, and begins to read from the start. */
void backlog_read_again(struct backlog *backlog);

#endif
