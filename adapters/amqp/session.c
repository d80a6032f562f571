/* session.c - one AMQP 0-9-1 connection: login, frames in and out, heartbeat
 *
 *     we: header ─► start ─► start-ok ─► tune ─► tune-ok, open ─► open-ok: up
 *
 * librabbitmq encodes methods and properties and parses frames; bytes go through link.c.  All that is to be sent
 * is gathered in `out` as whole frames, so a heartbeat can be put in at any time and a batch leaves with one
 * send().  A session that broke stays broken: `why` says why, and its owner opens a new one.
 *
 * We announce two capabilities without which the broker stays silent about what we must know:
 * consumer_cancel_notify (a queue was deleted) and connection.blocked (it takes no messages now);
 * https://www.rabbitmq.com/consumer-cancel.html, https://www.rabbitmq.com/connection-blocked.html. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"

#include <poll.h>

#define IN_SIZE 65536               /* bytes received at once */
#define OUT_MAX ((size_t)512 << 20) /* a message of the largest size, and then some */
#define METHOD_MAX 8192             /* bytes of an encoded method: names are at most 255, our tables small */
#define CALL_NS 10000000000LL       /* how long a reply may take */
#define GOODBYE_NS 500000000LL      /* how long closing may take */

static bool fail(struct rabbit_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct rabbit_session *session, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(session->why.text, sizeof session->why.text, format, args);
    va_end(args);
    session->is_up = false;
    return false;
}

/* ---- out ------------------------------------------------------------------------------------ */

static void put_16(char *to, uint16_t value)
{
    to[0] = (char)(value >> 8);
    to[1] = (char)value;
}

static void put_32(char *to, uint32_t value)
{
    put_16(to, (uint16_t)(value >> 16));
    put_16(to + 2, (uint16_t)value);
}

/* Completes the frame whose payload of `size` bytes stands at out.data + out.size + 7. */
static void frame_end(struct rabbit_session *session, uint8_t type, amqp_channel_t channel, size_t size)
{
    char *at = session->out.data + session->out.size;
    at[0] = (char)type;
    put_16(at + 1, channel);
    put_32(at + 3, (uint32_t)size);
    at[7 + size] = (char)AMQP_FRAME_END;
    session->out.size += size + 8;
}

/* Room for a frame; where its payload goes.  NULL: too much is waiting. */
static char *frame_begin(struct rabbit_session *session, size_t most)
{
    char *at = buf_reserve(&session->out, most + 8);
    if (!at)
        fail(session, "%zu bytes wait to be sent", session->out.size);
    return at ? at + 7 : NULL;
}

void rabbit_session_send(struct rabbit_session *session, amqp_channel_t channel, amqp_method_number_t method,
                         void *decoded)
{
    char *at = frame_begin(session, METHOD_MAX);
    if (!at)
        return;
    put_32(at, method);
    int size = amqp_encode_method(method, decoded, (amqp_bytes_t){METHOD_MAX - 4, at + 4});
    if (size < 0)
        fail(session, "%s does not fit a frame", amqp_method_name(method));
    else
        frame_end(session, AMQP_FRAME_METHOD, channel, (size_t)size + 4);
}

void rabbit_session_publish(struct rabbit_session *session, amqp_channel_t channel, amqp_basic_publish_t *publish,
                            amqp_basic_properties_t *properties, struct slice body)
{
    rabbit_session_send(session, channel, AMQP_BASIC_PUBLISH_METHOD, publish);
    size_t most = session->frame_max - 8;
    char *at = frame_begin(session, most);
    if (!at)
        return;
    put_16(at, AMQP_BASIC_CLASS);
    put_16(at + 2, 0);
    put_32(at + 4, (uint32_t)((uint64_t)body.size >> 32));
    put_32(at + 8, (uint32_t)body.size);
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, properties, (amqp_bytes_t){most - 12, at + 12});
    if (size < 0) {
        fail(session, "the properties of a message do not fit a frame");
        return;
    }
    frame_end(session, AMQP_FRAME_HEADER, channel, (size_t)size + 12);
    while (body.size && (at = frame_begin(session, body.size < most ? body.size : most))) {
        size_t part = body.size < most ? body.size : most;
        memcpy(at, body.data, part);
        frame_end(session, AMQP_FRAME_BODY, channel, part);
        body = (struct slice){body.data + part, body.size - part};
    }
}

bool rabbit_session_flush(struct rabbit_session *session)
{
    while (session->is_up && session->sent < session->out.size) {
        ssize_t put = rabbit_link_write(&session->link, session->out.data + session->sent,
                                        session->out.size - session->sent, &session->why);
        if (put < 0)
            session->is_up = false;
        if (put <= 0)
            return put == 0;
        session->sent += (size_t)put;
        session->spoke_ns = clock_mono_ns();
    }
    session->sent = 0;
    if (session->out.room > 4u << 20)
        buf_clear(&session->out); /* a large message has gone */
    else
        buf_reset(&session->out);
    return session->is_up;
}

/* ---- in ------------------------------------------------------------------------------------- */

static amqp_table_entry_t entry_bool(const char *key)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key), .value.kind = AMQP_FIELD_KIND_BOOLEAN};
    entry.value.value.boolean = 1;
    return entry;
}

static amqp_table_entry_t entry_text(const char *key, const char *text)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key), .value.kind = AMQP_FIELD_KIND_UTF8};
    entry.value.value.bytes = amqp_cstring_bytes(text);
    return entry;
}

/* Who we are, and user and password (SASL PLAIN; RabbitMQ always offers it unless its operator removed it). */
static void on_start(struct rabbit_session *session, const amqp_connection_start_t *start)
{
    struct slice product = rabbit_table_text(&start->server_properties, "product");
    struct slice version = rabbit_table_text(&start->server_properties, "version");
    snprintf(session->server, sizeof session->server, "%.*s %.*s", SLICE_ARG(product), SLICE_ARG(version));

    const struct rabbit_setup *setup = session->setup;
    char name[4 * NAME_MAX_BYTES];
    snprintf(name, sizeof name, "headgate/%s/%s/%s", setup->environment, setup->name, session->purpose);
    amqp_table_entry_t capabilities[] = {
        entry_bool("consumer_cancel_notify"), entry_bool("connection.blocked"),           entry_bool("basic.nack"),
        entry_bool("publisher_confirms"),     entry_bool("authentication_failure_close"),
    };
    amqp_table_entry_t about[] = {
        {.key = amqp_cstring_bytes("capabilities"), .value.kind = AMQP_FIELD_KIND_TABLE},
        entry_text("connection_name", name),
        entry_text("product", "Headgate"),
    };
    about[0].value.value.table = (amqp_table_t){sizeof capabilities / sizeof *capabilities, capabilities};

    struct buf login = BUF_INIT(METHOD_MAX / 2);
    bool ok = buf_add_char(&login, 0) && buf_add_text(&login, setup->address.user) && buf_add_char(&login, 0)
              && buf_add_text(&login, setup->address.password);
    amqp_connection_start_ok_t reply = {
        .client_properties = {sizeof about / sizeof *about, about},
        .mechanism = amqp_cstring_bytes("PLAIN"),
        .response = rabbit_bytes(buf_slice(&login)),
        .locale = amqp_cstring_bytes("en_US"),
    };
    if (ok)
        rabbit_session_send(session, 0, AMQP_CONNECTION_START_OK_METHOD, &reply);
    else
        fail(session, "user and password are too long");
    if (login.data)
        explicit_bzero(login.data, login.size);
    buf_clear(&login);
}

static void on_tune(struct rabbit_session *session, const amqp_connection_tune_t *tune)
{
    bool is_smaller = tune->frame_max != 0 && tune->frame_max < RABBIT_FRAME_MAX;
    session->frame_max = is_smaller ? tune->frame_max : RABBIT_FRAME_MAX;
    session->channel_max = tune->channel_max ? tune->channel_max : 65535;
    session->heartbeat_s = session->setup->heartbeat_s;
    if (tune->heartbeat != 0 && tune->heartbeat < session->heartbeat_s)
        session->heartbeat_s = tune->heartbeat;
    if (session->frame_max < 4096
        || amqp_tune_connection(session->codec, (int)session->channel_max, (int)session->frame_max, 0)
               != AMQP_STATUS_OK) {
        fail(session, "the broker wants frames of %zu bytes", session->frame_max);
        return;
    }
    amqp_connection_tune_ok_t reply = {.channel_max = (uint16_t)session->channel_max,
                                       .frame_max = (uint32_t)session->frame_max,
                                       .heartbeat = (uint16_t)session->heartbeat_s};
    rabbit_session_send(session, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &reply);
    amqp_connection_open_t open = {.virtual_host = amqp_cstring_bytes(session->setup->address.vhost),
                                   .capabilities = amqp_empty_bytes};
    rabbit_session_send(session, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
}

static void on_connection_close(struct rabbit_session *session, const amqp_connection_close_t *closed)
{
    amqp_connection_close_ok_t reply = {0};
    rabbit_session_send(session, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &reply);
    rabbit_session_flush(session);
    fail(session, "closed by the broker: %d %.*s", closed->reply_code, SLICE_ARG(rabbit_slice(closed->reply_text)));
}

static void on_channel_close(struct rabbit_session *session, const amqp_frame_t *frame)
{
    const amqp_channel_close_t *closed = frame->payload.method.decoded;
    session->close_code = closed->reply_code;
    snprintf(session->close_text, sizeof session->close_text, "%.*s", SLICE_ARG(rabbit_slice(closed->reply_text)));
    amqp_channel_close_ok_t reply = {0};
    rabbit_session_send(session, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &reply);
    if (session->awaited && session->awaited_channel == frame->channel) {
        session->awaited = 0;
        session->answer = RABBIT_CLOSED;
    }
}

static void take_frame(struct rabbit_session *session, const amqp_frame_t *frame)
{
    amqp_method_number_t method = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;
    if (session->awaited && method == session->awaited && frame->channel == session->awaited_channel) {
        if (method == AMQP_QUEUE_DECLARE_OK_METHOD) {
            const amqp_queue_declare_ok_t *queue = frame->payload.method.decoded;
            session->message_count = queue->message_count;
            session->consumer_count = queue->consumer_count;
        }
        session->awaited = 0;
        session->answer = RABBIT_OK;
    } else if (method == AMQP_CONNECTION_START_METHOD) {
        on_start(session, frame->payload.method.decoded);
    } else if (method == AMQP_CONNECTION_TUNE_METHOD) {
        on_tune(session, frame->payload.method.decoded);
    } else if (method == AMQP_CONNECTION_CLOSE_METHOD) {
        on_connection_close(session, frame->payload.method.decoded);
    } else if (frame->frame_type != AMQP_FRAME_HEARTBEAT) {
        if (method == AMQP_CHANNEL_CLOSE_METHOD)
            on_channel_close(session, frame);
        if (session->on_frame)
            session->on_frame(session->context, frame);
    }
}

static bool parse(struct rabbit_session *session, size_t size)
{
    amqp_bytes_t rest = {size, session->in};
    while (rest.len && session->is_up) {
        amqp_frame_t frame;
        int used = amqp_handle_input(session->codec, rest, &frame);
        if (used < 0)
            return fail(session, "what the broker sends is no AMQP: %s", amqp_error_string2(used));
        rest.bytes = (char *)rest.bytes + used;
        rest.len -= (size_t)used;
        if (frame.frame_type == 'A') /* a protocol header: it wants another version */
            return fail(session, "the broker does not speak AMQP 0-9-1");
        if (frame.frame_type == 0)
            continue; /* not complete yet */
        take_frame(session, &frame);
        amqp_maybe_release_buffers_on_channel(session->codec, frame.channel);
    }
    return session->is_up;
}

static void keep_heartbeat(struct rabbit_session *session)
{
    if (!session->heartbeat_s)
        return;
    int64_t now_ns = clock_mono_ns(), interval_ns = (int64_t)session->heartbeat_s * 1000000000;
    if (now_ns - session->heard_ns > 2 * interval_ns) {
        fail(session, "nothing heard from the broker for %u s", 2 * session->heartbeat_s);
    } else if (now_ns - session->spoke_ns > interval_ns / 2 && session->out.size == 0) {
        char *at = frame_begin(session, 0);
        if (at)
            frame_end(session, AMQP_FRAME_HEARTBEAT, 0, 0);
    }
}

bool rabbit_session_pump(struct rabbit_session *session)
{
    if (!session->is_up)
        return false;
    bool has_input = session->is_readable || session->has_more;
    ssize_t got = has_input ? rabbit_link_read(&session->link, session->in, IN_SIZE, &session->why) : 0;
    session->is_readable = false;
    if (got < 0) {
        session->is_up = false;
        return false;
    }
    session->has_more = got == IN_SIZE || (session->link.ssl && SSL_pending(session->link.ssl) > 0);
    if (got > 0)
        session->heard_ns = clock_mono_ns();
    if (got > 0 && !parse(session, (size_t)got))
        return false;
    keep_heartbeat(session);
    return rabbit_session_flush(session);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static enum rabbit_answer await(struct rabbit_session *session, amqp_channel_t channel, amqp_method_number_t reply,
                                int64_t patience_ns)
{
    int64_t until_ns = clock_mono_ns() + patience_ns;
    session->awaited_channel = channel;
    session->awaited = reply;
    session->answer = RABBIT_DEAD;
    rabbit_session_flush(session);
    while (session->is_up && session->awaited) {
        short events = session->out.size ? POLLIN | POLLOUT : POLLIN;
        struct pollfd poll_fd = {.fd = session->link.fd, .events = events};
        if (!session->has_more)
            session->is_readable = poll(&poll_fd, 1, 100) > 0 && poll_fd.revents & ~POLLOUT;
        rabbit_session_pump(session);
        if (session->is_up && session->awaited && clock_mono_ns() > until_ns)
            fail(session, "no %s within %d s", amqp_method_name(reply), (int)(patience_ns / 1000000000));
        else if (session->is_up && session->awaited && atomic_load(session->stop) && patience_ns == CALL_NS)
            fail(session, "told to stop");
    }
    session->awaited = 0;
    return session->is_up ? session->answer : RABBIT_DEAD;
}

enum rabbit_answer rabbit_session_call(struct rabbit_session *session, amqp_channel_t channel,
                                       amqp_method_number_t method, void *decoded, amqp_method_number_t reply)
{
    if (!session->is_up)
        return RABBIT_DEAD;
    rabbit_session_send(session, channel, method, decoded);
    return await(session, channel, reply, CALL_NS);
}

enum rabbit_answer rabbit_session_open_channel(struct rabbit_session *session, amqp_channel_t channel)
{
    amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
    return rabbit_session_call(session, channel, AMQP_CHANNEL_OPEN_METHOD, &open, AMQP_CHANNEL_OPEN_OK_METHOD);
}

enum rabbit_answer rabbit_session_look_at_queue(struct rabbit_session *session, amqp_channel_t channel,
                                                const char *queue)
{
    amqp_queue_declare_t look = {.queue = amqp_cstring_bytes(queue), .passive = 1};
    return rabbit_session_call(session, channel, AMQP_QUEUE_DECLARE_METHOD, &look, AMQP_QUEUE_DECLARE_OK_METHOD);
}

enum rabbit_answer rabbit_session_look_at_exchange(struct rabbit_session *session, amqp_channel_t channel,
                                                   const char *exchange)
{
    /* A passive declare ignores the type, but some brokers want to see a known one. */
    amqp_exchange_declare_t look = {
        .exchange = amqp_cstring_bytes(exchange), .type = amqp_cstring_bytes("topic"), .passive = 1};
    return rabbit_session_call(session, channel, AMQP_EXCHANGE_DECLARE_METHOD, &look, AMQP_EXCHANGE_DECLARE_OK_METHOD);
}

/* ---- open and close -------------------------------------------------------------------------- */

bool rabbit_session_open(struct rabbit_session *session, const struct rabbit_setup *setup, const char *purpose,
                         const atomic_bool *stop, struct err *err)
{
    session->setup = setup;
    session->stop = stop;
    session->is_up = false;
    session->sent = 0;
    session->has_more = false;
    session->frame_max = 4096; /* until it is agreed */
    session->heartbeat_s = 0;
    session->out.limit = OUT_MAX;
    buf_reset(&session->out);
    snprintf(session->purpose, sizeof session->purpose, "%s", purpose);
    if (!rabbit_link_open(&session->link, setup, stop, err))
        return err_wrap(err, "%s:%d", setup->address.host, setup->address.port);
    session->codec = amqp_new_connection();
    if (!session->codec)
        abort(); /* no memory */
    session->in = session->in ? session->in : mem_new(IN_SIZE);
    session->heard_ns = session->spoke_ns = clock_mono_ns();
    session->is_up = true;
    buf_add(&session->out, "AMQP\0\0\x09\x01", 8);
    if (await(session, 0, AMQP_CONNECTION_OPEN_OK_METHOD, CALL_NS) == RABBIT_OK)
        return true;
    *err = session->why;
    rabbit_session_close(session);
    return err_wrap(err, "%s:%d", setup->address.host, setup->address.port);
}

void rabbit_session_close(struct rabbit_session *session)
{
    if (session->is_up) {
        amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("goodbye")};
        session->on_frame = NULL; /* what still comes was never ours: the broker keeps it */
        rabbit_session_send(session, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
        await(session, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, GOODBYE_NS);
    }
    session->is_up = false;
    if (session->codec) {
        rabbit_link_close(&session->link);
        amqp_destroy_connection(session->codec);
        session->codec = NULL;
    }
    buf_clear(&session->out);
    free(session->in);
    session->in = NULL;
}
