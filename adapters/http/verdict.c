/* verdict.c - what an answer means; see web.h
 *
 * Only a refusal of the content itself is final: a wrong key, a full house or a broken server may pass.  Where the far
 * side broke after it may have done the work (500, 502, 504), a request that may be repeated is sent again, and of any
 * other nobody knows.  README.md has the table; `verdicts` of the connection changes single rows of it. */
#include "adapters/http/web.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define WRONG_KEY_PAUSE_MS 60000
#define WAIT_MOST_MS ((int64_t)86400000)
#define SAID_MAX 250 /* bytes of an answer that are told */

/* ---- the table of a connection ------------------------------------------------------------------------- */

static bool read_kind(const char *said, unsigned char *kind)
{
    static const char *const names[] = {"done", "later", "never", "unknown"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(said, names[i]) == 0) {
            *kind = (unsigned char)(WEB_DONE + i);
            return true;
        }
    }
    return false;
}

/* "404" is one status, "5xx" a hundred of them, which single ones stand out from. */
bool web_table_read(struct web_table *table, const struct settings *settings, struct err *err)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < settings_count(settings, "verdicts"); i++) {
            const char *key = settings_key(settings, "verdicts", i);
            unsigned char kind;
            bool is_class = strlen(key) == 3 && strcmp(key + 1, "xx") == 0;
            bool is_status = strlen(key) == 3 && strspn(key, "0123456789") == 3;
            if ((!is_class && !is_status) || key[0] < '2' || key[0] > '5')
                return err_set(err, "`verdicts`: %.20s is no status; expected one such as 409, or \"5xx\"", key);
            if (!read_kind(settings_item(settings, "verdicts", i), &kind))
                return err_set(err, "`verdicts`: what %s means is one of done, later, never, unknown", key);
            int first = is_class ? (key[0] - '0') * 100 : atoi(key);
            for (int status = first; status < first + (is_class ? 100 : 1); status++)
                if (is_class == (pass == 0))
                    table->by_status[status] = kind;
        }
    }
    return true;
}

/* ---- times and limits ------------------------------------------------------------------------------------- */

/* The digits that `text` begins with. */
static bool read_number(struct slice text, int64_t *number)
{
    size_t digits = 0;
    *number = 0;
    for (; digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9' && digits < 16; digits++)
        *number = *number * 10 + (text.data[digits] - '0');
    return digits > 0 && digits < 16;
}

static int64_t bounded(int64_t wait_ms)
{
    return wait_ms < 0 ? 0 : wait_ms > WAIT_MOST_MS ? WAIT_MOST_MS : wait_ms;
}

/* Seconds, or a date.  0: it says nothing. */
static int64_t retry_after_ms(const struct http_reply *reply, int64_t now_ms)
{
    struct slice text = http_header(reply, "retry-after");
    char room[100];
    int64_t seconds;
    if (!text.size || text.size >= sizeof room)
        return 0;
    if (read_number(text, &seconds))
        return bounded(seconds > 86400 ? WAIT_MOST_MS : seconds * 1000);
    snprintf(room, sizeof room, "%.*s", SLICE_ARG(text));
    time_t when = curl_getdate(room, NULL);
    return when < 0 ? 0 : bounded((int64_t)when * 1000 - now_ms);
}

/* A time to come is told in seconds from now, or since 1970, in seconds or ms; the answer is since 1970. */
static int64_t reset_ms(int64_t number, int64_t now_ms)
{
    if (number > INT64_C(1000000000000))
        return now_ms + bounded(number - now_ms);
    if (number > 1000000000)
        return now_ms + bounded(number * 1000 - now_ms);
    return now_ms + bounded(number > 86400 ? WAIT_MOST_MS : number * 1000);
}

/* `"default";r=0;t=30` of the present draft: false where a part is not there. */
static bool read_parameter(struct slice list, const char *name, int64_t *number)
{
    size_t size = strlen(name);
    for (size_t i = 0; i + size < list.size; i++)
        if (memcmp(list.data + i, name, size) == 0)
            return read_number((struct slice){list.data + i + size, list.size - i - size}, number);
    return false;
}

/* How many calls the answer says are left, and until when. */
static void read_limit(const struct http_reply *reply, int64_t now_ms, struct web_verdict *verdict)
{
    static const char *const names[][2] = {{"ratelimit-remaining", "ratelimit-reset"},
                                           {"x-ratelimit-remaining", "x-ratelimit-reset"},
                                           {"x-rate-limit-remaining", "x-rate-limit-reset"}};
    int64_t left, reset;
    struct slice list = http_header(reply, "ratelimit");
    bool is_said = read_parameter(list, ";r=", &left) && read_parameter(list, ";t=", &reset);
    for (size_t i = 0; !is_said && i < sizeof names / sizeof names[0]; i++)
        is_said =
            read_number(http_header(reply, names[i][0]), &left) && read_number(http_header(reply, names[i][1]), &reset);
    if (!is_said)
        return;
    verdict->calls_left = left;
    verdict->reset_ms = reset_ms(reset, now_ms);
}

/* ---- judging ------------------------------------------------------------------------------------------------- */

static enum web_kind kind_of(int status)
{
    if (status < 300)
        return WEB_DONE;
    if (status < 400)
        return WEB_NEVER;
    switch (status) {
    case 401:
    case 403:
    case 408:
    case 425:
    case 429:
    case 503: return WEB_LATER;
    default: return status < 500 ? WEB_NEVER : WEB_UNKNOWN;
    }
}

static void say(struct web_verdict *verdict, const struct http_reply *reply)
{
    struct slice body = reply->body;
    struct slice type = http_header(reply, "content-type");
    bool is_text = !type.size || strncasecmp(type.data, "text/plain", 10) == 0
                   || memmem(type.data, type.size, "json", 4) || memmem(type.data, type.size, "xml", 3);
    int status = reply->status;
    const char *what = status >= 300 && status < 400 ? ": a redirect, and these are not followed"
                       : verdict->is_our_key         ? ": the far side does not take our credentials"
                                                     : "";
    snprintf(verdict->text, sizeof verdict->text, "HTTP %d%s%s%.*s", status, what,
             is_text && body.size && status >= 300 ? ": " : "",
             is_text && status >= 300 ? (int)(body.size < SAID_MAX ? body.size : SAID_MAX) : 0,
             body.data ? body.data : "");
}

void web_judge(const struct web_table *table, const struct http_reply *reply, int64_t now_ms,
               struct web_verdict *verdict)
{
    *verdict = (struct web_verdict){.kind = WEB_LATER, .calls_left = -1};
    if (!reply->status) {
        verdict->kind = reply->sent ? WEB_UNKNOWN : WEB_LATER;
        snprintf(verdict->text, sizeof verdict->text, "%s", reply->failure);
        return;
    }
    int status = reply->status < 600 ? reply->status : 599;
    enum web_kind said = table->by_status[status];
    verdict->kind = said != WEB_DEFAULT ? said : kind_of(status);
    verdict->is_our_key = said == WEB_DEFAULT && (status == 401 || status == 403);
    int64_t wait_ms = retry_after_ms(reply, now_ms);
    bool is_full = status == 429 || status == 503;
    if (verdict->kind == WEB_LATER)
        verdict->wait_ms = wait_ms;
    verdict->pause_ms = verdict->is_our_key ? WRONG_KEY_PAUSE_MS : is_full ? wait_ms : 0;
    if (!wait_ms) /* it wins over what the limits say */
        read_limit(reply, now_ms, verdict);
    say(verdict, reply);
}
