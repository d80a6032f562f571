/* webhooks.c - see webhooks.h */
#include "core/net/webhooks.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>

#define CONNECTIONS 500    /* at once; each holds one request until its events are on disk */
#define PUT_BACK_WAIT "30" /* seconds, for Retry-After: a closed gate, a full store */
#define DAY_S 86400.0
#define SAY_AGAIN_NS ((int64_t)60 * 1000000000)

static const int statuses[] = {200, 400, 401, 405, 413, 415, 422, 429, 503};
#define STATUSES (sizeof statuses / sizeof statuses[0])

/* What became of the requests of one source; it outlives its routes, which come and go with releases. */
struct tally {
    LIST_ENTRY(tally) link;
    char *connection, *flow;
    uint64_t counts[STATUSES];
};

struct webhook {
    LIST_ENTRY(webhook) link;
    struct webhooks *webhooks;
    struct tally *tally;
    char *path, *owner;
    const char *methods;
    const struct proof *proof;
    size_t body_limit;
    double rate, tokens; /* a day; that may be taken now: at most those of one minute, and always one */
    int64_t tokens_ns;   /* when `tokens` was right */
    bool shakes_hands;
    unsigned refused; /* requests that were refused since it was last said */
    int64_t said_ns;  /* when; 0: never */
    void (*arrived)(struct webhook_call *call, void *context);
    void *context; /* of `arrived` */
};

struct webhook_call {
    LIST_ENTRY(webhook_call) link;
    struct request *request;
    struct tally *tally;
    unsigned open;    /* events that are not settled yet */
    bool is_put_back; /* one of them at least */
};

struct webhooks {
    struct server *server;
    char *host;
    LIST_HEAD(routes, webhook) routes;
    LIST_HEAD(calls, webhook_call) calls;
    LIST_HEAD(tallies, tally) tallies;
    uint64_t strays;   /* requests of no route */
    bool is_unsettled; /* routes may be on their way: what has none yet is told to come again */
};

/* ---- answers ---------------------------------------------------------------------------------------- */

static void count(struct tally *tally, int status)
{
    size_t i = 0;
    while (i < STATUSES && statuses[i] != status)
        i++;
    tally->counts[i < STATUSES ? i : 1]++; /* what an adapter refuses in its own way is a 400 by another name */
}

static void reply(struct request *request, int status, const char *text)
{
    request_reply(request, status, "text/plain; charset=utf-8", slice_of(text));
}

static void end_call(struct webhook_call *call, int status, const char *text)
{
    struct request *request = call->request;
    count(call->tally, status);
    LIST_REMOVE(call, link);
    free(call);
    reply(request, status, text);
}

/* Somebody who cannot prove who he is, or sends what is not wanted, is worth a line, but not one for each try. */
static void note_refusal(struct webhook *route, int status, const char *why)
{
    int64_t now_ns = clock_mono_ns();
    count(route->tally, status);
    route->refused++;
    if (route->said_ns && now_ns - route->said_ns < SAY_AGAIN_NS)
        return;
    log_warning("webhooks: %s (%s): %u request%s refused, the last with %d: %s", route->path, route->owner,
                route->refused, route->refused == 1 ? "" : "s", status, why);
    route->refused = 0;
    route->said_ns = now_ns;
}

static void refuse(struct webhook *route, struct request *request, int status, const char *why)
{
    char text[400];
    note_refusal(route, status, why);
    snprintf(text, sizeof text, "%s\n", why);
    reply(request, status, text);
}

void webhook_refuse(struct webhook_call *call, int status, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    log_warning("webhooks: %s: a request is refused with %d: %s", request_path(call->request), status, text);
    strcat(text, "\n");
    end_call(call, status, text);
}

static void settle(struct webhook_call *call)
{
    if (call->open)
        return;
    if (call->is_put_back)
        request_reply_header(call->request, "Retry-After", PUT_BACK_WAIT);
    end_call(call, call->is_put_back ? 503 : 200, call->is_put_back ? "not now; send it again later\n" : "ok\n");
}

void webhook_expect(struct webhook_call *call, unsigned events)
{
    call->open = events;
    settle(call);
}

uint64_t webhook_token(const struct webhook_call *call)
{
    return (uint64_t)(uintptr_t)call;
}

void webhook_ack(uint64_t token)
{
    struct webhook_call *call = (struct webhook_call *)(uintptr_t)token;
    call->open--;
    settle(call);
}

void webhook_put_back(uint64_t token)
{
    struct webhook_call *call = (struct webhook_call *)(uintptr_t)token;
    call->is_put_back = true;
    webhook_ack(token);
}

void webhooks_give_up(struct webhooks *webhooks, const char *connection)
{
    struct webhook_call *call = webhooks ? LIST_FIRST(&webhooks->calls) : NULL, *next;
    for (; call; call = next) {
        next = LIST_NEXT(call, link);
        if (strcmp(call->tally->connection, connection) != 0)
            continue;
        call->open = 0;
        call->is_put_back = true;
        settle(call);
    }
}

const struct request *webhook_request(const struct webhook_call *call)
{
    return call->request;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static struct webhook *find(const struct webhooks *webhooks, const char *path)
{
    struct webhook *route;
    LIST_FOREACH(route, &webhooks->routes, link)
    if (strcmp(route->path, path) == 0)
        return route;
    return NULL;
}

static bool takes_method(const struct webhook *route, const char *method)
{
    size_t size = strlen(method);
    for (const char *at = route->methods; *at; at += strspn(at, " ")) {
        size_t one = strcspn(at, " ");
        if (one == size && strncmp(at, method, size) == 0)
            return true;
        at += one;
    }
    return false;
}

/* The consent that the webhook specification of CloudEvents asks for. */
static void shake_hands(const struct webhook *route, struct request *request)
{
    const char *origin = request_header(request, "webhook-request-origin");
    char rate[32] = "*";
    if (route->rate > 0)
        snprintf(rate, sizeof rate, "%.0f", fmax(1, route->rate / 1440));
    request_reply_header(request, "Allow", route->methods);
    if (origin) {
        request_reply_header(request, "WebHook-Allowed-Origin", origin);
        request_reply_header(request, "WebHook-Allowed-Rate", rate);
    }
    reply(request, 200, "");
}

/* Seconds to wait; 0: it may pass. */
static int rate_wait_s(struct webhook *route)
{
    if (route->rate <= 0)
        return 0;
    double each_s = route->rate / DAY_S, most = fmax(1, each_s * 60);
    int64_t now_ns = clock_mono_ns();
    route->tokens = fmin(most, route->tokens + (double)(now_ns - route->tokens_ns) / 1e9 * each_s);
    route->tokens_ns = now_ns;
    if (route->tokens >= 1) {
        route->tokens--;
        return 0;
    }
    return (int)ceil((1 - route->tokens) / each_s);
}

static const char *header_of(const void *context, const char *name)
{
    return request_header(context, name);
}

/* Whether it may come in; else it has been answered. */
static bool passes(struct webhook *route, struct request *request)
{
    struct proof_subject subject = {header_of, request, request_body(request), clock_now_ms()};
    if (!takes_method(route, request_method(request))) {
        request_reply_header(request, "Allow", route->methods);
        refuse(route, request, 405, "this method is not taken here");
        return false;
    }
    if (request_body(request).size > route->body_limit) {
        refuse(route, request, 413, "the body is larger than this flow takes");
        return false;
    }
    const char *why = proof_fails(route->proof, &subject), *challenge = proof_challenge(route->proof);
    if (why) {
        if (challenge)
            request_reply_header(request, "WWW-Authenticate", challenge);
        note_refusal(route, 401, why);
        reply(request, 401, "this request does not prove who sent it\n");
        return false;
    }
    int wait_s = rate_wait_s(route);
    if (wait_s) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%d", wait_s);
        request_reply_header(request, "Retry-After", seconds);
        refuse(route, request, 429, "too many requests");
        return false;
    }
    return true;
}

static void on_request(struct request *request, void *context)
{
    struct webhooks *webhooks = context;
    struct webhook *route = find(webhooks, request_path(request));
    if (!route && webhooks->is_unsettled) {
        request_reply_header(request, "Retry-After", "5");
        reply(request, 503, "not now: try again\n");
        return;
    }
    if (!route) {
        webhooks->strays++;
        reply(request, 404, "there is nothing here\n");
    } else if (route->shakes_hands && strcmp(request_method(request), "OPTIONS") == 0) {
        shake_hands(route, request);
    } else if (passes(route, request)) {
        struct webhook_call *call = mem_zero(sizeof *call);
        call->request = request;
        call->tally = route->tally;
        LIST_INSERT_HEAD(&webhooks->calls, call, link);
        route->arrived(call, route->context);
    }
}

/* ---- routes ---------------------------------------------------------------------------------------------- */

static bool check_path(const char *path, struct err *err)
{
    size_t size = strlen(path);
    bool ok = path[0] == '/' && size > 1 && size <= WEBHOOK_PATH_MAX && path[size - 1] != '/' && !strstr(path, "//");
    for (const char *c = path; ok && *c; c++)
        ok = (unsigned char)*c > ' ' && (unsigned char)*c < 0x7F && !strchr("?#%\\\"", *c);
    return ok
           || err_set(err, "%s is no path for webhooks; expected one such as /hooks/orders, without `?`, `#` and `%%`",
                      path);
}

/* The caller frees it; NULL: it cannot be had. */
static char *path_of(const struct webhook_options *options, const struct webhooks *webhooks, struct err *err)
{
    struct buf path = BUF_INIT(WEBHOOK_PATH_MAX);
    if (options->path)
        buf_add_text(&path, options->path);
    else
        buf_addf(&path, "/hooks/%s/%s", options->connection, options->flow);
    const struct webhook *other = path.is_over ? NULL : find(webhooks, path.data);
    if (other)
        err_set(err, "%s has the path %s already; give one of them another `path`", other->owner, path.data);
    else if (check_path(path.is_over ? "" : path.data, err))
        return buf_take(&path);
    buf_clear(&path);
    return NULL;
}

static struct tally *tally_of(struct webhooks *webhooks, const struct webhook_options *options)
{
    struct tally *tally;
    LIST_FOREACH(tally, &webhooks->tallies, link)
    if (strcmp(tally->connection, options->connection) == 0 && strcmp(tally->flow, options->flow) == 0)
        return tally;
    tally = mem_zero(sizeof *tally);
    tally->connection = mem_text(options->connection);
    tally->flow = mem_text(options->flow);
    LIST_INSERT_HEAD(&webhooks->tallies, tally, link);
    return tally;
}

struct webhook *webhook_open(struct webhooks *webhooks, const struct webhook_options *options, struct err *err)
{
    if (!webhooks) {
        err_set(err, "no webhooks are listened for: headgate.yaml needs `webhooks: {listen: \"127.0.0.1:8281\"}`");
        return NULL;
    }
    if (!options->proof) {
        err_set(err, "the connection does not say how its webhooks are verified: set `webhook_verify` (`none` believes "
                     "whoever reaches the listener)");
        return NULL;
    }
    char *path = path_of(options, webhooks, err);
    if (!path)
        return NULL;
    struct buf owner = BUF_INIT(1000);
    buf_addf(&owner, "flow %s, connection %s", options->flow, options->connection);
    struct webhook *route = mem_zero(sizeof *route);
    *route = (struct webhook){.webhooks = webhooks,
                              .tally = tally_of(webhooks, options),
                              .path = path,
                              .owner = buf_take(&owner),
                              .methods = options->methods,
                              .proof = options->proof,
                              .body_limit = (size_t)options->body_limit,
                              .rate = (double)options->rate_per_day,
                              .tokens = fmax(1, (double)options->rate_per_day / 1440),
                              .tokens_ns = clock_mono_ns(),
                              .shakes_hands = options->shakes_hands,
                              .arrived = options->arrived,
                              .context = options->context};
    LIST_INSERT_HEAD(&webhooks->routes, route, link);
    return route;
}

void webhook_close(struct webhook *webhook)
{
    if (!webhook)
        return;
    LIST_REMOVE(webhook, link);
    free(webhook->path);
    free(webhook->owner);
    free(webhook);
}

bool webhook_describe(const struct webhook *webhook, struct buf *out)
{
    const char *host = webhook->webhooks->host;
    bool is_six = strchr(host, ':') != NULL;
    return buf_addf(out, "%s http://%s%s%s:%d%s", webhook->methods, is_six ? "[" : "", host, is_six ? "]" : "",
                    webhooks_port(webhook->webhooks), webhook->path);
}

/* ---- the server --------------------------------------------------------------------------------------------- */

struct webhooks *webhooks_open(uv_loop_t *loop, const struct webhooks_options *options, struct err *err)
{
    struct webhooks *webhooks = mem_zero(sizeof *webhooks);
    struct server_options server = {
        .host = options->host, .port = options->port, .body_limit = options->body_limit, .connections = CONNECTIONS};
    webhooks->server = server_open(loop, &server, on_request, webhooks, err);
    if (!webhooks->server) {
        free(webhooks);
        return NULL;
    }
    webhooks->host = mem_text(options->host);
    return webhooks;
}

void webhooks_unsettled(struct webhooks *webhooks, bool is_unsettled)
{
    if (webhooks)
        webhooks->is_unsettled = is_unsettled;
}

void webhooks_each_count(const struct webhooks *webhooks, webhooks_count *each, void *context)
{
    const struct tally *tally;
    LIST_FOREACH(tally, &webhooks->tallies, link)
    for (size_t i = 0; i < STATUSES; i++)
        each(context, tally->connection, tally->flow, statuses[i], tally->counts[i]);
    each(context, "", "", 404, webhooks->strays);
}

int webhooks_port(const struct webhooks *webhooks)
{
    return server_port(webhooks->server);
}

void webhooks_close(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    server_close(webhooks->server);
    for (struct webhook_call *call; (call = LIST_FIRST(&webhooks->calls));) {
        LIST_REMOVE(call, link);
        request_cut(call->request);
        free(call);
    }
    for (struct tally *tally; (tally = LIST_FIRST(&webhooks->tallies));) {
        LIST_REMOVE(tally, link);
        free(tally->connection);
        free(tally->flow);
        free(tally);
    }
    free(webhooks->host);
    free(webhooks);
}
