/* sandbox.c - an HTTP far side on loopback that takes everything, tells it again, and fails when it is asked to
 *
 *     ANY    /...                       200 with what came: {method, path, query, headers, body}
 *     POST   /oauth/token               a token for whoever asks by client credentials
 *     ANY    /secure/...                the same as /..., for the newest token only; 401 else
 *     GET    /                          what this is and what can be asked
 *     GET    /sandbox/http/requests     every request, in order; ?after=NUMBER
 *     POST   /sandbox/http/faults       {"match": {"method": "POST", "path_prefix": "/orders"}, "times": 2,
 *                                        "status": 503, "headers": {"Retry-After": "1"}, "body": "busy"}
 *                                       or "delay_ms": 500, "cut": "before" (not taken) or "after" (taken, no answer)
 *     GET, DELETE /sandbox/http/faults  which are still to come; none any more
 *     POST   /sandbox/http/revoke       the newest token is no good any more
 *     POST   /sandbox/http/reset        forgets requests and faults
 *
 * It shares no code with the client beside it, so that each can find the other wrong. */
#include "core/adapter.h"
#include "core/net/server.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define HOST "127.0.0.1"
#define ROOT "/sandbox/http/"
#define KEPT 10000 /* requests */

extern const struct simulator simulator_http;

/* An answer that waits because of a fault. */
struct waiting {
    struct waiting *next, **self;
    struct echo *echo;
    struct request *request; /* NULL once answered */
    uv_timer_t timer;
    int status; /* 0: cut */
    json_t *answer, *headers;
};

struct echo {
    uv_loop_t *loop;
    struct server *server;
    json_t *seen;   /* array of requests, the last KEPT */
    json_t *faults; /* array, as they were asked for; `times` counts down */
    uint64_t count; /* requests so far */
    uint64_t token; /* number of the newest; 0: none was fetched */
    bool is_revoked;
    struct waiting *waiting;
    unsigned handles; /* not yet closed; the last one frees */
};

static void release(struct echo *echo)
{
    if (--echo->handles > 0)
        return;
    json_decref(echo->seen);
    json_decref(echo->faults);
    free(echo);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static void reply(struct request *request, int status, const json_t *headers, const json_t *answer)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
        request_reply_header(request, name, json_string_value(value));
    if (json_is_string(answer)) {
        request_reply(request, status, "text/plain; charset=utf-8",
                      (struct slice){json_string_value(answer), json_string_length(answer)});
        return;
    }
    char *text = json_dumps(answer, JSON_INDENT(1));
    request_reply(request, status, "application/json", slice_of(text));
    free(text);
}

static void answer_json(struct request *request, int status, json_t *answer)
{
    reply(request, status, NULL, answer);
    json_decref(answer);
}

static void on_waiting_closed(uv_handle_t *handle)
{
    struct waiting *waiting = handle->data;
    struct echo *echo = waiting->echo;
    *waiting->self = waiting->next;
    if (waiting->next)
        waiting->next->self = waiting->self;
    json_decref(waiting->answer);
    json_decref(waiting->headers);
    free(waiting);
    release(echo);
}

static void end_waiting(struct waiting *waiting, bool is_cut)
{
    if (!waiting->request)
        return;
    if (is_cut || !waiting->status)
        request_cut(waiting->request);
    else
        reply(waiting->request, waiting->status, waiting->headers, waiting->answer);
    waiting->request = NULL;
    uv_close((uv_handle_t *)&waiting->timer, on_waiting_closed);
}

static void on_time(uv_timer_t *timer)
{
    end_waiting(timer->data, false);
}

/* Takes `answer` over. */
static void answer_after(struct echo *echo, struct request *request, int64_t delay_ms, int status, json_t *headers,
                         json_t *answer)
{
    struct waiting *waiting = mem_zero(sizeof *waiting);
    *waiting = (struct waiting){.echo = echo,
                                .request = request,
                                .status = status,
                                .answer = answer,
                                .headers = json_incref(headers),
                                .next = echo->waiting,
                                .self = &echo->waiting};
    if (waiting->next)
        waiting->next->self = &waiting->next;
    echo->waiting = waiting;
    echo->handles++;
    uv_timer_init(echo->loop, &waiting->timer);
    waiting->timer.data = waiting;
    uv_timer_start(&waiting->timer, on_time, (uint64_t)delay_ms, 0);
}

/* ---- what came ------------------------------------------------------------------------------------------------ */

static void add_pair(void *context, const char *name, const char *value)
{
    char lower[200];
    snprintf(lower, sizeof lower, "%s", name);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    json_object_set_new(context, lower, json_string(value));
}

static json_t *describe(struct echo *echo, const struct request *request)
{
    json_t *query = json_object(), *headers = json_object();
    struct slice body = request_body(request);
    json_t *text = json_stringn(body.data ? body.data : "", body.size);
    request_each_query(request, add_pair, query);
    request_each_header(request, add_pair, headers);
    return json_pack("{s:I, s:s, s:s, s:o, s:o, s:o}", "number", (json_int_t)++echo->count, "method",
                     request_method(request), "path", request_raw_path(request), "query", query, "headers", headers,
                     "body", text ? text : json_string("(not UTF-8)"));
}

static void keep(struct echo *echo, const json_t *came, int status)
{
    json_t *entry = json_copy((json_t *)(uintptr_t)came);
    json_object_set_new(entry, "status", json_integer(status));
    json_array_append_new(echo->seen, entry);
    if (json_array_size(echo->seen) > KEPT)
        json_array_remove(echo->seen, 0);
}

static bool concerns(const json_t *fault, const struct request *request)
{
    const json_t *match = json_object_get(fault, "match");
    const char *method = json_string_value(json_object_get(match, "method"));
    const char *prefix = json_string_value(json_object_get(match, "path_prefix"));
    return (!method || strcmp(method, request_method(request)) == 0)
           && (!prefix || strncmp(prefix, request_raw_path(request), strlen(prefix)) == 0);
}

/* The first fault that fits, for the caller to free; used up, it is gone. */
static json_t *take_fault(struct echo *echo, const struct request *request)
{
    size_t index;
    json_t *fault;
    json_array_foreach(echo->faults, index, fault) {
        if (!concerns(fault, request))
            continue;
        json_int_t times = json_integer_value(json_object_get(fault, "times"));
        json_incref(fault);
        if (times > 0)
            json_object_set_new(fault, "times", json_integer(times - 1));
        if (times == 1)
            json_array_remove(echo->faults, index);
        return fault;
    }
    return NULL;
}

static bool has_token(const struct echo *echo, const struct request *request)
{
    char wanted[100];
    const char *given = request_header(request, "authorization");
    snprintf(wanted, sizeof wanted, "Bearer sandbox-%llu", (unsigned long long)echo->token);
    return given && echo->token && !echo->is_revoked && strcmp(given, wanted) == 0;
}

/* What is answered where nothing goes wrong. */
static int serve(struct echo *echo, const struct request *request, json_t *came, json_t **answer)
{
    const char *path = request_path(request);
    struct slice body = request_body(request);
    if (strcmp(path, "/oauth/token") == 0) {
        bool ok = body.size && memmem(body.data, body.size, "grant_type=client_credentials", 29);
        char token[64];
        echo->token += ok;
        echo->is_revoked = false;
        snprintf(token, sizeof token, "sandbox-%llu", (unsigned long long)echo->token);
        *answer = ok ? json_pack("{s:s, s:s, s:i}", "access_token", token, "token_type", "Bearer", "expires_in", 3600)
                     : json_pack("{s:s}", "error", "unsupported_grant_type");
        return ok ? 200 : 400;
    }
    if (strncmp(path, "/secure/", 8) == 0 && !has_token(echo, request)) {
        *answer = json_pack("{s:s}", "error", "invalid_token");
        return 401;
    }
    *answer = json_incref(came);
    return 200;
}

static void take(struct echo *echo, struct request *request)
{
    json_t *came = describe(echo, request), *fault = take_fault(echo, request), *answer = NULL;
    const char *cut = json_string_value(json_object_get(fault, "cut"));
    int status = (int)json_integer_value(json_object_get(fault, "status"));
    json_int_t delay_ms = json_integer_value(json_object_get(fault, "delay_ms"));
    json_t *body = json_object_get(fault, "body"), *headers = json_object_get(fault, "headers");
    if (status)
        answer = body ? json_incref(body) : json_pack("{s:s}", "error", "a fault that was asked for");
    else if (!cut || strcmp(cut, "after") == 0)
        status = serve(echo, request, came, &answer);
    if (cut)
        status = 0;
    keep(echo, came, status);
    if (delay_ms)
        answer_after(echo, request, delay_ms, status, headers, json_incref(answer));
    else if (status)
        reply(request, status, headers, answer);
    else
        request_cut(request);
    json_decref(answer);
    json_decref(fault);
    json_decref(came);
}

/* ---- looking and spoiling -----------------------------------------------------------------------------------------
 */

static void show_page(struct echo *echo, struct request *request)
{
    (void)echo;
    request_reply(
        request, 200, "text/plain; charset=utf-8",
        slice_of(
            "An HTTP far side, simulated.  It answers every request with what came.\n\n"
            "POST /oauth/token               a token, by client credentials\n"
            "ANY  /secure/...                for the newest token only\n"
            "GET  /sandbox/http/requests     every request, in order; ?after=NUMBER\n"
            "POST /sandbox/http/faults       {\"match\": {\"method\": \"POST\", \"path_prefix\": \"/a\"},\n"
            "                                \"times\": 2, \"status\": 503, \"headers\": {}, \"body\": \"busy\"},\n"
            "                                or \"delay_ms\": 500, \"cut\": \"before\" or \"after\"\n"
            "GET, DELETE /sandbox/http/faults\n"
            "POST /sandbox/http/revoke       the newest token is no good any more\n"
            "POST /sandbox/http/reset\n"));
}

static void show_requests(struct echo *echo, struct request *request)
{
    const char *after = request_query(request, "after");
    json_int_t least = after ? atoll(after) : 0;
    json_t *list = json_array(), *entry;
    size_t index;
    json_array_foreach(echo->seen, index, entry)
        if (json_integer_value(json_object_get(entry, "number")) > least)
            json_array_append(list, entry);
    answer_json(request, 200, list);
}

static void show_faults(struct echo *echo, struct request *request)
{
    answer_json(request, 200, json_incref(echo->faults));
}

static bool fault_is_good(json_t *fault, const char **why)
{
    const char *method = NULL, *prefix = NULL, *cut = NULL;
    int times = 1, status = 0;
    json_int_t delay_ms = 0;
    json_t *body = NULL, *headers = NULL, *value;
    const char *name;
    json_error_t wrong;
    *why = "known are match {method, path_prefix}, times, status, body, headers, delay_ms, cut";
    if (json_unpack_ex(fault, &wrong, JSON_STRICT, "{s?{s?s, s?s !}, s?i, s?i, s?o, s?o, s?I, s?s}", "match", "method",
                       &method, "path_prefix", &prefix, "times", &times, "status", &status, "body", &body, "headers",
                       &headers, "delay_ms", &delay_ms, "cut", &cut)
        != 0)
        return false;
    json_object_foreach(headers, name, value)
        if (!json_string_value(value) || strpbrk(json_string_value(value), "\r\n") || strpbrk(name, " :\r\n"))
            return false;
    *why = "times is above 0 or -1, status from 200 to 599, cut before or after, delay_ms up to an hour";
    json_object_set_new(fault, "times", json_integer(times));
    return (times > 0 || times == -1) && (status == 0 || (status >= 200 && status < 600)) && delay_ms >= 0
           && delay_ms <= 3600000 && (!cut || strcmp(cut, "before") == 0 || strcmp(cut, "after") == 0)
           && (status || cut || delay_ms);
}

static void add_fault(struct echo *echo, struct request *request)
{
    struct slice body = request_body(request);
    json_t *fault = json_loadb(body.data ? body.data : "", body.size, 0, NULL);
    const char *why = "it is no JSON object";
    if (!json_is_object(fault) || !fault_is_good(fault, &why))
        answer_json(request, 422, json_pack("{s:s}", "error", why));
    else {
        json_array_append(echo->faults, fault);
        show_faults(echo, request);
    }
    json_decref(fault);
}

static void clear_faults(struct echo *echo, struct request *request)
{
    json_array_clear(echo->faults);
    show_faults(echo, request);
}

static void revoke_token(struct echo *echo, struct request *request)
{
    echo->is_revoked = true;
    answer_json(request, 200, json_object());
}

static void reset(struct echo *echo, struct request *request)
{
    json_array_clear(echo->seen);
    clear_faults(echo, request);
}

static const struct inspection {
    const char *method, *path;
    void (*run)(struct echo *echo, struct request *request);
} inspections[] = {
    {"GET", "/", show_page},
    {"GET", ROOT "requests", show_requests},
    {"GET", ROOT "faults", show_faults},
    {"POST", ROOT "faults", add_fault},
    {"DELETE", ROOT "faults", clear_faults},
    {"POST", ROOT "revoke", revoke_token},
    {"POST", ROOT "reset", reset},
};

static void on_request(struct request *request, void *context)
{
    struct echo *echo = context;
    const char *method = request_method(request), *path = request_path(request);
    for (size_t i = 0; i < sizeof inspections / sizeof *inspections; i++) {
        if (strcmp(path, inspections[i].path) == 0 && strcmp(method, inspections[i].method) == 0) {
            inspections[i].run(echo, request);
            return;
        }
    }
    if (strncmp(path, ROOT, strlen(ROOT)) == 0)
        answer_json(request, 404, json_pack("{s:s}", "error", "nothing here; GET / says what can be asked"));
    else
        take(echo, request);
}

/* ---- start and stop -----------------------------------------------------------------------------------------------
 */

static void stop(void *simulator)
{
    struct echo *echo = simulator;
    for (struct waiting *waiting = echo->waiting; waiting; waiting = waiting->next)
        end_waiting(waiting, true);
    if (echo->server)
        server_close(echo->server);
    release(echo);
}

static void *start(uv_loop_t *loop, const struct settings *settings, struct buf *says, struct err *err)
{
    struct echo *echo = mem_zero(sizeof *echo);
    const struct server_options options = {.host = HOST,
                                           .port = (int)settings_number(settings, "http_port"),
                                           .connections = 500,
                                           .body_limit = (size_t)20 << 20};
    echo->loop = loop;
    echo->seen = json_array();
    echo->faults = json_array();
    echo->handles = 1;
    echo->server = server_open(loop, &options, on_request, echo, err);
    if (!echo->server) {
        err_wrap(err, "http");
        stop(echo);
        return NULL;
    }
    int port = server_port(echo->server);
    buf_addf(says, "HTTP           http://%s:%d\n", HOST, port);
    buf_addf(says, "  partner: {adapter: http, base: \"http://%s:%d\", private: true}\n", HOST, port);
    return echo;
}

static const struct option options[] = {
    {.name = "http_port",
     .kind = OPTION_INTEGER,
     .fallback = "8284",
     .least = 0,
     .most = 65535,
     .help = "Port of the simulated HTTP far side; 0: any free one."},
    OPTION_END,
};

const struct simulator simulator_http = {
    .name = "http",
    .summary = "an HTTP far side that takes everything, and fails when it is asked to",
    .options = options,
    .start = start,
    .stop = stop,
};
