/* recovery.c - all held things that match a filter: back to work, or given up, at a chosen rate
 *
 *      begin ──► a chunk in one change ──on disk──► the rate allows more? ──► the next chunk ─► ... ─► ended
 *                                                                          └─ stopped by a person, or by the end
 *
 * One at a time.  It walks the numbers upwards to the highest that was given out when it began, so what fails and is
 * held again is not met twice.  It keeps nothing on disk: what it has not come to stays held, also after a crash, and
 * may be asked for again. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK 200                     /* things in one change */
#define CHUNK_BYTES ((size_t)4 << 20) /* of one change, roughly */
#define LOOKS 5000                    /* rows that are looked at before the loop gets its turn */
#define TICK_MS 50                    /* between two chunks with a rate */

struct recovery {
    struct engine *engine;
    struct held_filter filter; /* its texts are owned */
    enum held_decision decision;
    double rate;          /* things a second; 0: as fast as they can be written */
    double allowance;     /* things that may go now */
    int64_t allowance_ns; /* when it was computed */
    char *who, *why;
    char *words;           /* the filter, for a person */
    uint64_t next;         /* number to look at */
    uint64_t done, left;   /* decided; of those that match, the ones that could not be */
    char trouble[200];     /* why the last of those could not */
    uint64_t chunk[CHUNK]; /* numbers on their way to the disk */
    size_t count;          /* of them */
    struct change *change; /* that is being filled; NULL: none */
    unsigned looked;       /* rows, in this turn */
    bool is_running, is_stopped;
    int64_t began_ms, ended_ms;
};

static const char *const decision_names[] = {
    [HELD_RETRY] = "retry", [HELD_RETRY_AS_IT_WAS] = "retry", [HELD_DISCARD] = "discard"};

static const char **texts_of(struct held_filter *filter, size_t i)
{
    const char **const texts[] = {&filter->kind,    &filter->flow, &filter->connection, &filter->verb,
                                  &filter->verdict, &filter->key,  &filter->release,    &filter->reason};
    return i < sizeof texts / sizeof *texts ? texts[i] : NULL;
}

void recovery_free(struct engine *engine)
{
    struct recovery *recovery = engine->recovery;
    engine->recovery = NULL;
    if (!recovery)
        return;
    const char **text;
    for (size_t i = 0; (text = texts_of(&recovery->filter, i)); i++)
        free((char *)*text);
    free(recovery->who);
    free(recovery->why);
    free(recovery->words);
    free(recovery);
}

static void add_words(struct buf *words, const char *name, const char *value)
{
    if (value)
        buf_addf(words, "%s%s %s", words->size ? ", " : "", name, value);
}

/* The filter for a person, as it stands in the audit. */
static void describe(const struct held_filter *filter, struct buf *words)
{
    char at[CLOCK_TEXT_MAX];
    add_words(words, "kind", filter->kind);
    add_words(words, "flow", filter->flow);
    add_words(words, "connection", filter->connection);
    add_words(words, "verb", filter->verb);
    add_words(words, "verdict", filter->verdict);
    add_words(words, "key", filter->key);
    add_words(words, "release", filter->release);
    add_words(words, "reason", filter->reason);
    if (filter->first || filter->last)
        buf_addf(words, "%snumbers %" PRIu64 " to %" PRIu64, words->size ? ", " : "", filter->first, filter->last);
    if (filter->since_ms)
        add_words(words, "since", clock_text(filter->since_ms, at));
    if (filter->until_ms)
        add_words(words, "until", clock_text(filter->until_ms, at));
    if (!words->size)
        buf_add_text(words, "all");
}

/* ---- going on --------------------------------------------------------------------------------------- */

static void look_further(uv_timer_t *timer);

static void go_on_in(struct engine *engine, uint64_t wait_ms)
{
    if (engine->is_stopping)
        return;
    uv_update_time(engine->loop);
    uv_timer_start(&engine->recovery_timer, look_further, wait_ms, 0);
}

static void end(struct recovery *recovery)
{
    struct engine *engine = recovery->engine;
    struct author author = {recovery->who, recovery->why};
    char what[32], text[400];
    recovery->is_running = false;
    recovery->ended_ms = clock_now_ms();
    snprintf(what, sizeof what, "held %s all ended", decision_names[recovery->decision]);
    snprintf(text, sizeof text, "%s: %" PRIu64 " done, %" PRIu64 " stay held%s%s",
             recovery->is_stopped ? "stopped" : "complete", recovery->done, recovery->left,
             recovery->left ? ", the last because " : "", recovery->trouble);
    log_info("held: %s (%s): %s", what, recovery->words, text);
    struct change *change = change_new(NULL, NULL);
    audit_write(engine, change, &author, what, recovery->words, text);
    store_commit(engine->store, change);
}

static void on_chunk_committed(void *context)
{
    struct recovery *recovery = context;
    for (size_t i = 0; i < recovery->count; i++)
        held_settled(recovery->engine, recovery->chunk[i]);
    recovery->done += recovery->count;
    recovery->count = 0;
    held_wake(recovery->engine);
    go_on_in(recovery->engine, recovery->rate > 0 ? TICK_MS : 0);
}

static void count_allowance(struct recovery *recovery)
{
    int64_t now_ns = clock_mono_ns();
    double most = recovery->rate > 1 ? recovery->rate : 1; /* one second's worth */
    recovery->allowance += (double)(now_ns - recovery->allowance_ns) / 1e9 * recovery->rate;
    recovery->allowance_ns = now_ns;
    if (recovery->allowance > most)
        recovery->allowance = most;
}

static bool has_room(const struct recovery *recovery)
{
    return recovery->count < CHUNK && recovery->looked < LOOKS
           && (!recovery->change || recovery->change->ops.size < CHUNK_BYTES)
           && (recovery->rate <= 0 || recovery->allowance >= 1);
}

static bool take_row(void *context, struct slice key, struct slice row)
{
    struct recovery *recovery = context;
    struct engine *engine = recovery->engine;
    struct author author = {recovery->who, recovery->why};
    struct err err;
    uint64_t number = store_key_number(key);
    if (number > recovery->filter.last || !has_room(recovery))
        return false;
    recovery->next = number + 1;
    recovery->looked++;
    err_clear(&err);
    if (!held_matches(&recovery->filter, number, row) || held_is_settling(engine, number))
        return true;
    if (!recovery->change)
        recovery->change = change_new(on_chunk_committed, recovery);
    if (held_settle(engine, recovery->change, number, row, recovery->decision, &author, &err)) {
        recovery->chunk[recovery->count++] = number;
        recovery->allowance -= 1;
    } else {
        recovery->left++;
        snprintf(recovery->trouble, sizeof recovery->trouble, "%.199s", err.text);
    }
    return true;
}

static bool is_at_end(void *context, struct slice key, struct slice row)
{
    struct recovery *recovery = context;
    (void)row;
    if (store_key_number(key) <= recovery->filter.last)
        recovery->looked = 0; /* there is one more */
    return false;
}

static bool has_more(struct recovery *recovery)
{
    struct store_key from = STORE_KEY_INIT;
    store_key_add_number(&from, recovery->next);
    recovery->looked = 1;
    store_scan(recovery->engine->store, TABLE_HELD, SLICE_NONE, store_key_slice(&from), is_at_end, recovery);
    return recovery->looked == 0;
}

static void look_further(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    struct recovery *recovery = engine->recovery;
    struct store_key from = STORE_KEY_INIT;
    if (recovery->is_stopped || !has_more(recovery)) {
        end(recovery);
        return;
    }
    recovery->looked = 0;
    count_allowance(recovery);
    store_key_add_number(&from, recovery->next);
    store_scan(engine->store, TABLE_HELD, SLICE_NONE, store_key_slice(&from), take_row, recovery);
    struct change *change = recovery->change;
    recovery->change = NULL;
    if (change && recovery->count) {
        store_commit(engine->store, change); /* and then on_chunk_committed */
        return;
    }
    if (change)
        change_drop(change);
    go_on_in(engine, recovery->rate > 0 ? TICK_MS : 0);
}

/* ---- beginning, stopping, looking ---------------------------------------------------------------------- */

static void copy_filter(struct held_filter *to, const struct held_filter *from)
{
    const char **text;
    *to = *from;
    for (size_t i = 0; (text = texts_of(to, i)); i++)
        if (*text)
            *text = mem_text(*text);
}

bool engine_recover(struct engine *engine, const struct held_filter *filter, enum held_decision decision, double rate,
                    const struct author *author, struct err *err)
{
    char what[32], at[64];
    struct buf words = BUF_INIT(2000);
    if (engine->recovery && engine->recovery->is_running)
        return err_set(err,
                       "another one is under way; `headgate held progress` shows it, `headgate held stop` ends it");
    if (engine->is_stopping)
        return err_set(err, "the daemon is stopping");
    recovery_free(engine);
    struct recovery *recovery = engine->recovery = mem_zero(sizeof *recovery);
    recovery->engine = engine;
    copy_filter(&recovery->filter, filter);
    if (!recovery->filter.last || recovery->filter.last > engine->held.last)
        recovery->filter.last = engine->held.last;
    recovery->next = filter->first;
    recovery->decision = decision;
    recovery->rate = rate;
    recovery->allowance = 1;
    recovery->allowance_ns = clock_mono_ns();
    recovery->who = mem_text(author->who);
    recovery->why = mem_text(author->why);
    recovery->is_running = true;
    recovery->began_ms = clock_now_ms();
    describe(filter, &words);
    snprintf(what, sizeof what, "held %s all", decision_names[decision]);
    snprintf(at, sizeof at, rate > 0 ? "%s%g a second" : "%sas fast as it goes",
             decision == HELD_RETRY_AS_IT_WAS ? "under their own releases, " : "", rate);
    struct change *change = change_new(NULL, NULL);
    audit_write(engine, change, author, what, words.data, at);
    store_commit(engine->store, change);
    recovery->words = buf_take(&words);
    go_on_in(engine, 0);
    return true;
}

bool engine_stop_recovery(struct engine *engine, const struct author *author, struct err *err)
{
    if (!engine->recovery || !engine->recovery->is_running)
        return err_set(err, "no retry or discard of many is under way");
    struct change *change = change_new(NULL, NULL);
    audit_write(engine, change, author, "held stop", decision_names[engine->recovery->decision], "");
    store_commit(engine->store, change);
    engine->recovery->is_stopped = true;
    return true;
}

bool engine_look_recovery(const struct engine *engine, struct recovery_view *view)
{
    const struct recovery *recovery = engine->recovery;
    if (!recovery)
        return false;
    *view = (struct recovery_view){.decision = decision_names[recovery->decision],
                                   .who = recovery->who,
                                   .why = recovery->why,
                                   .rate = recovery->rate,
                                   .done = recovery->done,
                                   .left = recovery->left,
                                   .trouble = recovery->trouble,
                                   .is_running = recovery->is_running,
                                   .was_stopped = recovery->is_stopped,
                                   .began_ms = recovery->began_ms,
                                   .ended_ms = recovery->ended_ms};
    return true;
}
