/* cloudevents.c - CloudEvents 1.0 over HTTP: what stands in headers, in one envelope, or in a batch; see web.h
 *
 *      Content-Type                              attributes           body of the event
 *      application/cloudevents-batch+json        in each envelope     its data: one event for each
 *      application/cloudevents+json              in the envelope      its data
 *      anything, with ce-specversion             ce-NAME headers      as it came
 *      anything else                             none                 as it came
 *
 * Attributes become `properties.ce`; source and id together are what names an event. */
#include "adapters/http/events.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/utf8.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TEXT_MAX 4000 /* of one attribute */

bool web_events_have_type(const struct request *request, const char *prefix)
{
    const char *type = request_header(request, "content-type");
    return type && strncasecmp(type, prefix, strlen(prefix)) == 0;
}

/* ---- attributes ---------------------------------------------------------------------------------------- */

static bool check_attributes(const json_t *ce, struct err *err)
{
    static const char *const required[] = {"specversion", "id", "source", "type"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        const json_t *value = json_object_get(ce, required[i]);
        if (!json_string_length(value))
            return err_set(err, "the CloudEvent has no %s", required[i]);
        if (strlen(json_string_value(value)) != json_string_length(value)) /* else two ids could make one name */
            return err_set(err, "the CloudEvent has a zero character in its %s", required[i]);
    }
    const char *version = json_string_value(json_object_get(ce, "specversion"));
    return strcmp(version, "1.0") == 0
           || err_set(err, "the CloudEvent is of version %.20s; 1.0 is understood", version);
}

/* Both together name the event; a pair that is longer than an id may be is named by its digest. */
static void add_name(json_t *properties, const json_t *ce)
{
    struct buf pair = BUF_INIT(WEB_BODY_MAX); /* in an envelope no attribute has a limit of its own */
    buf_addf(&pair, "%s %s", json_string_value(json_object_get(ce, "source")),
             json_string_value(json_object_get(ce, "id")));
    if (pair.size > KEY_MAX_BYTES) {
        unsigned char digest[HASH_SIZE];
        char text[HASH_TEXT_MAX];
        struct slice whole = buf_slice(&pair);
        hash_parts(&whole, 1, digest);
        hash_hex(digest, sizeof digest, text);
        json_object_set_new(properties, "message_id", json_string(text));
    } else {
        json_object_set_new(properties, "message_id", json_stringn(pair.data, pair.size));
    }
    buf_clear(&pair);
}

static bool add_attributes(struct web_event *event, json_t *ce, struct err *err)
{
    if (!check_attributes(ce, err))
        return false;
    const char *time = json_string_value(json_object_get(ce, "time"));
    if (time && !clock_parse(time, strlen(time), &event->time_ms))
        return err_set(err, "the CloudEvent's time is not as RFC 3339 wants it");
    json_object_set(event->properties, "ce", ce);
    json_object_set(event->properties, "type", json_object_get(ce, "type"));
    add_name(event->properties, ce);
    return true;
}

/* ---- binary mode ------------------------------------------------------------------------------------------ */

/* Percent-encoded once; older senders put quotes around it. */
static json_t *decoded(const char *value)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    size_t size = strlen(value);
    if (size >= 2 && value[0] == '"' && value[size - 1] == '"')
        value++, size -= 2;
    web_percent_decode(&text, (struct slice){value, size}, false);
    json_t *json = text.is_over ? NULL : json_stringn(text.data ? text.data : "", text.size);
    buf_clear(&text);
    return json; /* NULL: too long, or not UTF-8 */
}

struct gathering {
    json_t *ce;
    bool is_bad; /* a value cannot be read */
};

static void gather(void *context, const char *name, const char *value)
{
    struct gathering *gathering = context;
    if (strncasecmp(name, "ce-", 3) != 0 || !name[3])
        return;
    char key[100];
    snprintf(key, sizeof key, "%s", name + 3);
    for (char *c = key; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    gathering->is_bad |= json_object_set_new(gathering->ce, key, decoded(value)) != 0;
}

bool web_cloudevent_binary(const struct request *request, struct web_event *event, struct err *err)
{
    struct gathering gathering = {.ce = json_object()};
    request_each_header(request, gather, &gathering);
    bool ok = !gathering.is_bad || err_set(err, "a ce- header of the CloudEvent is not UTF-8, or too long");
    ok = ok && add_attributes(event, gathering.ce, err);
    json_decref(gathering.ce);
    return ok;
}

/* ---- structured mode ------------------------------------------------------------------------------------------ */

static bool type_is_json(const char *type)
{
    if (!type)
        return true;
    size_t size = strcspn(type, "; ");
    return (size >= 5 && strncasecmp(type + size - 5, "/json", 5) == 0)
           || (size >= 5 && strncasecmp(type + size - 5, "+json", 5) == 0);
}

static bool add_base64(struct buf *body, const json_t *text)
{
    size_t size = json_string_length(text), padding = 0;
    const char *data = json_string_value(text);
    while (padding < 2 && size > padding && data[size - 1 - padding] == '=')
        padding++;
    char *room = size % 4 == 0 ? buf_reserve(body, size / 4 * 3 + 3) : NULL;
    int written = room ? EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)data, (int)size) : -1;
    if (written < 0)
        return false;
    body->size += (size_t)written - padding;
    return true;
}

/* The data as the flow is to see it: a text as its bytes where its type is not JSON, else the JSON value. */
static bool add_data(struct web_event *event, const json_t *envelope, struct err *err)
{
    const json_t *data = json_object_get(envelope, "data"), *bytes = json_object_get(envelope, "data_base64");
    const char *type = json_string_value(json_object_get(envelope, "datacontenttype"));
    if (data && bytes)
        return err_set(err, "the CloudEvent has both data and data_base64");
    bool is_json = type_is_json(type) && !bytes;
    event->content_type = mem_text(type ? type : "application/json");
    if (bytes)
        return (json_is_string(bytes) && add_base64(&event->body, bytes))
               || err_set(err, "the CloudEvent's data_base64 is no base64");
    if (!is_json && json_is_string(data))
        return buf_add(&event->body, json_string_value(data), json_string_length(data));
    char *text = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : mem_text("null");
    bool ok = buf_add_text(&event->body, text);
    free(text);
    return ok;
}

bool web_cloudevent_structured(const json_t *envelope, struct web_event *event, struct err *err)
{
    if (!json_is_object(envelope))
        return err_set(err, "a CloudEvent is an object");
    json_t *ce = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)envelope, name, value)
        if (strcmp(name, "data") != 0 && strcmp(name, "data_base64") != 0 && !json_is_null(value))
            json_object_set(ce, name, value);
    bool ok = add_attributes(event, ce, err) && add_data(event, envelope, err);
    json_decref(ce);
    return ok;
}
