/* deliver.c - sends what was prepared, and follows it to its outcome
 *
 *      write ──202──► wait ──► outcome? ──processed──► verdict
 *        │             ▲          │
 *        │             └──not yet─┘   for at most two minutes
 *        └──anything else──► verdict
 *
 * 202 promises only that the request was well formed: what became of it is asked for, with longer
 * and longer waits, because asking counts against the same limit as writing.  The next effect of
 * the same key waits meanwhile; requests that are accepted may be processed out of order.
 *
 * Nothing here survives a crash, and nothing has to: the effect is in the outbox until its verdict. */
#include "adapters/opsgenie/opsgenie.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define PATIENCE_NS (120 * (int64_t)1000000000)

/* Most requests are processed within a second. */
static const int64_t waits_ms[] = {150, 350, 500, 1000, 2000, 4000, 8000, 15000, 30000};
#define WAITS (sizeof waits_ms / sizeof waits_ms[0])

/* One delivery, question or examination that is under way. */
struct opsgenie_call {
    struct opsgenie_call *next, **link; /* all of the connection's */
    struct opsgenie *opsgenie;
    struct delivery *delivery; /* one of the three; the others are NULL */
    struct question *question;
    struct examination *examination;
    uv_timer_t timer;                /* until the outcome is asked for again */
    size_t asked;                    /* how often it was */
    int64_t accepted_ns;             /* when the write was */
    int64_t sent_ms;                 /* when it was sent */
    struct opsgenie_verdict verdict; /* the last one */
};

static struct opsgenie_call *call_new(struct opsgenie *opsgenie)
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
    free(handle->data);
}

static void call_end(struct opsgenie_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

void opsgenie_drop_calls(struct opsgenie *opsgenie)
{
    while (opsgenie->calls)
        call_end(opsgenie->calls);
}

static void call_send(struct opsgenie_call *call, const char *method, const char *path, struct slice body,
                      bool is_idempotent, void (*done)(const struct http_reply *reply, void *context))
{
    struct opsgenie *opsgenie = call->opsgenie;
    const char *headers[] = {opsgenie->authorization, "Accept: application/json",
                             body.size ? "Content-Type: application/json; charset=utf-8" : NULL, NULL};
    struct buf url = BUF_INIT(20000);
    buf_addf(&url, "%s%s", opsgenie->base, path);
    /* OpsGenie may delay instead of refusing when it is asked too much: http.h's 30 s are none too many. */
    http_send(opsgenie->http,
              &(struct http_request){
                  .method = method, .url = url.data, .headers = headers, .body = body, .is_idempotent = is_idempotent},
              done, call);
    buf_clear(&url);
}

/* A far side may repeat our key in what it says. */
static void hide_key(const char *key, char *text)
{
    for (char *at = strstr(text, key); at; at = strstr(at, key))
        memset(at, '*', strlen(key));
}

/* What an answer says about the connection itself. */
static void note_state(struct opsgenie *opsgenie, const struct http_reply *reply, struct opsgenie_verdict *verdict)
{
    hide_key(opsgenie->key, verdict->text);
    bool is_trouble = verdict->kind == OPSGENIE_LATER || verdict->kind == OPSGENIE_UNKNOWN;
    if (verdict->pause_ms)
        connection_pause(opsgenie->connection, verdict->pause_ms, "%s", verdict->text);
    if (is_trouble && reply->status != 429)
        connection_says(opsgenie->connection, CONNECTION_DOWN, "%s", verdict->text);
    else if (reply->status > 0 && (reply->status < 300 || verdict->kind != OPSGENIE_FOLLOW))
        connection_says(opsgenie->connection, CONNECTION_UP, "%s answers", opsgenie->base);
}

/* ---- deliveries ---------------------------------------------------------------------------------- */

static void finish(struct opsgenie_call *call)
{
    struct delivery *delivery = call->delivery;
    struct opsgenie_verdict verdict = call->verdict;
    struct slice notes = record_get(delivery->fields, "notes");
    struct delivery_known known = {.last_reply = call->accepted_ns ? "202: the request was taken" : NULL,
                                   .sent_ms = call->sent_ms};
    call_end(call);
    switch (verdict.kind) {
    case OPSGENIE_DONE:
        delivery_done(delivery, "%s%s%.*s", verdict.text, notes.size ? "; " : "", SLICE_ARG(notes));
        break;
    case OPSGENIE_LATER: delivery_later(delivery, verdict.wait_ms, "%s", verdict.text); break;
    case OPSGENIE_NEVER: delivery_never(delivery, "%s", verdict.text); break;
    default: delivery_unknown(delivery, &known, "%s", verdict.text);
    }
}

static int64_t with_jitter(int64_t wait_ms)
{
    unsigned char noise = 0;
    if (getrandom(&noise, sizeof noise, GRND_NONBLOCK) != sizeof noise)
        noise = 0;
    return wait_ms + wait_ms * noise / 1024; /* up to a quarter more */
}

static void give_up(struct opsgenie_call *call)
{
    struct opsgenie_verdict *verdict = &call->verdict;
    char last[sizeof verdict->text];
    memcpy(last, verdict->text, sizeof last);
    verdict->kind = call->delivery->verb->is_idempotent ? OPSGENIE_LATER : OPSGENIE_UNKNOWN;
    verdict->wait_ms = 0;
    snprintf(verdict->text, sizeof verdict->text, "no outcome of request %.40s within %d s: %.600s",
             verdict->request_id, (int)(PATIENCE_NS / 1000000000), last);
    finish(call);
}

static void ask_outcome(uv_timer_t *timer);

static void follow(struct opsgenie_call *call)
{
    int64_t wait_ms = waits_ms[call->asked < WAITS ? call->asked : WAITS - 1];
    if (wait_ms < call->verdict.wait_ms)
        wait_ms = call->verdict.wait_ms;
    if (clock_mono_ns() + wait_ms * 1000000 - call->accepted_ns > PATIENCE_NS)
        give_up(call);
    else
        uv_timer_start(&call->timer, ask_outcome, (uint64_t)with_jitter(wait_ms), 0);
}

static void on_looked(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    char why[sizeof call->verdict.text];
    memcpy(why, call->verdict.text, sizeof why);
    opsgenie_judge_look(reply, call->delivery->verb, why, &call->verdict);
    note_state(call->opsgenie, reply, &call->verdict);
    finish(call);
}

/* "Could not close" is no reason to worry if there is nothing open. */
static void look(struct opsgenie_call *call)
{
    struct buf path = BUF_INIT(10000);
    opsgenie_path(&path, record_get(call->delivery->fields, "alias"), "");
    call_send(call, "GET", path.data, SLICE_NONE, true, on_looked);
    buf_clear(&path);
}

static void on_outcome(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct opsgenie_verdict verdict;
    opsgenie_judge_outcome(reply, call->delivery->verb, &verdict);
    memcpy(verdict.request_id, call->verdict.request_id, sizeof verdict.request_id);
    call->verdict = verdict;
    note_state(call->opsgenie, reply, &call->verdict);
    switch (verdict.kind) {
    case OPSGENIE_FOLLOW: follow(call); break;
    case OPSGENIE_LOOK: look(call); break;
    default: finish(call);
    }
}

static void ask_outcome(uv_timer_t *timer)
{
    struct opsgenie_call *call = timer->data;
    struct buf path = BUF_INIT(1000);
    buf_add_text(&path, "/v2/alerts/requests/");
    http_escape(&path, slice_of(call->verdict.request_id));
    call->asked++;
    call_send(call, "GET", path.data, SLICE_NONE, true, on_outcome);
    buf_clear(&path);
}

static void on_written(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    opsgenie_judge_write(reply, call->delivery->verb, &call->verdict);
    note_state(call->opsgenie, reply, &call->verdict);
    if (call->verdict.kind != OPSGENIE_FOLLOW) {
        finish(call);
        return;
    }
    call->accepted_ns = clock_mono_ns();
    follow(call);
}

void opsgenie_deliver(struct connection *connection, struct delivery *delivery)
{
    struct opsgenie_call *call = call_new(connection->state);
    call->delivery = delivery;
    call->sent_ms = clock_now_ms();
    char *method = mem_copy(record_get(delivery->fields, "method"));
    char *path = mem_copy(record_get(delivery->fields, "path"));
    call_send(call, method, path, record_get(delivery->fields, "body"), delivery->verb->is_idempotent, on_written);
    free(method);
    free(path);
}

/* ---- questions and examinations --------------------------------------------------------------------- */

static void on_read(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct question *question = call->question;
    struct buf json = BUF_INIT(4 << 20);
    struct opsgenie_verdict verdict;
    opsgenie_judge_read(reply, &json, &verdict);
    note_state(call->opsgenie, reply, &verdict);
    call_end(call);
    if (verdict.kind == OPSGENIE_DONE)
        question_answer(question, buf_slice(&json));
    else if (verdict.kind == OPSGENIE_NEVER)
        question_never(question, "%s", verdict.text);
    else
        question_later(question, "%s", verdict.text);
    buf_clear(&json);
}

void opsgenie_ask(struct connection *connection, struct question *question)
{
    struct slice alias = record_get(question->fields, "alias");
    struct buf path = BUF_INIT(10000);
    if (!alias.size || !opsgenie_path(&path, alias, "")) {
        question_never(question, "`alias` is empty or too long");
    } else {
        struct opsgenie_call *call = call_new(connection->state);
        call->question = question;
        call_send(call, "GET", path.data, SLICE_NONE, true, on_read);
    }
    buf_clear(&path);
}

static void on_examined(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct opsgenie *opsgenie = call->opsgenie;
    struct examination *examination = call->examination;
    struct buf json = BUF_INIT(4 << 20);
    struct opsgenie_verdict verdict;
    opsgenie_judge_read(reply, &json, &verdict);
    hide_key(opsgenie->key, verdict.text);
    call_end(call);
    examination_finds(examination, reply->status > 0, "reachable", "%s: %s", opsgenie->base,
                      reply->status > 0 ? "answers" : verdict.text);
    if (reply->status == 200 && verdict.kind == OPSGENIE_DONE)
        examination_finds(examination, true, "credentials",
                          "the key may read alerts; whether it may create them only a create tells: an account key may "
                          "not, a key of an API integration may");
    else if (reply->status > 0)
        examination_finds(examination, false, "credentials", "%s", verdict.text);
    examination_ends(examination);
    buf_clear(&json);
}

void opsgenie_examine(struct connection *connection, struct source *source, struct examination *examination)
{
    (void)source;
    struct opsgenie_call *call = call_new(connection->state);
    call->examination = examination;
    call_send(call, "GET", "/v2/alerts?limit=1", SLICE_NONE, true, on_examined);
}
