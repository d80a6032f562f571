/* sandbox.c - a mailbox on loopback that keeps every mail and sends none on
 *
 * It speaks SMTP as a relay would, strictly (sandbox_session.c), and shows over HTTP what arrived:
 *
 *     GET    /                              what this is and what can be asked
 *     GET    /sandbox/mailbox/summary       counts: mails, repeats, violations, sessions
 *     GET    /sandbox/mailbox/mails         in order of arrival; ?to=ADDRESS ?after=ID ?limit=N (the latest N)
 *     GET    /sandbox/mailbox/mails/ID      the whole source
 *     GET    /sandbox/mailbox/recipients    for each address: mails, repeats
 *     GET    /sandbox/mailbox/violations    what a good client would not have done
 *     POST   /sandbox/mailbox/faults        something goes wrong from now on (sandbox_phase.c)
 *     GET, DELETE /sandbox/mailbox/faults   which are still to come; none any more
 *     POST   /sandbox/mailbox/reset         forgets mails, counts, violations and faults
 *
 * A mail is a repeat if its Message-ID came before. */
#include "adapters/smtp/sandbox.h"

#include "core/adapter.h"
#include "core/net/listener.h"
#include "core/net/server.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

#define HOST "127.0.0.1"
#define REPLY_MAX ((size_t)60 << 20)
#define BACKLOG 511
#define ROOT "/sandbox/mailbox/"

extern const struct simulator simulator_mailbox;

/* ---- inspection ------------------------------------------------------------------------------------ */

static void answer_error(struct request *request, int status, const char *text)
{
    struct buf body = BUF_INIT(8192);
    buf_add_text(&body, "{\"error\":");
    buf_add_json(&body, slice_of(text));
    buf_add_text(&body, "}\n");
    request_reply(request, status, "application/json", buf_slice(&body));
    buf_clear(&body);
}

static void answer(struct request *request, const char *type, struct buf *body)
{
    if (body->is_over)
        answer_error(request, 507, "the answer is too large: ask with a limit");
    else
        request_reply(request, 200, type, buf_slice(body));
    buf_clear(body);
}

static void answer_json(struct request *request, struct buf *body)
{
    answer(request, "application/json", body);
}

static uint64_t query_number(const struct request *request, const char *name, uint64_t fallback)
{
    const char *text = request_query(request, name);
    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static void show_page(struct sandbox_host *host, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    buf_add_text(
        &out, "Headgate sandbox: a mailbox.  It keeps every mail and sends none on.\n\n"
              "GET    /sandbox/mailbox/summary      counts\n"
              "GET    /sandbox/mailbox/mails        what arrived, in order; ?to=ADDRESS ?after=ID ?limit=N\n"
              "GET    /sandbox/mailbox/mails/ID     the whole source of one mail\n"
              "GET    /sandbox/mailbox/recipients   for each address: mails, repeats\n"
              "GET    /sandbox/mailbox/violations   what a good SMTP client would not have done\n"
              "POST   /sandbox/mailbox/faults       make something go wrong:\n"
              "         {\"phase\": \"greeting|ehlo|auth|mail|rcpt|data|body|dot\", \"to\": \"a@b\", \"times\": 1,\n"
              "          \"reply\": \"450 4.2.0 later\", \"cut\": \"before|after\", \"delay_ms\": 0, \"hang\": false}\n"
              "GET    /sandbox/mailbox/faults       which are still to come\n"
              "DELETE /sandbox/mailbox/faults       none any more\n"
              "POST   /sandbox/mailbox/reset        forget everything\n\nNow: ");
    sandbox_mail_summary(host->mails, &out);
    buf_add_text(&out, "\n");
    answer(request, "text/plain; charset=utf-8", &out);
}

static void show_summary(struct sandbox_host *host, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    buf_add_char(&out, '{');
    sandbox_mail_summary(host->mails, &out);
    buf_addf(&out,
             ",\"sessions\":%" PRIu64 ",\"open_sessions\":%zu,\"tls_failures\":%" PRIu64 ",\"logins\":%" PRIu64
             ",\"bad_logins\":%" PRIu64 ",\"faults_used\":%" PRIu64 "}\n",
             host->sessions, host->link_count, host->tls_failures, host->logins, host->bad_logins, host->phases.used);
    answer_json(request, &out);
}

static void show_mails(struct sandbox_host *host, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_mail_list(host->mails, request_query(request, "to"), query_number(request, "after", 0),
                      query_number(request, "limit", SIZE_MAX), &out);
    answer_json(request, &out);
}

static void show_mail(struct sandbox_host *host, struct request *request)
{
    struct slice source;
    const char *id = request_path(request) + strlen(ROOT "mails/");
    if (sandbox_mail_source(host->mails, strtoull(id, NULL, 10), &source))
        request_reply(request, 200, "message/rfc822", source);
    else
        answer_error(request, 404, "there is no such mail, or it is no longer kept");
}

static void show_recipients(struct sandbox_host *host, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_mail_recipients(host->mails, &out);
    answer_json(request, &out);
}

static void show_violations(struct sandbox_host *host, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_mail_violations(host->mails, &out);
    answer_json(request, &out);
}

static void show_faults(struct sandbox_host *host, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_phase_list(&host->phases, &out);
    answer_json(request, &out);
}

static void add_fault(struct sandbox_host *host, struct request *request)
{
    struct err err = ERR_INIT;
    struct slice body = request_body(request);
    json_error_t wrong;
    json_t *wish = json_loadb(body.size ? body.data : "", body.size, 0, &wrong);
    if (!wish)
        answer_error(request, 400, wrong.text);
    else if (!sandbox_phase_add(&host->phases, wish, &err))
        answer_error(request, 422, err.text);
    else
        show_faults(host, request);
    json_decref(wish);
}

static void clear_faults(struct sandbox_host *host, struct request *request)
{
    sandbox_phase_clear(&host->phases);
    show_faults(host, request);
}

static void reset(struct sandbox_host *host, struct request *request)
{
    sandbox_mail_reset(host->mails);
    sandbox_phase_clear(&host->phases);
    host->phases.used = host->tls_failures = host->logins = host->bad_logins = 0;
    show_summary(host, request);
}

static const struct route {
    const char *method, *path;
    void (*run)(struct sandbox_host *host, struct request *request);
} routes[] = {
    {"GET", "/", show_page},
    {"GET", ROOT "summary", show_summary},
    {"GET", ROOT "mails", show_mails},
    {"GET", ROOT "recipients", show_recipients},
    {"GET", ROOT "violations", show_violations},
    {"GET", ROOT "faults", show_faults},
    {"POST", ROOT "faults", add_fault},
    {"DELETE", ROOT "faults", clear_faults},
    {"POST", ROOT "reset", reset},
};

static void on_request(struct request *request, void *context)
{
    struct sandbox_host *host = context;
    const char *method = request_method(request), *path = request_path(request);
    bool is_known = false;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(path, routes[i].path) != 0)
            continue;
        is_known = true;
        if (strcmp(method, routes[i].method) == 0) {
            routes[i].run(host, request);
            return;
        }
    }
    if (strcmp(method, "GET") == 0 && strncmp(path, ROOT "mails/", strlen(ROOT "mails/")) == 0)
        show_mail(host, request);
    else if (is_known)
        answer_error(request, 405, "not with this method; GET / says what can be asked");
    else
        answer_error(request, 404, "nothing here; GET / says what can be asked");
}

/* ---- start and stop ---------------------------------------------------------------------------------- */

void sandbox_host_release(struct sandbox_host *host)
{
    if (--host->handles > 0)
        return;
    sandbox_mail_free(host->mails);
    sandbox_phase_clear(&host->phases);
    SSL_CTX_free(host->tls);
    if (host->password)
        OPENSSL_cleanse(host->password, strlen(host->password));
    free(host->password);
    free(host->user);
    free(host);
}

static void on_listener_closed(uv_handle_t *handle)
{
    sandbox_host_release(handle->data);
}

static void stop(void *simulator)
{
    struct sandbox_host *host = simulator;
    server_close(host->server);
    host->server = NULL;
    sandbox_link_close_all(host);
    uv_close((uv_handle_t *)&host->listener, on_listener_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status == 0)
        sandbox_link_accept(listener->data);
}

static bool load_tls(struct sandbox_host *host, const struct settings *settings, struct err *err)
{
    const char *certificate = settings_text(settings, "mailbox_certificate");
    const char *key = settings_text(settings, "mailbox_key");
    host->is_implicit_tls = settings_number(settings, "mailbox_tls");
    if (!certificate && !key)
        return !host->is_implicit_tls || err_set(err, "mailbox_tls needs mailbox_certificate and mailbox_key");
    if (!certificate || !key)
        return err_set(err, "mailbox_certificate and mailbox_key belong together");
    host->tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(host->tls, certificate) != 1
        || SSL_CTX_use_PrivateKey_file(host->tls, key, SSL_FILETYPE_PEM) != 1
        || SSL_CTX_check_private_key(host->tls) != 1) {
        char text[256];
        ERR_error_string_n(ERR_get_error(), text, sizeof text);
        ERR_clear_error();
        return err_set(err, "certificate %s with key %s: %s", certificate, key, text);
    }
    return true;
}

static bool load_login(struct sandbox_host *host, const struct settings *settings, struct err *err)
{
    host->user = mem_text(settings_text(settings, "mailbox_user"));
    host->password = mem_text(settings_text(settings, "mailbox_password"));
    return !host->user == !host->password || err_set(err, "mailbox_user and mailbox_password belong together");
}

static bool listen_smtp(struct sandbox_host *host, int *port, struct err *err)
{
    struct listener listener;
    if (!listener_tcp(&listener, HOST, *port, err))
        return err_wrap(err, "mailbox: SMTP");
    *port = listener.port;
    int code = uv_tcp_open(&host->listener, listener.fd);
    if (code < 0)
        close(listener.fd);
    else
        code = uv_listen((uv_stream_t *)&host->listener, BACKLOG, on_connection);
    return code == 0 || err_set(err, "mailbox: SMTP on port %d: %s", *port, uv_strerror(code));
}

static bool open_all(struct sandbox_host *host, const struct settings *settings, struct buf *says, struct err *err)
{
    int port = (int)settings_number(settings, "mailbox_smtp_port");
    const struct server_options options = {
        .host = HOST, .port = (int)settings_number(settings, "mailbox_port"), .connections = 200};
    host->size_limit = (size_t)settings_number(settings, "mailbox_size");
    if (!load_tls(host, settings, err) || !load_login(host, settings, err) || !listen_smtp(host, &port, err))
        return false;
    host->server = server_open(host->loop, &options, on_request, host, err);
    if (!host->server)
        return err_wrap(err, "mailbox: inspection");
    const char *scheme = host->is_implicit_tls ? "smtps" : "smtp";
    buf_addf(says, "Mailbox SMTP   %s://%s:%d\n", scheme, HOST, port);
    buf_addf(says, "Mailbox pages  http://%s:%d\n", HOST, server_port(host->server));
    buf_addf(says, "  mail: {adapter: smtp, url: \"%s://%s:%d\", from: \"Sandbox <sandbox@example.com>\"%s}\n", scheme,
             HOST, port, host->user ? ", user: ..., password: ..." : "");
    return true;
}

static void *start(uv_loop_t *loop, const struct settings *settings, struct buf *says, struct err *err)
{
    struct sandbox_host *host = mem_zero(sizeof *host);
    host->loop = loop;
    host->handles = 1;
    host->mails = sandbox_mail_new();
    uv_tcp_init(loop, &host->listener);
    host->listener.data = host;
    if (open_all(host, settings, says, err))
        return host;
    uv_close((uv_handle_t *)&host->listener, on_listener_closed);
    return NULL;
}

static const struct option options[] = {
    {.name = "mailbox_smtp_port",
     .kind = OPTION_INTEGER,
     .fallback = "8225",
     .least = 0,
     .most = 65535,
     .help = "Port of the mailbox's SMTP side; 0: any free one."},
    {.name = "mailbox_port",
     .kind = OPTION_INTEGER,
     .fallback = "8283",
     .least = 0,
     .most = 65535,
     .help = "Port on which the mailbox shows what arrived (HTTP); 0: any free one."},
    {.name = "mailbox_user", .kind = OPTION_TEXT, .help = "Asks for a login (AUTH PLAIN or LOGIN) with this user."},
    {.name = "mailbox_password", .kind = OPTION_SECRET, .help = "The password of that login."},
    {.name = "mailbox_certificate",
     .kind = OPTION_TEXT,
     .help = "PEM file of the server's certificate; then STARTTLS is offered."},
    {.name = "mailbox_key", .kind = OPTION_TEXT, .help = "PEM file of the certificate's key."},
    {.name = "mailbox_tls", .kind = OPTION_BOOLEAN, .fallback = "false", .help = "TLS from the first byte (smtps)."},
    {.name = "mailbox_size",
     .kind = OPTION_SIZE,
     .fallback = "10MiB",
     .least = 1024,
     .most = 1 << 30,
     .help = "The largest mail it takes, announced as SIZE."},
    OPTION_END,
};

const struct simulator simulator_mailbox = {
    .name = "mailbox",
    .summary = "a mail relay that keeps what it is given, and shows it",
    .options = options,
    .start = start,
    .stop = stop,
};
