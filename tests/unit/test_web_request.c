/* test_web_request.c - from a flow's table to a request that goes where the connection says, and nowhere else */
#include "adapters/http/web.h"

#include "test.h"

extern const struct adapter adapter_http;

static struct buf fields, out;
static struct err err;

static void begin(void)
{
    buf_clear(&fields);
    buf_clear(&out);
    fields = (struct buf)BUF_INIT((size_t)20 << 20);
    out = (struct buf)BUF_INIT((size_t)20 << 20);
    err = (struct err)ERR_INIT;
}

static void text(const char *name, const char *value)
{
    record_add_text(&fields, name, slice_of(value));
}

static void json(const char *name, const char *value)
{
    record_add(&fields, name, RECORD_JSON, slice_of(value));
}

static bool build(void)
{
    struct settings *settings = settings_new(adapter_http.options);
    settings_set_text(settings, "base", slice_of("https://api.example.com/v1"));
    settings_set_text(settings, "key_header", slice_of("X-Api-Key"));
    settings_set_text(settings, "sign", slice_of("standard"));
    bool ok = web_request_build(settings, "POST", buf_slice(&fields), &out, &err);
    assert_true(ok == (err.text[0] == '\0'));
    settings_free(settings);
    return ok;
}

static void has(const char *name, const char *value)
{
    struct slice found = record_get(buf_slice(&out), name);
    if (!slice_is(found, value))
        fail_msg("%s is \"%.*s\", not \"%s\"", name, SLICE_ARG(found), value);
}

static void refused(const char *why)
{
    if (build())
        fail_msg("not refused: %s", why);
    if (!strstr(err.text, why))
        fail_msg("not \"%s\": %s", why, err.text);
}

static void path_is(const char *given, const char *wanted)
{
    begin();
    text("path", given);
    if (!build())
        fail_msg("%s", err.text);
    has("path", wanted);
}

TEST(a_path_is_escaped_where_it_must_be_and_kept_where_it_is)
{
    path_is("", "");
    path_is("/", "/");
    path_is("/orders/17", "/orders/17");
    path_is("/a b/\xC3\xA4/%2F", "/a%20b/%C3%A4/%2F");
    path_is("/a:b@c/...", "/a:b@c/...");
    begin();
    json("path", "[\"orders\",\"a/b?#%\",17,\"...\"]");
    json("query", "{\"b\":[1,\"x y\",true],\"a\":\"\xC3\xA4&=\",\"c\":null,\"d\":0.1}");
    assert_true(build());
    has("path", "/orders/a%2Fb%3F%23%25/17/...?b=1&b=x%20y&b=true&a=%C3%A4%26%3D&d=0.1");
}

TEST(a_path_does_not_leave_the_base)
{
    static const char *const wrong[] = {
        "orders", "//../x", "/..",   "/a/../b", "/a/.", "/%2e%2E/x", "/.%2e", "@evil.example", ".evil.example",
        "/a?b",   "/a#b",   "/a\\b", "/a\nb",   "/a%",  "/a%2",      "/a%zz", "\r\nHost: x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin();
        text("path", wrong[i]);
        refused("`path`");
    }
    static const char *const lists[] = {"[]", "{}", "[\"\"]", "[\"..\"]", "[\".\"]", "[\"a\",{}]", "{\"a\":1}"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        begin();
        json("path", lists[i]);
        refused("`path`");
    }
}

TEST(headers_that_frame_or_speak_for_the_connection_cannot_be_set)
{
    static const char *const names[] = {"Host",
                                        "content-LENGTH",
                                        "Transfer-Encoding",
                                        "Connection",
                                        "Authorization",
                                        "Cookie",
                                        "Expect",
                                        "Content-Type",
                                        "TE",
                                        "Upgrade",
                                        "X-API-key",
                                        "Webhook-Signature",
                                        "Idempotency-Key",
                                        "Proxy-Authorization"};
    char headers[200];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        begin();
        text("path", "/");
        snprintf(headers, sizeof headers, "{\"%s\":\"x\"}", names[i]);
        json("headers", headers);
        refused("cannot be set");
    }
    static const char *const wrong[] = {"{\"X-A\":\"a\\r\\nHost: b\"}",
                                        "{\"X-A\":\"a\\nb\"}",
                                        "{\"X A\":\"b\"}",
                                        "{\"X:A\":\"b\"}",
                                        "{\"\":\"b\"}",
                                        "{\"X\\n\":\"b\"}",
                                        "{\"X\":\"\"}",
                                        "{\"X\":\" \"}",
                                        "{\"X\":{}}",
                                        "{\"X\":\"\\u0000\"}",
                                        "[1]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin();
        text("path", "/");
        json("headers", wrong[i]);
        refused("`headers");
    }
    begin();
    text("path", "/");
    json("headers", "{\"X-A\":\"b c\",\"X-N\":17}");
    assert_true(build());
    has("headers", "X-A: b c\nX-N: 17\n");
}

TEST(a_body_is_json_a_form_or_text_but_one_of_them)
{
    begin();
    text("path", "/");
    json("json", "{\"n\":9007199254740993}");
    assert_true(build());
    has("body", "{\"n\":9007199254740993}");
    has("content_type", "application/json");
    begin();
    text("path", "/");
    text("json", "a \"text\"");
    assert_true(build());
    has("body", "\"a \\\"text\\\"\"");
    begin();
    text("path", "/");
    json("form", "{\"a\":[1,2],\"b\":\"x&y\"}");
    assert_true(build());
    has("body", "a=1&a=2&b=x%26y");
    begin();
    text("path", "/");
    text("text", "hello");
    text("content_type", "text/x");
    assert_true(build());
    has("body", "hello");
    has("content_type", "text/x");
    begin();
    text("path", "/");
    text("text", "hello");
    json("json", "{}");
    refused("are both the body");
    begin();
    text("path", "/");
    json("json", "{}");
    text("content_type", "text/x");
    refused("`content_type` is for `text`");
    begin();
    text("path", "/");
    text("text", "x");
    text("content_type", "text/x\r\nX: y");
    refused("`content_type` is not one line");
    begin();
    text("path", "/");
    json("form", "{\"a\":{}}");
    refused("`form.a` is a table");
    begin();
    text("path", "/");
    text("idempotency_key", "a\r\nb");
    refused("is not one line");
    begin();
    text("path", "/");
    assert_true(build());
    assert_false(record_has(buf_slice(&out), "body"));
    begin();
}

TEST(a_connection_without_a_base_sends_nothing)
{
    struct settings *settings = settings_new(adapter_http.options);
    begin();
    text("path", "/");
    assert_false(web_request_build(settings, "POST", buf_slice(&fields), &out, &err));
    assert_non_null(strstr(err.text, "no `base`"));
    settings_free(settings);
    begin();
}
