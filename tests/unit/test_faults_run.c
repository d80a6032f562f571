/* test_faults_run.c - whatever fails under a run, an event that was acknowledged has had its effect, once */
#include "faults.h"
#include "flow_kit.h"

#include "core/flow/internal.h"
#include "core/lua/inside.h"

#define EVENTS 6

static const char lua[] = FLOW("function step.run(event) "
                               "  if event.body.bad then error 'not today' end "
                               "  if event.body.look then box.get { name = event.id } end "
                               "  box.put { text = event.id } "
                               "end ");

static const char *const bodies[EVENTS + 1] = {
    NULL,
    "{\"id\":\"e1\",\"key\":\"k\"}",
    "{\"id\":\"e2\",\"key\":\"k\",\"bad\":true}",
    "{\"id\":\"e3\",\"key\":\"k\",\"look\":true}",
    "{\"id\":\"e4\",\"key\":\"j\",\"look\":true}", /* waits in the inbox: the first look-up says later */
    "{\"id\":\"e1\",\"key\":\"k\"}",               /* a repeat */
    "{not to be read",
};
#define ASKED 3 /* e1, e3, e4 */
#define HELD 2  /* e2, and what cannot be read */
#define LATER (NOTED_MOST - 1)

static void note_ack(struct event *event)
{
    noted->is_done[event->token] = true;
}

static void look_up(struct question *question)
{
    if (slice_is(record_get(question->fields, "name"), "e4") && !noted->times[LATER]++)
        question_later(question, "busy");
    else
        question_answer(question, slice_of("{}"));
}

static void deliver(struct delivery *delivery)
{
    delivery_done(delivery, "ok");
}

static void open_flow(struct instance *instance)
{
    kit.on_ack = note_ack;
    kit.on_ask = look_up;
    kit.on_deliver = deliver;
    make_flow(instance);
}

static bool all_acked(void)
{
    for (int token = 1; token <= EVENTS; token++)
        if (!noted->is_done[token])
            return false;
    return true;
}

static bool is_quiet(void)
{
    struct flow_view view = flow_now();
    return view.under_way == 0 && rows_in(TABLE_INBOX) == 0 && rows_in(TABLE_OUTBOX) == 0;
}

/* What waits for its next try need not: the clock is put forward. */
static bool becomes_quiet(void)
{
    if (is_quiet())
        return true;
    if (rows_in(TABLE_INBOX)) {
        clock_set_ms(clock_now_ms() + 1000);
        flow->is_woken = true;
    }
    return false;
}

static void bring(void)
{
    for (uint64_t token = 1; token <= EVENTS; token++)
        if (!noted->is_done[token])
            arrive(token, bodies[token]);
    WAIT_UNTIL(all_acked());
    WAIT_UNTIL(becomes_quiet());
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

static void check(void)
{
    config_open();
    kit_open();
    open_flow(instance_of(MANIFEST, lua));
    is_again = true;
    bring(); /* the source delivers again what was not acknowledged */
    is_again = false;
    if (counter("lane.box.asked") != ASKED || rows_in(TABLE_HELD) != HELD)
        fail_msg("call %d, %s: %d effects and %d held, not %d and %d", call_to_fail, noted->call,
                 (int)counter("lane.box.asked"), (int)rows_in(TABLE_HELD), ASKED, HELD);
    assert_int_equal(counter("lane.box.delivered"), ASKED);
    assert_int_equal(counter("flow.f.finished"), ASKED);
    expect_balance();
    arrive(7, "{\"id\":\"e7\",\"key\":\"k\"}"); /* and work goes on */
    WAIT_UNTIL(noted->is_done[7] && becomes_quiet());
    assert_int_equal(counter("lane.box.asked"), ASKED + 1);
    flow_close();
}

static const struct scenario scenario = {work, check};

TEST(each_call_of_lmdb_may_fail_under_a_run)
{
    fail_each_call(FAULT_LMDB, &scenario);
}

TEST(each_write_may_fail_under_a_run)
{
    fail_each_call(FAULT_DISK, &scenario);
}

TEST(each_allocation_may_fail_in_a_run)
{
    fail_each_call(FAULT_MEMORY, &scenario);
}

/* ---- the memory of a flow's world: a ceiling, not the machine's ------------------------------------------------- */

static const char hungry[] = FLOW("function step.run(event) "
                                  "  if event.body.id:find 'well' then return end "
                                  "  local parts = {} "
                                  "  for i = 1, 30 do parts[i] = { text = ('x'):rep(i * 40) .. event.id } end "
                                  "  local ok, text = pcall(function() return json.encode(parts) end) "
                                  "  box.put { text = tostring(#text) } "
                                  "end ");

static void arrive_and_wait(uint64_t token, const char *name)
{
    char id[40];
    snprintf(id, sizeof id, "%s-%d", name, (int)token);
    arrive_id(token, id, "k");
    WAIT_UNTIL(was_acked(token));
}

/* The ceiling comes a few bytes later each time, so every allocation of the run is once the first that is too many; and
 * half of that ceiling, so that one is refused outright. */
TEST(a_run_for_which_its_world_has_no_memory_is_held_and_the_next_one_runs)
{
    config_open();
    kit_open();
    struct instance *instance = instance_of(MANIFEST, hungry);
    make_flow(instance);
    kit.on_deliver = deliver;
    struct world *world = instance->world;
    size_t ceiling = world->options.memory_bytes, finished = 0, held = 0, more = 0;
    uint64_t token = 100;
    for (; more < 400000 && finished < 4; more += 64) {
        for (int part = 1; part <= 2; part++) {
            world->options.memory_bytes = (world_memory(world) + more) / (size_t)part;
            arrive_and_wait(++token, "hungry");
            world->options.memory_bytes = ceiling;
            arrive_and_wait(++token, "well");
            finished += rows_in(TABLE_HELD) == held;
            held = rows_in(TABLE_HELD);
        }
    }
    print_message("# %zu runs were held, until %zu bytes were enough\n", held, more);
    struct slice reason = record_get(held_row(1), "reason");
    assert_non_null(memmem(reason.data, reason.size, "memory", 6));
    assert_true(held > 20 && finished >= 4);
    expect_balance();
    flow_close();
}
