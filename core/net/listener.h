/* listener.h - a listening socket: TCP on one given address, or a Unix socket for one user */
#ifndef HEADGATE_NET_LISTENER_H
#define HEADGATE_NET_LISTENER_H

#include "core/base/err.h"

struct listener {
    int fd;     /* non-blocking, listening */
    int port;   /* of TCP; 0 for a Unix socket */
    char *path; /* of a Unix socket, owned; NULL for TCP */
};

/* Binds to `host` and to nothing else; port 0: any free one. */
bool listener_tcp(struct listener *listener, const char *host, int port, struct err *err);
/* Makes the socket file, mode 0600.  The file of a dead process is replaced, that of a living one is refused. */
bool listener_unix(struct listener *listener, const char *path, struct err *err);
/* Once the fd is closed, by whoever took it: removes the socket file, unless somebody else listens there by now. */
void listener_clear(struct listener *listener);

#endif
