/* deliver.c - effects: one request, one verdict; and what `headgate doctor` can see; see web.h */
#include "adapters/http/web.h"

#include <stdlib.h>

static long timeout_of(const struct web *web, struct slice request)
{
    return (long)record_get_integer(request, "timeout_ms", settings_number(web->connection->settings, "timeout"));
}

/* A flow that asked for the outcome finds the answer in it; one that cannot be read as it says is none. */
static void done(struct delivery *delivery, const struct http_reply *reply, const char *text)
{
    struct buf json = BUF_INIT(8 * WEB_ANSWER_MAX);
    if (reply && web_answer(reply, &json))
        delivery_done_with(delivery, buf_slice(&json), "%s", text);
    else
        delivery_done(delivery, "%s", text);
    buf_clear(&json);
}

static void on_delivered(struct web_call *call, const struct http_reply *reply, struct web_verdict *verdict)
{
    struct delivery *delivery = call->delivery;
    bool is_answered = reply && reply->status;
    struct delivery_known known = {.last_reply = is_answered ? verdict->text : NULL, .sent_ms = call->sent_ms};
    web_call_note(call, reply, verdict);
    web_call_end(call);
    switch (verdict->kind) {
    case WEB_DONE: done(delivery, reply, verdict->text); break;
    case WEB_NEVER: delivery_never(delivery, "%s", verdict->text); break;
    case WEB_UNKNOWN: delivery_unknown(delivery, &known, "%s", verdict->text); break;
    default: delivery_later(delivery, verdict->wait_ms, "%s", verdict->text);
    }
}

void web_deliver(struct connection *connection, struct delivery *delivery)
{
    struct web *web = connection->state;
    if (!web->base) {
        delivery_never(delivery, "the connection has no `base` to send to any more");
        return;
    }
    struct web_call *call = web_call_new(web);
    call->delivery = delivery;
    call->request = delivery->fields;
    web_call_send(call, timeout_of(web, delivery->fields), on_delivered);
}

/* ---- looking ---------------------------------------------------------------------------------------------- */

static void on_examined(struct web_call *call, const struct http_reply *reply, struct web_verdict *verdict)
{
    struct examination *examination = call->examination;
    bool is_reached = reply && reply->status > 0;
    examination_finds(examination, is_reached, "reachable", "%s: %s", call->web->base,
                      is_reached ? "answers" : verdict->text);
    if (verdict->is_our_key)
        examination_finds(examination, false, "credentials", "%s", verdict->text);
    else if (is_reached)
        examination_finds(examination, true, "credentials", "GET %s/ is not refused for them (HTTP %d)",
                          call->web->base, reply->status);
    web_call_end(call);
    examination_ends(examination);
}

void web_examine(struct connection *connection, struct source *source, struct examination *examination)
{
    struct web *web = connection->state;
    if (source) {
        bool is_open = source->state != NULL;
        examination_finds(examination, is_open, "webhooks", "%s",
                          is_open ? "the path is open" : "the path is not open; `headgate status` says why");
    }
    if (!web->base) {
        examination_ends(examination);
        return;
    }
    struct web_call *call = web_call_new(web);
    call->examination = examination;
    record_add_text(&call->owned, "method", slice_of("GET"));
    record_add_text(&call->owned, "path", slice_of("/"));
    call->request = buf_slice(&call->owned);
    web_call_send(call, (long)settings_number(connection->settings, "timeout"), on_examined);
}
