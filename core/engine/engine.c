/* engine.c - opening and closing a node; see engine.h */
#include "core/engine/engine.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/books.h"
#include "core/engine/internal.h"
#include "core/net/webhooks.h"
#include "core/store/backup.h"

#include <stdio.h>
#include <stdlib.h>

#define STOP_MS 10000 /* for deliveries under way; what is not answered by then stays in the store */

/* ---- the door for webhooks ------------------------------------------------------------------------------------- */

static bool open_webhooks(struct engine *engine, struct err *err)
{
    const struct config *config = engine->config;
    if (!config->webhooks_host)
        return true;
    engine->webhooks = webhooks_open(engine->loop,
                                     &(struct webhooks_options){.host = config->webhooks_host,
                                                                .port = config->webhooks_port,
                                                                .body_limit = (size_t)config->webhooks_limit},
                                     err);
    if (!engine->webhooks)
        return err_wrap(err, "%s: webhooks", config->path);
    webhooks_unsettled(engine->webhooks, true);
    log_info("webhooks: listening on %s, port %d", config->webhooks_host, webhooks_port(engine->webhooks));
    return true;
}

/* ---- flows ------------------------------------------------------------------------------------------ */

struct flow *engine_flow_at(struct engine *engine, size_t index)
{
    return index < engine->flow_count ? engine->flows[index] : NULL;
}

struct flow *engine_flow(struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->flow_count; i++)
        if (strcmp(flow_name(engine->flows[i]), name) == 0)
            return engine->flows[i];
    return NULL;
}

struct flow *engine_add_flow(struct engine *engine, const char *name)
{
    struct flow *flow = engine_flow(engine, name);
    if (flow)
        return flow;
    flow = flow_new(&engine->flows_context, name);
    engine->flows = mem_resize(engine->flows, (engine->flow_count + 1) * sizeof *engine->flows);
    size_t at = engine->flow_count++;
    for (; at > 0 && strcmp(flow_name(engine->flows[at - 1]), name) > 0; at--)
        engine->flows[at] = engine->flows[at - 1];
    engine->flows[at] = flow;
    return flow;
}

struct instance_options engine_instance_options(struct engine *engine, const struct rulebook *book)
{
    return (struct instance_options){
        .config = engine->config, .rulebook = book, .connection = engine_find_connection, .context = engine};
}

static struct instance *engine_recall(void *context, const char *flow, const char *hash, struct err *err)
{
    struct engine *engine = context;
    struct instance_options options = engine_instance_options(engine, &engine->rules);
    struct release *release = release_restore(engine, RELEASE_FLOW, flow, hash, err);
    return release ? instance_new(release, &options, err) : NULL;
}

static void adjust_flows(struct engine *engine)
{
    enum store_state state = store_get_state(engine->store);
    engine->flows_context.takes_events = engine->is_ready && !engine->is_stopping && state == STORE_OK;
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_adjust(engine->flows[i]);
}

static void on_store_state(void *context, enum store_state state, const char *why)
{
    struct engine *engine = context;
    if (state == STORE_OK)
        log_info("store: %s; sources go on", why);
    else
        log_error("store: %s; sources are paused, nothing is lost, and they go on by themselves when there is room",
                  why);
    adjust_flows(engine);
}

void engine_check_ready(struct engine *engine)
{
    if (engine->is_ready || engine->is_stopping || deploy_is_busy(engine))
        return;
    engine->is_ready = true;
    adjust_flows(engine);
    webhooks_unsettled(engine->webhooks, false);
    engine->on_ready(engine->context);
}

void engine_orphans(struct engine *engine, const struct books *books, struct buf *lines)
{
    for (size_t i = 0; i < books->lane_count; i++) {
        const struct lane_book *lane = &books->lanes[i];
        if ((lane->waiting || lane->held) && !engine_connection(engine, lane->name))
            buf_addf(lines, "connection %s is not in %s any more: %lld of its effects wait, %lld are held\n",
                     lane->name, engine->config->path, (long long)lane->waiting, (long long)lane->held);
    }
    for (size_t i = 0; i < books->flow_count; i++) {
        const struct flow_book *flow = &books->flows[i];
        if ((flow->waiting || flow->held) && !engine_flow(engine, flow->name))
            buf_addf(lines, "flow %s is not here any more: %lld of its events wait, %lld are held\n", flow->name,
                     (long long)flow->waiting, (long long)flow->held);
    }
}

/* The whole store is read for it, on another thread: a start does not wait for that. */
struct stocktaking {
    struct engine *engine; /* lives as long as a picture of its store is open */
    struct picture *picture;
    struct books books;
    uv_work_t work;
};

static void take_stock(uv_work_t *work)
{
    struct stocktaking *stocktaking = work->data;
    books_read(stocktaking->picture, &stocktaking->books);
}

static void on_stock_taken(uv_work_t *work, int status)
{
    struct stocktaking *stocktaking = work->data;
    struct buf lines = BUF_INIT(65536);
    (void)status;
    engine_orphans(stocktaking->engine, &stocktaking->books, &lines);
    for (char *line = lines.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
        log_warning("%.*s", (int)(end - line), line);
    buf_clear(&lines);
    picture_close(stocktaking->picture);
    books_clear(&stocktaking->books);
    free(stocktaking);
}

static void warn_of_orphans(struct engine *engine)
{
    struct err err = ERR_INIT;
    struct picture *picture = picture_open(engine->store, &err);
    if (!picture)
        return;
    struct stocktaking *stocktaking = mem_zero(sizeof *stocktaking);
    stocktaking->engine = engine;
    stocktaking->picture = picture;
    stocktaking->work.data = stocktaking;
    uv_queue_work(engine->loop, &stocktaking->work, take_stock, on_stock_taken);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static void close_all(struct engine *engine);

struct engine *engine_open(uv_loop_t *loop, const struct engine_options *options, int *exit_code, struct err *err)
{
    struct engine *engine = mem_zero(sizeof *engine);
    engine->loop = loop;
    engine->config = options->config;
    engine->watches = options->watches;
    engine->on_ready = options->on_ready;
    engine->on_closing = options->on_closing;
    engine->on_stopped = options->on_stopped;
    engine->context = options->context;
    engine->started_ms = clock_now_ms();
    enum store_failure failure;
    struct store_options store = {.folder = engine->config->data,
                                  .limit_bytes = engine->config->store_limit,
                                  .on_state = on_store_state,
                                  .context = engine};
    engine->store = store_open(loop, &store, &failure, err);
    if (!engine->store) {
        *exit_code = failure == STORE_IN_USE ? 75 : 74;
        config_free(engine->config);
        free(engine);
        return NULL;
    }
    held_open(&engine->held, engine->store);
    engine->lane_releases = engine_releases(engine);
    engine->lane_fuses = engine_fuses(engine);
    engine->flows_context = (struct flow_context){.loop = loop,
                                                  .store = engine->store,
                                                  .held = &engine->held,
                                                  .connection = engine_find_connection,
                                                  .recall = engine_recall,
                                                  .on_trip = engine_on_trip,
                                                  .engine = engine};
    fuses_open(&engine->flows_context.fuses, engine->store);
    uv_timer_init(loop, &engine->stop_timer);
    engine->stop_timer.data = engine;
    pulse_open(engine);
    reload_open(engine);
    uv_timer_init(loop, &engine->recovery_timer);
    engine->recovery_timer.data = engine;
    if (!open_webhooks(engine, err) || !connections_open(engine, err)) {
        *exit_code = 78;
        engine->on_stopped = NULL;
        close_all(engine);
        return NULL;
    }
    engine_load_released(engine);
    pulse_start(engine);
    warn_of_orphans(engine);
    watch_folders(engine, engine->watches);
    engine_check_ready(engine);
    return engine;
}

/* ---- closing --------------------------------------------------------------------------------------------- */

static void free_value(void *context, struct slice key, void *value)
{
    (void)context, (void)key;
    free(value);
}

static void free_engine(uv_handle_t *handle)
{
    struct engine *engine = handle->data;
    void (*on_stopped)(void *) = engine->on_stopped;
    void *context = engine->context;
    map_each(&engine->gates, free_value, NULL);
    map_clear(&engine->gates);
    map_clear(&engine->settling);
    map_clear(&engine->deciding);
    fuses_clear(&engine->flows_context.fuses);
    recovery_free(engine);
    rulebook_clear(&engine->rules);
    config_free(engine->config);
    reload_free(engine);
    connections_free(engine);
    free(engine->flows);
    free(engine);
    if (on_stopped)
        on_stopped(context);
}

/* The connections first, so that no answer comes any more; then the store, whose last `done` calls still find lanes and
 * flows; then these. */
static void close_all(struct engine *engine)
{
    struct connection *connection;
    uv_close((uv_handle_t *)&engine->stop_timer, free_engine); /* libuv calls back in the reverse order: this is last */
    pulse_close(engine);
    uv_close((uv_handle_t *)&engine->reload_timer, NULL);
    uv_close((uv_handle_t *)&engine->recovery_timer, NULL);
    for (size_t i = 0; (connection = connection_any(engine, i)); i++) {
        if (connection->is_open)
            connection->adapter->close(connection);
        connection->is_open = false;
    }
    webhooks_close(engine->webhooks);
    store_close(engine->store);
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_free(engine->flows[i]);
    for (size_t i = 0; (connection = connection_any(engine, i)); i++)
        lane_close(connection->lane);
}

static bool is_idle(struct engine *engine)
{
    struct connection *connection;
    for (size_t i = 0; (connection = connection_any(engine, i)); i++)
        if (!lane_is_idle(connection->lane))
            return false;
    for (size_t i = 0; i < engine->flow_count; i++) {
        struct flow_view view;
        flow_look(engine->flows[i], &view);
        if (view.under_way)
            return false;
    }
    return true;
}

/* Deliveries are waited for only so long; a test that is being ended and a reader of the store are waited for. */
static void look_whether_idle(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    bool has_time = clock_mono_ns() / 1000000 < engine->stop_until_ms;
    if (deploy_is_testing(engine) || store_is_pictured(engine->store)
        || (has_time && (deploy_is_busy(engine) || !is_idle(engine))))
        return;
    uv_timer_stop(timer);
    if (engine->on_closing)
        engine->on_closing(engine->context);
    close_all(engine);
}

void engine_stop(struct engine *engine)
{
    struct connection *connection;
    if (engine->is_stopping)
        return;
    engine->is_stopping = true;
    webhooks_unsettled(engine->webhooks, true);
    store_backup_stop(engine->store);
    log_info("stopping: sources are silent, what is under way may end");
    watch_stop(engine);
    deploy_stop(engine);
    reload_stop(engine);
    adjust_flows(engine);
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_cancel_runs(engine->flows[i]);
    for (size_t i = 0; (connection = connection_any(engine, i)); i++)
        lane_stop(connection->lane);
    engine->stop_until_ms = clock_mono_ns() / 1000000 + STOP_MS;
    uv_timer_start(&engine->stop_timer, look_whether_idle, 0, 20);
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

const struct config *engine_config(const struct engine *engine)
{
    return engine->config;
}

struct webhooks *engine_webhooks(struct engine *engine)
{
    return engine->webhooks;
}

struct store *engine_store(struct engine *engine)
{
    return engine->store;
}

uv_loop_t *engine_loop(struct engine *engine)
{
    return engine->loop;
}

struct held_numbers *engine_held(struct engine *engine)
{
    return &engine->held;
}

bool engine_is_ready(const struct engine *engine)
{
    return engine->is_ready;
}

bool engine_is_stopping(const struct engine *engine)
{
    return engine->is_stopping;
}

int64_t engine_started_ms(const struct engine *engine)
{
    return engine->started_ms;
}
