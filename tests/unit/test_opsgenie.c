/* test_opsgenie.c - what is sent to OpsGenie, and what its answers mean
 *
 * The whole way, over HTTP and with a lane, is walked by the system tests; here are the two
 * functions that decide: from a flow's table to bytes, and from an answer to a verdict. */
#include "tests/unit/opsgenie_kit.h"

TEST(a_create_becomes_a_post_with_the_same_bytes_each_time)
{
    struct asked asked = asked_with();
    with_text(&asked, "alias", "offline-7/x");
    with_text(&asked, "message", "Controller 7 is \"offline\"");
    with_text(&asked, "priority", "P1");
    with_json(&asked, "tags", "[\"storage\",7]");
    with_json(&asked, "details", "{\"site\":\"N\xc3\xb8rre\",\"count\":9007199254740993,\"is_new\":true,\"load\":0.1}");
    with_json(&asked, "responders", "[{\"type\":\"team\",\"name\":\"night\"},{}]");
    prepare(&asked, "create");
    assert_string_equal(asked.err.text, "");
    assert_true(said(&asked, "method", "POST"));
    assert_true(said(&asked, "path", "/v2/alerts"));
    assert_true(said(&asked, "body",
                     "{\"alias\":\"offline-7/x\",\"details\":{\"count\":\"9007199254740993\",\"is_new\":\"true\","
                     "\"load\":\"0.1\",\"site\":\"N\xc3\xb8rre\"},\"message\":\"Controller 7 is \\\"offline\\\"\","
                     "\"priority\":\"P1\",\"responders\":[{\"name\":\"night\",\"type\":\"team\"}],"
                     "\"source\":\"headgate\",\"tags\":[\"storage\",\"7\"]}"));
    assert_false(record_has(buf_slice(&asked.out), "notes"));
    forget(&asked);
}

TEST(every_action_is_addressed_by_its_escaped_alias)
{
    static const struct {
        const char *verb, *field, *value, *method, *path;
    } rows[] = {{"close", "note", "over", "POST", "/v2/alerts/a%2Fb%20%C3%BC/close?identifierType=alias"},
                {"acknowledge", "user", "nina", "POST", "/v2/alerts/a%2Fb%20%C3%BC/acknowledge?identifierType=alias"},
                {"add_note", "note", "n", "POST", "/v2/alerts/a%2Fb%20%C3%BC/notes?identifierType=alias"},
                {"set_priority", "priority", "P2", "PUT", "/v2/alerts/a%2Fb%20%C3%BC/priority?identifierType=alias"},
                {"set_message", "message", "m", "PUT", "/v2/alerts/a%2Fb%20%C3%BC/message?identifierType=alias"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asked asked = asked_with();
        with_text(&asked, "alias", "a/b \xc3\xbc");
        with_text(&asked, rows[i].field, rows[i].value);
        prepare(&asked, rows[i].verb);
        assert_string_equal(asked.err.text, "");
        assert_true(said(&asked, "method", rows[i].method));
        assert_true(said(&asked, "path", rows[i].path));
        assert_string_equal(member(&asked, rows[i].field), rows[i].value);
        /* the updates know no `source`: an unknown member could be refused */
        assert_true((member(&asked, "source") != NULL) == (strcmp(rows[i].method, "POST") == 0));
        assert_null(member(&asked, "alias"));
        forget(&asked);
    }
}

TEST(a_message_that_is_too_long_is_cut_at_a_character_and_the_delivery_says_so)
{
    char message[4 * 131 + 1] = "";
    for (int i = 0; i < 131; i++)
        strcat(message, i % 2 ? "\xf0\x9f\x94\xa5" : "\xc3\xbc"); /* two units, one unit */
    struct asked asked = asked_with();
    with_text(&asked, "alias", "a");
    with_text(&asked, "message", message);
    prepare(&asked, "create");
    assert_true(said(&asked, "notes", "message was cut to 130 characters"));
    const char *cut = member(&asked, "message");
    size_t size = strlen(cut);
    assert_true(size > 3 && strcmp(cut + size - 3, "\xe2\x80\xa6") == 0);
    assert_memory_equal(cut, message, size - 3);
    size_t units = 1; /* the ellipsis */
    for (const char *c = cut; *c && (size_t)(c - cut) < size - 3; c++)
        units += (*c & 0xf8) == 0xf0 ? 2 : (*c & 0xc0) != 0x80 ? 1 : 0;
    assert_true(units == 130 || units == 129); /* a pair that would not fit is left out whole */
    forget(&asked);
}

TEST(what_fits_exactly_is_not_cut)
{
    char message[131];
    memset(message, 'x', 130);
    message[130] = '\0';
    struct asked asked = asked_with();
    with_text(&asked, "alias", "a");
    with_text(&asked, "message", message);
    prepare(&asked, "create");
    assert_string_equal(member(&asked, "message"), message);
    assert_false(record_has(buf_slice(&asked.out), "notes"));
    forget(&asked);
}

TEST(tags_over_the_limits_are_cut_and_left_out)
{
    struct buf tags = BUF_INIT(10000);
    buf_add_text(&tags, "[\"123456789 123456789 123456789 123456789 123456789 1\"");
    for (int i = 0; i < 21; i++)
        buf_addf(&tags, ",\"t%d\"", i);
    buf_add_char(&tags, ']');
    struct asked asked = asked_with();
    with_text(&asked, "alias", "a");
    with_json(&asked, "tags", tags.data);
    prepare(&asked, "add_tags");
    json_t *sent = json_object_get(asked.body, "tags");
    assert_int_equal(json_array_size(sent), 20);
    assert_string_equal(json_string_value(json_array_get(sent, 0)),
                        "123456789 123456789 123456789 123456789 123456789\xe2\x80\xa6");
    assert_true(said(&asked, "notes", "tags was cut to 50 characters; 2 of the tags were left out"));
    buf_clear(&tags);
    forget(&asked);
}

TEST(details_that_are_too_large_lose_their_largest)
{
    struct buf details = BUF_INIT(20000);
    buf_addf(&details, "{\"small\":\"kept\",\"large\":\"%07990d\",\"huge\":\"%08000d\"}", 0, 0);
    struct asked asked = asked_with();
    with_text(&asked, "alias", "a");
    with_json(&asked, "details", details.data);
    prepare(&asked, "add_details");
    json_t *sent = json_object_get(asked.body, "details");
    assert_string_equal(json_string_value(json_object_get(sent, "small")), "kept");
    assert_int_equal(json_object_size(sent), 1);
    struct slice notes = record_get(buf_slice(&asked.out), "notes");
    assert_non_null(memmem(notes.data, notes.size, "details.huge was left out", 25));
    buf_clear(&details);
    forget(&asked);
}

TEST(what_would_reach_nobody_is_refused_in_the_step_with_words)
{
    static const struct {
        const char *verb, *alias, *message, *field, *json, *words;
    } rows[] = {
        {"create", "", "m", NULL, NULL, "`alias` is empty"},
        {"create", " \t", "m", NULL, NULL, "`alias` is empty"},
        {"create", NULL, "m", NULL, NULL, "`alias` is empty"},
        {"close", "..", NULL, NULL, NULL, "part of a path"},
        {"create", "a", " \n", NULL, NULL, "`message` is empty"},
        {"create", "a", NULL, NULL, NULL, "`message` is missing"},
        {"create", "a", "m", "details", "{\"site\":{\"id\":1}}", "`details.site` is a table"},
        {"create", "a", "m", "details", "{\"list\":[1]}", "`details.list` is a table"},
        {"create", "a", "m", "details", "[1]", "`details` must be a table"},
        {"create", "a", "m", "tags", "{\"a\":1}", "`tags` must be a list"},
        {"create", "a", "m", "tags", "[{}]", "`tags` takes only texts"},
        {"create", "a", "m", "responders", "[{\"type\":\"teams\",\"name\":\"x\"}]",
         "one of team|user|escalation|schedule"},
        {"create", "a", "m", "responders", "[{\"type\":\"team\",\"username\":\"x\"}]", "one of id|name"},
        {"create", "a", "m", "responders", "[{\"type\":\"team\"}]", "needs one of id|name"},
        {"create", "a", "m", "visible_to", "[{\"type\":\"schedule\",\"name\":\"x\"}]", "one of team|user"},
        {"add_note", "a", NULL, NULL, NULL, "`note` is missing"},
        {"add_tags", "a", NULL, "tags", "{}", "`tags` is empty"},
        {"add_details", "a", NULL, "details", "{\"x\":null}", "`details` is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asked asked = asked_with();
        if (rows[i].alias)
            with_text(&asked, "alias", rows[i].alias);
        if (rows[i].message)
            with_text(&asked, "message", rows[i].message);
        if (rows[i].field)
            with_json(&asked, rows[i].field, rows[i].json);
        prepare(&asked, rows[i].verb);
        if (asked.ok || !strstr(asked.err.text, rows[i].words))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, asked.err.text, rows[i].words);
        forget(&asked);
    }
}

TEST(an_alias_is_never_cut)
{
    char alias[514];
    memset(alias, 'x', 513);
    alias[513] = '\0';
    struct asked asked = asked_with();
    with_text(&asked, "alias", alias);
    prepare(&asked, "close");
    assert_non_null(strstr(asked.err.text, "OpsGenie takes 512"));
    forget(&asked);
}

TEST(what_calls_or_writes_anew_may_not_be_repeated)
{
    for (const struct verb *verb = adapter_opsgenie.verbs; verb->name; verb++)
        assert_true(verb->is_idempotent
                    == (strcmp(verb->name, "add_note") != 0 && strcmp(verb->name, "escalate") != 0
                        && strcmp(verb->name, "add_responder") != 0));
}

/* ---- answers ---------------------------------------------------------------------------------------- */

TEST(each_answer_to_a_write_has_its_verdict)
{
    static const struct row rows[] = {
        {202, "", "{\"result\":\"Request will be processed\",\"requestId\":\"r1\"}", "create", OPSGENIE_FOLLOW, 0, 0,
         "r1"},
        {202, "", "{\"result\":\"Requ", "create", OPSGENIE_LATER, 0, 0, "cannot be read"},
        {202, "", "{\"result\":\"Requ", "add_note", OPSGENIE_UNKNOWN, 0, 0, "cannot be read"},
        {400, "", SAYS("bad JSON"), "create", OPSGENIE_NEVER, 0, 0, "bad JSON"},
        {422, "", "{\"errors\":{\"priority\":\"should be one of [ P1 ]\"},\"requestId\":\"r\"}", "create",
         OPSGENIE_NEVER, 0, 0, "should be one of [ P1 ]"},
        {402, "", SAYS("plan"), "create", OPSGENIE_NEVER, 0, 0, "plan"},
        {405, "", SAYS("Request method 'POST' not supported"), "create", OPSGENIE_NEVER, 0, 0, "not supported"},
        {415, "", SAYS("type"), "create", OPSGENIE_NEVER, 0, 0, "415"},
        {501, "", SAYS("no"), "create", OPSGENIE_NEVER, 0, 0, "501"},
        {401, "", SAYS("Could not authenticate"), "create", OPSGENIE_LATER, 60000, 60000, "wrong region or wrong key"},
        {403, "", SAYS("use an API key from an API integration"), "create", OPSGENIE_LATER, 60000, 60000,
         "an API integration"},
        {429, "x-ratelimit-period-in-sec: 1\n", SAYS("slow"), "create", OPSGENIE_LATER, 1000, 1000, "fewer requests"},
        {429, "x-ratelimit-period-in-sec: 1\nretry-after: 7\n", SAYS("slow"), "create", OPSGENIE_LATER, 7000, 7000,
         "7 s"},
        {429, "x-ratelimit-reason: ACCOUNT\n", SAYS("slow"), "create", OPSGENIE_LATER, 60000, 60000, "ACCOUNT"},
        {429, "retry-after: 99999999999999999999\n", SAYS("slow"), "create", OPSGENIE_LATER, 60000, 60000, "60 s"},
        {500, "", SAYS("oops"), "create", OPSGENIE_LATER, 0, 0, "oops"},
        {503, "retry-after: 5\n", SAYS("oops"), "create", OPSGENIE_LATER, 5000, 0, "oops"},
        {502, "content-type: text/html\n", HTML, "create", OPSGENIE_LATER, 0, 0, "gateway"},
        {504, "", "", "add_note", OPSGENIE_UNKNOWN, 0, 0, "gateway"},
        {200, "content-type: text/html; charset=x\n", HTML, "create", OPSGENIE_LATER, 0, 0,
         "answered HTML, not OpsGenie"},
        {403, "", " \n" HTML, "create", OPSGENIE_LATER, 0, 0, "answered HTML, not OpsGenie"},
        {302, "", "", "create", OPSGENIE_LATER, 60000, 60000, "redirect"},
        {404, "", SAYS("No route"), "create", OPSGENIE_LATER, 60000, 60000, "is `api` right?"},
        {404, "", "not found", "close", OPSGENIE_LATER, 60000, 60000, "is `api` right?"},
        {404, "", SAYS("Alert not found"), "close", OPSGENIE_DONE, 0, 0, "no such alert"},
        {404, "", SAYS("Alert not found"), "acknowledge", OPSGENIE_DONE, 0, 0, "no such alert"},
        {404, "", SAYS("Alert not found"), "add_note", OPSGENIE_NEVER, 0, 0, "Alert not found"},
        {0, "", "", "create", OPSGENIE_LATER, 0, 0, "no answer within 30 s"},
        {0, "", "", "add_note", OPSGENIE_UNKNOWN, 0, 0, "no answer within 30 s"},
    };
    CHECK(opsgenie_judge_write, rows);
}

TEST(what_was_not_sent_is_later_even_for_a_note)
{
    struct buf none = BUF_INIT(1);
    struct http_reply reply = {.failure = "connection refused", .headers = &none};
    struct opsgenie_verdict verdict;
    opsgenie_judge_write(&reply, (struct opsgenie_case){OPSGENIE_V2, verb_of("add_note")}, &verdict);
    assert_int_equal(verdict.kind, OPSGENIE_LATER);
}

TEST(only_is_success_says_how_a_request_ended)
{
    static const struct row rows[] = {
        {200, "", OUTCOME("true", "Created alert"), "create", OPSGENIE_DONE, 0, 0, "Created alert, alert a7"},
        {200, "", OUTCOME("false", "Created alert"), "create", OPSGENIE_NEVER, 0, 0, "could not create: Created alert"},
        {200, "", OUTCOME("false", "Alert does not exist"), "close", OPSGENIE_LOOK, 0, 0, "Alert does not exist"},
        {200, "", OUTCOME("false", "Alert does not exist"), "add_note", OPSGENIE_NEVER, 0, 0, "Alert does not exist"},
        {200, "", OUTCOME("null", ""), "create", OPSGENIE_LATER, 0, 0, "no isSuccess"},
        {200, "", "{\"data\":{}}", "add_note", OPSGENIE_UNKNOWN, 0, 0, "no isSuccess"},
        {404, "x-opsgenie-errortype: RequestNotProcessed\n", SAYS("Request not found"), "create", OPSGENIE_FOLLOW, 0, 0,
         "not processed yet"},
        {404, "", SAYS("Request not found"), "create", OPSGENIE_LATER, 0, 0, "does not know the request"},
        {404, "", SAYS("Request not found"), "add_note", OPSGENIE_UNKNOWN, 0, 0, "does not know the request"},
        {429, "x-ratelimit-period-in-sec: 1\n", SAYS("slow"), "add_note", OPSGENIE_FOLLOW, 1000, 1000,
         "fewer requests"},
        {500, "", SAYS("oops"), "add_note", OPSGENIE_FOLLOW, 0, 0, "oops"},
        {200, "", HTML, "add_note", OPSGENIE_FOLLOW, 0, 0, "HTML"},
        {0, "", "", "add_note", OPSGENIE_FOLLOW, 0, 0, "no answer"},
    };
    CHECK(outcome, rows);
}

static void look(const struct http_reply *reply, struct opsgenie_case about, struct opsgenie_verdict *verdict)
{
    opsgenie_judge_look(reply, about, "OpsGenie could not: rules say no", verdict);
}

TEST(a_close_that_failed_is_done_only_if_nothing_is_open)
{
    static const struct row rows[] = {
        {404, "", SAYS("Alert not found"), "close", OPSGENIE_DONE, 0, 0, "no such alert"},
        {200, "", ALERT("closed", "true"), "close", OPSGENIE_DONE, 0, 0, "closed already"},
        {200, "", ALERT("open", "true"), "close", OPSGENIE_NEVER, 0, 0, "rules say no"},
        {200, "", ALERT("open", "true"), "acknowledge", OPSGENIE_DONE, 0, 0, "acknowledged already"},
        {200, "", ALERT("open", "false"), "acknowledge", OPSGENIE_NEVER, 0, 0, "rules say no"},
        {500, "", SAYS("oops"), "close", OPSGENIE_LATER, 0, 0, "oops"},
        {404, "", "nginx", "close", OPSGENIE_LATER, 60000, 60000, "is `api` right?"},
    };
    CHECK(look, rows);
}
