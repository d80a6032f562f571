/* listener.c - see listener.h
 *
 * The file of a Unix socket outlives a process that was killed.  Whether somebody is behind it,
 * only connecting tells: a refused connection means that nobody listens, and then the file goes. */
#include "core/net/listener.h"

#include "core/base/buf.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static int listen_at(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

bool listener_tcp(struct listener *listener, const char *host, int port, struct err *err)
{
    *listener = (struct listener){.fd = -1};
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int status = getaddrinfo(host, service, &hints, &found);
    if (status != 0)
        return err_set(err, "listen on %s: %s", host, gai_strerror(status));
    for (const struct addrinfo *at = found; at && listener->fd < 0; at = at->ai_next)
        listener->fd = listen_at(at);
    int reason = errno;
    freeaddrinfo(found);
    if (listener->fd < 0)
        return err_set(err, "listen on %s port %d: %s", host, port, strerror(reason));
    listener->port = port_of(listener->fd);
    return true;
}

/* Removes what a dead process left at `address`. */
static bool make_way(const struct sockaddr_un *address, struct err *err)
{
    struct stat there;
    if (lstat(address->sun_path, &there) != 0)
        return errno == ENOENT || err_set(err, "%s", strerror(errno));
    if (!S_ISSOCK(there.st_mode))
        return err_set(err, "there is a file that is not a socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, "%s", strerror(errno));
    int status = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int reason = errno;
    close(fd);
    if (status == 0 || reason == EAGAIN)
        return err_set(err, "another process is listening there");
    if (reason != ECONNREFUSED)
        return err_set(err, "%s", strerror(reason));
    return unlink(address->sun_path) == 0 || err_set(err, "%s", strerror(errno));
}

static bool set_path(struct sockaddr_un *address, const char *path, struct err *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path)
        return err_set(err, "the path is longer than %zu bytes", sizeof address->sun_path - 1);
    strcpy(address->sun_path, path);
    return true;
}

bool listener_unix(struct listener *listener, const char *path, struct err *err)
{
    *listener = (struct listener){.fd = -1};
    struct sockaddr_un address;
    if (!set_path(&address, path, err) || !make_way(&address, err))
        return err_wrap(err, "listen on %s", path);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* On Linux the file gets the socket's own mode, so there is no moment at which others could connect. */
    if (fd < 0 || fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0
        || chmod(path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
        err_set(err, "listen on %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    *listener = (struct listener){.fd = fd, .path = mem_text(path)};
    return true;
}

void listener_clear(struct listener *listener)
{
    struct sockaddr_un address;
    struct err ignored = ERR_INIT; /* a file that stays is replaced at the next start */
    if (listener->path && set_path(&address, listener->path, &ignored))
        make_way(&address, &ignored);
    free(listener->path);
    *listener = (struct listener){.fd = -1};
}
