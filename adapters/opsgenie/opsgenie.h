/* opsgenie.h - what the files of the OpsGenie client share
 *
 *      verbs.c    what flows may ask, and the bytes that are sent for it
 *      verdict.c  what an answer of OpsGenie's means; looks at texts only
 *      deliver.c  sends, follows a request to its outcome, answers queries
 *      adapter.c  options, opening, the table */
#ifndef HEADGATE_OPSGENIE_OPSGENIE_H
#define HEADGATE_OPSGENIE_OPSGENIE_H

#include "core/adapter.h"
#include "core/net/http.h"

/* ---- verbs.c */
extern const struct verb opsgenie_verbs[];
/* `text`, or its start with an ellipsis if it has more than `most` UTF-16 units; added to `out`.  True if it was cut.
 */
bool opsgenie_cut(struct buf *out, struct slice text, size_t most);
/* "/v2/alerts/ALIAS" and `action`, addressed by alias. */
bool opsgenie_path(struct buf *path, struct slice alias, const char *action);

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
    char text[800];       /* for a person */
};

/* The answer to a write. */
void opsgenie_judge_write(const struct http_reply *reply, const struct verb *verb, struct opsgenie_verdict *verdict);
/* The answer to GET /v2/alerts/requests/ID. */
void opsgenie_judge_outcome(const struct http_reply *reply, const struct verb *verb, struct opsgenie_verdict *verdict);
/* The answer to GET /v2/alerts/ALIAS, after `verb` failed with the words `why`. */
void opsgenie_judge_look(const struct http_reply *reply, const struct verb *verb, const char *why,
                         struct opsgenie_verdict *verdict);
/* The answer to a read: DONE with the JSON of `data`, or "null", added to `json`; else LATER or NEVER. */
void opsgenie_judge_read(const struct http_reply *reply, struct buf *json, struct opsgenie_verdict *verdict);

/* ---- deliver.c: `state` of the connection */
struct opsgenie_call;
struct opsgenie {
    struct connection *connection;
    struct http *http;
    char *base;                  /* URL without a slash at its end */
    char *key;                   /* kept out of all texts */
    char *authorization;         /* the header line */
    struct opsgenie_call *calls; /* under way */
};

void opsgenie_deliver(struct connection *connection, struct delivery *delivery);
void opsgenie_ask(struct connection *connection, struct question *question);
void opsgenie_examine(struct connection *connection, struct source *source, struct examination *examination);
void opsgenie_drop_calls(struct opsgenie *opsgenie); /* they get no answer any more */

#endif
