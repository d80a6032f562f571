/* sandbox.c - an OpsGenie on loopback that keeps the real one's rules
 *
 * The alert and heartbeat API below /v2/, and those of its two successors (sandbox_api.c),
 * asynchronous as the real ones: 202 at once, applied after a while.  Beside it, without a key, what
 * only a simulator has (sandbox_inspect.c).
 *
 * A request passes the faults first: one may answer in the API's place, delay or cut the answer. */
#include "adapters/opsgenie/sandbox.h"

#include "core/adapter.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST "127.0.0.1"
#define REPLY_MAX ((size_t)60 << 20)
#define DEFAULT_KEY "sandbox"

extern const struct simulator simulator_opsgenie;

/* An answer that waits because of a fault. */
struct sandbox_delayed {
    struct sandbox_delayed *next, **self; /* in account->delayed */
    struct sandbox_account *account;
    struct request *request; /* NULL once answered */
    uv_timer_t timer;
    uint64_t seen; /* number of the request */
    int status;    /* 0: cut */
    char *type;    /* of the body */
    struct buf body;
};

static void account_release(void *context)
{
    struct sandbox_account *account = context;
    if (--account->handles > 0)
        return;
    sandbox_alerts_free(account->alerts);
    sandbox_seen_free(account->seens);
    sandbox_fault_clear(&account->faults);
    sandbox_beats_reset(&account->beats);
    explicit_bzero(account->key, strlen(account->key));
    free(account->key);
    free(account);
}

/* ---- answering, now or later ------------------------------------------------------------------------ */

static void answer_now(struct sandbox_account *account, struct request *request, uint64_t seen, int status,
                       const char *type, struct slice body)
{
    sandbox_seen_answered(account->seens, seen, status);
    if (status)
        request_reply(request, status, type, body);
    else
        request_cut(request);
}

static void on_delayed_closed(uv_handle_t *handle)
{
    struct sandbox_delayed *delayed = handle->data;
    struct sandbox_account *account = delayed->account;
    *delayed->self = delayed->next;
    if (delayed->next)
        delayed->next->self = delayed->self;
    buf_clear(&delayed->body);
    free(delayed->type);
    free(delayed);
    account_release(account);
}

/* Ends the wait: with the answer, or by a cut when everything stops. */
static void delayed_end(struct sandbox_delayed *delayed, bool is_cut)
{
    if (!delayed->request)
        return;
    answer_now(delayed->account, delayed->request, delayed->seen, is_cut ? 0 : delayed->status, delayed->type,
               buf_slice(&delayed->body));
    delayed->request = NULL;
    uv_close((uv_handle_t *)&delayed->timer, on_delayed_closed);
}

static void on_delay_over(uv_timer_t *timer)
{
    delayed_end(timer->data, false);
}

/* Takes the bytes of `body` over. */
static void answer_later(struct sandbox_account *account, struct request *request, uint64_t seen, int status,
                         const char *type, struct buf *body, int64_t delay_ms)
{
    struct sandbox_delayed *delayed = mem_zero(sizeof *delayed);
    *delayed = (struct sandbox_delayed){.account = account, .request = request, .seen = seen, .status = status};
    delayed->type = mem_text(type);
    delayed->body = *body;
    *body = (struct buf)BUF_INIT(0);
    delayed->next = account->delayed;
    delayed->self = &account->delayed;
    if (delayed->next)
        delayed->next->self = &delayed->next;
    account->delayed = delayed;
    account->handles++;
    uv_timer_init(account->loop, &delayed->timer);
    delayed->timer.data = delayed;
    uv_timer_start(&delayed->timer, on_delay_over, (uint64_t)delay_ms, 0);
}

/* ---- one request of the API --------------------------------------------------------------------------- */

/* The path as it was sent, with what the API reads of its query: what a person wants to see of a request. */
static char *full_path(const struct request *request)
{
    static const char *const names[] = {"identifierType", "query",     "offset", "limit", "sort",
                                        "order",          "direction", "tags",   "keys",  "user",
                                        "note",           "source",    "alias",  "size",  "name"};
    struct buf path = BUF_INIT(65536);
    buf_add_text(&path, request_raw_path(request));
    char mark = '?';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = request_query(request, names[i]);
        if (!value)
            continue;
        buf_addf(&path, "%c%s=%s", mark, names[i], value);
        mark = '&';
    }
    return buf_take(&path);
}

static void add_headers(struct request *request, const struct sandbox_call *call)
{
    char took[32];
    snprintf(took, sizeof took, "%.3f", (double)(uv_hrtime() - (uint64_t)call->began_ns) / 1e9);
    request_reply_header(request, "X-Request-ID", call->id);
    request_reply_header(request, "X-Response-Time", took);
    if (call->dialect == SANDBOX_OPS) { /* Atlassian's own way to say when */
        if (call->is_throttled)
            request_reply_header(request, "Retry-After", call->rate_period);
        return;
    }
    request_reply_header(request, "X-RateLimit-State", call->is_throttled ? "THROTTLED" : "OK");
    request_reply_header(request, "X-RateLimit-Reason", "ACCOUNT");
    request_reply_header(request, "X-RateLimit-Period-In-Sec", call->rate_period);
    if (call->error_type)
        request_reply_header(request, "X-Opsgenie-Errortype", call->error_type);
}

static int run_call(struct sandbox_account *account, struct request *request, bool is_dropped, struct buf *body)
{
    struct sandbox_call call = {
        .account = account, .request = request, .is_dropped = is_dropped, .answer = BUF_INIT(REPLY_MAX)};
    sandbox_api_answer(&call);
    add_headers(request, &call);
    *body = call.answer;
    return call.status;
}

/* The answer that a fault gives in the API's place. */
static int run_fault(struct request *request, const struct sandbox_fault *fault, struct buf *body)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)fault->headers, name, value)
        request_reply_header(request, name, json_string_value(value));
    buf_add_text(body, fault->body);
    return fault->status;
}

static void on_call(struct sandbox_account *account, struct request *request)
{
    struct buf body = BUF_INIT(REPLY_MAX);
    const char *type = "application/json";
    int status = 0;
    char *path = full_path(request);
    uint64_t seen = sandbox_seen_add(account->seens, request_method(request), path, request_body(request));
    struct sandbox_fault *fault = sandbox_fault_take(&account->faults, request_method(request), path);

    if (fault && fault->status) {
        if (fault->accept) {
            run_call(account, request, fault->drop, &body);
            buf_reset(&body);
        }
        status = run_fault(request, fault, &body);
        type = fault->content_type;
    } else if (!fault || fault->cut != CUT_BEFORE) {
        status = run_call(account, request, fault && fault->drop, &body);
    }
    if (fault && fault->cut)
        status = 0;
    if (fault && fault->delay_ms)
        answer_later(account, request, seen, status, type, &body, fault->delay_ms);
    else
        answer_now(account, request, seen, status, type, buf_slice(&body));

    sandbox_fault_free(fault);
    buf_clear(&body);
    free(path);
}

static void on_request(struct request *request, void *context)
{
    if (!sandbox_inspect(context, request))
        on_call(context, request);
}

/* ---- start and stop ----------------------------------------------------------------------------------------- */

static void stop(void *simulator)
{
    struct sandbox_account *account = simulator;
    for (struct sandbox_delayed *delayed = account->delayed; delayed; delayed = delayed->next)
        delayed_end(delayed, true);
    if (account->server)
        server_close(account->server);
    account->server = NULL;
    sandbox_work_close(account->works);
    sandbox_hooks_close(account->hooks, account_release, account);
}

static void *start(uv_loop_t *loop, const struct settings *settings, struct buf *says, struct err *err)
{
    struct sandbox_account *account = mem_zero(sizeof *account);
    const struct server_options options = {
        .host = HOST, .port = (int)settings_number(settings, "opsgenie_port"), .connections = 500};
    account->loop = loop;
    account->key = mem_text(settings_text(settings, "opsgenie_key"));
    account->limits[0] = settings_number(settings, "opsgenie_limit");
    account->limits[1] = settings_number(settings, "opsgenie_burst");
    account->alerts = sandbox_alerts_new();
    account->seens = sandbox_seen_new();
    account->hooks = sandbox_hooks_new(loop, account->alerts);
    account->works = sandbox_work_new(loop, account->alerts, account->hooks,
                                      (uint64_t)settings_number(settings, "opsgenie_delay"), account_release, account);
    account->handles = 2; /* works and hooks */
    account->server = server_open(loop, &options, on_request, account, err);
    if (!account->server) {
        err_wrap(err, "opsgenie");
        stop(account);
        return NULL;
    }
    int port = server_port(account->server);
    buf_addf(says, "OpsGenie API   http://%s:%d\n", HOST, port);
    buf_addf(says, "  alerts: {adapter: opsgenie, api: \"http://%s:%d\", key: \"%s\"}\n", HOST, port,
             strcmp(account->key, DEFAULT_KEY) == 0 ? DEFAULT_KEY : "${env:OPSGENIE_KEY}");
    buf_addf(says,
             "  with Jira's successors behind the same alerts: dialect: jsm-events, api: .../jsm/ops/integration\n");
    buf_addf(says, "  and dialect: jsm-ops, api: .../jsm/ops/api/%s, user: any\n", SANDBOX_CLOUD);
    return account;
}

static const struct option options[] = {
    {.name = "opsgenie_port",
     .kind = OPTION_INTEGER,
     .fallback = "8282",
     .least = 0,
     .most = 65535,
     .help = "Port of the simulated OpsGenie; 0: any free one."},
    {.name = "opsgenie_key",
     .kind = OPTION_SECRET,
     .fallback = DEFAULT_KEY,
     .least = 1,
     .most = 200,
     .help = "The key it takes; with \"-account\" behind it, it is an account key that may not create or close."},
    {.name = "opsgenie_delay",
     .kind = OPTION_DURATION,
     .fallback = "200ms",
     .least = 0,
     .most = 3600 * 1000,
     .help = "How long an accepted request waits until it is carried out."},
    {.name = "opsgenie_limit",
     .kind = OPTION_INTEGER,
     .fallback = "0",
     .least = 0,
     .most = 1000000,
     .help = "Requests a minute before it answers 429; 0: no limit."},
    {.name = "opsgenie_burst",
     .kind = OPTION_INTEGER,
     .fallback = "0",
     .least = 0,
     .most = 1000000,
     .help = "Requests a second before it answers 429; 0: no limit."},
    OPTION_END,
};

const struct simulator simulator_opsgenie = {
    .name = "opsgenie",
    .summary = "OpsGenie's Alert API, asynchronous and strict as the real one",
    .options = options,
    .start = start,
    .stop = stop,
};
