/* kept.c - GET /v1/timers and /v1/state: what flows keep between their runs, as it is on disk */
#include "core/admin/internal.h"

#include "core/base/clock.h"

#include <endian.h>
#include <stdlib.h>

#define LIST_MOST 1000

struct listing {
    json_t *list;
    size_t most;
    bool has_more;
};

static size_t limit_of(const struct request *request)
{
    const char *limit = request_query(request, "limit");
    size_t most = limit ? strtoul(limit, NULL, 10) : 100;
    return most < LIST_MOST ? most : LIST_MOST;
}

static json_t *value_of(struct slice json)
{
    json_t *value = json.size ? json_loadb(json.data, json.size, JSON_DECODE_ANY, NULL) : NULL;
    return value ? value : json_null();
}

static bool is_full(struct listing *listing)
{
    listing->has_more = json_array_size(listing->list) >= listing->most;
    return listing->has_more;
}

/* ---- timers ----------------------------------------------------------------------------------------- */

static bool add_timer(void *context, struct slice key, struct slice row)
{
    struct listing *listing = context;
    const char *name = key.data + strlen(key.data) + 1 + 8;
    struct slice carried = record_get(row, "carried");
    if (is_full(listing))
        return false;
    json_array_append_new(listing->list,
                          json_pack("{s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:I}", "flow", key.data, "name",
                                    json_of((struct slice){name, key.size - (size_t)(name - key.data)}), "due",
                                    (json_int_t)store_key_number((struct slice){name - 8, 8}), "step",
                                    json_of_field(carried, "continues_at"), "key", json_of_field(carried, "key"),
                                    "event_id", json_of_field(carried, "id"), "data", value_of(record_get(row, "data")),
                                    "set_at", (json_int_t)record_get_integer(row, "set_ms", 0)));
    return true;
}

static bool is_flow(struct admin *admin, struct request *request, const char *name)
{
    if (engine_flow(admin->engine, name))
        return true;
    reply_error(request, 404, "there is no flow %.100s; `headgate status` lists them", name);
    return false;
}

void answer_timers(struct admin *admin, struct request *request)
{
    const char *name = request_query(request, "flow");
    struct listing listing = {.most = limit_of(request)};
    struct store_key prefix = STORE_KEY_INIT;
    json_int_t total = 0;
    struct flow *flow;
    if (name && !is_flow(admin, request, name))
        return;
    for (size_t i = 0; (flow = engine_flow_at(admin->engine, i)); i++) {
        struct flow_view view;
        flow_look(flow, &view);
        total += !name || strcmp(view.name, name) == 0 ? (json_int_t)view.timers : 0;
    }
    if (name)
        store_key_add_text(&prefix, name);
    listing.list = json_array();
    store_scan(engine_store(admin->engine), TABLE_TIMERS, store_key_slice(&prefix), SLICE_NONE, add_timer, &listing);
    reply_json(request, 200, json_pack("{s:I, s:o}", "total", total, "timers", listing.list));
}

/* ---- state ------------------------------------------------------------------------------------------- */

static bool add_state(void *context, struct slice key, struct slice value)
{
    struct listing *listing = context;
    size_t prefix = strlen(key.data) + 1;
    uint64_t expiry;
    if (is_full(listing))
        return false;
    memcpy(&expiry, value.data, sizeof expiry);
    int64_t expires_ms = (int64_t)be64toh(expiry);
    if (expires_ms <= clock_now_ms())
        return true;
    json_t *json = json_pack("{s:o, s:o}", "key", json_of((struct slice){key.data + prefix, key.size - prefix}),
                             "value", value_of((struct slice){value.data + sizeof expiry, value.size - sizeof expiry}));
    if (expires_ms != INT64_MAX)
        json_object_set_new(json, "expires", json_integer(expires_ms));
    json_array_append_new(listing->list, json);
    return true;
}

/* All keys that begin with `key`, so that a whole one finds itself first. */
void answer_state(struct admin *admin, struct request *request)
{
    const char *name = request_query(request, "flow"), *key = request_query(request, "key");
    struct listing listing = {.most = limit_of(request)};
    struct store_key prefix = STORE_KEY_INIT;
    if (!name) {
        reply_error(request, 400, "of which flow? /v1/state?flow=...");
        return;
    }
    if (key && strlen(key) > KEY_MAX_BYTES) {
        reply_error(request, 400, "a key has at most %d bytes", KEY_MAX_BYTES);
        return;
    }
    if (!is_flow(admin, request, name))
        return;
    store_key_add_text(&prefix, name);
    store_key_add(&prefix, slice_of(key ? key : ""));
    listing.list = json_array();
    store_scan(engine_store(admin->engine), TABLE_STATE, store_key_slice(&prefix), SLICE_NONE, add_state, &listing);
    reply_json(request, 200,
               json_pack("{s:s, s:o, s:b}", "flow", name, "state", listing.list, "has_more", listing.has_more));
}
