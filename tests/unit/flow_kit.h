/* flow_kit.h - flows written in the test, on the connections of core_kit.h */
#ifndef HEADGATE_TESTS_UNIT_FLOW_KIT_H
#define HEADGATE_TESTS_UNIT_FLOW_KIT_H

#include "core/flow/flow.h"
#include "core/flow/run.h"

#include "core_kit.h"

/* The connection "feed" may be of a real adapter: a test defines these three before it includes this. */
#ifndef FEED
#define FEED fake
#define FEED_NAME "fake"
#define FEED_ON "{topic: t}"
#endif

static const struct adapter *const known[] = {&fake, &FEED, NULL};
static struct config *config;
static struct rulebook rules;

static struct connection *find_connection(void *context, const char *name)
{
    (void)context;
    for (int i = 0; i < 2; i++)
        if (strcmp(kit.connections[i].name, name) == 0)
            return &kit.connections[i];
    return NULL;
}

UNUSED static void config_open(void)
{
    static const char text[] = "environment: test\ndata: data\nconnections:\n"
                               "  box: {adapter: fake}\n  feed: {adapter: " FEED_NAME "}\n";
    char path[200];
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "%s/headgate.yaml", test_folder());
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    config = config_load_with(path, known, false, &err);
    if (!config)
        fail_msg("%s", err.text);
}

UNUSED static void config_close(void)
{
    config_free(config);
    rulebook_clear(&rules);
    config = NULL;
}

#define HEAD "flow: f\ntitle: A flow\nowner: us\non: {feed: " FEED_ON "}\nuses: [box]\n"
#define EVENT "event: {id: body.id, key: body.key}\n"
#define MANIFEST HEAD EVENT
#define TELL "function step.run(event) box.put { text = event.id } end "
#define LOOK_UP "function step.run(event) box.get { name = event.id } box.put { text = event.id } end "
#define FLOW(functions) "local step = {} " functions "return step"

static struct release *release_of(const char *manifest, const char *lua)
{
    struct err err = ERR_INIT;
    struct release *release = release_new(RELEASE_FLOW, "f");
    assert_true(release_add(release, "flow.yaml", slice_of(manifest), &err));
    assert_true(release_add(release, "flow.lua", slice_of(lua), &err));
    assert_true(release_add(release, "templates/a.txt", slice_of("content of a"), &err));
    release_seal(release);
    return release;
}

UNUSED static struct instance *instance_of(const char *manifest, const char *lua)
{
    struct err err = ERR_INIT;
    struct instance_options options = {.config = config, .rulebook = &rules, .connection = find_connection};
    struct instance *instance = instance_new(release_of(manifest, lua), &options, &err);
    if (!instance)
        fail_msg("%s", err.text);
    return instance;
}

/* ---- a flow at work ------------------------------------------------------------------------------- */

static struct flow_context flows;
static struct flow *flow;
static unsigned concurrency = 4; /* of both lanes */
static unsigned trips;           /* as they were written down */
static struct limits box_limits; /* `fuse:` of the connection */

static void on_trip(void *context, struct change *change, struct flow *which)
{
    (void)context;
    assert_non_null(change);
    assert_non_null(flow_tripped(which));
    trips++;
}

static bool is_parked(void *context, const char *name)
{
    (void)context;
    return flow && strcmp(name, "f") == 0 && flow_tripped(flow);
}

static void on_answer(void *context, struct change *change, const struct connection *connection, const char *name,
                      bool is_good, const char *text)
{
    (void)context;
    if (strcmp(name, "f") == 0)
        flow_note_answer(flow, change, connection, is_good, text);
}

static void tell_flow(void *context, struct change *change, const struct lane_outcome *outcome)
{
    (void)context;
    assert_true(slice_is(outcome->flow, "f"));
    flow_outcome(flow, change, outcome);
}

/* Every release has the one file of release_of. */
static bool has_no_release;

static void *open_release(void *context, const char *name, const char *hash, struct err *err)
{
    (void)context, (void)name, (void)hash;
    if (has_no_release)
        err_set(err, "its release is gone");
    return has_no_release ? NULL : mem_text("content of a");
}

static bool find_file(const void *release, const char *path, struct slice *content)
{
    *content = slice_of(release);
    return strcmp(path, "templates/a.txt") == 0;
}

static void list_files(const void *release, const char *prefix, struct buf *names)
{
    (void)release, (void)prefix;
    buf_add_text(names, "templates/a.txt");
}

static void close_release(void *release)
{
    free(release);
}

static const struct lane_releases releases = {open_release, find_file, list_files, close_release, NULL};

static bool allows(void *context, struct change *change, struct fuse_claim **claim, const struct lane_listed *listed)
{
    (void)context;
    return flow_may_feed(flow, change, claim, listed);
}

static void count_fed(void *context, struct change *change, struct fuse_claim *claim)
{
    flows_count_fed(context, change, claim);
}

static void have_fed(void *context, struct fuse_claim *claim)
{
    flows_have_fed(context, claim);
}

static const struct lane_fuses list_fuses = {allows, count_fed, have_fed, &flows};

UNUSED static void make_flow(struct instance *instance)
{
    flows = (struct flow_context){.loop = &kit.loop,
                                  .store = kit.store,
                                  .held = &kit.held,
                                  .connection = find_connection,
                                  .on_trip = on_trip,
                                  .takes_events = true};
    kit.on_outcome = tell_flow;
    fuses_open(&flows.fuses, kit.store);
    for (int i = 0; i < 2; i++)
        kit_lane_with(i, &(struct lane_options){.concurrency = concurrency,
                                                .receipts_ms = 86400000,
                                                .is_parked = is_parked,
                                                .on_answer = on_answer,
                                                .on_outcome = tell_flow,
                                                .releases = &releases,
                                                .fuses = &list_fuses});
    kit.connections[0].fuse = &box_limits;
    trips = 0;
    flow = flow_new(&flows, "f");
    flow_switch(flow, instance);
    flow_set_gate(flow, true);
}

UNUSED static void flow_open(const char *manifest, const char *lua)
{
    config_open();
    kit_open();
    make_flow(instance_of(manifest, lua));
}

/* As the engine does: runs are given up, the store ends, then the flow is freed. */
static void flow_end(void)
{
    flows.takes_events = false;
    flow_adjust(flow);
    flow_cancel_runs(flow);
    for (int i = 0; i < 2; i++)
        lane_stop(kit.connections[i].lane);
    struct flow_view view;
    WAIT_UNTIL((flow_look(flow, &view), view.under_way == 0));
    flow_free(flow); /* its handles close with those of the store */
}

UNUSED static void flow_close(void)
{
    flow_end();
    kit_close();
    fuses_clear(&flows.fuses);
    box_limits = (struct limits){.failures_in_a_row = 0};
    config_close();
}

UNUSED static void flow_reopen(const char *manifest, const char *lua)
{
    flow_end();
    kit_reopen();
    fuses_clear(&flows.fuses);
    make_flow(instance_of(manifest, lua));
}

UNUSED static struct flow_view flow_now(void)
{
    struct flow_view view;
    flow_look(flow, &view);
    return view;
}

static struct source *source_now(void)
{
    assert_true(kit.source_count > 0);
    return kit.sources[(kit.source_count - 1) % 100];
}

static bool is_again; /* the source says of the next events that it delivers them again */

static void arrive_record(struct buf *record, uint64_t token)
{
    struct event *event = event_new(buf_slice(record));
    event->token = token;
    event->is_redelivered = is_again;
    buf_clear(record);
    source_event(source_now(), event);
}

/* An event with this body. */
UNUSED static void arrive(uint64_t token, const char *body)
{
    struct buf record = BUF_INIT(1 << 20);
    record_add_text(&record, "body", slice_of(body));
    arrive_record(&record, token);
}

UNUSED static void arrive_id(uint64_t token, const char *id, const char *key)
{
    char body[600];
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"key\":\"%s\"}", id, key);
    arrive(token, body);
}

UNUSED static bool was_acked(uint64_t token)
{
    for (size_t i = 0; i < kit.ack_count; i++)
        if (kit.acked[i] == token)
            return true;
    return false;
}

UNUSED static bool was_returned(uint64_t token)
{
    for (size_t i = 0; i < kit.return_count; i++)
        if (kit.returned[i] == token)
            return true;
    return false;
}

/* The texts that the outbox was asked for, in order, with commas. */
static bool add_asked(void *context, struct slice key, struct slice row)
{
    struct buf *texts = context;
    (void)key;
    buf_addf(texts, "%s%.*s", texts->size ? "," : "", SLICE_ARG(record_get(record_get(row, "fields"), "text")));
    return true;
}

UNUSED static void expect_asked(const char *wanted)
{
    struct buf texts = BUF_INIT(100000);
    buf_add_text(&texts, "");
    store_scan(kit.store, TABLE_OUTBOX, SLICE_NONE, SLICE_NONE, add_asked, &texts);
    if (strcmp(texts.data ? texts.data : "", wanted) != 0)
        fail_msg("asked for \"%s\", not \"%s\"", texts.data, wanted);
    buf_clear(&texts);
}

/* So many were acknowledged, no more come, and the books balance. */
UNUSED static void expect_acks(size_t count)
{
    WAIT_UNTIL(kit.ack_count >= count);
    let_happen();
    assert_int_equal(kit.ack_count, count);
    expect_balance();
}

UNUSED static struct question *question(size_t nth)
{
    WAIT_UNTIL(kit.question_count >= nth);
    return kit.questions[nth - 1];
}

#endif
