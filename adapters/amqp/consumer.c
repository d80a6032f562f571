/* consumer.c - the thread that takes messages in
 *
 *     deliver, header, body ─► event ─► (a batch a round) ─► loop thread
 *     settlings ◄─ (a batch an iteration) ◄─ loop thread     ─► acks, nacks
 *
 * Every source has a channel, every opening of a channel an epoch.  An ack of an epoch that is over is ignored:
 * with its channel the broker has taken all open deliveries back, and delivers them again. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#define LOST_MS 1000 /* before a channel that the broker closed is opened again */

static struct rabbit_tap *tap_of_channel(struct rabbit_consumer *consumer, amqp_channel_t channel)
{
    struct rabbit_tap *tap = consumer->taps;
    while (tap && tap->channel != channel)
        tap = tap->next;
    return tap;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void put_back(struct rabbit_consumer *consumer, struct rabbit_tap *tap, uint64_t tag)
{
    if (!rabbit_acks_settle(&tap->acks, tag, RABBIT_SETTLED))
        return;
    amqp_basic_nack_t nack = {.delivery_tag = tag, .requeue = 1};
    rabbit_session_send(&consumer->worker.session, tap->channel, AMQP_BASIC_NACK_METHOD, &nack);
}

static void take_body(struct rabbit_consumer *consumer, struct rabbit_tap *tap, struct slice fragment)
{
    struct rabbit_message *message = &tap->message;
    struct slice body;
    if (!rabbit_message_body(message, fragment, &body))
        return;
    rabbit_acks_add(&tap->acks, message->tag);
    if (message->is_unwanted) {
        put_back(consumer, tap, message->tag);
        return;
    }
    struct event *event = rabbit_message_event(message, body, tap->body_limit);
    event->epoch = tap->epoch;
    event->mail.next = NULL;
    *tap->events_end = &event->mail;
    tap->events_end = &event->mail.next;
}

static void take_header(struct rabbit_consumer *consumer, struct rabbit_tap *tap, const amqp_frame_t *frame)
{
    struct rabbit_message *message = &tap->message;
    uint64_t size = frame->payload.properties.body_size;
    rabbit_message_header(message, size, frame->payload.properties.decoded);
    if (tap->type && strcmp(message->type, tap->type) != 0 && !tap->is_stray)
        snprintf(tap->stranger, sizeof tap->stranger,
                 "queue %s holds a message of type \"%s\" where \"%s\" is expected", tap->queue, message->type,
                 tap->type);
    else if (size > RABBIT_BODY_MAX && !tap->is_stray)
        snprintf(tap->stranger, sizeof tap->stranger, "queue %s holds a message of %llu bytes, which is more than %u",
                 tap->queue, (unsigned long long)size, RABBIT_BODY_MAX);
    tap->is_stray = tap->is_stray || tap->stranger[0]; /* and all that follows it */
    message->is_unwanted = tap->is_stray;
    if (size == 0)
        take_body(consumer, tap, SLICE_NONE);
}

static void on_method(struct rabbit_consumer *consumer, struct rabbit_tap *tap, const amqp_method_t *method)
{
    struct rabbit_session *session = &consumer->worker.session;
    if (method->id == AMQP_BASIC_DELIVER_METHOD) {
        rabbit_message_begin(&tap->message, method->decoded);
    } else if (method->id == AMQP_BASIC_CANCEL_METHOD) {
        log_warning("queue %s: the broker ended our consumer (was the queue deleted?)", tap->queue);
        rabbit_note_say(&consumer->worker, RABBIT_SOURCE_STATE, tap, SOURCE_WAITING,
                        "queue %s: the broker ended our consumer", tap->queue);
        tap->is_cancelled = true;
    } else if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        if (tap->state == RABBIT_TAP_FLOWING) {
            log_warning("queue %s: the broker closed our channel: %s", tap->queue, session->close_text);
            rabbit_note_say(&consumer->worker, RABBIT_SOURCE_STATE, tap, SOURCE_WAITING, "queue %s: %s", tap->queue,
                            session->close_text);
        }
        rabbit_tap_lost(tap, clock_mono_ns() + LOST_MS * 1000000LL);
    }
}

static void on_frame(void *context, const amqp_frame_t *frame)
{
    struct rabbit_consumer *consumer = context;
    struct rabbit_tap *tap = tap_of_channel(consumer, frame->channel);
    if (!tap || frame->channel == 0)
        return;
    if (frame->frame_type == AMQP_FRAME_METHOD)
        on_method(consumer, tap, &frame->payload.method);
    else if (frame->frame_type == AMQP_FRAME_HEADER && tap->message.state == RABBIT_WANTS_HEADER)
        take_header(consumer, tap, frame);
    else if (frame->frame_type == AMQP_FRAME_BODY && tap->message.state == RABBIT_WANTS_BODY)
        take_body(consumer, tap, rabbit_slice(frame->payload.body_fragment));
}

/* ---- orders ------------------------------------------------------------------------------------ */

static void settle(struct rabbit_consumer *consumer, const struct rabbit_order *order)
{
    struct rabbit_tap *tap = NULL;
    for (size_t i = 0; i < order->count; i++) {
        const struct rabbit_settling *one = &order->settlings[i];
        if (!tap || tap->epoch != one->epoch)
            for (tap = consumer->taps; tap && tap->epoch != one->epoch; tap = tap->next)
                ;
        if (tap && tap->channel && one->is_put_back)
            put_back(consumer, tap, one->tag);
        else if (tap && tap->channel)
            rabbit_acks_settle(&tap->acks, one->tag, RABBIT_FINISHED);
    }
}

static void take(struct rabbit_worker *worker, struct rabbit_order *order)
{
    struct rabbit_consumer *consumer = (struct rabbit_consumer *)worker;
    struct rabbit_tap *tap = order->tap;
    switch (order->kind) {
    case RABBIT_LISTEN:
        tap->next = consumer->taps;
        consumer->taps = tap;
        break;
    case RABBIT_REMEMBERED:
        tap->was_declared = true;
        if (tap->state == RABBIT_TAP_REMEMBERING)
            tap->state = RABBIT_TAP_READY;
        break;
    case RABBIT_SILENCE: rabbit_tap_leave(consumer, tap); break;
    case RABBIT_SETTLE: settle(consumer, order); break;
    default: break;
    }
}

/* ---- work ---------------------------------------------------------------------------------------- */

static void send_acks(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    struct rabbit_session *session = &consumer->worker.session;
    amqp_basic_ack_t ack = {.delivery_tag = rabbit_acks_prefix(&tap->acks), .multiple = 1};
    if (ack.delivery_tag)
        rabbit_session_send(session, tap->channel, AMQP_BASIC_ACK_METHOD, &ack);
    if (tap->acks.finished <= consumer->worker.setup->prefetch / 2)
        return;
    /* Something takes long at the head: what is finished behind it must not use the window up. */
    ack.multiple = 0;
    uint64_t at = 0;
    while ((ack.delivery_tag = rabbit_acks_single(&tap->acks, &at)))
        rabbit_session_send(session, tap->channel, AMQP_BASIC_ACK_METHOD, &ack);
}

static void give_events(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    if (!tap->events)
        return;
    rabbit_note_put(&consumer->worker, RABBIT_EVENTS, tap, 0, tap->events, SLICE_NONE);
    tap->events = NULL;
    tap->events_end = &tap->events;
}

static int work(struct rabbit_worker *worker, int64_t now_ns)
{
    struct rabbit_consumer *consumer = (struct rabbit_consumer *)worker;
    int wait_ms = -1;
    bool is_stopping = atomic_load(&worker->stop);
    for (struct rabbit_tap *tap = consumer->taps, *next; tap; tap = next) {
        next = tap->next; /* a step may end this one, never another */
        give_events(consumer, tap);
        if (tap->channel && worker->session.is_up)
            send_acks(consumer, tap);
        if (is_stopping)
            continue;
        rabbit_tap_step(consumer, tap, now_ns);
    }
    for (struct rabbit_tap *tap = consumer->taps; tap && worker->session.is_up; tap = tap->next) {
        give_events(consumer, tap); /* what came in while steps waited for replies */
        if (tap->stranger[0] && tap->state == RABBIT_TAP_FLOWING)
            wait_ms = 0;
        if (tap->state != RABBIT_TAP_LOOKING)
            continue;
        int64_t left_ms = (tap->look_ns - now_ns) / 1000000 + 1;
        left_ms = left_ms < 0 ? 0 : left_ms > LOST_MS ? LOST_MS : left_ms;
        if (wait_ms < 0 || left_ms < wait_ms)
            wait_ms = (int)left_ms;
    }
    return wait_ms;
}

static bool wants(struct rabbit_worker *worker)
{
    return ((struct rabbit_consumer *)worker)->taps != NULL;
}

static void on_up(struct rabbit_worker *worker)
{
    struct rabbit_consumer *consumer = (struct rabbit_consumer *)worker;
    consumer->has_scratch = false;
    for (struct rabbit_tap *tap = consumer->taps; tap; tap = tap->next)
        tap->look_ns = 0;
}

static void on_down(struct rabbit_worker *worker)
{
    struct rabbit_consumer *consumer = (struct rabbit_consumer *)worker;
    for (struct rabbit_tap *tap = consumer->taps; tap; tap = tap->next) {
        give_events(consumer, tap);
        rabbit_tap_lost(tap, 0);
        if (tap->state == RABBIT_TAP_LOOKING)
            rabbit_note_say(worker, RABBIT_SOURCE_STATE, tap, SOURCE_WAITING, "no connection: %s",
                            worker->session.why.text);
    }
}

static void end(struct rabbit_worker *worker)
{
    (void)worker; /* the loop thread frees the taps, once it has read all notes about them */
}

void rabbit_consumer_init(struct rabbit_consumer *consumer, struct rabbit_setup *setup, struct mailbox *notes)
{
    rabbit_worker_init(&consumer->worker, setup, notes);
    consumer->worker.purpose = "consume";
    consumer->worker.take = take;
    consumer->worker.wants = wants;
    consumer->worker.on_up = on_up;
    consumer->worker.on_down = on_down;
    consumer->worker.work = work;
    consumer->worker.end = end;
    consumer->worker.on_frame = on_frame;
}
