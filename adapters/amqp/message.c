/* message.c - a delivery becomes an event
 *
 *     basic.deliver ─► header (properties, headers, size) ─► body, in frames ─► one event
 *
 * The record's fields are those that core/adapter.h lists.  `properties` is written as JSON directly, without
 * what is empty: this runs once for each message.  A CloudEvents type is looked for where senders put it: the
 * property `type`, or a header with one of the prefixes that the AMQP and HTTP bindings use. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"

#include <inttypes.h>

#define FIELDS_MAX (4u << 20) /* of properties and headers as JSON: a frame has 128 KiB, escapes may swell it */
#define KEEP_MAX (1u << 20)   /* what a buffer may keep between messages */

void rabbit_message_init(struct rabbit_message *message)
{
    *message = (struct rabbit_message){
        .properties = BUF_INIT(FIELDS_MAX),
        .record = BUF_INIT(3 * FIELDS_MAX + (size_t)RABBIT_BODY_MAX),
        .body = BUF_INIT(RABBIT_BODY_MAX),
    };
}

void rabbit_message_clear(struct rabbit_message *message)
{
    buf_clear(&message->properties);
    buf_clear(&message->record);
    buf_clear(&message->body);
}

static void empty(struct buf *buf)
{
    if (buf->room > KEEP_MAX)
        buf_clear(buf);
    buf_reset(buf);
}

static void add_text(struct buf *json, const char *name, amqp_bytes_t value)
{
    buf_add_text(json, name);
    buf_add_json(json, rabbit_slice(value));
}

void rabbit_message_begin(struct rabbit_message *message, const amqp_basic_deliver_t *deliver)
{
    message->state = RABBIT_WANTS_HEADER;
    message->tag = deliver->delivery_tag;
    message->is_unwanted = false;
    message->counted = 0;
    message->is_redelivered = deliver->redelivered;
    buf_reset(&message->properties);
    empty(&message->record);
    empty(&message->body);
    add_text(&message->properties, "{\"exchange\":", deliver->exchange);
    add_text(&message->properties, ",\"routing_key\":", deliver->routing_key);
    buf_add_text(&message->properties, deliver->redelivered ? ",\"redelivered\":true" : ",\"redelivered\":false");
}

/* What has a meaning of its own to us: the sender's clock, and the type. */
static int64_t time_of(const amqp_basic_properties_t *properties)
{
    const amqp_table_t *headers = &properties->headers;
    bool has_headers = properties->_flags & AMQP_BASIC_HEADERS_FLAG;
    for (int i = 0; has_headers && i < headers->num_entries; i++) {
        const amqp_table_entry_t *entry = &headers->entries[i];
        if (entry->value.kind == AMQP_FIELD_KIND_I64 && slice_is(rabbit_slice(entry->key), "timestamp_in_ms"))
            return entry->value.value.i64;
    }
    if (properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG && properties->timestamp < INT64_MAX / 1000)
        return (int64_t)properties->timestamp * 1000;
    return -1;
}

static struct slice type_of(const amqp_basic_properties_t *properties)
{
    static const char *const names[] = {"cloudEvents:type", "cloudEvents_type", "ce-type"};
    struct slice type = SLICE_NONE;
    if (properties->_flags & AMQP_BASIC_TYPE_FLAG)
        type = rabbit_slice(properties->type);
    for (size_t i = 0; i < 3 && type.size == 0 && properties->_flags & AMQP_BASIC_HEADERS_FLAG; i++)
        type = rabbit_table_text(&properties->headers, names[i]);
    return type;
}

void rabbit_message_header(struct rabbit_message *message, uint64_t body_size,
                           const amqp_basic_properties_t *properties)
{
    struct buf *json = &message->properties;
    amqp_flags_t flags = properties->_flags;
    message->state = RABBIT_WANTS_BODY;
    message->body_size = body_size;
    struct slice type = type_of(properties);
    snprintf(message->type, sizeof message->type, "%.*s", SLICE_ARG(type));

    if (flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        add_text(json, ",\"message_id\":", properties->message_id);
    if (flags & AMQP_BASIC_CORRELATION_ID_FLAG)
        add_text(json, ",\"correlation_id\":", properties->correlation_id);
    if (flags & AMQP_BASIC_TYPE_FLAG)
        add_text(json, ",\"type\":", properties->type);
    if (flags & AMQP_BASIC_APP_ID_FLAG)
        add_text(json, ",\"app_id\":", properties->app_id);
    if (flags & AMQP_BASIC_USER_ID_FLAG)
        add_text(json, ",\"user_id\":", properties->user_id);
    if (flags & AMQP_BASIC_REPLY_TO_FLAG)
        add_text(json, ",\"reply_to\":", properties->reply_to);
    if (flags & AMQP_BASIC_EXPIRATION_FLAG)
        add_text(json, ",\"expiration\":", properties->expiration);
    if (flags & AMQP_BASIC_CONTENT_ENCODING_FLAG)
        add_text(json, ",\"content_encoding\":", properties->content_encoding);
    if (flags & AMQP_BASIC_PRIORITY_FLAG)
        buf_addf(json, ",\"priority\":%u", properties->priority);
    if (flags & AMQP_BASIC_DELIVERY_MODE_FLAG)
        buf_addf(json, ",\"delivery_mode\":%u", properties->delivery_mode);
    if (flags & AMQP_BASIC_TIMESTAMP_FLAG && properties->timestamp <= INT64_MAX)
        buf_addf(json, ",\"timestamp\":%" PRIu64, properties->timestamp);
    buf_add_char(json, '}');
    record_add(&message->record, "properties", RECORD_JSON, buf_slice(json));

    if (flags & AMQP_BASIC_HEADERS_FLAG && properties->headers.num_entries) {
        buf_reset(json);
        rabbit_table_to_json(json, &properties->headers);
        record_add(&message->record, "headers", RECORD_JSON, buf_slice(json));
    }
    if (flags & AMQP_BASIC_CONTENT_TYPE_FLAG)
        record_add_text(&message->record, "content_type", rabbit_slice(properties->content_type));
    int64_t time_ms = time_of(properties);
    if (time_ms >= 0)
        record_add_integer(&message->record, "time_ms", time_ms);
}

bool rabbit_message_body(struct rabbit_message *message, struct slice fragment, struct slice *body)
{
    if (message->is_unwanted) {
        message->counted += fragment.size;
        *body = SLICE_NONE;
        if (message->counted >= message->body_size)
            message->state = RABBIT_IDLE;
        return message->state == RABBIT_IDLE;
    }
    if (fragment.size != message->body_size || message->body.size) { /* the usual body comes in one piece */
        buf_add_slice(&message->body, fragment);
        fragment = buf_slice(&message->body);
    }
    if (fragment.size < message->body_size)
        return false;
    message->state = RABBIT_IDLE;
    *body = fragment;
    return true;
}

struct event *rabbit_message_event(struct rabbit_message *message, struct slice body, int64_t body_limit)
{
    if ((int64_t)body.size > body_limit)
        record_add_boolean(&message->record, "oversize", true);
    record_add_text(&message->record, "body", body);
    struct event *event = event_new(buf_slice(&message->record));
    event->token = message->tag;
    event->received_ms = clock_now_ms();
    event->is_redelivered = message->is_redelivered;
    return event;
}
