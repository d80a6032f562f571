/* trace.c - GET /v1/trace?key=K: the last events of a key, what was decided and why, what became of the effects */
#include "core/admin/internal.h"

#include "core/base/utf8.h"
#include "core/lane/effect.h"

#include <stdlib.h>

struct tracing {
    struct admin *admin;
    json_t *runs;
};

static void add_field(json_t *effect, struct slice record, const char *name)
{
    if (record_has(record, name))
        json_object_set_new(effect, name, json_integer(record_get_integer(record, name, 0)));
}

/* It waits in the outbox, perhaps after attempts. */
static bool add_waiting(struct store *store, json_t *effect, struct slice key)
{
    struct slice row, attempts;
    if (!store_get(store, TABLE_OUTBOX, key, &row))
        return false;
    json_object_set_new(effect, "id", json_of_field(row, "id"));
    json_object_set_new(effect, "state", json_string("waiting"));
    if (store_get(store, TABLE_ATTEMPTS, key, &attempts)) {
        json_object_set_new(effect, "state", json_of_field(attempts, "state"));
        json_object_set_new(effect, "attempts", json_integer(record_get_integer(attempts, "count", 0)));
        json_object_set_new(effect, "due", json_integer(record_get_integer(attempts, "due_ms", 0)));
        json_object_set_new(effect, "text", json_of_field(attempts, "text"));
    }
    return true;
}

/* ["mail", "send", 17] of the trail, with what became of it; a retry has another number, which is followed. */
json_t *trace_effect(struct store *store, json_t *asked)
{
    const char *connection = json_string_value(json_array_get(asked, 0));
    uint64_t number = (uint64_t)json_integer_value(json_array_get(asked, 2));
    json_t *effect = json_pack("{s:s, s:O, s:s, s:s}", "connection", connection, "verb", json_array_get(asked, 1), "id",
                               "", "state", "forgotten: its receipt has expired");
    if (json_array_size(asked) > 3) { /* a list, which is no effect itself */
        char text[200];
        snprintf(text, sizeof text, "campaign %.100s, %lld recipients", json_string_value(json_array_get(asked, 3)),
                 (long long)json_integer_value(json_array_get(asked, 4)));
        json_object_set_new(effect, "state", json_string("handed over"));
        json_object_set_new(effect, "text", json_of(slice_of(text)));
        return effect;
    }
    for (int retries = 0; retries < 100; retries++) {
        struct store_key key = effect_key(connection, number);
        struct slice receipt;
        int64_t expires_ms;
        if (add_waiting(store, effect, store_key_slice(&key))
            || !store_get_until(store, TABLE_RECEIPTS, store_key_slice(&key), &expires_ms, &receipt))
            break;
        if (record_has(receipt, "number")) {
            number = (uint64_t)record_get_integer(receipt, "number", 0);
            continue;
        }
        json_object_set_new(effect, "id", json_of_field(receipt, "id"));
        json_object_set_new(effect, "state", json_of_field(receipt, "outcome"));
        json_object_set_new(effect, "text", json_of_field(receipt, "text"));
        add_field(effect, receipt, "at");
        add_field(effect, receipt, "attempts");
        add_field(effect, receipt, "held");
        break;
    }
    return effect;
}

static bool add_flow(void *context, struct slice key, struct slice row)
{
    struct tracing *tracing = context;
    const char *flow = key.data + strlen(key.data) + 1;
    struct slice item;
    for (size_t at = 0; store_list_next(row, &at, &item);) {
        json_t *run = json_loadb(item.data, item.size, 0, NULL), *asked, *effects = json_array();
        size_t i;
        if (!run)
            continue;
        json_object_set_new(run, "flow", json_string(flow));
        json_array_foreach(json_object_get(run, "effects"), i, asked)
            json_array_append_new(effects, trace_effect(engine_store(tracing->admin->engine), asked));
        json_object_set_new(run, "effects", effects);
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
    if (!key || !key[0] || strlen(key) > KEY_MAX_BYTES || !utf8_is_valid(slice_of(key))) {
        reply_error(request, 400, "which key? /v1/trace?key=...");
        return;
    }
    struct tracing tracing = {admin, json_array()};
    struct store_key prefix = STORE_KEY_INIT;
    store_key_add_text(&prefix, key);
    store_scan(engine_store(admin->engine), TABLE_TRAILS, store_key_slice(&prefix), SLICE_NONE, add_flow, &tracing);
    reply_json(
        request, 200,
        json_pack("{s:s, s:o, s:o}", "key", key, "runs", sorted(tracing.runs), "written", written_to(admin, key)));
}
