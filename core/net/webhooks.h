/* webhooks.h - the door for what other systems send us: one HTTP server for each node, with a route for each source
 *
 *     request ─► route? method? size? proof? rate? ─► arrived(call) ─► events ─► webhook_ack ─────► 200
 *                  404    405     413   401   429                              └► webhook_put_back ► 503, Retry-After
 *
 * Nothing is answered 2xx before all that the request caused is on disk.  A client that went away meanwhile is not
 * answered, but what it sent counts: it will send it again, and the repeat is known by its id.
 *
 * For an adapter that takes webhooks: its `listen` calls webhook_open, its `silence` webhook_close; `arrived` makes
 * events whose `token` is webhook_token(call), says webhook_expect(call, how many) and then hands them over; its `ack`
 * and `put_back` pass the event's token on.  It sets `stays_open`, so that a closed gate is answered 503, not 404. */
#ifndef HEADGATE_NET_WEBHOOKS_H
#define HEADGATE_NET_WEBHOOKS_H

#include "core/net/proof.h"
#include "core/net/server.h"

#define WEBHOOK_PATH_MAX 1000

struct webhooks;     /* the server; NULL: headgate.yaml has no `webhooks:` */
struct webhook;      /* one route */
struct webhook_call; /* one request of a route, until it is answered */

struct webhooks_options {
    const char *host;  /* "127.0.0.1" */
    int port;          /* 0: any free one */
    size_t body_limit; /* bytes, of every route */
};

struct webhooks *webhooks_open(uv_loop_t *loop, const struct webhooks_options *options, struct err *err);
/* Calls that are not answered are cut; nobody may answer them any more. */
void webhooks_close(struct webhooks *webhooks);
int webhooks_port(const struct webhooks *webhooks);
/* How requests were answered since the start: for each source that ever had a route, every status that there can be,
 * and 404 for "" and "". */
typedef void webhooks_count(void *context, const char *connection, const char *flow, int status, uint64_t count);
void webhooks_each_count(const struct webhooks *webhooks, webhooks_count *each, void *context);

struct webhook_options {
    const char *connection;    /* whose it is; copied */
    const char *flow;          /* likewise */
    const char *path;          /* "/shop/orders", without a slash at its end; copied; NULL: /hooks/CONNECTION/FLOW */
    const char *methods;       /* "POST" or "POST PUT"; a constant */
    const struct proof *proof; /* lent while the route is open; NULL: webhook_open refuses */
    int64_t body_limit;        /* bytes */
    int64_t rate_per_day;      /* requests that are proven; 0: no limit */
    bool shakes_hands;         /* answers OPTIONS as the webhook specification of CloudEvents wants it */
    /* A complete and proven request.  It is answered by webhook_refuse, or once all of its events are. */
    void (*arrived)(struct webhook_call *call, void *context);
    void *context; /* of `arrived` */
};

/* Fails with a sentence if there is no listener (`webhooks` NULL), the path is not one, or somebody has it already. */
struct webhook *webhook_open(struct webhooks *webhooks, const struct webhook_options *options, struct err *err);
/* New requests get 404; those under way may still be answered.  NULL is fine. */
void webhook_close(struct webhook *webhook);
/* "POST http://127.0.0.1:8281/hooks/...", for source_says; added to `out`. */
bool webhook_describe(const struct webhook *webhook, struct buf *out);

const struct request *webhook_request(const struct webhook_call *call);
/* Ends the call: 400, 415, 422, ...  `format`: one sentence for whoever sent it. */
void webhook_refuse(struct webhook_call *call, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* So many events are made of it; 0: there is nothing in it, and that is answered 200.  With the last of them the call
 * is gone, perhaps before source_event has returned. */
void webhook_expect(struct webhook_call *call, unsigned events);
uint64_t webhook_token(const struct webhook_call *call);
void webhook_ack(uint64_t token);
void webhook_put_back(uint64_t token);
/* While flows are loaded, or connections opened anew, a path without a route is answered 503 instead of 404: many
 * senders give up for good on 404. */
void webhooks_unsettled(struct webhooks *webhooks, bool is_unsettled);
/* Nobody will answer the events of this connection any more: what is under way is told to come again. */
void webhooks_give_up(struct webhooks *webhooks, const char *connection);

#endif
