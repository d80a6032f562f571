/* test_opsgenie_sandbox.c - the simulated OpsGenie keeps the real one's rules
 *
 * The simulator runs on a loop in a thread of its own; the tests are blocking HTTP clients on
 * loopback.  Every read has a deadline, so nothing can hang. */
#include "tests/unit/opsgenie_scene.h"

/* ---- the asynchronous contract ---------------------------------------------------------------------------- */

TEST(a_write_is_accepted_at_once_and_carried_out_later)
{
    static struct scene scene;
    scene_open(&scene, 60000, 0, 0);
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\",\"alias\":\"a\"}"), 202);
    char status[200];
    snprintf(status, sizeof status, "/v2/alerts/requests/%s", text("requestId"));
    assert_int_equal(call(&scene, "GET", status, ""), 404);
    assert_non_null(strstr(last.text, "X-Opsgenie-Errortype: RequestNotProcessed"));
    assert_int_equal(call(&scene, "GET", "/v2/alerts/a?identifierType=alias", ""), 404);
    assert_int_equal(call(&scene, "GET", "/v2/alerts/requests/43a29c5c-3dbf-4fa4-9c26-f4f71023e120", ""), 404);
    assert_null(strstr(last.text, "X-Opsgenie-Errortype"));
    assert_int_equal(summary(&scene, "waiting"), 1);
    scene_close(&scene);
}

TEST(writes_are_carried_out_in_the_order_they_came)
{
    static struct scene scene;
    scene_open(&scene, 20, 0, 0);
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\",\"alias\":\"a\"}"), 202);
    assert_int_equal(call(&scene, "POST", "/v2/alerts/a/notes?identifierType=alias", "{\"note\":\"one\"}"), 202);
    assert_true(carried_out(&scene, "POST", "/v2/alerts/a/close?identifierType=alias", "{}"));
    assert_string_equal(text("data.action"), "Close");
    assert_string_equal(text("data.alias"), "a");
    assert_int_equal(call(&scene, "GET", "/v2/alerts/a?identifierType=alias", ""), 200);
    assert_string_equal(text("data.status"), "closed");
    assert_int_equal(call(&scene, "GET", "/v2/alerts/a/notes?identifierType=alias", ""), 200);
    assert_string_equal(text("data.0.note"), "one");
    scene_close(&scene);
}

TEST(an_action_on_no_alert_is_accepted_and_fails)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    assert_false(carried_out(&scene, "POST", "/v2/alerts/nobody/close?identifierType=alias", ""));
    assert_string_equal(text("data.alertId"), "");
    assert_string_equal(text("data.status"), "Alert does not exist");
    create(&scene, "a");
    assert_false(carried_out(&scene, "POST", "/v2/alerts/a/close", "{}")); /* identifierType was forgotten */
    assert_true(carried_out(&scene, "POST", "/v2/alerts/a/close?identifierType=alias", "{}"));
    assert_false(carried_out(&scene, "POST", "/v2/alerts/a/close?identifierType=alias", "{}"));
    scene_close(&scene);
}

TEST(a_dropped_write_is_accepted_and_never_carried_out)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    fault(&scene, "{\"drop\": true}");
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\",\"alias\":\"a\"}"), 202);
    char status[200];
    snprintf(status, sizeof status, "/v2/alerts/requests/%s", text("requestId"));
    assert_true(create(&scene, "b")); /* came later, is carried out */
    assert_int_equal(call(&scene, "GET", status, ""), 404);
    assert_int_equal(call(&scene, "GET", "/v2/alerts/a?identifierType=alias", ""), 404);
    assert_int_equal(summary(&scene, "dropped"), 1);
    scene_close(&scene);
}

/* ---- alerts ---------------------------------------------------------------------------------------------------- */

TEST(one_alias_has_one_open_alert_and_a_new_one_after_close)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    assert_true(create(&scene, "a"));
    char *first = mem_text(text("data.alertId"));
    assert_true(carried_out(&scene, "POST", "/v2/alerts", "{\"message\":\"other\",\"alias\":\"a\",\"tags\":[\"t\"]}"));
    assert_string_equal(text("data.alertId"), first);
    call(&scene, "GET", "/v2/alerts/a?identifierType=alias", "");
    assert_int_equal(number("data.count"), 2);
    assert_string_equal(text("data.message"), "disk full");
    assert_int_equal(json_array_size(member("data.tags")), 0);
    assert_true(create(&scene, "A")); /* case matters */
    assert_string_not_equal(text("data.alertId"), first);
    assert_true(carried_out(&scene, "POST", "/v2/alerts/a/acknowledge?identifierType=alias", ""));
    assert_true(create(&scene, "a")); /* an acknowledged alert is still open */
    assert_string_equal(text("data.alertId"), first);
    assert_true(carried_out(&scene, "POST", "/v2/alerts/a/close?identifierType=alias", ""));
    assert_true(create(&scene, "a"));
    assert_string_not_equal(text("data.alertId"), first);
    call(&scene, "GET", "/v2/alerts/1?identifierType=tiny", "");
    assert_string_equal(text("data.id"), first);
    assert_int_equal(summary(&scene, "deduplicated"), 2);
    assert_int_equal(number("created"), 3);
    assert_int_equal(number("open"), 2);
    assert_int_equal(number("closed"), 1);
    free(first);
    scene_close(&scene);
}

TEST(the_count_stops_at_a_hundred)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    for (int i = 0; i < 103; i++)
        assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\",\"alias\":\"a\"}"), 202);
    assert_true(create(&scene, "a"));
    call(&scene, "GET", "/v2/alerts/a?identifierType=alias", "");
    assert_int_equal(number("data.count"), 100);
    call_with(&scene, "GET", "/sandbox/opsgenie/alerts", NULL, NULL, "");
    assert_int_equal(number("0.creates"), 104);
    assert_int_equal(json_array_size(member("0.log")), 100);
    scene_close(&scene);
}

TEST(every_change_of_an_alert_is_read_back)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
#define ALERT "/v2/alerts/a%2Fb%20c"
#define ALIAS "?identifierType=alias"
    create(&scene, "a/b c");
    assert_true(carried_out(&scene, "PUT", ALERT "/priority" ALIAS, "{\"priority\":\"P1\"}"));
    assert_true(carried_out(&scene, "PUT", ALERT "/message" ALIAS, "{\"message\":\"new\"}"));
    assert_true(carried_out(&scene, "PUT", ALERT "/description" ALIAS, "{\"description\":\"long\"}"));
    assert_true(carried_out(&scene, "POST", ALERT "/tags" ALIAS, "{\"tags\":[\"x\",\"y\",\"x\"]}"));
    assert_true(carried_out(&scene, "DELETE", ALERT "/tags" ALIAS "&tags=y,z", ""));
    assert_true(carried_out(&scene, "POST", ALERT "/details" ALIAS, "{\"details\":{\"k\":\"v\",\"l\":\"w\"}}"));
    assert_true(carried_out(&scene, "DELETE", ALERT "/details" ALIAS "&keys=l", ""));
    assert_true(carried_out(&scene, "POST", ALERT "/acknowledge" ALIAS, "{\"user\":\"nina\"}"));
    assert_int_equal(call(&scene, "GET", ALERT ALIAS, ""), 200);
    assert_string_equal(text("data.priority"), "P1");
    assert_string_equal(text("data.message"), "new");
    assert_string_equal(text("data.description"), "long");
    assert_int_equal(json_array_size(member("data.tags")), 1);
    assert_string_equal(text("data.tags.0"), "x");
    assert_int_equal(json_object_size(member("data.details")), 1);
    assert_string_equal(text("data.details.k"), "v");
    assert_int_equal(number("data.acknowledged"), 1);
    assert_string_equal(text("data.report.acknowledgedBy"), "nina");
    assert_string_equal(text("data.status"), "open");
    assert_true(carried_out(&scene, "POST", ALERT "/unacknowledge" ALIAS, "{}"));
    call(&scene, "GET", ALERT ALIAS, "");
    assert_int_equal(number("data.acknowledged"), 0);
    assert_int_equal(call(&scene, "GET", ALERT "/logs" ALIAS, ""), 200);
    assert_true(json_array_size(member("data")) >= 9);
    assert_true(carried_out(&scene, "DELETE", ALERT ALIAS, ""));
    assert_int_equal(call(&scene, "GET", ALERT ALIAS, ""), 404);
    scene_close(&scene);
}

TEST(alerts_are_listed_and_counted_by_a_query)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    create(&scene, "a");
    create(&scene, "b");
    create(&scene, "c");
    carried_out(&scene, "POST", "/v2/alerts/b/close?identifierType=alias", "{}");
    assert_int_equal(call(&scene, "GET", "/v2/alerts?query=status%3Aopen&sort=tinyId&order=asc", ""), 200);
    assert_int_equal(json_array_size(member("data")), 2);
    assert_string_equal(text("data.0.alias"), "a");
    assert_string_equal(text("data.1.alias"), "c");
    assert_int_equal(call(&scene, "GET", "/v2/alerts?query=alias%3Ab", ""), 200);
    assert_int_equal(json_array_size(member("data")), 1);
    assert_int_equal(call(&scene, "GET", "/v2/alerts?limit=1&offset=1", ""), 200);
    assert_int_equal(json_array_size(member("data")), 1);
    assert_non_null(strstr(text("paging.next"), "offset=2"));
    assert_int_equal(call(&scene, "GET", "/v2/alerts/count?query=status%3A%20open%20AND%20alias%3A%22a%22", ""), 200);
    assert_int_equal(number("data.count"), 1);
    assert_int_equal(call(&scene, "GET", "/v2/alerts?query=weather%3Afine", ""), 422);
    assert_int_equal(call(&scene, "GET", "/v2/alerts?limit=101", ""), 422);
    assert_int_equal(call(&scene, "GET", "/v2/alerts?limit=100&offset=19901", ""), 422);
    scene_close(&scene);
}

/* ---- strictness ------------------------------------------------------------------------------------------------ */

TEST(a_wrong_key_is_refused_and_an_account_key_may_not_create)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    static const char *const wrong[] = {NULL,      "GenieKey wrong", "Bearer sandbox",
                                        "sandbox", "GenieKey ",      "Basic dXNlcjpzYW5kYm94" /* user:sandbox */};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(call_with(&scene, "GET", "/v2/alerts", wrong[i], NULL, ""), 401);
    assert_true(json_is_string(member("message")) && json_is_string(member("requestId")));
    assert_int_equal(call_with(&scene, "GET", "/v2/alerts", "Basic OnNhbmRib3g=" /* :sandbox */, NULL, ""), 200);
    assert_int_equal(call_with(&scene, "GET", "/v2/alerts", "GenieKey sandbox-account", NULL, ""), 200);
    assert_int_equal(
        call_with(&scene, "POST", "/v2/alerts", "GenieKey sandbox-account", "application/json", "{\"message\":\"m\"}"),
        403);
    assert_int_equal(number("code"), 40301);
    assert_int_equal(summary(&scene, "accepted"), 0);
    scene_close(&scene);
}

static void refused(struct scene *scene, const char *path, const char *body, const char *field)
{
    const char *method = strstr(path, "priority") ? "PUT" : "POST";
    if (call(scene, method, path, body) != 422)
        fail_msg("%s with %.200s: %s", path, body, last.text);
    if (!json_is_object(member("errors")) || !json_object_get(member("errors"), field))
        fail_msg("%s with %.200s: no word about %s: %s", path, body, field, last.text);
}

/* {"message":"m","<field>":"xxx..."} with `size` characters of two UTF-16 units each if `wide`. */
static char *long_field(const char *field, size_t size, bool is_wide)
{
    struct buf body = BUF_INIT(1 << 20);
    buf_addf(&body, "{%s\"%s\":\"", strcmp(field, "message") == 0 ? "" : "\"message\":\"m\",", field);
    for (size_t i = 0; i < size; i++)
        buf_add_text(&body, is_wide ? "\xf0\x9f\x94\x8c" : "x");
    buf_add_text(&body, "\"}");
    return buf_take(&body);
}

TEST(every_limit_of_a_create_is_kept)
{
    static const struct {
        const char *field;
        size_t limit;
    } limits[] = {{"message", 130}, {"alias", 512}, {"description", 15000}, {"entity", 512},
                  {"source", 100},  {"user", 100},  {"note", 25000}};
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        char *body = long_field(limits[i].field, limits[i].limit, false);
        assert_int_equal(call(&scene, "POST", "/v2/alerts", body), 202);
        free(body);
        body = long_field(limits[i].field, limits[i].limit + 1, false);
        refused(&scene, "/v2/alerts", body, limits[i].field);
        free(body);
    }
    char *body = long_field("message", 65, true);
    assert_int_equal(call(&scene, "POST", "/v2/alerts", body), 202);
    free(body);
    body = long_field("message", 66, true);
    refused(&scene, "/v2/alerts", body, "message");
    free(body);
    scene_close(&scene);
}

TEST(every_flaw_of_a_body_is_named)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    refused(&scene, "/v2/alerts", "{}", "message");
    refused(&scene, "/v2/alerts", "{\"message\":\" \"}", "message");
    refused(&scene, "/v2/alerts", "{\"message\":7}", "message");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"priority\":\"P6\"}", "priority");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"tags\":\"a,b\"}", "tags");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"tags\":[1]}", "tags");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"details\":{\"a\":{\"b\":\"c\"}}}", "details");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"details\":{\"a\":1}}", "details");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"responders\":[{}]}", "responders");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"responders\":[{\"type\":\"teams\",\"name\":\"x\"}]}",
            "responders");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"visibleTo\":[{\"type\":\"schedule\",\"name\":\"x\"}]}",
            "visibleTo");
    refused(&scene, "/v2/alerts", "{\"message\":\"m\",\"teams\":\"x\"}", "teams");
    refused(&scene, "/v2/alerts", "[]", "body");
    refused(&scene, "/v2/alerts/a/notes?identifierType=alias", "{}", "note");
    refused(&scene, "/v2/alerts/a/tags?identifierType=alias", "{\"tags\":[]}", "tags");
    refused(&scene, "/v2/alerts/a/priority?identifierType=alias", "{}", "priority");
    refused(&scene, "/v2/alerts/a/close?identifierType=name", "{}", "identifierType");
    assert_int_equal(call(&scene, "POST", "/v2/alerts",
                          "{\"message\":\"m\",\"responders\":[{\"type\":\"team\",\"name\":\"ops\"}],\"note\":null}"),
                     202);
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":"), 400);
    assert_int_equal(call_with(&scene, "POST", "/v2/alerts", KEY, "text/plain", "{\"message\":\"m\"}"), 415);
    assert_int_equal(call_with(&scene, "POST", "/v2/alerts", KEY, NULL, "{\"message\":\"m\"}"), 415);
    assert_int_equal(call(&scene, "POST", "/v2/alerts/a", "{}"), 405);
    assert_string_equal(text("message"), "Request method 'POST' not supported");
    assert_int_equal(call(&scene, "PATCH", "/v2/alerts/a/priority", "{}"), 405);
    assert_int_equal(call(&scene, "GET", "/v1/alerts", ""), 404);
    assert_int_equal(summary(&scene, "accepted"), 1);
    scene_close(&scene);
}

#define OPS "/jsm/ops/api/sandbox/v1"
#define PERSON "Basic bmluYUBleGFtcGxlLmNvbTpzYW5kYm94" /* nina@example.com:sandbox */

static int ops(struct scene *scene, const char *method, const char *path, const char *body)
{
    return call_with(scene, method, path, PERSON, *body ? "application/json" : NULL, body);
}

TEST(jsm_ops_takes_no_words_of_opsgenies_own_api)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    static const struct {
        const char *method, *path, *body, *field;
    } rows[] = {
        {"POST", OPS "/alerts", "{\"message\":\"m\",\"details\":{\"a\":\"b\"}}", "details"},
        {"POST", OPS "/alerts", "{\"message\":\"m\",\"user\":\"nina\"}", "user"},
        {"POST", OPS "/alerts", "{\"message\":\"m\",\"responders\":[{\"type\":\"team\",\"name\":\"night\"}]}",
         "responders"},
        {"POST", OPS "/alerts/a/close", "{\"note\":\"over\"}", "note"},
        {"POST", OPS "/alerts/a/assign", "{\"owner\":{\"id\":\"u\"}}", "owner"},
        {"POST", OPS "/alerts/a/escalate", "{}", "escalation"},
        {"PATCH", OPS "/alerts/a/priority", "{\"priority\":\"P9\"}", "priority"},
        {"DELETE", OPS "/alerts/a/tags", "{}", "tags"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (ops(&scene, rows[i].method, rows[i].path, rows[i].body) != 422
            || !json_object_get(member("errors.0.detail"), rows[i].field))
            fail_msg("row %zu: %s", i, last.text);
    }
    assert_int_equal(ops(&scene, "PUT", OPS "/alerts/a/priority", "{\"priority\":\"P1\"}"), 405);
    assert_int_equal(call(&scene, "POST", OPS "/alerts", "{\"message\":\"m\"}"), 401); /* a GenieKey */
    assert_int_equal(call_with(&scene, "POST", "/v2/alerts", PERSON, "application/json", "{\"message\":\"m\"}"), 401);
    scene_close(&scene);
}

TEST(three_apis_have_the_same_alerts)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    create(&scene, "a");
    assert_int_equal(ops(&scene, "GET", OPS "/alerts/alias?alias=a", ""), 200);
    char path[200];
    snprintf(path, sizeof path, OPS "/alerts/%s", text("id"));
    assert_int_equal(call(&scene, "POST", "/jsm/ops/integration/v2/alerts/a/close?identifierType=alias", ""), 202);
    snprintf(path + strlen(path), sizeof path - strlen(path), "/notes");
    assert_int_equal(ops(&scene, "POST", path, "{\"note\":\"n\"}"), 200);
    while (ops(&scene, "GET", OPS "/alerts/alias?alias=a", "") == 200)
        ; /* until it is closed: then it is found by its id only */
    assert_int_equal(ops(&scene, "GET", path, ""), 200);
    assert_string_equal(text("values.0.note"), "n");
    assert_int_equal(
        call(&scene, "PUT", "/jsm/ops/integration/v2/alerts/a/priority?identifierType=alias", "{\"priority\":\"P1\"}"),
        405);
    scene_close(&scene);
}

TEST(who_asks_too_often_is_throttled_for_the_window_that_was_over)
{
    static struct scene scene;
    scene_open(&scene, 0, 3, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}"), 202);
        assert_non_null(strstr(last.text, "X-RateLimit-State: OK"));
    }
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}"), 429);
    assert_non_null(strstr(last.text, "X-RateLimit-State: THROTTLED"));
    assert_non_null(strstr(last.text, "X-RateLimit-Period-In-Sec: 60"));
    assert_non_null(strstr(last.text, "X-RateLimit-Reason: ACCOUNT"));
    assert_int_equal(call(&scene, "GET", "/v2/alerts", ""), 200); /* searches have a limit of their own */
    assert_int_equal(summary(&scene, "throttled"), 1);
    assert_int_equal(number("accepted"), 3);
    scene_close(&scene);
    scene_open(&scene, 0, 0, 1);
    int status = 0; /* one a second: two within one are bound to come */
    for (int i = 0; i < 100 && status != 429; i++)
        status = call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}");
    assert_int_equal(status, 429);
    assert_non_null(strstr(last.text, "X-RateLimit-Period-In-Sec: 1\r\n"));
    scene_close(&scene);
}

/* ---- faults and inspection ------------------------------------------------------------------------------------- */

TEST(a_fault_answers_in_the_place_of_the_api_as_often_as_asked)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    fault(&scene, "{\"match\":{\"method\":\"POST\",\"path_prefix\":\"/v2/alerts\"},\"times\":2,\"status\":503,"
                  "\"body\":\"<html>busy</html>\",\"content_type\":\"text/html\",\"headers\":{\"Retry-After\":\"7\"}}");
    assert_int_equal(call(&scene, "GET", "/v2/alerts", ""), 200);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}"), 503);
        assert_non_null(strstr(last.text, "<html>busy</html>"));
        assert_non_null(strstr(last.text, "text/html"));
        assert_non_null(strstr(last.text, "Retry-After: 7"));
    }
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}"), 202);
    assert_int_equal(summary(&scene, "accepted"), 1);
    assert_int_equal(number("repeats"), 2);
    fault(&scene, "{\"status\":500,\"times\":-1}");
    assert_int_equal(call(&scene, "GET", "/v2/alerts", ""), 500);
    assert_int_equal(call(&scene, "GET", "/v2/alerts", ""), 500);
    call_with(&scene, "DELETE", "/sandbox/opsgenie/faults", NULL, NULL, "");
    assert_int_equal(call(&scene, "GET", "/v2/alerts", ""), 200);
    scene_close(&scene);
}

TEST(a_cut_comes_before_or_after_the_request_was_accepted)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    fault(&scene, "{\"cut\":\"before\"}");
    fault(&scene, "{\"cut\":\"after\"}");
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\",\"alias\":\"before\"}"), 0);
    assert_int_equal(summary(&scene, "accepted"), 0);
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\",\"alias\":\"after\"}"), 0);
    assert_int_equal(summary(&scene, "accepted"), 1);
    assert_int_equal(number("cut"), 2);
    assert_true(create(&scene, "after"));
    assert_int_equal(summary(&scene, "deduplicated"), 1);
    scene_close(&scene);
}

TEST(a_late_answer_comes_late_and_was_carried_out_at_once)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    fault(&scene, "{\"delay_ms\":300}");
    uint64_t start = uv_hrtime();
    assert_int_equal(call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}"), 202);
    assert_true(uv_hrtime() - start >= 200000000u);
    fault(&scene, "{\"delay_ms\":3600000}");
    int fd = dial(scene.port); /* this one is never answered: the simulator stops before */
    request_write(fd, "POST", "/v2/alerts", KEY, "application/json", "{\"message\":\"m\"}");
    while (summary(&scene, "accepted") < 2)
        continue;
    scene_close(&scene);
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

TEST(a_fault_that_makes_no_sense_is_refused)
{
    static const char *const wishes[] = {"{}",
                                         "{\"status\":99}",
                                         "{\"status\":500,\"times\":0}",
                                         "{\"cut\":\"now\"}",
                                         "{\"drop\":true,\"typo\":1}",
                                         "{\"drop\":true,\"match\":{\"typo\":\"x\"}}",
                                         "{\"status\":500,\"headers\":{\"a\":\"b\\r\\nc: d\"}}",
                                         "{\"status\":500,\"headers\":[]}"};
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        if (call_with(&scene, "POST", "/sandbox/opsgenie/faults", NULL, NULL, wishes[i]) != 422)
            fail_msg("%s: %s", wishes[i], last.text);
    assert_int_equal(call_with(&scene, "POST", "/sandbox/opsgenie/faults", NULL, NULL, "{"), 400);
    scene_close(&scene);
}

TEST(every_request_is_shown_with_its_answer_and_how_often_it_came)
{
    static struct scene scene;
    scene_open(&scene, 0, 0, 0);
    call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}");
    call(&scene, "POST", "/v2/alerts", "{\"message\":\"m\"}");
    call(&scene, "POST", "/v2/alerts/x/close?identifierType=alias", "{");
    call_with(&scene, "GET", "/sandbox/opsgenie/requests", NULL, NULL, "");
    assert_int_equal(json_array_size(last.json), 3);
    assert_string_equal(text("0.body"), "{\"message\":\"m\"}");
    assert_int_equal(number("0.copy"), 1);
    assert_int_equal(number("1.copy"), 2);
    assert_int_equal(number("1.status"), 202);
    assert_int_equal(number("2.status"), 400);
    assert_string_equal(text("2.path"), "/v2/alerts/x/close?identifierType=alias");
    assert_null(strstr(last.text, "GenieKey"));
    call_with(&scene, "GET", "/sandbox/opsgenie/requests?limit=1", NULL, NULL, "");
    assert_int_equal(number("0.number"), 3);
    assert_int_equal(summary(&scene, "repeats"), 1);
    call_with(&scene, "POST", "/sandbox/opsgenie/reset", NULL, NULL, "");
    assert_int_equal(summary(&scene, "requests"), 0);
    assert_int_equal(number("total"), 0);
    assert_int_equal(call_with(&scene, "GET", "/", NULL, NULL, ""), 200);
    scene_close(&scene);
    forget_last();
}
