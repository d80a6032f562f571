/* releases.c - what is released, in the store: releases by their hash, gates, the audit of every change
 *
 *      releases   kind \0 name \0 hash -> at, who, files (record)          kept for ever: small, and the way back
 *      gates      kind \0 name -> gate ("on" or "off"), live, previous     what is true now; of a tripped one also
 *                 tripped_at, reason, fuse (the connection whose fuse it was; empty: the flow's own)
 *      audit      number -> at, who, why, what, subject, text              for ever
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>

static struct store_key gate_key(enum release_kind kind, const char *name)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, release_kind_name(kind));
    store_key_add_text(&key, name);
    return key;
}

static struct store_key release_key(enum release_kind kind, const char *name, const char *hash)
{
    struct store_key key = gate_key(kind, name);
    store_key_add(&key, slice_of(hash));
    return key;
}

static void parse_gate(struct slice value, struct gate_row *row)
{
    row->is_on = slice_is(record_get(value, "gate"), "on");
    row->trip.at_ms = record_get_integer(value, "tripped_at", 0);
    snprintf(row->trip.reason, sizeof row->trip.reason, "%.*s", SLICE_ARG(record_get(value, "reason")));
    snprintf(row->trip.connection, sizeof row->trip.connection, "%.*s", SLICE_ARG(record_get(value, "fuse")));
    snprintf(row->live, sizeof row->live, "%.*s", SLICE_ARG(record_get(value, "live")));
    snprintf(row->previous, sizeof row->previous, "%.*s", SLICE_ARG(record_get(value, "previous")));
}

bool gate_read(struct engine *engine, enum release_kind kind, const char *name, struct gate_row *row)
{
    struct store_key key = gate_key(kind, name);
    struct gate_row *decided = map_get(&engine->gates, store_key_slice(&key));
    struct slice value;
    *row = decided ? *decided : (struct gate_row){.is_on = false};
    if (decided)
        return true;
    if (!store_get(engine->store, TABLE_GATES, store_key_slice(&key), &value))
        return false;
    parse_gate(value, row);
    return true;
}

void gate_write(struct engine *engine, struct change *change, enum release_kind kind, const char *name,
                const struct gate_row *row)
{
    struct store_key key = gate_key(kind, name);
    struct gate_row *decided = map_get(&engine->gates, store_key_slice(&key));
    if (!decided) {
        decided = mem_zero(sizeof *decided);
        map_put(&engine->gates, store_key_slice(&key), decided);
    }
    *decided = *row;
    struct buf value = BUF_INIT(2000);
    if (row->trip.at_ms) {
        record_add_integer(&value, "tripped_at", row->trip.at_ms);
        record_add_text(&value, "reason", slice_of(row->trip.reason));
        record_add_text(&value, "fuse", slice_of(row->trip.connection));
    }
    record_add_text(&value, "gate", slice_of(row->is_on ? "on" : "off"));
    record_add_text(&value, "live", slice_of(row->live));
    record_add_text(&value, "previous", slice_of(row->previous));
    change_put(change, TABLE_GATES, store_key_slice(&key), buf_slice(&value));
    buf_clear(&value);
}

void release_store(struct change *change, const struct release *release, const struct author *author)
{
    struct store_key key = release_key(release->kind, release->name, release->hash);
    struct buf files = BUF_INIT(2 * RELEASE_MAX), value = BUF_INIT(2 * RELEASE_MAX + 65536);
    release_encode(release, &files);
    record_add_integer(&value, "at", clock_now_ms());
    record_add_text(&value, "who", slice_of(author->who));
    record_add_text(&value, "files", buf_slice(&files));
    change_put(change, TABLE_RELEASES, store_key_slice(&key), buf_slice(&value));
    buf_clear(&files);
    buf_clear(&value);
}

struct release *release_restore(struct engine *engine, enum release_kind kind, const char *name, const char *hash,
                                struct err *err)
{
    struct store_key key = release_key(kind, name, hash);
    struct slice value;
    if (!store_get(engine->store, TABLE_RELEASES, store_key_slice(&key), &value)) {
        err_set(err, "%s %s: its release %.12s is not in the store", release_kind_name(kind), name, hash);
        return NULL;
    }
    return release_decode(kind, name, record_get(value, "files"), err);
}

void audit_write(struct engine *engine, struct change *change, const struct author *author, const char *what,
                 const char *subject, const char *text)
{
    struct store_key key = STORE_KEY_INIT;
    struct buf value = BUF_INIT(65536);
    if (!engine->audit_last) {
        struct slice last;
        if (store_last(engine->store, TABLE_AUDIT, SLICE_NONE, &last))
            engine->audit_last = store_key_number(last);
    }
    store_key_add_number(&key, ++engine->audit_last);
    record_add_integer(&value, "at", clock_now_ms());
    record_add_text(&value, "who", slice_of(author->who));
    record_add_text(&value, "why", slice_of(author->why));
    record_add_text(&value, "what", slice_of(what));
    record_add_text(&value, "subject", slice_of(subject));
    record_add_text(&value, "text", slice_of(text));
    change_put(change, TABLE_AUDIT, store_key_slice(&key), buf_slice(&value));
    buf_clear(&value);
}

/* ---- at start --------------------------------------------------------------------------------------- */

struct names {
    char **list;
    size_t count;
};

static bool collect_name(void *context, struct slice key, struct slice value)
{
    struct names *names = context;
    (void)value;
    const char *name = key.data + strlen(key.data) + 1;
    names->list = mem_resize(names->list, (names->count + 1) * sizeof *names->list);
    names->list[names->count++] = mem_text(name);
    return true;
}

static void load_rule(struct engine *engine, const char *name, const struct gate_row *row)
{
    struct err err = ERR_INIT;
    struct release *rule = release_restore(engine, RELEASE_RULE, name, row->live, &err);
    if (rule)
        rulebook_set(&engine->rules, rule);
    else
        log_error("%s", err.text);
}

/* A flow whose release cannot be loaded (its connection is gone from the configuration, say) stays closed and says so;
 * the others are not touched. */
static void load_flow(struct engine *engine, const char *name, const struct gate_row *row)
{
    struct err err = ERR_INIT;
    struct instance_options options = engine_instance_options(engine, &engine->rules);
    struct flow *flow = engine_add_flow(engine, name);
    struct release *release = release_restore(engine, RELEASE_FLOW, name, row->live, &err);
    struct instance *instance = release ? instance_new(release, &options, &err) : NULL;
    flow_set_gate(flow, row->is_on);
    flow_set_trip(flow, &row->trip);
    if (instance)
        flow_switch(flow, instance);
    else
        log_error("flow %s: its release %.12s cannot be loaded, so it takes no events: %s", name, row->live, err.text);
}

static void load_kind(struct engine *engine, enum release_kind kind,
                      void (*load)(struct engine *, const char *, const struct gate_row *))
{
    struct names names = {NULL, 0};
    struct store_key prefix = STORE_KEY_INIT;
    store_key_add_text(&prefix, release_kind_name(kind));
    store_scan(engine->store, TABLE_GATES, store_key_slice(&prefix), SLICE_NONE, collect_name, &names);
    for (size_t i = 0; i < names.count; i++) {
        struct gate_row row;
        if (gate_read(engine, kind, names.list[i], &row))
            load(engine, names.list[i], &row);
        free(names.list[i]);
    }
    free(names.list);
}

void engine_load_missing(struct engine *engine)
{
    for (size_t i = 0; i < engine->flow_count; i++) {
        struct gate_row row;
        const char *name = flow_name(engine->flows[i]);
        if (!flow_live(engine->flows[i]) && gate_read(engine, RELEASE_FLOW, name, &row) && row.live[0])
            load_flow(engine, name, &row);
    }
}

void engine_load_released(struct engine *engine)
{
    load_kind(engine, RELEASE_RULE, load_rule);
    load_kind(engine, RELEASE_FLOW, load_flow);
}
