/* publish.c - one message out: from what the flow asked for to frames
 *
 * `prepare` checks everything the broker would answer with a closed channel (which would hit all messages under
 * way on it): names beyond 255 bytes, an expiration that is no number, headers beyond one frame.  What it stores
 * is what every attempt sends: the same bytes, with the same message id. */
#include "adapters/amqp/rabbit.h"
#include "core/base/utf8.h"

#include <ctype.h>

#define SHORT_MAX 255 /* bytes of a name or short property */

static bool copy_short(struct slice fields, const char *name, struct buf *out, struct err *err)
{
    if (!record_has(fields, name))
        return true;
    struct slice value = record_get(fields, name);
    if (value.size > SHORT_MAX)
        return err_set(err, "%s is longer than %d bytes", name, SHORT_MAX);
    if (memchr(value.data ? value.data : "", 0, value.size))
        return err_set(err, "%s has a zero byte in it", name);
    return record_add_text(out, name, value) || err_set(err, "%s does not fit", name);
}

static bool copy_headers(struct slice fields, struct buf *out, struct err *err)
{
    if (!record_has(fields, "headers"))
        return true;
    struct slice json = record_get(fields, "headers");
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    amqp_table_t table;
    bool ok = rabbit_table_from_json(json, &pool, &table, err);
    if (ok) {
        char *room = mem_new(RABBIT_HEADERS_MAX);
        size_t offset = 0;
        if (amqp_encode_table((amqp_bytes_t){RABBIT_HEADERS_MAX, room}, &table, &offset) != AMQP_STATUS_OK)
            ok = err_set(err, "they take more than %u bytes", RABBIT_HEADERS_MAX);
        free(room);
    }
    ok = ok && (record_add(out, "headers", RECORD_JSON, json) || err_set(err, "they do not fit"));
    empty_amqp_pool(&pool);
    return ok || err_wrap(err, "headers");
}

/* A text goes as it is; any other value as JSON. */
static bool copy_body(struct slice fields, struct buf *out, struct err *err)
{
    struct slice body = SLICE_NONE;
    const char *content_type = "application/json";
    struct field field;
    for (size_t at = 0; record_next(fields, &at, &field);) {
        if (!slice_is(field.name, "body"))
            continue;
        body = field.value;
        if (field.kind == RECORD_TEXT)
            content_type = utf8_is_valid(body) ? "text/plain; charset=utf-8" : "application/octet-stream";
    }
    if (!record_has(fields, "content_type"))
        record_add_text(out, "content_type", slice_of(content_type));
    if (body.size > RABBIT_BODY_MAX)
        return err_set(err, "body is larger than %u bytes", RABBIT_BODY_MAX);
    return record_add_text(out, "body", body) || err_set(err, "body is too large");
}

bool rabbit_publish_prepare(const struct ask *ask, struct buf *out, struct err *err)
{
    static const char *const names[] = {"exchange", "key", "content_type", "type", "correlation_id", "expiration"};
    struct slice expiration = record_get(ask->fields, "expiration");
    for (size_t i = 0; i < expiration.size; i++)
        if (!isdigit((unsigned char)expiration.data[i]) || expiration.size > 10)
            return err_set(err, "expiration is not a number of milliseconds");
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof names / sizeof *names; i++)
        ok = copy_short(ask->fields, names[i], out, err);
    if (ok && record_has(ask->fields, "message_id"))
        ok = copy_short(ask->fields, "message_id", out, err);
    else if (ok) /* stable for this event and step: by it a receiver recognises a repeat */
        record_add_text(out, "message_id", slice_of(ask->effect_id));
    record_add_boolean(out, "persistent", record_get_boolean(ask->fields, "persistent", true));
    record_add_integer(out, "time_s", ask->now_ms / 1000);
    return ok && copy_headers(ask->fields, out, err) && copy_body(ask->fields, out, err);
}

struct rabbit_publication *rabbit_publication_new(struct delivery *delivery)
{
    struct rabbit_publication *publication = mem_new(sizeof *publication + delivery->fields.size);
    *publication = (struct rabbit_publication){.delivery = delivery, .size = delivery->fields.size};
    if (publication->size)
        memcpy(publication->fields, delivery->fields.data, publication->size);
    struct slice fields = {publication->fields, publication->size};
    publication->exchange = record_get(fields, "exchange");
    publication->key = record_get(fields, "key");
    publication->message_id = record_get(fields, "message_id");
    return publication;
}

void rabbit_publication_free(struct rabbit_publication *publication)
{
    free(publication->text);
    free(publication);
}

static int64_t integer_of(const struct field *field)
{
    /* Little endian, as record.h says; a record of this one field would be asked by name otherwise. */
    uint64_t value = 0;
    for (size_t i = 0; i < field->value.size && i < 8; i++)
        value |= (uint64_t)(unsigned char)field->value.data[i] << (8 * i);
    return (int64_t)value;
}

static void set_text(amqp_basic_properties_t *properties, amqp_bytes_t *property, amqp_flags_t flag, struct slice value)
{
    *property = rabbit_bytes(value);
    properties->_flags |= flag;
}

bool rabbit_publication_send(struct rabbit_publication *publication, struct rabbit_session *session,
                             amqp_channel_t channel, amqp_pool_t *pool, struct err *err)
{
    amqp_basic_publish_t publish = {
        .exchange = rabbit_bytes(publication->exchange), .routing_key = rabbit_bytes(publication->key), .mandatory = 1};
    amqp_basic_properties_t to = {0};
    struct slice body = SLICE_NONE;
    struct field field;
    for (size_t at = 0; record_next((struct slice){publication->fields, publication->size}, &at, &field);) {
        if (slice_is(field.name, "body"))
            body = field.value;
        else if (slice_is(field.name, "content_type"))
            set_text(&to, &to.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, field.value);
        else if (slice_is(field.name, "message_id"))
            set_text(&to, &to.message_id, AMQP_BASIC_MESSAGE_ID_FLAG, field.value);
        else if (slice_is(field.name, "type"))
            set_text(&to, &to.type, AMQP_BASIC_TYPE_FLAG, field.value);
        else if (slice_is(field.name, "correlation_id"))
            set_text(&to, &to.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, field.value);
        else if (slice_is(field.name, "expiration"))
            set_text(&to, &to.expiration, AMQP_BASIC_EXPIRATION_FLAG, field.value);
        else if (slice_is(field.name, "persistent"))
            to.delivery_mode = integer_of(&field) ? AMQP_DELIVERY_PERSISTENT : AMQP_DELIVERY_NONPERSISTENT;
        else if (slice_is(field.name, "time_s"))
            to.timestamp = (uint64_t)integer_of(&field);
        else if (slice_is(field.name, "headers") && !rabbit_table_from_json(field.value, pool, &to.headers, err))
            return err_wrap(err, "headers");
    }
    to._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TIMESTAMP_FLAG;
    to._flags |= to.headers.num_entries ? AMQP_BASIC_HEADERS_FLAG : 0;
    rabbit_session_publish(session, channel, &publish, &to, body);
    return true;
}
