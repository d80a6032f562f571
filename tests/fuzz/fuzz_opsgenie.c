/* fuzz_opsgenie.c - answers of OpsGenie, or of whatever stands in its place
 *
 * Input: a byte for what was asked, a byte for the verb, two for the status, then headers up to an empty line, then
 * the body.  A verdict always has a word for a person, waits are never negative, and only a 2xx is done. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf headers = BUF_INIT(1 << 20), json = BUF_INIT(1 << 22);
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
    const struct verb *verb = &opsgenie_verbs[data[1] % verb_count];
    switch (data[0] % 4) {
    case 0: opsgenie_judge_write(&reply, verb, &verdict); break;
    case 1: opsgenie_judge_outcome(&reply, verb, &verdict); break;
    case 2: opsgenie_judge_look(&reply, verb, "it failed", &verdict); break;
    default: opsgenie_judge_read(&reply, &json, &verdict); break;
    }
    check(&verdict, &reply, data[0] % 4 == 2);
    buf_clear(&headers);
    buf_clear(&json);
    return 0;
}
