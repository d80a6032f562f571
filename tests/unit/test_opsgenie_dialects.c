/* test_opsgenie_dialects.c - OpsGenie's own API and its successors: what is said, what is heard, and as whom */
#include "tests/unit/opsgenie_kit.h"

/* ---- dialects -------------------------------------------------------------------------------------- */

static struct settings *ops_settings(void)
{
    struct settings *settings = settings_of("jsm-ops");
    settings_add_pair(settings, "ids", slice_of("night"), slice_of("team-1"));
    settings_add_pair(settings, "ids", slice_of("nina@example.com"), slice_of("712020:9ae5"));
    settings_set_text(settings, "team", slice_of("t/7"));
    return settings;
}

TEST(jsm_ops_has_shapes_of_its_own_for_what_flows_say_in_the_same_words)
{
    static const struct {
        const char *verb, *field, *value;
        bool is_json;
        const char *method, *path, *body;
    } rows[] = {
        {"create", "details", "{\"a\":1}", true, "POST", "/v1/alerts",
         "{\"alias\":\"a\",\"extraProperties\":{\"a\":\"1\"},\"message\":\"m\",\"source\":\"headgate\"}"},
        {"create", "responders", "[{\"type\":\"team\",\"name\":\"night\"}]", true, "POST", "/v1/alerts",
         "{\"alias\":\"a\",\"message\":\"m\",\"responders\":[{\"id\":\"team-1\",\"type\":\"team\"}],"
         "\"source\":\"headgate\"}"},
        {"close", "note", "over", false, "POST", "/v1/alerts/a7/close", ""},
        {"acknowledge", "user", "nina", false, "POST", "/v1/alerts/a7/acknowledge", ""},
        {"add_note", "note", "n", false, "POST", "/v1/alerts/a7/notes", "{\"note\":\"n\"}"},
        {"add_tags", "tags", "[\"x\"]", true, "POST", "/v1/alerts/a7/tags", "{\"tags\":[\"x\"]}"},
        {"remove_tags", "tags", "[\"x,y\"]", true, "DELETE", "/v1/alerts/a7/tags", "{\"tags\":[\"x,y\"]}"},
        {"add_details", "details", "{\"k\":\"v\"}", true, "POST", "/v1/alerts/a7/extra-properties",
         "{\"extraProperties\":{\"k\":\"v\"}}"},
        {"remove_details", "keys", "[\"k\"]", true, "DELETE", "/v1/alerts/a7/extra-properties", "{\"keys\":[\"k\"]}"},
        {"set_priority", "priority", "P2", false, "PATCH", "/v1/alerts/a7/priority", "{\"priority\":\"P2\"}"},
        {"set_description", "description", "d", false, "PATCH", "/v1/alerts/a7/description", "{\"description\":\"d\"}"},
        {"assign", "owner", "nina@example.com", false, "POST", "/v1/alerts/a7/assign",
         "{\"accountId\":\"712020:9ae5\"}"},
        {"escalate", "escalation", "{\"id\":\"e1\"}", true, "POST", "/v1/alerts/a7/escalate",
         "{\"escalationId\":\"e1\"}"},
        {"add_responder", "responder", "{\"type\":\"user\",\"username\":\"nina@example.com\"}", true, "POST",
         "/v1/alerts/a7/responders", "{\"id\":\"712020:9ae5\",\"type\":\"user\"}"},
        {"ping", NULL, NULL, false, "GET", "/v1/teams/t%2F7/heartbeats/ping?name=nightly%20job", ""},
    };
    struct settings *settings = ops_settings();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asked asked = asked_with();
        bool is_ping = strcmp(rows[i].verb, "ping") == 0;
        with_text(&asked, is_ping ? "name" : "alias", is_ping ? "nightly job" : "a");
        if (strcmp(rows[i].verb, "create") == 0)
            with_text(&asked, "message", "m");
        if (rows[i].is_json)
            with_json(&asked, rows[i].field, rows[i].value);
        else if (rows[i].field)
            with_text(&asked, rows[i].field, rows[i].value);
        prepare_for(&asked, settings, rows[i].verb);
        assert_string_equal(asked.err.text, "");
        assert_string_equal(asked.request.method, rows[i].method);
        assert_string_equal(asked.request.path.data, rows[i].path);
        assert_string_equal(asked.request.body.size ? asked.request.body.data : "", rows[i].body);
        forget(&asked);
    }
    settings_free(settings);
}

TEST(what_a_dialect_cannot_do_is_refused_in_the_step_with_words)
{
    static const struct {
        const char *dialect, *verb, *field, *json, *words;
    } rows[] = {
        {"jsm-events", "set_priority", "priority", NULL, "knows only create, close, acknowledge and add_note"},
        {"jsm-events", "ping", "name", NULL, "not ping"},
        {"jsm-ops", "ping", "name", NULL, "say in `team`"},
        {"jsm-ops", "add_responder", "responder", "{\"type\":\"team\",\"name\":\"day\"}",
         "say in `ids` of the connection which id \"day\" has"},
        {"jsm-ops", "escalate", "escalation", NULL, "which id \"P1\" has"},
        {"opsgenie", "remove_tags", "tags", "[\"a,b\"]", "\"a,b\" has a comma"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings *settings = settings_of(rows[i].dialect);
        struct asked asked = asked_with();
        if (strcmp(rows[i].field, "name") != 0)
            with_text(&asked, "alias", "a");
        if (rows[i].json)
            with_json(&asked, rows[i].field, rows[i].json);
        else
            with_text(&asked, rows[i].field, "P1");
        prepare_for(&asked, settings, rows[i].verb);
        if (asked.ok || !strstr(asked.err.text, rows[i].words))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, asked.err.text, rows[i].words);
        forget(&asked);
        settings_free(settings);
    }
}

TEST(what_waits_goes_to_the_new_place_when_a_company_moves)
{
    struct settings *settings = settings_of("opsgenie"), *moved = ops_settings();
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct asked asked = asked_with();
    with_text(&asked, "alias", "a");
    with_text(&asked, "priority", "P1");
    prepare_for(&asked, settings, "set_priority");
    assert_true(said(&asked, "path", "/v2/alerts/a/priority?identifierType=alias"));
    assert_true(opsgenie_request_needs_id(moved, verb_of("set_priority"), buf_slice(&asked.out)));
    assert_true(opsgenie_request_write(&request, moved, verb_of("set_priority"), buf_slice(&asked.out), slice_of("a7"),
                                       &asked.err));
    assert_string_equal(request.method, "PATCH");
    assert_string_equal(request.path.data, "/v1/alerts/a7/priority");
    opsgenie_request_clear(&request);
    forget(&asked);
    settings_free(settings);
    settings_free(moved);
}

TEST(a_snooze_ends_at_the_same_moment_however_often_it_is_sent)
{
    struct asked asked = asked_with();
    with_text(&asked, "id", "a7");
    record_add_integer(&asked.fields, "duration", 3600000);
    prepare(&asked, "snooze");
    assert_string_equal(member(&asked, "endTime"), "1970-01-01T01:00:00.000Z"); /* the run began at 0 */
    assert_true(said(&asked, "path", "/v2/alerts/a7/snooze?identifierType=id"));
    forget(&asked);
}

TEST(an_alert_is_named_once)
{
    struct asked asked = asked_with();
    with_text(&asked, "alias", "a");
    with_text(&asked, "id", "a7");
    prepare(&asked, "close");
    assert_non_null(strstr(asked.err.text, "leave one out"));
    forget(&asked);
}

TEST(a_server_that_fails_may_have_taken_what_must_not_be_repeated)
{
    static const struct row writes[] = {
        {500, "", SAYS("oops"), "add_note", OPSGENIE_FOLLOW, 0, 0, "request r1, which it may have taken"},
        {502, "x-request-id: r1\n", "{\"message\":\"no\"}", "escalate", OPSGENIE_FOLLOW, 0, 0, "502"},
        {500, "", "oops", "add_note", OPSGENIE_UNKNOWN, 0, 0, "500"},
        {503, "", "busy", "add_note", OPSGENIE_LATER, 0, 0, "503"},
        {500, "", SAYS("oops"), "close", OPSGENIE_LATER, 0, 0, "500"},
        {410, "", SAYS("gone"), "close", OPSGENIE_LATER, 60000, 60000, "switched off"},
    };
    CHECK(opsgenie_judge_write, writes);
    struct buf none = BUF_INIT(1);
    struct http_reply reply = {.status = 404, .sent = true, .body = slice_of(SAYS("unknown")), .headers = &none};
    struct opsgenie_verdict verdict;
    opsgenie_judge_outcome(&reply, (struct opsgenie_case){OPSGENIE_V2, verb_of("add_note")}, true, &verdict);
    assert_int_equal(verdict.kind, OPSGENIE_LATER); /* it was not taken: a repeat is the first */
}

TEST(the_successors_answer_in_ways_of_their_own)
{
    static const struct row ops[] = {
        {200, "", "{\"id\":\"n1\",\"note\":\"n\"}", "add_note", OPSGENIE_DONE, 0, 0, "Added note"},
        {202, "", "{\"requestId\":\"r1\"}", "close", OPSGENIE_FOLLOW, 0, 0, "r1"},
        {404, "", "{\"errors\":[{\"title\":\"no\"}]}", "close", OPSGENIE_DONE, 0, 0, "no such alert"},
        {404, "", "{\"errors\":[{\"title\":\"no\"}]}", "add_tags", OPSGENIE_NEVER, 0, 0, "404"},
        {404, "", "nginx", "close", OPSGENIE_LATER, 60000, 60000, "is `api` right?"},
        {401, "", "{\"code\":401}", "close", OPSGENIE_LATER, 60000, 60000, "wrong `user` or token"},
        {202, "", "{\"result\":\"PONG\"}", "ping", OPSGENIE_DONE, 0, 0, "the ping was taken"},
    };
    static const struct row outcomes[] = {
        {200, "", "{\"isSuccess\":true,\"status\":\"Closed\",\"alertId\":\"a7\"}", "close", OPSGENIE_DONE, 0, 0,
         "Closed"},
        {200, "", "{\"isSuccess\":false,\"status\":\"no\"}", "close", OPSGENIE_LOOK, 0, 0, "no"},
        {404, "", "{\"errors\":[]}", "add_tags", OPSGENIE_FOLLOW, 0, 0, "not processed yet"},
    };
    static const struct row events[] = {
        {200, "", OUTCOME("false", "Alert does not exist"), "close", OPSGENIE_DONE, 0, 0, "Alert does not exist"},
        {200, "", OUTCOME("false", "no"), "add_note", OPSGENIE_NEVER, 0, 0, "no"},
    };
    dialect = OPSGENIE_OPS;
    CHECK(opsgenie_judge_write, ops);
    CHECK(outcome, outcomes);
    dialect = OPSGENIE_EVENTS;
    CHECK(outcome, events);
    dialect = OPSGENIE_V2;
}

TEST(only_opsgenies_own_api_ends)
{
    assert_false(opsgenie_is_retired(OPSGENIE_V2, 1806883199999));
    assert_true(opsgenie_is_retired(OPSGENIE_V2, 1806883200000));
    assert_false(opsgenie_is_retired(OPSGENIE_OPS, 1906883200000));
}

static char *read_by(enum opsgenie_dialect dialect, const char *query, int status, const char *body,
                     enum opsgenie_kind kind)
{
    struct buf none = BUF_INIT(1);
    struct opsgenie_verdict verdict;
    struct http_reply reply = {.status = status, .sent = true, .body = slice_of(body), .headers = &none};
    json_t *json, *answer;
    opsgenie_judge_read(&reply, dialect, &json, &verdict);
    assert_int_equal(verdict.kind, kind);
    answer = json ? opsgenie_read_answer(dialect, query, slice_of("night"), json) : NULL;
    char *text = answer ? json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY) : mem_text("nothing");
    json_decref(answer);
    json_decref(json);
    return text;
}

TEST(a_read_gives_what_was_asked_for_in_the_same_words_in_each_dialect)
{
    static const struct {
        enum opsgenie_dialect dialect;
        const char *query, *body, *answer;
    } rows[] = {
        {OPSGENIE_V2, "get", ALERT("open", "false"), "{\"status\":\"open\",\"acknowledged\":false}"},
        {OPSGENIE_V2, "get", "{\"requestId\":\"r\"}", "nothing"},
        {OPSGENIE_OPS, "get", "{\"id\":\"a7\",\"extraProperties\":{\"k\":\"v\"},\"lastOccuredAt\":\"x\"}",
         "{\"id\":\"a7\",\"details\":{\"k\":\"v\"},\"lastOccurredAt\":\"x\"}"},
        {OPSGENIE_V2, "list", "{\"data\":[{\"id\":\"a7\"}],\"paging\":{}}", "[{\"id\":\"a7\"}]"},
        {OPSGENIE_OPS, "list", "{\"values\":[{\"id\":\"a7\",\"extraProperties\":{}}],\"links\":{}}",
         "[{\"id\":\"a7\",\"details\":{}}]"},
        {OPSGENIE_V2, "count", "{\"data\":{\"count\":9007199254740993}}", "9007199254740993"},
        {OPSGENIE_V2, "heartbeat", "{\"data\":{\"name\":\"night\",\"expired\":false}}",
         "{\"name\":\"night\",\"expired\":false}"},
        {OPSGENIE_OPS, "heartbeat",
         "{\"values\":[{\"name\":\"nights\"},{\"name\":\"night\",\"status\":\"Unresponsive\"}]}",
         "{\"name\":\"night\",\"status\":\"Unresponsive\",\"expired\":true}"},
        {OPSGENIE_OPS, "heartbeat", "{\"values\":[]}", "null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = read_by(rows[i].dialect, rows[i].query, 200, rows[i].body, OPSGENIE_DONE);
        assert_string_equal(text, rows[i].answer);
        free(text);
    }
    free(read_by(OPSGENIE_V2, "get", 404, SAYS("Alert not found"), OPSGENIE_DONE));
    free(read_by(OPSGENIE_V2, "get", 404, "nginx", OPSGENIE_LATER));
    free(read_by(OPSGENIE_V2, "get", 200, "{\"data\":", OPSGENIE_LATER));
    free(read_by(OPSGENIE_V2, "list", 422, SAYS("bad query"), OPSGENIE_NEVER));
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* `said`: pairs of option and text, ending with NULL; `words`: the base and the authorization, or the error's. */
static void open_saying(const char *const *said, const char *words, const char *authorization)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct settings *settings = settings_new(adapter_opsgenie.options);
    for (; said[0]; said += 2)
        settings_set_text(settings, said[0], slice_of(said[1]));
    struct connection connection = {.name = "alerts", .settings = settings, .loop = &loop};
    struct err err = ERR_INIT;
    if (adapter_opsgenie.open(&connection, &err)) {
        const struct opsgenie *opsgenie = connection.state;
        assert_string_equal(opsgenie->base, words);
        assert_string_equal(opsgenie->authorization, authorization);
        adapter_opsgenie.close(&connection);
    } else {
        assert_non_null(strstr(err.text, words));
        assert_null(strstr(err.text, "0123"));
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    settings_free(settings);
}

static void open_with(const char *key, const char *region, const char *api, const char *words)
{
    const char *said[] = {"key", key, region ? "region" : NULL, region, NULL, NULL, NULL};
    size_t at = region ? 4 : 2;
    said[at] = api ? "api" : NULL;
    said[at + 1] = api;
    open_saying(said, words, "Authorization: GenieKey 0123-abcd");
}

TEST(each_dialect_has_its_place_and_its_way_to_say_who_we_are)
{
#define SAID(...) ((const char *const[]){__VA_ARGS__, NULL})
    open_saying(SAID("dialect", "jsm-events", "key", "0123-abcd"), "https://api.atlassian.com/jsm/ops/integration",
                "Authorization: GenieKey 0123-abcd");
    open_saying(SAID("dialect", "jsm-ops", "key", "0123-abcd", "user", "nina@example.com", "cloud_id", "c-1"),
                "https://api.atlassian.com/jsm/ops/api/c-1",
                "Authorization: Basic bmluYUBleGFtcGxlLmNvbTowMTIzLWFiY2Q=");
    open_saying(SAID("dialect", "jsm-ops", "key", "0123-abcd", "cloud_id", "c-1"), "needs `user`", "");
    open_saying(SAID("dialect", "jsm-ops", "key", "0123-abcd", "user", "n"), "needs `cloud_id`", "");
    open_saying(SAID("dialect", "jsm-ops", "key", "0123", "user", "n", "cloud_id", "c", "api", "https://x"),
                "leave one out", "");
    open_saying(SAID("key", "0123-abcd", "user", "n"), "`user` goes with `dialect: jsm-ops` only", "");
    open_saying(SAID("dialect", "jsm-events", "key", "0123-abcd", "region", "eu"), "`region` goes with", "");
}

TEST(a_connection_opens_only_where_its_key_is_safe)
{
    open_with("0123-abcd", NULL, NULL, "https://api.opsgenie.com");
    open_with(" 0123-abcd\r\n", "eu", NULL, "https://api.eu.opsgenie.com");
    open_with("0123-abcd\n", NULL, "http://127.0.0.1:8282/", "http://127.0.0.1:8282");
    open_with("0123-abcd", NULL, "http://api.opsgenie.com", "plain http://");
    open_with("0123-abcd", "us", "https://api.opsgenie.com", "leave one out");
    open_with("0123\r\nX-Evil: 1", NULL, NULL, "white space");
    open_with(" \n", NULL, NULL, "`key` is empty");
}
