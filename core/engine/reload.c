/* reload.c - headgate.yaml is read again while everything runs
 *
 *      read, checked whole, tried out ──wrong──► nothing changes; the log, status and metrics say so
 *           │ good
 *           ▼
 *      what is new is opened; what changed or is gone: its sources are silent, its lane begins nothing
 *           │ what is under way there has ended
 *           ▼
 *      closed ──► opened with what is said now ──► sources listen, the lane goes on with what waits in the store
 *
 * What says the same as before, its secrets included, is not disturbed.  Effects and events are in the store, so
 * nothing is lost or repeated by it; an event whose acknowledgement comes too late is delivered again by its source,
 * and known.
 *
 * What a connection stands on (its settings) is kept until the daemon ends even after it was closed: an adapter may
 * still be busy with closing.  That is some hundred bytes for each connection that changed. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/internal.h"
#include "core/net/webhooks.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 20
#define EVENTS_MS 30000 /* events under way may take so long; those that take longer are delivered again */

/* A reload under way. */
struct reload {
    char *who, *why;
    engine_done done;
    void *context;
    struct buf changes; /* a sentence for each, one a line */
    bool is_written;    /* its audit row is on its way to the disk: that ends it */
    int64_t late_ms;    /* from then on events are not waited for; of the clock that never goes back */
};

/* What was replaced: kept until the engine is freed. */
struct former {
    struct config *config;
    struct connection *tried; /* as many as were opened to see whether they can be */
    size_t tried_count;
    struct former *next;
};

/* ---- may it be? -------------------------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool check_node(const struct config *now, const struct config *fresh, struct err *err)
{
    const struct {
        const char *name;
        bool is_same;
    } all[] = {
        {"environment", is_same(now->environment, fresh->environment)},
        {"data", is_same(now->data, fresh->data)},
        {"flows", is_same(now->flows, fresh->flows)},
        {"rules", is_same(now->rules, fresh->rules)},
        {"admin: socket", is_same(now->admin_socket, fresh->admin_socket)},
        {"admin: listen", is_same(now->admin_host, fresh->admin_host) && now->admin_port == fresh->admin_port},
        {"webhooks", is_same(now->webhooks_host, fresh->webhooks_host) && now->webhooks_port == fresh->webhooks_port
                         && now->webhooks_limit == fresh->webhooks_limit},
        {"store: limit", now->store_limit == fresh->store_limit},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!all[i].is_same)
            return err_set(err, "%s: `%s` has changed, and that needs a restart of the daemon", now->path, all[i].name);
    return true;
}

static bool uses(struct flow *flow, const char *connection)
{
    struct instance *live = flow_live(flow);
    if (!live)
        return false;
    for (char **name = live->manifest->uses; *name; name++)
        if (strcmp(*name, connection) == 0)
            return true;
    for (const struct manifest_source *source = live->manifest->sources; source; source = source->next)
        if (strcmp(source->connection, connection) == 0)
            return true;
    return false;
}

#define OTHER_ADAPTER "%s:%d: connection %s: another adapter under the same name needs a restart of the daemon"

static bool check_gone(struct engine *engine, const struct config *fresh, struct err *err)
{
    struct flow *flow;
    for (const struct config_connection *is = fresh->connections; is; is = is->next) {
        const struct connection *gone = connection_gone(engine, is->name);
        if (gone && gone->adapter != is->adapter)
            return err_set(err, OTHER_ADAPTER, fresh->path, is->line, is->name);
    }
    for (const struct config_connection *was = engine->config->connections; was; was = was->next) {
        const struct config_connection *is = config_find(fresh, slice_of(was->name));
        if (is && is->adapter != was->adapter)
            return err_set(err, OTHER_ADAPTER, fresh->path, is->line, is->name);
        for (size_t i = 0; !is && (flow = engine_flow_at(engine, i)); i++)
            if (uses(flow, was->name))
                return err_set(err,
                               "%s: connection %s is gone, but flow %s uses it; put it back, or deploy the flow "
                               "without it first",
                               fresh->path, was->name, flow_name(flow));
    }
    return true;
}

/* A connection that could not be opened is tried again, even if it says the same. */
static bool is_changed(struct engine *engine, const struct config_connection *was, const struct config_connection *is)
{
    struct connection *connection = engine_connection(engine, is->name);
    return !was || !settings_equal(was->settings, is->settings) || !settings_equal(was->common, is->common)
           || (!connection->is_open && !is->is_elsewhere);
}

/* An adapter's `open` finds what no table of options can: it must not fail when the old one is closed already. */
static bool try_out(struct engine *engine, struct former *former, const struct config *fresh, struct err *err)
{
    size_t count = 0;
    for (const struct config_connection *is = fresh->connections; is; is = is->next)
        count++;
    former->tried = mem_zero((count ? count : 1) * sizeof *former->tried);
    for (const struct config_connection *is = fresh->connections; is; is = is->next) {
        if (is->is_elsewhere || !is_changed(engine, config_find(engine->config, slice_of(is->name)), is))
            continue;
        struct connection *tried = &former->tried[former->tried_count++];
        *tried = (struct connection){.name = is->name,
                                     .environment = fresh->environment,
                                     .adapter = is->adapter,
                                     .settings = is->settings,
                                     .loop = engine->loop};
        if (!is->adapter->open(tried, err))
            return err_wrap(err, "%s:%d: connection %s", fresh->path, is->line, is->name);
        is->adapter->close(tried);
    }
    return true;
}

/* ---- the switch ----------------------------------------------------------------------------------------------------
 */

static void swap(void *a, void *b, size_t size)
{
    char room[64];
    memcpy(room, a, size);
    memcpy(a, b, size);
    memcpy(b, room, size);
}

/* An adapter of a connection that goes on may keep texts of its settings: they stay where they are. */
static void keep_unchanged(struct engine *engine, struct config *fresh)
{
    for (struct config_connection *was = engine->config->connections; was; was = was->next)
        for (struct config_connection *is = fresh->connections; is; is = is->next)
            if (strcmp(was->name, is->name) == 0 && !is_changed(engine, was, is)) {
                swap(&was->settings, &is->settings, sizeof is->settings);
                swap(&was->common, &is->common, sizeof is->common);
            }
}

static void add_change(struct engine *engine, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_change(struct engine *engine, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_addv(&engine->reload->changes, format, args);
    va_end(args);
    buf_add_char(&engine->reload->changes, '\n');
}

static void begin_closing(struct engine *engine, struct connection *connection)
{
    connection->is_closing = true;
    lane_suspend(connection->lane);
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_let_go(engine->flows[i], connection);
}

static void open_now(struct engine *engine, struct connection *connection)
{
    struct err err = ERR_INIT;
    const struct config_connection *from = config_find(engine->config, slice_of(connection->name));
    if (!connection_open(engine, connection, from, &err)) {
        log_error("reload: %s", err.text);
        add_change(engine, "%s", err.text);
        engine->reloaded.is_ok = false;
        lane_refuse(connection->lane, err.text);
    }
}

static bool is_same_quota(const struct quota *a, const struct quota *b)
{
    return a->most == b->most && a->window_ms == b->window_ms;
}

static bool is_same_fuse(const struct limits *a, const struct limits *b)
{
    return is_same_quota(&a->effects, &b->effects) && is_same_quota(&a->per_recipient, &b->per_recipient)
           && a->failures_in_a_row == b->failures_in_a_row && a->error_percent == b->error_percent;
}

/* Takes over the new list: what is new is opened, what changed or is gone begins to close. */
static void take_over(struct engine *engine, struct config *fresh)
{
    struct config *now = engine->config;
    size_t tokens = 0;
    if (!tokens_equal(now->tokens, fresh->tokens)) {
        for (const struct token *token = fresh->tokens; token; token = token->next)
            tokens++;
        add_change(engine, "tokens: %zu, as the file says now", tokens);
    }
    swap(&now->tokens, &fresh->tokens, sizeof now->tokens);
    swap(&now->admin_tokens, &fresh->admin_tokens, sizeof now->admin_tokens);
    swap(&now->connections, &fresh->connections, sizeof now->connections);
    for (struct config_connection *is = now->connections; is; is = is->next) {
        const struct config_connection *was = config_find(fresh, slice_of(is->name));
        struct connection *connection = engine_connection(engine, is->name);
        if (was && connection->settings == is->settings) {
            connection->fuse = &is->fuse; /* it is looked at whenever it counts: nothing need be closed */
            if (!is_same_fuse(&was->fuse, &is->fuse))
                add_change(engine, "connection %s: its fuse is as the file says now", is->name);
            continue;
        }
        add_change(engine, "connection %s: %s", is->name, was ? "changed: closed, and opened again" : "new: opened");
        webhooks_unsettled(engine->webhooks, true);
        if (was && connection->is_open)
            begin_closing(engine, connection);
        else
            open_now(engine, connection ? connection : connection_new(engine, is));
    }
    for (struct config_connection *was = fresh->connections; was; was = was->next) {
        if (config_find(now, slice_of(was->name)))
            continue;
        add_change(engine, "connection %s: gone: closed", was->name);
        begin_closing(engine, engine_connection(engine, was->name));
    }
    connections_arrange(engine);
}

/* ---- waiting for what is under way
 * ----------------------------------------------------------------------------------- */

static bool is_done(struct engine *engine, const struct connection *connection, bool is_late)
{
    bool done = lane_is_idle(connection->lane) && !connection->questions;
    for (size_t i = 0; done && i < engine->flow_count; i++)
        done = flow_has_let_go(engine->flows[i], connection, is_late);
    return done;
}

static void close_now(struct engine *engine, struct connection *connection)
{
    if (connection->is_open)
        connection->adapter->close(connection);
    connection->is_open = connection->is_closing = false;
    webhooks_give_up(engine->webhooks, connection->name); /* events of an earlier opening are not answered */
    if (config_find(engine->config, slice_of(connection->name)))
        open_now(engine, connection);
    else
        lane_refuse(connection->lane, "it is not in headgate.yaml any more");
}

static void on_written(void *context)
{
    struct engine *engine = context;
    struct reload *reload = engine->reload;
    engine->reload = NULL;
    reload->done(reload->context, engine->reloaded.is_ok, engine->reloaded.text);
    free(reload->who);
    free(reload->why);
    buf_clear(&reload->changes);
    free(reload);
}

static void remember(struct engine *engine, bool is_ok, const char *text)
{
    free(engine->reloaded.text);
    engine->reloaded.text = mem_text(text);
    engine->reloaded.at_ms = clock_now_ms();
    engine->reloaded.is_ok = is_ok;
    if (is_ok)
        engine->reloaded.success_ms = engine->reloaded.at_ms;
}

static void finish(struct engine *engine)
{
    struct reload *reload = engine->reload;
    struct author author = {reload->who, reload->why};
    struct change *change = change_new(on_written, engine);
    if (!reload->changes.size)
        add_change(engine, "nothing has changed");
    reload->changes.data[--reload->changes.size] = '\0'; /* the last line's end */
    for (char *line = mem_text(reload->changes.data), *at = line, *next; at; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        log_info("reload: %s", at);
        if (!next)
            free(line);
    }
    remember(engine, engine->reloaded.is_ok, reload->changes.data);
    engine_load_missing(engine);
    reload->is_written = true;
    audit_write(engine, change, &author, "reload", "headgate.yaml", reload->changes.data);
    store_commit(engine->store, change);
}

static void look(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    bool is_late = clock_mono_ns() / 1000000 >= engine->reload->late_ms, waits = false;
    struct connection *connection;
    for (size_t i = 0; (connection = connection_any(engine, i)); i++) {
        if (connection->is_closing && is_done(engine, connection, is_late))
            close_now(engine, connection);
        waits = waits || connection->is_closing;
    }
    if (waits)
        return;
    uv_timer_stop(timer);
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_adjust(engine->flows[i]);
    webhooks_unsettled(engine->webhooks, false);
    finish(engine);
}

/* ---- the whole
 * ---------------------------------------------------------------------------------------------------------- */

static void former_free(struct former *former)
{
    config_free(former->config);
    free(former->tried);
    free(former);
}

/* The new file, if it may be; what was tried out for it is kept in any case. */
static struct former *prepare(struct engine *engine, struct err *err)
{
    struct former *former = mem_zero(sizeof *former);
    former->config = config_load(engine->config->path, err);
    bool ok = former->config && check_node(engine->config, former->config, err)
              && check_gone(engine, former->config, err) && try_out(engine, former, former->config, err);
    if (former->tried_count) {
        former->next = engine->former;
        engine->former = former;
    } else if (!ok) {
        former_free(former);
    }
    return ok ? former : NULL;
}

static void begin(struct engine *engine, struct former *former, const struct author *author, engine_done done,
                  void *context)
{
    struct reload *reload = engine->reload = mem_zero(sizeof *reload);
    *reload = (struct reload){.who = mem_text(author->who),
                              .why = mem_text(author->why),
                              .done = done,
                              .context = context,
                              .changes = BUF_INIT(1 << 20),
                              .late_ms = clock_mono_ns() / 1000000 + EVENTS_MS};
    engine->reloaded.is_ok = true;
    keep_unchanged(engine, former->config);
    take_over(engine, former->config);
    if (!reload->changes.size) {
        former_free(former); /* nothing stands on it */
    } else if (engine->former != former) {
        former->next = engine->former;
        engine->former = former;
    }
    uv_timer_start(&engine->reload_timer, look, 0, LOOK_MS);
}

void engine_reload(struct engine *engine, const struct author *author, engine_done done, void *context)
{
    struct err err = ERR_INIT;
    struct former *former = NULL;
    if (engine->is_stopping)
        err_set(&err, "the daemon is stopping");
    else if (!engine->is_ready)
        err_set(&err, "flows are still being loaded");
    else if (engine->reload)
        err_set(&err, "another reload is under way");
    else if (store_get_state(engine->store) == STORE_FULL) /* what is under way could not end */
        err_set(&err, "the store cannot be written just now; mend that first");
    else
        former = prepare(engine, &err);
    if (former) {
        begin(engine, former, author, done, context);
        return;
    }
    log_error("reload: nothing was changed: %s", err.text);
    if (!engine->is_stopping && !engine->reload)
        remember(engine, false, err.text);
    done(context, false, err.text);
}

void reload_open(struct engine *engine)
{
    uv_timer_init(engine->loop, &engine->reload_timer);
    engine->reload_timer.data = engine;
    engine->reloaded.is_ok = true;
    engine->reloaded.success_ms = clock_now_ms();
}

void reload_stop(struct engine *engine)
{
    uv_timer_stop(&engine->reload_timer);
    struct reload *reload = engine->reload;
    if (!reload || reload->is_written)
        return;
    engine->reloaded.is_ok = false;
    free(engine->reloaded.text);
    engine->reloaded.text = mem_text("the daemon stopped before all of it was done");
    on_written(engine);
}

void reload_free(struct engine *engine)
{
    for (struct former *former = engine->former, *next; former; former = next) {
        next = former->next;
        former_free(former);
    }
    free(engine->reloaded.text);
}

const struct reloaded *engine_reloaded(const struct engine *engine)
{
    return &engine->reloaded;
}
