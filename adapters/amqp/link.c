/* link.c - bytes over TCP or TLS, on a socket that never blocks
 *
 * Opening may wait (resolver, connect, TLS handshake), each part for a few seconds; it runs on a thread whose
 * only work is waiting, and looks ten times a second whether it is to stop.  Over TLS the broker is always
 * verified: its certificate must come from a known CA and name the host, or the IP address, of the url. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#define WAIT_NS 5000000000LL   /* for a connect, and for a TLS handshake */
#define USER_TIMEOUT_MS 20000u /* the kernel gives a link up when what we sent was not acknowledged for so long */

static bool wait_for(int fd, short events, int64_t until_ns, const atomic_bool *stop, struct err *err)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        if (poll(&poll_fd, 1, 100) > 0)
            return true;
        if (atomic_load(stop))
            return err_set(err, "told to stop");
        if (clock_mono_ns() > until_ns)
            return err_set(err, "no answer within %d s", (int)(WAIT_NS / 1000000000));
    }
}

static bool connect_to(struct rabbit_link *link, const struct addrinfo *to, const atomic_bool *stop, struct err *err)
{
    link->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return err_set(err, "no socket: %s", strerror(errno));
    int on = 1;
    unsigned user_timeout_ms = USER_TIMEOUT_MS;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* whole batches are written at once */
    setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);

    bool ok = true;
    if (connect(link->fd, to->ai_addr, to->ai_addrlen) != 0) {
        int error = errno;
        socklen_t size = sizeof error;
        if (error == EINPROGRESS) {
            ok = wait_for(link->fd, POLLOUT, clock_mono_ns() + WAIT_NS, stop, err);
            if (ok && getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
                error = errno;
        }
        ok = ok && (error == 0 || err_set(err, "%s", strerror(error)));
    }
    if (!ok)
        rabbit_link_close(link);
    return ok;
}

static bool connect_any(struct rabbit_link *link, const struct rabbit_address *address, const atomic_bool *stop,
                        struct err *err)
{
    char port[8];
    snprintf(port, sizeof port, "%d", address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV}, *all = NULL;
    int status = getaddrinfo(address->host, port, &hints, &all);
    if (status != 0)
        return err_set(err, "the host name cannot be resolved: %s", gai_strerror(status));
    bool ok = false;
    for (struct addrinfo *one = all; one && !ok && !atomic_load(stop); one = one->ai_next)
        ok = connect_to(link, one, stop, err);
    freeaddrinfo(all);
    return ok;
}

/* Why TLS failed, from OpenSSL's queue: the first entry is the cause, the others say what it spoiled. */
static bool tls_error(struct err *err, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    ERR_clear_error();
    return err_set(err, "%s: %s", what, reason ? reason : errno ? strerror(errno) : "unexpected end");
}

static SSL_CTX *tls_context(const struct rabbit_setup *setup, struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return tls_error(err, "TLS"), NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    bool ok = true;
    if (!(setup->ca ? SSL_CTX_load_verify_locations(context, setup->ca, NULL)
                    : SSL_CTX_set_default_verify_paths(context)))
        ok = tls_error(err, setup->ca ? setup->ca : "the system's CA certificates");
    if (ok && setup->certificate && !SSL_CTX_use_certificate_chain_file(context, setup->certificate))
        ok = tls_error(err, setup->certificate);
    if (ok && setup->certificate
        && (!SSL_CTX_use_PrivateKey_file(context, setup->certificate_key, SSL_FILETYPE_PEM)
            || !SSL_CTX_check_private_key(context)))
        ok = tls_error(err, setup->certificate_key);
    if (!ok) {
        SSL_CTX_free(context);
        context = NULL;
    }
    return context;
}

static bool tls_expect(SSL *ssl, const char *host)
{
    unsigned char ip[16];
    if (inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    return SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host);
}

static bool tls_handshake(struct rabbit_link *link, const atomic_bool *stop, struct err *err)
{
    int64_t until_ns = clock_mono_ns() + WAIT_NS;
    for (;;) {
        errno = 0;
        int status = SSL_connect(link->ssl);
        if (status == 1)
            return true;
        int want = SSL_get_error(link->ssl, status);
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE) {
            long verdict = SSL_get_verify_result(link->ssl);
            if (verdict == X509_V_OK)
                return tls_error(err, "TLS handshake");
            ERR_clear_error();
            return err_set(err, "the broker's certificate is not accepted: %s", X509_verify_cert_error_string(verdict));
        }
        if (!wait_for(link->fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ns, stop, err))
            return err_wrap(err, "TLS handshake");
    }
}

bool rabbit_link_open(struct rabbit_link *link, const struct rabbit_setup *setup, const atomic_bool *stop,
                      struct err *err)
{
    *link = (struct rabbit_link){.fd = -1};
    if (!connect_any(link, &setup->address, stop, err))
        return false;
    if (!setup->address.is_tls)
        return true;

    SSL_CTX *context = tls_context(setup, err);
    link->ssl = context ? SSL_new(context) : NULL;
    SSL_CTX_free(context); /* the SSL object holds it */
    bool ok = link->ssl && SSL_set_fd(link->ssl, link->fd) && tls_expect(link->ssl, setup->address.host)
              && tls_handshake(link, stop, err);
    if (!ok)
        rabbit_link_close(link);
    return ok;
}

void rabbit_link_close(struct rabbit_link *link)
{
    if (link->ssl) {
        SSL_shutdown(link->ssl); /* says goodbye if that goes without waiting */
        ERR_clear_error();
        SSL_free(link->ssl);
    }
    if (link->fd >= 0)
        close(link->fd);
    *link = (struct rabbit_link){.fd = -1};
}

/* What OpenSSL's answer means for us. */
static ssize_t tls_moved(struct rabbit_link *link, int status, struct err *err)
{
    if (status > 0)
        return status;
    int error = SSL_get_error(link->ssl, status);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN)
        err_set(err, "closed by the broker");
    else
        tls_error(err, "TLS");
    return -1;
}

ssize_t rabbit_link_read(struct rabbit_link *link, void *data, size_t size, struct err *err)
{
    errno = 0;
    if (link->ssl)
        return tls_moved(link, SSL_read(link->ssl, data, (int)size), err);
    ssize_t got = recv(link->fd, data, size, 0);
    if (got > 0)
        return got;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    err_set(err, "%s", got == 0 ? "closed by the broker" : strerror(errno));
    return -1;
}

ssize_t rabbit_link_write(struct rabbit_link *link, const void *data, size_t size, struct err *err)
{
    errno = 0;
    if (link->ssl)
        return tls_moved(link, SSL_write(link->ssl, data, size > 1 << 20 ? 1 << 20 : (int)size), err);
    ssize_t put = send(link->fd, data, size, MSG_NOSIGNAL);
    if (put >= 0)
        return put;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    err_set(err, "%s", strerror(errno));
    return -1;
}
