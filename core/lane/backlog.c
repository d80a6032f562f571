/* backlog.c - see backlog.h */
#include "core/lane/backlog.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/lane/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW 4096        /* effects in memory, beside those that wait for their next try */
#define DELAYED_MOST 16384 /* of these */
#define LINE_MOST 32       /* of one key */
#define CHUNK 512          /* rows that are worth a look at the disk */
#define LOOK_MOST 4096     /* rows looked at in one go */

static struct store_key prefix_of(const struct backlog *backlog)
{
    uint64_t first = effect_number(backlog->priority, 0);
    struct store_key key = effect_key(backlog->lane->connection->name, first);
    key.size -= 6; /* the running number */
    return key;
}

static size_t room_of(const struct backlog *backlog)
{
    const struct window *window = &backlog->window;
    size_t active = window->count - window->delayed_count;
    if (active >= WINDOW || window->delayed_count >= DELAYED_MOST)
        return 0;
    return WINDOW - active;
}

/* ---- one row into the window -------------------------------------------------------------------- */

static void read_attempts(struct work *work, struct slice key)
{
    struct slice row;
    if (!store_get(work->lane->store, TABLE_ATTEMPTS, key, &row))
        return;
    work->attempts = (unsigned)record_get_integer(row, "count", 0);
    work->marked_ms = record_get_integer(row, "at", 0);
    /* Counted from when it was written, should the clock have been set back since. */
    int64_t due_ms = record_get_integer(row, "due_ms", 0), now_ms = clock_now_ms();
    work->entry.due_ms = clock_wait_of(work->marked_ms > now_ms ? due_ms - work->marked_ms + now_ms : due_ms);
    work->entry.is_retried = work->attempts > 0;
    work->is_marked = slice_is(record_get(row, "state"), "sending");
    work->has_attempts = true;
}

static void take(struct backlog *backlog, struct slice key, struct slice row, struct slice its_key)
{
    char flow[NAME_MAX_BYTES + 1];
    snprintf(flow, sizeof flow, "%.*s", SLICE_ARG(record_get(row, "flow")));
    if (lane_parks(backlog->lane, flow)) {
        backlog->parked++;
        return;
    }
    size_t size = its_key.size < KEY_MAX_BYTES ? its_key.size : KEY_MAX_BYTES;
    struct work *work = mem_zero(sizeof *work + size);
    work->lane = backlog->lane;
    memcpy(work->flow, flow, sizeof flow);
    work->entry.number = store_key_number(key);
    work->entry.asked_ms = record_get_integer(row, "asked_ms", 0);
    work->entry.key = (struct slice){work->key, size};
    if (size)
        memcpy(work->key, its_key.data, size);
    read_attempts(work, key);
    window_add(&backlog->window, &work->entry, clock_wait_ms());
}

/* No more of its key may stand behind it. */
static bool is_full(const struct entry *head)
{
    return head && (head->heap_place || head->count >= LINE_MOST);
}

/* ---- what was passed over ------------------------------------------------------------------------ */

static void pass_over(struct backlog *backlog, struct slice key, uint64_t number, uint64_t count)
{
    struct rest *rest = map_get(&backlog->rests, key);
    if (!rest) {
        rest = mem_zero(sizeof *rest + key.size);
        rest->from = number;
        rest->key_size = key.size;
        if (key.size)
            memcpy(rest->key, key.data, key.size);
        map_put(&backlog->rests, key, rest);
    }
    if (number < rest->from)
        rest->from = number;
    rest->count += count;
}

static struct slice key_of(const struct rest *rest)
{
    return (struct slice){rest->key, rest->key_size};
}

static void want(struct backlog *backlog, struct rest *rest)
{
    rest->is_wanted = true;
    rest->next = backlog->wanted;
    backlog->wanted = rest;
}

/* A look at the rows that were passed over, from the first that is wanted on. */
struct looking {
    struct backlog *backlog;
    uint64_t from, at; /* where it began, and is */
    size_t left;       /* rows that may still be looked at */
    size_t wants;      /* keys of which nothing was found yet */
};

/* Whatever was passed over from `from` on may be taken on the way, too, as long as its key has room: keys that are
 * emptied at the same pace are then filled again by one look, which is why it goes on for a CHUNK. */
static bool read_passed(void *context, struct slice key, struct slice row)
{
    struct looking *looking = context;
    struct backlog *backlog = looking->backlog;
    uint64_t number = store_key_number(key);
    if (number >= backlog->read_number)
        return false;
    looking->at = number + 1;
    struct slice its_key = record_get(row, "key");
    struct rest *rest = map_get(&backlog->rests, its_key);
    struct entry *head = rest ? map_get(&backlog->window.heads, its_key) : NULL;
    if (rest && rest->count && rest->from >= looking->from && number >= rest->from && !is_full(head)) {
        take(backlog, key, row, its_key);
        rest->from = number + 1;
        rest->count--;
        if (rest->is_wanted && !head && (!rest->count || map_get(&backlog->window.heads, its_key)))
            looking->wants--;
        if (!rest->count && !rest->is_wanted)
            free(map_remove(&backlog->rests, its_key));
    }
    return --looking->left && (looking->wants || looking->left > LOOK_MOST - CHUNK) && room_of(backlog);
}

/* After a look: who was read is not wanted any more; for the others it goes on where it ended. */
static void sort_wanted(struct looking *looking, bool is_over)
{
    struct backlog *backlog = looking->backlog;
    struct rest *rest = backlog->wanted, *next;
    for (backlog->wanted = NULL; rest; rest = next) {
        next = rest->next;
        bool is_read = map_get(&backlog->window.heads, key_of(rest)) != NULL;
        if (is_over && !is_read && rest->count) {
            log_error("lane %s: %llu effects of key %.*s are gone from the outbox", backlog->lane->connection->name,
                      (unsigned long long)rest->count, SLICE_ARG(key_of(rest)));
            rest->count = 0;
        }
        rest->is_wanted = false;
        if (rest->from < looking->at && !is_read)
            rest->from = looking->at;
        if (!rest->count)
            free(map_remove(&backlog->rests, key_of(rest)));
        else if (!is_read)
            want(backlog, rest);
    }
}

static void look_at_passed(struct backlog *backlog)
{
    struct store_key prefix = prefix_of(backlog);
    struct looking looking = {.backlog = backlog, .from = UINT64_MAX, .left = LOOK_MOST};
    for (struct rest *rest = backlog->wanted; rest; rest = rest->next, looking.wants++)
        if (rest->from < looking.from)
            looking.from = rest->from;
    looking.at = looking.from;
    struct store_key from = effect_key(backlog->lane->connection->name, looking.from);
    store_scan(backlog->lane->store, TABLE_OUTBOX, store_key_slice(&prefix), store_key_slice(&from), read_passed,
               &looking);
    sort_wanted(&looking, looking.left && looking.wants && room_of(backlog));
}

/* ---- what was not read yet --------------------------------------------------------------------------- */

static bool read_new(void *context, struct slice key, struct slice row)
{
    struct looking *looking = context;
    struct backlog *backlog = looking->backlog;
    struct slice its_key = record_get(row, "key");
    uint64_t number = store_key_number(key);
    backlog->read_number = number + 1;
    if (window_has(&backlog->window, its_key, number))
        return --looking->left; /* it was under way when the window was forgotten */
    if (is_full(map_get(&backlog->window.heads, its_key)) || map_get(&backlog->rests, its_key))
        pass_over(backlog, its_key, number, 1);
    else
        take(backlog, key, row, its_key);
    return --looking->left && room_of(backlog);
}

static bool look_at_new(struct backlog *backlog)
{
    struct store_key prefix = prefix_of(backlog);
    struct store_key from = effect_key(backlog->lane->connection->name, backlog->read_number);
    struct looking looking = {.backlog = backlog, .left = LOOK_MOST};
    store_scan(backlog->lane->store, TABLE_OUTBOX, store_key_slice(&prefix), store_key_slice(&from), read_new,
               &looking);
    return !looking.left;
}

bool backlog_fill(struct backlog *backlog)
{
    bool has_new = backlog->read_number < backlog->end_number;
    size_t room = room_of(backlog);
    if ((!has_new && !backlog->wanted) || (room < CHUNK && window_has_ready(&backlog->window, clock_wait_ms())))
        return false;
    if (backlog->wanted && room)
        look_at_passed(backlog);
    bool has_more = has_new && room_of(backlog) && look_at_new(backlog);
    return has_more || (backlog->wanted && room_of(backlog));
}

/* ---- leaving the window ------------------------------------------------------------------------------- */

/* Those behind it would only take up room until it is tried again. */
void backlog_delay(struct work *work)
{
    struct backlog *backlog = &work->lane->backlogs[priority_of(work->entry.number)];
    struct entry *entry = window_cut(&backlog->window, &work->entry, SIZE_MAX);
    while (entry) {
        struct entry *behind = entry->behind;
        pass_over(backlog, entry->key, entry->number, 1);
        free(entry);
        entry = behind;
    }
    work->entry.is_retried = work->attempts > 0;
    window_delay(&backlog->window, &work->entry);
}

void backlog_remove(struct work *work)
{
    struct backlog *backlog = &work->lane->backlogs[priority_of(work->entry.number)];
    struct rest *rest = work->entry.behind ? NULL : map_get(&backlog->rests, work->entry.key);
    window_remove(&backlog->window, &work->entry, clock_wait_ms());
    if (rest)
        want(backlog, rest);
    free(work);
}

static bool is_under_way(const struct entry *entry)
{
    return ((const struct work *)entry)->call != NULL;
}

static void forget(struct entry *entry)
{
    free((struct work *)entry);
}

static void free_rest(void *context, struct slice key, void *value)
{
    (void)context, (void)key;
    free(value);
}

void backlog_read_again(struct backlog *backlog)
{
    window_forget(&backlog->window, is_under_way, forget);
    map_each(&backlog->rests, free_rest, NULL);
    map_clear(&backlog->rests);
    backlog->wanted = NULL;
    backlog->parked = 0;
    backlog->read_number = effect_number(backlog->priority, 0);
}

void backlog_recall(struct work *work)
{
    struct backlog *backlog = &work->lane->backlogs[priority_of(work->entry.number)];
    struct rest *rest = work->entry.behind ? NULL : map_get(&backlog->rests, work->entry.key);
    if (!rest)
        return;
    want(backlog, rest);
    look_at_passed(backlog);
}

/* ---- opening and closing --------------------------------------------------------------------------------- */

void backlog_open(struct backlog *backlog, struct lane *lane, enum priority priority)
{
    *backlog = (struct backlog){.lane = lane, .priority = priority, .rests = MAP_INIT};
    window_init(&backlog->window);
    backlog->waiting = (uint64_t)store_counter(lane->store, lane->counter_keys[LANE_WAITING + priority]);
    struct store_key prefix = prefix_of(backlog);
    struct slice last;
    backlog->read_number = effect_number(priority, 0);
    backlog->end_number = store_last(lane->store, TABLE_OUTBOX, store_key_slice(&prefix), &last)
                              ? store_key_number(last) + 1
                              : backlog->read_number;
}

static void free_works(void *context, struct slice key, void *value)
{
    struct entry *entry = value;
    (void)context, (void)key;
    while (entry) {
        struct work *work = (struct work *)entry;
        entry = entry->behind;
        if (work->call && --work->call->open == 0) /* it was under way, and is not answered any more */
            free(work->call);
        work_unload(work);
        free(work);
    }
}

void backlog_clear(struct backlog *backlog)
{
    map_each(&backlog->window.heads, free_works, NULL);
    map_clear(&backlog->window.heads);
    map_each(&backlog->rests, free_rest, NULL);
    map_clear(&backlog->rests);
    free(backlog->window.delayed);
}
