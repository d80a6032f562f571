/* held.c - GET /v1/held: what needs a person, listed, grouped, or one of it whole
 *
 * There may be very many: they are gone through on a worker thread, in a picture of the store. */
#include "core/admin/internal.h"

#include "core/store/held.h"

#include <stdlib.h>

#define LIST_MOST 1000
#define GROUPS_MOST 500 /* different reasons; what is beyond them is counted together */

/* Held things that look alike. */
struct group {
    json_t *first;             /* summary of the first of them */
    size_t count;              /* of them */
    int64_t first_ms, last_ms; /* when the first and the last of them became held */
};

struct listing {
    struct engine *engine;
    struct request *request;
    struct picture *picture;
    struct held_filter filter; /* lent by the request, which lives until it is answered */
    size_t most, total;        /* listed at most; that match */
    json_t *list;
    bool is_grouped;
    struct group groups[GROUPS_MOST];
    size_t group_count;
    size_t others; /* of more groups than that */
    uv_work_t work;
};

static json_t *summary(uint64_t number, struct slice row)
{
    json_t *json = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "held", (json_int_t)number, "at",
                             (json_int_t)record_get_integer(row, "at", 0), "kind", json_of_field(row, "kind"), "flow",
                             json_of_field(row, "flow"), "key", json_of_field(row, "key"), "event_id",
                             json_of_field(row, "event_id"), "release", json_of_field(row, "release"), "reason",
                             json_of_field(row, "reason"), "edited", record_has(row, "original"));
    if (slice_is(record_get(row, "kind"), "effect")) {
        json_object_set_new(json, "connection", json_of_field(row, "connection"));
        json_object_set_new(json, "verb", json_of_field(row, "verb"));
        json_object_set_new(json, "verdict", json_of_field(row, "verdict"));
        json_object_set_new(json, "effect_id", json_of_field(row, "effect_id"));
    }
    json_object_set_new(json, "attempts", json_integer(record_get_integer(row, "attempts", 0)));
    return json;
}

/* ---- many ---------------------------------------------------------------------------------------------- */

static bool looks_alike(const json_t *a, const json_t *b)
{
    static const char *const names[] = {"kind", "flow", "connection", "verb", "verdict", "reason"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *x = json_object_get(a, names[i]), *y = json_object_get(b, names[i]);
        if ((x || y) && !json_equal(x, y))
            return false;
    }
    return true;
}

/* Takes the summary. */
static void add_to_group(struct listing *listing, json_t *one)
{
    size_t i = 0;
    while (i < listing->group_count && !looks_alike(listing->groups[i].first, one))
        i++;
    struct group *group = &listing->groups[i < GROUPS_MOST ? i : 0];
    int64_t at_ms = json_integer_value(json_object_get(one, "at"));
    if (i == GROUPS_MOST) {
        listing->others++;
    } else if (i == listing->group_count) {
        listing->group_count++;
        *group = (struct group){json_incref(one), 1, at_ms, at_ms};
    } else {
        group->count++;
        group->last_ms = at_ms;
    }
    json_decref(one);
}

static bool add_row(void *context, struct slice key, struct slice row)
{
    struct listing *listing = context;
    uint64_t number = store_key_number(key);
    if (!held_matches(&listing->filter, number, row))
        return true;
    listing->total++;
    if (listing->is_grouped)
        add_to_group(listing, summary(number, row));
    else if (listing->total <= listing->most)
        json_array_append_new(listing->list, summary(number, row));
    return true;
}

static int by_count(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return x->count > y->count ? -1 : x->count < y->count;
}

static void list_groups(struct listing *listing)
{
    qsort(listing->groups, listing->group_count, sizeof listing->groups[0], by_count);
    for (size_t i = 0; i < listing->group_count; i++) {
        struct group *group = &listing->groups[i];
        json_object_del(group->first, "key");
        json_object_del(group->first, "event_id");
        json_object_del(group->first, "effect_id");
        json_object_set_new(group->first, "count", json_integer((json_int_t)group->count));
        json_object_set_new(group->first, "first_at", json_integer(group->first_ms));
        json_object_set_new(group->first, "last_at", json_integer(group->last_ms));
        json_array_append_new(listing->list, group->first);
    }
}

static void list(uv_work_t *work)
{
    struct listing *listing = work->data;
    picture_scan(listing->picture, TABLE_HELD, SLICE_NONE, add_row, listing);
    if (listing->is_grouped)
        list_groups(listing);
}

static void on_listed(uv_work_t *work, int status)
{
    struct listing *listing = work->data;
    (void)status;
    reply_json(listing->request, 200,
               json_pack("{s:I, s:o, s:I}", "total", (json_int_t)listing->total,
                         listing->is_grouped ? "groups" : "held", listing->list, "others",
                         (json_int_t)listing->others));
    picture_close(listing->picture);
    free(listing);
}

void answer_held(struct admin *admin, struct request *request)
{
    const char *limit = request_query(request, "limit"), *grouped = request_query(request, "group");
    size_t most = limit ? strtoul(limit, NULL, 10) : 100;
    struct err err = ERR_INIT;
    struct held_filter filter;
    if (!filter_of_query(request, &filter, &err)) {
        reply_error(request, 400, "%s", err.text);
        return;
    }
    struct picture *picture = picture_open(engine_store(admin->engine), &err);
    if (!picture) {
        reply_error(request, 500, "%s", err.text);
        return;
    }
    struct listing *listing = mem_zero(sizeof *listing);
    listing->engine = admin->engine;
    listing->request = request;
    listing->picture = picture;
    listing->filter = filter;
    listing->most = most < LIST_MOST ? most : LIST_MOST;
    listing->is_grouped = grouped && grouped[0];
    listing->list = json_array();
    listing->work.data = listing;
    uv_queue_work(engine_loop(admin->engine), &listing->work, list, on_listed);
}

/* ---- one of them ------------------------------------------------------------------------------------------- */

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

static json_t *thing_json(struct slice row, struct slice item)
{
    return record_json(record_get(item, slice_is(record_get(row, "kind"), "event") ? "event" : "fields"));
}

/* What is known of an effect that may have arrived, and whatever else its lane noted. */
static void add_known(json_t *json, struct slice row)
{
    static const char *const texts[] = {"last_reply", "phase"};
    static const char *const numbers[] = {"bytes_sent", "bytes_total", "sent_at", "asked_at"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (record_has(row, texts[i]))
            json_object_set_new(json, texts[i], json_of_field(row, texts[i]));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (record_has(row, numbers[i]))
            json_object_set_new(json, numbers[i], json_integer(record_get_integer(row, numbers[i], 0)));
}

void answer_held_one(struct admin *admin, struct request *request, uint64_t number)
{
    struct slice row;
    if (!held_get(engine_held(admin->engine), number, &row)) {
        reply_error(request, 404, "nothing is held as %llu; `headgate held` lists what is", (unsigned long long)number);
        return;
    }
    json_t *json = summary(number, row);
    const char *name = slice_is(record_get(row, "kind"), "event") ? "event" : "effect";
    json_object_set_new(json, "detail", json_of_field(row, "detail"));
    add_known(json, row);
    json_object_set_new(json, name, thing_json(row, record_get(row, "item")));
    if (record_has(row, "original")) {
        json_object_set_new(json, "original", thing_json(row, record_get(row, "original")));
        json_object_set_new(json, "edited_at", json_integer(record_get_integer(row, "edited_at", 0)));
        json_object_set_new(json, "edited_by", json_of_field(row, "edited_by"));
        json_object_set_new(json, "edited_why", json_of_field(row, "edited_why"));
    }
    reply_json(request, 200, json);
}
