/* core_kit.h - a loop, a store and an adapter that does what the test says, for the tests of the core
 *
 *     kit_open()  ─► kit_lane("box") or a flow (flow_kit.h) ─► WAIT_UNTIL(condition) ─► kit_close()
 *
 * The adapter keeps each delivery and question until the test answers it, unless `on_deliver` or `on_ask` does. */
#ifndef HEADGATE_TESTS_UNIT_CORE_KIT_H
#define HEADGATE_TESTS_UNIT_CORE_KIT_H

#include "core/base/clock.h"
#include "core/engine/books.h"
#include "core/lane/effect.h"
#include "core/lane/lane.h"

#include "test.h"

#define UNUSED __attribute__((unused))
#define KEPT_MOST 20000
#define WAIT_NS 20000000000

static struct kit {
    uv_loop_t loop;
    uv_timer_t tick;
    uint64_t ticks;
    char folder[128];
    int64_t limit_bytes;
    struct store *store;
    struct held_numbers held;
    struct connection connections[2];
    enum store_state states[64]; /* as they were told */
    size_t state_count;

    struct delivery *deliveries[KEPT_MOST]; /* in the order they came; answered ones stay in the list */
    char effect_ids[KEPT_MOST][EFFECT_ID_SIZE];
    size_t delivery_count;
    void (*on_deliver)(struct delivery *delivery);
    size_t batches[KEPT_MOST]; /* how many deliveries each had */
    size_t batch_count;
    struct question *questions[KEPT_MOST];
    size_t question_count;
    void (*on_ask)(struct question *question);
    struct source *sources[100]; /* in the order they began to listen */
    size_t source_count, silenced;
    uint64_t acked[KEPT_MOST], returned[KEPT_MOST]; /* tokens of events */
    size_t ack_count, return_count;
    void (*on_ack)(struct event *event);
    bool refuses_listen;
    void (*on_outcome)(void *context, struct change *change, const struct lane_outcome *outcome);
} kit;

/* ---- waiting ------------------------------------------------------------------------------------ */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    kit.ticks++;
}

/* One turn of the loop: at most a tick long. */
UNUSED static void turn(void)
{
    uv_run(&kit.loop, UV_RUN_ONCE);
}

#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        int64_t kit_end_ns = clock_mono_ns() + WAIT_NS;                                                                \
        while (!(condition)) {                                                                                         \
            if (clock_mono_ns() > kit_end_ns)                                                                          \
                fail_msg("did not become true: %s", #condition);                                                       \
            turn();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* Lets everything happen that is about to happen: so that what does not happen is proven to. */
UNUSED static void let_happen(void)
{
    for (uint64_t until = kit.ticks + 15; kit.ticks < until;)
        turn();
}

/* ---- the adapter --------------------------------------------------------------------------------- */

static bool fake_open(struct connection *connection, struct err *err)
{
    (void)connection, (void)err;
    return true;
}

static void fake_close(struct connection *connection)
{
    (void)connection;
}

static bool fake_listen(struct source *source, struct err *err)
{
    if (kit.refuses_listen)
        return err_set(err, "there is no such topic");
    kit.sources[kit.source_count++ % 100] = source;
    source_says(source, SOURCE_LISTENING, "listening");
    return true;
}

static void fake_silence(struct source *source)
{
    (void)source;
    kit.silenced++;
}

static void fake_ack(struct connection *connection, struct event *event)
{
    (void)connection;
    if (kit.on_ack)
        kit.on_ack(event);
    kit.acked[kit.ack_count++ % KEPT_MOST] = event->token;
}

static void fake_put_back(struct connection *connection, struct event *event)
{
    (void)connection;
    kit.returned[kit.return_count++ % KEPT_MOST] = event->token;
}

static void fake_deliver(struct connection *connection, struct delivery *delivery)
{
    (void)connection;
    size_t place = kit.delivery_count++ % KEPT_MOST;
    kit.deliveries[place] = delivery;
    snprintf(kit.effect_ids[place], EFFECT_ID_SIZE, "%s", delivery->effect_id);
    if (kit.on_deliver)
        kit.on_deliver(delivery);
}

static void fake_deliver_batch(struct connection *connection, struct delivery *const *deliveries, size_t count)
{
    kit.batches[kit.batch_count++ % KEPT_MOST] = count;
    for (size_t i = 0; i < count; i++)
        fake_deliver(connection, deliveries[i]);
}

static void fake_ask(struct connection *connection, struct question *question)
{
    (void)connection;
    kit.questions[kit.question_count++ % KEPT_MOST] = question;
    if (kit.on_ask)
        kit.on_ask(question);
}

/* Refuses the text "bad"; else stores it doubled, and the content of a file of the flow where `file` names one. */
static bool fake_prepare(const struct ask *ask, struct buf *out, struct err *err)
{
    struct slice text = record_get(ask->fields, "text"), content = SLICE_NONE;
    char name[100];
    buf_add_text(out, "half a record");
    if (slice_is(text, "bad"))
        return err_set(err, "bad is not wanted");
    buf_reset(out);
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(record_get(ask->fields, "file")));
    if (name[0] && !ask->file(ask, name, &content))
        return err_set(err, "there is no file %s", name);
    record_add_text(out, "twice", text);
    record_add_text(out, "file", content);
    return true;
}

static const struct option fake_fields[] = {
    {.name = "text", .kind = OPTION_TEXT, .is_required = true, .least = 1, .most = 20, .help = "what to say"},
    {.name = "number", .kind = OPTION_INTEGER, .least = 1, .most = 10, .help = "how often"},
    {.name = "choice", .kind = OPTION_TEXT, .choices = "left|right", .help = "where to"},
    {.name = "flag", .kind = OPTION_BOOLEAN, .help = "whether"},
    {.name = "list", .kind = OPTION_LIST, .help = "names"},
    {.name = "wait", .kind = OPTION_DURATION, .least = 1, .most = 60000, .help = "how long"},
    {.name = "any", .kind = OPTION_ANY, .help = "whatever"},
    {.name = "file", .kind = OPTION_TEXT, .help = "a file of the flow"},
    OPTION_END};
static const struct option fake_tell_fields[] = {
    {.name = "to", .kind = OPTION_TEXT, .is_required = true, .help = "whom"},
    {.name = "campaign", .kind = OPTION_TEXT, .help = "in whose course"},
    {.name = "text", .kind = OPTION_TEXT, .most = 20, .help = "what to say"},
    {.name = "choice", .kind = OPTION_TEXT, .choices = "left|right", .help = "where to"},
    {.name = "data", .kind = OPTION_ANY, .help = "whatever"},
    OPTION_END};

/* Somebody whose name has no capitals; one that begins with ! is none. */
static bool fake_canonical(struct slice recipient, struct buf *out, struct err *err)
{
    if (recipient.data[0] == '!')
        return err_set(err, "%.*s is nobody", SLICE_ARG(recipient));
    for (size_t i = 0; i < recipient.size; i++)
        buf_add_char(out, (char)(recipient.data[i] | 0x20));
    return !out->is_over;
}

/* Stores to whom and what; the text "bad" is refused, and where there is none it is that of templates/a.txt. */
static bool fake_address(const struct ask *ask, struct buf *out, struct err *err)
{
    struct slice text = record_get(ask->fields, "text");
    if (slice_is(text, "bad"))
        return err_set(err, "bad is not wanted");
    if (!text.size && !ask->file(ask, "templates/a.txt", &text))
        return err_set(err, "there is no template");
    record_add_text(out, "to", record_get(ask->fields, "to"));
    return record_add_text(out, "text", text);
}

/* The later number, and how many were merged into it. */
static bool fake_merge(struct slice earlier, struct slice later, struct buf *out)
{
    if (record_get_integer(later, "number", 0) % 10 == 9) /* it stands for itself */
        return false;
    record_add_integer(out, "number", record_get_integer(later, "number", 0));
    return record_add_integer(out, "merged", record_get_integer(earlier, "merged", 0) + 1);
}

/* Odd and even numbers do not go together. */
static bool fake_goes_with(struct slice first, struct slice other)
{
    return record_get_integer(first, "number", 0) % 2 == record_get_integer(other, "number", 0) % 2;
}

static const struct option fake_get_fields[] = {
    {.name = "name", .kind = OPTION_TEXT, .is_required = true, .help = "whose"}, OPTION_END};
static const struct option fake_source_options[] = {{.name = "topic", .kind = OPTION_TEXT, .help = "which"},
                                                    OPTION_END};
static const struct option fake_options[] = {OPTION_END};
static const struct verb fake_verbs[] = {
    {.name = "put", .summary = "can be repeated", .fields = fake_fields, .is_idempotent = true},
    {.name = "send", .summary = "cannot be repeated", .fields = fake_fields},
    {.name = "mail", .summary = "reaches somebody", .fields = fake_fields, .recipient_field = "text"},
    {.name = "picky", .summary = "prepares", .fields = fake_fields, .is_idempotent = true, .prepare = fake_prepare},
    {.name = "many",
     .summary = "goes in batches",
     .fields = fake_fields,
     .is_idempotent = true,
     .batch_most = 10,
     .goes_with = fake_goes_with},
    {.name = "bulk", .summary = "goes in batches, and cannot be repeated", .fields = fake_fields, .batch_most = 10},
    {.name = "set",
     .summary = "the last one counts",
     .fields = fake_fields,
     .is_idempotent = true,
     .batch_most = 10,
     .merge = fake_merge},
    {.name = "post", .summary = "merges, and cannot be repeated", .fields = fake_fields, .merge = fake_merge},
    {.name = "tell",
     .summary = "reaches somebody",
     .fields = fake_tell_fields,
     .recipient_field = "to",
     .campaign_field = "campaign",
     .canonical = fake_canonical,
     .prepare = fake_address},
    {.name = NULL}};
static const struct query fake_queries[] = {{.name = "get", .summary = "looks up", .fields = fake_get_fields},
                                            {.name = NULL}};

static const struct adapter fake = {.name = "fake",
                                    .summary = "does what the test says",
                                    .options = fake_options,
                                    .source_options = fake_source_options,
                                    .verbs = fake_verbs,
                                    .queries = fake_queries,
                                    .concurrency = 4,
                                    .open = fake_open,
                                    .close = fake_close,
                                    .listen = fake_listen,
                                    .silence = fake_silence,
                                    .ack = fake_ack,
                                    .put_back = fake_put_back,
                                    .deliver = fake_deliver,
                                    .deliver_batch = fake_deliver_batch,
                                    .ask = fake_ask};

/* ---- opening and closing ---------------------------------------------------------------------------- */

static void on_state(void *context, enum store_state state, const char *why)
{
    (void)context;
    assert_true(why[0] != '\0');
    kit.states[kit.state_count++ % 64] = state;
}

UNUSED static bool was_told(enum store_state state)
{
    for (size_t i = 0; i < kit.state_count; i++)
        if (kit.states[i] == state)
            return true;
    return false;
}

static struct store *open_store_in(const char *folder, enum store_failure *failure, struct err *err)
{
    struct store_options options = {.folder = folder,
                                    .limit_bytes = kit.limit_bytes ? kit.limit_bytes : 1 << 30,
                                    .slack_bytes = 32 << 20,
                                    .on_state = on_state};
    return store_open(&kit.loop, &options, failure, err);
}

/* Loop and store, in the kit's folder; a folder that is not set yet is new. */
UNUSED static void kit_open(void)
{
    static unsigned folders;
    enum store_failure failure;
    struct err err = ERR_INIT;
    assert_int_equal(uv_loop_init(&kit.loop), 0);
    uv_timer_init(&kit.loop, &kit.tick);
    uv_timer_start(&kit.tick, on_tick, 2, 2);
    if (!kit.folder[0])
        snprintf(kit.folder, sizeof kit.folder, "%s/%u", test_folder(), ++folders);
    kit.store = open_store_in(kit.folder, &failure, &err);
    if (!kit.store)
        fail_msg("%s", err.text);
    held_open(&kit.held, kit.store);
    static const char *const names[] = {"box", "feed"};
    for (int i = 0; i < 2; i++)
        kit.connections[i] = (struct connection){
            .name = names[i], .environment = "test", .adapter = &fake, .loop = &kit.loop, .is_open = true};
}

/* Everything that was opened with it is closed: no handle is left in the loop. */
UNUSED static void kit_shut(void)
{
    store_close(kit.store);
    for (int i = 0; i < 2; i++)
        if (kit.connections[i].lane)
            lane_close(kit.connections[i].lane);
    uv_close((uv_handle_t *)&kit.tick, NULL);
    uv_run(&kit.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&kit.loop), 0);
}

UNUSED static void kit_close(void)
{
    kit_shut();
    memset(&kit, 0, sizeof kit);
    clock_set_ms(0);
}

/* As after a crash at this moment, and a start. What was handed to the store is on disk: the crash came just after. */
UNUSED static void kit_reopen(void)
{
    char folder[sizeof kit.folder];
    int64_t limit_bytes = kit.limit_bytes;
    memcpy(folder, kit.folder, sizeof folder);
    kit_shut();
    memset(&kit, 0, sizeof kit);
    memcpy(kit.folder, folder, sizeof folder);
    kit.limit_bytes = limit_bytes;
    kit_open();
}

UNUSED static struct lane *kit_lane_with(int which, const struct lane_options *options)
{
    struct lane *lane = lane_open(kit.store, &kit.held, &kit.connections[which], options);
    lane_start(lane);
    return lane;
}

UNUSED static struct lane *kit_lane(int which, unsigned concurrency)
{
    return kit_lane_with(which, &(struct lane_options){
                                    .concurrency = concurrency, .receipts_ms = 86400000, .on_outcome = kit.on_outcome});
}

/* ---- looking into the store ------------------------------------------------------------------------------ */

static void set_flag(void *context)
{
    *(bool *)context = true;
}

UNUSED static struct change *kit_change(bool *is_done)
{
    *is_done = false;
    return change_new(set_flag, is_done);
}

UNUSED static void kit_commit(struct change *change, bool *is_done)
{
    store_commit(kit.store, change);
    WAIT_UNTIL(*is_done);
}

static bool count_one(void *context, struct slice key, struct slice value)
{
    (void)key, (void)value;
    ++*(size_t *)context;
    return true;
}

UNUSED static size_t rows_in(enum table table)
{
    size_t rows = 0;
    store_scan(kit.store, table, SLICE_NONE, SLICE_NONE, count_one, &rows);
    return rows;
}

UNUSED static int64_t counter(const char *name)
{
    return store_counter(kit.store, name);
}

UNUSED static struct slice held_row(uint64_t number)
{
    struct slice row;
    if (!held_get(&kit.held, number, &row))
        fail_msg("nothing is held as %d", (int)number);
    return row;
}

UNUSED static void expect_text(struct slice record, const char *name, const char *text)
{
    struct slice value = record_get(record, name);
    if (!slice_is(value, text))
        fail_msg("%s: expected \"%s\", got \"%.*s\"", name, text, SLICE_ARG(value));
}

UNUSED static struct books read_books(void)
{
    struct err err = ERR_INIT;
    struct books books;
    struct picture *picture = picture_open(kit.store, &err);
    assert_non_null(picture);
    books_read(picture, &books);
    picture_close(picture);
    return books;
}

/* For every flow and lane the difference is zero. */
UNUSED static void expect_balance(void)
{
    struct books books = read_books();
    for (size_t i = 0; i < books.flow_count; i++)
        if (books.flows[i].difference)
            fail_msg("flow %s: the books differ by %d", books.flows[i].name, (int)books.flows[i].difference);
    for (size_t i = 0; i < books.lane_count; i++)
        if (books.lanes[i].difference)
            fail_msg("lane %s: the books differ by %d", books.lanes[i].name, (int)books.lanes[i].difference);
    books_clear(&books);
}

#endif
