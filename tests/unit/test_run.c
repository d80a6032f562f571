/* test_run.c - one event passing through a release: fields, effects, steps, reads */
#include "flow_kit.h"

#define STEPS HEAD EVENT "limits: {effects_per_event: 3}\nsteps:\n"
#define RUN HEAD EVENT "limits: {effects_per_event: 3}\n"

static int endings;
static enum run_outcome outcome;

static void on_ended(struct run *run, enum run_outcome how)
{
    (void)run;
    endings++;
    outcome = how;
}

static void open_connections(void)
{
    memset(&kit, 0, sizeof kit);
    config_open();
    kit.connections[0] = (struct connection){.name = "box", .adapter = &fake, .is_open = true};
    kit.connections[1] = (struct connection){.name = "feed", .adapter = &fake, .is_open = true};
}

/* An admitted run of the event with this id; the caller starts it. */
static struct run *admitted(struct instance *instance, const char *id)
{
    struct buf record = BUF_INIT(10000);
    struct err err = ERR_INIT;
    char body[200];
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"key\":\"k\",\"big\":9007199254740993,\"list\":[],\"nothing\":null}",
             id);
    record_add_text(&record, "body", slice_of(body));
    record_add(&record, "headers", RECORD_JSON, slice_of("{\"h\":1}"));
    struct run *run = run_new(instance, 1000);
    run->ended = on_ended;
    if (!run_admit(run, buf_slice(&record), "given", &err))
        fail_msg("%s", err.text);
    buf_clear(&record);
    return run;
}

static struct run *started(struct instance *instance, const char *id)
{
    struct run *run = admitted(instance, id);
    endings = 0;
    run_start(run);
    return run;
}

/* Runs `lua` as the one function of a flow. */
static struct run *run_of(const char *lua)
{
    char source[3000];
    snprintf(source, sizeof source, "return { run = function(event) %s end }", lua);
    struct instance *instance = instance_of(RUN, source);
    struct run *run = started(instance, "e1");
    instance_release(instance);
    return run;
}

static void expect_finished(const char *lua)
{
    open_connections();
    struct run *run = run_of(lua);
    if (endings != 1 || outcome != RUN_FINISHED)
        fail_msg("%s: %s", lua, run->err.text);
    run_free(run);
    config_close();
}

static void expect_failed(const char *lua, const char *why)
{
    open_connections();
    struct run *run = run_of(lua);
    if (endings != 1 || outcome != RUN_FAILED || !strstr(run->err.text, why))
        fail_msg("%s: expected \"%s\", got %d: \"%s\"", lua, why, (int)outcome, run->err.text);
    assert_int_equal(run->asked_count, 0);
    run_free(run);
    config_close();
}

TEST(the_event_has_what_the_source_delivered)
{
    expect_finished("assert(event.id == 'e1' and event.key == 'k' and event.flow == 'f' and event.attempt == 1 "
                    "and event.body.big == 9007199254740993 and event.headers.h == 1 and event.received == 1000 "
                    "and event.time == 1000 and next(event.properties) == nil)");
}

TEST(fields_of_a_verb_are_checked)
{
    expect_finished("box.put { text = 'x', number = 10, choice = 'left', flag = false, list = {'a', 'b'}, wait = '2s', "
                    "any = {a = 1} }");
    expect_failed("box.put {}", "box.put: `text` is missing: what to say");
    expect_failed("box.put { text = 'x', txet = 'y' }", "there is no field `txet`; the fields are text, number");
    expect_failed("box.put { text = 'x', 'y' }", "there is no field `number`");
    expect_failed("box.put { text = 7 }", "`text` must be a text, not number");
    expect_failed("box.put { text = '' }", "`text` has 0 bytes; allowed are 1 to 20");
    expect_failed("box.put { text = ('x'):rep(21) }", "`text` has 21 bytes");
    expect_failed("box.put { text = '\\xff' }", "`text` is not UTF-8");
    expect_failed("box.put { text = 'x', number = 11 }", "`number` is 11; allowed are 1 to 10");
    expect_failed("box.put { text = 'x', number = 1.5 }", "`number` must be an integer");
    expect_failed("box.put { text = 'x', choice = 'up' }", "`choice` must be one of left|right");
    expect_failed("box.put { text = 'x', choice = 'lef' }", "`choice` must be one of left|right");
    expect_failed("box.put { text = 'x', flag = 'yes' }", "`flag` must be true or false, not string");
    expect_failed("box.put { text = 'x', list = 'a' }", "`list` must be a list of texts");
    expect_failed("box.put { text = 'x', wait = 'soon' }", "`wait` must be a duration");
    expect_failed("box.put { text = 'x', wait = '2h' }", "`wait` is 7200000");
    expect_failed("box.put { text = 'x', any = function() end }", "`any`");
    expect_failed("box.put 'x'", "box.put takes one table of fields");
    expect_failed("box.put({text = 'x'}, 2)", "box.put takes one table of fields");
    expect_failed("box.get { name = 'x', other = 1 }", "there is no field `other`; the fields are name");
    expect_failed("feed.put { text = 'x' }", "feed");
}

TEST(an_event_may_ask_for_so_many_effects_and_no_more)
{
    expect_finished("for i = 1, 3 do box.put { text = 'x' } end");
    expect_failed("for i = 1, 4 do box.put { text = 'x' } end", "more than 3 effects");
}

TEST(a_verb_prepares_its_effect_with_the_files_of_the_flow)
{
    open_connections();
    struct run *run = run_of("box.picky { text = 'x', file = 'templates/a.txt' }");
    assert_int_equal(run->asked_count, 1);
    expect_text(buf_slice(&run->asked[0].fields), "twice", "x");
    expect_text(buf_slice(&run->asked[0].fields), "file", "content of a");
    run_free(run);
    config_close();
    expect_failed("box.picky { text = 'bad' }", "box.picky: bad is not wanted");
    expect_failed("box.picky { text = 'x', file = 'templates/b.txt' }", "there is no file templates/b.txt");
}

TEST(of_an_effect_whose_error_the_flow_caught_nothing_stays)
{
    open_connections();
    struct run *run = run_of("assert(not pcall(box.picky, { text = 'bad' })) box.put { text = 'good' }");
    assert_int_equal(outcome, RUN_FINISHED);
    assert_int_equal(run->asked_count, 1);
    expect_text(buf_slice(&run->asked[0].fields), "text", "good");
    run_free(run);
    config_close();
}

/* ---- ids ------------------------------------------------------------------------------------------------- */

#define TWO_STEPS STEPS "  - do: one\n  - do: two\n"
#define TWO_PUTS                                                                                                       \
    "local s = {} function s.one() box.put { text = 'a' } box.put { text = 'a' } end "                                 \
    "function s.two() box.put { text = 'a' } end return s"

TEST(ids_of_effects_are_the_same_in_every_run_and_differ_by_event_step_and_position)
{
    open_connections();
    struct instance *instance = instance_of(TWO_STEPS, TWO_PUTS);
    struct run *runs[] = {started(instance, "e1"), started(instance, "e1"), started(instance, "e2")};
    const char *ids[6];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(runs[i]->asked_count, 3);
        assert_string_equal(runs[0]->asked[i].id, runs[1]->asked[i].id);
        assert_int_equal(strlen(runs[0]->asked[i].id), EFFECT_ID_SIZE - 1);
        ids[i] = runs[0]->asked[i].id;
        ids[3 + i] = runs[2]->asked[i].id;
    }
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    for (int i = 0; i < 3; i++)
        run_free(runs[i]);
    instance_release(instance);
    config_close();
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

#define ASKING STEPS "  - ask: a\n    no: stop\n  - ask: b\n    yes: d\n  - do: c\n  - do: d\n"

static void expect_trail(const char *functions, const char *trail)
{
    open_connections();
    char source[1000];
    snprintf(source, sizeof source, "local s = {} function s.c() end function s.d() return nil, 'done' end %s return s",
             functions);
    struct instance *instance = instance_of(ASKING, source);
    struct run *run = started(instance, "e1");
    if (outcome != RUN_FINISHED || strcmp(run->trail.data, trail) != 0)
        fail_msg("%s: %s %s", functions, run->err.text, run->trail.data);
    run_free(run);
    instance_release(instance);
    config_close();
}

TEST(asks_jump_as_the_manifest_says_and_the_trail_tells)
{
    expect_trail("function s.a() return false, 'not \"today\"' end function s.b() end",
                 "{\"step\":\"a\",\"answer\":false,\"why\":\"not \\\"today\\\"\"}");
    expect_trail("function s.a() return true end function s.b() return true end",
                 "{\"step\":\"a\",\"answer\":true},{\"step\":\"b\",\"answer\":true},{\"step\":\"d\",\"why\":\"done\"}");
    expect_trail("function s.a() return true end function s.b() return false end",
                 "{\"step\":\"a\",\"answer\":true},{\"step\":\"b\",\"answer\":false},{\"step\":\"c\"},"
                 "{\"step\":\"d\",\"why\":\"done\"}");
}

TEST(an_ask_must_return_true_or_false)
{
    static const char *const bad[] = {"", "return nil", "return 1, 'why'", "return 'true'"};
    for (size_t i = 0; i < 4; i++) {
        open_connections();
        char source[300];
        snprintf(source, sizeof source,
                 "local s = {} function s.a() %s end function s.b() end s.c = s.b s.d = s.b return s", bad[i]);
        struct instance *instance = instance_of(ASKING, source);
        struct run *run = started(instance, "e1");
        assert_int_equal(outcome, RUN_FAILED);
        assert_non_null(strstr(run->err.text, "step a: it is an `ask`, so it must return true or false"));
        run_free(run);
        instance_release(instance);
        config_close();
    }
}

TEST(a_step_that_fails_forgets_the_effects_of_all_steps)
{
    open_connections();
    struct instance *instance = instance_of(
        TWO_STEPS, "local s = {} function s.one() box.put { text = 'a' } end function s.two() error 'no' end return s");
    struct run *run = started(instance, "e1");
    assert_int_equal(outcome, RUN_FAILED);
    assert_int_equal(run->asked_count, 0);
    assert_non_null(strstr(run->err.text, "step two: "));
    run_free(run);
    run = started(instance, "e2"); /* and the world is as good as before */
    assert_int_equal(endings, 1);
    run_free(run);
    instance_release(instance);
    config_close();
}

/* ---- reads --------------------------------------------------------------------------------------------------- */

#define READS                                                                                                          \
    "local a = box.get { name = event.id } local b = box.get { name = 'second' } "                                     \
    "box.put { text = a.n .. (b and 'something' or 'nothing') }"

TEST(a_run_waits_for_its_reads_and_two_runs_interleave)
{
    open_connections();
    struct instance *instance = instance_of(RUN, "return { run = function(event) " READS " end }");
    struct run *one = started(instance, "one"), *two = started(instance, "two");
    assert_int_equal(endings, 0);
    assert_int_equal(kit.question_count, 2);
    expect_text(kit.questions[1]->fields, "name", "two");
    question_answer(kit.questions[1], slice_of("{\"n\":\"2\"}"));
    question_answer(kit.questions[0], slice_of("{\"n\":\"1\"}"));
    expect_text(kit.questions[2]->fields, "name", "second");
    question_answer(kit.questions[3], slice_of("null"));
    assert_int_equal(endings, 1);
    question_answer(kit.questions[2], slice_of("[1]"));
    assert_int_equal(endings, 2);
    expect_text(buf_slice(&one->asked[0].fields), "text", "1nothing");
    expect_text(buf_slice(&two->asked[0].fields), "text", "2something");
    assert_string_not_equal(one->asked[0].id, two->asked[0].id);
    run_free(one);
    run_free(two);
    instance_release(instance);
    config_close();
}

TEST(a_read_that_said_later_or_never_ends_the_run_without_effects)
{
    for (int final = 0; final < 2; final++) {
        open_connections();
        struct run *run = run_of("box.put { text = 'x' } pcall(box.get, { name = 'n' })");
        assert_int_equal(endings, 0);
        if (final)
            question_never(kit.questions[0], "gone: %d", 410);
        else
            question_later(kit.questions[0], "busy: %d", 503);
        assert_int_equal(endings, 1);
        assert_int_equal(outcome, final ? RUN_FAILED : RUN_LATER);
        assert_int_equal(run->asked_count, 0);
        assert_non_null(strstr(run->err.text, final ? "box.get: gone: 410" : "box.get: busy: 503"));
        run_free(run);
        config_close();
    }
}

TEST(an_answer_to_a_run_that_is_gone_harms_nobody)
{
    open_connections();
    struct run *run = run_of("box.get { name = 'n' } box.put { text = 'x' }");
    run_cancel(run);
    run_free(run);
    question_answer(kit.questions[0], slice_of("{}"));
    run = run_of("box.get { name = 'n' }");
    run_free(run); /* without cancelling first */
    question_later(kit.questions[1], "busy");
    assert_int_equal(endings, 0);
    config_close();
}

TEST(an_answer_that_is_not_json_fails_the_run)
{
    open_connections();
    struct run *run = run_of("box.get { name = 'n' }");
    question_answer(kit.questions[0], slice_of("{\"half\":"));
    assert_int_equal(outcome, RUN_FAILED);
    assert_non_null(strstr(run->err.text, "step run: get: "));
    run_free(run);
    config_close();
}

static void answer_at_once(struct question *question)
{
    question_answer(question, slice_of("1"));
}

static void refuse_at_once(struct question *question)
{
    question_never(question, "no");
}

TEST(reads_that_are_answered_at_once_do_not_pile_up_on_the_stack)
{
    open_connections();
    kit.on_ask = answer_at_once;
    struct run *run = run_of("local sum = 0 for i = 1, 800 do sum = sum + box.get { name = 'n' } end "
                             "box.put { text = tostring(sum) }");
    if (outcome != RUN_FINISHED)
        fail_msg("%s", run->err.text);
    expect_text(buf_slice(&run->asked[0].fields), "text", "800");
    run_free(run);
    kit.on_ask = refuse_at_once;
    run = run_of("box.get { name = 'n' }");
    assert_int_equal(endings, 1);
    assert_int_equal(outcome, RUN_FAILED);
    run_free(run);
    config_close();
}

TEST(a_read_where_a_run_cannot_wait_is_refused_with_words)
{
    expect_failed("table.sort({3, 2, 1}, function(a, b) box.get { name = 'n' } return a < b end)",
                  "cannot do so inside of a comparator");
}

TEST(verbs_are_only_there_inside_of_a_step)
{
    open_connections();
    struct err err = ERR_INIT;
    struct instance_options options = {.config = config, .rulebook = &rules, .connection = find_connection};
    assert_null(
        instance_new(release_of(RUN, "box.put { text = 'x' } return { run = function() end }"), &options, &err));
    assert_non_null(strstr(err.text, "box can only be used inside of a step"));
    config_close();
}

TEST(a_release_that_does_not_fit_its_manifest_is_refused)
{
    static const char *const bad[][2] = {
        {"return 1", "must end with `return step`"},
        {"return { one = function() end }", "it has no function step.two, which flow.yaml names in line"},
        {"return { one = function() end, two = 3 }", "no function step.two"},
        {"return {", "flow.lua:1"},
    };
    open_connections();
    struct instance_options options = {.config = config, .rulebook = &rules, .connection = find_connection};
    for (size_t i = 0; i < 4; i++) {
        struct err err = ERR_INIT;
        assert_null(instance_new(release_of(TWO_STEPS, bad[i][0]), &options, &err));
        if (!strstr(err.text, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], err.text);
    }
    config_close();
}
