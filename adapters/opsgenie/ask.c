/* ask.c - answers what flows and `headgate doctor` want to know */
#include "adapters/opsgenie/call.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MOST ((size_t)4 << 20)

/* ---- questions ------------------------------------------------------------------------------------------- */

static void answer_json(struct question *question, const json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text && strlen(text) < ANSWER_MOST)
        question_answer(question, slice_of(text));
    else
        question_never(question, "the answer is too large: ask for less");
    free(text);
}

static void on_read(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct question *question = call->question;
    struct opsgenie_verdict verdict;
    enum opsgenie_dialect dialect = call->opsgenie->dialect;
    json_t *body, *answer = NULL;
    opsgenie_judge_read(reply, dialect, &body, &verdict);
    opsgenie_call_heard(call, reply, &verdict);
    opsgenie_call_end(call);
    if (verdict.kind == OPSGENIE_DONE)
        answer = body ? opsgenie_read_answer(dialect, question->query->name, record_get(question->fields, "name"), body)
                      : json_null();
    if (answer)
        answer_json(question, answer);
    else if (verdict.kind == OPSGENIE_NEVER)
        question_never(question, "%s", verdict.text);
    else
        question_later(question, "%s",
                       verdict.kind == OPSGENIE_DONE ? "the answer cannot be read: it is not what was asked for"
                                                     : verdict.text);
    json_decref(answer);
    json_decref(body);
}

void opsgenie_ask(struct connection *connection, struct question *question)
{
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    if (!opsgenie_request_read(&request, connection->settings, question->query, question->fields, &err)) {
        opsgenie_request_clear(&request);
        question_never(question, "%s", err.text);
        return;
    }
    struct opsgenie_call *call = opsgenie_call_new(connection->state);
    call->question = question;
    opsgenie_call_send(call, &request, true, on_read);
}

/* ---- examinations ---------------------------------------------------------------------------------------- */

/* jsm-events can read nothing, but knows whose key it is before it says that it knows no such request. */
static bool is_welcome(const struct http_reply *reply, enum opsgenie_dialect dialect,
                       const struct opsgenie_verdict *verdict)
{
    return verdict->kind == OPSGENIE_DONE && (reply->status == 200 || dialect == OPSGENIE_EVENTS);
}

static const char *what_is_known(enum opsgenie_dialect dialect)
{
    switch (dialect) {
    case OPSGENIE_EVENTS: return "the key is taken";
    case OPSGENIE_OPS: return "this person may read alerts; whether they may change them only a change tells";
    default:
        return "the key may read alerts; whether it may create them only a create tells: an account key may not, a key "
               "of an API integration may";
    }
}

static void on_examined(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct opsgenie *opsgenie = call->opsgenie;
    struct examination *examination = call->examination;
    struct opsgenie_verdict verdict;
    enum opsgenie_dialect dialect = opsgenie->dialect;
    json_t *body;
    opsgenie_judge_read(reply, dialect, &body, &verdict);
    json_decref(body);
    opsgenie_call_hide(call, verdict.text);
    opsgenie_call_end(call);
    examination_finds(examination, reply->status > 0, "reachable", "%s: %s", opsgenie->base,
                      reply->status > 0 ? "answers" : verdict.text);
    if (is_welcome(reply, dialect, &verdict))
        examination_finds(examination, true, "credentials", "%s", what_is_known(dialect));
    else if (reply->status > 0)
        examination_finds(examination, false, "credentials", "%s", verdict.text);
    if (opsgenie_is_retired(dialect, clock_now_ms()))
        examination_finds(examination, false, "dialect",
                          "OpsGenie's own API ended on 2027-04-05: set `dialect` to jsm-ops or jsm-events");
    examination_ends(examination);
}

void opsgenie_examine(struct connection *connection, struct source *source, struct examination *examination)
{
    struct opsgenie *opsgenie = connection->state;
    struct opsgenie_call *call = opsgenie_call_new(opsgenie);
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    (void)source;
    call->examination = examination;
    if (opsgenie->dialect == OPSGENIE_EVENTS) {
        opsgenie_request_outcome(&request, opsgenie->dialect, "00000000-0000-4000-8000-000000000000");
    } else {
        request.method = "GET";
        buf_add_text(&request.path, opsgenie->dialect == OPSGENIE_OPS ? "/v1/alerts?size=1" : "/v2/alerts?limit=1");
    }
    opsgenie_call_send(call, &request, true, on_examined);
}
