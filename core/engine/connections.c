/* connections.c - the connections of a node: opened at start, and again when a reload changed them
 *
 * A connection stays at its place in memory for as long as the daemon runs: flows' worlds, sources and lanes point to
 * it.  What a reload changes is what it points to itself: its settings, and through `state` what its adapter made. */
#include "core/base/log.h"
#include "core/engine/internal.h"
#include "core/flow/flow.h"

#include <stdio.h>
#include <stdlib.h>

#define RECEIPTS_MS ((int64_t)30 * 86400000)

struct connection *engine_find_connection(void *context, const char *name)
{
    return engine_connection(context, name);
}

/* A flow that the store knows is always here, be it only by its name. */
static void on_outcome(void *context, struct change *change, const struct lane_outcome *outcome)
{
    char name[NAME_MAX_BYTES + 1];
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(outcome->flow));
    flow_outcome(engine_add_flow(context, name), change, outcome);
}

static struct lane_options lane_options_of(struct engine *engine, const struct config_connection *from)
{
    const struct settings *common = from->common;
    unsigned concurrency = settings_has(common, "concurrency") ? (unsigned)settings_number(common, "concurrency") : 0;
    const char *unknown = settings_text(common, "when_unknown");
    struct lane_options options = {
        .concurrency = concurrency                  ? concurrency
                       : from->adapter->concurrency ? from->adapter->concurrency
                                                    : 1,
        .retries_unknown = unknown && strcmp(unknown, "retry") == 0,
        .max_age_ms = settings_number(common, "max_age"),
        .receipts_ms = RECEIPTS_MS,
        .on_outcome = on_outcome,
        .is_parked = engine_is_parked,
        .on_answer = engine_on_answer,
        .releases = &engine->lane_releases,
        .fuses = &engine->lane_fuses,
        .context = engine,
    };
    for (size_t i = 0; i < settings_count(common, "rate") && i < RATES_MAX; i++)
        options.rate_count += rate_limit_parse(settings_item(common, "rate", i), &options.rates[options.rate_count]);
    return options;
}

struct connection *connection_any(const struct engine *engine, size_t index)
{
    size_t gone = index - engine->connection_count;
    if (index < engine->connection_count)
        return engine->connections[index];
    return gone < engine->gone_count ? engine->gone[gone] : NULL;
}

struct connection *connection_gone(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->gone_count; i++)
        if (strcmp(engine->gone[i]->name, name) == 0)
            return engine->gone[i];
    return NULL;
}

struct connection *engine_connection_at(struct engine *engine, size_t index)
{
    return index < engine->connection_count ? engine->connections[index] : NULL;
}

struct connection *engine_connection(struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->connection_count; i++)
        if (strcmp(engine->connections[i]->name, name) == 0)
            return engine->connections[i];
    return NULL;
}

static void add(struct connection ***list, size_t *count, struct connection *connection)
{
    *list = mem_resize(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = connection;
}

static void take_out(struct connection **list, size_t *count, const struct connection *connection)
{
    size_t at = 0;
    while (list[at] != connection)
        at++;
    for (--*count; at < *count; at++)
        list[at] = list[at + 1];
}

struct connection *connection_new(struct engine *engine, const struct config_connection *from)
{
    struct connection *connection = connection_gone(engine, from->name);
    if (connection) {
        take_out(engine->gone, &engine->gone_count, connection);
    } else {
        connection = mem_zero(sizeof *connection);
        *connection = (struct connection){.name = mem_text(from->name),
                                          .environment = engine->config->environment,
                                          .adapter = from->adapter,
                                          .loop = engine->loop,
                                          .webhooks = engine->webhooks};
        struct lane_options options = lane_options_of(engine, from);
        lane_open(engine->store, &engine->held, connection, &options);
    }
    add(&engine->connections, &engine->connection_count, connection);
    return connection;
}

bool connection_open(struct engine *engine, struct connection *connection, const struct config_connection *from,
                     struct err *err)
{
    struct lane_options options = lane_options_of(engine, from);
    connection->settings = from->settings;
    connection->fuse = &from->fuse;
    lane_resume(connection->lane, &options);
    if (from->is_elsewhere) {
        char why[200];
        snprintf(why, sizeof why, "it is for environment %s, this node is %s",
                 settings_text(from->common, "environment"), engine->config->environment);
        log_warning("connection %s: is not opened: %s", from->name, why);
        lane_refuse(connection->lane, why);
        return true;
    }
    connection->opening++;
    connection->verbs = NULL; /* what an earlier opening put there was said by its settings */
    connection->is_open = from->adapter->open(connection, err);
    lane_start(connection->lane);
    return connection->is_open || err_wrap(err, "%s:%d: connection %s", engine->config->path, from->line, from->name);
}

bool connections_open(struct engine *engine, struct err *err)
{
    for (struct config_connection *from = engine->config->connections; from; from = from->next)
        if (!connection_open(engine, connection_new(engine, from), from, err))
            return false;
    return true;
}

void connections_arrange(struct engine *engine)
{
    struct connection **old = engine->connections;
    size_t old_count = engine->connection_count, count = 0;
    for (size_t i = 0; i < old_count; i++)
        if (!config_find(engine->config, slice_of(old[i]->name)))
            add(&engine->gone, &engine->gone_count, old[i]);
    struct connection **list = mem_zero((old_count + 1) * sizeof *list);
    for (struct config_connection *from = engine->config->connections; from; from = from->next)
        list[count++] = engine_connection(engine, from->name);
    engine->connections = list;
    engine->connection_count = count;
    free(old);
}

void connections_free(struct engine *engine)
{
    struct connection *connection;
    for (size_t i = 0; (connection = connection_any(engine, i)); i++) {
        free((char *)connection->name);
        free(connection);
    }
    free(engine->connections);
    free(engine->gone);
}
