/* call.c - one request to the far side, with a token that may have to be renewed; see web.h
 *
 *      line of auth ──► request ──► answer ──► done
 *           ▲                         │
 *           └── once, 401 and OAuth ──┘ a refused request has done nothing, so this is no repeat
 */
#include "adapters/http/auth.h"

#include "core/base/clock.h"

#include <stdlib.h>
#include <strings.h>

#define LINES_MAX 64 /* header lines of one request */
#define HEADERS_MAX 64000

struct web_call *web_call_new(struct web *web)
{
    struct web_call *call = mem_zero(sizeof *call);
    call->web = web;
    call->owned = (struct buf)BUF_INIT((size_t)20 << 20);
    uv_timer_init(web->connection->loop, &call->timer);
    call->timer.data = call;
    call->next = web->calls;
    call->link = &web->calls;
    if (call->next)
        call->next->link = &call->next;
    web->calls = call;
    return call;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct web_call *call = handle->data;
    buf_clear(&call->owned);
    web_forget(call->line);
    free(call);
}

void web_call_end(struct web_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

/* A delivery is in the outbox still; a question is only here, and ends with its answer. */
void web_drop_calls(struct web *web)
{
    while (web->calls) {
        struct question *question = web->calls->question;
        web_call_end(web->calls);
        if (question)
            question_later(question, "the connection was closed");
    }
}

/* ---- headers ---------------------------------------------------------------------------------------------- */

/* What the flow said goes before what the connection says of the same name. */
static bool has_line(struct slice lines, const char *name)
{
    size_t size = strlen(name);
    while (lines.size) {
        const char *end = memchr(lines.data, '\n', lines.size);
        if (lines.size > size && lines.data[size] == ':' && strncasecmp(lines.data, name, size) == 0)
            return true;
        size_t step = end ? (size_t)(end - lines.data) + 1 : lines.size;
        lines = (struct slice){lines.data + step, lines.size - step};
    }
    return false;
}

static void add_idempotency(const struct web_call *call, struct buf *lines)
{
    const struct settings *settings = call->web->connection->settings;
    const struct delivery *delivery = call->delivery;
    struct slice key = record_get(call->request, "idempotency_key");
    bool wants = delivery && (strcmp(delivery->verb->name, "post") == 0 || strcmp(delivery->verb->name, "patch") == 0)
                 && strcmp(settings_text(settings, "idempotency"), "off") != 0;
    if (!wants && !key.size)
        return;
    const char *quote = settings_number(settings, "idempotency_quotes") ? "\"" : "";
    if (!key.size)
        key = slice_of(delivery->effect_id);
    buf_addf(lines, "%s: %s%.*s%s\n", settings_text(settings, "idempotency_header"), quote, SLICE_ARG(key), quote);
}

static void add_lines(const struct web_call *call, struct buf *lines)
{
    const struct settings *settings = call->web->connection->settings;
    struct slice said = record_get(call->request, "headers"), type = record_get(call->request, "content_type");
    buf_add_slice(lines, said);
    if (type.size)
        buf_addf(lines, "Content-Type: %.*s\n", SLICE_ARG(type));
    for (size_t i = 0; i < settings_count(settings, "headers"); i++)
        if (!has_line(said, settings_key(settings, "headers", i)))
            buf_addf(lines, "%s: %s\n", settings_key(settings, "headers", i), settings_item(settings, "headers", i));
    add_idempotency(call, lines);
    if (call->delivery)
        web_auth_sign(call->web->auth, call->delivery->effect_id, record_get(call->request, "body"), clock_now_ms(),
                      lines);
    if (call->line && call->line[0])
        buf_addf(lines, "%s\n", call->line);
}

/* Points into `lines`, which is cut into pieces. */
static bool split_lines(struct buf *lines, const char *headers[LINES_MAX + 1])
{
    size_t count = 0;
    for (char *at = lines->data, *end; at && *at; at = end + 1) {
        end = strchr(at, '\n');
        *end = '\0';
        if (count == LINES_MAX)
            return false;
        headers[count++] = at;
    }
    headers[count] = NULL;
    return !lines->is_over;
}

/* ---- sending ------------------------------------------------------------------------------------------------ */

static void on_line(const char *line, const struct web_verdict *trouble, void *context);

static void on_reply(const struct http_reply *reply, void *context)
{
    struct web_call *call = context;
    struct web *web = call->web;
    if (reply->status == 401 && !call->is_renewed && web_auth_renews(web->auth)) {
        call->is_renewed = true;
        web_auth_line(web->auth, call->line, on_line, call);
        return;
    }
    struct web_verdict verdict;
    web_judge(&web->table, reply, clock_now_ms(), &verdict);
    web_auth_hide(web->auth, verdict.text);
    call->done(call, reply, &verdict);
}

static void send_it(struct web_call *call)
{
    struct web *web = call->web;
    struct buf lines = BUF_INIT(HEADERS_MAX), url = BUF_INIT(20000);
    const char *headers[LINES_MAX + 1];
    call->sent_ms = clock_now_ms();
    add_lines(call, &lines);
    buf_add_text(&url, web->base);
    buf_add_slice(&url, record_get(call->request, "path"));
    char *method = mem_copy(record_get(call->request, "method"));
    if (!split_lines(&lines, headers)) {
        struct web_verdict verdict = {
            .kind = WEB_NEVER, .calls_left = -1, .text = "it has too many headers, or too large ones"};
        call->done(call, NULL, &verdict);
    } else {
        http_send(web->http,
                  &(struct http_request){.method = method,
                                         .url = url.data,
                                         .headers = headers,
                                         .body = record_get(call->request, "body"),
                                         .timeout_ms = call->timeout_ms,
                                         .reply_limit = WEB_ANSWER_MAX,
                                         .is_idempotent = !call->delivery || call->delivery->verb->is_idempotent},
                  on_reply, call);
    }
    free(method);
    web_forget_buf(&lines);
    buf_clear(&url);
}

static void on_line(const char *line, const struct web_verdict *trouble, void *context)
{
    struct web_call *call = context;
    if (!line) {
        struct web_verdict verdict = *trouble;
        call->done(call, NULL, &verdict);
        return;
    }
    web_forget(call->line);
    call->line = mem_text(line);
    send_it(call);
}

void web_call_send(struct web_call *call, long timeout_ms, web_call_done *done)
{
    call->done = done;
    call->timeout_ms = timeout_ms;
    call->is_renewed = false;
    web_auth_line(call->web->auth, NULL, on_line, call);
}

void web_call_note(const struct web_call *call, const struct http_reply *reply, const struct web_verdict *verdict)
{
    struct connection *connection = call->web->connection;
    if (verdict->calls_left >= 0)
        connection_allows(connection, verdict->calls_left, verdict->reset_ms);
    if (verdict->pause_ms)
        connection_pause(connection, verdict->pause_ms, "%s", verdict->text);
    bool is_down = verdict->is_our_key || !reply || !reply->status || reply->status >= 500;
    if (is_down)
        connection_says(connection, CONNECTION_DOWN, "%s", verdict->text);
    else
        connection_says(connection, CONNECTION_UP, "%s answers", call->web->base);
}
