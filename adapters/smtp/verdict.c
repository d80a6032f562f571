/* verdict.c - was the mail taken, will it be, will it never be, or does nobody know?
 *
 * The question is whether the dot that ends the message was written.  Before it, a server must
 * forget an unfinished message: whatever broke, sending again is safe.  From it until the answer,
 * the server may own the message already (RFC 1047): silence is *unknown*.  libcurl's result alone
 * does not tell: 55 and 56 stand for refusals and for broken networks alike, and 8 for any answer to
 * the dot but 250.  So the server's own words are what counts, then how far we came, and libcurl's
 * result only where there are no words.
 *
 *     answer                     meaning
 *     2xx to the dot             done
 *     4xx                        later: greylisting, limits, a full disk
 *     421                        later: this connection is over; not about the mail
 *     5xx to MAIL .. dot         never: about this mail; with 5.1.1 and its like: about every mail to this mailbox
 *     4xx, 5xx before MAIL       later, and the whole connection waits: about us
 *     530, 534, 535, 538         the same, anywhere: credentials.  (A storm of 535 locks accounts.)
 *     500-504, 555               the same, and an alarm: we said something the server does not know
 *     none, dot perhaps written  unknown
 *     none, before               later */
#include "adapters/smtp/verdict.h"

#include <stdarg.h>
#include <stdio.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define PAUSE_REFUSED_MS MINUTE_MS          /* the server takes nothing at the moment */
#define PAUSE_CONFIGURED_MS (5 * MINUTE_MS) /* a person has to change something */
#define WAIT_PROTOCOL_MS (15 * MINUTE_MS)   /* if one mail alone upsets the server, the others get through between */
#define WAIT_FULL_MS HOUR_MS                /* a mailbox is full */
#define FULL_FOR_MS (24 * HOUR_MS)          /* and stays so: give up */

/* What the server answered to, and when it said nothing. */
static const struct {
    const char *to, *silent;
} spoken[] = {
    [SMTP_PHASE_CONNECT] = {"the connection", "while connecting"},
    [SMTP_PHASE_LOGIN] = {"the login", "while logging in"},
    [SMTP_PHASE_MAIL] = {"MAIL", "after MAIL"},
    [SMTP_PHASE_RCPT] = {"RCPT", "after RCPT"},
    [SMTP_PHASE_DATA] = {"DATA", "after DATA"},
    [SMTP_PHASE_BODY] = {"the message", "within the message"},
    [SMTP_PHASE_DOT] = {"the message", "after the message"},
};

const char *smtp_phase_name(enum smtp_phase phase)
{
    return spoken[phase].to;
}

__attribute__((format(printf, 3, 4))) static void set(struct smtp_verdict *verdict, enum smtp_verdict_kind kind,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(verdict->words, sizeof verdict->words, format, args);
    va_end(args);
    verdict->kind = kind;
}

/* "550 5.1.1 no such user (to RCPT)" */
static void set_reply(struct smtp_verdict *verdict, enum smtp_verdict_kind kind, const struct smtp_outcome *o,
                      const char *remark)
{
    char enhanced[40] = "";
    if (o->enhanced[0])
        snprintf(enhanced, sizeof enhanced, " %d.%d.%d", o->enhanced[0], o->enhanced[1], o->enhanced[2]);
    set(verdict, kind, "%s%d%s%s%s (to %s)", remark, o->code, enhanced, o->text[0] ? " " : "", o->text,
        spoken[o->phase].to);
}

static void pause_for(struct smtp_verdict *verdict, int64_t pause_ms)
{
    verdict->pause_ms = pause_ms;
    verdict->is_down = true;
}

static bool has_subject(const struct smtp_outcome *o, int subject)
{
    return o->enhanced[0] != 0 && o->enhanced[1] == subject;
}

static bool is_enhanced(const struct smtp_outcome *o, int subject, int detail)
{
    return has_subject(o, subject) && o->enhanced[2] == detail;
}

static void judge_refused_for_now(const struct smtp_outcome *o, int64_t retry_after_ms, struct smtp_verdict *verdict)
{
    set_reply(verdict, SMTP_LATER, o, "");
    bool is_put_off =
        o->phase == SMTP_PHASE_RCPT || o->code == 450 || o->code == 451 || has_subject(o, 2) || has_subject(o, 7);
    if (o->code == 454)
        pause_for(verdict, PAUSE_REFUSED_MS);
    else if (o->code != 421 && is_put_off)
        verdict->wait_ms = retry_after_ms;
}

/* 552 is "too large", which stays so; or a full mailbox, which does not; and in answer to RCPT it stands for 452
 * (RFC 5321, 4.5.3.1.10). */
static void judge_exceeded(const struct smtp_outcome *o, int64_t age_ms, struct smtp_verdict *verdict)
{
    bool may_pass = o->phase == SMTP_PHASE_RCPT || is_enhanced(o, 2, 2);
    if (is_enhanced(o, 3, 4) || is_enhanced(o, 2, 3) || !may_pass || age_ms >= FULL_FOR_MS) {
        set_reply(verdict, SMTP_NEVER, o, "");
        return;
    }
    set_reply(verdict, SMTP_LATER, o, "");
    verdict->wait_ms = WAIT_FULL_MS;
}

/* Codes that say of the mailbox itself, for good: unknown, not an address, moved away, its domain takes no mail,
 * disabled. Not 5.1.2 (no such domain): a resolver in trouble says it of everybody. */
static bool is_dead_mailbox(const struct smtp_outcome *o)
{
    static const int dead[][2] = {{1, 1}, {1, 3}, {1, 6}, {1, 10}, {2, 1}};
    for (size_t i = 0; i < sizeof dead / sizeof *dead; i++)
        if (o->phase >= SMTP_PHASE_RCPT && is_enhanced(o, dead[i][0], dead[i][1]))
            return true;
    return false;
}

static void judge_refused(const struct smtp_outcome *o, int64_t age_ms, struct smtp_verdict *verdict)
{
    bool is_about_us = o->code == 530 || o->code == 534 || o->code == 535 || o->code == 538;
    bool is_about_address = o->phase == SMTP_PHASE_RCPT && has_subject(o, 1);
    if (o->phase == SMTP_PHASE_CONNECT) {
        set_reply(verdict, SMTP_LATER, o, "the server takes no mail: ");
        pause_for(verdict, PAUSE_REFUSED_MS);
    } else if (is_about_us || o->phase == SMTP_PHASE_LOGIN) {
        set_reply(verdict, SMTP_LATER, o, "the server does not accept our login: ");
        pause_for(verdict, PAUSE_CONFIGURED_MS);
    } else if (((o->code >= 500 && o->code <= 504) || o->code == 555) && !is_about_address) {
        set_reply(verdict, SMTP_LATER, o, "the server does not understand us: ");
        pause_for(verdict, PAUSE_REFUSED_MS);
        verdict->wait_ms = WAIT_PROTOCOL_MS;
        verdict->is_alarm = true;
    } else if (o->code == 552) {
        judge_exceeded(o, age_ms, verdict);
    } else {
        set_reply(verdict, SMTP_NEVER, o, "");
        verdict->is_dead = is_dead_mailbox(o);
    }
}

/* Nothing was said. */
static void judge_silence(const struct smtp_outcome *o, struct smtp_verdict *verdict)
{
    const char *why = o->curl == CURLE_RECV_ERROR ? "the connection broke" /* libcurl: "reading failed (errno: 115)" */
                      : o->failure[0]             ? o->failure
                                                  : curl_easy_strerror(o->curl);
    if (o->phase == SMTP_PHASE_DOT || (o->phase == SMTP_PHASE_BODY && o->is_body_given)) {
        set(verdict, SMTP_UNKNOWN, "the whole message was sent, and no answer came: %s", why);
        return;
    }
    set(verdict, SMTP_LATER, "%s, %s", why, spoken[o->phase].silent);
    verdict->is_down = o->phase <= SMTP_PHASE_LOGIN;
    switch (o->curl) {
    case CURLE_USE_SSL_FAILED:
        set(verdict, SMTP_LATER, "the server does not offer STARTTLS, and nothing is sent in clear text");
        pause_for(verdict, PAUSE_CONFIGURED_MS);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_LOGIN_DENIED:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_FAILED_INIT: pause_for(verdict, PAUSE_CONFIGURED_MS); break;
    default: break;
    }
}

void smtp_verdict_of(const struct smtp_outcome *o, int64_t retry_after_ms, int64_t age_ms, struct smtp_verdict *verdict)
{
    *verdict = (struct smtp_verdict){.kind = SMTP_LATER};
    int class = o->code / 100;
    if (o->curl == CURLE_OK || (o->phase == SMTP_PHASE_DOT && class == 2)) {
        set_reply(verdict, SMTP_DONE, o, "");
    } else if (o->is_unauthenticated && o->phase >= SMTP_PHASE_MAIL && o->phase < SMTP_PHASE_DOT) {
        /* Whatever it said to a stranger ("relaying denied") does not tell what it would say to us. */
        set(verdict, SMTP_LATER, "user and password are configured, but the server does not offer AUTH");
        pause_for(verdict, PAUSE_CONFIGURED_MS);
    } else if (class == 4 && o->phase <= SMTP_PHASE_LOGIN) {
        set_reply(verdict, SMTP_LATER, o, "the server takes no mail at the moment: ");
        pause_for(verdict, PAUSE_REFUSED_MS);
    } else if (class == 4) {
        judge_refused_for_now(o, retry_after_ms, verdict);
    } else if (class == 5) {
        judge_refused(o, age_ms, verdict);
    } else {
        judge_silence(o, verdict);
    }
}

bool smtp_verdict_is_stale(const struct smtp_outcome *o)
{
    bool is_closed = o->code == 421 || (o->code == 0 && (o->curl == CURLE_SEND_ERROR || o->curl == CURLE_RECV_ERROR));
    return o->is_reused && o->phase <= SMTP_PHASE_MAIL && o->curl != CURLE_OK && is_closed;
}
