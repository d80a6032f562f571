/* held.c - GET /v1/held: what needs a person */
#include "core/admin/internal.h"

#include "core/store/held.h"

#include <stdlib.h>

#define LIST_MOST 1000

struct listing {
    json_t *list;
    const char *flow, *connection; /* NULL: any */
    size_t most;
    size_t total; /* that match */
};

static json_t *summary(struct slice key, struct slice row)
{
    json_t *json = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "held", (json_int_t)store_key_number(key),
                             "at", (json_int_t)record_get_integer(row, "at", 0), "kind", json_of_field(row, "kind"),
                             "flow", json_of_field(row, "flow"), "key", json_of_field(row, "key"), "event_id",
                             json_of_field(row, "event_id"), "release", json_of_field(row, "release"), "reason",
                             json_of_field(row, "reason"));
    if (slice_is(record_get(row, "kind"), "effect")) {
        json_object_set_new(json, "connection", json_of_field(row, "connection"));
        json_object_set_new(json, "verb", json_of_field(row, "verb"));
        json_object_set_new(json, "verdict", json_of_field(row, "verdict"));
        json_object_set_new(json, "effect_id", json_of_field(row, "effect_id"));
    }
    json_object_set_new(json, "attempts", json_integer(record_get_integer(row, "attempts", 0)));
    return json;
}

static bool add_row(void *context, struct slice key, struct slice row)
{
    struct listing *listing = context;
    if ((listing->flow && !slice_is(record_get(row, "flow"), listing->flow))
        || (listing->connection && !slice_is(record_get(row, "connection"), listing->connection)))
        return true;
    if (++listing->total <= listing->most)
        json_array_append_new(listing->list, summary(key, row));
    return true;
}

void answer_held(struct admin *admin, struct request *request)
{
    const char *limit = request_query(request, "limit");
    size_t most = limit ? strtoul(limit, NULL, 10) : 100;
    struct listing listing = {json_array(), request_query(request, "flow"), request_query(request, "connection"),
                              most < LIST_MOST ? most : LIST_MOST, 0};
    store_scan(engine_store(admin->engine), TABLE_HELD, SLICE_NONE, SLICE_NONE, add_row, &listing);
    reply_json(request, 200, json_pack("{s:I, s:o}", "total", (json_int_t)listing.total, "held", listing.list));
}

/* Record fields as JSON: texts as texts, JSON as what it is, numbers as numbers. */
static json_t *record_json(struct slice record)
{
    json_t *json = json_object();
    struct field field;
    for (size_t at = 0; record_next(record, &at, &field);) {
        char name[256];
        json_t *value = NULL;
        struct slice one = {field.name.data - 1, 6 + field.name.size + field.value.size};
        memcpy(name, field.name.data, field.name.size);
        name[field.name.size] = '\0';
        if (field.kind == RECORD_INTEGER)
            value = json_integer(record_get_integer(one, name, 0));
        else if (field.kind == RECORD_BOOLEAN)
            value = json_boolean(record_get_boolean(one, name, false));
        else if (field.kind == RECORD_JSON)
            value = json_loadb(field.value.data, field.value.size, JSON_DECODE_ANY, NULL);
        json_object_set_new(json, name, value ? value : json_of(field.value));
    }
    return json;
}

void answer_held_one(struct admin *admin, struct request *request, uint64_t number)
{
    struct slice row;
    char bytes[8];
    if (!held_get(engine_held(admin->engine), number, &row)) {
        reply_error(request, 404, "nothing is held as %llu", (unsigned long long)number);
        return;
    }
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(number >> (8 * (7 - i)));
    json_t *json = summary((struct slice){bytes, 8}, row);
    struct slice item = record_get(row, "item");
    json_object_set_new(json, "detail", json_of_field(row, "detail"));
    if (slice_is(record_get(row, "kind"), "event"))
        json_object_set_new(json, "event", record_json(record_get(item, "event")));
    else
        json_object_set_new(json, "effect", record_json(record_get(item, "fields")));
    reply_json(request, 200, json);
}
