/* trail.c - what became of the last events of a key, for `headgate trace`
 *
 *      trails   event key \0 flow \0 -> the last few: each a JSON object, in the change of what it tells
 *
 * A run has an entry of its own: what each step decided and why, and which effects it asked for.  Events that were not
 * run share one entry for each reason, which tells how many and which was the last: they do not push the runs out. */
#include "core/base/clock.h"
#include "core/flow/continuation.h"
#include "core/flow/internal.h"

#define TRAIL_ITEMS 8 /* kept for each key and flow */
#define TRAIL_BYTES 16384
#define TRAIL_KEPT_MS ((int64_t)30 * 86400000)

static struct store_key key_of(const struct flow *flow, const char *event_key)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, event_key);
    store_key_add_text(&key, flow->name);
    return key;
}

/* ---- a run ------------------------------------------------------------------------------------------ */

static void begin(struct buf *item, const struct run *run, const char *outcome)
{
    buf_reset(item);
    buf_add_text(item, "{\"at\":");
    buf_add_number(item, run->began_ms);
    buf_add_text(item, ",\"event\":");
    buf_add_json(item, slice_of(run->id));
    buf_add_text(item, ",\"release\":\"");
    buf_add(item, run->instance->release->hash, 12);
    buf_add_text(item, "\",\"outcome\":\"");
    buf_add_text(item, outcome);
    buf_add_text(item, "\"");
}

static void add_number(struct buf *item, const char *name, int64_t number)
{
    buf_add_text(item, name);
    buf_add_number(item, number);
}

static void add_effects(struct buf *item, const struct run *run)
{
    buf_add_text(item, ",\"effects\":[");
    for (size_t i = 0; i < run->asked_count; i++) {
        buf_add_text(item, i ? ",[\"" : "[\"");
        buf_add_text(item, run->asked[i].connection->name);
        buf_add_text(item, "\",\"");
        buf_add_text(item, run->asked[i].verb->name);
        add_number(item, "\",", run->asked[i].is_list ? 0 : (int64_t)run->asked[i].number);
        if (run->asked[i].is_list) {
            buf_add_text(item, ",");
            buf_add_json(item, slice_of(run->asked[i].campaign));
            add_number(item, ",", (int64_t)run->asked[i].recipient_count);
        }
        buf_add_text(item, "]");
    }
    buf_add_text(item, "]}");
}

void trail_of_run(struct job *job, struct change *change, const char *outcome, const char *why, uint64_t held)
{
    struct run *run = job->run;
    static struct buf item = BUF_INIT(TRAIL_BYTES); /* of the loop thread; kept, because this runs for every event */
    begin(&item, run, outcome);
    if (run->attempt > 1)
        add_number(&item, ",\"attempt\":", run->attempt);
    continuation_trail(run, job->record, &item);
    if (why) {
        buf_add_text(&item, ",\"why\":");
        buf_add_json(&item, slice_of(why));
    }
    if (held)
        add_number(&item, ",\"held\":", (int64_t)held);
    buf_add_text(&item, ",\"steps\":[");
    buf_add_slice(&item, buf_slice(&run->trail));
    buf_add_text(&item, "]");
    add_effects(&item, run);
    if (item.is_over) { /* many effects, or much to say: the trail tells how many, not which */
        begin(&item, run, outcome);
        if (held)
            add_number(&item, ",\"held\":", (int64_t)held);
        add_number(&item, ",\"steps\":[],\"effects\":[],\"effect_count\":", (int64_t)run->asked_count);
        buf_add_text(&item, "}");
    }
    struct store_key key = key_of(job->flow, run->key);
    change_push(change, store_key_slice(&key), clock_now_ms() + TRAIL_KEPT_MS, buf_slice(&item), TRAIL_ITEMS,
                TRAIL_BYTES);
}

/* ---- not run -------------------------------------------------------------------------------------------- */

void trail_of_skipped(struct flow *flow, struct change *change, const char *event_key, struct slice event_id,
                      enum flow_counter counter, const char *why)
{
    struct buf head = BUF_INIT(100), tail = BUF_INIT(TRAIL_BYTES);
    struct store_key key = key_of(flow, event_key);
    int64_t now_ms = clock_now_ms();
    buf_addf(&head, "{\"outcome\":\"%s\",\"times\":", flow_counter_names[counter]);
    add_number(&tail, ",\"at\":", now_ms);
    buf_add_text(&tail, ",\"event\":");
    buf_add_json(&tail, event_id);
    buf_add_text(&tail, ",\"why\":");
    buf_add_json(&tail, slice_of(why));
    buf_add_text(&tail, ",\"steps\":[],\"effects\":[]}");
    change_tally(change, store_key_slice(&key), now_ms + TRAIL_KEPT_MS, buf_slice(&head), buf_slice(&tail), TRAIL_ITEMS,
                 TRAIL_BYTES);
    buf_clear(&head);
    buf_clear(&tail);
}
