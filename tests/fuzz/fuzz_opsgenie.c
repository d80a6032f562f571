/* fuzz_opsgenie.c - answers of OpsGenie, or of whatever stands in its place, and what comes in as an update
 *
 * Input: a byte for what was asked in which dialect (its highest bit: the body is an update), a byte for the verb, two
 * for the status, then headers up to an empty line, then the body.  A verdict always has a word for a person, waits are
 * never negative, and only a 2xx is done. */
#include "fuzz.h"

#include "adapters/opsgenie/opsgenie.h"

#include <string.h>

static size_t verb_count;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    while (opsgenie_verbs[verb_count].name)
        verb_count++;
    return 0;
}

static void check(const struct opsgenie_verdict *verdict, const struct http_reply *reply, bool is_look)
{
    FUZZ_EXPECT(verdict->wait_ms >= 0 && verdict->pause_ms >= 0, "waits %lld, pauses %lld\n",
                (long long)verdict->wait_ms, (long long)verdict->pause_ms);
    FUZZ_EXPECT(memchr(verdict->text, 0, sizeof verdict->text), "the text has no end\n");
    FUZZ_EXPECT(memchr(verdict->request_id, 0, sizeof verdict->request_id), "the id has no end\n");
    FUZZ_EXPECT(verdict->kind != OPSGENIE_DONE || reply->status / 100 == 2 || reply->status == 404 || is_look,
                "done with status %d\n", reply->status);
    FUZZ_EXPECT(verdict->kind == OPSGENIE_DONE || verdict->kind == OPSGENIE_FOLLOW || verdict->kind == OPSGENIE_LOOK
                    || verdict->text[0],
                "no word for a person\n");
}

static void read_answer(const struct http_reply *reply, enum opsgenie_dialect dialect, uint8_t query,
                        struct opsgenie_verdict *verdict)
{
    json_t *body;
    opsgenie_judge_read(reply, dialect, &body, verdict);
    if (body)
        json_decref(opsgenie_read_answer(dialect, opsgenie_queries[query % 4].name, slice_of("night"), body));
    json_decref(body);
}

/* An update that is taken has a name of a length that fits, and keeps nothing of its `headers`. */
static int read_update(struct slice body, struct buf *headers)
{
    struct opsgenie_update update;
    struct err err = ERR_INIT;
    if (opsgenie_update_read(body, "headgate", &update, &err)) {
        struct slice text = record_get(buf_slice(&update.record), "properties");
        struct slice kept = record_get(buf_slice(&update.record), "body");
        json_t *properties = json_loadb(text.data, text.size, 0, NULL),
               *json = json_loadb(kept.data, kept.size, 0, NULL);
        size_t size = json_string_length(json_object_get(properties, "message_id"));
        FUZZ_EXPECT(size > 0 && size <= KEY_MAX_BYTES, "the name has %zu bytes\n", size);
        FUZZ_EXPECT(json && !json_object_get(json, "headers"), "the headers are kept\n");
        json_decref(properties);
        json_decref(json);
    } else {
        FUZZ_EXPECT(err.text[0], "no word for a person\n");
    }
    buf_clear(&update.record);
    buf_clear(headers);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf headers = BUF_INIT(1 << 20);
    struct opsgenie_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    if (size < 4)
        return 0;
    const char *text = (const char *)data + 4, *end = text + (size - 4);
    const char *body = memmem(text, (size_t)(end - text), "\n\n", 2);
    if (body)
        buf_add(&headers, text, (size_t)(body + 1 - text));
    body = body ? body + 2 : text;
    struct http_reply reply = {.status = 100 + (data[2] * 256 + data[3]) % 500,
                               .sent = true,
                               .body = {body, (size_t)(end - body)},
                               .headers = &headers};
    const struct opsgenie_case about = {(enum opsgenie_dialect)(data[0] / 4 % 3),
                                        &opsgenie_verbs[data[1] % verb_count]};
    if (data[0] & 128)
        return read_update(reply.body, &headers);
    switch (data[0] % 4) {
    case 0: opsgenie_judge_write(&reply, about, &verdict); break;
    case 1: opsgenie_judge_outcome(&reply, about, data[0] & 64, &verdict); break;
    case 2: opsgenie_judge_look(&reply, about, "it failed", &verdict); break;
    default: read_answer(&reply, about.dialect, data[1], &verdict); break;
    }
    check(&verdict, &reply, data[0] % 4 == 2);
    buf_clear(&headers);
    return 0;
}
