/* sandbox_link.c - the socket under an SMTP dialogue, in clear or under TLS
 *
 *     socket ──► [TLS] ──► session_feed ──► session_go_on ──► out, wait, wish
 *     socket ◄── [TLS] ◄───────────────────────────────── out, after the wait
 *
 * TLS is OpenSSL between two memory BIOs, so nothing here ever blocks.  What is in `out` is sent
 * and the wish obeyed only when the session's wait is over; until then input is only gathered. */
#include "adapters/smtp/sandbox.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_MS (5 * 60 * 1000) /* RFC 5321 4.5.3.2.7 wants no less */
#define WAITING_MAX 65536       /* octets read while the session waits; then the far side has to wait too */
#define LINGER_MS 2000          /* for the far side to close after our last words */

struct sandbox_link {
    struct sandbox_link *next, **self; /* in host->links */
    struct sandbox_host *host;
    uv_tcp_t tcp;
    uv_timer_t timer; /* the session's wait, idleness, or the far side's time to close */
    unsigned handles; /* of the two above, not yet closed */
    SSL *ssl;         /* NULL: in clear */
    BIO *from, *to;   /* the socket's side of ssl, owned by it */
    bool is_greeted;  /* 220, or what a fault made of it, was said */
    bool is_waiting;  /* for the session's wait_ms */
    bool is_ending;   /* all is said; only the far side's close is awaited */
    bool is_closing;
    struct sandbox_session session;
    char room[65536]; /* for reading */
};

struct write {
    uv_write_t request;
    char data[];
};

static void settle(struct sandbox_link *link);
static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room);
static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *room);

static void on_closed(uv_handle_t *handle)
{
    struct sandbox_link *link = handle->data;
    if (--link->handles > 0)
        return;
    struct sandbox_host *host = link->host;
    sandbox_session_clear(&link->session);
    SSL_free(link->ssl);
    *link->self = link->next;
    if (link->next)
        link->next->self = link->self;
    host->link_count--;
    free(link);
    sandbox_host_release(host);
}

static void link_close(struct sandbox_link *link)
{
    if (link->is_closing)
        return;
    link->is_closing = true;
    uv_close((uv_handle_t *)&link->tcp, on_closed);
    uv_close((uv_handle_t *)&link->timer, on_closed);
}

void sandbox_link_close_all(struct sandbox_host *host)
{
    for (struct sandbox_link *link = host->links; link; link = link->next)
        link_close(link);
}

/* ---- out ---------------------------------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status)
{
    struct sandbox_link *link = request->handle->data;
    free(request);
    if (status < 0)
        link_close(link);
}

static void write_plain(struct sandbox_link *link, const char *data, size_t size)
{
    if (size == 0 || link->is_closing)
        return;
    struct write *write = mem_new(sizeof *write + size);
    memcpy(write->data, data, size);
    uv_buf_t piece = uv_buf_init(write->data, (unsigned)size);
    if (uv_write(&write->request, (uv_stream_t *)&link->tcp, &piece, 1, on_written) < 0) {
        free(write);
        link_close(link);
    }
}

static void write_what_tls_made(struct sandbox_link *link)
{
    char *data;
    long size = BIO_get_mem_data(link->to, &data);
    if (size > 0)
        write_plain(link, data, (size_t)size);
    (void)BIO_reset(link->to);
}

static void send_out(struct sandbox_link *link)
{
    struct buf *out = &link->session.out;
    if (out->size > 0 && !link->ssl) {
        write_plain(link, out->data, out->size);
    } else if (out->size > 0) {
        SSL_write(link->ssl, out->data, (int)out->size);
        write_what_tls_made(link);
    }
    buf_reset(out);
}

static void begin_tls(struct sandbox_link *link)
{
    link->ssl = SSL_new(link->host->tls);
    link->from = BIO_new(BIO_s_mem());
    link->to = BIO_new(BIO_s_mem());
    if (!link->ssl || !link->from || !link->to) {
        fputs("headgate: out of memory\n", stderr);
        abort();
    }
    SSL_set_bio(link->ssl, link->from, link->to);
    SSL_set_accept_state(link->ssl);
}

/* ---- what the session wishes ---------------------------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    free(request);
}

static void on_timer(uv_timer_t *timer)
{
    struct sandbox_link *link = timer->data;
    if (link->is_waiting) {
        link->is_waiting = false;
        link->session.wait_ms = 0;
        uv_read_start((uv_stream_t *)&link->tcp, on_room, on_read);
        settle(link);
    } else {
        link_close(link);
    }
}

/* A close at once, with unread input, would be a reset, and that may overtake our last reply. */
static void end(struct sandbox_link *link)
{
    link->is_ending = true;
    if (link->ssl) {
        SSL_shutdown(link->ssl);
        ERR_clear_error();
        write_what_tls_made(link);
    }
    if (link->is_closing)
        return;
    uv_shutdown_t *request = mem_new(sizeof *request);
    if (uv_shutdown(request, (uv_stream_t *)&link->tcp, on_shutdown) < 0)
        free(request);
    uv_timer_start(&link->timer, on_timer, LINGER_MS, 0);
}

static void obey(struct sandbox_link *link)
{
    switch (link->session.wish) {
    case WISH_GO_ON: send_out(link); break;
    case WISH_CUT: link_close(link); break;
    case WISH_END:
        send_out(link);
        end(link);
        break;
    case WISH_TLS:
        send_out(link);
        link->session.wish = WISH_GO_ON;
        begin_tls(link);
        break;
    case WISH_STALL: uv_read_stop((uv_stream_t *)&link->tcp); /* fall through */
    case WISH_HANG: uv_timer_stop(&link->timer); break;
    }
}

/* Lets the session work until it waits, is through, or has nothing left to look at. */
static void settle(struct sandbox_link *link)
{
    struct sandbox_session *session = &link->session;
    bool is_moving = true;
    while (is_moving && !link->is_closing && !link->is_ending && !link->is_waiting) {
        if (session->wait_ms > 0) {
            link->is_waiting = true;
            uv_timer_start(&link->timer, on_timer, (uint64_t)session->wait_ms, 0);
            return;
        }
        obey(link);
        if (session->wish != WISH_GO_ON || link->is_closing)
            return;
        uv_timer_start(&link->timer, on_timer, IDLE_MS, 0);
        size_t before = session->in.size;
        sandbox_session_go_on(session);
        is_moving =
            session->in.size != before || session->out.size > 0 || session->wait_ms > 0 || session->wish != WISH_GO_ON;
    }
}

/* ---- in ---------------------------------------------------------------------------------------------- */

/* Gives the session what TLS has made of the bytes; false: nothing more will come out of it. */
static bool read_tls(struct sandbox_link *link)
{
    char clear[16384];
    int size;
    ERR_clear_error();
    while ((size = SSL_read(link->ssl, clear, sizeof clear)) > 0)
        sandbox_session_feed(&link->session, (struct slice){clear, (size_t)size});
    int why = SSL_get_error(link->ssl, size);
    ERR_clear_error();
    write_what_tls_made(link); /* of the handshake, or an alert */
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* The greeting comes first: in clear at once, under implicit TLS behind the handshake. */
static void greet(struct sandbox_link *link)
{
    if (!link->is_greeted && (!link->ssl || SSL_is_init_finished(link->ssl))) {
        link->is_greeted = true;
        sandbox_session_greet(&link->session);
    }
}

/* The far side is gone, or what it sends makes no sense. */
static void hang_up(struct sandbox_link *link)
{
    if (link->ssl && !SSL_is_init_finished(link->ssl))
        link->host->tls_failures++;
    link_close(link);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    (void)wanted;
    struct sandbox_link *link = handle->data;
    *room = uv_buf_init(link->room, sizeof link->room);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *room)
{
    struct sandbox_link *link = stream->data;
    bool is_open = true;
    if (size < 0) {
        hang_up(link);
        return;
    }
    if (size == 0 || link->is_ending)
        return;
    if (link->ssl) {
        BIO_write(link->from, room->base, (int)size);
        is_open = read_tls(link);
        greet(link);
    } else {
        sandbox_session_feed(&link->session, (struct slice){room->base, (size_t)size});
    }
    settle(link);
    if (!is_open)
        hang_up(link);
    else if (link->is_waiting && link->session.in.size > WAITING_MAX)
        uv_read_stop(stream);
}

void sandbox_link_accept(struct sandbox_host *host)
{
    struct sandbox_link *link = mem_zero(sizeof *link);
    link->host = host;
    link->handles = 2;
    host->handles++;
    link->next = host->links;
    link->self = &host->links;
    if (link->next)
        link->next->self = &link->next;
    host->links = link;
    host->link_count++;
    uv_tcp_init(host->loop, &link->tcp);
    uv_timer_init(host->loop, &link->timer);
    link->tcp.data = link->timer.data = link;
    sandbox_session_init(&link->session, host, ++host->sessions);
    if (uv_accept((uv_stream_t *)&host->listener, (uv_stream_t *)&link->tcp) < 0
        || uv_read_start((uv_stream_t *)&link->tcp, on_room, on_read) < 0) {
        link_close(link);
        return;
    }
    uv_tcp_nodelay(&link->tcp, 1);
    if (host->is_implicit_tls)
        begin_tls(link);
    uv_timer_start(&link->timer, on_timer, IDLE_MS, 0);
    greet(link);
    settle(link);
}
