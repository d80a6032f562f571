/* rabbit.h - what the parts of this adapter share
 *
 *     loop thread                         consumer thread / publisher thread
 *     adapter.c ── orders ──► worker.c (one mailbox and eventfd a thread; connects, reconnects)
 *               ◄── notes ───    consumer.c: taps (one a source), acks      publisher.c: open publications
 *                                session.c: AMQP over link.c (TCP or TLS)
 *
 * Names that begin with `amqp_` are librabbitmq's, those with `rabbit_` are ours.  librabbitmq only encodes
 * and parses here: its own socket calls block (a publish without end while the broker does not read) and
 * its host name check knows no IP addresses, so bytes are sent and received by us. */
#ifndef HEADGATE_AMQP_RABBIT_H
#define HEADGATE_AMQP_RABBIT_H

#include "core/adapter.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#define RABBIT_TEXT_MAX 400             /* bytes of what is said about a connection or source */
#define RABBIT_BODY_MAX (128u << 20)    /* RabbitMQ's own max_message_size */
#define RABBIT_HEADERS_MAX (100u << 10) /* of an encoded header table: with the properties it fits one frame */
#define RABBIT_FRAME_MAX 131072         /* RabbitMQ's default, and what we ask for */

/* ---- url.c ---- */

struct rabbit_address {
    bool is_tls;                          /* amqps:// */
    char *host, *user, *password, *vhost; /* decoded; owned */
    int port;
};

bool rabbit_url_parse(const char *url, struct rabbit_address *address, struct err *err);
void rabbit_address_clear(struct rabbit_address *address); /* overwrites the password */

/* ---- setup.c ---- */

/* What it takes to connect; made at open, never changed, read by all threads. */
struct rabbit_setup {
    struct rabbit_address address;
    char *ca, *certificate, *certificate_key; /* paths of PEM files, or NULL */
    char *name, *environment;                 /* of the connection */
    unsigned heartbeat_s;                     /* seconds */
    unsigned prefetch;                        /* deliveries a source may have open */
    atomic_uint users;                        /* threads and jobs that hold it; the last one frees it */
};

struct rabbit_setup *rabbit_setup_new(const struct connection *connection, struct err *err);
void rabbit_setup_release(struct rabbit_setup *setup);

/* ---- link.c: bytes over TCP or TLS ---- */

struct rabbit_link {
    int fd;   /* -1: closed */
    SSL *ssl; /* NULL: plain TCP */
};

/* Waits for at most some seconds, less if `stop` becomes true. */
bool rabbit_link_open(struct rabbit_link *link, const struct rabbit_setup *setup, const atomic_bool *stop,
                      struct err *err);
void rabbit_link_close(struct rabbit_link *link);
/* Bytes moved; 0: none at present; -1: the link is gone, `err` says why. */
ssize_t rabbit_link_read(struct rabbit_link *link, void *data, size_t size, struct err *err);
ssize_t rabbit_link_write(struct rabbit_link *link, const void *data, size_t size, struct err *err);

/* ---- session.c: one AMQP connection ---- */

enum rabbit_answer { RABBIT_OK, RABBIT_CLOSED /* the channel, by the broker */, RABBIT_DEAD /* the connection */ };

struct rabbit_session {
    struct rabbit_link link;
    amqp_connection_state_t codec; /* librabbitmq's encoder and parser; it never sees the socket */
    const struct rabbit_setup *setup;
    const atomic_bool *stop;      /* true: give up waiting */
    char *in;                     /* what was just received */
    struct buf out;               /* frames to send, whole ones */
    size_t sent;                  /* bytes of `out` that are gone */
    size_t frame_max;             /* bytes */
    unsigned heartbeat_s;         /* as agreed; 0: none */
    unsigned channel_max;         /* as agreed */
    int64_t heard_ns, spoke_ns;   /* last bytes in and out */
    bool is_up;                   /* login is through and nothing broke since */
    bool is_readable;             /* poll says that bytes, or the end, are there */
    bool has_more;                /* the link holds bytes that poll does not see */
    struct err why;               /* why it is not up */
    char server[64];              /* "RabbitMQ 3.10.8" */
    char purpose[NAME_MAX_BYTES]; /* "consume", "publish", "doctor": shown in the broker's list of connections */

    amqp_channel_t awaited_channel;         /* rabbit_session_call waits for ... */
    amqp_method_number_t awaited;           /* ... this reply; 0: nothing is awaited */
    enum rabbit_answer answer;              /* what came */
    uint32_t message_count, consumer_count; /* of the last queue.declare-ok */
    uint16_t close_code;                    /* of the last channel.close */
    char close_text[256];                   /* the broker's words in it */

    void (*on_frame)(void *context, const amqp_frame_t *frame); /* all frames that are not handled here */
    void *context;
};

bool rabbit_session_open(struct rabbit_session *session, const struct rabbit_setup *setup, const char *purpose,
                         const atomic_bool *stop, struct err *err);
void rabbit_session_close(struct rabbit_session *session); /* politely if it is up; may be called twice */
/* Receives once what is there and hands out the frames; sends what is waiting; keeps the heartbeat. */
bool rabbit_session_pump(struct rabbit_session *session);
bool rabbit_session_flush(struct rabbit_session *session); /* as much as the socket takes; false: not up any more */
/* These add to what will be sent by the next flush. */
void rabbit_session_send(struct rabbit_session *session, amqp_channel_t channel, amqp_method_number_t method,
                         void *decoded);
void rabbit_session_publish(struct rabbit_session *session, amqp_channel_t channel, amqp_basic_publish_t *publish,
                            amqp_basic_properties_t *properties, struct slice body);
/* Sends and waits for the reply; frames that come in between are handed out. */
enum rabbit_answer rabbit_session_call(struct rabbit_session *session, amqp_channel_t channel,
                                       amqp_method_number_t method, void *decoded, amqp_method_number_t reply);
enum rabbit_answer rabbit_session_open_channel(struct rabbit_session *session, amqp_channel_t channel);
/* Is there such a queue or exchange?  RABBIT_CLOSED: the channel is gone, close_code 404 says it is missing. */
enum rabbit_answer rabbit_session_look_at_queue(struct rabbit_session *session, amqp_channel_t channel,
                                                const char *queue);
enum rabbit_answer rabbit_session_look_at_exchange(struct rabbit_session *session, amqp_channel_t channel,
                                                   const char *exchange);

static inline struct slice rabbit_slice(amqp_bytes_t bytes)
{
    return (struct slice){bytes.bytes, bytes.len};
}

static inline amqp_bytes_t rabbit_bytes(struct slice slice)
{
    return (amqp_bytes_t){slice.size, (void *)(uintptr_t)slice.data};
}

/* ---- table.c: header tables and JSON ---- */

/* Adds the table as a JSON object.  False: it was more than `out` takes. */
bool rabbit_table_to_json(struct buf *out, const amqp_table_t *table);
/* A JSON object to a table whose parts live in `pool`. */
bool rabbit_table_from_json(struct slice json, amqp_pool_t *pool, amqp_table_t *table, struct err *err);
/* The text of header `name`; SLICE_NONE if there is none or it is no text. */
struct slice rabbit_table_text(const amqp_table_t *table, const char *name);

/* ---- acks.c: which deliveries of a channel are answered ---- */

enum rabbit_ack { RABBIT_OPEN, RABBIT_FINISHED /* to be acked */, RABBIT_SETTLED /* the broker was told */ };

struct rabbit_acks {
    uint8_t *states;       /* ring of enum rabbit_ack, indexed by tag */
    size_t room;           /* entries in it, a power of two */
    uint64_t first, next;  /* tags first..next-1 are in the ring */
    size_t open, finished; /* how many of them are */
};

void rabbit_acks_init(struct rabbit_acks *acks);
void rabbit_acks_clear(struct rabbit_acks *acks);
void rabbit_acks_add(struct rabbit_acks *acks, uint64_t tag); /* delivered just now; tags come in order */
/* False: no such delivery is open (it was answered before). */
bool rabbit_acks_settle(struct rabbit_acks *acks, uint64_t tag, enum rabbit_ack state);
/* The highest tag to ack with `multiple`; 0: nothing to send. */
uint64_t rabbit_acks_prefix(struct rabbit_acks *acks);
/* Finished ones behind an open one, one a call, to be acked singly; 0: none left.  Starts with *at = 0. */
uint64_t rabbit_acks_single(struct rabbit_acks *acks, uint64_t *at);

/* ---- message.c: a delivery becomes an event ---- */

struct rabbit_message {
    enum { RABBIT_IDLE, RABBIT_WANTS_HEADER, RABBIT_WANTS_BODY } state;
    uint64_t tag;          /* delivery tag */
    bool is_redelivered;   /* as the broker says */
    uint64_t body_size;    /* announced by the header */
    bool is_unwanted;      /* to be put back: its body is only counted */
    uint64_t counted;      /* bytes of an unwanted body */
    struct buf properties; /* JSON, while it grows */
    struct buf record;     /* fields but the body */
    struct buf body;       /* when it comes in several frames */
    char type[256];        /* what the sender says it is; "" if nothing */
};

void rabbit_message_init(struct rabbit_message *message);
void rabbit_message_clear(struct rabbit_message *message);
void rabbit_message_begin(struct rabbit_message *message, const amqp_basic_deliver_t *deliver);
void rabbit_message_header(struct rabbit_message *message, uint64_t body_size,
                           const amqp_basic_properties_t *properties);
/* True: the body is complete; `body` is lent until the next call. */
bool rabbit_message_body(struct rabbit_message *message, struct slice fragment, struct slice *body);
struct event *rabbit_message_event(struct rabbit_message *message, struct slice body, int64_t body_limit);

/* ---- orders to a thread, notes from it ---- */

struct rabbit;
struct rabbit_tap;

/* An event that core has answered. */
struct rabbit_settling {
    uint64_t epoch, tag;
    bool is_put_back;
};

enum rabbit_order_kind { RABBIT_LISTEN, RABBIT_REMEMBERED, RABBIT_SILENCE, RABBIT_SETTLE, RABBIT_PUBLISH };

struct rabbit_order {
    struct mail mail;
    enum rabbit_order_kind kind;
    struct rabbit_tap *tap;    /* LISTEN, REMEMBERED, SILENCE */
    struct mail *publications; /* PUBLISH */
    size_t count;              /* SETTLE: entries in `settlings` */
    struct rabbit_settling settlings[];
};

enum rabbit_note_kind {
    RABBIT_EVENTS,
    RABBIT_SOURCE_STATE,
    RABBIT_REMEMBER,
    RABBIT_TAP_GONE, /* the thread has forgotten the tap; the last note about it */
    RABBIT_LINK_STATE,
    RABBIT_VERDICTS,
    RABBIT_THREAD_ENDS,
};

struct rabbit_worker;

struct rabbit_note {
    struct mail mail;
    enum rabbit_note_kind kind;
    struct rabbit_tap *tap;       /* the first four kinds */
    struct rabbit_worker *worker; /* LINK_STATE, THREAD_ENDS */
    int state;                    /* enum source_state or enum connection_state */
    struct mail *list;            /* EVENTS: struct event; VERDICTS: struct rabbit_publication */
    size_t size;                  /* bytes of `text` */
    char text[];                  /* words, or what to remember; zero-terminated */
};

/* ---- worker.c: a thread that owns one AMQP connection ---- */

struct rabbit_worker {
    struct rabbit_setup *setup;
    struct mailbox *notes; /* of the loop thread */
    struct mailbox orders; /* to this thread */
    int wake_fd;           /* eventfd; written when `orders` gets something */
    atomic_bool stop;      /* set by the loop thread, last */
    pthread_t thread;
    bool is_started;            /* loop thread's: the thread runs or has run */
    enum connection_state said; /* loop thread's: its last word on the link */
    const char *purpose;        /* "consume", "publish" */

    struct rabbit_session session;
    int64_t retry_ns;  /* when to connect again */
    int64_t up_ns;     /* when it was connected */
    unsigned failures; /* in a row */

    /* The rest is the consumer's or publisher's. */
    void (*take)(struct rabbit_worker *worker, struct rabbit_order *order); /* the order is freed afterwards */
    bool (*wants)(struct rabbit_worker *worker);                            /* is a connection needed? */
    void (*on_up)(struct rabbit_worker *worker);                            /* connected */
    void (*on_down)(struct rabbit_worker *worker);                          /* lost, or it could not be had */
    int (*work)(struct rabbit_worker *worker, int64_t now_ns);              /* ms until there is more, -1: none known */
    void (*end)(struct rabbit_worker *worker);                              /* free what is left */
    void (*on_frame)(void *worker, const amqp_frame_t *frame);
};

void rabbit_worker_init(struct rabbit_worker *worker, struct rabbit_setup *setup, struct mailbox *notes);
void rabbit_worker_order(struct rabbit_worker *worker, struct rabbit_order *order); /* starts the thread if need be */
void rabbit_worker_stop(struct rabbit_worker *worker);                              /* a note says when it has ended */
void rabbit_worker_clear(struct rabbit_worker *worker); /* once it has ended, or if it was never started */
struct rabbit_order *rabbit_order_new(enum rabbit_order_kind kind, size_t settlings);
void rabbit_note_put(struct rabbit_worker *worker, enum rabbit_note_kind kind, struct rabbit_tap *tap, int state,
                     struct mail *list, struct slice text);
void rabbit_note_say(struct rabbit_worker *worker, enum rabbit_note_kind kind, struct rabbit_tap *tap, int state,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- tap.c, consumer.c: events in ---- */

enum rabbit_tap_state {
    RABBIT_TAP_LOOKING,     /* checks the far side at look_ns, then asks for its intent to be remembered */
    RABBIT_TAP_REMEMBERING, /* waits for the store */
    RABBIT_TAP_READY,       /* remembered: declare, bind, consume */
    RABBIT_TAP_FLOWING,
    RABBIT_TAP_REFUSED, /* for good; until the flow stops listening */
    RABBIT_TAP_ENDING,  /* silenced, some deliveries are still open */
};

/* One source at the consumer thread. */
struct rabbit_tap {
    struct rabbit_tap *next;      /* the thread's list */
    struct source *source;        /* loop thread only; NULL once silenced */
    struct rabbit_tap *loop_next; /* loop thread only: its list */
    struct rabbit_note *promise;  /* loop thread only: what is being remembered, until that is done */

    char *exchange, *queue, *type, *because; /* as configured; all but `queue` may be NULL */
    char *own_name;                          /* what its queue would be called, and its consumer tag */
    char **keys;                             /* routing keys to bind */
    size_t key_count;
    bool is_adopted; /* the queue is somebody else's, named in the manifest */
    bool is_quorum;
    bool was_declared;  /* by us, earlier */
    int64_t body_limit; /* bytes */
    struct buf memory;  /* record: bindings that may exist (tap.c says more) */

    enum rabbit_tap_state state;
    int64_t look_ns;               /* when to look (again) */
    unsigned looks;                /* how often another consumer was found, in a row */
    amqp_channel_t channel;        /* 0: none */
    uint64_t epoch;                /* of the channel; every opening has its own */
    bool is_cancelled;             /* the broker ended our consumer; the channel is to be closed */
    bool is_stray;                 /* what still comes is put back: refused or silenced */
    struct rabbit_message message; /* being put together */
    struct rabbit_acks acks;
    struct mail *events, **events_end; /* complete, not yet given to the loop */
    char stranger[RABBIT_TEXT_MAX];    /* what was wrong with a message that must not be handed over; "" if none was */
};

struct rabbit_consumer {
    struct rabbit_worker worker; /* first */
    struct rabbit_tap *taps;
    uint64_t epochs;  /* the last one given */
    bool has_scratch; /* channel 1, for looking at things, is open */
};

struct rabbit_tap *rabbit_tap_new(struct source *source, struct err *err);
void rabbit_tap_free(struct rabbit_tap *tap);
void rabbit_tap_step(struct rabbit_consumer *consumer, struct rabbit_tap *tap, int64_t now_ns);
void rabbit_tap_leave(struct rabbit_consumer *consumer, struct rabbit_tap *tap); /* silence, at the thread */
void rabbit_tap_lost(struct rabbit_tap *tap, int64_t look_ns);                   /* its channel is gone */
/* The queue that a flow's source means; the caller frees it. */
char *rabbit_tap_queue(const struct source *source);

void rabbit_consumer_init(struct rabbit_consumer *consumer, struct rabbit_setup *setup, struct mailbox *notes);

/* ---- publish.c, publisher.c: effects out ---- */

enum rabbit_verdict { RABBIT_DONE, RABBIT_LATER, RABBIT_NEVER };

/* An effect on its way through the publisher thread. */
struct rabbit_publication {
    struct mail mail;
    struct delivery *delivery;              /* loop thread only */
    struct slice exchange, key, message_id; /* within `fields` */
    bool is_returned;                       /* no queue takes it */
    enum rabbit_verdict verdict;
    int64_t sent_ns; /* when it was written */
    char *text;      /* why; NULL: nothing to say */
    size_t size;     /* bytes of `fields` */
    char fields[];   /* record, as stored */
};

struct rabbit_publisher {
    struct rabbit_worker worker;         /* first */
    struct mail *waiting, **waiting_end; /* not sent yet, oldest first */
    struct rabbit_publication **open;    /* ring, indexed by sequence number: sent, not confirmed */
    size_t room;                         /* entries in it, a power of two */
    uint64_t first, next;                /* sequence numbers first..next-1 are in the ring */
    size_t careful;                      /* so many are sent one by one, to find the one that the broker minds */
    bool is_used;                        /* there was something to publish: from now on stay connected */
    bool has_channel;                    /* channel 1 is open and in confirm mode */
    bool is_blocked;                     /* the broker takes nothing now */
    bool eats_return;                    /* a message is coming back, its header is the next frame but methods */
    unsigned returned_code;              /* why */
    char returned_exchange[256], returned_key[256];
    struct mail *answered, **answered_end; /* with a verdict, not yet given to the loop */
    amqp_pool_t pool;                      /* for the tables of one publish */
};

void rabbit_publisher_init(struct rabbit_publisher *publisher, struct rabbit_setup *setup, struct mailbox *notes);
bool rabbit_publish_prepare(const struct ask *ask, struct buf *out, struct err *err);
struct rabbit_publication *rabbit_publication_new(struct delivery *delivery);
void rabbit_publication_free(struct rabbit_publication *publication);
/* Writes it to the session.  False: it cannot be written, whatever the broker says. */
bool rabbit_publication_send(struct rabbit_publication *publication, struct rabbit_session *session,
                             amqp_channel_t channel, amqp_pool_t *pool, struct err *err);

/* ---- examine.c ---- */

void rabbit_examine(struct connection *connection, struct rabbit_setup *setup, struct source *source,
                    struct examination *examination);

#endif
