/* verify.c - see verify.h
 *
 *      each table      keys and values have the form that tables.c states; records, lists and numbers can be decoded
 *      attempts        belong to an effect in the outbox
 *      receipts        an effect that was delivered or refused waits no more; one that is held is there
 *      held            numbers were given out; an effect knows its connection and has its row
 *      gates           their releases are there
 *      timers          are found by name and by time
 *      recipients      have their list, and parked effects their campaign
 *      lanes           count as many as are in the outbox
 *      books           of all flows and lanes balance
 */
#include "core/engine/verify.h"

#include "core/base/record.h"
#include "core/engine/books.h"
#include "core/lane/effect.h"
#include "core/store/tables.h"

#include <endian.h>
#include <stdarg.h>

#define LINE_MOST 500
#define LOOK_ROWS 1024 /* between two looks whether the store needs room */

struct verifying {
    struct picture *picture;
    struct verified *verified;
    enum table table;
    uint64_t held_last; /* number */
};

static void find(struct verifying *verifying, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void find(struct verifying *verifying, const char *format, ...)
{
    char line[LINE_MOST];
    va_list args;
    if (++verifying->verified->finding_count > VERIFY_SHOWN)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    buf_add_text(&verifying->verified->findings, line);
    buf_add_char(&verifying->verified->findings, '\n');
}

/* The key for a person: texts as they are, a number at its end in decimal. */
static const char *name_of(const struct verifying *verifying, struct slice key, char room[LINE_MOST])
{
    const char *form = table_forms[verifying->table].key;
    bool has_number = form[strlen(form) - 1] == 'n' && key.size >= 8;
    size_t size = has_number ? key.size - 8 : key.size, at = 0;
    for (size_t i = 0; i < size && at < LINE_MOST - 40; i++)
        room[at++] = key.data[i] ? key.data[i] : ' ';
    room[at] = '\0';
    if (has_number)
        snprintf(room + at, LINE_MOST - at, "%llu", (unsigned long long)store_key_number(key));
    return room;
}

/* ---- the form of a row ----------------------------------------------------------------------------- */

static bool key_fits(struct slice key, const char *form)
{
    size_t at = 0;
    for (; *form; form++) {
        const char *zero = *form == 't' && at < key.size ? memchr(key.data + at, '\0', key.size - at) : NULL;
        if (*form == 't' && !zero)
            return false;
        if (*form == 't')
            at = (size_t)(zero - key.data) + 1;
        else
            at = *form == 'n' ? at + 8 : key.size;
    }
    return at == key.size;
}

static bool is_record(struct slice value)
{
    size_t at = 0;
    struct field field;
    while (record_next(value, &at, &field))
        if ((field.kind == RECORD_INTEGER && field.value.size != 8)
            || (field.kind == RECORD_BOOLEAN && field.value.size != 1))
            return false;
    return at == value.size && value.size > 0;
}

/* `value` with its expiry, as it lies in the table. */
static bool is_list(struct slice value)
{
    size_t at = 0, end = 8;
    struct slice item;
    while (store_list_next(value, &at, &item))
        end = at;
    return end == value.size;
}

static bool value_fits(struct slice value, const struct table_form *form)
{
    if (form->expires && value.size < 8)
        return false;
    struct slice rest = form->expires ? (struct slice){value.data + 8, value.size - 8} : value;
    switch (form->value) {
    case VALUE_RECORD: return is_record(rest);
    case VALUE_LIST: return is_list(value);
    case VALUE_NUMBER: return rest.size == 8;
    case VALUE_BYTES: break;
    }
    return true;
}

/* ---- what must fit together ---------------------------------------------------------------------------- */

static void check_attempts(struct verifying *verifying, struct slice key)
{
    char room[LINE_MOST];
    struct slice row;
    if (!picture_get(verifying->picture, TABLE_OUTBOX, key, &row))
        find(verifying, "attempts %s: of an effect that is not in the outbox", name_of(verifying, key, room));
}

static void check_receipt(struct verifying *verifying, struct slice key, struct slice receipt)
{
    char room[LINE_MOST];
    struct slice row, outcome = record_get(receipt, "outcome");
    if (picture_get(verifying->picture, TABLE_OUTBOX, key, &row))
        find(verifying, "receipt %s: says %.*s, but the effect still waits in the outbox",
             name_of(verifying, key, room), SLICE_ARG(outcome));
    struct store_key held = STORE_KEY_INIT;
    store_key_add_number(&held, (uint64_t)record_get_integer(receipt, "held", 0));
    if (slice_is(outcome, "held") && !picture_get(verifying->picture, TABLE_HELD, store_key_slice(&held), &row))
        find(verifying, "receipt %s: says held as %lld, but nothing is held under that number",
             name_of(verifying, key, room), (long long)record_get_integer(receipt, "held", 0));
}

static void check_held(struct verifying *verifying, struct slice key, struct slice row)
{
    char room[LINE_MOST];
    const char *name = name_of(verifying, key, room);
    bool is_effect = slice_is(record_get(row, "kind"), "effect");
    if (store_key_number(key) > verifying->held_last)
        find(verifying, "held %s: this number was never given out", name);
    if (!is_effect && !slice_is(record_get(row, "kind"), "event"))
        find(verifying, "held %s: is neither event nor effect", name);
    if (record_get(row, "item").size == 0)
        find(verifying, "held %s: the thing itself is missing", name);
    if (record_get(row, is_effect ? "connection" : "flow").size == 0)
        find(verifying, "held %s: does not say whose it is", name);
}

static void check_gate(struct verifying *verifying, struct slice key, struct slice gate)
{
    char room[LINE_MOST];
    struct slice live = record_get(gate, "live"), row;
    if (live.size == 0 || key.size + live.size > STORE_KEY_MAX)
        return;
    struct store_key release = STORE_KEY_INIT;
    store_key_add(&release, key);
    store_key_add(&release, live);
    if (!picture_get(verifying->picture, TABLE_RELEASES, store_key_slice(&release), &row))
        find(verifying, "gate %s: its live release %.*s is not in the store", name_of(verifying, key, room),
             SLICE_ARG(live));
}

/* A timer is found by its time, and by its name. */
static void check_timer_name(struct verifying *verifying, struct slice key, struct slice value)
{
    char room[LINE_MOST];
    uint64_t place[2]; /* when it is due, and the size of its row */
    struct slice row;
    struct store_key timer = STORE_KEY_INIT;
    size_t flow_size = strlen(key.data) + 1;
    if (key.size + 8 > STORE_KEY_MAX)
        return;
    if (value.size != sizeof place) {
        find(verifying, "timer %s: its name leads to %zu bytes that say nothing", name_of(verifying, key, room),
             value.size);
        return;
    }
    memcpy(place, value.data, sizeof place);
    store_key_add(&timer, (struct slice){key.data, flow_size});
    store_key_add_number(&timer, le64toh(place[0]));
    store_key_add(&timer, (struct slice){key.data + flow_size, key.size - flow_size});
    if (!picture_get(verifying->picture, TABLE_TIMERS, store_key_slice(&timer), &row))
        find(verifying, "timer %s: it has a name, but is not among those that will be due",
             name_of(verifying, key, room));
    else if (row.size != le64toh(place[1]))
        find(verifying, "timer %s: its row has %zu bytes, not %llu", name_of(verifying, key, room), row.size,
             (unsigned long long)le64toh(place[1]));
}

/* The row that a key begins with is there: a recipient's list, a parked effect's campaign. */
static void check_whose(struct verifying *verifying, struct slice key, size_t size, enum table table, const char *whose)
{
    char room[LINE_MOST];
    struct slice row;
    if (!picture_get(verifying->picture, table, (struct slice){key.data, size}, &row))
        find(verifying, "%s %s: its %s is not in the store", table_forms[verifying->table].name,
             name_of(verifying, key, room), whose);
}

static size_t two_texts(struct slice key)
{
    size_t first = strlen(key.data) + 1;
    return first + strlen(key.data + first);
}

static void check_row(struct verifying *verifying, struct slice key, struct slice value)
{
    const struct table_form *form = &table_forms[verifying->table];
    char room[LINE_MOST];
    if (!key_fits(key, form->key)) {
        find(verifying, "%s: a key of %zu bytes has not the form of this table", form->name, key.size);
        return;
    }
    if (!value_fits(value, form)) {
        find(verifying, "%s %s: its %zu bytes cannot be read", form->name, name_of(verifying, key, room), value.size);
        return;
    }
    struct slice rest = form->expires ? (struct slice){value.data + 8, value.size - 8} : value;
    switch (verifying->table) {
    case TABLE_ATTEMPTS: check_attempts(verifying, key); break;
    case TABLE_RECEIPTS: check_receipt(verifying, key, rest); break;
    case TABLE_HELD: check_held(verifying, key, rest); break;
    case TABLE_GATES: check_gate(verifying, key, rest); break;
    case TABLE_TIMER_NAMES: check_timer_name(verifying, key, rest); break;
    case TABLE_RECIPIENTS: check_whose(verifying, key, key.size - 8, TABLE_LISTS, "list"); break;
    case TABLE_PARKED: check_whose(verifying, key, two_texts(key), TABLE_CAMPAIGNS, "campaign"); break;
    default: break;
    }
}

static bool look_at(void *context, struct slice key, struct slice value)
{
    struct verifying *verifying = context;
    check_row(verifying, key, value);
    if (++verifying->verified->rows % LOOK_ROWS == 0 && picture_is_in_the_way(verifying->picture))
        verifying->verified->is_incomplete = true;
    return !verifying->verified->is_incomplete;
}

static bool count_row(void *context, struct slice key, struct slice value)
{
    (void)key, (void)value;
    ++*(int64_t *)context;
    return true;
}

/* A lane opens by these counters, without reading its backlog. */
static void check_waiting(struct verifying *verifying, const struct lane_book *lane)
{
    int64_t counted = 0, rows = 0;
    struct store_key prefix = STORE_KEY_INIT;
    store_key_add_text(&prefix, lane->name);
    picture_scan(verifying->picture, TABLE_OUTBOX, store_key_slice(&prefix), count_row, &rows);
    for (int i = 0; i < PRIORITIES; i++) {
        char name[STORE_KEY_MAX];
        struct slice value;
        uint64_t bytes = 0;
        snprintf(name, sizeof name, "lane.%s.waiting-%s", lane->name, priority_names[i]);
        if (picture_get(verifying->picture, TABLE_COUNTERS, slice_of(name), &value) && value.size == 8)
            memcpy(&bytes, value.data, 8);
        counted += (int64_t)le64toh(bytes);
    }
    if (counted != rows)
        find(verifying, "lane %s: %lld effects are in the outbox, its counters say %lld", lane->name, (long long)rows,
             (long long)counted);
}

static void check_books(struct verifying *verifying)
{
    struct books books;
    books_read(verifying->picture, &books);
    for (size_t i = 0; i < books.flow_count; i++)
        if (books.flows[i].difference)
            find(verifying, "the books of flow %s do not balance: %lld", books.flows[i].name,
                 (long long)books.flows[i].difference);
    for (size_t i = 0; i < books.lane_count; i++)
        check_waiting(verifying, &books.lanes[i]);
    for (size_t i = 0; i < books.lane_count; i++)
        if (books.lanes[i].difference)
            find(verifying, "the books of connection %s do not balance: %lld", books.lanes[i].name,
                 (long long)books.lanes[i].difference);
    books_clear(&books);
}

void verify(struct picture *picture, struct verified *verified)
{
    struct verifying verifying = {.picture = picture, .verified = verified};
    struct slice last;
    uint64_t bytes = 0;
    *verified = (struct verified){.findings = BUF_INIT(VERIFY_SHOWN * LINE_MOST)};
    if (picture_get(picture, TABLE_COUNTERS, slice_of("held.last"), &last) && last.size == 8)
        memcpy(&bytes, last.data, 8);
    verifying.held_last = le64toh(bytes);
    for (enum table table = 0; table < TABLE_COUNT && !verified->is_incomplete; table++) {
        verifying.table = table;
        picture_scan(picture, table, SLICE_NONE, look_at, &verifying);
    }
    if (!verified->is_incomplete)
        check_books(&verifying);
}

void verified_clear(struct verified *verified)
{
    buf_clear(&verified->findings);
}
