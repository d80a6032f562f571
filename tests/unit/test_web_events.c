/* test_web_events.c - from a webhook's request to events: plain, a form, and the three ways of CloudEvents */
#include "adapters/http/events.h"
#include "core/net/server_internal.h"

#include "test.h"

static struct request request;
static struct web_events events;
static struct err err;

static void begin(const char *body)
{
    web_events_clear(&events);
    buf_clear(&request.values);
    buf_clear(&request.body);
    request = (struct request){
        .method = "POST", .path = "/hooks/shop/orders", .values = BUF_INIT(100000), .body = BUF_INIT(100000)};
    buf_add_text(&request.body, body);
    err = (struct err)ERR_INIT;
}

static void header(const char *name, const char *value)
{
    buf_add_char(&request.values, 'h');
    buf_add(&request.values, name, strlen(name) + 1);
    buf_add(&request.values, value, strlen(value) + 1);
}

static int read_as(enum web_format format)
{
    int status = web_events_read(&request, "X-Token", format, &events, &err);
    assert_true((status == 0) == (err.text[0] == '\0'));
    return status;
}

static void field_is(size_t event, const char *name, const char *wanted)
{
    struct slice found = record_get(buf_slice(&events.records[event]), name);
    if (!slice_is(found, wanted))
        fail_msg("%s of event %zu is %.*s", name, event, SLICE_ARG(found));
}

static const char *member(size_t event, const char *field, const char *one, const char *two)
{
    static char text[1000];
    struct slice found = record_get(buf_slice(&events.records[event]), field);
    json_t *json = json_loadb(found.data, found.size, 0, NULL);
    json_t *value = json_object_get(json, one);
    if (two)
        value = json_object_get(value, two);
    snprintf(text, sizeof text, "%s", json_string_value(value) ? json_string_value(value) : "");
    json_decref(json);
    return text;
}

TEST(a_plain_request_is_one_event_with_its_bytes_and_no_secrets)
{
    begin("{\"n\": 9007199254740993 }");
    header("Content-Type", "application/json; charset=utf-8");
    header("Authorization", "Bearer hush");
    header("x-token", "hush");
    header("Cookie", "hush");
    header("X-GitHub-Delivery", "d-1");
    header("X-A", "one");
    header("X-A", "two");
    header("webhook-id", "msg-1");
    header("webhook-timestamp", "1767323045");
    assert_int_equal(read_as(WEB_JSON), 0);
    assert_int_equal(events.count, 1);
    field_is(0, "body", "{\"n\": 9007199254740993 }");
    field_is(0, "content_type", "application/json; charset=utf-8");
    assert_string_equal(member(0, "headers", "x-github-delivery", NULL), "d-1");
    assert_string_equal(member(0, "headers", "x-a", NULL), "one, two");
    assert_string_equal(member(0, "properties", "message_id", NULL), "msg-1");
    assert_string_equal(member(0, "properties", "method", NULL), "POST");
    struct slice record = buf_slice(&events.records[0]);
    assert_null(memmem(record.data, record.size, "hush", 4));
    assert_true(record_get_integer(record, "time_ms", 0) == INT64_C(1767323045000));
    begin("");
}

TEST(another_content_type_than_the_flow_takes_is_refused)
{
    static const char *const wrong[] = {"text/csv", "application/x-www-form-urlencoded", "application/jsonx", "json"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin("{}");
        header("content-type", wrong[i]);
        assert_int_equal(read_as(WEB_JSON), 415);
    }
    begin("{}");
    assert_int_equal(read_as(WEB_JSON), 0);
    begin("{}");
    header("content-type", "application/vnd.api+json;v=1");
    assert_int_equal(read_as(WEB_JSON), 0);
    begin("a,b");
    header("content-type", "text/csv");
    assert_int_equal(read_as(WEB_TEXT), 0);
    begin("{}");
    header("content-type", "application/json");
    assert_int_equal(read_as(WEB_FORM), 415);
    begin("");
}

TEST(a_form_becomes_an_object_of_texts)
{
    begin("a=1&b=x+y%26z&a=2&c&=d&a=3&e=%zz&f=");
    header("content-type", "application/x-www-form-urlencoded");
    assert_int_equal(read_as(WEB_FORM), 0);
    field_is(0, "body", "{\"a\":[\"1\",\"2\",\"3\"],\"b\":\"x y&z\",\"c\":\"\",\"e\":\"%zz\",\"f\":\"\"}");
    field_is(0, "content_type", "application/json");
    begin("");
}

TEST(a_form_that_json_has_no_place_for_is_refused_whole)
{
    static const char *const wrong[] = {"a=1&b=%FF", "a=1&%FF=2", "a=1&a=%FF", "a=1&a=2&a=%C3", "a%00b=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin(wrong[i]);
        header("content-type", "application/x-www-form-urlencoded");
        assert_int_equal(read_as(WEB_FORM), 400);
        assert_int_equal(events.count, 0);
    }
    begin("");
}

TEST(a_cloudevent_in_headers_is_decoded_once_and_keeps_its_body)
{
    begin("{\"n\": 1}");
    header("Content-Type", "application/json");
    header("CE-SpecVersion", "1.0");
    header("ce-id", "A%201");
    header("ce-source", "/charging/b%C3%A4ckend");
    header("ce-type", "\"com.example.raised\"");
    header("ce-time", "2026-01-02T03:04:05Z");
    header("ce-subject", "a%2520b");
    assert_int_equal(read_as(WEB_JSON), 0);
    field_is(0, "body", "{\"n\": 1}");
    assert_string_equal(member(0, "properties", "message_id", NULL), "/charging/b\xC3\xA4"
                                                                     "ckend A 1");
    assert_string_equal(member(0, "properties", "type", NULL), "com.example.raised");
    assert_string_equal(member(0, "properties", "ce", "subject"), "a%20b");
    assert_true(record_get_integer(buf_slice(&events.records[0]), "time_ms", 0) == INT64_C(1767323045000));
    begin("{}");
    header("ce-specversion", "1.0");
    header("ce-id", "1");
    header("ce-source", "%ff");
    header("ce-type", "t");
    assert_int_equal(read_as(WEB_JSON), 400);
    begin("{}");
    header("ce-specversion", "0.3");
    header("ce-id", "1");
    header("ce-source", "s");
    header("ce-type", "t");
    assert_int_equal(read_as(WEB_JSON), 400);
    assert_non_null(strstr(err.text, "version 0.3"));
    begin("");
}

#define HEAD "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\""

static void structured(const char *body, const char *type)
{
    begin(body);
    header("content-type", type);
}

TEST(a_cloudevent_in_an_envelope_gives_its_data)
{
    static const char single[] = "application/cloudevents+json; charset=UTF-8";
    structured("{" HEAD ",\"subject\":null,\"data\":{\"n\":9007199254740993}}", single);
    assert_int_equal(read_as(WEB_JSON), 0);
    field_is(0, "body", "{\"n\":9007199254740993}");
    field_is(0, "content_type", "application/json");
    assert_string_equal(member(0, "properties", "message_id", NULL), "s 1");
    structured("{" HEAD ",\"datacontenttype\":\"text/xml\",\"data\":\"<a/>\"}", single);
    assert_int_equal(read_as(WEB_TEXT), 0);
    field_is(0, "body", "<a/>");
    field_is(0, "content_type", "text/xml");
    structured("{" HEAD ",\"data_base64\":\"aGk=\",\"datacontenttype\":\"application/json\"}", single);
    assert_int_equal(read_as(WEB_JSON), 0);
    field_is(0, "body", "hi");
    structured("{" HEAD "}", single);
    assert_int_equal(read_as(WEB_JSON), 0);
    field_is(0, "body", "null");
    structured("{" HEAD ",\"data\":1,\"data_base64\":\"aGk=\"}", single);
    assert_int_equal(read_as(WEB_JSON), 400);
    structured("{" HEAD ",\"data_base64\":\"a\"}", single);
    assert_int_equal(read_as(WEB_JSON), 400);
    structured("{" HEAD ",\"time\":\"yesterday\"}", single);
    assert_int_equal(read_as(WEB_JSON), 400);
    structured("{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"s\",\"type\":\"t\"}", single);
    assert_int_equal(read_as(WEB_JSON), 400);
    structured("[{" HEAD "}]", single);
    assert_int_equal(read_as(WEB_JSON), 400);
    structured("", single);
    assert_int_equal(read_as(WEB_JSON), 400);
    begin("");
}

TEST(a_batch_is_as_many_events_or_refused_whole)
{
    static const char batch[] = "application/CloudEvents-Batch+json";
    structured("[{" HEAD ",\"data\":1},{" HEAD ",\"data\":2}]", batch);
    assert_int_equal(read_as(WEB_JSON), 0);
    assert_int_equal(events.count, 2);
    field_is(0, "body", "1");
    field_is(1, "body", "2");
    structured("[]", batch);
    assert_int_equal(read_as(WEB_JSON), 0);
    assert_int_equal(events.count, 0);
    structured("[{" HEAD "},7]", batch);
    assert_int_equal(read_as(WEB_JSON), 400);
    assert_non_null(strstr(err.text, "event 2 of the batch"));
    structured("{" HEAD "}", batch);
    assert_int_equal(read_as(WEB_JSON), 400);
    begin("");
}

TEST(a_name_that_is_longer_than_an_id_may_be_is_named_by_its_digest)
{
    char body[600], source[301];
    memset(source, 's', 300);
    source[300] = '\0';
    snprintf(body, sizeof body, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"%s\",\"type\":\"t\"}", source);
    structured(body, "application/cloudevents+json");
    assert_int_equal(read_as(WEB_JSON), 0);
    assert_int_equal(strlen(member(0, "properties", "message_id", NULL)), 64);
    begin("");
}

TEST(two_names_of_any_length_are_two)
{
    enum { LONG = 13000 };
    char *body = mem_zero(2 * LONG), names[2][100];
    for (int i = 0; i < 2; i++) {
        snprintf(body, 2 * LONG, "{\"specversion\":\"1.0\",\"source\":\"/\",\"type\":\"t\",\"id\":\"%0*d\"}", LONG, i);
        structured(body, "application/cloudevents+json");
        assert_int_equal(read_as(WEB_JSON), 0);
        snprintf(names[i], sizeof names[i], "%s", member(0, "properties", "message_id", NULL));
        assert_int_equal(strlen(names[i]), 64);
    }
    assert_string_not_equal(names[0], names[1]);
    free(body);
    begin("");
}

TEST(a_cloudevent_with_a_zero_in_its_id_is_refused)
{
    structured("{\"specversion\":\"1.0\",\"id\":\"a\\u0000b\",\"source\":\"/\",\"type\":\"t\"}",
               "application/cloudevents+json");
    assert_int_equal(read_as(WEB_JSON), 400);
    begin("{}");
    header("ce-specversion", "1.0");
    header("ce-id", "a%00b");
    header("ce-source", "/");
    header("ce-type", "t");
    assert_int_equal(read_as(WEB_JSON), 400);
    begin("");
}
