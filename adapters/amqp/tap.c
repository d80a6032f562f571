/* tap.c - one source: from looking at the far side to a flowing queue
 *
 *     looking ──► remembering ──► ready ──► flowing ──silence──► ending ──► gone
 *      ▲ │ not as it must be         │         │
 *      └─┴── later ◄─────────────────┴─────────┘ channel lost, queue deleted
 *
 * Nothing is consumed from a queue that does not pass these checks, in this order:
 *
 *   the exchange exists     looked at passively; it belongs to whoever publishes there
 *   our queue is ours       a queue of our name that this node never declared is somebody else's
 *   nobody consumes from it as far as the broker tells; the consumer is exclusive as well
 *
 * A queue named in the manifest (`queue`, `because`) is adopted: it must exist, is neither declared nor bound by
 * us, may have other consumers, and all of that is said loudly.
 *
 * Before the first declare or bind, what we are about to do goes to disk (source_remember): a crash in between
 * must not leave a queue that we do not know as ours, nor a binding that nobody takes away.  The memory is a
 * record of fields `exchange` (once) and `key` (each), every `key` belonging to the `exchange` before it.
 * First it says what there may be: old bindings and new ones; once the old ones are gone, the new ones only. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#define MEMORY_MAX (1u << 20)
#define LOOK_SOON_MS 300 /* our own predecessor, killed a moment ago, may still be listed as a consumer */
#define LOOK_SOON_TIMES 10
#define LOOK_AGAIN_MS 10000
#define LOOK_RARELY_MS 30000
#define SCRATCH 1 /* channel for looking at things: a look at something missing closes its channel */

char *rabbit_tap_queue(const struct source *source)
{
    const char *adopted = settings_text(source->settings, "queue");
    if (adopted)
        return mem_text(adopted);
    struct buf name = BUF_INIT(1000);
    buf_addf(&name, "headgate.%s.%s", source->connection->environment, source->flow);
    return buf_take(&name);
}

struct rabbit_tap *rabbit_tap_new(struct source *source, struct err *err)
{
    const struct settings *settings = source->settings;
    const char *exchange = settings_text(settings, "exchange");
    bool is_adopted = settings_text(settings, "queue") != NULL;
    if (is_adopted && !settings_text(settings, "because")) {
        err_set(err,
                "queue %s is not this flow's own: to consume it is to take what its owner's programs would get; say "
                "`because:`, too, if that is what is meant",
                settings_text(settings, "queue"));
        return NULL;
    }
    if (is_adopted == (exchange != NULL)) {
        err_set(err, is_adopted ? "an adopted `queue` is not bound by Headgate: leave `exchange` away"
                                : "`exchange` is missing: where do the events come from?");
        return NULL;
    }
    struct rabbit_tap *tap = mem_zero(sizeof *tap);
    tap->source = source;
    tap->exchange = mem_text(exchange);
    tap->queue = rabbit_tap_queue(source);
    tap->type = mem_text(settings_text(settings, "type"));
    tap->because = mem_text(settings_text(settings, "because"));
    struct buf name = BUF_INIT(255);
    buf_addf(&name, "headgate.%s.%s", source->connection->environment, source->flow);
    tap->own_name = buf_take(&name);
    tap->key_count = settings_count(settings, "keys");
    tap->keys = mem_zero((tap->key_count + 1) * sizeof *tap->keys);
    for (size_t i = 0; i < tap->key_count; i++)
        tap->keys[i] = mem_text(settings_item(settings, "keys", i));
    if (tap->key_count == 0)
        tap->keys[tap->key_count++] = mem_text("#");
    tap->is_adopted = is_adopted;
    tap->is_quorum = strcmp(settings_text(settings, "queue_type"), "quorum") == 0;
    tap->was_declared = source->declared_before;
    tap->body_limit = source->body_limit;
    tap->memory = (struct buf)BUF_INIT(MEMORY_MAX);
    buf_add_slice(&tap->memory, source->memory);
    tap->events_end = &tap->events;
    rabbit_message_init(&tap->message);
    rabbit_acks_init(&tap->acks);
    return tap;
}

void rabbit_tap_free(struct rabbit_tap *tap)
{
    for (size_t i = 0; i < tap->key_count; i++)
        free(tap->keys[i]);
    free(tap->keys);
    free(tap->exchange);
    free(tap->queue);
    free(tap->type);
    free(tap->because);
    free(tap->own_name);
    free(tap->promise);
    buf_clear(&tap->memory);
    rabbit_message_clear(&tap->message);
    rabbit_acks_clear(&tap->acks);
    for (struct mail *mail = tap->events, *next; mail; mail = next) {
        next = mail->next;
        event_free((struct event *)mail);
    }
    free(tap);
}

void rabbit_tap_lost(struct rabbit_tap *tap, int64_t look_ns)
{
    tap->channel = 0;
    tap->is_cancelled = false;
    tap->epoch = 0; /* acks of deliveries before are for a channel that is no more: the broker delivers them again */
    tap->message.state = RABBIT_IDLE;
    rabbit_acks_clear(&tap->acks);
    if (tap->state == RABBIT_TAP_REFUSED || tap->state == RABBIT_TAP_ENDING)
        return;
    tap->state = RABBIT_TAP_LOOKING;
    tap->look_ns = look_ns;
}

/* ---- looking ---------------------------------------------------------------------------------- */

static void say(struct rabbit_consumer *consumer, struct rabbit_tap *tap, enum source_state state, int again_ms,
                const char *format, ...) __attribute__((format(printf, 5, 6)));
static void say(struct rabbit_consumer *consumer, struct rabbit_tap *tap, enum source_state state, int again_ms,
                const char *format, ...)
{
    char text[RABBIT_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rabbit_note_say(&consumer->worker, RABBIT_SOURCE_STATE, tap, state, "%s", text);
    if (again_ms) {
        tap->state = RABBIT_TAP_LOOKING;
        tap->look_ns = clock_mono_ns() + (int64_t)again_ms * 1000000;
    }
}

static bool exchange_is_there(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    struct rabbit_session *session = &consumer->worker.session;
    enum rabbit_answer answer = rabbit_session_look_at_exchange(session, SCRATCH, tap->exchange);
    if (answer != RABBIT_CLOSED)
        return answer == RABBIT_OK;
    consumer->has_scratch = false;
    if (session->close_code == AMQP_NOT_FOUND)
        say(consumer, tap, SOURCE_REFUSED, LOOK_RARELY_MS,
            "exchange %s does not exist; Headgate does not declare exchanges, whoever publishes there does",
            tap->exchange);
    else
        say(consumer, tap, SOURCE_REFUSED, LOOK_RARELY_MS, "exchange %s: %s", tap->exchange, session->close_text);
    return false;
}

static bool nobody_consumes(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    unsigned others = consumer->worker.session.consumer_count;
    if (others == 0) {
        tap->looks = 0;
        return true;
    }
    bool is_soon = ++tap->looks <= LOOK_SOON_TIMES;
    say(consumer, tap, is_soon ? SOURCE_WAITING : SOURCE_REFUSED, is_soon ? LOOK_SOON_MS : LOOK_AGAIN_MS,
        "queue %s has %u other consumer%s; Headgate does not share its queues", tap->queue, others,
        others == 1 ? "" : "s");
    return false;
}

/* The broker tells how many consume, not who: that is its own tool's to say. */
static bool say_whose(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    unsigned others = consumer->worker.session.consumer_count;
    say(consumer, tap, SOURCE_REFUSED, LOOK_RARELY_MS,
        "queue %s is somebody else's: it was not declared by this Headgate, and %u consumer%s take%s from it "
        "(`rabbitmqctl list_consumers` says who); adopt it with `queue:` and `because:` if it is yours",
        tap->queue, others, others == 1 ? "" : "s", others == 1 ? "s" : "");
    return false;
}

static bool queue_is_ours_or_free(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    struct rabbit_session *session = &consumer->worker.session;
    enum rabbit_answer answer = rabbit_session_look_at_queue(session, SCRATCH, tap->queue);
    if (answer == RABBIT_DEAD)
        return false;
    if (answer == RABBIT_OK && tap->is_adopted)
        return true;
    if (answer == RABBIT_OK && !tap->was_declared)
        return say_whose(consumer, tap);
    if (answer == RABBIT_OK)
        return nobody_consumes(consumer, tap);
    consumer->has_scratch = false;
    if (session->close_code == AMQP_NOT_FOUND && !tap->is_adopted)
        return true;
    if (session->close_code == AMQP_NOT_FOUND)
        say(consumer, tap, SOURCE_REFUSED, LOOK_RARELY_MS, "queue %s, to be adopted, does not exist", tap->queue);
    else
        say(consumer, tap, SOURCE_REFUSED, LOOK_RARELY_MS, "queue %s: %s", tap->queue, session->close_text);
    return false;
}

static bool has_scratch(struct rabbit_consumer *consumer)
{
    if (!consumer->has_scratch)
        consumer->has_scratch = rabbit_session_open_channel(&consumer->worker.session, SCRATCH) == RABBIT_OK;
    return consumer->has_scratch;
}

/* ---- bindings ----------------------------------------------------------------------------------- */

static bool wants_binding(const struct rabbit_tap *tap, struct slice exchange, struct slice key)
{
    bool is_wanted = false;
    for (size_t i = 0; i < tap->key_count && slice_is(exchange, tap->exchange); i++)
        is_wanted = is_wanted || slice_is(key, tap->keys[i]);
    return is_wanted;
}

/* Walks the bindings in a memory: start with *at = 0 and no exchange; false at the end. */
static bool next_binding(struct slice memory, size_t *at, struct slice *exchange, struct slice *key)
{
    struct field field;
    while (record_next(memory, at, &field)) {
        if (slice_is(field.name, "exchange")) {
            *exchange = field.value;
        } else if (slice_is(field.name, "key")) {
            *key = field.value;
            return true;
        }
    }
    return false;
}

/* What there may be from now on: all wanted bindings, and with `old` what is known of earlier ones. */
static struct buf memory_of(const struct rabbit_tap *tap, bool with_old)
{
    struct buf memory = BUF_INIT(MEMORY_MAX);
    struct slice exchange = SLICE_NONE, key;
    size_t at = 0;
    while (with_old && next_binding(buf_slice(&tap->memory), &at, &exchange, &key)) {
        if (wants_binding(tap, exchange, key))
            continue;
        record_add_text(&memory, "exchange", exchange);
        record_add_text(&memory, "key", key);
    }
    record_add_text(&memory, "exchange", slice_of(tap->exchange));
    for (size_t i = 0; i < tap->key_count; i++)
        record_add_text(&memory, "key", slice_of(tap->keys[i]));
    return memory;
}

/* Returns true if it was so already. */
static bool remember(struct rabbit_consumer *consumer, struct rabbit_tap *tap, bool with_old)
{
    struct buf memory = memory_of(tap, with_old);
    bool is_known = tap->was_declared && slice_equal(buf_slice(&memory), buf_slice(&tap->memory));
    if (!is_known)
        rabbit_note_put(&consumer->worker, RABBIT_REMEMBER, tap, 0, NULL, buf_slice(&memory));
    buf_clear(&tap->memory);
    tap->memory = memory;
    return is_known;
}

static void look(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    if (!has_scratch(consumer) || (tap->exchange && !exchange_is_there(consumer, tap)))
        return;
    if (!has_scratch(consumer) || !queue_is_ours_or_free(consumer, tap))
        return;
    if (tap->is_adopted || remember(consumer, tap, true))
        tap->state = RABBIT_TAP_READY;
    else
        tap->state = RABBIT_TAP_REMEMBERING;
}

/* ---- declare, bind, consume ----------------------------------------------------------------------- */

static enum rabbit_answer declare(struct rabbit_session *session, struct rabbit_tap *tap)
{
    amqp_table_entry_t kind = {.key = amqp_cstring_bytes("x-queue-type"), .value.kind = AMQP_FIELD_KIND_UTF8};
    kind.value.value.bytes = amqp_cstring_bytes("quorum");
    amqp_queue_declare_t queue = {.queue = amqp_cstring_bytes(tap->queue), .durable = 1};
    queue.arguments = (amqp_table_t){tap->is_quorum ? 1 : 0, &kind};
    return rabbit_session_call(session, tap->channel, AMQP_QUEUE_DECLARE_METHOD, &queue, AMQP_QUEUE_DECLARE_OK_METHOD);
}

static enum rabbit_answer bind_keys(struct rabbit_session *session, struct rabbit_tap *tap)
{
    enum rabbit_answer answer = RABBIT_OK;
    for (size_t i = 0; i < tap->key_count && answer == RABBIT_OK; i++) {
        amqp_queue_bind_t bind = {.queue = amqp_cstring_bytes(tap->queue),
                                  .exchange = amqp_cstring_bytes(tap->exchange),
                                  .routing_key = amqp_cstring_bytes(tap->keys[i])};
        answer = rabbit_session_call(session, tap->channel, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD);
    }
    return answer;
}

static enum rabbit_answer unbind_old_keys(struct rabbit_session *session, struct rabbit_tap *tap)
{
    enum rabbit_answer answer = RABBIT_OK;
    struct slice exchange = SLICE_NONE, key;
    size_t at = 0;
    while (answer == RABBIT_OK && next_binding(buf_slice(&tap->memory), &at, &exchange, &key)) {
        if (wants_binding(tap, exchange, key))
            continue;
        amqp_queue_unbind_t unbind = {.queue = amqp_cstring_bytes(tap->queue),
                                      .exchange = rabbit_bytes(exchange),
                                      .routing_key = rabbit_bytes(key)};
        log_info("queue %s: no longer bound to %.*s by %.*s", tap->queue, SLICE_ARG(exchange), SLICE_ARG(key));
        answer =
            rabbit_session_call(session, tap->channel, AMQP_QUEUE_UNBIND_METHOD, &unbind, AMQP_QUEUE_UNBIND_OK_METHOD);
    }
    return answer;
}

static enum rabbit_answer consume(struct rabbit_session *session, struct rabbit_tap *tap, unsigned prefetch)
{
    amqp_basic_qos_t qos = {.prefetch_count = (uint16_t)prefetch};
    enum rabbit_answer answer =
        rabbit_session_call(session, tap->channel, AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD);
    amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(tap->queue),
                                    .consumer_tag = amqp_cstring_bytes(tap->own_name),
                                    .exclusive = !tap->is_adopted};
    if (answer == RABBIT_OK)
        answer = rabbit_session_call(session, tap->channel, AMQP_BASIC_CONSUME_METHOD, &consume,
                                     AMQP_BASIC_CONSUME_OK_METHOD);
    return answer;
}

static amqp_channel_t free_channel(const struct rabbit_consumer *consumer)
{
    for (unsigned number = SCRATCH + 1; number <= consumer->worker.session.channel_max; number++) {
        const struct rabbit_tap *tap = consumer->taps;
        while (tap && tap->channel != number)
            tap = tap->next;
        if (!tap)
            return (amqp_channel_t)number;
    }
    return 0;
}

static void say_flowing(struct rabbit_consumer *consumer, struct rabbit_tap *tap, unsigned others)
{
    if (!tap->is_adopted) {
        say(consumer, tap, SOURCE_LISTENING, 0, "queue %s", tap->queue);
        return;
    }
    log_warning("queue %s was not declared by Headgate; it is consumed, beside %u others, because: %s", tap->queue,
                others, tap->because);
    say(consumer, tap, SOURCE_LISTENING, 0, "adopted queue %s, %u other consumers; because: %s", tap->queue, others,
        tap->because);
}

static void begin(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    struct rabbit_session *session = &consumer->worker.session;
    unsigned others = session->consumer_count;
    tap->channel = free_channel(consumer);
    if (tap->channel == 0) {
        say(consumer, tap, SOURCE_REFUSED, LOOK_RARELY_MS, "the broker allows no more than %u channels",
            session->channel_max);
        return;
    }
    tap->epoch = ++consumer->epochs;
    tap->is_stray = tap->is_cancelled = false;
    rabbit_acks_clear(&tap->acks);
    enum rabbit_answer answer = rabbit_session_open_channel(session, tap->channel);
    if (answer == RABBIT_OK && !tap->is_adopted) {
        answer = declare(session, tap);
        answer = answer == RABBIT_OK ? bind_keys(session, tap) : answer;
        answer = answer == RABBIT_OK ? unbind_old_keys(session, tap) : answer;
        if (answer == RABBIT_OK)
            remember(consumer, tap, false);
    }
    if (answer == RABBIT_OK)
        answer = consume(session, tap, consumer->worker.setup->prefetch);
    if (answer == RABBIT_OK) {
        tap->state = RABBIT_TAP_FLOWING;
        say_flowing(consumer, tap, others);
    } else if (answer == RABBIT_CLOSED) {
        tap->channel = 0;
        tap->epoch = 0;
        say(consumer, tap, SOURCE_REFUSED, LOOK_AGAIN_MS, "queue %s: %s", tap->queue, session->close_text);
    }
}

/* ---- ending ------------------------------------------------------------------------------------------ */

static void cancel(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    tap->is_stray = true; /* what is under way is put back */
    amqp_basic_cancel_t cancel = {.consumer_tag = amqp_cstring_bytes(tap->own_name)};
    rabbit_session_call(&consumer->worker.session, tap->channel, AMQP_BASIC_CANCEL_METHOD, &cancel,
                        AMQP_BASIC_CANCEL_OK_METHOD);
}

void rabbit_tap_leave(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    if (tap->channel && tap->state == RABBIT_TAP_FLOWING)
        cancel(consumer, tap);
    tap->state = RABBIT_TAP_ENDING;
}

static void close_channel(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    amqp_channel_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("done")};
    rabbit_session_call(&consumer->worker.session, tap->channel, AMQP_CHANNEL_CLOSE_METHOD, &close,
                        AMQP_CHANNEL_CLOSE_OK_METHOD);
    tap->channel = 0;
}

static void end_if_answered(struct rabbit_consumer *consumer, struct rabbit_tap *tap)
{
    if (tap->channel && tap->acks.open)
        return;
    if (tap->channel)
        close_channel(consumer, tap);
    struct rabbit_tap **at = &consumer->taps;
    while (*at != tap)
        at = &(*at)->next;
    *at = tap->next;
    rabbit_note_put(&consumer->worker, RABBIT_TAP_GONE, tap, 0, NULL, SLICE_NONE); /* the loop thread frees it */
}

void rabbit_tap_step(struct rabbit_consumer *consumer, struct rabbit_tap *tap, int64_t now_ns)
{
    bool is_up = consumer->worker.session.is_up;
    if (is_up && tap->is_cancelled) { /* the queue may be there again: look, declare, bind anew */
        close_channel(consumer, tap);
        rabbit_tap_lost(tap, now_ns);
    }
    if (is_up && tap->state == RABBIT_TAP_LOOKING && now_ns >= tap->look_ns)
        look(consumer, tap);
    if (is_up && tap->state == RABBIT_TAP_READY)
        begin(consumer, tap);
    if (is_up && tap->state == RABBIT_TAP_FLOWING && tap->stranger[0]) {
        cancel(consumer, tap);
        tap->state = RABBIT_TAP_REFUSED;
        say(consumer, tap, SOURCE_REFUSED, 0, "%s; it was put back and nothing was done with it", tap->stranger);
    }
    if (tap->state == RABBIT_TAP_ENDING)
        end_if_answered(consumer, tap);
}
