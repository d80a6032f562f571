/* http.c - see http.h
 *
 *      waiting --its turn--> under way --answer, failure--> done()
 *                               ^   |
 *                               +---+ once, on a fresh connection
 *
 * libcurl says which sockets and which timer it wants watched; we tell it what happened, and then
 * look which exchanges are finished.  Callbacks to our users happen only there, never inside libcurl.
 *
 * Two habits of libcurl 7.88 shape this file.  It takes a TLS connection that died while it was
 * idle for alive (curl issue 10646), so idle ones are dropped early and a request that fails on
 * one is sent again.  And it repeats a request, POST included, when a reused connection breaks
 * before the first byte of the answer, so what may not be repeated never gets a reused one. */
#include "core/net/exchange.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define IDLE_MOST_S 20L  /* shorter than any server's patience with an idle connection */
#define LIFE_MOST_S 600L /* so that a change in the DNS arrives */

/* A socket of libcurl's that we watch. */
struct watch {
    LIST_ENTRY(watch) link;
    uv_poll_t poll;
    curl_socket_t fd;
    struct http *http;
};

struct http {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer; /* libcurl's */
    uv_timer_t soon;  /* begins what waits, on the next round of the loop */
    int open_handles; /* of the two above */
    LIST_HEAD(watches, watch) watches;
    struct exchanges waiting;   /* for their turn */
    struct exchanges under_way; /* libcurl has them */
    unsigned running;           /* how many are under way */
    unsigned most;              /* may be under way at once */
    long connect_timeout_ms;
    char *ca_file, *cert_file, *key_file, *socket; /* NULL: none */
    enum http_reach reach;
    bool is_closed;
};

/* ---- beginning and ending ---------------------------------------------------------------------- */

static void start_transfer(struct http *http, struct exchange *exchange)
{
    TAILQ_INSERT_TAIL(&http->under_way, exchange, link);
    http->running++;
    curl_multi_add_handle(http->multi, exchange->easy);
}

static void stop_transfer(struct http *http, struct exchange *exchange)
{
    curl_multi_remove_handle(http->multi, exchange->easy);
    TAILQ_REMOVE(&http->under_way, exchange, link);
    http->running--;
}

static void call_back(struct exchange *exchange, CURLcode code)
{
    exchange_call_back(exchange, code);
    exchange_free(exchange);
}

static void begin_waiting(struct http *http)
{
    struct exchange *exchange;
    while (!http->is_closed && (exchange = TAILQ_FIRST(&http->waiting))
           && (exchange->refusal || http->running < http->most)) {
        TAILQ_REMOVE(&http->waiting, exchange, link);
        if (exchange->refusal)
            call_back(exchange, CURLE_OK);
        else
            start_transfer(http, exchange);
    }
}

/* A callback may send more, or close us. */
static void end_finished(struct http *http)
{
    CURLMsg *message;
    int left;
    while (!http->is_closed && (message = curl_multi_info_read(http->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message is gone once the handle is removed */
        struct exchange *exchange = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        stop_transfer(http, exchange);
        if (exchange_repeats(exchange, code))
            start_transfer(http, exchange);
        else
            call_back(exchange, code);
    }
    begin_waiting(http);
}

/* ---- libcurl and libuv ---------------------------------------------------------------------------- */

static void on_time(uv_timer_t *timer)
{
    struct http *http = timer->data;
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    end_finished(http);
}

static void on_soon(uv_timer_t *timer)
{
    begin_waiting(timer->data);
}

static int on_timer(CURLM *multi, long wait_ms, void *context)
{
    (void)multi;
    struct http *http = context;
    if (wait_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_time, (uint64_t)wait_ms, 0);
    return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct http *http = watch->http;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    int running;
    curl_multi_socket_action(http->multi, watch->fd, flags, &running); /* `watch` may be gone now */
    end_finished(http);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void unwatch(struct watch *watch)
{
    LIST_REMOVE(watch, link);
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct watch *find_watch(struct http *http, curl_socket_t fd)
{
    struct watch *watch = LIST_FIRST(&http->watches);
    while (watch && watch->fd != fd)
        watch = LIST_NEXT(watch, link);
    return watch;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    (void)easy;
    (void)socket_context; /* may be that of a closed socket which had this number: we look ourselves */
    struct http *http = context;
    struct watch *watch = find_watch(http, fd);
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            unwatch(watch);
        return 0;
    }
    if (!watch) {
        watch = mem_zero(sizeof *watch);
        if (uv_poll_init_socket(http->loop, &watch->poll, fd) != 0) {
            free(watch);
            return -1;
        }
        watch->poll.data = watch;
        watch->fd = fd;
        watch->http = http;
        LIST_INSERT_HEAD(&http->watches, watch, link);
    }
    uv_poll_start(&watch->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  on_ready);
    return 0;
}

/* libuv ends the process when a socket is closed under its eyes: stop watching first. */
static int on_close_socket(void *context, curl_socket_t fd)
{
    struct watch *watch = find_watch(context, fd);
    if (watch)
        unwatch(watch);
    return close(fd);
}

/* ---- the client -------------------------------------------------------------------------------------- */

static void init_libcurl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        abort();
}

struct http *http_open(uv_loop_t *loop, const struct http_options *options, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_libcurl);
    const char *const files[] = {options->ca_file, options->cert_file, options->key_file};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i] && access(files[i], R_OK) != 0) {
            err_set(err, "certificates %s: %s", files[i], strerror(errno));
            return NULL;
        }
    }
    struct http *http = mem_zero(sizeof *http);
    http->loop = loop;
    http->multi = curl_multi_init();
    if (!http->multi)
        abort();
    http->most = options->connections ? options->connections : 5;
    http->connect_timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : 10000;
    http->ca_file = mem_text(options->ca_file);
    http->cert_file = mem_text(options->cert_file);
    http->key_file = mem_text(options->key_file);
    http->socket = mem_text(options->socket);
    http->reach = options->reach;
    TAILQ_INIT(&http->waiting);
    TAILQ_INIT(&http->under_way);
    uv_timer_init(loop, &http->timer);
    uv_timer_init(loop, &http->soon);
    http->timer.data = http->soon.data = http;
    http->open_handles = 2;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->most);
    return http;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;
    if (--http->open_handles == 0)
        free(http);
}

void http_close(struct http *http)
{
    if (!http || http->is_closed)
        return;
    http->is_closed = true;
    struct exchange *exchange;
    while ((exchange = TAILQ_FIRST(&http->under_way))) {
        stop_transfer(http, exchange);
        exchange_free(exchange);
    }
    while ((exchange = TAILQ_FIRST(&http->waiting))) {
        TAILQ_REMOVE(&http->waiting, exchange, link);
        exchange_free(exchange);
    }
    curl_multi_cleanup(http->multi);
    while (!LIST_EMPTY(&http->watches))
        unwatch(LIST_FIRST(&http->watches));
    free(http->ca_file);
    free(http->cert_file);
    free(http->key_file);
    free(http->socket);
    uv_close((uv_handle_t *)&http->timer, on_handle_closed);
    uv_close((uv_handle_t *)&http->soon, on_handle_closed);
}

/* ---- one request ---------------------------------------------------------------------------- */

static void set_safety(const struct http *http, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "headgate");
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_MOST_S);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, LIFE_MOST_S);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, http->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, (void *)(uintptr_t)http);
    if (http->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
    if (http->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, http->cert_file);
    if (http->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, http->key_file);
    if (http->socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, http->socket);
}

void http_send(struct http *http, const struct http_request *request,
               void (*done)(const struct http_reply *reply, void *context), void *context)
{
    struct exchange *exchange = exchange_new(request, done, context);
    exchange->reach = http->reach;
    set_safety(http, exchange->easy);
    TAILQ_INSERT_TAIL(&http->waiting, exchange, link);
    uv_timer_start(&http->soon, on_soon, 0, 0);
}
