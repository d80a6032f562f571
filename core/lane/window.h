/* window.h - the part of a backlog that is in memory: who may go next
 *
 * Entries are added in the order of the outbox.  Of each key only the first is in line; the
 * others stand behind it:
 *
 *      add ──► ready ──take──► (under way) ──remove──► gone; the next of its key is in line
 *                ▲                  │
 *                └──── due ◄── delay┘
 *
 * What was tried before and is due again has a list of its own, and the two lists take turns: a pile of retries does
 * not keep new work waiting, nor the other way round. */
#ifndef HEADGATE_LANE_WINDOW_H
#define HEADGATE_LANE_WINDOW_H

#include "core/base/map.h"

#include <stdint.h>

struct entry {
    uint64_t number;      /* in the outbox */
    int64_t due_ms;       /* not before */
    int64_t asked_ms;     /* when the flow asked */
    bool is_retried;      /* it was tried before */
    unsigned count;       /* of the first of a key: how many of that key are here */
    struct entry *behind; /* the next of the same key */
    struct entry *last;   /* of the first of a key: the last of it */
    struct entry *next;   /* in a list of ready entries */
    size_t heap_place;    /* in `delayed`, from 1; 0: not there */
    struct slice key;     /* owned */
};

struct queue {
    struct entry *first, **end; /* by `next` */
};

struct window {
    struct map heads;       /* key -> its first entry, the one in line */
    struct queue ready[2];  /* new ones, and those that were tried before */
    bool was_new;           /* the last that was taken was a new one */
    struct entry **delayed; /* a binary heap by due_ms; [0] unused */
    size_t delayed_count, delayed_room;
    size_t count; /* entries in all */
};

void window_init(struct window *window);
void window_add(struct window *window, struct entry *entry, int64_t now_ms); /* key and due_ms are set */
bool window_has_ready(const struct window *window, int64_t now_ms);          /* window_take would give one */
struct entry *window_take(struct window *window, int64_t now_ms);            /* the next that may go, or NULL */
void window_untake(struct window *window, struct entry *entry);              /* back to the front */
void window_delay(struct window *window, struct entry *entry);               /* until due_ms, which the caller set */
void window_hurry(struct window *window, int64_t now_ms);                    /* what was delayed is due now */
void window_remove(struct window *window, struct entry *entry, int64_t now_ms);
/* Takes out the next `most` that stand behind the first of a key; returns them, in order, by `behind`. */
struct entry *window_cut(struct window *window, struct entry *head, size_t most);
/* Whether the one in line of this key has this number. */
bool window_has(const struct window *window, struct slice key, uint64_t number);
/* Empties it, but for those in line that stay, because they are under way; calls for each other entry. */
void window_forget(struct window *window, bool (*stays)(const struct entry *entry),
                   void (*forget)(struct entry *entry));
int64_t window_next_due(const struct window *window);     /* ms, or INT64_MAX */
struct entry *window_oldest(const struct window *window); /* NULL: it is empty */

#endif
