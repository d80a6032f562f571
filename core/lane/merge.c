/* merge.c - earlier effects that a later one does for
 *
 *      1  2  3  4    of one key and verb, all waiting; the verb's `merge` says that each next one does for those before
 *      ▼  ▼  ▼
 *      superseded by 4: receipts that name it, gone from the outbox; 4 has what `merge` made of them
 *
 * All of it is one change, so a crash finds either all of them or the last one.  Only what stands in memory behind the
 * first is looked at, and nothing that may have been sent already. */
#include "core/lane/internal.h"

#include <stdlib.h>

struct merging {
    struct work *first; /* it is under way */
    size_t count;       /* of those that are superseded, with the first */
};

static void on_merged(void *context)
{
    struct merging *merging = context;
    struct work *first = merging->first;
    struct window *window = &first->lane->backlogs[priority_of(first->entry.number)].window;
    struct entry *entry = window_cut(window, &first->entry, merging->count - 1), *behind;
    for (; entry; entry = behind) {
        behind = entry->behind;
        free(entry);
    }
    free(merging);
    first->lane->merges--;
    work_settled(first);
}

static struct slice row_of(const struct work *work)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct slice row = SLICE_NONE;
    store_get(work->lane->store, TABLE_OUTBOX, store_key_slice(&key), &row);
    return row;
}

/* How many behind the first are joined with it, the last of them the one that stays; `fields` is what it becomes. */
static size_t join(const struct work *first, struct buf *fields)
{
    const struct verb *verb = first->delivery.verb;
    struct buf joined = BUF_INIT(EFFECT_ROW_MAX);
    size_t count = 0;
    buf_add_slice(fields, first->delivery.fields);
    for (const struct entry *entry = first->entry.behind; entry; entry = entry->behind) {
        const struct work *later = (const struct work *)entry;
        struct slice row = row_of(later);
        buf_reset(&joined);
        if (later->has_attempts || !slice_is(record_get(row, "verb"), verb->name)
            || !verb->merge(buf_slice(fields), record_get(row, "fields"), &joined) || joined.is_over)
            break;
        buf_reset(fields);
        buf_add_slice(fields, buf_slice(&joined));
        count++;
    }
    buf_clear(&joined);
    return count;
}

/* The last of a name counts in a record: what follows replaces what stood there. */
static void rewrite(struct work *work, struct change *change, struct slice fields)
{
    struct store_key key = effect_key(work->lane->connection->name, work->entry.number);
    struct buf row = BUF_INIT(EFFECT_ROW_MAX);
    struct slice old = row_of(work);
    struct field field;
    for (size_t at = 0; record_next(old, &at, &field);) {
        char name[NAME_MAX_BYTES];
        if (slice_is(field.name, "fields") || field.name.size >= sizeof name)
            continue;
        memcpy(name, field.name.data, field.name.size);
        name[field.name.size] = '\0';
        record_add(&row, name, field.kind, field.value);
    }
    record_add_text(&row, "fields", fields);
    change_put(change, TABLE_OUTBOX, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
}

static void supersede(struct work *work, struct change *change, uint64_t by)
{
    struct lane *lane = work->lane;
    struct slice row = row_of(work), id = record_get(row, "id");
    struct receipt receipt = {.outcome = "superseded",
                              .id = id,
                              .attempts = work->attempts,
                              .text = "a later effect of the same key does for it",
                              .number = by};
    work_leave_outbox(work, change);
    receipt_put(lane, change, work->entry.number, &receipt);
    change_count(change, lane->counter_keys[LANE_SUPERSEDED], 1);
    lane_tell(lane, change,
              &(struct lane_outcome){.flow = record_get(row, "flow"),
                                     .verb = record_get(row, "verb"),
                                     .id = id,
                                     .next = record_get(row, "next"),
                                     .outcome = receipt.outcome,
                                     .text = receipt.text,
                                     .attempts = receipt.attempts});
}

static bool has_merge(const struct work *work)
{
    return work->delivery.verb->merge && work->entry.behind && !work->is_marked && !work->campaign.size;
}

bool work_would_merge(const struct work *work)
{
    struct buf fields = BUF_INIT(EFFECT_ROW_MAX);
    bool would = has_merge(work) && join(work, &fields) > 0;
    buf_clear(&fields);
    return would;
}

bool work_merge(struct work *work)
{
    if (work->delivery.verb->merge)
        backlog_recall(work); /* of one that was put off, what came meanwhile is on disk only */
    struct buf fields = BUF_INIT(EFFECT_ROW_MAX);
    size_t count = has_merge(work) ? join(work, &fields) : 0;
    if (count) {
        struct merging *merging = mem_zero(sizeof *merging);
        struct change *change = change_new(on_merged, merging);
        struct entry *last = &work->entry, *entry = &work->entry;
        *merging = (struct merging){work, count};
        work->lane->merges++;
        for (size_t i = 0; i < count; i++)
            last = last->behind;
        for (; entry != last; entry = entry->behind)
            supersede((struct work *)entry, change, last->number);
        rewrite((struct work *)last, change, buf_slice(&fields));
        store_commit(work->lane->store, change);
    }
    buf_clear(&fields);
    return count > 0;
}
