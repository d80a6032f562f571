/* server_internal.h - what server.c and request.c share */
#ifndef HEADGATE_NET_SERVER_INTERNAL_H
#define HEADGATE_NET_SERVER_INTERNAL_H

#include "core/net/listener.h"
#include "core/net/server.h"

#include <microhttpd.h>
#include <sys/queue.h>

#define NO_UID ((unsigned)-1)

/* One client's connection. */
struct peer {
    LIST_ENTRY(peer) link;
    int fd;               /* libmicrohttpd's */
    unsigned uid;         /* of a Unix socket's peer */
    int64_t since_ns;     /* when the present phase began */
    bool is_with_handler; /* no limit: the handler keeps its own */
};

struct request {
    struct server *server;             /* NULL once libmicrohttpd is through with it */
    struct MHD_Connection *connection; /* NULL likewise */
    struct peer *peer;                 /* NULL likewise */
    LIST_ENTRY(request) link;
    char *method, *path, *raw_path;
    char *user;        /* as the handler has found out; NULL: not set */
    struct buf values; /* 'h' or 'q', name, zero, value, zero; again and again */
    struct buf body;
    struct buf headers; /* of the reply: name, zero, value, zero; again and again */
    struct MHD_Response *reply;
    int status;           /* of the reply */
    bool was_seen;        /* the first call of on_request is over */
    bool was_complete;    /* it was answered or given to the handler */
    bool is_suspended;    /* libmicrohttpd leaves the connection alone */
    bool is_with_handler; /* it has not replied yet */
    bool is_cut;          /* instead of a reply */
};

struct server {
    uv_loop_t *loop;
    uv_poll_t poll;   /* libmicrohttpd's epoll set */
    uv_timer_t wake;  /* when libmicrohttpd wants to be called without a socket being ready */
    uv_timer_t sweep; /* looks for slow clients; runs while there is any client */
    int open_handles; /* of the three above */
    struct MHD_Daemon *daemon;
    struct listener listener;
    server_handler handler;
    void *context;       /* of the handler */
    size_t body_limit;   /* bytes */
    int64_t patience_ns; /* for one phase of a request */
    LIST_HEAD(peers, peer) peers;
    LIST_HEAD(requests, request) requests;
    bool is_driving; /* we are called by libmicrohttpd */
    bool is_closing;
};

/* Makes the reply; libmicrohttpd gets it when it asks. */
void request_answer(struct request *request, int status, const char *content_type, struct slice body);
void request_free(struct request *request);
/* Lets libmicrohttpd work on the next round of the loop. */
void server_wake(struct server *server);

#endif
