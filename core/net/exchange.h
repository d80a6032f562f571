/* exchange.h - one request and what comes back for it; private to http.c */
#ifndef HEADGATE_NET_EXCHANGE_H
#define HEADGATE_NET_EXCHANGE_H

#include "core/net/address.h"
#include "core/net/http.h"

#include <curl/curl.h>
#include <sys/queue.h>

struct exchange {
    TAILQ_ENTRY(exchange) link;
    CURL *easy;
    struct curl_slist *request_headers;
    char *method, *url, *body; /* owned; `body` is read by libcurl while it sends */
    size_t body_size;
    long timeout_ms;
    bool is_idempotent;
    bool was_repeated; /* by us, on a fresh connection */
    bool is_too_large; /* the answer */
    enum http_reach reach;
    char out_of_reach[ADDRESS_TEXT_MAX]; /* an address that was not connected to; "": none */
    struct buf headers;                  /* of the answer */
    struct buf reply;                    /* body of the answer */
    char *refusal;                       /* why it cannot be sent at all; NULL: it can */
    char reason[CURL_ERROR_SIZE];
    void (*done)(const struct http_reply *reply, void *context);
    void *context; /* of `done` */
};

TAILQ_HEAD(exchanges, exchange);

/* Its `easy` is ready for libcurl, but for what all requests of one `http` have in common. */
struct exchange *exchange_new(const struct http_request *request,
                              void (*done)(const struct http_reply *reply, void *context), void *context);
void exchange_free(struct exchange *exchange);
/* Makes it ready to be sent once more, on a fresh connection, if that can do no harm and may help. */
bool exchange_repeats(struct exchange *exchange, CURLcode code);
/* Says what came of it to whoever sent it. */
void exchange_call_back(struct exchange *exchange, CURLcode code);

#endif
