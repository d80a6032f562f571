/* books.c - see books.h */
#include "core/engine/books.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

static struct flow_book *flow_of(struct books *books, struct slice name)
{
    for (size_t i = 0; i < books->flow_count; i++)
        if (slice_is(name, books->flows[i].name))
            return &books->flows[i];
    books->flows = mem_resize(books->flows, (books->flow_count + 1) * sizeof *books->flows);
    struct flow_book *book = &books->flows[books->flow_count++];
    *book = (struct flow_book){.received = 0};
    snprintf(book->name, sizeof book->name, "%.*s", SLICE_ARG(name));
    return book;
}

static struct lane_book *lane_of(struct books *books, struct slice name)
{
    for (size_t i = 0; i < books->lane_count; i++)
        if (slice_is(name, books->lanes[i].name))
            return &books->lanes[i];
    books->lanes = mem_resize(books->lanes, (books->lane_count + 1) * sizeof *books->lanes);
    struct lane_book *book = &books->lanes[books->lane_count++];
    *book = (struct lane_book){.asked = 0};
    snprintf(book->name, sizeof book->name, "%.*s", SLICE_ARG(name));
    return book;
}

struct counted {
    const char *name;
    size_t offset; /* of the int64 in the book */
};

#define FLOW(field)                                                                                                    \
    {                                                                                                                  \
#field, offsetof(struct flow_book, field)                                                                      \
    }
#define LANE(field)                                                                                                    \
    {                                                                                                                  \
#field, offsetof(struct lane_book, field)                                                                      \
    }
static const struct counted flow_counters[] = {FLOW(received),  FLOW(finished), FLOW(repeat), FLOW(dropped),
                                               FLOW(discarded), FLOW(expired),  {NULL, 0}};
static const struct counted lane_counters[] = {
    LANE(asked), LANE(delivered), LANE(refused), LANE(superseded), {NULL, 0}};

static void set(void *book, const struct counted *counters, struct slice what, int64_t value)
{
    for (; counters->name; counters++)
        if (slice_is(what, counters->name))
            *(int64_t *)((char *)book + counters->offset) = value;
}

/* "flow.alert-operators.received": names hold no dots. */
static bool read_counter(void *context, struct slice key, struct slice value)
{
    const char *first = memchr(key.data, '.', key.size);
    const char *second = first ? memchr(first + 1, '.', key.size - (size_t)(first + 1 - key.data)) : NULL;
    uint64_t bytes = 0;
    if (!second || value.size != 8)
        return true;
    memcpy(&bytes, value.data, 8);
    struct slice kind = {key.data, (size_t)(first - key.data)}, name = {first + 1, (size_t)(second - first - 1)};
    struct slice what = {second + 1, key.size - (size_t)(second + 1 - key.data)};
    if (slice_is(kind, "flow"))
        set(flow_of(context, name), flow_counters, what, (int64_t)le64toh(bytes));
    else if (slice_is(kind, "lane"))
        set(lane_of(context, name), lane_counters, what, (int64_t)le64toh(bytes));
    return true;
}

static bool read_inbox(void *context, struct slice key, struct slice value)
{
    (void)value;
    flow_of(context, slice_of(key.data))->waiting++;
    return true;
}

static bool read_outbox(void *context, struct slice key, struct slice value)
{
    (void)value;
    lane_of(context, slice_of(key.data))->waiting++;
    return true;
}

static bool read_held(void *context, struct slice key, struct slice value)
{
    (void)key;
    if (slice_is(record_get(value, "kind"), "event"))
        flow_of(context, record_get(value, "flow"))->held++;
    else
        lane_of(context, record_get(value, "connection"))->held++;
    return true;
}

void books_read(struct picture *picture, struct books *books)
{
    *books = (struct books){NULL, 0, NULL, 0};
    picture_scan(picture, TABLE_COUNTERS, SLICE_NONE, read_counter, books);
    picture_scan(picture, TABLE_INBOX, SLICE_NONE, read_inbox, books);
    picture_scan(picture, TABLE_OUTBOX, SLICE_NONE, read_outbox, books);
    picture_scan(picture, TABLE_PARKED, SLICE_NONE, read_outbox, books);
    picture_scan(picture, TABLE_HELD, SLICE_NONE, read_held, books);
    for (size_t i = 0; i < books->flow_count; i++) {
        struct flow_book *f = &books->flows[i];
        f->difference =
            f->received - f->finished - f->repeat - f->dropped - f->discarded - f->expired - f->waiting - f->held;
    }
    for (size_t i = 0; i < books->lane_count; i++) {
        struct lane_book *l = &books->lanes[i];
        l->difference = l->asked - l->delivered - l->refused - l->superseded - l->waiting - l->held;
    }
}

void books_clear(struct books *books)
{
    free(books->flows);
    free(books->lanes);
    *books = (struct books){NULL, 0, NULL, 0};
}

const struct flow_book *books_flow(const struct books *books, const char *name)
{
    for (size_t i = 0; i < books->flow_count; i++)
        if (strcmp(books->flows[i].name, name) == 0)
            return &books->flows[i];
    return NULL;
}

const struct lane_book *books_lane(const struct books *books, const char *name)
{
    for (size_t i = 0; i < books->lane_count; i++)
        if (strcmp(books->lanes[i].name, name) == 0)
            return &books->lanes[i];
    return NULL;
}
