/* admit.c - from an event to its run: gate, readable?, seen before?, too old?, whose turn is it?
 *
 *      event ─► decode ─► seen? ─► expired? ─► its key is free? ─yes─► run
 *                                                   │ an earlier one runs here ──► behind it, in memory
 *                                                   └ an earlier one is in the inbox ──► into the inbox
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/flow/internal.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

static void forget_run(struct job *job)
{
    if (!job->run)
        return;
    free(job->id);
    free(job->key);
    job->id = mem_text(job->run->id);
    job->key = mem_text(job->run->key);
    run_free(job->run);
    job->run = NULL;
}

void job_free(struct job *job)
{
    job->flow->under_way--;
    fuse_end(&job->flow->context->fuses, &job->claim);
    if (job->run)
        run_free(job->run);
    if (job->source)
        source_answered(job->source);
    if (job->event)
        event_free(job->event);
    free(job->id);
    free(job->key);
    free(job->owned_record);
    free(job->release);
    free(job);
}

/* Not begun: back to where it came from, untouched. */
void job_put_back(struct job *job)
{
    struct connection *from = job->event ? job->source->source.connection : NULL;
    if (from && from->is_open && job->event->opening == from->opening)
        from->adapter->put_back(from, job->event);
    job_free(job);
}

/* Never the same again, also after a restart: the ids of effects follow from it. */
static const char *make_id(char *id)
{
    unsigned char bytes[12];
    RAND_bytes(bytes, sizeof bytes);
    hash_hex(bytes, sizeof bytes, id);
    return id;
}

static bool was_seen(struct flow *flow, const char *id)
{
    struct store_key key = seen_key(flow, id);
    struct slice nothing;
    int64_t expires_ms;
    return store_get_until(flow->context->store, TABLE_SEEN, store_key_slice(&key), &expires_ms, &nothing)
           && expires_ms > clock_now_ms();
}

/* Two events with the same unreadable body may both be meant; one that the source delivers again is the same event. */
static bool is_unreadable_repeat(const struct job *job)
{
    char id[UNREADABLE_ID];
    if (!job->event || !job->event->is_redelivered)
        return false;
    unreadable_id(job, id);
    return was_seen(job->flow, id);
}

/* The job's run, and what the manifest finds in the event; false: why it cannot be read. */
static bool decode(struct job *job, struct instance *instance, struct err *err)
{
    char made[25] = "";
    int64_t received_ms = job->event ? job->event->received_ms : job->arrival->entry.asked_ms;
    const char *given = job->id; /* it had one before it waited */
    if (!instance->manifest->id_path && (!given || !given[0]))
        given = make_id(made);
    job->run = run_new(instance, received_ms);
    job->run->owner = job;
    job->run->ended = outcome_of_run;
    job->run->attempt = job->arrival ? job->arrival->attempts + 1 : 1;
    job->run->memory = &flow_memory;
    if (job->began_ms)
        job->run->began_ms = job->began_ms;
    return run_admit(job->run, job->record, given, err);
}

/* Makes the job's run with the live release, or the one that it must run under; false: it was held. */
static bool make_run(struct job *job)
{
    struct err err;
    err_clear(&err);
    struct instance *instance = job->release ? flow_recall(job->flow, job->release, &err) : job->flow->live;
    if (!instance) {
        err_wrap(&err, "its release cannot be loaded any more; retry it under the live one");
        outcome_held(job, err.text);
        return false;
    }
    if (decode(job, instance, &err))
        return true;
    if (is_unreadable_repeat(job))
        outcome_counted(job, COUNT_REPEAT);
    else
        outcome_held(job, err.text);
    return false;
}

/* ---- lines ------------------------------------------------------------------------------------- */

static struct line *line_get(struct flow *flow, const char *key)
{
    return map_get(&flow->lines, slice_of(key));
}

static struct line *line_open(struct flow *flow, struct job *running)
{
    struct line *line = mem_zero(sizeof *line);
    line->key = mem_text(running->run->key);
    line->running = running;
    line->last = &line->first;
    map_put(&flow->lines, slice_of(line->key), line);
    return line;
}

static void line_add(struct line *line, struct job *job)
{
    forget_run(job); /* it is decoded again when its turn comes, perhaps by another release */
    job->next = NULL;
    *line->last = job;
    line->last = &job->next;
}

static void route(struct job *job, struct line *own);

static void line_drain(struct flow *flow, struct line *line)
{
    if (line->is_draining)
        return;
    line->is_draining = true;
    while (!line->running && line->first) {
        struct job *job = line->first;
        line->first = job->next;
        if (!line->first)
            line->last = &line->first;
        if (!flow->live || !flow_is_open(flow) || !flow->context->takes_events)
            job_put_back(job);
        else if (make_run(job))
            route(job, line);
    }
    line->is_draining = false;
    if (line->running)
        return;
    map_remove(&flow->lines, slice_of(line->key));
    free(line->key);
    free(line);
}

/* The outcome of the job is decided: the next of its key may run. */
void line_ended(struct job *job)
{
    struct line *line = job->run && job->run->key ? line_get(job->flow, job->run->key) : NULL;
    if (!line || line->running != job)
        return;
    line->running = NULL;
    line_drain(job->flow, line);
}

static void start(struct job *job, struct line *line)
{
    struct flow *flow = job->flow;
    if (flow->live->manifest->id_path && !job->arrival)
        map_put(&flow->pending, slice_of(job->run->id), job);
    if (line)
        line->running = job;
    run_start(job->run);
    if (!job->is_ended && !line)
        line_open(flow, job);
}

/* ---- is it to be run? ------------------------------------------------------------------------------ */

static bool is_expired(const struct run *run)
{
    int64_t expires_ms = run->instance->manifest->expires_ms;
    return expires_ms && clock_now_ms() - run->time_ms > expires_ms;
}

/* `own`: the line whose turn it is, when the job comes from one. */
static void route(struct job *job, struct line *own)
{
    struct flow *flow = job->flow;
    struct run *run = job->run;
    if (run->instance->manifest->id_path) {
        struct job *same = map_get(&flow->pending, slice_of(run->id));
        if (same && !same->is_ended) {
            /* The first of this id still runs: whether this is a repeat depends on how that ends. */
            struct line *line = line_get(flow, same->run->key);
            line_add(line, job);
            return;
        }
        if (same || was_seen(flow, run->id)) {
            outcome_counted(job, COUNT_REPEAT);
            return;
        }
    }
    if (own && strcmp(own->key, run->key) != 0)
        own = NULL; /* a newer release finds another key in it */
    struct line *line = own ? NULL : line_get(flow, run->key);
    if (is_expired(run))
        outcome_counted(job, COUNT_EXPIRED);
    else if (line)
        line_add(line, job);
    else if (inbox_blocks(flow, run->key))
        outcome_to_inbox(job, "an earlier event of its key waits");
    else
        start(job, own);
}

static void count_rate(struct flow *flow, int64_t mono_ms)
{
    int64_t second = mono_ms / 1000;
    for (int64_t i = 0; flow->second < second && i < RATE_SECONDS; i++)
        flow->seconds[++flow->second % RATE_SECONDS] = 0;
    flow->second = second;
    flow->seconds[second % RATE_SECONDS]++;
}

void admit_event(struct flow *flow, struct flow_source *source, struct event *event)
{
    struct job *job = mem_zero(sizeof *job);
    *job = (struct job){.flow = flow, .source = source, .event = event, .record = event->record};
    source->outstanding++;
    flow->under_way++;
    int64_t mono_ms = clock_mono_ns() / 1000000;
    count_rate(flow, mono_ms);
    expect_event(flow, event->received_ms, mono_ms);
    bool drops = flow->live && flow->live->manifest->drops_when_off;
    if (!flow->live || !flow->context->takes_events || flow->trip.at_ms || (!flow->is_on && !drops)) {
        job_put_back(job);
        return;
    }
    if (!flow->is_on) {
        struct err ignored;
        err_clear(&ignored);
        decode(job, flow->live, &ignored); /* for its key, if it has one: its trail tells */
        outcome_counted(job, COUNT_DROPPED);
        return;
    }
    if (record_get_boolean(event->record, "oversize", false)) {
        char reason[200];
        snprintf(reason, sizeof reason,
                 "the body has %zu bytes; the flow takes at most %lld (event: limit in flow.yaml)",
                 record_get(event->record, "body").size, (long long)flow->live->manifest->body_limit);
        outcome_held(job, reason);
        return;
    }
    if (make_run(job))
        route(job, NULL);
}

/* An event of the inbox was checked when it came in: no look for repeats, no expiry. */
void admit_arrival(struct flow *flow, struct arrival *arrival, struct slice row)
{
    struct job *job = mem_zero(sizeof *job);
    struct slice record = record_get(row, "event");
    job->owned_record = mem_copy(record);
    job->id = mem_copy(record_get(row, "id"));
    job->began_ms = record_get_integer(row, "began_ms", 0);
    if (record_has(row, "release"))
        job->release = mem_copy(record_get(row, "release"));
    job->flow = flow;
    job->arrival = arrival;
    job->record = (struct slice){job->owned_record, record.size};
    flow->under_way++;
    if (!make_run(job))
        return;
    if (line_get(flow, job->run->key)) { /* a release that finds another key in it: one of that key runs */
        arrival->entry.due_ms = clock_wait_ms() + 20;
        window_delay(&flow->inbox, &arrival->entry);
        job_free(job);
        return;
    }
    start(job, NULL);
}
