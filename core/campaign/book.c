/* book.c - see book.h */
#include "core/campaign/book.h"

#include "core/base/record.h"
#include "core/campaign/list.h"

#include <endian.h>
#include <stdlib.h>

#define UNFIT_BYTES ((size_t)64 << 10)

struct reading {
    struct campaign_books *books;
    struct map lists; /* connection \0 number -> the book of its campaign */
};

static struct campaign_book *find(const struct campaign_books *books, struct slice key)
{
    size_t place = (size_t)(uintptr_t)map_get(&books->by_key, key);
    return place ? &books->list[place - 1] : NULL;
}

static struct campaign_book *find_named(const struct campaign_books *books, struct slice connection, struct slice name)
{
    struct store_key key = STORE_KEY_INIT;
    if (connection.size + name.size + 1 > STORE_KEY_MAX)
        return NULL;
    store_key_add(&key, connection);
    store_key_add(&key, (struct slice){"", 1});
    store_key_add(&key, name);
    return find(books, store_key_slice(&key));
}

static bool read_campaign(void *context, struct slice key, struct slice row)
{
    struct campaign_books *books = context;
    size_t skip = strlen(key.data) + 1;
    struct slice name = {key.data + skip, key.size - skip};
    if ((books->connection && strcmp(key.data, books->connection) != 0)
        || (books->name && !slice_is(name, books->name)))
        return true;
    books->list = mem_resize(books->list, (books->count + 1) * sizeof *books->list);
    books->list[books->count++] = (struct campaign_book){.connection = mem_text(key.data),
                                                         .name = mem_copy(name),
                                                         .flow = mem_copy(record_get(row, "flow")),
                                                         .at_ms = record_get_integer(row, "at", 0),
                                                         .since_ms = record_get_integer(row, "since", 0),
                                                         .state = mem_copy(record_get(row, "state")),
                                                         .who = mem_copy(record_get(row, "who")),
                                                         .why = mem_copy(record_get(row, "why"))};
    map_put(&books->by_key, key, (void *)(uintptr_t)books->count);
    return true;
}

/* "campaign.CONNECTION.NAME.COUNTER": a connection's name has no dots, a campaign's may. */
static bool read_counter(void *context, struct slice key, struct slice value)
{
    struct campaign_books *books = context;
    struct slice rest = {key.data + strlen("campaign."), key.size - strlen("campaign.")};
    const char *first = memchr(rest.data, '.', rest.size), *last = memrchr(rest.data, '.', rest.size);
    uint64_t bytes;
    if (!first || first == last || value.size != 8)
        return true;
    struct campaign_book *book = find_named(books, (struct slice){rest.data, (size_t)(first - rest.data)},
                                            (struct slice){first + 1, (size_t)(last - first - 1)});
    struct slice what = {last + 1, (size_t)(rest.data + rest.size - last - 1)};
    memcpy(&bytes, value.data, 8);
    for (int i = 0; book && i < CAMPAIGN_COUNTERS; i++)
        if (slice_is(what, campaign_counter_names[i]))
            book->counted[i] = (int64_t)le64toh(bytes);
    return true;
}

static bool read_list(void *context, struct slice key, struct slice row)
{
    struct reading *reading = context;
    struct campaign_book *book = find_named(reading->books, slice_of(key.data), record_get(row, "campaign"));
    if (book)
        map_put(&reading->lists, key, book);
    return true;
}

static bool read_recipient(void *context, struct slice key, struct slice row)
{
    const struct reading *reading = context;
    (void)row;
    struct campaign_book *book = map_get(&reading->lists, (struct slice){key.data, key.size - 8});
    if (book)
        book->not_fed++;
    return true;
}

static bool read_waiting(void *context, struct slice key, struct slice row)
{
    struct slice campaign = record_get(row, "campaign");
    struct campaign_book *book = campaign.size ? find_named(context, slice_of(key.data), campaign) : NULL;
    if (book)
        book->waiting++;
    return true;
}

static bool read_held(void *context, struct slice key, struct slice row)
{
    (void)key;
    struct slice campaign =
        slice_is(record_get(row, "kind"), "effect") ? record_get(record_get(row, "item"), "campaign") : SLICE_NONE;
    struct campaign_book *book = campaign.size ? find_named(context, record_get(row, "connection"), campaign) : NULL;
    if (book) {
        book->held++;
        book->unknown += slice_is(record_get(row, "verdict"), "unknown");
    }
    return true;
}

static bool read_unfit(void *context, struct slice key, struct slice row)
{
    struct campaign_books *books = context;
    struct slice why = record_get(row, "why");
    size_t skip = strlen(key.data) + 1;
    skip += strlen(key.data + skip) + 1;
    if (!why.data)
        return true;
    char *recipient = mem_copy((struct slice){key.data + skip, key.size - skip});
    record_add_text(&books->unfit, recipient, why);
    free(recipient);
    return ++books->unfit_shown < UNFIT_SHOWN;
}

static void balance(struct campaign_book *book)
{
    book->difference = book->counted[CAMPAIGN_TOTAL] - book->not_fed - book->waiting - book->held;
    for (int i = 0; i < CAMPAIGN_COUNTERS; i++)
        if (i != CAMPAIGN_TOTAL && i != CAMPAIGN_OUTBOX)
            book->difference -= book->counted[i];
}

void campaign_books_read(struct picture *picture, const char *connection, const char *name,
                         struct campaign_books *books)
{
    struct reading reading = {books, MAP_INIT};
    *books = (struct campaign_books){
        .connection = connection, .name = name, .by_key = MAP_INIT, .unfit = BUF_INIT(UNFIT_BYTES)};
    picture_scan(picture, TABLE_CAMPAIGNS, SLICE_NONE, read_campaign, books);
    picture_scan(picture, TABLE_COUNTERS, slice_of("campaign."), read_counter, books);
    picture_scan(picture, TABLE_LISTS, SLICE_NONE, read_list, &reading);
    picture_scan(picture, TABLE_RECIPIENTS, SLICE_NONE, read_recipient, &reading);
    picture_scan(picture, TABLE_OUTBOX, SLICE_NONE, read_waiting, books);
    picture_scan(picture, TABLE_PARKED, SLICE_NONE, read_waiting, books);
    picture_scan(picture, TABLE_HELD, SLICE_NONE, read_held, books);
    map_clear(&reading.lists);
    for (size_t i = 0; i < books->count; i++)
        balance(&books->list[i]);
    if (name && books->count == 1 && books->list[0].counted[CAMPAIGN_UNFIT]) {
        struct store_key prefix = ledger_prefix(books->list[0].connection, slice_of(name));
        picture_scan(picture, TABLE_LEDGER, store_key_slice(&prefix), read_unfit, books);
    }
}

void campaign_books_clear(struct campaign_books *books)
{
    for (size_t i = 0; i < books->count; i++) {
        struct campaign_book *book = &books->list[i];
        char *const texts[] = {book->connection, book->name, book->flow, book->state, book->who, book->why};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            free(texts[k]);
    }
    free(books->list);
    map_clear(&books->by_key);
    buf_clear(&books->unfit);
}
