/* call.c - calls of one connection: sending, and what each answer says about the connection */
#include "adapters/opsgenie/call.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define RETIRED_PAUSE_MS 60000

struct opsgenie_call *opsgenie_call_new(struct opsgenie *opsgenie)
{
    struct opsgenie_call *call = mem_zero(sizeof *call);
    call->opsgenie = opsgenie;
    uv_timer_init(opsgenie->connection->loop, &call->timer);
    call->timer.data = call;
    call->next = opsgenie->calls;
    call->link = &opsgenie->calls;
    if (call->next)
        call->next->link = &call->next;
    opsgenie->calls = call;
    return call;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct opsgenie_call *call = handle->data;
    free(call->id);
    free(call);
}

void opsgenie_call_end(struct opsgenie_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

void opsgenie_drop_calls(struct opsgenie *opsgenie)
{
    while (opsgenie->calls) {
        struct question *question = opsgenie->calls->question;
        opsgenie_call_end(opsgenie->calls);
        if (question) /* a delivery is in the outbox still; a question is only here, and ends with its answer */
            question_later(question, "the connection was closed");
    }
}

void opsgenie_call_send(struct opsgenie_call *call, struct opsgenie_request *request, bool is_idempotent,
                        opsgenie_answered *done)
{
    struct opsgenie *opsgenie = call->opsgenie;
    struct slice body = buf_slice(&request->body);
    bool has_type = body.size || strcmp(request->method, "POST") == 0; /* else libcurl calls an empty one a form */
    const char *headers[] = {opsgenie->authorization, "Accept: application/json",
                             has_type ? "Content-Type: application/json; charset=utf-8" : NULL, NULL};
    struct buf url = BUF_INIT(30000);
    buf_addf(&url, "%s%s", opsgenie->base, request->path.data);
    /* OpsGenie may delay instead of refusing when it is asked too much: http.h's 30 s are none too many. */
    http_send(opsgenie->http,
              &(struct http_request){.method = request->method,
                                     .url = url.data,
                                     .headers = headers,
                                     .body = body,
                                     .reply_limit = 4 << 20,
                                     .is_idempotent = is_idempotent},
              done, call);
    buf_clear(&url);
    opsgenie_request_clear(request);
}

void opsgenie_call_hide(const struct opsgenie_call *call, char *text)
{
    const char *key = call->opsgenie->key;
    for (char *at = strstr(text, key); at; at = strstr(at, key))
        memset(at, '*', strlen(key));
}

/* An API that is switched off may answer in any way, or not at all: say so, whatever the trouble looks like. */
static void say_retired(struct opsgenie_verdict *verdict)
{
    char text[sizeof verdict->text];
    memcpy(text, verdict->text, sizeof text);
    snprintf(verdict->text, sizeof verdict->text,
             "OpsGenie's own API ended on 2027-04-05, set `dialect` to jsm-ops or jsm-events: %.600s", text);
    if (!verdict->pause_ms)
        verdict->pause_ms = RETIRED_PAUSE_MS;
}

void opsgenie_call_heard(struct opsgenie_call *call, const struct http_reply *reply, struct opsgenie_verdict *verdict)
{
    struct opsgenie *opsgenie = call->opsgenie;
    bool is_trouble = verdict->kind == OPSGENIE_LATER || verdict->kind == OPSGENIE_UNKNOWN;
    opsgenie_call_hide(call, verdict->text);
    if (is_trouble && reply->status != 429 && opsgenie_is_retired(opsgenie->dialect, clock_now_ms()))
        say_retired(verdict);
    if (verdict->pause_ms)
        connection_pause(opsgenie->connection, verdict->pause_ms, "%s", verdict->text);
    if (is_trouble && reply->status != 429)
        connection_says(opsgenie->connection, CONNECTION_DOWN, "%s", verdict->text);
    else if (reply->status > 0 && (reply->status < 300 || verdict->kind != OPSGENIE_FOLLOW))
        connection_says(opsgenie->connection, CONNECTION_UP, "%s answers", opsgenie->base);
}
