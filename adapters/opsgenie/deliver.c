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
 * Before the write, the dialect `jsm-ops` may need more:
 *
 *      alias ──► the alert's id ──► its notes: is ours among them? ──no──► add it ──► write
 *
 * A note goes first and is looked for, so that a second attempt, after whatever failed, does not
 * add it again.
 *
 * Nothing here survives a crash, and nothing has to: the effect is in the outbox until its verdict. */
#include "adapters/opsgenie/call.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define PATIENCE_NS (120 * (int64_t)1000000000)
#define DOUBTS 3            /* times that a request must be unknown, until it is believed */
#define BEATS_MOST 1000     /* names of heartbeats that are remembered */
#define PING_FRESH_MS 60000 /* a ping that is older would hide an outage */

/* Most requests are processed within a second. */
static const int64_t waits_ms[] = {150, 350, 500, 1000, 2000, 4000, 8000, 15000, 30000};
#define WAITS (sizeof waits_ms / sizeof waits_ms[0])

static struct opsgenie_case about(const struct opsgenie_call *call)
{
    return (struct opsgenie_case){call->opsgenie->dialect, call->delivery->verb};
}

static void finish(struct opsgenie_call *call)
{
    struct delivery *delivery = call->delivery;
    struct opsgenie_verdict verdict = call->verdict;
    struct slice notes = record_get(delivery->fields, "notes");
    struct buf data = BUF_INIT(1000);
    char refused_note[sizeof call->refused_note];
    memcpy(refused_note, call->refused_note, sizeof refused_note);
    struct delivery_known known = {.phase = call->accepted_ns ? "asking for the outcome" : "the request",
                                   .last_reply = call->accepted_ns ? verdict.is_doubtful
                                                                         ? "a failure that named the request"
                                                                         : "202: the request was taken"
                                                                   : NULL,
                                   .sent_ms = call->sent_ms};
    opsgenie_call_end(call);
    switch (verdict.kind) {
    case OPSGENIE_DONE:
        buf_addf(&data, "{\"alert_id\":");
        buf_add_json(&data, slice_of(verdict.alert_id));
        buf_add_char(&data, '}');
        delivery_done_with(delivery, *verdict.alert_id ? buf_slice(&data) : SLICE_NONE, "%s%s%s%s%.*s", verdict.text,
                           *refused_note ? "; its note was refused: " : "", refused_note, notes.size ? "; " : "",
                           SLICE_ARG(notes));
        break;
    case OPSGENIE_LATER: delivery_later(delivery, verdict.wait_ms, "%s", verdict.text); break;
    case OPSGENIE_NEVER: delivery_never(delivery, "%s", verdict.text); break;
    default: delivery_unknown(delivery, &known, "%s", verdict.text);
    }
    buf_clear(&data);
}

static void finish_with(struct opsgenie_call *call, enum opsgenie_kind kind, const char *text)
{
    call->verdict = (struct opsgenie_verdict){.kind = kind};
    snprintf(call->verdict.text, sizeof call->verdict.text, "%.790s", text);
    finish(call);
}

/* ---- what became of it? -------------------------------------------------------------------------------- */

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
    opsgenie_judge_look(reply, about(call), why, &call->verdict);
    opsgenie_call_heard(call, reply, &call->verdict);
    finish(call);
}

/* "Could not close" is no reason to worry if there is nothing open. */
static void look(struct opsgenie_call *call)
{
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    struct slice fields = call->delivery->fields;
    const char *by = call->id || record_has(fields, "id") ? "id" : "alias";
    struct slice name = call->id ? slice_of(call->id) : record_get(fields, by);
    opsgenie_request_alert(&request, call->opsgenie->dialect, by, name, &err); /* fitted into a path before */
    opsgenie_call_send(call, &request, true, on_looked);
}

static void on_outcome(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct opsgenie_verdict verdict;
    bool is_doubtful = call->verdict.is_doubtful;
    opsgenie_judge_outcome(reply, about(call), is_doubtful, &verdict);
    memcpy(verdict.request_id, call->verdict.request_id, sizeof verdict.request_id);
    verdict.is_doubtful = is_doubtful;
    call->verdict = verdict;
    opsgenie_call_heard(call, reply, &call->verdict);
    if (is_doubtful && verdict.kind == OPSGENIE_LATER && call->asked < DOUBTS)
        follow(call);
    else if (verdict.kind == OPSGENIE_FOLLOW)
        follow(call);
    else if (verdict.kind == OPSGENIE_LOOK)
        look(call);
    else
        finish(call);
}

static void ask_outcome(uv_timer_t *timer)
{
    struct opsgenie_call *call = timer->data;
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    opsgenie_request_outcome(&request, call->opsgenie->dialect, call->verdict.request_id);
    call->asked++;
    opsgenie_call_send(call, &request, true, on_outcome);
}

/* ---- is there such a heartbeat? ----------------------------------------------------------------------- */

/* PONG does not tell, and a heartbeat that is not there, or off, would never call anybody. */
static void on_beat(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct slice name = record_get(call->delivery->fields, "name");
    struct opsgenie_verdict verdict;
    json_t *body;
    opsgenie_judge_read(reply, call->opsgenie->dialect, &body, &verdict);
    json_t *beat = body ? opsgenie_read_answer(call->opsgenie->dialect, "heartbeat", name, body) : NULL;
    const char *trouble = verdict.kind != OPSGENIE_DONE                     ? NULL
                          : !json_is_object(beat)                           ? "there is no such heartbeat"
                          : json_is_false(json_object_get(beat, "enabled")) ? "this heartbeat is switched off"
                                                                            : NULL;
    if (trouble) {
        log_warning("connection %s: heartbeat %.*s is pinged, but %s: nobody is called when the pings stop",
                    call->opsgenie->connection->name, SLICE_ARG(name), trouble);
        snprintf(call->verdict.text, sizeof call->verdict.text, "the ping was taken, but %s", trouble);
    }
    json_decref(beat);
    json_decref(body);
    finish(call);
}

/* Looks at each heartbeat once, after its first ping since start.  False: there is nothing to look at. */
static bool look_at_beat(struct opsgenie_call *call)
{
    struct opsgenie *opsgenie = call->opsgenie;
    struct delivery *delivery = call->delivery;
    struct slice name = record_get(delivery->fields, "name");
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    const struct query *query = opsgenie_queries;
    if (!name.size || map_get(&opsgenie->beats, name) || opsgenie->beats.count >= BEATS_MOST)
        return false;
    map_put(&opsgenie->beats, name, opsgenie);
    while (strcmp(query->name, "heartbeat") != 0)
        query++;
    bool ok = opsgenie_request_read(&request, opsgenie->connection->settings, query, delivery->fields, &err);
    if (ok)
        opsgenie_call_send(call, &request, true, on_beat);
    else
        opsgenie_request_clear(&request);
    return ok;
}

/* ---- the write ----------------------------------------------------------------------------------------- */

static void on_written(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    opsgenie_judge_write(reply, about(call), &call->verdict);
    opsgenie_call_heard(call, reply, &call->verdict);
    if (call->verdict.kind == OPSGENIE_DONE && look_at_beat(call))
        return;
    if (call->verdict.kind != OPSGENIE_FOLLOW) {
        finish(call);
        return;
    }
    call->accepted_ns = clock_mono_ns();
    follow(call);
}

static void write_now(struct opsgenie_call *call)
{
    struct delivery *delivery = call->delivery;
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    if (opsgenie_request_write(&request, call->opsgenie->connection->settings, delivery->verb, delivery->fields,
                               slice_of(call->id ? call->id : ""), &err)) {
        opsgenie_call_send(call, &request, delivery->verb->is_idempotent, on_written);
    } else { /* it was asked for when the connection spoke another dialect */
        opsgenie_request_clear(&request);
        finish_with(call, OPSGENIE_NEVER, err.text);
    }
}

/* ---- before it: the note, the id --------------------------------------------------------------------------- */

static struct slice id_of(const struct opsgenie_call *call)
{
    return call->id ? slice_of(call->id) : record_get(call->delivery->fields, "id");
}

static void on_noted(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct opsgenie_case note = {call->opsgenie->dialect, NULL};
    for (note.verb = opsgenie_verbs; strcmp(note.verb->name, "add_note") != 0;)
        note.verb++;
    opsgenie_judge_write(reply, note, &call->verdict);
    opsgenie_call_heard(call, reply, &call->verdict);
    if (call->verdict.kind == OPSGENIE_LATER || call->verdict.kind == OPSGENIE_UNKNOWN) {
        call->verdict.kind = OPSGENIE_LATER; /* the next attempt sees whether the note is there */
        finish(call);
        return;
    }
    if (call->verdict.kind == OPSGENIE_NEVER)
        snprintf(call->refused_note, sizeof call->refused_note, "%.190s", call->verdict.text);
    write_now(call);
}

static bool has_note(const json_t *body, struct slice note)
{
    const json_t *notes = json_object_get(body, "values");
    for (size_t i = 0; i < json_array_size(notes); i++) {
        const char *text = json_string_value(json_object_get(json_array_get(notes, i), "note"));
        if (text && slice_is(note, text))
            return true;
    }
    return false;
}

static void on_notes(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    struct delivery *delivery = call->delivery;
    json_t *body;
    struct buf text = BUF_INIT(1 << 20);
    struct slice note =
        opsgenie_request_own_note(delivery->connection->settings, delivery->verb, delivery->fields, &text);
    opsgenie_judge_read(reply, call->opsgenie->dialect, &body, &call->verdict);
    opsgenie_call_heard(call, reply, &call->verdict);
    if (call->verdict.kind != OPSGENIE_DONE) {
        finish(call);
    } else if (has_note(body, note)) {
        write_now(call);
    } else {
        struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
        opsgenie_request_note(&request, id_of(call), note);
        opsgenie_call_send(call, &request, false, on_noted);
    }
    json_decref(body);
    buf_clear(&text);
}

static void note_or_write(struct opsgenie_call *call)
{
    struct delivery *delivery = call->delivery;
    struct buf text = BUF_INIT(1 << 20);
    if (opsgenie_request_own_note(delivery->connection->settings, delivery->verb, delivery->fields, &text).size) {
        struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
        opsgenie_request_notes(&request, id_of(call));
        opsgenie_call_send(call, &request, true, on_notes);
    } else {
        write_now(call);
    }
    buf_clear(&text);
}

static void on_found(const struct http_reply *reply, void *context)
{
    struct opsgenie_call *call = context;
    json_t *body;
    opsgenie_judge_read(reply, call->opsgenie->dialect, &body, &call->verdict);
    opsgenie_call_heard(call, reply, &call->verdict);
    const char *id = json_string_value(json_object_get(body, "id"));
    if (id && *id && strlen(id) < 200)
        call->id = mem_text(id);
    json_decref(body);
    if (call->id)
        note_or_write(call);
    else if (call->verdict.kind != OPSGENIE_DONE)
        finish(call);
    else if (reply->status == 404)
        /* the same answer that another dialect gives to the write itself */
        on_written(reply, call);
    else
        finish_with(call, OPSGENIE_LATER, "the answer cannot be read: no id of the alert in it");
}

static void find(struct opsgenie_call *call)
{
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    opsgenie_request_alert(&request, call->opsgenie->dialect, "alias", record_get(call->delivery->fields, "alias"),
                           &err); /* it fitted into a path when it was asked for */
    opsgenie_call_send(call, &request, true, on_found);
}

static void on_stale(uv_timer_t *timer)
{
    finish_with(timer->data, OPSGENIE_DONE, "not sent: a ping that is more than a minute late would hide an outage");
}

void opsgenie_deliver(struct connection *connection, struct delivery *delivery)
{
    struct opsgenie_call *call = opsgenie_call_new(connection->state);
    call->delivery = delivery;
    call->sent_ms = clock_now_ms();
    bool is_ping = strcmp(delivery->verb->name, "ping") == 0;
    if (is_ping && clock_now_ms() - delivery->asked_ms > PING_FRESH_MS)
        uv_timer_start(&call->timer, on_stale, 0, 0);
    else if (opsgenie_request_needs_id(connection->settings, delivery->verb, delivery->fields))
        find(call);
    else
        note_or_write(call);
}
