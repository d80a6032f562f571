/* token.c - OAuth 2.0, client credentials: one token for the whole connection; see web.h
 *
 *      none ──asked for──► fetching ──answer──► held ──expiry, or refused with 401──► none
 *                             │ no token in it
 *                             └──► all who wait are told why; the next one fetches again
 *
 * Whoever needs a token while it is fetched waits for the same answer.  It is fetched anew some time before it
 * expires, and once where the far side refuses it: who comes with an older refused token gets the newer one. */
#include "adapters/http/auth.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define TOKEN_TIMEOUT_MS 15000
#define TOKEN_MAX 16000
#define EARLY_MS 30000 /* before it expires; at most a tenth of its life */
#define LIFE_DEFAULT_S 300
#define REQUEST_MAX 32000

struct waiter {
    STAILQ_ENTRY(waiter) link;
    web_line_done *done;
    void *context; /* of `done` */
};

struct web_token {
    struct http *http;
    char *url;
    struct buf request; /* the form */
    char *basic;        /* Authorization of the token request; NULL: the form says it */
    char *secret;       /* of the client, to hide */
    char *line;         /* "Authorization: Bearer ..."; NULL: none is held */
    int64_t expires_ns;
    bool is_fetching;
    STAILQ_HEAD(waiters, waiter) waiters;
};

/* ---- opening -------------------------------------------------------------------------------------------- */

static bool add_pair(struct buf *form, const char *name, const char *value)
{
    return (!form->size || buf_add_char(form, '&')) && buf_addf(form, "%s=", name)
           && http_escape(form, slice_of(value));
}

/* RFC 6749, 2.3.1: the form's escaping first, then base64. */
static char *basic_line(const char *id, const char *secret)
{
    struct buf pair = BUF_INIT(REQUEST_MAX), line = BUF_INIT(2 * REQUEST_MAX);
    http_escape(&pair, slice_of(id));
    buf_add_char(&pair, ':');
    http_escape(&pair, slice_of(secret));
    buf_add_text(&line, "Authorization: Basic ");
    web_base64(&line, buf_slice(&pair));
    char *text = mem_text(line.data);
    web_forget_buf(&pair);
    web_forget_buf(&line);
    return text;
}

static bool make_request(struct web_token *token, const struct settings *settings, struct err *err)
{
    const char *id = settings_text(settings, "client_id"), *scope = settings_text(settings, "scope");
    bool is_basic = strcmp(settings_text(settings, "oauth_style"), "basic") == 0;
    token->secret = web_secret(settings, "client_secret", err);
    if (!token->secret)
        return false;
    add_pair(&token->request, "grant_type", "client_credentials");
    if (scope)
        add_pair(&token->request, "scope", scope);
    for (size_t i = 0; i < settings_count(settings, "oauth_fields"); i++)
        add_pair(&token->request, settings_key(settings, "oauth_fields", i),
                 settings_item(settings, "oauth_fields", i));
    if (is_basic) {
        token->basic = basic_line(id, token->secret);
    } else {
        add_pair(&token->request, "client_id", id);
        add_pair(&token->request, "client_secret", token->secret);
    }
    return !token->request.is_over || err_set(err, "`scope` or `oauth_fields` are too long");
}

struct web_token *web_token_open(struct connection *connection, struct err *err)
{
    const struct settings *settings = connection->settings;
    const char *url = settings_text(settings, "oauth");
    enum http_reach reach = web_reach(settings, url);
    struct web_token *token = mem_zero(sizeof *token);
    STAILQ_INIT(&token->waiters);
    token->url = mem_text(url);
    token->request = (struct buf)BUF_INIT(REQUEST_MAX);
    struct http_options http = {.connections = 1, .ca_file = settings_text(settings, "ca"), .reach = reach};
    bool ok = (http_check_reach(url, reach, err) || err_wrap(err, "`oauth`")) && make_request(token, settings, err)
              && (token->http = http_open(connection->loop, &http, err)) != NULL;
    if (ok)
        return token;
    web_token_close(token);
    return NULL;
}

void web_token_close(struct web_token *token)
{
    if (!token)
        return;
    http_close(token->http);
    for (struct waiter *waiter; (waiter = STAILQ_FIRST(&token->waiters));) {
        STAILQ_REMOVE_HEAD(&token->waiters, link);
        free(waiter);
    }
    web_forget(token->line);
    web_forget(token->secret);
    web_forget(token->basic);
    web_forget_buf(&token->request);
    free(token->url);
    free(token);
}

void web_token_hide(const struct web_token *token, char *text)
{
    web_hide(token->secret, text);
    if (token->line)
        web_hide(token->line + sizeof "Authorization: Bearer " - 1, text);
    if (token->basic)
        web_hide(token->basic + sizeof "Authorization: Basic " - 1, text);
}

/* ---- fetching ----------------------------------------------------------------------------------------------- */

static bool is_one_word(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* Keeps what the answer holds; false: there is no token in it. */
static bool take_token(struct web_token *token, const struct http_reply *reply)
{
    json_t *answer = json_loadb(reply->body.data, reply->body.size, JSON_DECODE_INT_AS_REAL, NULL);
    const char *text = json_string_value(json_object_get(answer, "access_token"));
    const json_t *life = json_object_get(answer, "expires_in");
    double life_s = json_is_string(life) ? atof(json_string_value(life)) : json_number_value(life);
    bool ok = text && *text && strlen(text) <= TOKEN_MAX && is_one_word(text);
    if (ok) {
        struct buf line = BUF_INIT(TOKEN_MAX + 100);
        buf_addf(&line, "Authorization: Bearer %s", text);
        token->line = mem_text(line.data);
        web_forget_buf(&line);
        int64_t life_ms = (int64_t)((life_s >= 1 && life_s < 1e9 ? life_s : LIFE_DEFAULT_S) * 1000);
        int64_t early_ms = life_ms / 10 < EARLY_MS ? life_ms / 10 : EARLY_MS;
        token->expires_ns = clock_mono_ns() + (life_ms - early_ms) * 1000000;
    }
    json_decref(answer);
    return ok;
}

/* A refusal is about our credentials, so nothing that waits is to blame for it. */
static void judge(struct web_token *token, const struct http_reply *reply, struct web_verdict *verdict)
{
    static const struct web_table none;
    web_judge(&none, reply, clock_now_ms(), verdict);
    bool is_refused = reply->status >= 300 && reply->status < 500 && reply->status != 408 && reply->status != 429;
    char text[sizeof verdict->text];
    snprintf(text, sizeof text, "no OAuth token: %.300s",
             reply->status && reply->status < 300 ? "there is none in the answer" : verdict->text);
    memcpy(verdict->text, text, sizeof text);
    if (is_refused || (reply->status && reply->status < 300)) {
        verdict->is_our_key = true;
        verdict->pause_ms = 60000;
    }
    verdict->kind = WEB_LATER;
    web_token_hide(token, verdict->text);
}

static void on_answer(const struct http_reply *reply, void *context)
{
    struct web_token *token = context;
    struct web_verdict verdict;
    token->is_fetching = false;
    bool ok = reply->status >= 200 && reply->status < 300 && take_token(token, reply);
    if (!ok)
        judge(token, reply, &verdict);
    struct waiters waiters = STAILQ_HEAD_INITIALIZER(waiters);
    STAILQ_CONCAT(&waiters, &token->waiters);
    char *line = ok ? mem_text(token->line) : NULL; /* who is told may already refuse it */
    for (struct waiter *waiter; (waiter = STAILQ_FIRST(&waiters));) {
        STAILQ_REMOVE_HEAD(&waiters, link);
        waiter->done(line, ok ? NULL : &verdict, waiter->context);
        free(waiter);
    }
    web_forget(line);
}

static void fetch(struct web_token *token)
{
    const char *headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                             token->basic, NULL};
    token->is_fetching = true;
    http_send(token->http,
              &(struct http_request){.method = "POST",
                                     .url = token->url,
                                     .headers = headers,
                                     .body = buf_slice(&token->request),
                                     .timeout_ms = TOKEN_TIMEOUT_MS,
                                     .is_idempotent = true},
              on_answer, token);
}

void web_token_line(struct web_token *token, const char *refused, web_line_done *done, void *context)
{
    bool is_stale =
        token->line && (clock_mono_ns() >= token->expires_ns || (refused && strcmp(refused, token->line) == 0));
    if (is_stale && !token->is_fetching) {
        web_forget(token->line);
        token->line = NULL;
    }
    if (token->line && !token->is_fetching) {
        done(token->line, NULL, context);
        return;
    }
    struct waiter *waiter = mem_zero(sizeof *waiter);
    waiter->done = done;
    waiter->context = context;
    STAILQ_INSERT_TAIL(&token->waiters, waiter, link);
    if (!token->is_fetching)
        fetch(token);
}
