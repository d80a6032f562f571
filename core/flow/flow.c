/* flow.c - see flow.h: the gate, the live release and the sources; events are admitted in admit.c */
#include "core/flow/flow.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/flow/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- sources -------------------------------------------------------------------------------------- */

static struct store_key memory_key(const struct flow_source *source)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, source->flow->name);
    store_key_add_text(&key, source->source.connection->name);
    return key;
}

static void set_memory(struct flow_source *source, struct slice memory)
{
    buf_reset(&source->memory);
    buf_add_slice(&source->memory, memory);
    source->source.memory = buf_slice(&source->memory);
    source->source.declared_before = true;
}

static struct flow_source *source_new(struct flow *flow, struct instance *instance, const struct manifest_source *from)
{
    struct flow_source *source = mem_zero(sizeof *source);
    source->flow = flow;
    source->instance = instance_keep(instance);
    source->memory = (struct buf)BUF_INIT((size_t)1 << 20);
    source->source = (struct source){.connection = flow->context->connection(flow->context->engine, from->connection),
                                     .flow = flow->name,
                                     .settings = from->settings,
                                     .body_limit = instance->manifest->body_limit,
                                     .owner = flow};
    struct store_key key = memory_key(source);
    struct slice memory;
    if (store_get(flow->context->store, TABLE_SOURCES, store_key_slice(&key), &memory))
        set_memory(source, memory);
    return source;
}

static void source_free(struct flow_source *source)
{
    instance_release(source->instance);
    buf_clear(&source->memory);
    free(source);
}

static void free_if_done(struct flow_source *source)
{
    if (!source->is_retired || source->outstanding || source->remembering)
        return;
    for (struct flow_source **at = &source->flow->sources; *at; at = &(*at)->next) {
        if (*at == source) {
            *at = source->next;
            break;
        }
    }
    source_free(source);
}

void source_answered(struct flow_source *source)
{
    source->outstanding--;
    free_if_done(source);
}

static void start_listening(struct flow_source *source)
{
    struct err err = ERR_INIT;
    const char *refusal = lane_refusal(source->source.connection->lane);
    if (refusal) { /* its adapter was never opened */
        source_says(&source->source, SOURCE_REFUSED, "%s", refusal);
        return;
    }
    source->is_listening = true;
    source->state = SOURCE_STARTING;
    snprintf(source->text, sizeof source->text, "starting");
    if (!source->source.connection->adapter->listen(&source->source, &err)) {
        source->is_listening = false;
        source_says(&source->source, SOURCE_REFUSED, "%s", err.text);
    }
}

static void silence(struct flow_source *source)
{
    if (!source->is_listening)
        return;
    source->is_listening = false;
    source->source.connection->adapter->silence(&source->source);
}

void flow_adjust(struct flow *flow)
{
    bool drops = flow->live && flow->live->manifest->drops_when_off;
    bool wants = flow->live && flow->context->takes_events && !flow->trip.at_ms && (flow->is_on || drops);
    for (struct flow_source *source = flow->sources; source; source = source->next) {
        if (source->is_retired)
            continue;
        bool stays_open = flow->live && source->source.connection->adapter->stays_open;
        if ((wants || stays_open) && !source->is_listening && !source->source.connection->is_closing)
            start_listening(source);
        else if (!wants && !stays_open)
            silence(source);
    }
    flow->is_woken = true;
}

void flow_let_go(struct flow *flow, const struct connection *connection)
{
    for (struct flow_source *source = flow->sources; source; source = source->next)
        if (source->source.connection == connection)
            silence(source);
}

bool flow_has_let_go(const struct flow *flow, const struct connection *connection, bool is_late)
{
    for (const struct flow_source *source = flow->sources; source; source = source->next)
        if (source->source.connection == connection && (source->remembering || (source->outstanding && !is_late)))
            return false;
    return true;
}

static struct flow_source *of_source(struct source *source)
{
    return (struct flow_source *)source;
}

void source_event(struct source *source, struct event *event)
{
    struct flow_source *from = of_source(source);
    event->source = source;
    event->opening = source->connection->opening;
    admit_event(from->flow, from, event);
}

void source_says(struct source *source, enum source_state state, const char *format, ...)
{
    struct flow_source *from = of_source(source);
    char text[sizeof from->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool is_new = from->state != state || strcmp(from->text, text) != 0;
    from->state = state;
    memcpy(from->text, text, sizeof text);
    if (!is_new || from->is_retired)
        return;
    struct log_about about = {.flow = source->flow, .connection = source->connection->name};
    if (state == SOURCE_REFUSED)
        log_about(LOG_LEVEL_ERROR, about, "flow %s: takes nothing from %s: %s", source->flow, source->connection->name,
                  text);
    else
        log_about(LOG_LEVEL_INFO, about, "flow %s: %s: %s", source->flow, source->connection->name, text);
}

static void on_remembered(void *context)
{
    struct flow_source *source = context;
    /* Asked again meanwhile (the link was lost and came back): only the last is what the adapter waits for. */
    if (--source->remembering == 0 && !source->is_retired)
        source->remembered(&source->source);
    free_if_done(source);
}

void source_remember(struct source *source, struct slice memory, void (*done)(struct source *source))
{
    struct flow_source *from = of_source(source);
    struct change *change = change_new(on_remembered, from);
    struct store_key key = memory_key(from);
    from->remembered = done;
    from->remembering++;
    set_memory(from, memory);
    change_put(change, TABLE_SOURCES, store_key_slice(&key), memory);
    store_commit(from->flow->context->store, change);
}

struct event *event_new(struct slice record)
{
    struct event *event = mem_new(sizeof *event + record.size);
    char *bytes = (char *)(event + 1);
    *event = (struct event){.received_ms = clock_now_ms(), .record = {bytes, record.size}};
    memcpy(bytes, record.data, record.size);
    return event;
}

void event_free(struct event *event)
{
    free(event);
}

/* ---- the live release ------------------------------------------------------------------------------------ */

/* Whether this source already is what the manifest wants: then it goes on undisturbed. */
static bool serves(const struct flow_source *source, const struct manifest *manifest,
                   const struct manifest_source *wanted)
{
    return !source->is_retired && strcmp(source->source.connection->name, wanted->connection) == 0
           && source->source.body_limit == manifest->body_limit
           && settings_equal(source->source.settings, wanted->settings);
}

static bool is_served(const struct flow *flow, const struct manifest *manifest, const struct manifest_source *wanted)
{
    for (const struct flow_source *source = flow->sources; source; source = source->next)
        if (serves(source, manifest, wanted))
            return true;
    return false;
}

static bool is_wanted(const struct flow_source *source, const struct manifest *manifest)
{
    for (const struct manifest_source *wanted = manifest->sources; wanted; wanted = wanted->next)
        if (serves(source, manifest, wanted))
            return true;
    return false;
}

static void retire_unwanted(struct flow *flow, const struct manifest *manifest)
{
    for (struct flow_source *source = flow->sources, *next; source; source = next) {
        next = source->next;
        if (source->is_retired || is_wanted(source, manifest))
            continue;
        silence(source);
        source->is_retired = true;
        free_if_done(source);
    }
}

void flow_switch(struct flow *flow, struct instance *live)
{
    struct instance *old = flow->live;
    flow->live = live;
    retire_unwanted(flow, live->manifest);
    for (const struct manifest_source *wanted = live->manifest->sources; wanted; wanted = wanted->next) {
        if (is_served(flow, live->manifest, wanted))
            continue;
        struct flow_source *source = source_new(flow, live, wanted);
        source->next = flow->sources;
        flow->sources = source;
    }
    instance_release(old);
    flow_adjust(flow);
}

struct instance *flow_live(const struct flow *flow)
{
    return flow->live;
}

void flow_set_gate(struct flow *flow, bool is_on)
{
    flow->is_on = is_on;
    flow_adjust(flow);
}

bool flow_is_on(const struct flow *flow)
{
    return flow->is_on;
}

const char *flow_name(const struct flow *flow)
{
    return flow->name;
}

void flow_wake(struct flow *flow)
{
    flow->is_woken = true;
}

void flow_retry(struct flow *flow, struct change *change, struct slice item, const char *key, struct slice release)
{
    struct inbox_row row = {.record = record_get(item, "event"),
                            .id = record_get(item, "id"),
                            .key = slice_of(key),
                            .release = release,
                            .received_ms = record_get_integer(item, "received_ms", clock_now_ms())};
    struct arrival *arrival = inbox_add(flow, change, &row);
    if (arrival)
        arrival->is_taken_back = true;
}

struct instance *flow_recall(struct flow *flow, const char *hash, struct err *err)
{
    if (flow->live && strcmp(flow->live->release->hash, hash) == 0)
        return flow->live;
    if (flow->recalled && strcmp(flow->recalled->release->hash, hash) == 0)
        return flow->recalled;
    struct instance *instance = flow->context->recall(flow->context->engine, flow->name, hash, err);
    if (!instance)
        return NULL;
    instance_release(flow->recalled);
    flow->recalled = instance;
    return instance;
}

void flow_discard(struct flow *flow, struct change *change, struct slice held_row, const char *text)
{
    char *key = mem_copy(record_get(held_row, "key"));
    flow_count(flow, change, COUNT_DISCARDED);
    if (key[0]) /* else it could not be read */
        trail_of_skipped(flow, change, key, record_get(held_row, "event_id"), COUNT_DISCARDED, text);
    free(key);
}

static void collect_running(void *context, struct slice key, void *value)
{
    (void)key;
    struct line *line = value;
    struct job ***end = context;
    if (line->running && !line->running->is_ended) {
        **end = line->running;
        *end = &line->running->next;
    }
}

void flow_cancel_runs(struct flow *flow)
{
    struct job *running = NULL, **end = &running;
    map_each(&flow->lines, collect_running, &end);
    *end = NULL;
    while (running) {
        struct job *job = running;
        running = job->next;
        run_cancel(job->run);
        if (job->run->id && map_get(&flow->pending, slice_of(job->run->id)) == job)
            map_remove(&flow->pending, slice_of(job->run->id));
        job->is_ended = true;
        line_ended(job);
        job_put_back(job);
    }
}

/* ---- making and freeing ------------------------------------------------------------------------------------- */

static void on_before_wait(uv_prepare_t *prepare)
{
    struct flow *flow = prepare->data;
    if (flow->wants_adjust) {
        flow->wants_adjust = false;
        flow_adjust(flow);
    }
    while (flow->is_woken && flow_is_open(flow) && flow->live && flow->context->takes_events) {
        flow->is_woken = false;
        timers_work(flow);
        inbox_work(flow);
    }
}

struct flow *flow_new(struct flow_context *context, const char *name)
{
    struct flow *flow = mem_zero(sizeof *flow);
    flow->name = mem_text(name);
    flow->context = context;
    flow->scratch = (struct buf)BUF_INIT(EFFECT_ROW_MAX);
    for (int i = 0; i < FLOW_COUNTERS; i++) {
        snprintf(flow->counter_keys[i], sizeof flow->counter_keys[i], "flow.%s.%s", name, flow_counter_names[i]);
        flow->counts[i] = (uint64_t)store_counter(context->store, flow->counter_keys[i]);
    }
    inbox_open(flow);
    timers_open(flow);
    expect_open(flow);
    uv_prepare_init(context->loop, &flow->before_wait);
    flow->before_wait.data = flow;
    uv_prepare_start(&flow->before_wait, on_before_wait);
    uv_unref((uv_handle_t *)&flow->before_wait);
    uv_timer_init(context->loop, &flow->timer);
    flow->timer.data = flow;
    uv_timer_init(context->loop, &flow->memory.clock);
    flow->memory.clock.data = flow;
    return flow;
}

static void on_closed(uv_handle_t *handle)
{
    struct flow *flow = handle->data;
    if (--flow->handles)
        return;
    inbox_free(flow);
    buf_clear(&flow->scratch);
    decided_clear(&flow->memory.state);
    decided_clear(&flow->memory.timers);
    map_clear(&flow->pending);
    map_clear(&flow->lines);
    free(flow->name);
    free(flow);
}

void flow_free(struct flow *flow)
{
    while (flow->sources) {
        struct flow_source *source = flow->sources;
        flow->sources = source->next;
        source_free(source);
    }
    instance_release(flow->live);
    instance_release(flow->recalled);
    flow->live = flow->recalled = NULL;
    uv_prepare_stop(&flow->before_wait);
    flow->handles = 3;
    uv_close((uv_handle_t *)&flow->before_wait, on_closed);
    uv_close((uv_handle_t *)&flow->timer, on_closed);
    uv_close((uv_handle_t *)&flow->memory.clock, on_closed);
}

void flow_each_source(struct flow *flow, void (*each)(void *context, struct source *source), void *context)
{
    for (struct flow_source *source = flow->sources; source; source = source->next)
        if (!source->is_retired)
            each(context, &source->source);
}

static void say_sources(const struct flow *flow, struct flow_view *view)
{
    view->is_listening = flow->sources != NULL;
    for (const struct flow_source *source = flow->sources; source; source = source->next) {
        if (source->is_retired)
            continue;
        size_t used = strlen(view->source_state);
        if (source->state == SOURCE_REFUSED)
            view->is_refused = true;
        if (!source->is_listening || source->state != SOURCE_LISTENING)
            view->is_listening = false;
        if (source->is_listening || source->state == SOURCE_REFUSED)
            snprintf(view->source_state + used, sizeof view->source_state - used, "%s%s", used ? "; " : "",
                     source->text);
    }
}

void flow_look(struct flow *flow, struct flow_view *view)
{
    const struct manifest *manifest = flow->live ? flow->live->manifest : NULL;
    unsigned events = 0;
    int64_t now = clock_mono_ns() / 1000000000;
    *view = (struct flow_view){.name = flow->name,
                               .title = manifest ? manifest->title : "",
                               .owner = manifest ? manifest->owner : "",
                               .is_on = flow->is_on,
                               .trip = flow_tripped(flow),
                               .drops_when_off = manifest && manifest->drops_when_off,
                               .release = flow->live ? flow->live->release->hash : "",
                               .inbox = flow->inbox_rows,
                               .under_way = flow->under_way,
                               .timers = flow->memory.timer_count,
                               .next_timer_ms = flow->memory.timer_count ? timers_next_due(flow) : 0,
                               .received = flow->counts[COUNT_RECEIVED],
                               .finished = flow->counts[COUNT_FINISHED],
                               .expired = flow->counts[COUNT_EXPIRED],
                               .failed = flow->counts[COUNT_FAILED],
                               .is_silent = flow_is_open(flow) && flow->silence.is_silent,
                               .expect_least = manifest ? manifest->expect_least : 0,
                               .expect_ms = manifest ? manifest->expect_ms : 0,
                               .last_event_ms = flow->last_event_ms};
    view->skipped = flow->counts[COUNT_REPEAT] + flow->counts[COUNT_DROPPED] + flow->counts[COUNT_DISCARDED];
    for (int64_t i = 0; i < RATE_SECONDS; i++)
        if (flow->second - i > now - RATE_SECONDS)
            events += flow->seconds[(flow->second - i + RATE_SECONDS) % RATE_SECONDS];
    view->rate = (double)events / RATE_SECONDS;
    say_sources(flow, view);
}
