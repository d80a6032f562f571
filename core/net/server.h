/* server.h - an HTTP server on the loop thread (libmicrohttpd driven by libuv)
 *
 * Used by the admin API and the simulators.  The handler is called once a request is complete
 * (its body included, up to the limit; beyond it the server answers 413 by itself) and must reply
 * exactly once: at once, or later from the loop thread. */
#ifndef HEADGATE_NET_SERVER_H
#define HEADGATE_NET_SERVER_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <uv.h>

struct server;
struct request;

struct server_options {
    const char *host;     /* "127.0.0.1"; NULL with `socket` */
    int port;             /* 0: any free one, see server_port */
    const char *socket;   /* path of a Unix socket, made mode 0600; only our own user and root are answered; or NULL */
    size_t body_limit;    /* bytes; 0: 1 MiB */
    unsigned connections; /* at once; 0: 100 */
    unsigned idle_timeout_s; /* 0: 30; a request that is not complete within twice that is cut, however busy */
};

typedef void (*server_handler)(struct request *request, void *context);

struct server *server_open(uv_loop_t *loop, const struct server_options *options, server_handler handler, void *context,
                           struct err *err);
/* Open requests are cut; whoever holds one still ends it.  The memory goes when the loop has run once more. */
void server_close(struct server *server);
int server_port(const struct server *server);

/* Lent until the reply. */
const char *request_method(const struct request *request);
const char *request_path(const struct request *request);                     /* percent-decoded, without the query */
const char *request_raw_path(const struct request *request);                 /* as it was sent, without the query */
const char *request_header(const struct request *request, const char *name); /* any case; NULL: none */
const char *request_query(const struct request *request, const char *name);  /* decoded; NULL: none */
/* Calls for each header, or for each pair of the query, in the order they came. */
typedef void request_pair(void *context, const char *name, const char *value);
void request_each_header(const struct request *request, request_pair *each, void *context);
void request_each_query(const struct request *request, request_pair *each, void *context);
struct slice request_body(const struct request *request);
unsigned request_peer_uid(const struct request *request); /* of a Unix socket's peer; (unsigned)-1 on TCP */

/* Who asks, as the handler has found out: kept until the reply. */
void request_set_user(struct request *request, const char *name);
const char *request_user(const struct request *request); /* NULL: not set */

/* Header of the coming reply; before request_reply. */
void request_reply_header(struct request *request, const char *name, const char *value);
/* Ends the request.  Copies `body`. */
void request_reply(struct request *request, int status, const char *content_type, struct slice body);
/* Cuts the connection without an answer: for simulators that play a broken network. */
void request_cut(struct request *request);
/* The request's connection is gone or was cut; the pointer stays valid until request_reply or request_cut. */
bool request_is_gone(const struct request *request);

#endif
