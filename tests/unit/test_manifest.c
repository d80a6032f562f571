/* test_manifest.c - flow.yaml: what it may say, and how mistakes in it are answered */
#include "core/flow/manifest.h"

#include "test.h"

static const struct option no_options[] = {OPTION_END};
static const struct option broker_sources[] = {
    {.name = "exchange", .kind = OPTION_TEXT, .is_required = true, .help = "where the events are published"},
    {.name = "keys", .kind = OPTION_LIST, .fallback = "#"},
    OPTION_END,
};
static const struct verb verbs[] = {{.name = "send"}, {.name = NULL}};
static const struct query queries[] = {{.name = "get"}, {.name = NULL}};

static const struct adapter fake_broker = {
    .name = "amqp", .options = no_options, .source_options = broker_sources, .verbs = verbs};
static const struct adapter fake_crm = {.name = "salesforce", .options = no_options, .queries = queries};
static const struct adapter fake_mail = {.name = "smtp", .options = no_options, .verbs = verbs};
static const struct adapter fake_clock = {.name = "timer", .options = no_options, .source_options = no_options};

static struct config_connection connections[] = {
    {.name = "broker", .adapter = &fake_broker, .next = &connections[1]},
    {.name = "crm", .adapter = &fake_crm, .next = &connections[2]},
    {.name = "alerts", .adapter = &fake_mail, .next = &connections[3]},
    {.name = "mail", .adapter = &fake_mail, .next = &connections[4]},
    {.name = "clock", .adapter = &fake_clock},
};
static const struct config config = {.path = "/etc/headgate.yaml", .connections = connections};

static struct err why;

static struct manifest *parse(const char *source)
{
    why = (struct err)ERR_INIT;
    return manifest_parse("flow.yaml", slice_of(source), &config, &why);
}

static void is_wrong(const char *source, const char *expected)
{
    struct manifest *manifest = parse(source);
    if (manifest)
        fail_msg("was not refused:\n%s", source);
    if (strcmp(why.text, expected) != 0)
        fail_msg("\n%s\nsays      %s\nexpected  %s", source, why.text, expected);
}

#define HEAD "flow: f\ntitle: t\nowner: o\n" /* three lines */
#define ON "on: {broker: {exchange: e}}\n"   /* one line */
#define EVENT "event: {id: body.id}\n"       /* one line */

TEST(the_flow_of_the_design_is_understood)
{
    struct manifest *manifest =
        parse("flow: offline-case\ntitle: Open a case when a controller goes offline\nowner: support-operations\n"
              "on:\n  broker:\n    exchange: backend.anomalies\n    keys: [\"anomaly.offline.#\"]\n"
              "event:\n  id: body.anomaly_id\n  key: body.controller_id\n  remember: 7d\n  expires: 2h\n"
              "when_off: hold\nuses: [crm, alerts, mail]\nlimits: {effects_per_event: 25}\nsteps:\n"
              "  - do: find_site\n    title: Look the controller up in the site mirror\n"
              "  - ask: is_monitored\n    title: Has the customer bought monitoring?\n    no: stop\n"
              "  - do: open_case\n  - do: tell_contacts\n");
    if (!manifest)
        fail_msg("%s", why.text);
    assert_string_equal(manifest->name, "offline-case");
    assert_string_equal(manifest->owner, "support-operations");
    assert_string_equal(manifest->sources->connection, "broker");
    assert_string_equal(settings_text(manifest->sources->settings, "exchange"), "backend.anomalies");
    assert_string_equal(settings_item(manifest->sources->settings, "keys", 0), "anomaly.offline.#");
    assert_null(manifest->sources->next);
    assert_string_equal(manifest->id_path, "body.anomaly_id");
    assert_string_equal(manifest->key_path, "body.controller_id");
    assert_null(manifest->time_path);
    assert_int_equal(manifest->format, FORMAT_JSON);
    assert_true(manifest->remember_ms == INT64_C(604800000));
    assert_true(manifest->expires_ms == 7200000);
    assert_true(manifest->body_limit == 1 << 20);
    assert_false(manifest->drops_when_off);
    assert_string_equal(manifest->uses[2], "mail");
    assert_null(manifest->uses[3]);
    assert_true(manifest->effects_per_event == 25);
    assert_int_equal(manifest->step_count, 4);
    assert_int_equal(manifest->steps[1].kind, STEP_ASK);
    assert_int_equal(manifest->steps[1].yes, 2);
    assert_int_equal(manifest->steps[1].no, STEP_STOP);
    assert_int_equal(manifest->steps[1].line, 19);
    assert_string_equal(manifest->steps[0].title, "Look the controller up in the site mirror");
    assert_null(manifest->steps[2].title);
    manifest_free(manifest);
}

TEST(the_smallest_flow_has_its_defaults)
{
    struct manifest *manifest = parse(HEAD ON "event: {id: none}\nwhen_off: drop\n");
    if (!manifest)
        fail_msg("%s", why.text);
    assert_null(manifest->id_path);
    assert_true(manifest->remember_ms == INT64_C(604800000));
    assert_true(manifest->expires_ms == 0);
    assert_true(manifest->effects_per_event == 20);
    assert_true(manifest->drops_when_off);
    assert_null(manifest->uses[0]);
    assert_int_equal(manifest->step_count, 0);
    manifest_free(manifest);
}

TEST(a_manifest_can_be_looked_at_without_its_configuration)
{
    struct manifest *manifest =
        manifest_parse("flow.yaml", slice_of(HEAD "on: {nobody: {any: thing}}\nuses: [nothing]\n" EVENT), NULL, &why);
    if (!manifest)
        fail_msg("%s", why.text);
    assert_string_equal(manifest->sources->connection, "nobody");
    assert_null(manifest->sources->settings);
    assert_string_equal(manifest->uses[0], "nothing");
    manifest_free(manifest);
}

TEST(a_flow_says_what_it_is)
{
    is_wrong("title: t\nowner: o\n",
             "flow.yaml:1:1: flow is missing here; expected `flow: ` and a text (the name of the "
             "flow, which is its folder's)");
    is_wrong("flow: f\nowner: o\n",
             "flow.yaml:1:1: title is missing here; expected `title: ` and a text (what the flow "
             "does, in a sentence for people)");
    is_wrong("flow: f\ntitle: t\n",
             "flow.yaml:1:1: owner is missing here; expected `owner: ` and a text (who is asked when "
             "something is wrong with it)");
    is_wrong(
        "flow: Offline_Case\ntitle: t\nowner: o\n",
        "flow.yaml:1:7: flow: found \"Offline_Case\"; a flow's name begins with a small letter and goes on with small "
        "letters, digits and -, such as \"offline-case\"");
    is_wrong(HEAD "step: []\n",
             "flow.yaml:4:1: unknown key \"step\"; did you mean \"steps\"? (allowed: flow, title, owner, "
             "when_off, priority, when_unknown, expect, uses, on, event, limits, steps)");
    is_wrong(
        HEAD "expect: 1 per 15m\n",
        "flow.yaml:4:9: expect: found \"1 per 15m\"; expected how many events must come in a time of a second to 366 "
        "days, as in `at least 1 per 15m`");
    is_wrong(HEAD "when_off: wait\n", "flow.yaml:4:11: when_off: found \"wait\"; allowed: hold, drop");
    is_wrong(HEAD ON EVENT "title: u\n",
             "flow.yaml:6:1: found the key \"title\" a second time; it already stands in line "
             "2, column 1, and a map has each key only once");
}

TEST(a_flow_listens_to_connections_that_deliver_events)
{
    is_wrong(HEAD EVENT,
             "flow.yaml:1:1: on is missing here; expected at least one connection that events come from, as in "
             "`on: {broker: {...}}`");
    is_wrong(HEAD "on: broker\n" EVENT,
             "flow.yaml:4:5: on: found a text; expected at least one connection that events come "
             "from, as in `on: {broker: {...}}`");
    is_wrong(HEAD "on: {}\n" EVENT,
             "flow.yaml:4:5: on: found an empty map; expected at least one connection that events "
             "come from, as in `on: {broker: {...}}`");
    is_wrong(HEAD "on: {brokr: {exchange: e}}\n" EVENT,
             "flow.yaml:4:6: on: there is no connection \"brokr\" in /etc/headgate.yaml; did you mean \"broker\"? "
             "(connections: broker, clock)");
    is_wrong(HEAD "on: {mail: {exchange: e}}\n" EVENT, "flow.yaml:4:6: on: \"mail\" is a connection of adapter smtp, "
                                                       "and no events come from it; connections that deliver "
                                                       "events: broker, clock");
    is_wrong(HEAD "on:\n  broker:\n    exchnge: e\n" EVENT,
             "flow.yaml:6:5: unknown key \"exchnge\"; did you mean \"exchange\"? (allowed: exchange, keys)");
    is_wrong(
        HEAD "on:\n  broker:\n    keys: [a]\n" EVENT,
        "flow.yaml:6:5: exchange is missing here; expected `exchange: ` and a text (where the events are published)");
    is_wrong(
        HEAD "on: {broker: {exchange: '${env:HOME}'}}\n" EVENT,
        "flow.yaml:4:25: exchange: found a reference ${...}; they are allowed in headgate.yaml only, because a flow "
        "sees no secrets; for a plain ${ write $${");
}

TEST(a_flow_uses_connections_that_can_do_something)
{
    is_wrong(HEAD ON EVENT "uses: [crm, maill]\n",
             "flow.yaml:6:13: uses: there is no connection \"maill\" in /etc/headgate.yaml; did you mean \"mail\"? "
             "(connections: broker, crm, alerts, mail)");
    is_wrong(HEAD ON EVENT "uses: [clock]\n",
             "flow.yaml:6:8: uses: \"clock\" is a connection of adapter timer, and a flow can only listen to it; "
             "connections that do more: broker, crm, alerts, mail");
    is_wrong(HEAD ON EVENT "uses:\n  - crm\n  - crm\n",
             "flow.yaml:8:5: uses: found \"crm\" a second time; once is enough");
    is_wrong(HEAD ON EVENT "uses: crm\n",
             "flow.yaml:6:7: uses: found a text; expected a list of texts such as [\"one\", \"two\"]");
}

TEST(an_event_says_where_its_id_stands)
{
    is_wrong(HEAD ON, "flow.yaml:1:1: event is missing here; expected at least where the id of an event stands, as in "
                      "`event: {id: body.id}`, or `event: {id: none}`, which accepts repeats");
    is_wrong(HEAD ON "event: {key: body.x}\n", "flow.yaml:5:8: id is missing here; expected `id: ` and a text (where "
                                               "an event's id stands, such as body.id; or "
                                               "none, which accepts repeats)");
    is_wrong(HEAD ON "event: {id: anomaly_id}\n",
             "flow.yaml:5:13: id: found \"anomaly_id\"; expected a path such as body.id, headers.id or "
             "properties.message_id, or none");
    is_wrong(
        HEAD ON "event: {id: body.id, key: none}\n",
        "flow.yaml:5:27: key: found \"none\"; expected a path such as body.key, headers.key or properties.message_id");
    is_wrong(
        HEAD ON "event: {id: headers.x, key: body.x, format: text}\n",
        "flow.yaml:5:29: key: found \"body.x\", but with `format: text` a body has no fields; expected a path such as "
        "headers.key or properties.message_id");
    is_wrong(HEAD ON "event: {id: none, remember: 1d}\n", "flow.yaml:5:19: remember: with `id: none` there is nothing "
                                                          "to remember a repeat by; leave it out, or say where "
                                                          "the id stands");
    is_wrong(
        HEAD ON "event: {id: body.id, expires: 2}\n",
        "flow.yaml:5:31: expires: found \"2\"; expected a duration such as 500ms, 30s, 10m, 2h or 7d, from 1s to 366d");
    is_wrong(HEAD ON "event: {id: body.id, format: xml}\n",
             "flow.yaml:5:30: format: found \"xml\"; allowed: json, text");
}

TEST(a_path_is_a_part_of_the_event_and_names_with_dots_between_them)
{
    static const char *const good[] = {"body.a", "body.a.b.c", "headers.x-id", "headers.cloudEvents:id",
                                       "properties.message_id"};
    static const char *const bad[] = {"body",   "body.",    "body..a",  "body.a.", "bodya",
                                      "Body.a", "body.a b", "header.x", "."};
    char source[200];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(source, sizeof source, HEAD ON "event: {id: '%s'}\n", good[i]);
        struct manifest *manifest = parse(source);
        if (!manifest)
            fail_msg("%s", why.text);
        assert_string_equal(manifest->id_path, good[i]);
        manifest_free(manifest);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(source, sizeof source, HEAD ON "event: {id: '%s'}\n", bad[i]);
        if (parse(source))
            fail_msg("%s was taken for a path", bad[i]);
        assert_non_null(strstr(why.text, "flow.yaml:5:13: id: found "));
    }
}

TEST(limits_are_numbers_within_a_time)
{
    char text[QUOTA_TEXT_MAX];
    struct manifest *manifest =
        parse(HEAD ON EVENT "uses: [mail, crm]\nlimits: {effects_per_event: 20, effects: 1000/h, per_recipient: 4/d, "
                            "mail: 500/h, failures_in_a_row: 10, error_ratio: 50%}\n");
    if (!manifest)
        fail_msg("%s", why.text);
    assert_string_equal(quota_text(&manifest->limits.effects, text), "1000/h");
    assert_string_equal(quota_text(&manifest->limits.per_recipient, text), "4/d");
    assert_false(manifest->limits.per_recipient.is_built_in);
    assert_string_equal(quota_text(manifest_quota(manifest, "mail"), text), "500/h");
    assert_false(manifest_quota(manifest, "mail")->is_built_in);
    assert_true(manifest_quota(manifest, "crm")->is_built_in);
    assert_null(manifest_quota(manifest, "alerts"));
    assert_int_equal(manifest->limits.failures_in_a_row, 10);
    assert_int_equal(manifest->limits.error_percent, 50);
    manifest_free(manifest);

    manifest = parse(HEAD ON EVENT "uses: [mail]\n");
    assert_string_equal(quota_text(&manifest->limits.effects, text), "none");
    assert_string_equal(quota_text(&manifest->limits.per_recipient, text), "20/d");
    assert_string_equal(quota_text(manifest_quota(manifest, "mail"), text), "10000/h");
    assert_int_equal(manifest->limits.failures_in_a_row, 0);
    assert_int_equal(manifest->limits.error_percent, 0);
    manifest_free(manifest);

    manifest = parse(HEAD ON EVENT "uses: [mail]\nlimits: {per_recipient: none, mail: none}\n");
    assert_int_equal(manifest->limits.per_recipient.most, 0);
    assert_int_equal(manifest_quota(manifest, "mail")->most, 0);
    manifest_free(manifest);
}

TEST(limits_that_are_none_are_refused)
{
    is_wrong(HEAD ON EVENT "limits: {per_recipient: 4}\n",
             "flow.yaml:6:25: per_recipient: found \"4\"; expected a number within a time, such as 500/h, 4/d, 10/m or "
             "5/s, or none");
    is_wrong(HEAD ON EVENT "uses: [mail]\nlimits: {mail: [500/h]}\n",
             "flow.yaml:7:16: mail: found a list; expected a number within a time, such as 500/h, 4/d, 10/m or 5/s, or "
             "none");
    is_wrong(HEAD ON EVENT "limits: {effects_per_event: 1001}\n",
             "flow.yaml:6:29: effects_per_event: found 1001; allowed is from 1 to 1000");
    is_wrong(HEAD ON EVENT "limits: {error_ratio: 101%}\n",
             "flow.yaml:6:23: error_ratio: found \"101%\"; expected a share from 1% to 100%, such as 50%");
    is_wrong(HEAD ON EVENT "limits: {crm: 3/d}\n",
             "flow.yaml:6:10: unknown key \"crm\"; allowed: effects_per_event, effects, per_recipient, "
             "failures_in_a_row, error_ratio");
    is_wrong(HEAD ON EVENT "require: [x]\n",
             "flow.yaml:6:1: require: this version of Headgate does not have it yet; leave it out");
}

#define STEPS HEAD ON EVENT "steps:\n" /* six lines */

TEST(a_question_leads_to_a_later_step_or_to_the_end)
{
    struct manifest *manifest = parse(STEPS "  - ask: a\n    yes: c\n  - ask: b\n    yes: stop\n  - ask: c\n");
    if (!manifest)
        fail_msg("%s", why.text);
    assert_int_equal(manifest->steps[0].yes, 2);
    assert_int_equal(manifest->steps[0].no, 1);
    assert_int_equal(manifest->steps[1].yes, STEP_STOP);
    assert_int_equal(manifest->steps[1].no, 2);
    assert_int_equal(manifest->steps[2].yes, STEP_STOP);
    assert_int_equal(manifest->steps[2].no, STEP_STOP);
    manifest_free(manifest);

    is_wrong(
        STEPS "  - do: a\n  - ask: b\n    no: a\n",
        "flow.yaml:9:9: no: \"a\" stands in line 7, which is not below; expected a later step or stop, so that every "
        "run ends");
    is_wrong(
        STEPS "  - ask: b\n    yes: b\n",
        "flow.yaml:8:10: yes: \"b\" stands in line 7, which is not below; expected a later step or stop, so that every "
        "run ends");
    is_wrong(STEPS "  - do: a\n  - ask: b\n    yes: open_cas\n  - do: open_case\n",
             "flow.yaml:9:10: yes: there is no step \"open_cas\"; did you mean \"open_case\"? (later steps: open_case, "
             "stop)");
    is_wrong(STEPS "  - ask: b\n    yes: [c]\n", "flow.yaml:8:10: yes: found a list; expected a text");
}

TEST(a_step_does_or_asks_and_has_a_name_of_its_own)
{
    is_wrong(
        STEPS "  - title: x\n",
        "flow.yaml:7:5: found a step that says neither what to do nor what to ask; expected `do: name` or `ask: name`");
    is_wrong(STEPS "  - do: a\n    ask: b\n",
             "flow.yaml:8:5: found do and ask in one step; expected one of them: make it two steps");
    is_wrong(STEPS "  - do: a\n    no: stop\n",
             "flow.yaml:8:5: found no in a step that does not ask; expected it below "
             "`ask: name` only; after `do` the next step follows, or the one that `then` names");
    is_wrong(STEPS "  - ask: a\n    then: stop\n",
             "flow.yaml:8:5: found then in a step that asks; expected yes and no");
    is_wrong(STEPS "  - do: a\n  - do: b\n    then: a\n",
             "flow.yaml:9:11: then: \"a\" stands in line 7, which is not below; expected a later step or stop, so that "
             "every run ends");
    is_wrong(
        STEPS "  - do: a\n  - ask: a\n",
        "flow.yaml:8:10: ask: found the step \"a\" a second time; it already stands in line 7, and each step has its "
        "own name");
    is_wrong(STEPS "  - do: find-site\n", "flow.yaml:7:9: do: found \"find-site\"; expected the name of a function in "
                                          "flow.lua: letters, digits and _, at "
                                          "most 64, no word of Lua, such as find_site");
    is_wrong(
        STEPS "  - do: end\n",
        "flow.yaml:7:9: do: found \"end\"; expected the name of a function in flow.lua: letters, digits and _, at most "
        "64, no word of Lua, such as find_site");
    is_wrong(STEPS "  - do: stop\n",
             "flow.yaml:7:9: do: a step cannot be named \"stop\", which ends a run; expected another name");
    is_wrong(STEPS "  - do: a\n    tilte: x\n",
             "flow.yaml:8:5: unknown key \"tilte\"; did you mean \"title\"? (allowed: do, "
             "ask, title, yes, no, then)");
    is_wrong(STEPS "  - find_site\n",
             "flow.yaml:7:5: found a text; expected a map of `key: value`; allowed keys: do, ask, "
             "title, yes, no, then");
    is_wrong(HEAD ON EVENT "steps: []\n", "flow.yaml:6:8: steps: found an empty list; expected a list such as `- do: "
                                          "find_site`; a flow with one function `run` has no steps at all");
}
