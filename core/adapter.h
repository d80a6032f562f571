/* adapter.h - how Headgate talks to an outside system: all that an adapter needs to know of it
 *
 * An adapter is a table (at the end).  `core/` calls what stands in it; the adapter answers by the
 * functions below it.  Everything here runs on the loop thread; no function of an adapter blocks.
 * What it gathers to send in one batch it may send from a uv_prepare_t that its `open` starts: core's own work before
 * the loop waits is done by then.  What can only be done by blocking is done on a thread of the adapter's own that
 * talks to the loop thread by mailboxes (core/base/mailbox.h).
 *
 *     events in                                      effects out
 *     listen(source) ──► source_event(event)         deliver(delivery) ──► delivery_done | _later |
 *     ack(event)     ◄── all it caused is on disk                          _never | _unknown, once
 *
 * Trouble at the far side is a verdict or a state, not an error:
 *
 *     done      the far side has it
 *     later     not now: try again after a while
 *     never     the far side refuses this very content, or it is impossible: a person must look
 *     unknown   it was sent and no answer came: it may have arrived
 */
#ifndef HEADGATE_CORE_ADAPTER_H
#define HEADGATE_CORE_ADAPTER_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mailbox.h"
#include "core/base/option.h"
#include "core/base/record.h"
#include "core/base/settings.h"

#include <uv.h>

#define NAME_MAX_BYTES 64          /* of a flow, connection, rule, step */
#define KEY_MAX_BYTES 200          /* of an event's id and key */
#define EFFECT_ID_SIZE 25          /* 24 hex digits and a zero */
#define BODY_MAX_DEFAULT (1 << 20) /* bytes of an event's body */

struct adapter;
struct lane;
struct flow;
struct limits;
struct webhooks;

/* One configured link to an outside system.  Made and freed by core. */
struct connection {
    const char *name;        /* as in headgate.yaml */
    const char *environment; /* of this node, as in headgate.yaml */
    const struct adapter *adapter;
    const struct settings *settings; /* checked against adapter->options */
    uv_loop_t *loop;
    const struct verb *verbs;  /* NULL: the adapter's; `open` may put others of the same names here, where the
                                  configuration decides what is idempotent */
    struct webhooks *webhooks; /* the node's listener (core/net/webhooks.h); NULL: headgate.yaml has none */
    void *state;               /* the adapter's own, from open to close */
    bool is_open;              /* core's: between open and close */
    bool is_closing;           /* core's: what is under way may end, nothing is begun; then it is closed */
    unsigned opening;          /* core's: how often it was opened; an event of an earlier time is not answered */
    unsigned questions;        /* core's: that wait for their answer */
    struct lane *lane;         /* core's */
    const struct limits *fuse; /* core's: how much is too much for it; NULL: nothing is */
};

enum connection_state { CONNECTION_IDLE, CONNECTION_UP, CONNECTION_DOWN };
/* Says how the link is; logged and shown when it changes.  `format`: why, without secrets. */
void connection_says(struct connection *connection, enum connection_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sends nothing more through this connection for `pause_ms`: the far side wants less, or our key is wrong. */
void connection_pause(struct connection *connection, int64_t pause_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The far side says that it allows `calls` more, and from `reset_ms` (ms since 1970; 0: it does not say) on again as
 * many as it likes: obeyed and shown.  Call it before the delivery is answered whose answer said so. */
void connection_allows(struct connection *connection, int64_t calls, int64_t reset_ms);

/* ---- events in ------------------------------------------------------------------------- */

/* One flow's claim on what a connection delivers.  Made and freed by core; after `silence` it may be freed. */
struct source {
    struct connection *connection;
    const char *flow;                /* name of the flow, used to name its queue */
    const struct settings *settings; /* what stands below the connection in the flow's `on:` */
    int64_t body_limit;              /* bytes; a larger body is delivered with `oversize` set */
    bool declared_before;            /* a queue of this name was declared by this node earlier */
    struct slice memory;             /* what the adapter put by source_remember, from the store */
    void *state;                     /* the adapter's own, from listen to silence */
    struct flow *owner;              /* core's */
};

/* One event as a source delivered it; one allocation, freed by event_free.
 * Fields of `record` (all optional but body):
 *   body          text     the bytes as they came
 *   content_type  text
 *   headers       json     table of the message's headers
 *   properties    json     what else the source says of the message (message_id, type, routing_key, ...)
 *   time_ms       integer  when it happened or was sent, if the source tells
 *   oversize      boolean  the body is larger than the source's limit
 *   late_ms       integer  how late it is, where the source knows when it should have been: event.late_by
 * Core adds fields of its own (core/flow/continuation.h): an adapter names none id, key or cause. */
struct event {
    struct mail mail;      /* to cross threads */
    struct source *source; /* NULL for one that comes from the store */
    uint64_t epoch;        /* the adapter's: which session, say */
    uint64_t token;        /* the adapter's: what to acknowledge */
    int64_t received_ms;
    unsigned opening;    /* core's: of its connection, when it came */
    bool is_redelivered; /* the source says it may have delivered this before */
    struct slice record; /* behind this struct */
};

struct event *event_new(struct slice record); /* copies the record; any thread */
void event_free(struct event *event);

/* Hands an event over; it is answered by ack or put_back, once, then freed by core. */
void source_event(struct source *source, struct event *event);
enum source_state { SOURCE_STARTING, SOURCE_LISTENING, SOURCE_WAITING, SOURCE_REFUSED };
/* How the source is.  REFUSED: it will not listen until a person changes something (the adapter may look again). */
void source_says(struct source *source, enum source_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts `memory` to disk for this source (which queue was declared, with which bindings), then calls done(source). */
void source_remember(struct source *source, struct slice memory, void (*done)(struct source *source));

/* ---- effects: asked for by a flow, stored, delivered ------------------------------------ */

/* A write that a flow just asked for: on the way into the outbox. */
struct ask {
    struct connection *connection;
    const struct verb *verb;
    const char *flow;      /* name of the flow */
    const char *effect_id; /* stable for this event, step and position */
    int64_t now_ms;        /* when the run began: use it, not the clock, so that running again gives the same bytes */
    struct slice fields;   /* record, checked against verb->fields */
    /* A file of the flow's folder ("templates/offline.de.txt"), lent; false if the release has none of that name. */
    bool (*file)(const struct ask *ask, const char *path, struct slice *content);
    /* Names of the flow's files that begin with `prefix`, comma-separated, for a helpful error. */
    void (*list)(const struct ask *ask, const char *prefix, struct buf *names);
    void *context; /* core's */
};

struct verb {
    const char *name;
    const char *summary;         /* one line for `headgate adapters` and the editor types */
    const struct option *fields; /* what the table in Lua may say */
    bool is_idempotent;          /* sending it twice is the same as once */
    /* The field that names the person whom it reaches, in what the flow says and in what is stored.  NULL: it reaches
     * nobody in particular.  Else core can keep a list of recipients who are not written to any more. */
    const char *recipient_field;
    /* The field that names the job in whose course it is asked for: then one recipient gets one of them, for ever, and
     * `recipient_field` may be a list of recipients.  NULL: there is no such thing. */
    const char *campaign_field;
    /* Adds the form under which a recipient is recognised again.  False: it is none.  NULL: as it is written. */
    bool (*canonical)(struct slice recipient, struct buf *out, struct err *err);
    /* Checks and builds what is stored, from ask->fields into `out` (a record): so that every attempt sends the
     * same bytes.  An error fails the flow's step.  NULL: the fields are stored as they are. */
    bool (*prepare)(const struct ask *ask, struct buf *out, struct err *err);
    /* How many may go in one call, by the adapter's deliver_batch; 0: each goes alone, by deliver.  A batch never holds
     * two effects of one key: one might fail and the later one not. */
    unsigned batch_most;
    /* Whether `other` may be in one batch with `first` (both as stored); NULL: any of this verb. */
    bool (*goes_with)(struct slice first, struct slice other);
    /* Whether one write does for an `earlier` one that still waits and the `later` one behind it, of the same key and
     * verb; then `out` is to become that write (of the same target, say: the later one, with what only the earlier one
     * said).  The earlier one is superseded: it has a receipt that names the later one, and counts.  NULL: never. */
    bool (*merge)(struct slice earlier, struct slice later, struct buf *out);
};

/* One effect that is due.  Lent to the adapter until it answers, exactly once, on the loop thread. */
struct delivery {
    struct connection *connection;
    const struct verb *verb;
    const char *effect_id;
    const char *flow;
    struct slice key;    /* effects of one key are delivered one after another */
    struct slice fields; /* record, as stored */
    unsigned attempt;    /* 1, 2, ... */
    int64_t asked_ms;    /* when the flow asked */
    void *state;         /* the adapter's own */
};

/* `format`: what the far side said, for trace and held; cut to 500 bytes, control characters removed. */
void delivery_done(struct delivery *delivery, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with what the far side gave back (the id of a new record, say), as JSON of at most 64 KiB: a flow that
 * asked for the outcome by `next` finds it in event.result.data.  Larger, it is left out. */
void delivery_done_with(struct delivery *delivery, struct slice json, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Again after `wait_ms`, or after core's own backoff (exponential, full jitter) when 0. */
void delivery_later(struct delivery *delivery, int64_t wait_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void delivery_never(struct delivery *delivery, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As never; and nothing is to be sent to this recipient any more: there is none of that name, say. */
void delivery_never_again(struct delivery *delivery, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is known of a delivery that was sent and not answered, for the person who must decide. */
struct delivery_known {
    int64_t sent_bytes, whole_bytes; /* how many of how many were sent; 0 and 0: that is not known */
    const char *phase;               /* how far it came: "the message", say; NULL: that is not known */
    const char *last_reply;          /* what the far side said last, about whatever; NULL: nothing */
    int64_t sent_ms;                 /* when it was sent; 0: now */
};
/* `known` may be NULL: nothing is. */
void delivery_unknown(struct delivery *delivery, const struct delivery_known *known, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- reads: a run waits for the answer --------------------------------------------------- */

struct query {
    const char *name;
    const char *summary;
    const struct option *fields;
};

struct question {
    struct connection *connection;
    const struct query *query;
    struct slice fields; /* record, checked against query->fields */
    void *state;         /* the adapter's own */
};

/* Exactly one of these, once; the question is gone afterwards. */
void question_answer(struct question *question, struct slice json); /* JSON text; "null" where nothing was found */
void question_later(struct question *question, const char *format, ...) __attribute__((format(printf, 2, 3)));
void question_never(struct question *question, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- looking at it from outside: `headgate doctor` --------------------------------------- */

/* One finding of a check. `about`: "queue", "bindings", "credentials", ...  Answered on the loop thread. */
struct examination;
void examination_finds(struct examination *examination, bool is_good, const char *about, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void examination_ends(struct examination *examination); /* once, after the last finding */

/* ---- a simulator of the far side on loopback, for `headgate sandbox` ---------------------- */

struct simulator {
    const char *name;             /* "opsgenie", "mailbox" */
    const char *summary;          /* one line of what it plays */
    const struct option *options; /* among them the ports, 0: any free one */
    /* Starts on `loop`; prints nothing; puts one line a service ("OpsGenie API  http://127.0.0.1:8282") into `says`. */
    void *(*start)(uv_loop_t *loop, const struct settings *settings, struct buf *says, struct err *err);
    void (*stop)(void *simulator);
};

/* ---- the table ---------------------------------------------------------------------------- */

struct adapter {
    const char *name;                    /* as written in headgate.yaml */
    const char *summary;                 /* one line, for `headgate adapters` */
    const struct option *options;        /* keys of the connection, beside those that all have */
    const struct option *source_options; /* keys below the connection in a flow's `on:`; NULL: no events come from it */
    const struct verb *verbs;            /* ends with name NULL; NULL: none */
    const struct query *queries;         /* ends with name NULL; NULL: none */
    bool stays_open;                     /* its sources listen even while nothing may run (the gate is closed, the store
                                            is full): what comes then is put back at once, so the far side hears why */
    unsigned concurrency;                /* deliveries under way at once, unless the connection says `concurrency` */

    bool (*open)(struct connection *connection, struct err *err); /* must not wait for the far side */
    void (*close)(struct connection *connection); /* cannot fail; open deliveries get no answer any more */
    /* Looks at what a flow's `on:` says beyond its table of options, before anything is deployed.  NULL: nothing more.
     */
    bool (*check_source)(const struct settings *connection, const struct settings *source, struct err *err);
    bool (*listen)(struct source *source, struct err *err); /* events may come from now on */
    void (*silence)(struct source *source);                 /* none from now on; delivered ones may still be acked
                                                               until the connection is closed */
    void (*ack)(struct connection *connection, struct event *event);      /* all it caused is on disk */
    void (*put_back)(struct connection *connection, struct event *event); /* to the source, untouched */
    void (*deliver)(struct connection *connection, struct delivery *delivery);
    /* Several of one verb that has batch_most, in one call; each delivery is answered by itself, once, in any order.
     * The array is lent until the last answer. */
    void (*deliver_batch)(struct connection *connection, struct delivery *const *deliveries, size_t count);
    void (*ask)(struct connection *connection, struct question *question);
    void (*examine)(struct connection *connection, struct source *source /* or NULL */,
                    struct examination *examination);
    const char *manual; /* what the tables cannot say, printed behind them by `headgate adapters NAME`; NULL: nothing */
    const struct simulator *simulator; /* NULL: none */
};

/* The registry, in adapters/adapters.c: all adapters of this program, ending with NULL. */
extern const struct adapter *const adapters[];
const struct adapter *adapter_find(struct slice name); /* NULL: there is none of that name */

#endif
