/* test_faults_campaign.c - whatever fails, a campaign writes to nobody twice, and misses nobody without saying so */
#include "faults.h"
#include "flow_kit.h"

#include "core/campaign/campaign.h"

#define EVENTS 4
static const struct {
    const char *campaign, *to;
} events[EVENTS + 1] = {[1] = {"c", "ada"}, [2] = {"c", "ADA"}, [3] = {"c", "bob"}, [4] = {"d", "ada"}};
static const char *const letters[] = {"c-ada", "c-bob", "d-ada", NULL};

static const char lua[] = FLOW("function step.run(event) "
                               "  local c, to = event.body.campaign, event.body.to "
                               "  box.tell { campaign = c, to = to, text = c .. '-' .. to:lower() } "
                               "end ");

static void note_ack(struct event *event)
{
    noted->is_done[event->token] = true;
}

static void deliver(struct delivery *delivery)
{
    for (int i = 0; letters[i]; i++)
        if (slice_is(record_get(delivery->fields, "text"), letters[i]))
            noted->times[i]++;
    delivery_done(delivery, "ok");
}

static void open_flow(struct instance *instance)
{
    kit.on_ack = note_ack;
    kit.on_deliver = deliver;
    make_flow(instance);
}

static void bring(void)
{
    for (uint64_t token = 1; token <= EVENTS; token++) {
        char body[200];
        snprintf(body, sizeof body, "{\"id\":\"e%d\",\"key\":\"%d\",\"campaign\":\"%s\",\"to\":\"%s\"}", (int)token,
                 (int)token, events[token].campaign, events[token].to);
        if (!noted->is_done[token])
            arrive(token, body);
    }
    for (uint64_t token = 1; token <= EVENTS; token++)
        WAIT_UNTIL(noted->is_done[token]);
    WAIT_UNTIL(lane_is_idle(kit.connections[0].lane) && rows_in(TABLE_OUTBOX) == 0);
}

static void work(void)
{
    config_open();
    kit_open();
    struct instance *instance = instance_of(MANIFEST, lua);
    arm();
    open_flow(instance);
    bring();
    flow_end();
    kit_shut();
}

static bool note_held(void *context, struct slice key, struct slice row)
{
    bool *is_held = context;
    struct slice fields = record_get(record_get(row, "item"), "fields");
    (void)key;
    expect_text(row, "verdict", "unknown");
    for (int i = 0; letters[i]; i++)
        if (slice_is(record_get(fields, "text"), letters[i]))
            is_held[i] = true;
    return true;
}

static void check(void)
{
    bool is_held[NOTED_MOST] = {false};
    config_open();
    kit_open();
    open_flow(instance_of(MANIFEST, lua));
    is_again = true;
    bring(); /* the source delivers again what was not acknowledged */
    is_again = false;
    store_scan(kit.store, TABLE_HELD, SLICE_NONE, SLICE_NONE, note_held, is_held);
    for (int i = 0; letters[i]; i++)
        if (noted->times[i] > 1 || (!noted->times[i] && !is_held[i]))
            fail_msg("call %d, %s: %s was written to %u times, and is%s held", call_to_fail, noted->call, letters[i],
                     noted->times[i], is_held[i] ? "" : " not");
    assert_int_equal(campaign_counted(kit.store, "box", slice_of("c"), CAMPAIGN_TOTAL), 3);
    assert_int_equal(campaign_counted(kit.store, "box", slice_of("c"), CAMPAIGN_DUPLICATE), 1);
    assert_int_equal(rows_in(TABLE_LEDGER), 3);
    expect_balance();
    expect_nothing_found();
    flow_close();
}

static const struct scenario scenario = {work, check};

TEST(each_call_of_lmdb_may_fail_under_a_campaign)
{
    fail_each_call(FAULT_LMDB, &scenario);
}

TEST(each_write_may_fail_under_a_campaign)
{
    fail_each_call(FAULT_DISK, &scenario);
}

TEST(each_allocation_may_fail_under_a_campaign)
{
    fail_each_call(FAULT_MEMORY, &scenario);
}
