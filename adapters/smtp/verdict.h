/* verdict.h - what was seen of one transaction, and what it means */
#ifndef HEADGATE_SMTP_VERDICT_H
#define HEADGATE_SMTP_VERDICT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#define SMTP_TEXT_MAX 400 /* bytes of a reply's text that are kept, with the zero */

/* How far it came: the last thing that was sent. */
enum smtp_phase {
    SMTP_PHASE_CONNECT, /* nothing: connection, TLS, greeting */
    SMTP_PHASE_LOGIN,   /* EHLO, STARTTLS, AUTH */
    SMTP_PHASE_MAIL,    /* the sender (or NOOP, when only looking) */
    SMTP_PHASE_RCPT,    /* the recipient */
    SMTP_PHASE_DATA,    /* DATA, not yet answered with 354 */
    SMTP_PHASE_BODY,    /* part of the message */
    SMTP_PHASE_DOT,     /* all of it, and the dot that ends it, perhaps */
};

/* "RCPT", "the message": what was sent last. */
const char *smtp_phase_name(enum smtp_phase phase);

struct smtp_outcome {
    CURLcode curl;
    enum smtp_phase phase;
    int code;                            /* the whole answer to what was sent last; 0: none came */
    int enhanced[3];                     /* 5, 1, 1; all 0: none came, or it contradicts `code` */
    char text[SMTP_TEXT_MAX];            /* of that answer, without its codes */
    bool is_body_given;                  /* libcurl had all of the message */
    int64_t given_bytes;                 /* of the message, to libcurl */
    int64_t whole_bytes;                 /* that the message has */
    int64_t given_ms;                    /* when libcurl last took some; 0: never */
    char last_reply[SMTP_TEXT_MAX + 20]; /* with its code, whatever it was about; "": none in this transaction */
    bool is_unauthenticated;             /* credentials are configured, but the server did not ask for them */
    bool is_reused;                      /* on a connection that carried mails before */
    char failure[256];                   /* what libcurl says, if it failed */
};

enum smtp_verdict_kind { SMTP_DONE, SMTP_LATER, SMTP_NEVER, SMTP_UNKNOWN };

struct smtp_verdict {
    enum smtp_verdict_kind kind;
    int64_t wait_ms;                 /* later: this mail; 0: core's backoff */
    int64_t pause_ms;                /* > 0: no mail goes to this server for so long */
    bool is_down;                    /* the connection is not usable as it is */
    bool is_dead;                    /* never: there is no such mailbox, and no other mail will find one */
    bool is_alarm;                   /* our protocol error: a programmer must look */
    char words[SMTP_TEXT_MAX + 400]; /* for a person */
};

/* Pure.  `retry_after_ms`: how long a recipient who was put off waits; `age_ms`: since the mail was asked for. */
void smtp_verdict_of(const struct smtp_outcome *outcome, int64_t retry_after_ms, int64_t age_ms,
                     struct smtp_verdict *verdict);
/* The server had closed a connection that we wanted to use again: nothing was sent, a new one will do. */
bool smtp_verdict_is_stale(const struct smtp_outcome *outcome);

#endif
