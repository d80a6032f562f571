/* window.c - see window.h */
#include "core/lane/window.h"

#include "core/base/buf.h"

#include <stdlib.h>

void window_init(struct window *window)
{
    *window = (struct window){.heads = MAP_INIT};
    for (int i = 0; i < 2; i++)
        window->ready[i].end = &window->ready[i].first;
}

/* ---- the heap of delayed entries -------------------------------------------------------------- */

static void place(struct window *window, size_t at, struct entry *entry)
{
    window->delayed[at] = entry;
    entry->heap_place = at;
}

static void sift_up(struct window *window, size_t at)
{
    struct entry *entry = window->delayed[at];
    for (; at > 1 && window->delayed[at / 2]->due_ms > entry->due_ms; at /= 2)
        place(window, at, window->delayed[at / 2]);
    place(window, at, entry);
}

static void sift_down(struct window *window, size_t at)
{
    struct entry *entry = window->delayed[at];
    for (size_t child; (child = 2 * at) <= window->delayed_count; at = child) {
        if (child < window->delayed_count && window->delayed[child + 1]->due_ms < window->delayed[child]->due_ms)
            child++;
        if (window->delayed[child]->due_ms >= entry->due_ms)
            break;
        place(window, at, window->delayed[child]);
    }
    place(window, at, entry);
}

static struct entry *heap_pop(struct window *window)
{
    struct entry *first = window->delayed[1];
    struct entry *last = window->delayed[window->delayed_count--];
    if (first != last) {
        place(window, 1, last);
        sift_down(window, 1);
    }
    first->heap_place = 0;
    return first;
}

void window_delay(struct window *window, struct entry *entry)
{
    if (window->delayed_count + 2 > window->delayed_room) {
        window->delayed_room = window->delayed_room ? 2 * window->delayed_room : 64;
        window->delayed = mem_resize(window->delayed, window->delayed_room * sizeof *window->delayed);
    }
    place(window, ++window->delayed_count, entry);
    sift_up(window, window->delayed_count);
}

/* None comes after another that it was before, so the heap stays one. */
void window_hurry(struct window *window, int64_t now_ms)
{
    for (size_t i = 1; i <= window->delayed_count; i++)
        if (window->delayed[i]->due_ms > now_ms)
            window->delayed[i]->due_ms = now_ms;
}

int64_t window_next_due(const struct window *window)
{
    return window->delayed_count ? window->delayed[1]->due_ms : INT64_MAX;
}

/* ---- the lists of ready entries ------------------------------------------------------------------ */

static void line_up(struct window *window, struct entry *entry, int64_t now_ms)
{
    if (entry->due_ms > now_ms) {
        window_delay(window, entry);
        return;
    }
    struct queue *queue = &window->ready[entry->is_retried];
    entry->next = NULL;
    *queue->end = entry;
    queue->end = &entry->next;
}

void window_untake(struct window *window, struct entry *entry)
{
    struct queue *queue = &window->ready[entry->is_retried];
    entry->next = queue->first;
    queue->first = entry;
    if (!entry->next)
        queue->end = &entry->next;
}

bool window_has_ready(const struct window *window, int64_t now_ms)
{
    return window->ready[0].first || window->ready[1].first || window_next_due(window) <= now_ms;
}

struct entry *window_take(struct window *window, int64_t now_ms)
{
    while (window_next_due(window) <= now_ms)
        line_up(window, heap_pop(window), INT64_MAX);
    bool is_retried = window->ready[1].first && (window->was_new || !window->ready[0].first);
    struct queue *queue = &window->ready[is_retried];
    struct entry *entry = queue->first;
    if (entry) {
        queue->first = entry->next;
        if (!queue->first)
            queue->end = &queue->first;
        window->was_new = !is_retried;
    }
    return entry;
}

/* ---- keys ------------------------------------------------------------------------------------------ */

void window_add(struct window *window, struct entry *entry, int64_t now_ms)
{
    entry->behind = NULL;
    entry->last = entry;
    entry->heap_place = 0;
    entry->count = 1;
    window->count++;
    struct entry *head = map_get(&window->heads, entry->key);
    if (head) {
        head->last->behind = entry;
        head->last = entry;
        head->count++;
        return;
    }
    map_put(&window->heads, entry->key, entry);
    line_up(window, entry, now_ms);
}

void window_remove(struct window *window, struct entry *entry, int64_t now_ms)
{
    window->count--;
    if (!entry->behind) {
        map_remove(&window->heads, entry->key);
        return;
    }
    entry->behind->last = entry->last;
    entry->behind->count = entry->count - 1;
    map_put(&window->heads, entry->key, entry->behind);
    line_up(window, entry->behind, now_ms);
}

struct entry *window_cut(struct window *window, struct entry *head, size_t most)
{
    struct entry *first = head->behind, **end = &first;
    for (; *end && most; most--) {
        end = &(*end)->behind;
        head->count--;
        window->count--;
    }
    head->behind = *end;
    *end = NULL;
    if (!head->behind)
        head->last = head;
    return first;
}

bool window_has(const struct window *window, struct slice key, uint64_t number)
{
    const struct entry *head = map_get(&window->heads, key);
    return head && head->number == number;
}

static void collect_head(void *context, struct slice key, void *value)
{
    struct entry **first = context, *head = value;
    (void)key;
    head->next = *first;
    *first = head;
}

void window_forget(struct window *window, bool (*stays)(const struct entry *entry), void (*forget)(struct entry *entry))
{
    struct entry *first = NULL, *next;
    map_each(&window->heads, collect_head, &first); /* `next` is free for it: the lists of ready ones end here */
    map_clear(&window->heads);
    free(window->delayed);
    window_init(window);
    for (struct entry *head = first; head; head = next) {
        next = head->next;
        for (struct entry *entry = head->behind, *behind; entry; entry = behind) {
            behind = entry->behind;
            forget(entry);
        }
        if (!stays(head)) {
            forget(head);
            continue;
        }
        head->behind = NULL;
        head->last = head;
        head->count = 1;
        map_put(&window->heads, head->key, head);
        window->count++;
    }
}

static void find_oldest(void *context, struct slice key, void *value)
{
    struct entry **oldest = context, *entry = value;
    (void)key;
    if (!*oldest || entry->number < (*oldest)->number)
        *oldest = entry;
}

struct entry *window_oldest(const struct window *window)
{
    struct entry *oldest = NULL;
    map_each(&window->heads, find_oldest, &oldest);
    return oldest;
}
