/* read.c - look-ups: a run waits for what the far side says; see web.h
 *
 *      cache? ──no──► try ──2xx──► answer           {status, headers, json or text}
 *                     ▲ │ 404 ───► nil              "there is none" is an answer, too
 *                     │ │ other refusals ─► never   the run is held
 *                     └─┴ no answer, busy ─► again, within `timeout`; then later: the event waits and runs again
 */
#include "adapters/http/web.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TRIES 3
#define FIRST_WAIT_MS 200
#define ANSWER_ROOM (8 * WEB_ANSWER_MAX)

/* ---- the answer ---------------------------------------------------------------------------------------------- */

/* Names in lower case, as http.h has them; what comes several times is joined with commas. */
static void add_headers(struct buf *out, const struct http_reply *reply)
{
    json_t *headers = json_object();
    struct slice rest = buf_slice(reply->headers);
    while (rest.size) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end ? (size_t)(end - rest.data) : rest.size;
        const char *colon = memchr(rest.data, ':', size);
        char *name = mem_copy((struct slice){rest.data, colon ? (size_t)(colon - rest.data) : 0});
        struct slice value = {colon ? colon + 1 : rest.data, colon ? size - (size_t)(colon + 1 - rest.data) : 0};
        while (value.size && (*value.data == ' ' || *value.data == '\t'))
            value.data++, value.size--;
        const char *before = json_string_value(json_object_get(headers, name));
        struct buf joined = BUF_INIT(100000);
        buf_addf(&joined, "%s%s%.*s", before ? before : "", before ? ", " : "", SLICE_ARG(value));
        json_object_set_new(headers, name, json_stringn(joined.data, joined.size)); /* not UTF-8: left out */
        buf_clear(&joined);
        free(name);
        size += end ? 1 : 0;
        rest = (struct slice){rest.data + size, rest.size - size};
    }
    char *text = json_dumps(headers, JSON_COMPACT);
    buf_add_text(out, text);
    free(text);
    json_decref(headers);
}

static bool is_json(const struct http_reply *reply)
{
    char type[200];
    snprintf(type, sizeof type, "%.*s", SLICE_ARG(http_header(reply, "content-type")));
    type[strcspn(type, "; ")] = '\0';
    size_t size = strlen(type);
    return strcasecmp(type, "application/json") == 0 || strcasecmp(type, "text/json") == 0
           || (size > 5 && strcasecmp(type + size - 5, "+json") == 0);
}

/* The body's own bytes, so that numbers stay what they are; checked here only for being one value. */
static bool add_json(struct buf *out, struct slice body)
{
    json_t *value = json_loadb(body.data, body.size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
    if (!value)
        return false;
    json_decref(value);
    return buf_add_text(out, ",\"json\":") && buf_add_slice(out, body);
}

bool web_answer(const struct http_reply *reply, struct buf *out)
{
    buf_addf(out, "{\"status\":%d,\"headers\":", reply->status);
    add_headers(out, reply);
    if (reply->body.size && is_json(reply)) {
        if (!add_json(out, reply->body))
            return false;
    } else if (reply->body.size) {
        buf_add_text(out, ",\"text\":");
        buf_add_json(out, reply->body);
    }
    return buf_add_text(out, "}") && !out->is_over;
}

/* ---- one question --------------------------------------------------------------------------------------------- */

static void end_never(struct web_call *call, const char *text)
{
    struct question *question = call->question;
    web_call_end(call);
    question_never(question, "%s", text);
}

static void answer(struct web_call *call, const struct http_reply *reply)
{
    struct question *question = call->question;
    struct web *web = call->web;
    struct buf json = BUF_INIT(ANSWER_ROOM);
    if (!web_answer(reply, &json)) {
        buf_clear(&json);
        end_never(call, "the answer says that it is JSON, and is not");
        return;
    }
    if (call->cache_ms && reply->status < 300)
        web_cache_put(web->cache, call->request, buf_slice(&json), clock_mono_ns());
    web_call_end(call);
    question_answer(question, buf_slice(&json));
    buf_clear(&json);
}

static void on_time(uv_timer_t *timer);

/* Another try, if there is time for one; else the event waits in the inbox. */
static void again(struct web_call *call, const struct web_verdict *verdict)
{
    int64_t wait_ms = FIRST_WAIT_MS << (2 * (call->tries - 1));
    if (wait_ms < verdict->wait_ms)
        wait_ms = verdict->wait_ms;
    bool has_time = clock_mono_ns() + wait_ms * 1000000 < call->deadline_ns;
    if (call->tries < TRIES && has_time && !verdict->is_our_key) {
        uv_timer_start(&call->timer, on_time, (uint64_t)wait_ms, 0);
        return;
    }
    struct question *question = call->question;
    unsigned tries = call->tries;
    web_call_end(call);
    question_later(question, "%s (%u %s)", verdict->text, tries, tries == 1 ? "try" : "tries");
}

static void on_reply(struct web_call *call, const struct http_reply *reply, struct web_verdict *verdict)
{
    web_call_note(call, reply, verdict);
    int status = reply ? reply->status : 0;
    bool is_said = status && call->web->table.by_status[status < 600 ? status : 599] != WEB_DEFAULT;
    struct question *question = call->question;
    if (status && verdict->kind == WEB_DONE) {
        answer(call, reply);
    } else if ((status == 404 || status == 410) && !is_said) {
        web_call_end(call);
        question_answer(question, slice_of("null"));
    } else if (verdict->kind == WEB_NEVER) {
        end_never(call, verdict->text);
    } else {
        again(call, verdict);
    }
}

static void try_it(struct web_call *call)
{
    int64_t left_ms = (call->deadline_ns - clock_mono_ns()) / 1000000;
    call->tries++;
    web_call_send(call, left_ms > 1 ? (long)left_ms : 1, on_reply);
}

static void on_time(uv_timer_t *timer)
{
    try_it(timer->data);
}

void web_ask(struct connection *connection, struct question *question)
{
    struct web *web = connection->state;
    struct err err = ERR_INIT;
    struct web_call *call = web_call_new(web);
    const char *method = strcmp(question->query->name, "get") == 0 ? "GET" : "POST";
    call->question = question;
    if (!web_request_build(connection->settings, method, question->fields, &call->owned, &err)) {
        end_never(call, err.text);
        return;
    }
    call->request = buf_slice(&call->owned);
    call->cache_ms = record_get_integer(question->fields, "cache", 0);
    struct slice known;
    if (call->cache_ms && web_cache_get(web->cache, call->request, call->cache_ms, clock_mono_ns(), &known)) {
        web_call_end(call);
        question_answer(question, known);
        return;
    }
    int64_t timeout_ms =
        record_get_integer(call->request, "timeout_ms", settings_number(connection->settings, "timeout"));
    call->deadline_ns = clock_mono_ns() + timeout_ms * 1000000;
    try_it(call);
}
