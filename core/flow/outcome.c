/* outcome.c - what becomes of an event: decided here, true when its change is on disk
 *
 *      outcome     in one change                                             then
 *      finished    effects, seen-mark, trail, counters                       ack, lanes wake
 *      held        held row with the reason, seen-mark, trail, counters      ack
 *      to inbox    inbox row, seen-mark, counters                            ack, runs again
 *      counted     seen before, expired, dropped: trail, counters            ack
 */
#include "core/base/backoff.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/campaign/list.h"
#include "core/flow/continuation.h"
#include "core/flow/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN_LEAST_MS 500
#define HELD_ROW_MAX ((size_t)256 << 20)

const char *const flow_counter_names[FLOW_COUNTERS] = {"received", "finished",  "repeat", "dropped",
                                                       "expired",  "discarded", "failed"};

struct store_key seen_key(const struct flow *flow, const char *id)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, flow->name);
    store_key_add(&key, slice_of(id));
    return key;
}

void unreadable_id(const struct job *job, char id[UNREADABLE_ID])
{
    struct slice body = record_get(job->record, "body");
    unsigned char digest[HASH_SIZE];
    hash_parts(&body, 1, digest);
    memcpy(id, "unreadable-", 11);
    hash_hex(digest, 12, id + 11);
}

void flow_count(struct flow *flow, struct change *change, enum flow_counter counter)
{
    flow->counts[counter]++;
    change_count(change, flow->counter_keys[counter], 1);
}

static void asked_is_on_disk(struct asked *asked)
{
    struct lane *lane = asked->connection->lane;
    if (asked->is_list)
        lane_feed(lane, asked->number);
    else if (asked->campaign)
        lane_wrote(lane, slice_of(asked->campaign), buf_slice(&asked->recipient));
    lane_wake(lane);
}

/* On disk: the source may forget the event. */
static void on_committed(void *context)
{
    struct job *job = context;
    struct flow *flow = job->flow;
    struct connection *from = job->event ? job->source->source.connection : NULL;
    /* Else the daemon stops, or the connection was opened anew meanwhile: the event comes again, and is known. */
    if (from && from->is_open && job->event->opening == from->opening)
        from->adapter->ack(from, job->event);
    if (job->run && job->run->id && map_get(&flow->pending, slice_of(job->run->id)) == job)
        map_remove(&flow->pending, slice_of(job->run->id));
    for (size_t i = 0; job->run && i < job->run->asked_count; i++)
        asked_is_on_disk(&job->run->asked[i]);
    memory_done(job);
    if (job->arrival)
        inbox_gone(job->arrival);
    flow->is_woken = true;
    job_free(job);
}

/* An event of a source is received now; one of the inbox was received when it came there. */
static struct change *begin(struct job *job)
{
    struct change *change = change_new(on_committed, job);
    job->is_ended = true;
    if (job->event) {
        flow_count(job->flow, change, COUNT_RECEIVED);
        expect_save(job->flow, change);
    } else {
        inbox_remove(job->arrival, change);
    }
    return change;
}

static void submit(struct job *job, struct change *change)
{
    store_commit(job->flow->context->store, change);
    line_ended(job);
}

/* An event without an id is marked, too: should the source deliver this very one again, because we died before it was
 * acknowledged, it is not held twice. */
static void mark_seen(struct job *job, struct change *change)
{
    const struct manifest *manifest = job->flow->live->manifest;
    char id[UNREADABLE_ID];
    bool is_readable = job->run && job->run->key;
    if (!job->event || (is_readable && !manifest->id_path))
        return;
    if (!is_readable)
        unreadable_id(job, id);
    struct store_key key = seen_key(job->flow, is_readable ? job->run->id : id);
    change_put_until(change, TABLE_SEEN, store_key_slice(&key), clock_now_ms() + manifest->remember_ms, SLICE_NONE);
}

/* ---- outcomes --------------------------------------------------------------------------------------- */

static void add_list(struct job *job, struct change *change, struct asked *asked)
{
    struct run *run = job->run;
    struct list list = {.campaign = slice_of(asked->campaign),
                        .verb = asked->verb->name,
                        .flow = job->flow->name,
                        .release = run->instance->release->hash,
                        .step = instance_step_name(run->instance, asked->step),
                        .event_id = slice_of(run->id),
                        .asked_ms = run->began_ms,
                        .when_unknown = run->instance->manifest->when_unknown,
                        .fields = buf_slice(&asked->fields),
                        .recipients = buf_slice(&asked->recipients),
                        .duplicates = asked->duplicate_count};
    asked->number = lane_hand_over(asked->connection->lane, change, &list);
}

static void add_effect(struct job *job, struct change *change, struct asked *asked)
{
    struct run *run = job->run;
    if (asked->is_list) {
        add_list(job, change, asked);
        return;
    }
    struct effect effect = {.flow = job->flow->name,
                            .release = run->instance->release->hash,
                            .step = instance_step_name(run->instance, asked->step),
                            .verb = asked->verb,
                            .key = slice_of(run->key),
                            .event_id = slice_of(run->id),
                            .asked_ms = run->began_ms,
                            .received_ms = run->received_ms,
                            .priority = run->instance->manifest->priority,
                            .when_unknown = run->instance->manifest->when_unknown,
                            .campaign = slice_of(asked->campaign),
                            .recipient = buf_slice(&asked->recipient),
                            .fields = buf_slice(&asked->fields)};
    struct buf carried = BUF_INIT(2 * CARRIED_MOST);
    if (asked->next >= 0)
        continuation_carry(run, job->record, asked->next, asked->cause, &carried);
    effect.next = buf_slice(&carried);
    memcpy(effect.id, asked->id, sizeof effect.id);
    struct buf *row = &job->flow->scratch;
    buf_reset(row);
    if (!effect_encode(&effect, row))
        abort(); /* api.c bounds the fields far below */
    asked->number = asked->campaign ? lane_add_once(asked->connection->lane, change, buf_slice(row))
                                    : lane_add(asked->connection->lane, change, buf_slice(row));
    buf_clear(&carried);
}

/* A fuse says whether all of it may be asked for; false: why not. */
static bool is_allowed(struct job *job, struct err *why)
{
    const struct run *run = job->run;
    for (size_t i = 0; i < run->asked_count; i++) {
        const struct asked *asked = &run->asked[i];
        if (asked->is_list)
            continue; /* its recipients are counted when they are fed */
        struct fuse_load load = {.flow = job->flow->name,
                                 .manifest = run->instance->manifest,
                                 .connection = asked->connection,
                                 .verb = asked->verb,
                                 .effect_id = asked->id,
                                 .recipient = buf_slice(&asked->recipient)};
        if (asked->campaign && lane_has_written(asked->connection->lane, slice_of(asked->campaign), load.recipient))
            continue; /* the ledger lets it go no further */
        if (!fuse_take(&job->flow->context->fuses, &job->claim, &load, why))
            return false;
    }
    return true;
}

/* One too many: the run is held, whole, and its flow's gate trips. */
static void outcome_blown(struct job *job, const char *reason);

static void finished(struct job *job)
{
    struct err why;
    err_clear(&why);
    if (job->run->asked_count && flow_tripped(job->flow)) { /* it tripped while this run waited for a read */
        run_forget_effects(job->run);
        outcome_to_inbox(job, "the gate is tripped");
        return;
    }
    if (!is_allowed(job, &why)) {
        outcome_blown(job, why.text);
        return;
    }
    struct change *change = begin(job);
    fuse_count(&job->flow->context->fuses, &job->claim, change);
    mark_seen(job, change);
    for (size_t i = 0; i < job->run->asked_count; i++)
        add_effect(job, change, &job->run->asked[i]);
    memory_put(job, change);
    trail_of_run(job, change, "finished", NULL, 0);
    flow_count(job->flow, change, COUNT_FINISHED);
    flow_note_run(job, change, true, "");
    submit(job, change);
}

/* The first line is the reason, the rest its detail (a traceback). */
static uint64_t put_held(struct job *job, struct change *change, const char *reason)
{
    struct run *run = job->run;
    struct instance *instance = run ? run->instance : job->flow->live;
    struct buf row = BUF_INIT(HELD_ROW_MAX), item = BUF_INIT(HELD_ROW_MAX);
    int64_t received_ms = job->event ? job->event->received_ms : job->arrival->entry.asked_ms;
    size_t first = strcspn(reason, "\n");
    record_add_text(&item, "event", job->record);
    record_add_integer(&item, "received_ms", received_ms);
    if (run && run->id)
        record_add_text(&item, "id", slice_of(run->id));
    else if (job->id)
        record_add_text(&item, "id", slice_of(job->id));
    record_add_text(&row, "kind", slice_of("event"));
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "reason", (struct slice){reason, first});
    record_add_text(&row, "detail", slice_of(reason[first] ? reason + first + 1 : ""));
    record_add_text(&row, "flow", slice_of(job->flow->name));
    record_add_text(&row, "release", slice_of(instance ? instance->release->hash : ""));
    if (run && run->key)
        record_add_text(&row, "key", slice_of(run->key));
    if (run && run->id)
        record_add_text(&row, "event_id", slice_of(run->id));
    record_add_integer(&row, "attempts", run ? run->attempt : 1);
    record_add_text(&row, "item", buf_slice(&item));
    uint64_t number = held_add(job->flow->context->held, change, buf_slice(&row));
    log_about(LOG_LEVEL_WARNING, (struct log_about){.flow = job->flow->name, .event = run ? run->id : NULL},
              "flow %s: event %s is held as %llu: %.*s", job->flow->name, run && run->id ? run->id : "without id",
              (unsigned long long)number, (int)first, reason);
    buf_clear(&item);
    buf_clear(&row);
    return number;
}

static void hold(struct job *job, struct change *change, const char *reason)
{
    uint64_t number = put_held(job, change, reason);
    mark_seen(job, change);
    if (job->run && job->run->key) {
        struct err why = ERR_INIT;
        err_set(&why, "%.*s", (int)strcspn(reason, "\n"), reason);
        trail_of_run(job, change, "held", why.text, number);
    }
    flow_count(job->flow, change, COUNT_FAILED);
}

void outcome_held(struct job *job, const char *reason)
{
    struct change *change = begin(job);
    hold(job, change, reason);
    flow_note_run(job, change, false, reason);
    submit(job, change);
}

static void outcome_blown(struct job *job, const char *reason)
{
    struct change *change = begin(job);
    const char *connection = job->claim.connection;
    fuse_end(&job->flow->context->fuses, &job->claim);
    run_forget_effects(job->run);
    flow_blow(job->flow, change, connection, reason);
    hold(job, change, reason);
    submit(job, change);
}

/* For the trail: people look for an event that was not run, too. */
static const char *why_not(const struct job *job, enum flow_counter counter, char room[200])
{
    char age[SETTINGS_PRINT_MAX];
    if (counter == COUNT_REPEAT)
        return "an event with this id came before (event: remember in flow.yaml)";
    if (counter == COUNT_DROPPED)
        return "the gate was off (when_off: drop in flow.yaml)";
    settings_print(OPTION_DURATION, job->run->instance->manifest->expires_ms, age);
    snprintf(room, 200, "it was older than %s (event: expires in flow.yaml)", age);
    return room;
}

void outcome_counted(struct job *job, enum flow_counter counter)
{
    struct change *change = begin(job);
    char room[200];
    flow_count(job->flow, change, counter);
    if (job->run && job->run->key)
        trail_of_skipped(job->flow, change, job->run->key, slice_of(job->run->id), counter,
                         why_not(job, counter, room));
    submit(job, change);
}

/* The row is ours from now on; when it is on disk it may run. */
static void on_in_inbox(void *context)
{
    struct job *job = context;
    struct arrival *arrival = job->arrival;
    job->arrival = NULL;
    if (arrival)
        arrival->is_on_disk = true;
    on_committed(job);
}

void outcome_to_inbox(struct job *job, const char *why)
{
    struct flow *flow = job->flow;
    bool is_again = job->arrival != NULL;
    unsigned attempts = is_again ? job->arrival->attempts + 1 : job->run->err.text[0] ? 1 : 0;
    struct inbox_row row = {
        .record = job->record,
        .id = slice_of(job->run->id),
        .key = slice_of(job->run->key),
        .release = job->release ? slice_of(job->release) : SLICE_NONE,
        .received_ms = is_again ? job->arrival->entry.asked_ms : job->event->received_ms,
        .attempts = attempts,
        .began_ms = attempts ? job->run->began_ms : 0,
        .due_ms = attempts ? clock_wait_ms() + backoff_ms(attempts, AGAIN_LEAST_MS, AGAIN_MOST_MS) : 0,
    };
    struct change *change = change_new(on_in_inbox, job);
    job->is_ended = true;
    if (is_again) {
        inbox_again(job->arrival, change, &row);
    } else {
        job->arrival = inbox_add(flow, change, &row);
        flow_count(flow, change, COUNT_RECEIVED);
        mark_seen(job, change);
    }
    log_debug("flow %s: event %s waits in the inbox: %s", flow->name, job->run->id, why);
    submit(job, change);
}

void outcome_of_run(struct run *run, enum run_outcome outcome)
{
    struct job *job = run->owner;
    if (outcome == RUN_FINISHED)
        finished(job);
    else if (outcome == RUN_FAILED)
        outcome_held(job, run->err.text);
    else
        outcome_to_inbox(job, run->err.text);
}
