/* adapter.c - RabbitMQ, over AMQP 0-9-1: the table, and what runs on the loop thread
 *
 * Two AMQP connections, each with a thread of its own, because the broker stops reading from one that publishes
 * when it is short of memory or disk, and acks must not be stuck behind that.  Both are made on first use.
 *
 * Towards the threads go orders, back come notes (rabbit.h).  What core says within one iteration of the loop
 * (acks, deliveries) is gathered and goes out as one order just before the loop sleeps: one lock and at most one
 * wake-up a batch.
 *
 * After `close` the connection is not touched any more: both threads take what is left, say goodbye to the broker,
 * and the last note of the second one frees everything. */
#include "adapters/amqp/rabbit.h"
#include "core/base/log.h"

#define ACKS_SHARE 8   /* of the prefetch window: acks for that much go out at once */
#define ACKS_WAIT_MS 2 /* fewer wait for so long at most */

/* The loop thread's side of a connection. */
struct rabbit {
    struct connection *connection; /* NULL once it is closed */
    struct rabbit_setup *setup;
    struct mailbox notes; /* from both threads */
    uv_async_t async;     /* wakes us for them */
    uv_prepare_t prepare; /* just before the loop sleeps: orders go out */
    uv_timer_t timer;     /* acks that are too few to go out at once wait for company */
    struct rabbit_consumer consumer;
    struct rabbit_publisher publisher;
    struct rabbit_tap *taps;                       /* until their threads have forgotten them */
    struct rabbit_order *settling;                 /* being gathered; NULL: nothing yet */
    size_t settling_room;                          /* entries that fit in it */
    struct mail *publications, **publications_end; /* being gathered */
    unsigned threads;                              /* still running, after close */
    unsigned handles;                              /* still open, after close */
};

/* ---- notes --------------------------------------------------------------------------------------- */

static struct rabbit_settling *settling_add(struct rabbit *rabbit)
{
    if (!rabbit->settling) {
        rabbit->settling_room = 64;
        rabbit->settling = rabbit_order_new(RABBIT_SETTLE, rabbit->settling_room);
        rabbit->settling->count = 0;
    } else if (rabbit->settling->count == rabbit->settling_room) {
        rabbit->settling_room *= 2;
        rabbit->settling = mem_resize(rabbit->settling, sizeof *rabbit->settling
                                                            + rabbit->settling_room * sizeof(struct rabbit_settling));
    }
    return &rabbit->settling->settlings[rabbit->settling->count++];
}

static void settle(struct rabbit *rabbit, const struct event *event, bool is_put_back)
{
    *settling_add(rabbit) =
        (struct rabbit_settling){.epoch = event->epoch, .tag = event->token, .is_put_back = is_put_back};
}

static void on_events(struct rabbit *rabbit, struct rabbit_tap *tap, struct mail *list)
{
    for (struct mail *mail = list, *next; mail; mail = next) {
        next = mail->next;
        struct event *event = (struct event *)mail;
        mail->next = NULL;
        if (tap->source) { /* core may silence it while it takes the batch */
            event->source = tap->source;
            source_event(tap->source, event);
        } else {
            settle(rabbit, event, true);
            event_free(event);
        }
    }
}

static void on_verdicts(struct rabbit *rabbit, struct mail *list)
{
    for (struct mail *mail = list, *next; mail; mail = next) {
        next = mail->next;
        struct rabbit_publication *one = (struct rabbit_publication *)mail;
        const char *text = one->text ? one->text : "confirmed";
        if (!rabbit->connection)
            ; /* nobody waits for an answer any more */
        else if (one->verdict == RABBIT_DONE)
            delivery_done(one->delivery, "%s", text);
        else if (one->verdict == RABBIT_NEVER)
            delivery_never(one->delivery, "%s", text);
        else
            delivery_later(one->delivery, 0, "%s", text);
        rabbit_publication_free(one);
    }
}

/* One connection for core, two for the broker: down if one of them is, and the words are the worse one's. */
static void on_link_state(struct rabbit *rabbit, struct rabbit_worker *worker, enum connection_state state,
                          const char *text)
{
    worker->said = state;
    enum connection_state a = rabbit->consumer.worker.said, b = rabbit->publisher.worker.said;
    if (state >= a && state >= b)
        connection_says(rabbit->connection, state, "%s", text);
}

static void on_remembered(struct source *source)
{
    struct rabbit_tap *tap = source->state;
    if (!tap)
        return; /* silenced meanwhile */
    struct rabbit *rabbit = source->connection->state;
    struct rabbit_order *order = rabbit_order_new(RABBIT_REMEMBERED, 0);
    order->tap = tap;
    rabbit_worker_order(&rabbit->consumer.worker, order);
}

static void on_gone(struct rabbit *rabbit, struct rabbit_tap *tap)
{
    struct rabbit_tap **at = &rabbit->taps;
    while (*at != tap)
        at = &(*at)->loop_next;
    *at = tap->loop_next;
    rabbit_tap_free(tap);
}

static void finish(struct rabbit *rabbit);

/* True: the note is kept. */
static bool on_note(struct rabbit *rabbit, struct rabbit_note *note)
{
    struct rabbit_tap *tap = note->tap;
    switch (note->kind) {
    case RABBIT_EVENTS: on_events(rabbit, tap, note->list); break;
    case RABBIT_VERDICTS: on_verdicts(rabbit, note->list); break;
    case RABBIT_SOURCE_STATE:
        if (tap->source)
            source_says(tap->source, (enum source_state)note->state, "%s", note->text);
        break;
    case RABBIT_LINK_STATE:
        if (rabbit->connection)
            on_link_state(rabbit, note->worker, (enum connection_state)note->state, note->text);
        break;
    case RABBIT_REMEMBER:
        if (!tap->source)
            break;
        free(tap->promise);
        tap->promise = note;
        source_remember(tap->source, (struct slice){note->text, note->size}, on_remembered);
        return true;
    case RABBIT_TAP_GONE: on_gone(rabbit, tap); break;
    case RABBIT_THREAD_ENDS: rabbit->threads--; break;
    }
    return false;
}

static void on_notes(uv_async_t *async)
{
    struct rabbit *rabbit = async->data;
    for (struct mail *mail = mailbox_take(&rabbit->notes), *next; mail; mail = next) {
        next = mail->next;
        if (!on_note(rabbit, (struct rabbit_note *)mail))
            free(mail);
    }
    if (!rabbit->connection && rabbit->threads == 0)
        finish(rabbit);
}

static void wake(void *context)
{
    uv_async_send(&((struct rabbit *)context)->async);
}

/* ---- orders --------------------------------------------------------------------------------------- */

static void flush_settlings(struct rabbit *rabbit)
{
    if (rabbit->settling)
        rabbit_worker_order(&rabbit->consumer.worker, rabbit->settling);
    rabbit->settling = NULL;
}

static void flush_publications(struct rabbit *rabbit)
{
    if (!rabbit->publications)
        return;
    struct rabbit_order *order = rabbit_order_new(RABBIT_PUBLISH, 0);
    order->publications = rabbit->publications;
    rabbit->publications = NULL;
    rabbit->publications_end = &rabbit->publications;
    rabbit_worker_order(&rabbit->publisher.worker, order);
}

static void on_timer(uv_timer_t *timer)
{
    flush_settlings(timer->data);
}

/* An ack costs us a wake-up and the broker a frame, and nobody waits for it as long as the prefetch window is far
 * from full: a few of them wait a moment for others. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct rabbit *rabbit = prepare->data;
    flush_publications(rabbit);
    if (rabbit->settling && rabbit->settling->count >= rabbit->setup->prefetch / ACKS_SHARE)
        flush_settlings(rabbit);
    else if (rabbit->settling && !uv_is_active((uv_handle_t *)&rabbit->timer))
        uv_timer_start(&rabbit->timer, on_timer, ACKS_WAIT_MS, 0);
}

static bool amqp_open(struct connection *connection, struct err *err)
{
    struct rabbit_setup *setup = rabbit_setup_new(connection, err);
    if (!setup)
        return false;
    struct rabbit *rabbit = mem_zero(sizeof *rabbit);
    rabbit->connection = connection;
    rabbit->setup = setup;
    rabbit->publications_end = &rabbit->publications;
    mailbox_init(&rabbit->notes, wake, rabbit);
    rabbit_consumer_init(&rabbit->consumer, setup, &rabbit->notes);
    rabbit_publisher_init(&rabbit->publisher, setup, &rabbit->notes);
    rabbit->async.data = rabbit->prepare.data = rabbit->timer.data = rabbit;
    if (uv_async_init(connection->loop, &rabbit->async, on_notes) != 0)
        abort(); /* no descriptors left at the start */
    uv_timer_init(connection->loop, &rabbit->timer);
    uv_prepare_init(connection->loop, &rabbit->prepare);
    uv_prepare_start(&rabbit->prepare, on_prepare);
    uv_unref((uv_handle_t *)&rabbit->prepare);
    connection->state = rabbit;
    return true;
}

/* ---- the end ---------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct rabbit *rabbit = handle->data;
    if (--rabbit->handles == 0)
        free(rabbit);
}

static void finish(struct rabbit *rabbit)
{
    rabbit_worker_clear(&rabbit->consumer.worker);
    rabbit_worker_clear(&rabbit->publisher.worker);
    mailbox_clear(&rabbit->notes);
    for (struct rabbit_tap *tap = rabbit->taps, *next; tap; tap = next) {
        next = tap->loop_next;
        rabbit_tap_free(tap);
    }
    free(rabbit->settling);
    rabbit_setup_release(rabbit->setup);
    rabbit->handles = 3;
    uv_close((uv_handle_t *)&rabbit->timer, on_handle_closed);
    uv_close((uv_handle_t *)&rabbit->async, on_handle_closed);
    uv_close((uv_handle_t *)&rabbit->prepare, on_handle_closed);
}

static void amqp_close(struct connection *connection)
{
    struct rabbit *rabbit = connection->state;
    flush_settlings(rabbit); /* acks are still sent */
    flush_publications(rabbit);
    uv_prepare_stop(&rabbit->prepare);
    uv_timer_stop(&rabbit->timer);
    connection->state = NULL;
    rabbit->connection = NULL;
    for (struct rabbit_tap *tap = rabbit->taps; tap; tap = tap->loop_next)
        tap->source = NULL;
    rabbit->threads = rabbit->consumer.worker.is_started + rabbit->publisher.worker.is_started;
    rabbit_worker_stop(&rabbit->consumer.worker);
    rabbit_worker_stop(&rabbit->publisher.worker);
    if (rabbit->threads == 0)
        finish(rabbit);
}

/* ---- events in, effects out ------------------------------------------------------------------------- */

static void order_tap(struct rabbit *rabbit, enum rabbit_order_kind kind, struct rabbit_tap *tap)
{
    struct rabbit_order *order = rabbit_order_new(kind, 0);
    order->tap = tap;
    rabbit_worker_order(&rabbit->consumer.worker, order);
}

static bool amqp_listen(struct source *source, struct err *err)
{
    struct rabbit *rabbit = source->connection->state;
    struct rabbit_tap *tap = rabbit_tap_new(source, err);
    if (!tap)
        return false;
    source->state = tap;
    tap->loop_next = rabbit->taps;
    rabbit->taps = tap;
    source_says(source, SOURCE_STARTING, "looking at queue %s", tap->queue);
    order_tap(rabbit, RABBIT_LISTEN, tap);
    return true;
}

static void amqp_silence(struct source *source)
{
    struct rabbit_tap *tap = source->state;
    tap->source = NULL;
    source->state = NULL;
    order_tap(source->connection->state, RABBIT_SILENCE, tap);
}

static void amqp_ack(struct connection *connection, struct event *event)
{
    settle(connection->state, event, false);
}

static void amqp_put_back(struct connection *connection, struct event *event)
{
    settle(connection->state, event, true);
}

static void amqp_deliver(struct connection *connection, struct delivery *delivery)
{
    struct rabbit *rabbit = connection->state;
    struct rabbit_publication *publication = rabbit_publication_new(delivery);
    *rabbit->publications_end = &publication->mail;
    rabbit->publications_end = &publication->mail.next;
}

static void amqp_examine(struct connection *connection, struct source *source, struct examination *examination)
{
    struct rabbit *rabbit = connection->state;
    rabbit_examine(connection, rabbit->setup, source, examination);
}

/* ---- the table ---------------------------------------------------------------------------------------- */

static const struct option options[] = {
    {.name = "url",
     .kind = OPTION_SECRET,
     .is_required = true,
     .help = "amqp://user:password@host:port/vhost, or amqps:// for TLS; % escapes any byte"},
    {.name = "ca", .kind = OPTION_TEXT, .help = "PEM file of the CAs to trust, instead of the system's (amqps)"},
    {.name = "certificate", .kind = OPTION_TEXT, .help = "PEM file of the certificate we show the broker (amqps)"},
    {.name = "certificate_key", .kind = OPTION_TEXT, .help = "PEM file of its private key"},
    {.name = "prefetch",
     .kind = OPTION_INTEGER,
     .fallback = "500",
     .least = 1,
     .most = 65535,
     .help = "messages a flow may have under way before the broker waits for acks"},
    {.name = "heartbeat",
     .kind = OPTION_DURATION,
     .fallback = "20s",
     .least = 1000,
     .most = 3600000,
     .help = "a broker that is silent for twice as long is taken for gone"},
    OPTION_END,
};

static const struct option source_options[] = {
    {.name = "exchange",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 255,
     .help = "exchange that the flow's own queue is bound to; it must exist"},
    {.name = "keys", .kind = OPTION_LIST, .help = "binding keys; [\"#\"] if none are said"},
    {.name = "queue",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 255,
     .help = "adopt this queue, which somebody else declared, instead of an own one"},
    {.name = "because", .kind = OPTION_TEXT, .help = "why that queue may be consumed; required with `queue`"},
    {.name = "type",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 255,
     .help = "type that every message must have; the first stranger is put back and stops the flow"},
    {.name = "queue_type",
     .kind = OPTION_TEXT,
     .fallback = "classic",
     .choices = "classic|quorum",
     .help = "quorum: replicated in a cluster of brokers"},
    OPTION_END,
};

static const struct option publish_fields[] = {
    {.name = "exchange", .kind = OPTION_TEXT, .is_required = true, .help = "\"\" is the default exchange: key = queue"},
    {.name = "key", .kind = OPTION_TEXT, .is_required = true, .help = "routing key"},
    {.name = "body", .kind = OPTION_ANY, .is_required = true, .help = "a text goes as it is, anything else as JSON"},
    {.name = "headers", .kind = OPTION_ANY, .help = "table of headers"},
    {.name = "content_type", .kind = OPTION_TEXT, .help = "if not said: text/plain or application/json, by the body"},
    {.name = "type", .kind = OPTION_TEXT, .help = "type of the message"},
    {.name = "message_id", .kind = OPTION_TEXT, .help = "if not said: the effect's id"},
    {.name = "correlation_id", .kind = OPTION_TEXT, .help = "what it belongs to"},
    {.name = "persistent", .kind = OPTION_BOOLEAN, .fallback = "true", .help = "it outlives a restart of the broker"},
    {.name = "expiration", .kind = OPTION_TEXT, .help = "ms after which the broker drops it from a queue, as text"},
    OPTION_END,
};

static const struct verb verbs[] = {
    {.name = "publish",
     .summary = "put a message to an exchange, confirmed by the broker; unroutable ones are held",
     .fields = publish_fields,
     .is_idempotent = true, /* every attempt has the same message id, by which a receiver recognises a repeat */
     .prepare = rabbit_publish_prepare},
    {.name = NULL},
};

const struct adapter adapter_amqp = {
    .name = "amqp",
    .summary = "RabbitMQ (AMQP 0-9-1): events from queues of our own, messages to exchanges",
    .options = options,
    .source_options = source_options,
    .verbs = verbs,
    .concurrency = 500,
    .open = amqp_open,
    .close = amqp_close,
    .listen = amqp_listen,
    .silence = amqp_silence,
    .ack = amqp_ack,
    .put_back = amqp_put_back,
    .deliver = amqp_deliver,
    .examine = amqp_examine,
};
