/* opsgenie_kit.h - asks the OpsGenie client for requests and verdicts, without a network */
#ifndef HEADGATE_TESTS_UNIT_OPSGENIE_KIT_H
#define HEADGATE_TESTS_UNIT_OPSGENIE_KIT_H

#include "adapters/opsgenie/opsgenie.h"

#include "test.h"

extern const struct adapter adapter_opsgenie;

/* ---- asking ------------------------------------------------------------------------------------- */

/* What became of the fields; freed by `forget`. */
struct asked {
    bool ok;
    struct err err;
    struct buf fields, out;
    struct opsgenie_request request; /* that is made of it */
    json_t *body;
};

__attribute__((unused)) static const struct verb *verb_of(const char *name)
{
    const struct verb *verb = adapter_opsgenie.verbs;
    while (strcmp(verb->name, name) != 0)
        verb++;
    return verb;
}

__attribute__((unused)) static struct asked asked_with(void)
{
    return (struct asked){
        .err = ERR_INIT, .fields = BUF_INIT(1 << 20), .out = BUF_INIT(1 << 20), .request = OPSGENIE_REQUEST_INIT};
}

__attribute__((unused)) static void with_text(struct asked *asked, const char *name, const char *text)
{
    record_add_text(&asked->fields, name, slice_of(text));
}

__attribute__((unused)) static void with_json(struct asked *asked, const char *name, const char *json)
{
    record_add(&asked->fields, name, RECORD_JSON, slice_of(json));
}

__attribute__((unused)) static void prepare_for(struct asked *asked, struct settings *settings, const char *verb)
{
    struct connection connection = {.name = "alerts", .adapter = &adapter_opsgenie, .settings = settings};
    struct ask ask = {.connection = &connection, .verb = verb_of(verb), .fields = buf_slice(&asked->fields)};
    asked->ok = ask.verb->prepare(&ask, &asked->out, &asked->err);
    assert_true(asked->ok == (asked->err.text[0] == '\0'));
    if (asked->ok)
        opsgenie_request_write(&asked->request, settings, ask.verb, buf_slice(&asked->out), slice_of("a7"),
                               &asked->err);
    assert_string_equal(asked->ok ? asked->err.text : "", "");
    if (asked->request.body.size)
        asked->body = json_loadb(asked->request.body.data, asked->request.body.size, 0, NULL);
}

__attribute__((unused)) static struct settings *settings_of(const char *dialect)
{
    struct settings *settings = settings_new(adapter_opsgenie.options);
    settings_set_text(settings, "dialect", slice_of(dialect));
    return settings;
}

__attribute__((unused)) static void prepare(struct asked *asked, const char *verb)
{
    struct settings *settings = settings_of("opsgenie");
    prepare_for(asked, settings, verb);
    settings_free(settings);
}

__attribute__((unused)) static bool said(const struct asked *asked, const char *name, const char *text)
{
    if (strcmp(name, "method") == 0)
        return strcmp(asked->request.method, text) == 0;
    if (strcmp(name, "path") == 0)
        return strcmp(asked->request.path.data, text) == 0;
    return slice_is(record_get(buf_slice(&asked->out), name), text);
}

__attribute__((unused)) static const char *member(const struct asked *asked, const char *name)
{
    return json_string_value(json_object_get(asked->body, name));
}

__attribute__((unused)) static void forget(struct asked *asked)
{
    buf_clear(&asked->fields);
    buf_clear(&asked->out);
    opsgenie_request_clear(&asked->request);
    json_decref(asked->body);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

typedef void judge(const struct http_reply *reply, struct opsgenie_case about, struct opsgenie_verdict *verdict);

static enum opsgenie_dialect dialect; /* of what is judged */

__attribute__((unused)) static struct opsgenie_verdict judge_by(judge *judge, int status, const char *headers,
                                                                const char *body, const char *verb)
{
    struct buf lines = BUF_INIT(1000);
    buf_add_text(&lines, headers);
    struct http_reply reply = {.status = status, .sent = true, .body = slice_of(body), .headers = &lines};
    if (!status)
        reply.failure = "no answer within 30 s";
    struct opsgenie_verdict verdict;
    judge(&reply, (struct opsgenie_case){dialect, verb_of(verb)}, &verdict);
    buf_clear(&lines);
    return verdict;
}

struct row {
    int status;
    const char *headers, *body, *verb;
    enum opsgenie_kind kind;
    int64_t wait_ms, pause_ms;
    const char *words; /* in the text */
};

__attribute__((unused)) static void check(judge *judge, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct opsgenie_verdict verdict = judge_by(judge, row->status, row->headers, row->body, row->verb);
        if (verdict.kind != row->kind || verdict.wait_ms != row->wait_ms || verdict.pause_ms != row->pause_ms
            || !strstr(verdict.text, row->words))
            fail_msg("row %zu: kind %d, wait %lld, pause %lld, \"%s\"", i, (int)verdict.kind,
                     (long long)verdict.wait_ms, (long long)verdict.pause_ms, verdict.text);
    }
}

#define CHECK(judge, rows) check(judge, rows, sizeof(rows) / sizeof(rows)[0])
#define SAYS(message) "{\"message\":\"" message "\",\"took\":0.0,\"requestId\":\"r1\"}"
#define HTML "<html><body>Bad Gateway</body></html>"

__attribute__((unused)) static void outcome(const struct http_reply *reply, struct opsgenie_case about,
                                            struct opsgenie_verdict *verdict)
{
    opsgenie_judge_outcome(reply, about, false, verdict);
}

#define OUTCOME(success, status)                                                                                       \
    "{\"data\":{\"isSuccess\":" success ",\"status\":\"" status "\",\"alertId\":\"a7\"},\"requestId\":\"r1\"}"

#define ALERT(status, acknowledged)                                                                                    \
    "{\"data\":{\"status\":\"" status "\",\"acknowledged\":" acknowledged "},\"requestId\":\"r1\"}"

#endif
