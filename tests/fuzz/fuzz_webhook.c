/* fuzz_webhook.c - webhooks from anybody: who sent it, and what events it makes
 *
 * Input: a byte for how it is proven, a byte for what is taken ('o': updates of OpsGenie), then headers up to an empty
 * line, then the body.  What is not signed, or does not hold the secret, never passes; what we sign does, and not with
 * another body.  What is refused has a 4xx and a sentence; a batch makes as many events as it has entries, a form loses
 * none of its pairs, and different CloudEvents have different names. */
#include "fuzz.h"

#include "adapters/http/events.h"
#include "adapters/opsgenie/opsgenie.h"
#include "core/net/proof.h"
#include "core/net/server_internal.h"

#include <string.h>
#include <strings.h>

#define SECRET "fuzzer:s3cr3t-k3y"
#define SECRET_BASE64 "ZnV6emVyOnMzY3IzdC1rM3k"
#define HIDDEN "X-Proof"
#define NOW_MS INT64_C(1763804467000)
#define NOW_TEXT "1763804467"

enum { BY_STANDARD, BY_HMAC, BY_BASIC, BY_BEARER, BY_TOKEN, WAYS };

static struct proof *proofs[WAYS];

static struct proof *proof_by(const char *verify, const char *secret, const char *header)
{
    static const struct option options[] = {PROOF_OPTIONS, OPTION_END};
    struct settings *settings = settings_new(options);
    struct proof *proof = NULL;
    struct err err = ERR_INIT;
    settings_set_text(settings, "webhook_verify", slice_of(verify));
    settings_set_text(settings, "webhook_secret", slice_of(secret));
    if (header)
        settings_set_text(settings, "webhook_header", slice_of(header));
    FUZZ_EXPECT(proof_open(settings, &proof, &err), "%s\n", err.text);
    settings_free(settings);
    return proof;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    proofs[BY_STANDARD] = proof_by("standard", "whsec_" SECRET_BASE64, NULL);
    proofs[BY_HMAC] = proof_by("hmac", SECRET, HIDDEN);
    proofs[BY_BASIC] = proof_by("basic", SECRET, NULL);
    proofs[BY_BEARER] = proof_by("bearer", SECRET, NULL);
    proofs[BY_TOKEN] = proof_by("token", SECRET, HIDDEN);
    return 0;
}

/* ---- the request --------------------------------------------------------------------------------------- */

static void add_value(struct request *request, char kind, struct slice name, struct slice value)
{
    buf_add_char(&request->values, kind);
    buf_add_slice(&request->values, name);
    buf_add_char(&request->values, '\0');
    buf_add_slice(&request->values, value);
    buf_add_char(&request->values, '\0');
}

/* One line; its value, like any header's, has no zero in it. */
static void add_header(struct request *request, struct slice line)
{
    const char *colon = memchr(line.data, ':', line.size);
    if (!colon || colon == line.data || memchr(line.data, '\0', line.size))
        return;
    struct slice value = {colon + 1, line.size - (size_t)(colon + 1 - line.data)};
    while (value.size && *value.data == ' ')
        value.data++, value.size--;
    add_value(request, 'h', (struct slice){line.data, (size_t)(colon - line.data)}, value);
}

static void read_request(struct request *request, const char *at, const char *end)
{
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        struct slice line = {at, (size_t)((stop ? stop : end) - at)};
        at = stop ? stop + 1 : end;
        if (!line.size)
            break;
        add_header(request, line);
    }
    buf_add(&request->body, at, (size_t)(end - at));
}

/* ---- who sent it ----------------------------------------------------------------------------------------- */

static const char *find_header(const void *context, const char *name)
{
    return request_header(context, name);
}

static const char *fails(const struct request *request, unsigned way, struct slice body)
{
    return proof_fails(proofs[way], &(struct proof_subject){
                                        .header = find_header, .context = request, .body = body, .now_ms = NOW_MS});
}

/* Nobody guesses a signature; a secret that stands in a header has to be there. */
static void check_stranger(const struct request *request, unsigned way)
{
    const char *wanted = way == BY_BASIC ? SECRET_BASE64 : SECRET;
    bool may = way >= BY_BASIC && request->values.data
               && memmem(request->values.data, request->values.size, wanted, strlen(wanted));
    const char *why = fails(request, way, request_body(request));
    FUZZ_EXPECT(why || may, "way %u: it was taken, but nothing proves it\n", way);
    FUZZ_EXPECT(!why || *why, "way %u: no word for a person\n", way);
    FUZZ_EXPECT(!why || !strstr(why, SECRET), "way %u: the secret is told\n", way);
}

static void check_signed(struct slice body, unsigned way)
{
    struct request request = {.values = BUF_INIT(1 << 20)};
    struct buf signature = BUF_INIT(200), other = BUF_INIT(1 << 20);
    bool is_standard = way == BY_STANDARD;
    if (is_standard)
        proof_sign_standard(&signature, slice_of(SECRET), slice_of("id"), slice_of(NOW_TEXT), body);
    else
        proof_sign_hmac(&signature, slice_of(SECRET), body, false);
    add_value(&request, 'h', slice_of("webhook-id"), slice_of("id"));
    add_value(&request, 'h', slice_of("webhook-timestamp"), slice_of(NOW_TEXT));
    add_value(&request, 'h', slice_of(is_standard ? "webhook-signature" : HIDDEN), buf_slice(&signature));
    buf_add_slice(&other, body);
    buf_add_char(&other, ' ');
    const char *why = fails(&request, way, body);
    FUZZ_EXPECT(!why, "it is signed, but %s\n", why);
    FUZZ_EXPECT(fails(&request, way, buf_slice(&other)), "it is signed for another body\n");
    buf_clear(&request.values);
    buf_clear(&signature);
    buf_clear(&other);
}

/* ---- what events it makes ---------------------------------------------------------------------------------- */

static json_t *json_of(const struct buf *record, const char *name)
{
    struct slice text = record_get(buf_slice(record), name);
    json_t *json = json_loadb(text.data ? text.data : "", text.size, JSON_ALLOW_NUL, NULL);
    FUZZ_EXPECT(json_is_object(json), "`%s` of the event is no object\n", name);
    return json;
}

static void check_record(const struct buf *record)
{
    json_t *headers = json_of(record, "headers");
    FUZZ_EXPECT(!json_object_get(headers, "authorization") && !json_object_get(headers, "cookie")
                    && !json_object_get(headers, "x-proof"),
                "a header that holds a secret is shown to the flow\n");
    json_decref(headers);
}

/* Of two CloudEvents: the same name is the same source and id. */
static void check_names(const struct web_events *events)
{
    for (size_t i = 1; i < events->count; i++) {
        json_t *a = json_of(&events->records[i - 1], "properties"), *b = json_of(&events->records[i], "properties");
        const json_t *ce[] = {json_object_get(a, "ce"), json_object_get(b, "ce")};
        const json_t *name = json_object_get(a, "message_id");
        FUZZ_EXPECT(json_string_length(name) > 0 && json_string_length(name) <= KEY_MAX_BYTES,
                    "the name does not fit\n");
        /* A source is a URI, so it has no space; where it has one, the space may move from one to the other. */
        const char *source = json_string_value(json_object_get(ce[0], "source"));
        bool is_same = json_equal(json_object_get(ce[0], "source"), json_object_get(ce[1], "source"))
                       && json_equal(json_object_get(ce[0], "id"), json_object_get(ce[1], "id"));
        FUZZ_EXPECT(is_same == json_equal(name, json_object_get(b, "message_id")) || strchr(source, ' ')
                        || strchr(json_string_value(json_object_get(ce[1], "source")), ' '),
                    "two CloudEvents have one name\n");
        json_decref(a);
        json_decref(b);
    }
}

static void check_batch(const struct request *request, const struct web_events *events)
{
    json_t *list = json_loadb(request->body.data ? request->body.data : "", request->body.size, JSON_ALLOW_NUL, NULL);
    FUZZ_EXPECT(json_is_array(list) && json_array_size(list) == events->count, "%zu events of %zu entries\n",
                events->count, json_array_size(list));
    json_decref(list);
    check_names(events);
}

/* As many values as there are pairs with a name. */
static void check_form(const struct request *request, const struct web_events *events)
{
    struct slice body = request_body(request);
    size_t pairs = 0, values = 0;
    for (size_t at = 0; at < body.size; at++)
        pairs += (at == 0 || body.data[at - 1] == '&') && body.data[at] != '&' && body.data[at] != '=';
    json_t *form = json_of(&events->records[0], "body"), *value;
    const char *name;
    json_object_foreach(form, name, value)
        values += json_is_array(value) ? json_array_size(value) : 1;
    FUZZ_EXPECT(values == pairs, "%zu pairs became %zu values\n", pairs, values);
    json_decref(form);
}

static void check_events(const struct request *request, enum web_format format)
{
    struct web_events events = {.records = NULL};
    struct err err = ERR_INIT;
    int status = web_events_read(request, HIDDEN, format, &events, &err);
    bool is_batch = format != WEB_FORM && web_events_have_type(request, "application/cloudevents-batch");
    FUZZ_EXPECT(!status || (status / 100 == 4 && err.text[0]), "status %d: %s\n", status, err.text);
    for (size_t i = 0; !status && i < events.count; i++)
        check_record(&events.records[i]);
    FUZZ_EXPECT(status || is_batch || events.count == 1, "one request became %zu events\n", events.count);
    if (!status && is_batch)
        check_batch(request, &events);
    if (!status && format == WEB_FORM)
        check_form(request, &events);
    web_events_clear(&events);
}

static void check_update(const struct request *request)
{
    struct opsgenie_update update;
    struct err err = ERR_INIT;
    if (opsgenie_update_read(request_body(request), "headgate", &update, &err)) {
        struct slice text = record_get(buf_slice(&update.record), "properties");
        json_t *properties = json_loadb(text.data, text.size, 0, NULL);
        size_t size = json_string_length(json_object_get(properties, "message_id"));
        FUZZ_EXPECT(size > 0 && size <= KEY_MAX_BYTES, "the name has %zu bytes\n", size);
        json_decref(properties);
    } else {
        FUZZ_EXPECT(err.text[0], "no word for a person\n");
    }
    buf_clear(&update.record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request = {.method = (char[]){"POST"},
                              .path = (char[]){"/hooks/web/f"},
                              .values = BUF_INIT(1 << 20),
                              .body = BUF_INIT(1 << 20)};
    if (size < 2)
        return 0;
    unsigned way = data[0] % WAYS;
    read_request(&request, (const char *)data + 2, (const char *)data + size);
    check_stranger(&request, way);
    if (way < BY_BASIC)
        check_signed(request_body(&request), way);
    if (data[1] == 'o')
        check_update(&request);
    else
        check_events(&request, data[1] == 'f' ? WEB_FORM : data[1] == 't' ? WEB_TEXT : WEB_JSON);
    buf_clear(&request.values);
    buf_clear(&request.body);
    return 0;
}
