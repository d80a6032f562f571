/* call.h - one delivery, question or examination that is under way at OpsGenie */
#ifndef HEADGATE_OPSGENIE_CALL_H
#define HEADGATE_OPSGENIE_CALL_H

#include "adapters/opsgenie/opsgenie.h"

struct opsgenie_call {
    struct opsgenie_call *next, **link; /* all of the connection's */
    struct opsgenie *opsgenie;
    struct delivery *delivery; /* one of the three; the others are NULL */
    struct question *question;
    struct examination *examination;
    uv_timer_t timer;                /* until the outcome is asked for (again) */
    size_t asked;                    /* how often it was */
    int64_t accepted_ns;             /* when the write was */
    int64_t sent_ms;                 /* when the first request of it was sent */
    char *id;                        /* of the alert, where it had to be looked up; else NULL */
    struct opsgenie_verdict verdict; /* the last one */
    char refused_note[200];          /* why the note that went along was not taken; "": it was, or there is none */
};

typedef void opsgenie_answered(const struct http_reply *reply, void *call);

struct opsgenie_call *opsgenie_call_new(struct opsgenie *opsgenie);
void opsgenie_call_end(struct opsgenie_call *call);
/* Sends, and clears the request. */
void opsgenie_call_send(struct opsgenie_call *call, struct opsgenie_request *request, bool is_idempotent,
                        opsgenie_answered *done);
/* A far side may repeat our key in what it says: overwrites it. */
void opsgenie_call_hide(const struct opsgenie_call *call, char *text);
/* What an answer says about the connection itself: shown, and obeyed.  Hides the key in the verdict's text. */
void opsgenie_call_heard(struct opsgenie_call *call, const struct http_reply *reply, struct opsgenie_verdict *verdict);

#endif
