/* web.h - the parts of the adapter for plain HTTP
 *
 *      request.c   a flow's table becomes method, path, headers and body
 *      verdict.c   an answer becomes a verdict; what it says of limits
 *      auth.c      who we are: a key, a password, a signature
 *      token.c     the same by OAuth 2.0: one token, shared and renewed
 *      call.c      sends one request, once more with a new token where the old one was refused
 *      deliver.c   effects;    read.c   look-ups, their retries and cache.c
 *      hooks.c     webhooks in;   cloudevents.c   the envelope that some of them have
 *      adapter.c   options, opening, the table */
#ifndef HEADGATE_HTTP_WEB_H
#define HEADGATE_HTTP_WEB_H

#include "core/adapter.h"
#include "core/base/map.h"
#include "core/net/http.h"
#include "core/net/proof.h"
#include "core/net/webhooks.h"

#include <jansson.h>

struct web;
struct web_call;

/* ---- request.c: the record of a request has method, path, headers ("Name: value" lines), body, content_type,
 * idempotency_key, timeout_ms; what is not said is not in it */
extern const struct option web_effect_fields[], web_bare_fields[], web_get_fields[], web_search_fields[];
/* From checked fields; false with a sentence for whoever wrote the flow.  `settings`: of the connection. */
bool web_request_build(const struct settings *settings, const char *method, struct slice fields, struct buf *out,
                       struct err *err);
/* Lines "Name: value" into `out`; one that is not a header, or is not for the writer to set, is refused. */
bool web_header_check(const struct settings *settings, struct slice name, struct slice value, struct err *err);

/* ---- verdict.c */
enum web_kind { WEB_DEFAULT, WEB_DONE, WEB_LATER, WEB_NEVER, WEB_UNKNOWN };

/* What the connection's `verdicts` say; WEB_DEFAULT where they say nothing. */
struct web_table {
    unsigned char by_status[600]; /* enum web_kind */
};

struct web_verdict {
    enum web_kind kind;
    int64_t wait_ms;    /* LATER: not before; 0: no wish */
    int64_t pause_ms;   /* the whole connection should be quiet for so long; 0: no */
    int64_t calls_left; /* that the far side still allows until `reset_ms` (since 1970); -1: it does not say */
    int64_t reset_ms;
    bool is_our_key; /* 401, 403: it is not the content */
    char text[400];  /* for a person */
};

bool web_table_read(struct web_table *table, const struct settings *settings, struct err *err);
void web_judge(const struct web_table *table, const struct http_reply *reply, int64_t now_ms,
               struct web_verdict *verdict);

/* ---- auth.c */
struct web_auth;
/* The header line, or "" where none is needed; or NULL and why there is none. */
typedef void web_line_done(const char *line, const struct web_verdict *trouble, void *context);
/* NULL after an error.  `reach`: of the connection's base. */
struct web_auth *web_auth_open(struct connection *connection, struct err *err);
void web_auth_close(struct web_auth *auth);
/* Calls back at once or later.  `refused`: the line that was just answered with 401; NULL: none was. */
void web_auth_line(struct web_auth *auth, const char *refused, web_line_done *done, void *context);
bool web_auth_renews(const struct web_auth *auth); /* a refused line may be replaced by a better one */
/* Adds the signature's header lines, each with a line end behind it. */
bool web_auth_sign(const struct web_auth *auth, const char *id, struct slice body, int64_t now_ms, struct buf *lines);
/* Overwrites every secret that a far side repeats in what it says. */
void web_auth_hide(const struct web_auth *auth, char *text);
bool web_auth_owns(const struct settings *settings, struct slice header); /* nobody else may set it */

/* ---- token.c */
struct web_token;
struct web_token *web_token_open(struct connection *connection, struct err *err);
void web_token_close(struct web_token *token);
void web_token_line(struct web_token *token, const char *refused, web_line_done *done, void *context);
void web_token_hide(const struct web_token *token, char *text);
void web_hide(const char *secret, char *text); /* auth.c: one of them; NULL and the shortest are left alone */

/* ---- call.c: one delivery, question or examination that is under way */
#define WEB_ANSWER_MAX ((size_t)4 << 20) /* bytes of a body that comes back */

/* `reply` is NULL where nothing was sent, because there was no token to ask with. */
typedef void web_call_done(struct web_call *call, const struct http_reply *reply, struct web_verdict *verdict);

struct web_call {
    struct web_call *next, **link; /* all of the connection's */
    struct web *web;
    struct delivery *delivery; /* one of the three; the others are NULL */
    struct question *question;
    struct examination *examination;
    struct slice request; /* its record: lent by the delivery, or `owned` */
    struct buf owned;
    uv_timer_t timer;    /* a question's: until it is tried again */
    int64_t deadline_ns; /* a question's: no try begins after it */
    unsigned tries;      /* a question's */
    int64_t cache_ms;    /* a question's: how old an answer may be */
    long timeout_ms;     /* of one try */
    int64_t sent_ms;     /* when the last try began */
    char *line;          /* Authorization that it was sent with; owned */
    bool is_renewed;     /* sent again after a 401 */
    web_call_done *done;
};

struct web_call *web_call_new(struct web *web);
void web_call_end(struct web_call *call);
void web_call_send(struct web_call *call, long timeout_ms, web_call_done *done);
/* Tells core what an answer says of the connection itself. */
void web_call_note(const struct web_call *call, const struct http_reply *reply, const struct web_verdict *verdict);
void web_drop_calls(struct web *web); /* deliveries get no answer any more, questions get `later` */

/* ---- read.c: {status, headers, json or text}; false: it says that it is JSON, and is not */
bool web_answer(const struct http_reply *reply, struct buf *out);

/* ---- cache.c: answers of look-ups, by their whole request; bounded in bytes, the oldest go first */
struct web_cache;
struct web_cache *web_cache_new(size_t limit_bytes);
void web_cache_free(struct web_cache *cache);
void web_cache_put(struct web_cache *cache, struct slice request, struct slice answer, int64_t now_ns);
/* False: there is none that is so young.  Lent until the next put. */
bool web_cache_get(struct web_cache *cache, struct slice request, int64_t age_ms, int64_t now_ns, struct slice *answer);

/* ---- cloudevents.c */
/* What a request holds: events as they are handed over. */
struct web_events {
    struct buf *records; /* of `count`; each the record of an event */
    size_t count;
};
enum web_format { WEB_JSON, WEB_FORM, WEB_TEXT };
/* 0: `events` is filled; else the status to refuse with, and the sentence in `err`. */
int web_events_read(const struct request *request, const char *hidden_header, enum web_format format,
                    struct web_events *events, struct err *err);
void web_events_clear(struct web_events *events);

/* ---- adapter.c: `state` of the connection */
struct web {
    struct connection *connection;
    struct http *http;     /* NULL without a base */
    char *base;            /* URL without a slash at its end; NULL: for webhooks only */
    struct web_auth *auth; /* NULL without a base */
    struct web_table table;
    struct web_cache *cache;
    struct web_call *calls; /* under way */
    struct proof *proof;    /* of webhooks; NULL: none are taken */
    struct web_hook *hooks;
};
enum http_reach web_reach(const struct settings *settings, const char *url);

void web_deliver(struct connection *connection, struct delivery *delivery);
void web_ask(struct connection *connection, struct question *question);
void web_examine(struct connection *connection, struct source *source, struct examination *examination);

/* ---- hooks.c */
extern const struct option web_source_options[];
bool web_listen(struct source *source, struct err *err);
void web_silence(struct source *source);
void web_ack(struct connection *connection, struct event *event);
void web_put_back(struct connection *connection, struct event *event);
void web_drop_hooks(struct web *web);

#endif
