/* events.c - one request becomes events: one, or as many as a batch holds; see web.h
 *
 * All of them are read before the first is handed over: a request is taken whole or refused whole. */
#include "adapters/http/events.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static void event_clear(struct web_event *event)
{
    buf_clear(&event->body);
    free(event->content_type);
    json_decref(event->properties);
}

/* ---- headers and properties ------------------------------------------------------------------------------ */

struct gathering {
    json_t *pairs;
    const char *hidden; /* name of a header that holds a secret; NULL: none but the usual ones */
};

/* Flows see no secrets.  A name that comes several times is joined with commas, a value that is not UTF-8 left out. */
static void gather_header(void *context, const char *name, const char *value)
{
    static const char *const secrets[] = {"authorization", "proxy-authorization", "cookie"};
    struct gathering *gathering = context;
    char lower[200];
    snprintf(lower, sizeof lower, "%s", name);
    for (char *c = lower; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strcmp(lower, secrets[i]) == 0)
            return;
    if (gathering->hidden && strcasecmp(lower, gathering->hidden) == 0)
        return;
    const char *before = json_string_value(json_object_get(gathering->pairs, lower));
    struct buf joined = BUF_INIT(70000);
    buf_addf(&joined, "%s%s%s", before ? before : "", before ? ", " : "", value);
    json_object_set_new(gathering->pairs, lower, json_stringn(joined.data, joined.size));
    buf_clear(&joined);
}

static void gather_query(void *context, const char *name, const char *value)
{
    json_object_set_new(((struct gathering *)context)->pairs, name, json_string(value));
}

static json_t *properties_of(const struct request *request)
{
    json_t *properties = json_object(), *query = json_object();
    const char *id = request_header(request, "webhook-id");
    request_each_query(request, gather_query, &(struct gathering){.pairs = query});
    json_object_set_new(properties, "method", json_string(request_method(request)));
    json_object_set_new(properties, "path", json_string(request_path(request)));
    json_object_set_new(properties, "query", query);
    if (id && *id)
        json_object_set_new(properties, "message_id", json_string(id));
    return properties;
}

static struct web_event event_of(const struct request *request, const json_t *properties)
{
    struct web_event event = {.body = BUF_INIT(WEB_BODY_MAX), .properties = json_copy((json_t *)(uintptr_t)properties)};
    const char *time = request_header(request, "webhook-timestamp");
    if (time && strspn(time, "0123456789") == strlen(time) && strlen(time) < 13)
        event.time_ms = strtoll(time, NULL, 10) * 1000;
    return event;
}

/* ---- bodies --------------------------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool web_percent_decode(struct buf *out, struct slice text, bool is_form)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_escape =
            c == '%' && text.size - i > 2 && hex_value(text.data[i + 1]) >= 0 && hex_value(text.data[i + 2]) >= 0;
        if (is_escape)
            c = (char)(hex_value(text.data[i + 1]) * 16 + hex_value(text.data[i + 2]));
        else if (is_form && c == '+')
            c = ' ';
        buf_add_char(out, c);
        i += is_escape ? 2 : 0;
    }
    return !out->is_over;
}

/* One more of a form.  False: JSON has no place for it (it is not UTF-8, or its name has a zero in it). */
static bool add_pair(json_t *pairs, struct slice name, struct slice value)
{
    json_t *text = json_stringn(value.data ? value.data : "", value.size);
    if (!text || memchr(name.data, '\0', name.size) || !utf8_is_valid(name)) {
        json_decref(text);
        return false;
    }
    json_t *before = json_object_get(pairs, name.data);
    if (json_is_array(before))
        return json_array_append_new(before, text) == 0;
    return json_object_set_new(pairs, name.data, before ? json_pack("[O, o]", before, text) : text) == 0;
}

/* What is sent as a form becomes a JSON object of texts; a name that comes several times, a list of them. */
static bool add_form(struct buf *out, struct slice body, struct err *err)
{
    json_t *pairs = json_object();
    bool ok = true;
    for (size_t at = 0; ok && at < body.size;) {
        const char *end = memchr(body.data + at, '&', body.size - at);
        size_t size = end ? (size_t)(end - body.data) - at : body.size - at;
        const char *equals = memchr(body.data + at, '=', size);
        size_t name_size = equals ? (size_t)(equals - body.data) - at : size;
        struct buf name = BUF_INIT(WEB_BODY_MAX), value = BUF_INIT(WEB_BODY_MAX);
        web_percent_decode(&name, (struct slice){body.data + at, name_size}, true);
        if (equals)
            web_percent_decode(&value, (struct slice){equals + 1, size - name_size - 1}, true);
        ok = !name.size || add_pair(pairs, buf_slice(&name), buf_slice(&value))
             || err_set(err, "the form has a name or a value that is not UTF-8, or a name with a zero byte in it");
        buf_clear(&name);
        buf_clear(&value);
        at += size + 1;
    }
    char *text = ok ? json_dumps(pairs, JSON_COMPACT) : NULL;
    if (ok)
        buf_add_text(out, text);
    free(text);
    json_decref(pairs);
    return ok;
}

static int check_type(const struct request *request, enum web_format format, struct err *err)
{
    char type[200] = "";
    const char *said = request_header(request, "content-type");
    snprintf(type, sizeof type, "%s", said ? said : "");
    type[strcspn(type, "; ")] = '\0';
    size_t size = strlen(type);
    bool is_json = !size || strcasecmp(type, "application/json") == 0 || strcasecmp(type, "text/json") == 0
                   || (size > 5 && strcasecmp(type + size - 5, "+json") == 0);
    bool is_form = strcasecmp(type, "application/x-www-form-urlencoded") == 0;
    if (format == WEB_TEXT || (format == WEB_JSON ? is_json : is_form))
        return 0;
    err_set(err, "the content type is %.100s; expected is %s", size ? type : "not said",
            format == WEB_JSON ? "JSON" : "application/x-www-form-urlencoded");
    return 415;
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void add_event(struct web_events *events, const char *headers, const struct web_event *event)
{
    events->records = mem_resize(events->records, (events->count + 1) * sizeof *events->records);
    struct buf *record = &events->records[events->count++];
    char *properties = json_dumps(event->properties, JSON_COMPACT);
    *record = (struct buf)BUF_INIT(WEB_BODY_MAX + ((size_t)1 << 20));
    record_add_text(record, "body", buf_slice(&event->body));
    if (event->content_type)
        record_add_text(record, "content_type", slice_of(event->content_type));
    record_add(record, "headers", RECORD_JSON, slice_of(headers));
    record_add(record, "properties", RECORD_JSON, slice_of(properties));
    if (event->time_ms)
        record_add_integer(record, "time_ms", event->time_ms);
    free(properties);
}

static int read_plain(const struct request *request, enum web_format format, const char *headers,
                      const json_t *properties, struct web_events *events, struct err *err)
{
    int status = check_type(request, format, err);
    if (status)
        return status;
    struct web_event event = event_of(request, properties);
    const char *type = request_header(request, "content-type");
    bool ok = !request_header(request, "ce-specversion") || web_cloudevent_binary(request, &event, err);
    event.content_type = mem_text(format == WEB_FORM ? "application/json" : type);
    if (ok && format == WEB_FORM)
        ok = add_form(&event.body, request_body(request), err);
    else
        buf_add_slice(&event.body, request_body(request));
    if (ok)
        add_event(events, headers, &event);
    event_clear(&event);
    return ok ? 0 : 400;
}

static int read_structured(const struct request *request, const char *headers, const json_t *properties,
                           struct web_events *events, struct err *err)
{
    struct slice body = request_body(request);
    json_error_t wrong;
    json_t *whole = json_loadb(body.data ? body.data : "", body.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
    bool is_batch = web_events_have_type(request, "application/cloudevents-batch");
    bool ok = whole || err_set(err, "the body is not good JSON: %s", wrong.text);
    ok = ok
         && (json_is_array(whole) == is_batch || err_set(err, "a batch of CloudEvents is a list, a single one is not"));
    for (size_t i = 0; ok && i < (is_batch ? json_array_size(whole) : 1); i++) {
        struct web_event event = event_of(request, properties);
        ok = web_cloudevent_structured(is_batch ? json_array_get(whole, i) : whole, &event, err);
        if (ok)
            add_event(events, headers, &event);
        else if (is_batch)
            err_wrap(err, "event %zu of the batch", i + 1);
        event_clear(&event);
    }
    json_decref(whole);
    return ok ? 0 : 400;
}

int web_events_read(const struct request *request, const char *hidden_header, enum web_format format,
                    struct web_events *events, struct err *err)
{
    struct gathering gathering = {json_object(), hidden_header};
    request_each_header(request, gather_header, &gathering);
    char *headers = json_dumps(gathering.pairs, JSON_COMPACT);
    json_t *properties = properties_of(request);
    bool is_envelope = format != WEB_FORM && web_events_have_type(request, "application/cloudevents");
    int status = is_envelope ? read_structured(request, headers, properties, events, err)
                             : read_plain(request, format, headers, properties, events, err);
    json_decref(properties);
    json_decref(gathering.pairs);
    free(headers);
    return status;
}

void web_events_clear(struct web_events *events)
{
    for (size_t i = 0; i < events->count; i++)
        buf_clear(&events->records[i]);
    free(events->records);
    *events = (struct web_events){.records = NULL};
}
