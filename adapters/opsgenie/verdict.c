/* verdict.c - what an answer of OpsGenie's means
 *
 *      answer to a write                    outcome of the request
 *      202  accepted: follow ────────────►  isSuccess true: done
 *      401, 403: later, all is paused       isSuccess false: never; for close and acknowledge the
 *      429: later, all is paused              alert itself tells whether it is so already
 *      5xx (but 501): later                 404 RequestNotProcessed, trouble: ask again
 *      other 4xx, 501: never
 *      no answer: later where a repeat is harmless, else unknown; not sent: later
 *
 * A refusal of the content is final.  A wrong key, a wrong URL, a page of HTML from something in
 * between say nothing about the content: no effect is lost to them.
 *
 * Sources: the vendor's OpenAPI description (github.com/opsgenie/opsgenie-oas) and "Alert API" and
 * "API Rate Limits" in its documentation; the error type of a request that is not processed yet
 * is in its Go SDK (github.com/opsgenie/opsgenie-go-sdk-v2). */
#include "adapters/opsgenie/opsgenie.h"

#include "core/base/utf8.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#define WRONG_SET_UP_MS 60000   /* a person has to act: no hurry */
#define PERIOD_DEFAULT_MS 60000 /* the longer of OpsGenie's two windows */
#define PERIOD_MOST_MS (3600 * 1000)
#define BODY_SHOWN 500 /* bytes of an answer in a text */

static void say(struct opsgenie_verdict *verdict, enum opsgenie_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct opsgenie_verdict *verdict, enum opsgenie_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    verdict->kind = kind;
    vsnprintf(verdict->text, sizeof verdict->text, format, args);
    va_end(args);
}

static struct slice shown(const struct http_reply *reply)
{
    struct slice body = reply->body;
    while (body.size && strchr(" \r\n\t", body.data[body.size - 1]))
        body.size--;
    return utf8_cut(body, BODY_SHOWN);
}

static bool is_html(const struct http_reply *reply)
{
    struct slice type = http_header(reply, "content-type");
    size_t at = 0;
    while (at < reply->body.size && strchr(" \r\n\t", reply->body.data[at]))
        at++;
    return (type.size >= 9 && strncasecmp(type.data, "text/html", 9) == 0)
           || (at < reply->body.size && reply->body.data[at] == '<');
}

static json_t *body_of(const struct http_reply *reply)
{
    return json_loadb(reply->body.data ? reply->body.data : "", reply->body.size, 0, NULL);
}

/* Every answer of OpsGenie's own names its request; that of a wrong path or of something in between does not. */
static bool is_from_opsgenie(const struct http_reply *reply)
{
    json_t *body = body_of(reply);
    bool is = json_is_string(json_object_get(body, "requestId"));
    json_decref(body);
    return is;
}

static int64_t seconds_of(struct slice text)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || seconds > PERIOD_MOST_MS)
            return -1;
        seconds = seconds * 10 + (text.data[i] - '0');
    }
    return text.size ? seconds : -1;
}

/* Retry-After is seconds or a date (RFC 9110, section 10.2.3); X-RateLimit-Period-In-Sec is OpsGenie's own.
 * -1 where neither is there. */
static int64_t wish_ms(const struct http_reply *reply)
{
    struct slice after = http_header(reply, "retry-after");
    int64_t seconds = seconds_of(after);
    if (seconds < 0 && after.size && after.size < 64) {
        char date[64];
        snprintf(date, sizeof date, "%.*s", SLICE_ARG(after));
        time_t then = curl_getdate(date, NULL), now = time(NULL);
        seconds = then > now ? then - now : -1;
    }
    if (seconds < 0)
        seconds = seconds_of(http_header(reply, "x-ratelimit-period-in-sec"));
    if (seconds < 0)
        return -1;
    return seconds * 1000 > PERIOD_MOST_MS ? PERIOD_MOST_MS : seconds * 1000;
}

static void judge_silence(bool is_idempotent, struct opsgenie_verdict *verdict, const char *why)
{
    say(verdict, is_idempotent ? OPSGENIE_LATER : OPSGENIE_UNKNOWN, "%s", why);
}

static void judge_throttled(const struct http_reply *reply, struct opsgenie_verdict *verdict)
{
    int64_t wait_ms = wish_ms(reply);
    if (wait_ms < 0)
        wait_ms = PERIOD_DEFAULT_MS;
    verdict->wait_ms = verdict->pause_ms = wait_ms;
    struct slice reason = http_header(reply, "x-ratelimit-reason");
    say(verdict, OPSGENIE_LATER, "OpsGenie wants fewer requests (429 %.*s), next in %lld s", SLICE_ARG(reason),
        (long long)(wait_ms / 1000));
}

static void judge_set_up(struct opsgenie_verdict *verdict)
{
    verdict->wait_ms = verdict->pause_ms = WRONG_SET_UP_MS;
    verdict->kind = OPSGENIE_LATER;
}

/* Trouble that has nothing to do with what was asked.  False: the answer is OpsGenie's, and about the question. */
static bool judge_trouble(const struct http_reply *reply, bool is_idempotent, struct opsgenie_verdict *verdict)
{
    int status = reply->status;
    if (status == 0 && !reply->sent) {
        say(verdict, OPSGENIE_LATER, "%s", reply->failure);
    } else if (status == 0) {
        judge_silence(is_idempotent, verdict, reply->failure);
    } else if (status == 502 || status == 504) { /* of a gateway, which cannot tell whether it arrived behind it */
        char why[200];
        snprintf(why, sizeof why, "a gateway answered %d for OpsGenie", status);
        judge_silence(is_idempotent, verdict, why);
    } else if (status >= 300 && status < 400) {
        judge_set_up(verdict);
        say(verdict, OPSGENIE_LATER, "answered a redirect (%d), not OpsGenie: is `api` right?", status);
    } else if (is_html(reply)) {
        say(verdict, OPSGENIE_LATER, "answered HTML, not OpsGenie (%d)", status);
    } else if (status == 401 || status == 403) {
        judge_set_up(verdict);
        say(verdict, OPSGENIE_LATER, "wrong region or wrong key, or a key that may not do this (%d): %.*s", status,
            SLICE_ARG(shown(reply)));
    } else if (status == 429) {
        judge_throttled(reply, verdict);
    } else if (status == 408 || (status >= 500 && status != 501)) {
        int64_t wait_ms = wish_ms(reply);
        verdict->wait_ms = status == 503 && wait_ms > 0 ? wait_ms : 0;
        say(verdict, OPSGENIE_LATER, "OpsGenie answered %d: %.*s", status, SLICE_ARG(shown(reply)));
    } else if (status == 404 && !is_from_opsgenie(reply)) {
        judge_set_up(verdict);
        say(verdict, OPSGENIE_LATER, "answered 404, not OpsGenie: is `api` right?");
    } else {
        return false;
    }
    return true;
}

static bool is_settled_by_absence(const struct verb *verb)
{
    return strcmp(verb->name, "close") == 0 || strcmp(verb->name, "acknowledge") == 0;
}

static void judge_accepted(const struct http_reply *reply, const struct verb *verb, struct opsgenie_verdict *verdict)
{
    json_t *body = body_of(reply);
    const char *id = json_string_value(json_object_get(body, "requestId"));
    if (id && *id && strlen(id) < sizeof verdict->request_id) {
        snprintf(verdict->request_id, sizeof verdict->request_id, "%s", id);
        say(verdict, OPSGENIE_FOLLOW, "accepted, request %s", id);
    } else {
        judge_silence(verb->is_idempotent, verdict, "accepted, but the answer cannot be read: no requestId in it");
    }
    json_decref(body);
}

void opsgenie_judge_write(const struct http_reply *reply, const struct verb *verb, struct opsgenie_verdict *verdict)
{
    *verdict = (struct opsgenie_verdict){.kind = OPSGENIE_LATER};
    if (judge_trouble(reply, verb->is_idempotent, verdict))
        return;
    if (reply->status >= 200 && reply->status < 300) {
        judge_accepted(reply, verb, verdict);
    } else if (reply->status == 404 && strcmp(verb->name, "create") == 0) {
        judge_set_up(verdict); /* there is nothing in a create that could be missing but the path */
        say(verdict, OPSGENIE_LATER, "OpsGenie knows no such path: is `api` right? %.*s", SLICE_ARG(shown(reply)));
    } else if (reply->status == 404 && is_settled_by_absence(verb)) {
        say(verdict, OPSGENIE_DONE, "nothing to %s: there is no such alert", verb->name);
    } else {
        say(verdict, OPSGENIE_NEVER, "OpsGenie refused (%d): %.*s", reply->status, SLICE_ARG(shown(reply)));
    }
}

static void judge_processed(json_t *data, const struct verb *verb, struct opsgenie_verdict *verdict)
{
    const char *status = json_string_value(json_object_get(data, "status"));
    const char *id = json_string_value(json_object_get(data, "alertId"));
    json_t *success = json_object_get(data, "isSuccess");
    if (json_is_true(success))
        say(verdict, OPSGENIE_DONE, "%s%s%s", status ? status : "done", id && *id ? ", alert " : "", id ? id : "");
    else if (!json_is_false(success))
        judge_silence(verb->is_idempotent, verdict, "accepted, but the outcome cannot be read: no isSuccess in it");
    else /* the words of `status` are for people: they are shown, never compared */
        say(verdict, is_settled_by_absence(verb) ? OPSGENIE_LOOK : OPSGENIE_NEVER, "OpsGenie could not %s: %s",
            verb->name, status ? status : "no reason given");
}

void opsgenie_judge_outcome(const struct http_reply *reply, const struct verb *verb, struct opsgenie_verdict *verdict)
{
    *verdict = (struct opsgenie_verdict){.kind = OPSGENIE_FOLLOW};
    json_t *body = reply->status == 200 ? body_of(reply) : NULL;
    json_t *data = json_object_get(body, "data");
    if (json_is_object(data)) {
        judge_processed(data, verb, verdict);
    } else if (reply->status == 404 && slice_is(http_header(reply, "x-opsgenie-errortype"), "RequestNotProcessed")) {
        say(verdict, OPSGENIE_FOLLOW, "accepted, not processed yet");
    } else if (reply->status == 404 && is_from_opsgenie(reply)) {
        judge_silence(verb->is_idempotent, verdict, "accepted, but OpsGenie does not know the request any more");
    } else { /* asking harms nobody: whatever is in the way, ask again */
        judge_trouble(reply, true, verdict);
        verdict->kind = OPSGENIE_FOLLOW;
    }
    json_decref(body);
}

void opsgenie_judge_look(const struct http_reply *reply, const struct verb *verb, const char *why,
                         struct opsgenie_verdict *verdict)
{
    struct buf json = BUF_INIT(1 << 20);
    opsgenie_judge_read(reply, &json, verdict);
    if (verdict->kind == OPSGENIE_DONE) {
        json_t *alert = json_loadb(json.data, json.size, JSON_DECODE_ANY, NULL);
        const char *status = json_string_value(json_object_get(alert, "status"));
        bool is_acknowledged = json_is_true(json_object_get(alert, "acknowledged"));
        if (json_is_null(alert))
            say(verdict, OPSGENIE_DONE, "nothing to %s: there is no such alert", verb->name);
        else if (status && strcmp(status, "closed") == 0)
            say(verdict, OPSGENIE_DONE, "nothing to %s: the alert is closed already", verb->name);
        else if (is_acknowledged && strcmp(verb->name, "acknowledge") == 0)
            say(verdict, OPSGENIE_DONE, "nothing to acknowledge: the alert is acknowledged already");
        else
            say(verdict, OPSGENIE_NEVER, "%s", why);
        json_decref(alert);
    }
    buf_clear(&json);
}

void opsgenie_judge_read(const struct http_reply *reply, struct buf *json, struct opsgenie_verdict *verdict)
{
    *verdict = (struct opsgenie_verdict){.kind = OPSGENIE_LATER};
    if (judge_trouble(reply, true, verdict))
        return;
    json_t *body = reply->status == 200 ? body_of(reply) : NULL;
    json_t *data = json_object_get(body, "data");
    char *text = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (reply->status == 404) {
        buf_add_text(json, "null");
        say(verdict, OPSGENIE_DONE, "there is no such alert");
    } else if (reply->status == 200 && text && buf_add_text(json, text)) {
        say(verdict, OPSGENIE_DONE, "found");
    } else if (reply->status == 200) {
        say(verdict, OPSGENIE_LATER, "the answer cannot be read: no data in it");
    } else {
        say(verdict, OPSGENIE_NEVER, "OpsGenie refused (%d): %.*s", reply->status, SLICE_ARG(shown(reply)));
    }
    free(text);
    json_decref(body);
}
