/* adapter.c - mails through a relay
 *
 *     flow: mail.send{..} ──► compose: checked and built once, stored
 *     lane: deliver ──► pool: a thread ──► send: one transaction ──► verdict ──► done | later | never | unknown
 *
 * A mail is not idempotent: nobody may guess whether a person was written to.  So core marks it
 * `sending` on disk before we get it, and after a crash, or when the relay took the whole message
 * and then said nothing, it is *unknown* and a person decides.  Everything else is tried again.
 * What the relay's words mean is in verdict.c; the README beside this has the rules in one place. */
#include "core/adapter.h"
#include "adapters/smtp/address.h"
#include "adapters/smtp/compose.h"
#include "adapters/smtp/pool.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLOSE_GRACE_MS 5000 /* for a message that waits for its answer when we stop */

static const struct option options[] = {
    {.name = "url",
     .kind = OPTION_TEXT,
     .is_required = true,
     .help = "the relay: smtps://relay.example.com:465 (TLS), or smtp://relay.example.com:587 (STARTTLS, required "
             "unless the host is loopback)"},
    {.name = "from", .kind = OPTION_TEXT, .is_required = true, .help = "the sender: \"Support <support@example.com>\""},
    {.name = "user", .kind = OPTION_TEXT, .help = "name to log in with"},
    {.name = "password", .kind = OPTION_SECRET, .help = "password to log in with"},
    {.name = "ca", .kind = OPTION_TEXT, .help = "file of certificates that are trusted instead of the system's"},
    {.name = "helo", .kind = OPTION_TEXT, .help = "this machine's name in EHLO; without it the host name"},
    {.name = "bounce",
     .kind = OPTION_TEXT,
     .help = "address that gets notices of failed delivery (envelope sender); without it that of `from`"},
    {.name = "answer_timeout",
     .kind = OPTION_DURATION,
     .fallback = "10m",
     .least = 1000,
     .most = 3600000,
     .help =
         "how long each answer of the relay may take.  RFC 5321 wants 10m after a message; if it is shorter, a slow "
         "relay turns mails that it has taken into unknown ones"},
    {.name = "retry_after",
     .kind = OPTION_DURATION,
     .fallback = "5m",
     .least = 1,
     .most = 86400000,
     .help = "how long a mail waits whose recipient was refused for now (greylisting, limits)"},
    OPTION_END,
};

/* Of one connection. */
struct mailer {
    struct connection *connection;
    struct smtp_relay relay;
    struct smtp_pool *pool;
    char *url;              /* owned; relay.url */
    int64_t retry_after_ms; /* option */
};

/* Something that a worker does: a delivery, or a look for an examination. */
struct errand {
    struct smtp_job job;             /* first: the pool gives it back */
    struct delivery *delivery;       /* NULL: a look */
    struct examination *examination; /* NULL: a delivery */
    char *from, *to;                 /* owned; of the envelope */
};

/* ---- opening ---------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0; /* libcurl resolves it to loopback by itself (RFC 6761) */
}

/* Host and port of "smtp://host:587" or "smtp://[::1]:587"; false if it is neither. */
static bool split_url(const char *url, bool *is_tls, char host[256], int *port)
{
    *is_tls = strncmp(url, "smtps://", 8) == 0;
    if (!*is_tls && strncmp(url, "smtp://", 7) != 0)
        return false;
    url += *is_tls ? 8 : 7;
    bool is_v6 = *url == '[';
    url += is_v6;
    size_t size = strcspn(url, is_v6 ? "]" : ":/");
    if (size == 0 || size > 255 || (is_v6 && url[size] != ']'))
        return false;
    memcpy(host, url, size);
    host[size] = '\0';
    struct err ignored;
    struct in6_addr v6;
    if (is_v6 ? inet_pton(AF_INET6, host, &v6) != 1 : !smtp_address_check_domain(slice_of(host), &ignored))
        return false;
    url += size + is_v6;
    *port = *is_tls ? 465 : 587;
    if (*url == ':') {
        char *end;
        long number = strtol(url + 1, &end, 10);
        if (url[1] < '0' || url[1] > '9' || number < 1 || number > 65535)
            return false;
        *port = (int)number;
        url = end;
    }
    return *url == '\0' || strcmp(url, "/") == 0;
}

static bool read_url(struct mailer *mailer, const struct settings *settings, struct err *err)
{
    const char *url = settings_text(settings, "url"), *helo = settings_text(settings, "helo");
    bool is_tls;
    char host[256];
    int port;
    if (!split_url(url, &is_tls, host, &port))
        return err_set(err, "`url` must be smtps://HOST:PORT or smtp://HOST:PORT (user and password stand beside it)");
    if (helo && !smtp_address_check_domain(slice_of(helo), err))
        return err_wrap(err, "`helo`");
    bool is_v6 = strchr(host, ':') != NULL;
    struct buf whole = BUF_INIT(1000);
    buf_addf(&whole, "%s://%s%s%s:%d/%s", is_tls ? "smtps" : "smtp", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port,
             helo ? helo : "");
    mailer->relay.url = mailer->url = buf_take(&whole);
    mailer->relay.is_loopback = is_loopback(host);
    return true;
}

static bool read_settings(struct mailer *mailer, const struct settings *settings, struct err *err)
{
    struct smtp_mailbox mailbox;
    const char *bounce = settings_text(settings, "bounce");
    if (!smtp_address_parse(slice_of(settings_text(settings, "from")), &mailbox, err))
        return err_wrap(err, "`from`");
    if (bounce && !smtp_address_check(slice_of(bounce), err))
        return err_wrap(err, "`bounce`");
    mailer->relay.user = settings_text(settings, "user");
    mailer->relay.password = settings_text(settings, "password");
    mailer->relay.ca = settings_text(settings, "ca");
    mailer->relay.answer_timeout_ms = settings_number(settings, "answer_timeout");
    mailer->retry_after_ms = settings_number(settings, "retry_after");
    if (!mailer->relay.user != !mailer->relay.password)
        return err_set(err, "`user` and `password` go together");
    if (mailer->relay.ca && access(mailer->relay.ca, R_OK) != 0)
        return err_set(err, "`ca`: %s: %m", mailer->relay.ca);
    return read_url(mailer, settings, err);
}

static void on_errand_done(struct smtp_job *job, void *context);

static void mailer_free(void *context)
{
    struct mailer *mailer = context;
    free(mailer->url);
    free(mailer);
}

static bool smtp_open(struct connection *connection, struct err *err)
{
    struct mailer *mailer = mem_zero(sizeof *mailer);
    mailer->connection = connection;
    if (!read_settings(mailer, connection->settings, err)) {
        mailer_free(mailer);
        return false;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) { /* counted: others may have done so */
        mailer_free(mailer);
        return err_set(err, "libcurl cannot be used");
    }
    mailer->pool = smtp_pool_open(connection->loop, &mailer->relay, on_errand_done, mailer);
    connection->state = mailer;
    return true;
}

static void on_closed(void *mailer)
{
    mailer_free(mailer);
    curl_global_cleanup();
}

/* What ends while we wait here is still answered: a mail that was taken should not become unknown. */
static void smtp_close(struct connection *connection)
{
    struct mailer *mailer = connection->state;
    smtp_pool_close(mailer->pool, CLOSE_GRACE_MS, on_closed);
    connection->state = NULL;
}

/* ---- delivering ------------------------------------------------------------------------- */

static void errand_free(struct errand *errand)
{
    free(errand->from);
    free(errand->to);
    free(errand);
}

static void smtp_deliver(struct connection *connection, struct delivery *delivery)
{
    struct mailer *mailer = connection->state;
    struct slice from = record_get(delivery->fields, "envelope_from"), to = record_get(delivery->fields, "to");
    struct err err = ERR_INIT;
    /* libcurl puts them into commands as they are; what was stored is looked at again. */
    if (!smtp_address_check(from, &err) || !smtp_address_check(to, &err)) {
        delivery_never(delivery, "%s", err.text);
        return;
    }
    struct errand *errand = mem_zero(sizeof *errand);
    errand->delivery = delivery;
    errand->from = mem_copy(from);
    errand->to = mem_copy(to);
    errand->job.envelope = (struct smtp_envelope){errand->from, errand->to, record_get(delivery->fields, "message")};
    smtp_pool_add(mailer->pool, &errand->job);
}

static void say_state(struct mailer *mailer, const struct smtp_outcome *outcome, const struct smtp_verdict *verdict)
{
    struct connection *connection = mailer->connection;
    if (mailer->relay.stop_ns)
        return; /* we broke it off ourselves */
    if (verdict->is_down)
        connection_says(connection, CONNECTION_DOWN, "%s", verdict->words);
    else if (outcome->phase >= SMTP_PHASE_MAIL)
        connection_says(connection, CONNECTION_UP, "the relay takes mail");
    if (verdict->is_alarm)
        log_error("connection %s: %s", connection->name, verdict->words);
    if (verdict->pause_ms)
        connection_pause(connection, verdict->pause_ms, "%s", verdict->words);
}

static void unknown(struct delivery *delivery, const struct smtp_outcome *outcome, const char *words)
{
    struct delivery_known known = {.sent_bytes = outcome->given_bytes,
                                   .whole_bytes = outcome->whole_bytes,
                                   .phase = smtp_phase_name(outcome->phase),
                                   .last_reply = outcome->last_reply,
                                   .sent_ms = outcome->given_ms};
    delivery_unknown(delivery, &known, "%s", words);
}

static void answer(struct mailer *mailer, struct delivery *delivery, const struct smtp_outcome *outcome)
{
    struct smtp_verdict verdict;
    smtp_verdict_of(outcome, mailer->retry_after_ms, clock_now_ms() - delivery->asked_ms, &verdict);
    say_state(mailer, outcome, &verdict);
    switch (verdict.kind) {
    case SMTP_DONE: delivery_done(delivery, "%s", verdict.words); break;
    case SMTP_LATER: delivery_later(delivery, verdict.wait_ms, "%s", verdict.words); break;
    case SMTP_NEVER:
        if (verdict.is_dead)
            delivery_never_again(delivery, "%s", verdict.words);
        else
            delivery_never(delivery, "%s", verdict.words);
        break;
    case SMTP_UNKNOWN: unknown(delivery, outcome, verdict.words); break;
    }
}

/* ---- looking ---------------------------------------------------------------------------- */

static void smtp_examine(struct connection *connection, struct source *source, struct examination *examination)
{
    (void)source;
    struct mailer *mailer = connection->state;
    struct errand *errand = mem_zero(sizeof *errand);
    errand->examination = examination;
    errand->job.is_look = true;
    smtp_pool_add(mailer->pool, &errand->job);
}

static void report(struct mailer *mailer, struct examination *examination, const struct smtp_job *job)
{
    const struct smtp_outcome *outcome = &job->outcome;
    const struct smtp_relay *relay = &mailer->relay;
    struct smtp_verdict verdict;
    smtp_verdict_of(outcome, 0, 0, &verdict);
    bool is_in = outcome->curl == CURLE_OK;
    bool is_greeted = outcome->phase > SMTP_PHASE_CONNECT;
    examination_finds(examination, is_greeted, "relay", "%s: %s", relay->url, is_greeted ? "answers" : verdict.words);
    if (is_greeted)
        examination_finds(examination, job->is_encrypted || relay->is_loopback, "encryption", "%s",
                          job->is_encrypted ? "TLS" : "clear text");
    if (is_greeted && relay->user)
        examination_finds(examination, is_in && !outcome->is_unauthenticated, "credentials", "%s",
                          !is_in                        ? verdict.words
                          : outcome->is_unauthenticated ? "not asked for: the relay does not offer AUTH"
                                                        : "accepted");
    else if (is_greeted && !is_in)
        examination_finds(examination, false, "session", "%s", verdict.words);
    examination_ends(examination);
}

static void on_errand_done(struct smtp_job *job, void *context)
{
    struct errand *errand = (struct errand *)job;
    if (errand->delivery)
        answer(context, errand->delivery, &job->outcome);
    else
        report(context, errand->examination, job);
    errand_free(errand);
}

/* ---- the table -------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {.name = "send",
     .summary = "send one mail to one person",
     .fields = smtp_compose_fields,
     .is_idempotent = false,
     .recipient_field = "to",
     .campaign_field = "campaign",
     .canonical = smtp_address_canonical,
     .prepare = smtp_compose},
    {.name = NULL},
};

extern const struct simulator simulator_mailbox;

const struct adapter adapter_smtp = {
    .name = "smtp",
    .summary = "mails through a relay, from templates",
    .options = options,
    .verbs = verbs,
    .concurrency = 4,
    .open = smtp_open,
    .close = smtp_close,
    .deliver = smtp_deliver,
    .examine = smtp_examine,
    .simulator = &simulator_mailbox,
};
