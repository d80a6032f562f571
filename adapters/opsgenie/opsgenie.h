/* opsgenie.h - what the files of the OpsGenie client share
 *
 *      verbs.c    what flows may ask to be done
 *      body.c     from a flow's fields to the members of a body
 *      request.c  method, path and body of every request, in each dialect
 *      reads.c    what flows may look up, and what they get
 *      verdict.c  what an answer of OpsGenie's means; looks at texts only
 *      call.c     sends, and hears what each answer says about the connection (call.h)
 *      deliver.c  what was asked for becomes a request, and is followed to its outcome
 *      ask.c      answers look-ups and examinations
 *      update.c   what OpsGenie tells us of an alert; looks at texts only
 *      hooks.c    takes it in, by webhook
 *      adapter.c  options, opening, the table */
#ifndef HEADGATE_OPSGENIE_OPSGENIE_H
#define HEADGATE_OPSGENIE_OPSGENIE_H

#include "core/adapter.h"
#include "core/base/map.h"
#include "core/net/http.h"
#include "core/net/webhooks.h"

#include <jansson.h>

#define OPSGENIE_ALIAS_MOST 512

/* OpsGenie's own API, which ends on 2027-04-05, and its two successors in Jira Service Management. */
enum opsgenie_dialect {
    OPSGENIE_V2,     /* `opsgenie` */
    OPSGENIE_EVENTS, /* `jsm-events`: the same shapes, only create, close, acknowledge and add_note; no reads */
    OPSGENIE_OPS,    /* `jsm-ops`: nearly everything, by the alert's id only, in shapes of its own */
};
#define OPSGENIE_DIALECTS "opsgenie|jsm-events|jsm-ops"

/* ---- verbs.c */
extern const struct verb opsgenie_verbs[];

/* ---- body.c */
/* Adds what the field says to `body`; into `notes` goes what was cut or left out.  False: it cannot be sent. */
bool opsgenie_body_add(json_t *body, const struct option *option, struct slice value, struct buf *notes,
                       struct err *err);
/* Whether it can stand in a path, with at most so many UTF-16 units. */
bool opsgenie_check_name(const char *field, struct slice name, size_t most, struct err *err);
/* `text`, or its start with an ellipsis if it has more than `most` UTF-16 units; added to `out`.  True if it was cut.
 */
bool opsgenie_cut(struct buf *out, struct slice text, size_t most);

/* ---- request.c */
struct opsgenie_request {
    const char *method; /* a constant */
    struct buf path;    /* below the base, with its query */
    struct buf body;    /* JSON, or empty */
};
#define OPSGENIE_REQUEST_INIT                                                                                          \
    {                                                                                                                  \
        .path = BUF_INIT(20000), .body = BUF_INIT(1 << 20)                                                             \
    }
void opsgenie_request_clear(struct opsgenie_request *request);
enum opsgenie_dialect opsgenie_dialect(const struct settings *settings); /* NULL: OpsGenie's own */

/* The request that does what the stored `fields` of a verb say.  `id`: of the alert, where `jsm-ops` knows it by no
 * other name and opsgenie_request_needs_id.  False: this dialect cannot do it. */
bool opsgenie_request_write(struct opsgenie_request *request, const struct settings *settings, const struct verb *verb,
                            struct slice fields, struct slice id, struct err *err);
bool opsgenie_request_needs_id(const struct settings *settings, const struct verb *verb, struct slice fields);
/* The note that goes with an action, where it needs a request of its own; SLICE_NONE: there is none.  `note` owns it.
 */
struct slice opsgenie_request_own_note(const struct settings *settings, const struct verb *verb, struct slice fields,
                                       struct buf *note);
void opsgenie_request_note(struct opsgenie_request *request, struct slice id, struct slice note);
void opsgenie_request_notes(struct opsgenie_request *request, struct slice id); /* which are there */
void opsgenie_request_outcome(struct opsgenie_request *request, enum opsgenie_dialect dialect, const char *request_id);
/* The alert, by `by`: "alias", "id" or "tiny".  False: this dialect cannot. */
bool opsgenie_request_alert(struct opsgenie_request *request, enum opsgenie_dialect dialect, const char *by,
                            struct slice name, struct err *err);

/* ---- reads.c */
extern const struct query opsgenie_queries[];
bool opsgenie_request_read(struct opsgenie_request *request, const struct settings *settings, const struct query *query,
                           struct slice fields, struct err *err);
/* What a flow gets of `body`; NULL: it is not what it should be.  The caller owns it. */
json_t *opsgenie_read_answer(enum opsgenie_dialect dialect, const char *query, struct slice name, json_t *body);

/* ---- verdict.c */
enum opsgenie_kind {
    OPSGENIE_DONE,
    OPSGENIE_LATER,
    OPSGENIE_NEVER,
    OPSGENIE_UNKNOWN,
    OPSGENIE_FOLLOW, /* accepted, not done: ask for the outcome of `request_id` (again) */
    OPSGENIE_LOOK,   /* it failed, but perhaps because it was so already: look at the alert */
};

struct opsgenie_verdict {
    enum opsgenie_kind kind;
    int64_t wait_ms;      /* LATER, FOLLOW: not before; 0: no wish */
    int64_t pause_ms;     /* the whole connection should be quiet for so long; 0: no */
    char request_id[128]; /* FOLLOW */
    char alert_id[100];   /* DONE: of the alert, where the answer names it */
    bool is_doubtful;     /* FOLLOW: it was not said that the request was accepted */
    char text[800];       /* for a person */
};

/* What is judged: the answer to what, from whom. */
struct opsgenie_case {
    enum opsgenie_dialect dialect;
    const struct verb *verb; /* NULL: a read */
};

/* The answer to a write. */
void opsgenie_judge_write(const struct http_reply *reply, struct opsgenie_case about, struct opsgenie_verdict *verdict);
/* The answer to the question for an outcome.  `is_doubtful`, as the write's verdict said. */
void opsgenie_judge_outcome(const struct http_reply *reply, struct opsgenie_case about, bool is_doubtful,
                            struct opsgenie_verdict *verdict);
/* The answer to a look at the alert, after the verb failed with the words `why`. */
void opsgenie_judge_look(const struct http_reply *reply, struct opsgenie_case about, const char *why,
                         struct opsgenie_verdict *verdict);
/* The answer to a read: DONE with its body in `json`, or NULL there for a 404; else LATER or NEVER. */
void opsgenie_judge_read(const struct http_reply *reply, enum opsgenie_dialect dialect, json_t **json,
                         struct opsgenie_verdict *verdict);
/* Since 2027-04-05 OpsGenie's own API can only fail. */
bool opsgenie_is_retired(enum opsgenie_dialect dialect, int64_t now_ms);

/* ---- update.c */
struct opsgenie_update {
    char action[80];   /* "Acknowledge": as OpsGenie writes it, or a custom action's own name; cut */
    char alert_id[80]; /* "": it names none */
    bool is_own;       /* our own call caused it */
    struct buf record; /* of the event */
};
/* Reads the body of a webhook; `own`: what our own calls say as their source.  False: it is no update of an alert.
 * The caller clears `record` either way. */
bool opsgenie_update_read(struct slice body, const char *own, struct opsgenie_update *update, struct err *err);
/* "acknowledge" and "Ac knowledge" are Acknowledge. */
bool opsgenie_update_is(const char *action, const char *other);
bool opsgenie_update_is_known(const char *action); /* one of OpsGenie's own, not custom */

/* ---- hooks.c */
extern const struct option opsgenie_source_options[];
bool opsgenie_listen(struct source *source, struct err *err);
void opsgenie_silence(struct source *source);
void opsgenie_ack(struct connection *connection, struct event *event);
void opsgenie_put_back(struct connection *connection, struct event *event);

/* ---- deliver.c, ask.c: `state` of the connection */
struct opsgenie_call;
struct opsgenie_hook;
struct opsgenie {
    struct connection *connection;
    enum opsgenie_dialect dialect;
    struct http *http;
    char *base;                  /* URL without a slash at its end */
    char *key;                   /* kept out of all texts */
    char *authorization;         /* the header line */
    struct opsgenie_call *calls; /* under way */
    struct proof *proof;         /* of webhooks; NULL: none are taken */
    struct opsgenie_hook *hooks; /* routes of webhooks, one for each flow that listens */
    struct map beats;            /* names of heartbeats that were looked at since start; the values mean nothing */
};

void opsgenie_deliver(struct connection *connection, struct delivery *delivery);
void opsgenie_ask(struct connection *connection, struct question *question);
void opsgenie_examine(struct connection *connection, struct source *source, struct examination *examination);
void opsgenie_drop_calls(struct opsgenie *opsgenie); /* they get no answer any more */
void opsgenie_drop_hooks(struct opsgenie *opsgenie);

#endif
