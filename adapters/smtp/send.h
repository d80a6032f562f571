/* send.h - one session with a relay: transactions one after another, on a thread that may block */
#ifndef HEADGATE_SMTP_SEND_H
#define HEADGATE_SMTP_SEND_H

#include "adapters/smtp/verdict.h"
#include "core/base/slice.h"

#include <stdatomic.h>

/* Where to and how; shared by all sessions of a connection, unchanging but for `stop_ns`. */
struct smtp_relay {
    const char *url;           /* "smtps://relay.example.com:465/our.name": the path is what we say in EHLO */
    const char *user;          /* NULL: no login */
    const char *password;      /* never in any text */
    const char *ca;            /* file of certificates that alone are trusted; NULL: the system's */
    bool is_loopback;          /* clear text is allowed */
    int64_t answer_timeout_ms; /* for each answer of the server */
    _Atomic int64_t stop_ns;   /* 0; else sessions stop: a message that is not sent as a whole at once, one that
                                  waits for its answer at this time (clock_mono_ns) */
};

struct smtp_envelope {
    const char *from, *to; /* checked addresses */
    struct slice message;  /* lines end with CRLF */
};

struct smtp_session;

/* Connects with the first transaction. */
struct smtp_session *smtp_send_open(struct smtp_relay *relay);
/* Says QUIT, and does not wait for what comes. */
void smtp_send_close(struct smtp_session *session);
/* Sends one mail.  Afterwards the session is good for another one only if smtp_send_is_good. */
void smtp_send(struct smtp_session *session, const struct smtp_envelope *envelope, struct smtp_outcome *outcome);
/* Connects and logs in, then NOOP: for a look from outside. */
void smtp_send_look(struct smtp_session *session, struct smtp_outcome *outcome);
bool smtp_send_is_good(const struct smtp_session *session);
bool smtp_send_is_encrypted(const struct smtp_session *session);

#endif
