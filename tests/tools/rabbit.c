/* rabbit.c - a small hand for RabbitMQ: what tests, demo and bench do at the broker
 *
 *     rabbit --port P declare-exchange NAME TYPE | delete-exchange NAME | declare-queue NAME | delete-queue NAME
 *     rabbit --port P bind QUEUE EXCHANGE KEY | count QUEUE
 *     rabbit --port P publish EXCHANGE KEY [--headers JSON] [--type T] [--content-type C] [--message-id I]
 *                     [--rate N] [--confirm] [--raw] [--keyed]
 *         one message a line of stdin; --raw: all of stdin is one; --keyed: a line is "KEY<TAB>BODY"
 *     rabbit --port P consume QUEUE [--count N] [--timeout-ms T] [--no-ack]
 *         prints one JSON object a message; ends after N messages, or T ms without one
 *     rabbit --port P hold QUEUE         consumes and never acknowledges, until it is killed
 *
 * An exchange "-" is the default one.  librabbitmq's plain calls, and no line shared with the adapter, so that
 * one can find the other wrong.  Exit codes: 0; 1 the broker refused or is gone; 64 wrong usage. */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define WINDOW 500 /* messages published and not yet confirmed */

static amqp_connection_state_t link;
static const char *port = "5672", *host = "127.0.0.1";
static const char *headers, *type, *content_type, *message_id;
static long rate, count = -1, timeout_ms = -1;
static bool is_raw, is_keyed, wants_confirm, wants_no_ack;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "rabbit: %s: %s\n", what, why);
    exit(1);
}

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
        die(what, amqp_error_string2(reply.library_error));
    /* connection.close and channel.close begin with the same two fields */
    amqp_channel_close_t *closed = reply.reply.decoded;
    char text[300];
    snprintf(text, sizeof text, "%.*s", (int)closed->reply_text.len, (char *)closed->reply_text.bytes);
    die(what, text);
}

static void check_status(int status, const char *what)
{
    if (status != AMQP_STATUS_OK)
        die(what, amqp_error_string2(status));
}

static amqp_bytes_t bytes(const char *text)
{
    return amqp_cstring_bytes(strcmp(text, "-") == 0 ? "" : text);
}

static void open_link(void)
{
    link = amqp_new_connection();
    amqp_socket_t *sock = amqp_tcp_socket_new(link);
    struct timeval patience = {10, 0};
    check_status(amqp_socket_open_noblock(sock, host, atoi(port), &patience), "connect");
    check(amqp_login(link, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(link, 1);
    check(amqp_get_rpc_reply(link), "open a channel");
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- publish --------------------------------------------------------------------------------------- */

static json_t *header_object;   /* the table of headers points into it */
static amqp_pool_t header_pool; /* what the table is made of */

static amqp_field_value_t to_field(json_t *value);

static amqp_table_t to_table(json_t *object)
{
    size_t room = (json_object_size(object) + 1) * sizeof(amqp_table_entry_t); /* never 0 */
    amqp_table_t table = {0, amqp_pool_alloc(&header_pool, room)};
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        table.entries[table.num_entries].key = amqp_cstring_bytes(name);
        table.entries[table.num_entries++].value = to_field(value);
    }
    return table;
}

static amqp_field_value_t to_field(json_t *value)
{
    amqp_field_value_t field = {.kind = AMQP_FIELD_KIND_VOID};
    if (json_is_string(value)) {
        field.kind = AMQP_FIELD_KIND_UTF8;
        field.value.bytes = amqp_cstring_bytes(json_string_value(value));
    } else if (json_is_integer(value)) {
        field.kind = AMQP_FIELD_KIND_I64;
        field.value.i64 = json_integer_value(value);
    } else if (json_is_real(value)) {
        field.kind = AMQP_FIELD_KIND_F64;
        field.value.f64 = json_real_value(value);
    } else if (json_is_boolean(value)) {
        field.kind = AMQP_FIELD_KIND_BOOLEAN;
        field.value.boolean = json_is_true(value);
    } else if (json_is_object(value)) {
        field.kind = AMQP_FIELD_KIND_TABLE;
        field.value.table = to_table(value);
    } else if (json_is_array(value)) {
        field.kind = AMQP_FIELD_KIND_ARRAY;
        field.value.array.num_entries = (int)json_array_size(value);
        field.value.array.entries =
            amqp_pool_alloc(&header_pool, (json_array_size(value) + 1) * sizeof(amqp_field_value_t));
        for (size_t i = 0; i < json_array_size(value); i++)
            field.value.array.entries[i] = to_field(json_array_get(value, i));
    }
    return field;
}

static amqp_basic_properties_t make_properties(void)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    if (type) {
        properties._flags |= AMQP_BASIC_TYPE_FLAG;
        properties.type = amqp_cstring_bytes(type);
    }
    if (content_type) {
        properties._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        properties.content_type = amqp_cstring_bytes(content_type);
    }
    if (message_id) {
        properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        properties.message_id = amqp_cstring_bytes(message_id);
    }
    if (headers) {
        json_error_t error;
        header_object = json_loads(headers, 0, &error);
        if (!json_is_object(header_object))
            die("--headers", header_object ? "not an object" : error.text);
        init_amqp_pool(&header_pool, 4096);
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
        properties.headers = to_table(header_object);
    }
    return properties;
}

/* Waits until `open` messages are confirmed. */
static bool is_acked[2 * WINDOW]; /* by tag: an ack of one may come before a `multiple` of those below it */

static void await_confirms(uint64_t *confirmed, uint64_t until)
{
    while (*confirmed < until) {
        amqp_frame_t frame;
        check_status(amqp_simple_wait_frame(link, &frame), "wait for a confirm");
        if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            amqp_basic_ack_t *ack = frame.payload.method.decoded;
            for (uint64_t tag = ack->multiple ? *confirmed + 1 : ack->delivery_tag; tag <= ack->delivery_tag; tag++)
                is_acked[tag % (2 * WINDOW)] = true;
            for (; is_acked[(*confirmed + 1) % (2 * WINDOW)]; ++*confirmed)
                is_acked[(*confirmed + 1) % (2 * WINDOW)] = false;
        } else if (frame.frame_type == AMQP_FRAME_METHOD) {
            die("publish", amqp_method_name(frame.payload.method.id));
        }
        amqp_maybe_release_buffers(link);
    }
}

/* Sleeps until the `sent`-th message is due. */
static void keep_rate(double start_s, long sent)
{
    double left_s = start_s + (double)sent / (double)rate - now_s();
    if (left_s > 0)
        nanosleep(&(struct timespec){(time_t)left_s, (long)((left_s - (double)(time_t)left_s) * 1e9)}, NULL);
}

static int publish(const char *exchange, const char *key)
{
    amqp_basic_properties_t properties = make_properties();
    if (wants_confirm) {
        amqp_confirm_select(link, 1);
        check(amqp_get_rpc_reply(link), "confirm.select");
    }
    char *line = NULL;
    size_t room = 0;
    uint64_t sent = 0, confirmed = 0;
    double start_s = now_s();
    ssize_t size;
    while ((size = getdelim(&line, &room, is_raw ? EOF : '\n', stdin)) >= 0) {
        if (!is_raw && size && line[size - 1] == '\n')
            line[--size] = 0;
        char *tab = is_keyed ? strchr(line, '\t') : NULL;
        amqp_bytes_t body = {(size_t)size, line}, routing = bytes(key);
        if (tab) {
            routing = (amqp_bytes_t){(size_t)(tab - line), line};
            body = (amqp_bytes_t){(size_t)(line + size - tab - 1), tab + 1};
        }
        check_status(amqp_basic_publish(link, 1, bytes(exchange), routing, 0, 0, &properties, body), "publish");
        sent++;
        if (wants_confirm && sent - confirmed >= WINDOW)
            await_confirms(&confirmed, sent - WINDOW / 2);
        if (rate)
            keep_rate(start_s, (long)sent);
    }
    if (wants_confirm)
        await_confirms(&confirmed, sent);
    free(line);
    if (header_object)
        empty_amqp_pool(&header_pool);
    json_decref(header_object);
    return 0;
}

/* ---- consume ------------------------------------------------------------------------------------------ */

static json_t *from_field(const amqp_field_value_t *field);

static json_t *from_table(const amqp_table_t *table)
{
    json_t *object = json_object();
    for (int i = 0; i < table->num_entries; i++) {
        char name[300];
        snprintf(name, sizeof name, "%.*s", (int)table->entries[i].key.len, (char *)table->entries[i].key.bytes);
        json_object_set_new(object, name, from_field(&table->entries[i].value));
    }
    return object;
}

static json_t *from_bytes(amqp_bytes_t value)
{
    json_t *text = json_stringn(value.bytes ? value.bytes : "", value.len);
    return text ? text : json_string("(not UTF-8)");
}

static json_t *from_field(const amqp_field_value_t *field)
{
    switch (field->kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES: return from_bytes(field->value.bytes);
    case AMQP_FIELD_KIND_BOOLEAN: return json_boolean(field->value.boolean);
    case AMQP_FIELD_KIND_I32: return json_integer(field->value.i32);
    case AMQP_FIELD_KIND_I64:
    case AMQP_FIELD_KIND_TIMESTAMP: return json_integer(field->value.i64);
    case AMQP_FIELD_KIND_F64: return json_real(field->value.f64);
    case AMQP_FIELD_KIND_TABLE: return from_table(&field->value.table);
    case AMQP_FIELD_KIND_ARRAY: {
        json_t *array = json_array();
        for (int i = 0; i < field->value.array.num_entries; i++)
            json_array_append_new(array, from_field(&field->value.array.entries[i]));
        return array;
    }
    default: return json_null();
    }
}

static void print_message(const amqp_envelope_t *envelope)
{
    const amqp_basic_properties_t *from = &envelope->message.properties;
    json_t *properties = json_object();
#define PROPERTY(flag, name)                                                                                           \
    if (from->_flags & AMQP_BASIC_##flag##_FLAG)                                                                       \
    json_object_set_new(properties, #name, from_bytes(from->name))
    PROPERTY(CONTENT_TYPE, content_type);
    PROPERTY(MESSAGE_ID, message_id);
    PROPERTY(CORRELATION_ID, correlation_id);
    PROPERTY(TYPE, type);
    PROPERTY(EXPIRATION, expiration);
    if (from->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG)
        json_object_set_new(properties, "delivery_mode", json_integer(from->delivery_mode));
    json_t *message = json_object();
    json_object_set_new(message, "exchange", from_bytes(envelope->exchange));
    json_object_set_new(message, "routing_key", from_bytes(envelope->routing_key));
    json_object_set_new(message, "redelivered", json_boolean(envelope->redelivered));
    json_object_set_new(message, "properties", properties);
    if (from->_flags & AMQP_BASIC_HEADERS_FLAG)
        json_object_set_new(message, "headers", from_table(&from->headers));
    json_object_set_new(message, "body", from_bytes(envelope->message.body));
    json_dumpf(message, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(message);
}

static void start_consuming(const char *queue, unsigned prefetch)
{
    amqp_basic_qos(link, 1, 0, (uint16_t)prefetch, 0);
    amqp_basic_consume(link, 1, bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(link), "consume");
}

/* False: nothing came within the timeout. */
static bool next_message(amqp_envelope_t *envelope)
{
    struct timeval patience = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    amqp_maybe_release_buffers(link);
    amqp_rpc_reply_t reply = amqp_consume_message(link, envelope, timeout_ms >= 0 ? &patience : NULL, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
        return false;
    check(reply, "consume");
    return true;
}

static int consume(const char *queue)
{
    amqp_envelope_t envelope;
    start_consuming(queue, count > 0 && count < 500 ? (unsigned)count : 500);
    for (long seen = 0; (count < 0 || seen < count) && next_message(&envelope); seen++) {
        print_message(&envelope);
        fflush(stdout);
        if (!wants_no_ack)
            check_status(amqp_basic_ack(link, 1, envelope.delivery_tag, 0), "ack");
        amqp_destroy_envelope(&envelope);
    }
    return 0;
}

static int hold(const char *queue)
{
    amqp_envelope_t envelope;
    start_consuming(queue, 0);
    puts("holding");
    fflush(stdout);
    while (next_message(&envelope))
        amqp_destroy_envelope(&envelope);
    return 0;
}

/* ---- declaring --------------------------------------------------------------------------------------------- */

static int declare_exchange(const char *name, const char *kind)
{
    amqp_exchange_declare(link, 1, bytes(name), bytes(kind), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(link), name);
    return 0;
}

static int delete_exchange(const char *name)
{
    amqp_exchange_delete(link, 1, bytes(name), 0);
    check(amqp_get_rpc_reply(link), name);
    return 0;
}

static int declare_queue(const char *name)
{
    amqp_queue_declare(link, 1, bytes(name), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(link), name);
    return 0;
}

static int delete_queue(const char *name)
{
    amqp_queue_delete(link, 1, bytes(name), 0, 0);
    check(amqp_get_rpc_reply(link), name);
    return 0;
}

static int bind_queue(const char *queue, const char *exchange, const char *key)
{
    amqp_queue_bind(link, 1, bytes(queue), bytes(exchange), bytes(key), amqp_empty_table);
    check(amqp_get_rpc_reply(link), queue);
    return 0;
}

static int count_queue(const char *name)
{
    amqp_queue_declare_ok_t *queue = amqp_queue_declare(link, 1, bytes(name), 1, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(link), name);
    printf("%u\n", queue->message_count);
    return 0;
}

/* ---- the command line ----------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int words; /* that follow it */
    int (*one)(const char *), (*two)(const char *, const char *), (*three)(const char *, const char *, const char *);
} commands[] = {
    {"declare-exchange", 2, NULL, declare_exchange, NULL},
    {"delete-exchange", 1, delete_exchange, NULL, NULL},
    {"declare-queue", 1, declare_queue, NULL, NULL},
    {"delete-queue", 1, delete_queue, NULL, NULL},
    {"bind", 3, NULL, NULL, bind_queue},
    {"count", 1, count_queue, NULL, NULL},
    {"publish", 2, NULL, publish, NULL},
    {"consume", 1, consume, NULL, NULL},
    {"hold", 1, hold, NULL, NULL},
};

static int usage(void)
{
    fputs("usage: rabbit [--host H] --port P COMMAND WORDS... [OPTIONS]\ncommands:", stderr);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stderr, " %s", commands[i].name);
    fputs("\n", stderr);
    return 64;
}

/* How many arguments the option takes up; 0: it is none. */
static int take_option(char **args)
{
    static const struct {
        const char *name;
        const char **text;
        long *number;
        bool *flag;
    } options[] = {
        {"--port", &port, NULL, NULL},
        {"--host", &host, NULL, NULL},
        {"--headers", &headers, NULL, NULL},
        {"--type", &type, NULL, NULL},
        {"--message-id", &message_id, NULL, NULL},
        {"--content-type", &content_type, NULL, NULL},
        {"--rate", NULL, &rate, NULL},
        {"--count", NULL, &count, NULL},
        {"--timeout-ms", NULL, &timeout_ms, NULL},
        {"--confirm", NULL, NULL, &wants_confirm},
        {"--raw", NULL, NULL, &is_raw},
        {"--keyed", NULL, NULL, &is_keyed},
        {"--no-ack", NULL, NULL, &wants_no_ack},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strcmp(args[0], options[i].name) != 0)
            continue;
        if (options[i].flag)
            return *options[i].flag = true;
        if (!args[1])
            return 0;
        if (options[i].text)
            *options[i].text = args[1];
        else
            *options[i].number = atol(args[1]);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    char *words[5] = {0};
    int found = 0;
    for (int i = 1, used; i < argc; i += used) {
        used = 1;
        if (strncmp(argv[i], "--", 2) == 0)
            used = take_option(argv + i);
        else if (found < 4)
            words[found++] = argv[i];
        else
            used = 0;
        if (used == 0)
            return usage();
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (found == 0 || strcmp(words[0], commands[i].name) != 0 || found - 1 != commands[i].words)
            continue;
        open_link();
        int code = commands[i].one   ? commands[i].one(words[1])
                   : commands[i].two ? commands[i].two(words[1], words[2])
                                     : commands[i].three(words[1], words[2], words[3]);
        amqp_connection_close(link, AMQP_REPLY_SUCCESS);
        amqp_destroy_connection(link);
        return code;
    }
    return usage();
}
