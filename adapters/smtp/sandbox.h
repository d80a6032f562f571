/* sandbox.h - the parts of the simulated mailbox; see sandbox.c for the whole
 *
 *     sandbox_link      bytes of one TCP connection, in clear or under TLS
 *     sandbox_session   the SMTP dialogue on it, strict
 *     sandbox_phase     faults that somebody asked for, by phase of the dialogue
 *     sandbox_check     is this a well-formed mail?
 *     sandbox_mail      what arrived, and what was wrong with it
 *
 * None of it is shared with the client beside it, so that each can find the other wrong. */
#ifndef HEADGATE_SMTP_SANDBOX_H
#define HEADGATE_SMTP_SANDBOX_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <jansson.h>
#include <openssl/ssl.h>
#include <uv.h>

#define SANDBOX_RECIPIENTS_MAX 100 /* of one transaction; RFC 5321 4.5.3.1.8 wants no less */
#define SANDBOX_ADDRESS_MAX 256    /* octets of a path with its brackets, RFC 5321 4.5.3.1.3 */
#define SANDBOX_LOGIN_MAX 1024     /* octets of a decoded answer to AUTH */
#define SANDBOX_REPLY_MAX 510      /* octets of a reply line without CRLF, RFC 5321 4.5.3.1.5 */

/* ---- sandbox_check.c ---------------------------------------------------------------------- */

typedef void (*sandbox_flag)(void *context, const char *violation);
/* Names everything that RFC 5322 and 2045-2047 forbid in this mail or that a good sender does not do. */
void sandbox_check_mail(struct slice source, sandbox_flag flag, void *context);
/* The value of the first header of that name, unfolded and trimmed; false if there is none. */
bool sandbox_check_header(struct slice source, const char *name, struct buf *value);
/* Replaces encoded words (RFC 2047; UTF-8, US-ASCII, ISO-8859-1) by what they say, in UTF-8. */
void sandbox_check_decode(struct slice value, struct buf *out);

/* ---- sandbox_mail.c ----------------------------------------------------------------------- */

struct sandbox_envelope {
    uint64_t session;                   /* which connection brought it */
    char from[SANDBOX_ADDRESS_MAX + 1]; /* without brackets; "" for the null path */
    char *to[SANDBOX_RECIPIENTS_MAX];   /* the accepted recipients */
    size_t to_count;
    size_t said_size; /* SIZE= of MAIL; 0: not said */
    bool is_8bit;     /* BODY=8BITMIME was said */
};

struct sandbox_mails;
struct sandbox_mails *sandbox_mail_new(void);
void sandbox_mail_free(struct sandbox_mails *mails);
void sandbox_mail_reset(struct sandbox_mails *mails); /* ids go on, the rest is as new */
void sandbox_mail_keep(struct sandbox_mails *mails, const struct sandbox_envelope *envelope, struct slice source);
void sandbox_mail_flag(struct sandbox_mails *mails, uint64_t session, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* JSON.  `to`: only mails to this address, or NULL; the latest `limit` of those that came after mail `after`. */
bool sandbox_mail_list(const struct sandbox_mails *mails, const char *to, uint64_t after, size_t limit,
                       struct buf *out);
bool sandbox_mail_source(const struct sandbox_mails *mails, uint64_t id, struct slice *source);
bool sandbox_mail_violations(const struct sandbox_mails *mails, struct buf *out);
bool sandbox_mail_recipients(const struct sandbox_mails *mails, struct buf *out);
/* The members of a JSON object, without its braces, so that the caller adds its own. */
bool sandbox_mail_summary(const struct sandbox_mails *mails, struct buf *out);

/* ---- sandbox_phase.c ---------------------------------------------------------------------- */

enum sandbox_phase {
    PHASE_GREETING,
    PHASE_EHLO,
    PHASE_AUTH,
    PHASE_MAIL,
    PHASE_RCPT,
    PHASE_DATA,
    PHASE_BODY,
    PHASE_DOT,
    PHASE_COUNT
};

enum sandbox_cut { CUT_NOT, CUT_BEFORE, CUT_AFTER };

struct sandbox_fault {
    struct sandbox_fault *next; /* asked for after this one */
    enum sandbox_phase phase;
    char to[SANDBOX_ADDRESS_MAX + 1];  /* only for this recipient; "": for all */
    int times;                         /* still so often; -1: always */
    char reply[SANDBOX_REPLY_MAX + 1]; /* instead of ours; "": ours */
    enum sandbox_cut cut;              /* before or after it was done, without a reply */
    int64_t delay_ms;                  /* before the reply or the cut */
    bool hang;                         /* done, but never answered */
};

struct sandbox_phases {
    struct sandbox_fault *first; /* in the order they were asked for */
    uint64_t used;               /* faults that have struck */
};

bool sandbox_phase_add(struct sandbox_phases *phases, const json_t *wish, struct err *err);
void sandbox_phase_clear(struct sandbox_phases *phases);
/* The fault that strikes now, used up by one; false: none.  `to`: the recipients it may concern. */
bool sandbox_phase_take(struct sandbox_phases *phases, enum sandbox_phase phase, char *const *to, size_t to_count,
                        struct sandbox_fault *fault);
bool sandbox_phase_list(const struct sandbox_phases *phases, struct buf *out);

/* ---- the host that all connections talk to (sandbox.c) ------------------------------------ */

struct sandbox_host {
    uv_loop_t *loop;
    uv_tcp_t listener;     /* SMTP */
    struct server *server; /* inspection, HTTP */
    SSL_CTX *tls;          /* NULL: neither STARTTLS nor TLS */
    bool is_implicit_tls;  /* TLS from the first byte */
    char *user, *password; /* NULL: AUTH is neither offered nor asked for */
    size_t size_limit;     /* octets of a mail, announced by SIZE */
    struct sandbox_mails *mails;
    struct sandbox_phases phases;
    struct sandbox_link *links; /* open connections */
    size_t link_count;
    uint64_t sessions;           /* connections so far; also their numbers */
    uint64_t tls_failures;       /* handshakes that came to nothing */
    uint64_t logins, bad_logins; /* AUTH answered with 235, with 535 */
    unsigned handles;            /* not yet closed; the last one frees the host */
};

void sandbox_host_release(struct sandbox_host *host); /* one handle less */

/* ---- sandbox_session.c -------------------------------------------------------------------- */

/* What shall happen to the connection once `out` is sent. */
enum sandbox_wish {
    WISH_GO_ON,
    WISH_TLS,  /* begin TLS */
    WISH_END,  /* close in good order */
    WISH_CUT,  /* close now; what is in `out` is not sent */
    WISH_HANG, /* keep it open and never say anything again */
    WISH_STALL /* the same, and read nothing more either */
};

struct sandbox_session {
    struct sandbox_host *host;
    uint64_t id;
    int stage;   /* enum stage of sandbox_session.c */
    bool is_tls; /* the bytes come out of TLS */
    bool is_authenticated;
    unsigned refused;                   /* commands answered with 5yz: too many end the session */
    unsigned rcpt_refused;              /* of this transaction */
    unsigned flagged;                   /* kinds of violations already told of this mail's lines */
    struct sandbox_envelope envelope;   /* of the open transaction */
    char login_user[SANDBOX_LOGIN_MAX]; /* AUTH LOGIN: what came first */
    struct buf in;                      /* came, not yet looked at */
    struct buf body;                    /* of the mail that is coming in, without stuffed dots */
    bool is_too_big;                    /* body is over the limit: read on, refuse at the dot */
    bool has_bare;                      /* a bare CR or LF came: refuse at the dot */
    struct buf out;                     /* replies, for the link to send */
    int64_t wait_ms;                    /* before `out` is sent and the wish is obeyed */
    enum sandbox_wish wish;
};

void sandbox_session_init(struct sandbox_session *session, struct sandbox_host *host, uint64_t id);
void sandbox_session_clear(struct sandbox_session *session);
/* Each of these may fill `out`, `wait_ms` and `wish`; the link obeys, then calls go_on until nothing comes of it. */
void sandbox_session_greet(struct sandbox_session *session);
void sandbox_session_feed(struct sandbox_session *session, struct slice bytes);
void sandbox_session_go_on(struct sandbox_session *session);

/* ---- sandbox_link.c ----------------------------------------------------------------------- */

void sandbox_link_accept(struct sandbox_host *host);
void sandbox_link_close_all(struct sandbox_host *host);

#endif
