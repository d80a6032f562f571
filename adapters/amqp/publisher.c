/* publisher.c - the thread that puts messages out
 *
 *     waiting ──sent──► open ──confirm──► done
 *        ▲               │ ──nack──────► later
 *        │               │ ──return, confirm──► never: no queue takes it
 *        │               └─ channel closed: the one that the broker minds: never; the others: waiting again
 *        └─ connection lost, or not to be had: all of both: later
 *
 * Only a confirm counts: a message that left us may be lost with the broker's machine.  Sequence numbers start
 * at 1 with each channel and count every publish on it.  A return comes before the confirm of its message and
 * names no number: it is matched by message id, exchange and key.
 *
 * When the broker closes the channel it says why, but not which message it minds.  If its words name the
 * exchange, those to that exchange are meant.  Else all that were open are sent again one by one, until the
 * channel closes with one message open: that is the one.
 *
 * While the broker is short of memory or disk (connection.blocked) it does not read; what is waiting waits. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"

#define CHANNEL 1
#define ROOM_FIRST 1024
#define OUT_ENOUGH (1u << 20)     /* bytes waiting for the socket: no more messages are added */
#define CONFIRM_NS 120000000000LL /* a broker that confirms nothing for so long is as good as gone */

static struct rabbit_publication **slot(struct rabbit_publisher *publisher, uint64_t number)
{
    return &publisher->open[number & (publisher->room - 1)];
}

static bool is_any_open(const struct rabbit_publisher *publisher)
{
    return publisher->first < publisher->next;
}

static void answer(struct rabbit_publisher *publisher, struct rabbit_publication *one, enum rabbit_verdict verdict,
                   const char *text)
{
    one->verdict = verdict;
    if (text != one->text) {
        free(one->text);
        one->text = mem_text(text);
    }
    one->mail.next = NULL;
    *publisher->answered_end = &one->mail;
    publisher->answered_end = &one->mail.next;
}

static void push_waiting(struct rabbit_publisher *publisher, struct rabbit_publication *one)
{
    one->mail.next = NULL;
    *publisher->waiting_end = &one->mail;
    publisher->waiting_end = &one->mail.next;
}

static struct rabbit_publication *pop_waiting(struct rabbit_publisher *publisher)
{
    struct mail *mail = publisher->waiting;
    if (mail && !(publisher->waiting = mail->next))
        publisher->waiting_end = &publisher->waiting;
    return (struct rabbit_publication *)mail;
}

/* ---- confirms ------------------------------------------------------------------------------------- */

static void settle(struct rabbit_publisher *publisher, uint64_t number, bool is_taken)
{
    struct rabbit_publication *one = *slot(publisher, number);
    *slot(publisher, number) = NULL;
    if (!one)
        return;
    publisher->careful -= publisher->careful > 0;
    if (one->is_returned)
        answer(publisher, one, RABBIT_NEVER, one->text);
    else
        answer(publisher, one, is_taken ? RABBIT_DONE : RABBIT_LATER, is_taken ? NULL : "the broker could not take it");
}

static void on_confirm(struct rabbit_publisher *publisher, uint64_t tag, bool is_multiple, bool is_taken)
{
    if (tag >= publisher->next)
        return;
    for (uint64_t number = is_multiple ? publisher->first : tag; number <= tag; number++)
        if (number >= publisher->first)
            settle(publisher, number, is_taken);
    while (is_any_open(publisher) && !*slot(publisher, publisher->first))
        publisher->first++;
}

static void on_return(struct rabbit_publisher *publisher, const amqp_basic_return_t *returned)
{
    publisher->returned_code = returned->reply_code;
    snprintf(publisher->returned_exchange, sizeof publisher->returned_exchange, "%.*s",
             SLICE_ARG(rabbit_slice(returned->exchange)));
    snprintf(publisher->returned_key, sizeof publisher->returned_key, "%.*s",
             SLICE_ARG(rabbit_slice(returned->routing_key)));
    publisher->eats_return = true;
}

static void on_returned_header(struct rabbit_publisher *publisher, const amqp_basic_properties_t *properties)
{
    struct slice id = SLICE_NONE;
    if (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        id = rabbit_slice(properties->message_id);
    publisher->eats_return = false;
    for (uint64_t number = publisher->first; number < publisher->next; number++) {
        struct rabbit_publication *one = *slot(publisher, number);
        if (!one || one->is_returned || !slice_equal(one->message_id, id)
            || !slice_is(one->exchange, publisher->returned_exchange) || !slice_is(one->key, publisher->returned_key))
            continue;
        char text[2 * RABBIT_TEXT_MAX];
        snprintf(text, sizeof text, "unroutable: no queue of exchange \"%s\" takes the key \"%s\" (%u)",
                 publisher->returned_exchange, publisher->returned_key, publisher->returned_code);
        one->is_returned = true;
        one->text = mem_text(text);
        return;
    }
}

/* ---- the channel closes ----------------------------------------------------------------------------- */

static bool is_named(const struct rabbit_publication *one, const char *text)
{
    char name[300];
    snprintf(name, sizeof name, "'%.*s'", SLICE_ARG(one->exchange));
    return strstr(text, name) != NULL;
}

static void on_channel_close(struct rabbit_publisher *publisher)
{
    const char *text = publisher->worker.session.close_text;
    size_t count = 0, named = 0;
    for (uint64_t number = publisher->first; number < publisher->next; number++) {
        count += *slot(publisher, number) != NULL;
        named += *slot(publisher, number) && is_named(*slot(publisher, number), text);
    }
    struct mail *waiting = publisher->waiting;
    struct mail **waiting_end = publisher->waiting_end;
    publisher->waiting = NULL;
    publisher->waiting_end = &publisher->waiting;
    size_t again = 0;
    for (uint64_t number = publisher->first; number < publisher->next; number++) {
        struct rabbit_publication *one = *slot(publisher, number);
        if (!one)
            continue;
        if (one->is_returned) {
            answer(publisher, one, RABBIT_NEVER, one->text);
        } else if (count == 1 || is_named(one, text)) {
            answer(publisher, one, RABBIT_NEVER, text);
        } else {
            push_waiting(publisher, one);
            again++;
        }
    }
    if (waiting) { /* those that were not sent stay behind those that were */
        *publisher->waiting_end = waiting;
        publisher->waiting_end = waiting_end;
    }
    if (!named && count > 1)
        publisher->careful = again;
    else
        publisher->careful -= publisher->careful > 0;
    publisher->first = publisher->next = 1;
    publisher->has_channel = false;
    publisher->eats_return = false;
}

/* ---- frames ------------------------------------------------------------------------------------------- */

static void on_blocked(struct rabbit_publisher *publisher, const amqp_connection_blocked_t *blocked)
{
    publisher->is_blocked = true;
    rabbit_note_say(&publisher->worker, RABBIT_LINK_STATE, NULL, CONNECTION_DOWN,
                    "publish: the broker takes no messages now: %.*s", SLICE_ARG(rabbit_slice(blocked->reason)));
}

static void on_unblocked(struct rabbit_publisher *publisher)
{
    publisher->is_blocked = false;
    rabbit_note_say(&publisher->worker, RABBIT_LINK_STATE, NULL, CONNECTION_UP,
                    "publish: the broker takes messages again");
}

static void on_frame(void *context, const amqp_frame_t *frame)
{
    struct rabbit_publisher *publisher = context;
    if (frame->frame_type == AMQP_FRAME_HEADER && publisher->eats_return)
        on_returned_header(publisher, frame->payload.properties.decoded);
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return; /* the body of a returned message: we still have it */
    void *decoded = frame->payload.method.decoded;
    switch (frame->payload.method.id) {
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = decoded;
        on_confirm(publisher, ack->delivery_tag, ack->multiple, true);
        break;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = decoded;
        on_confirm(publisher, nack->delivery_tag, nack->multiple, false);
        break;
    }
    case AMQP_BASIC_RETURN_METHOD: on_return(publisher, decoded); break;
    case AMQP_CHANNEL_CLOSE_METHOD: on_channel_close(publisher); break;
    case AMQP_CONNECTION_BLOCKED_METHOD: on_blocked(publisher, decoded); break;
    case AMQP_CONNECTION_UNBLOCKED_METHOD: on_unblocked(publisher); break;
    default: break;
    }
}

/* ---- work ----------------------------------------------------------------------------------------------- */

static bool open_channel(struct rabbit_publisher *publisher)
{
    struct rabbit_session *session = &publisher->worker.session;
    amqp_confirm_select_t select = {.nowait = 0};
    publisher->first = publisher->next = 1;
    publisher->has_channel =
        rabbit_session_open_channel(session, CHANNEL) == RABBIT_OK
        && rabbit_session_call(session, CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &select, AMQP_CONFIRM_SELECT_OK_METHOD)
               == RABBIT_OK;
    return publisher->has_channel;
}

static void add_open(struct rabbit_publisher *publisher, struct rabbit_publication *one)
{
    if (publisher->next - publisher->first == publisher->room) {
        struct rabbit_publication **old = publisher->open;
        size_t old_room = publisher->room;
        publisher->room = old_room ? 2 * old_room : ROOM_FIRST;
        publisher->open = mem_zero(publisher->room * sizeof(struct rabbit_publication *));
        for (uint64_t number = publisher->first; number < publisher->next; number++)
            *slot(publisher, number) = old[number & (old_room - 1)];
        free(old);
    }
    *slot(publisher, publisher->next++) = one;
}

static void send_waiting(struct rabbit_publisher *publisher)
{
    struct rabbit_session *session = &publisher->worker.session;
    int64_t now_ns = clock_mono_ns();
    while (publisher->waiting && session->is_up && session->out.size < OUT_ENOUGH
           && !(publisher->careful && is_any_open(publisher))) {
        struct rabbit_publication *one = pop_waiting(publisher);
        struct err err = ERR_INIT;
        one->sent_ns = now_ns;
        if (rabbit_publication_send(one, session, CHANNEL, &publisher->pool, &err))
            add_open(publisher, one);
        else
            answer(publisher, one, RABBIT_NEVER, err.text);
        recycle_amqp_pool(&publisher->pool);
    }
}

static void give_answers(struct rabbit_publisher *publisher)
{
    if (publisher->answered)
        rabbit_note_put(&publisher->worker, RABBIT_VERDICTS, NULL, 0, publisher->answered, SLICE_NONE);
    publisher->answered = NULL;
    publisher->answered_end = &publisher->answered;
}

/* Without a connection nothing waits here: core knows better when to try again. */
static void give_up(struct rabbit_publisher *publisher, const char *why)
{
    for (uint64_t number = publisher->first; number < publisher->next; number++)
        if (*slot(publisher, number))
            answer(publisher, *slot(publisher, number), RABBIT_LATER, why);
    publisher->first = publisher->next = 1;
    for (struct rabbit_publication *one; (one = pop_waiting(publisher));)
        answer(publisher, one, RABBIT_LATER, why);
    publisher->has_channel = publisher->is_blocked = publisher->eats_return = false;
    publisher->careful = 0;
    give_answers(publisher);
}

static int work(struct rabbit_worker *worker, int64_t now_ns)
{
    struct rabbit_publisher *publisher = (struct rabbit_publisher *)worker;
    struct rabbit_session *session = &worker->session;
    if (!session->is_up && publisher->waiting && now_ns < worker->retry_ns)
        give_up(publisher, session->why.text);
    bool may_send = session->is_up && publisher->waiting && !publisher->is_blocked && !atomic_load(&worker->stop);
    if (may_send && (publisher->has_channel || open_channel(publisher)))
        send_waiting(publisher);
    give_answers(publisher);
    if (!session->is_up || !is_any_open(publisher) || publisher->is_blocked)
        return -1;
    int64_t left_ns = (*slot(publisher, publisher->first))->sent_ns + CONFIRM_NS - now_ns;
    if (left_ns < 0) {
        err_set(&session->why, "the broker confirmed nothing for %d s", (int)(CONFIRM_NS / 1000000000));
        session->is_up = false;
    }
    return 1000;
}

static void take(struct rabbit_worker *worker, struct rabbit_order *order)
{
    struct rabbit_publisher *publisher = (struct rabbit_publisher *)worker;
    publisher->is_used = true;
    for (struct mail *mail = order->publications, *next; mail; mail = next) {
        next = mail->next;
        push_waiting(publisher, (struct rabbit_publication *)mail);
    }
}

static bool wants(struct rabbit_worker *worker)
{
    return ((struct rabbit_publisher *)worker)->is_used;
}

static void on_up(struct rabbit_worker *worker)
{
    ((struct rabbit_publisher *)worker)->has_channel = false;
}

static void on_down(struct rabbit_worker *worker)
{
    give_up((struct rabbit_publisher *)worker, worker->session.why.text);
}

static void end(struct rabbit_worker *worker)
{
    struct rabbit_publisher *publisher = (struct rabbit_publisher *)worker;
    give_up(publisher, "closed"); /* nobody listens any more; the loop thread frees them */
    free(publisher->open);
    empty_amqp_pool(&publisher->pool);
}

void rabbit_publisher_init(struct rabbit_publisher *publisher, struct rabbit_setup *setup, struct mailbox *notes)
{
    rabbit_worker_init(&publisher->worker, setup, notes);
    publisher->worker.purpose = "publish";
    publisher->worker.take = take;
    publisher->worker.wants = wants;
    publisher->worker.on_up = on_up;
    publisher->worker.on_down = on_down;
    publisher->worker.work = work;
    publisher->worker.end = end;
    publisher->worker.on_frame = on_frame;
    publisher->waiting_end = &publisher->waiting;
    publisher->answered_end = &publisher->answered;
    publisher->first = publisher->next = 1;
    init_amqp_pool(&publisher->pool, 4096);
}
