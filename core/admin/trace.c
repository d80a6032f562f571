/* trace.c - GET /v1/trace?key=K: the last events of a key, what was decided and why, what became of the effects */
#include "core/admin/internal.h"

#include "core/lane/effect.h"

#include <stdlib.h>

struct tracing {
    struct admin *admin;
    json_t *runs;
};

/* Of an effect that has no receipt: it waits in the outbox, perhaps after attempts. */
struct searching {
    struct store *store;
    const char *id;
    json_t *effect;
};

static bool look_at_row(void *context, struct slice key, struct slice row)
{
    struct searching *searching = context;
    struct slice attempts;
    if (!slice_is(record_get(row, "id"), searching->id))
        return true;
    json_object_set_new(searching->effect, "state", json_string("waiting"));
    if (store_get(searching->store, TABLE_ATTEMPTS, key, &attempts)) {
        json_object_set_new(searching->effect, "state", json_of_field(attempts, "state"));
        json_object_set_new(searching->effect, "attempts", json_integer(record_get_integer(attempts, "count", 0)));
        json_object_set_new(searching->effect, "due", json_integer(record_get_integer(attempts, "due_ms", 0)));
        json_object_set_new(searching->effect, "text", json_of_field(attempts, "text"));
    }
    return false;
}

static void add_receipt(struct store *store, json_t *effect)
{
    const char *id = json_string_value(json_object_get(effect, "id"));
    const char *connection = json_string_value(json_object_get(effect, "connection"));
    struct slice receipt;
    int64_t expires_ms;
    if (!id || !connection)
        return;
    if (store_get_until(store, TABLE_RECEIPTS, slice_of(id), &expires_ms, &receipt)) {
        json_object_set_new(effect, "state", json_of_field(receipt, "outcome"));
        json_object_set_new(effect, "at", json_integer(record_get_integer(receipt, "at", 0)));
        json_object_set_new(effect, "attempts", json_integer(record_get_integer(receipt, "attempts", 0)));
        json_object_set_new(effect, "text", json_of_field(receipt, "text"));
        if (record_has(receipt, "held"))
            json_object_set_new(effect, "held", json_integer(record_get_integer(receipt, "held", 0)));
        return;
    }
    struct store_key prefix = STORE_KEY_INIT;
    struct searching searching = {store, id, effect};
    store_key_add_text(&prefix, connection);
    json_object_set_new(effect, "state", json_string("unknown to the store (its receipt has expired)"));
    store_scan(store, TABLE_OUTBOX, store_key_slice(&prefix), SLICE_NONE, look_at_row, &searching);
}

static bool add_flow(void *context, struct slice key, struct slice row)
{
    struct tracing *tracing = context;
    const char *flow = key.data + strlen(key.data) + 1;
    struct slice item;
    for (size_t at = 0; store_list_next(row, &at, &item);) {
        json_t *run = json_loadb(item.data, item.size, 0, NULL), *effect;
        size_t i;
        if (!run)
            continue;
        json_object_set_new(run, "flow", json_string(flow));
        json_array_foreach(json_object_get(run, "effects"), i, effect)
            add_receipt(engine_store(tracing->admin->engine), effect);
        json_array_append_new(tracing->runs, run);
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "at"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "at"));
    return x < y ? -1 : x > y;
}

static json_t *sorted(json_t *runs)
{
    size_t count = json_array_size(runs);
    json_t **list = mem_new((count ? count : 1) * sizeof *list);
    json_t *result = json_array();
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(runs, i);
    qsort(list, count, sizeof *list, by_time);
    for (size_t i = 0; i < count; i++)
        json_array_append(result, list[i]);
    free(list);
    json_decref(runs);
    return result;
}

void answer_trace(struct admin *admin, struct request *request)
{
    const char *key = request_query(request, "key");
    if (!key || !key[0] || strlen(key) > KEY_MAX_BYTES) {
        reply_error(request, 400, "which key? /v1/trace?key=...");
        return;
    }
    struct tracing tracing = {admin, json_array()};
    struct store_key prefix = STORE_KEY_INIT;
    store_key_add_text(&prefix, key);
    store_scan(engine_store(admin->engine), TABLE_TRAILS, store_key_slice(&prefix), SLICE_NONE, add_flow, &tracing);
    reply_json(request, 200, json_pack("{s:s, s:o}", "key", key, "runs", sorted(tracing.runs)));
}
