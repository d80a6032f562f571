/* server.c - see server.h
 *
 * libmicrohttpd keeps its sockets in an epoll set of its own; we watch that set.  Its sockets are
 * edge-triggered, so besides readiness it needs a timer (MHD_get_timeout), or a large upload stops
 * half way.  `drive` is the one place that lets it work.
 *
 *      receiving --complete--> with the handler --reply--> replying --sent--> receiving the next
 *          |                        |  (suspended)             |
 *          +--too slow: cut         +--request_cut: cut        +--too slow: cut
 *
 * libmicrohttpd's own timeout is idle time: a client that sends a byte now and then would keep
 * its place for ever.  So each phase but the handler's own has a total limit as well.
 *
 * A request belongs to two: to libmicrohttpd until `on_completed`, to the handler until it
 * replies.  The second to let go frees it; so a handler may hold one for longer than the server lives. */
#include "core/net/server_internal.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_LIMIT_DEFAULT (1 << 20)
#define VALUES_LIMIT (256 * 1024) /* of headers and query of one request; libmicrohttpd stops at 32 KiB */
#define SWEEP_MS 500

/* ---- driving ------------------------------------------------------------------------------ */

static void finish_close(struct server *server);
static void on_wake(uv_timer_t *timer);

static void drive(struct server *server)
{
    server->is_driving = true;
    MHD_run(server->daemon);
    server->is_driving = false;
    if (server->is_closing) {
        finish_close(server);
        return;
    }
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        uv_timer_start(&server->wake, on_wake, wait_ms, 0);
    else
        uv_timer_stop(&server->wake);
}

static void on_wake(uv_timer_t *timer)
{
    drive(timer->data);
}

void server_wake(struct server *server)
{
    uv_timer_start(&server->wake, on_wake, 0, 0);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    drive(poll->data);
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *server = timer->data;
    int64_t now_ns = clock_mono_ns();
    bool found = false;
    for (struct peer *peer = LIST_FIRST(&server->peers); peer; peer = LIST_NEXT(peer, link)) {
        if (peer->is_with_handler || now_ns - peer->since_ns < server->patience_ns)
            continue;
        log_debug("http server: a client was too slow, its connection is cut");
        shutdown(peer->fd, SHUT_RDWR);
        found = true;
    }
    if (found)
        drive(server);
}

/* ---- what libmicrohttpd tells us ------------------------------------------------------------ */

static unsigned uid_of(int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 ? who.uid : NO_UID;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    struct peer *peer = *slot;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        peer = mem_zero(sizeof *peer);
        peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        peer->uid = server->listener.path ? uid_of(peer->fd) : NO_UID;
        peer->since_ns = clock_mono_ns();
        if (LIST_EMPTY(&server->peers) && !server->is_closing)
            uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
        LIST_INSERT_HEAD(&server->peers, peer, link);
        *slot = peer;
    } else if (peer) {
        LIST_REMOVE(peer, link);
        free(peer);
        *slot = NULL;
        if (LIST_EMPTY(&server->peers) && !server->is_closing)
            uv_timer_stop(&server->sweep);
    }
}

/* The request line has come: `uri` is as it was sent. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct server *server = context;
    struct request *request = mem_zero(sizeof *request);
    *request = (struct request){.server = server,
                                .connection = connection,
                                .raw_path = mem_copy((struct slice){uri, strcspn(uri, "?")}),
                                .values = BUF_INIT(VALUES_LIMIT),
                                .body = BUF_INIT(server->body_limit),
                                .headers = BUF_INIT(VALUES_LIMIT)};
    request->peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    LIST_INSERT_HEAD(&server->requests, request, link);
    return request;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    struct request *request = *slot;
    if (!request)
        return;
    *slot = NULL;
    request->peer->is_with_handler = false;
    request->peer->since_ns = clock_mono_ns();
    LIST_REMOVE(request, link);
    request->server = NULL;
    request->connection = NULL;
    request->peer = NULL;
    if (!request->is_with_handler)
        request_free(request);
}

static enum MHD_Result keep_value(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct buf *values = context;
    buf_add_char(values, kind == MHD_HEADER_KIND ? 'h' : 'q');
    buf_add(values, name, strlen(name) + 1);
    buf_add(values, value ? value : "", value ? strlen(value) + 1 : 1);
    return MHD_YES;
}

/* Gives the complete request to the handler, unless we answer ourselves. */
static void hand_over(struct request *request)
{
    struct server *server = request->server;
    if (request->body.is_over) {
        struct buf text = BUF_INIT(200);
        buf_addf(&text, "the body is larger than %zu bytes\n", server->body_limit);
        request_answer(request, 413, "text/plain; charset=utf-8", buf_slice(&text));
        buf_clear(&text);
        return;
    }
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, keep_value, &request->values);
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, keep_value, &request->values);
    request->is_with_handler = request->peer->is_with_handler = true;
    server->handler(request, server->context);
}

static bool may_ask(const struct request *request)
{
    return !request->server->listener.path || request->peer->uid == geteuid() || request->peer->uid == 0;
}

static enum MHD_Result send_reply(struct request *request)
{
    if (request->is_cut || !request->reply)
        return MHD_NO;
    return MHD_queue_response(request->connection, (unsigned int)request->status, request->reply);
}

/* Called when the headers are there, for each piece of the body, at its end, and once more after a resume. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **slot)
{
    (void)context;
    (void)version;
    struct request *request = *slot;
    if (!request || request->server->is_closing)
        return MHD_NO;
    if (!request->was_seen) {
        request->was_seen = true;
        request->method = mem_text(method);
        request->path = mem_text(url);
        if (may_ask(request))
            return MHD_YES;
        request_answer(request, 403, "text/plain; charset=utf-8",
                       slice_of("only the daemon's own user and root may ask\n"));
        return send_reply(request);
    }
    if (*size > 0) {
        /* Too much is read on and forgotten: a client that is cut while it sends would not see the 413. */
        if (!request->body.is_over && !buf_add(&request->body, data, *size))
            free(buf_take(&request->body));
        *size = 0;
        return MHD_YES;
    }
    if (!request->was_complete) {
        request->was_complete = true;
        hand_over(request);
        if (request->is_with_handler) {
            request->is_suspended = true;
            MHD_suspend_connection(connection);
            return MHD_YES;
        }
    }
    return send_reply(request);
}

static void on_log(void *context, const char *format, va_list args)
{
    (void)context;
    struct buf text = BUF_INIT(1000);
    buf_addv(&text, format, args);
    while (text.size && text.data[text.size - 1] == '\n')
        text.data[--text.size] = '\0';
    log_debug("http server: %.*s", SLICE_ARG(buf_slice(&text)));
    buf_clear(&text);
}

/* ---- the server ------------------------------------------------------------------------------- */

static struct MHD_Daemon *start_daemon(struct server *server, const struct server_options *options)
{
    unsigned idle_s = options->idle_timeout_s ? options->idle_timeout_s : 30;
    server->patience_ns = (int64_t)idle_s * 2 * 1000000000;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    /* clang-format off */
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server,
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_LISTEN_SOCKET, (MHD_socket)server->listener.fd,
                            MHD_OPTION_URI_LOG_CALLBACK, on_uri, server,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned int)(options->connections ? options->connections : 100),
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)idle_s,
                            MHD_OPTION_END);
    /* clang-format on */
}

static bool watch(struct server *server, struct err *err)
{
    int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int status = uv_poll_init(server->loop, &server->poll, fd);
    if (status != 0)
        return err_set(err, "http server: %s", uv_strerror(status));
    uv_timer_init(server->loop, &server->wake);
    uv_timer_init(server->loop, &server->sweep);
    server->poll.data = server->wake.data = server->sweep.data = server;
    server->open_handles = 3;
    uv_poll_start(&server->poll, UV_READABLE, on_ready);
    server_wake(server);
    return true;
}

struct server *server_open(uv_loop_t *loop, const struct server_options *options, server_handler handler, void *context,
                           struct err *err)
{
    struct server *server = mem_zero(sizeof *server);
    server->loop = loop;
    server->handler = handler;
    server->context = context;
    server->body_limit = options->body_limit ? options->body_limit : BODY_LIMIT_DEFAULT;
    bool ok = options->socket ? listener_unix(&server->listener, options->socket, err)
                              : listener_tcp(&server->listener, options->host, options->port, err);
    if (!ok) {
        free(server);
        return NULL;
    }
    server->daemon = start_daemon(server, options);
    if (!server->daemon) { /* it may have closed the socket, or not: closing it twice would be worse than a leak */
        err_set(err, "http server: libmicrohttpd refused to start");
    } else if (!watch(server, err)) {
        MHD_stop_daemon(server->daemon);
    } else {
        return server;
    }
    listener_clear(&server->listener);
    free(server);
    return NULL;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    if (--server->open_handles == 0)
        free(server);
}

/* libmicrohttpd may only be stopped when nothing is suspended, and not from inside of it. */
static void finish_close(struct server *server)
{
    for (struct request *request = LIST_FIRST(&server->requests); request; request = LIST_NEXT(request, link))
        if (request->is_suspended)
            MHD_resume_connection(request->connection);
    uv_poll_stop(&server->poll);
    MHD_stop_daemon(server->daemon);
    listener_clear(&server->listener);
    uv_close((uv_handle_t *)&server->poll, on_handle_closed);
    uv_close((uv_handle_t *)&server->wake, on_handle_closed);
    uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
}

void server_close(struct server *server)
{
    if (!server || server->is_closing)
        return;
    server->is_closing = true;
    if (!server->is_driving)
        finish_close(server);
}

int server_port(const struct server *server)
{
    return server->listener.port;
}
