/* http.h - HTTP requests on the loop thread (libcurl's multi interface driven by libuv)
 *
 * Never blocks.  No redirects, no proxies from the environment, HTTP/1.1, TLS verified.
 * A request that may not be repeated is sent on a fresh connection, because libcurl re-sends by
 * itself when a reused connection dies before the first answer byte. */
#ifndef HEADGATE_NET_HTTP_H
#define HEADGATE_NET_HTTP_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <uv.h>

struct http;       /* one for each connection of an adapter */
struct http_reply; /* lent to the callback */

/* Where requests may go: judged by the address that is really connected to, after its name was looked up. */
enum http_reach {
    HTTP_ANYWHERE,
    HTTP_PUBLIC,  /* no loopback, private, link-local, ... addresses (see address.h) */
    HTTP_PRIVATE, /* only these: for plain http:// inside of a house */
};

struct http_options {
    unsigned connections;    /* at most so many at once; more wait their turn; 0: 5 */
    long connect_timeout_ms; /* 0: 10 s */
    const char *ca_file;     /* NULL: the system's */
    const char *cert_file;   /* PEM: our own certificate, where the far side wants one; NULL: none */
    const char *key_file;    /* PEM: its key; NULL: it is in cert_file */
    enum http_reach reach;
    const char *socket; /* path of a Unix socket to connect to, whatever the URL's host; or NULL */
};

struct http_request {
    const char *method;         /* "GET", "POST", ... */
    const char *url;            /* copied */
    const char *const *headers; /* "Name: value", ends with NULL; copied; control characters refused; or NULL */
    struct slice body;          /* copied */
    long timeout_ms;            /* whole exchange, from when its turn has come; 0: 30 s */
    size_t reply_limit;         /* bytes of the answer's body; 0: 1 MiB */
    bool is_idempotent;         /* may be repeated without harm */
};

/* What came of it.  `sent`: false when surely nothing reached the far side (no connection, no TLS). */
struct http_reply {
    int status; /* 0: no answer, or not all of it */
    bool sent;
    struct slice body;
    const char *failure;       /* why there is no answer, for a person; NULL where there is one */
    const struct buf *headers; /* "name: value\n" with lower-case names */
};

struct http *http_open(uv_loop_t *loop, const struct http_options *options, struct err *err);
/* Requests under way end without a call back.  The memory goes when the loop has run once more. */
void http_close(struct http *http);
/* Always calls back, once, never before it has returned. */
void http_send(struct http *http, const struct http_request *request,
               void (*done)(const struct http_reply *reply, void *context), void *context);
/* The value of a header of the reply, trimmed; SLICE_NONE where there is none.  `name` in lower case. */
struct slice http_header(const struct http_reply *reply, const char *name);
/* Adds `text` percent-encoded as one path segment or query value (RFC 3986 unreserved characters stay). */
bool http_escape(struct buf *out, struct slice text);
/* May a base URL be used: https, or http to this very machine; no user, query or fragment in it. */
bool http_check_base(const char *url, struct err *err);
/* The same for a base with a stated reach: plain http is for HTTP_PRIVATE, and an address that is written in the URL
 * must be within reach. */
bool http_check_reach(const char *url, enum http_reach reach, struct err *err);

#endif
