/* test_web_verdict.c - what an HTTP answer means, and for how long it asks us to be quiet */
#include "adapters/http/web.h"

#include "test.h"

#define NOW INT64_C(1767323045000) /* 2026-01-02T03:04:05Z */

extern const struct adapter adapter_http;

static struct web_table none;

static struct web_verdict judged(const struct web_table *table, int status, const char *headers, const char *body)
{
    struct buf lines = BUF_INIT(4000);
    struct web_verdict verdict;
    buf_add_text(&lines, headers);
    web_judge(table, &(struct http_reply){.status = status, .sent = true, .body = slice_of(body), .headers = &lines},
              NOW, &verdict);
    buf_clear(&lines);
    return verdict;
}

static enum web_kind kind(int status)
{
    return judged(&none, status, "", "").kind;
}

TEST(an_answer_means_what_its_status_says)
{
    static const int done[] = {200, 201, 202, 204, 299}, later[] = {401, 403, 408, 425, 429, 503},
                     never[] = {301, 302, 303, 304, 307, 308, 400, 404, 405, 409, 410, 413, 415, 422, 451},
                     unknown[] = {500, 501, 502, 504, 520, 599};
    for (size_t i = 0; i < sizeof done / sizeof done[0]; i++)
        assert_int_equal(kind(done[i]), WEB_DONE);
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        assert_int_equal(kind(later[i]), WEB_LATER);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert_int_equal(kind(never[i]), WEB_NEVER);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(kind(unknown[i]), WEB_UNKNOWN);
}

TEST(no_answer_is_unknown_if_something_was_sent_and_later_if_not)
{
    struct buf lines = BUF_INIT(10);
    struct web_verdict verdict;
    web_judge(&none, &(struct http_reply){.sent = true, .failure = "cut", .headers = &lines}, NOW, &verdict);
    assert_int_equal(verdict.kind, WEB_UNKNOWN);
    web_judge(&none, &(struct http_reply){.sent = false, .failure = "refused", .headers = &lines}, NOW, &verdict);
    assert_int_equal(verdict.kind, WEB_LATER);
    assert_string_equal(verdict.text, "refused");
}

TEST(a_wrong_key_pauses_the_connection_and_is_not_blamed_on_the_content)
{
    struct web_verdict verdict = judged(&none, 403, "content-type: application/json\n", "{\"error\":\"no\"}");
    assert_true(verdict.is_our_key);
    assert_int_equal(verdict.pause_ms, 60000);
    assert_string_equal(verdict.text, "HTTP 403: the far side does not take our credentials: {\"error\":\"no\"}");
    assert_string_equal(judged(&none, 302, "", "").text, "HTTP 302: a redirect, and these are not followed");
    assert_string_equal(judged(&none, 422, "content-type: image/png\n", "\x89PNG").text, "HTTP 422");
}

TEST(retry_after_is_obeyed_as_seconds_and_as_a_date)
{
    struct web_verdict verdict = judged(&none, 429, "retry-after: 17\n", "");
    assert_int_equal(verdict.wait_ms, 17000);
    assert_int_equal(verdict.pause_ms, 17000);
    verdict = judged(&none, 503, "retry-after: Fri, 02 Jan 2026 03:05:05 GMT\n", "");
    assert_int_equal(verdict.wait_ms, 60000);
    assert_int_equal(judged(&none, 503, "retry-after: Fri, 02 Jan 2026 03:00:00 GMT\n", "").wait_ms, 0);
    assert_int_equal(judged(&none, 503, "retry-after: 99999999999999\n", "").wait_ms, 86400000);
    assert_int_equal(judged(&none, 503, "retry-after: soon\n", "").wait_ms, 0);
    assert_int_equal(judged(&none, 425, "retry-after: 3\n", "").wait_ms, 3000);
    assert_int_equal(judged(&none, 425, "retry-after: 3\n", "").pause_ms, 0);
}

static void limit_is(const char *headers, int64_t left, int64_t from_now_ms)
{
    struct web_verdict verdict = judged(&none, 200, headers, "");
    if (verdict.calls_left != left || (left >= 0 && verdict.reset_ms != NOW + from_now_ms))
        fail_msg("%s: %d calls for %d ms", headers, (int)verdict.calls_left, (int)(verdict.reset_ms - NOW));
}

TEST(what_the_far_side_still_allows_is_read_in_all_its_spellings)
{
    limit_is("ratelimit: \"default\";r=0;t=30\n", 0, 30000);
    limit_is("ratelimit: \"default\";r=50;t=30\n", 50, 30000);
    limit_is("ratelimit-remaining: 0\nratelimit-reset: 7\n", 0, 7000);
    limit_is("x-ratelimit-remaining: 3\nx-ratelimit-reset: 1767323055\n", 3, 10000);
    limit_is("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1767323049500\n", 0, 4500);
    limit_is("x-rate-limit-remaining: 0\nx-rate-limit-reset: 1767323000\n", 0, 0);
    limit_is("ratelimit-remaining: 0\nratelimit-reset: 99999999\n", 0, 86400000);
    limit_is("ratelimit-remaining: none\nratelimit-reset: 7\n", -1, 0);
    limit_is("ratelimit-remaining: 0\n", -1, 0);
    limit_is("", -1, 0);
    assert_int_equal(judged(&none, 429, "retry-after: 2\nratelimit: \"default\";r=0;t=30\n", "").calls_left, -1);
}

static bool table_of(struct web_table *table, const char *key, const char *value, struct err *err)
{
    struct settings *settings = settings_new(adapter_http.options);
    memset(table, 0, sizeof *table);
    settings_add_pair(settings, "verdicts", slice_of(key), slice_of(value));
    settings_add_pair(settings, "verdicts", slice_of("4xx"), slice_of("later"));
    bool ok = web_table_read(table, settings, err);
    settings_free(settings);
    return ok;
}

TEST(a_connection_says_what_its_far_side_means)
{
    struct web_table table;
    struct err err = ERR_INIT;
    assert_true(table_of(&table, "409", "done", &err));
    assert_int_equal(judged(&table, 409, "", "").kind, WEB_DONE);
    assert_int_equal(judged(&table, 404, "", "").kind, WEB_LATER);
    assert_int_equal(judged(&table, 500, "", "").kind, WEB_UNKNOWN);
    assert_true(table_of(&table, "403", "never", &err));
    assert_int_equal(judged(&table, 403, "", "").kind, WEB_NEVER);
    assert_false(judged(&table, 403, "", "").is_our_key);
    static const char *const wrong[][2] = {{"40", "done"},  {"4x", "done"},  {"199", "done"},
                                           {"600", "done"}, {"xxx", "done"}, {"404", "maybe"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(table_of(&table, wrong[i][0], wrong[i][1], &err));
        assert_non_null(strstr(err.text, "`verdicts`"));
    }
}
