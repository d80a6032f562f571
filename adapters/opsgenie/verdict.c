/* verdict.c - what an answer of OpsGenie's means
 *
 *      answer to a write                    outcome of the request
 *      202  accepted: follow ────────────►  isSuccess true: done
 *      401, 403: later, all is paused       isSuccess false: never; for close and acknowledge the
 *      429: later, all is paused              alert itself tells whether it is so already
 *      410: later, all is paused            404 RequestNotProcessed, trouble: ask again
 *      5xx (but 501): later; what may not be repeated: follow the request that the answer names
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

/* The vendor's date: after it OpsGenie's own API is switched off for everybody. */
#define RETIRED_MS INT64_C(1806883200000) /* 2027-04-05T00:00:00Z */

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

/* Every answer of OpsGenie's own names its request; that of a wrong path or of something in between does not.
 * Jira's may not, but is an object. */
static bool is_from_opsgenie(const struct http_reply *reply, enum opsgenie_dialect dialect)
{
    json_t *body = body_of(reply);
    bool is = dialect == OPSGENIE_OPS ? json_is_object(body) : json_is_string(json_object_get(body, "requestId"));
    json_decref(body);
    return is;
}

bool opsgenie_is_retired(enum opsgenie_dialect dialect, int64_t now_ms)
{
    return dialect == OPSGENIE_V2 && now_ms >= RETIRED_MS;
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

static void judge_refused(const struct http_reply *reply, enum opsgenie_dialect dialect,
                          struct opsgenie_verdict *verdict)
{
    static const char *const words[] = {
        [OPSGENIE_V2] = "wrong region or wrong key, or a key that may not do this",
        [OPSGENIE_EVENTS] = "wrong key, or not the key of an API integration",
        [OPSGENIE_OPS] = "wrong `user` or token, or a person who is no agent there (a service account never is)",
    };
    judge_set_up(verdict);
    say(verdict, OPSGENIE_LATER, "%s (%d): %.*s", words[dialect], reply->status, SLICE_ARG(shown(reply)));
}

/* Trouble that has nothing to do with what was asked.  False: the answer is OpsGenie's, and about the question. */
static bool judge_trouble(const struct http_reply *reply, enum opsgenie_dialect dialect, bool is_idempotent,
                          struct opsgenie_verdict *verdict)
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
        judge_refused(reply, dialect, verdict);
    } else if (status == 410) {
        judge_set_up(verdict);
        say(verdict, OPSGENIE_LATER, "this API is switched off (410): set `dialect` to jsm-ops or jsm-events");
    } else if (status == 429) {
        judge_throttled(reply, verdict);
    } else if (status == 408 || (status >= 500 && status != 501)) {
        char why[BODY_SHOWN + 50];
        int64_t wait_ms = wish_ms(reply);
        verdict->wait_ms = status == 503 && wait_ms > 0 ? wait_ms : 0;
        snprintf(why, sizeof why, "OpsGenie answered %d: %.*s", status, SLICE_ARG(shown(reply)));
        judge_silence(is_idempotent || status == 408 || status == 503, verdict, why);
    } else if (status == 404 && !is_from_opsgenie(reply, dialect)) {
        judge_set_up(verdict);
        say(verdict, OPSGENIE_LATER, "answered 404, not OpsGenie: is `api` right?");
    } else {
        return false;
    }
    return true;
}

/* Verbs that want what is so already where there is no such alert, or a closed one. */
static bool is_settled_by_absence(const struct verb *verb)
{
    static const char *const names[] = {"close", "acknowledge", "unacknowledge", "snooze"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(verb->name, names[i]) == 0)
            return true;
    return false;
}

/* Takes the id of the request from the answer's body, or else from its header; false where there is none. */
static bool take_request_id(const struct http_reply *reply, struct opsgenie_verdict *verdict)
{
    json_t *body = body_of(reply);
    const char *id = json_string_value(json_object_get(body, "requestId"));
    struct slice text = id ? slice_of(id) : http_header(reply, "x-request-id");
    bool ok = json_is_object(body) && text.size && text.size < sizeof verdict->request_id;
    if (ok)
        snprintf(verdict->request_id, sizeof verdict->request_id, "%.*s", SLICE_ARG(text));
    json_decref(body);
    return ok;
}

static void judge_accepted(const struct http_reply *reply, struct opsgenie_case about, struct opsgenie_verdict *verdict)
{
    bool is_ops_note = about.dialect == OPSGENIE_OPS && strcmp(about.verb->name, "add_note") == 0;
    if (strcmp(about.verb->name, "ping") == 0)
        say(verdict, OPSGENIE_DONE, "the ping was taken; whether there is such a heartbeat it does not tell");
    else if (is_ops_note && reply->status == 200) /* the one write that is carried out at once */
        say(verdict, OPSGENIE_DONE, "Added note");
    else if (take_request_id(reply, verdict))
        say(verdict, OPSGENIE_FOLLOW, "accepted, request %s", verdict->request_id);
    else
        judge_silence(about.verb->is_idempotent, verdict,
                      "accepted, but the answer cannot be read: no requestId in it");
}

/* A server that fails may have taken the request nevertheless.  Where a repeat is harmless, nobody needs to know. */
static bool judge_doubtful(const struct http_reply *reply, const struct verb *verb, struct opsgenie_verdict *verdict)
{
    if (verb->is_idempotent || reply->status < 500 || reply->status == 501 || !take_request_id(reply, verdict))
        return false;
    verdict->is_doubtful = true;
    say(verdict, OPSGENIE_FOLLOW, "OpsGenie answered %d to request %s, which it may have taken nevertheless",
        reply->status, verdict->request_id);
    return true;
}

void opsgenie_judge_write(const struct http_reply *reply, struct opsgenie_case about, struct opsgenie_verdict *verdict)
{
    const struct verb *verb = about.verb;
    *verdict = (struct opsgenie_verdict){.kind = OPSGENIE_LATER};
    if (judge_doubtful(reply, verb, verdict) || judge_trouble(reply, about.dialect, verb->is_idempotent, verdict))
        return;
    bool is_named = strcmp(verb->name, "create") != 0 && strcmp(verb->name, "ping") != 0;
    if (reply->status >= 200 && reply->status < 300) {
        judge_accepted(reply, about, verdict);
    } else if (reply->status == 404 && !is_named) {
        judge_set_up(verdict); /* there is nothing in it that could be missing but the path */
        say(verdict, OPSGENIE_LATER, "OpsGenie knows no such path: is `api` right? %.*s", SLICE_ARG(shown(reply)));
    } else if (reply->status == 404 && is_settled_by_absence(verb)) {
        say(verdict, OPSGENIE_DONE, "nothing to %s: there is no such alert", verb->name);
    } else {
        say(verdict, OPSGENIE_NEVER, "OpsGenie refused (%d): %.*s", reply->status, SLICE_ARG(shown(reply)));
    }
}

static void judge_processed(json_t *data, struct opsgenie_case about, struct opsgenie_verdict *verdict)
{
    const struct verb *verb = about.verb;
    const char *status = json_string_value(json_object_get(data, "status"));
    const char *id = json_string_value(json_object_get(data, "alertId"));
    json_t *success = json_object_get(data, "isSuccess");
    if (json_is_true(success) && id && strlen(id) < sizeof verdict->alert_id)
        snprintf(verdict->alert_id, sizeof verdict->alert_id, "%s", id);
    if (json_is_true(success))
        say(verdict, OPSGENIE_DONE, "%s%s%s", status ? status : "done", id && *id ? ", alert " : "", id ? id : "");
    else if (!json_is_false(success))
        judge_silence(verb->is_idempotent, verdict, "accepted, but the outcome cannot be read: no isSuccess in it");
    else if (is_settled_by_absence(verb) && about.dialect == OPSGENIE_EVENTS) /* which cannot look */
        say(verdict, OPSGENIE_DONE, "nothing to %s, it seems: %s", verb->name, status ? status : "no reason given");
    else /* the words of `status` are for people: they are shown, never compared */
        say(verdict, is_settled_by_absence(verb) ? OPSGENIE_LOOK : OPSGENIE_NEVER, "OpsGenie could not %s: %s",
            verb->name, status ? status : "no reason given");
}

/* Nobody knows the request.  Jira does not say in another way that it is not processed yet. */
static void judge_unknown(struct opsgenie_case about, bool is_doubtful, struct opsgenie_verdict *verdict)
{
    if (is_doubtful)
        say(verdict, OPSGENIE_LATER, "OpsGenie failed and does not know the request: it was not taken");
    else if (about.dialect != OPSGENIE_V2)
        say(verdict, OPSGENIE_FOLLOW, "accepted, not processed yet, or not known");
    else
        judge_silence(about.verb->is_idempotent, verdict, "accepted, but OpsGenie does not know the request any more");
}

void opsgenie_judge_outcome(const struct http_reply *reply, struct opsgenie_case about, bool is_doubtful,
                            struct opsgenie_verdict *verdict)
{
    *verdict = (struct opsgenie_verdict){.kind = OPSGENIE_FOLLOW};
    json_t *body = reply->status == 200 ? body_of(reply) : NULL;
    json_t *data = about.dialect == OPSGENIE_OPS ? body : json_object_get(body, "data");
    if (json_is_object(data)) {
        judge_processed(data, about, verdict);
    } else if (reply->status == 404 && slice_is(http_header(reply, "x-opsgenie-errortype"), "RequestNotProcessed")) {
        say(verdict, OPSGENIE_FOLLOW, "accepted, not processed yet");
    } else if (reply->status == 404 && is_from_opsgenie(reply, about.dialect)) {
        judge_unknown(about, is_doubtful, verdict);
    } else { /* asking harms nobody: whatever is in the way, ask again */
        judge_trouble(reply, about.dialect, true, verdict);
        verdict->kind = OPSGENIE_FOLLOW;
    }
    json_decref(body);
}

void opsgenie_judge_look(const struct http_reply *reply, struct opsgenie_case about, const char *why,
                         struct opsgenie_verdict *verdict)
{
    json_t *body;
    const char *verb = about.verb->name;
    opsgenie_judge_read(reply, about.dialect, &body, verdict);
    if (verdict->kind == OPSGENIE_DONE) {
        json_t *alert = about.dialect == OPSGENIE_OPS ? body : json_object_get(body, "data");
        const char *status = json_string_value(json_object_get(alert, "status"));
        json_t *acknowledged = json_object_get(alert, "acknowledged");
        if (!body)
            say(verdict, OPSGENIE_DONE, "nothing to %s: there is no such alert", verb);
        else if (status && strcmp(status, "closed") == 0)
            say(verdict, OPSGENIE_DONE, "nothing to %s: the alert is closed already", verb);
        else if (json_is_true(acknowledged) && strcmp(verb, "acknowledge") == 0)
            say(verdict, OPSGENIE_DONE, "nothing to acknowledge: the alert is acknowledged already");
        else if (json_is_false(acknowledged) && strcmp(verb, "unacknowledge") == 0)
            say(verdict, OPSGENIE_DONE, "nothing to unacknowledge: the alert is not acknowledged");
        else
            say(verdict, OPSGENIE_NEVER, "%s", why);
    }
    json_decref(body);
}

void opsgenie_judge_read(const struct http_reply *reply, enum opsgenie_dialect dialect, json_t **json,
                         struct opsgenie_verdict *verdict)
{
    *json = NULL;
    *verdict = (struct opsgenie_verdict){.kind = OPSGENIE_LATER};
    if (judge_trouble(reply, dialect, true, verdict))
        return;
    if (reply->status == 404)
        say(verdict, OPSGENIE_DONE, "there is nothing of that name");
    else if (reply->status != 200)
        say(verdict, OPSGENIE_NEVER, "OpsGenie refused (%d): %.*s", reply->status, SLICE_ARG(shown(reply)));
    else if ((*json = body_of(reply)))
        say(verdict, OPSGENIE_DONE, "found");
    else
        say(verdict, OPSGENIE_LATER, "the answer cannot be read: it is no JSON");
}
