/* held.c - what a person decides about one held thing: back to work, given up, or edited first
 *
 *      retry      held row gone, inbox row (event) or outbox row (effect, same id), audit row       then it runs again
 *      discard    held row gone, counted; an effect's receipt says who gave it up and why           audit row
 *      edit       the row again: item as edited, `original` as it was at first, by whom and why     audit row
 *
 * Each is one change.  Until it is on disk its number is `settling`, and nobody else can decide about it; so an event
 * cannot run twice because two people were looking at it.  All that match a filter: recovery.c. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define EDITED_MAX ((size_t)256 << 20)

/* A decision that is on its way to the disk. */
struct deciding {
    struct engine *engine;
    engine_done done;
    void *context;
    uint64_t number;
    char text[300];
};

static struct slice number_slice(const uint64_t *number)
{
    return (struct slice){(const char *)number, sizeof *number};
}

bool held_is_settling(struct engine *engine, uint64_t number)
{
    return map_get(&engine->settling, number_slice(&number)) != NULL;
}

void held_settled(struct engine *engine, uint64_t number)
{
    map_remove(&engine->settling, number_slice(&number));
}

/* Whatever it was that went back to work: the look costs nothing, and this is no hot path. */
void held_wake(struct engine *engine)
{
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_wake(engine->flows[i]);
    for (size_t i = 0; i < engine->connection_count; i++)
        lane_wake(engine->connections[i]->lane);
}

static char *text_of(struct slice row, const char *name)
{
    return mem_copy(record_get(row, name));
}

/* ---- back to work --------------------------------------------------------------------------------- */

static bool retry_event(struct engine *engine, struct change *change, struct slice row, bool keeps_release,
                        struct err *err)
{
    char *name = text_of(row, "flow"), *key = text_of(row, "key"), *release = text_of(row, "release");
    struct flow *flow = engine_flow(engine, name);
    bool ok = flow != NULL || err_set(err, "flow %s is not here any more", name);
    if (ok && keeps_release)
        ok = flow_recall(flow, release, err) != NULL;
    if (ok)
        flow_retry(flow, change, record_get(row, "item"), key, keeps_release ? slice_of(release) : SLICE_NONE);
    free(name);
    free(key);
    free(release);
    return ok;
}

static bool retry_effect(struct engine *engine, struct change *change, struct slice row, struct err *err)
{
    char *name = text_of(row, "connection");
    struct connection *to = engine_connection(engine, name);
    bool ok = to != NULL || err_set(err, "connection %s is not in %s any more", name, engine->config->path);
    ok = ok
         && lane_retry_edited(to->lane, change, record_get(row, "item"), (uint64_t)record_get_integer(row, "number", 0),
                              err);
    free(name);
    return ok;
}

/* ---- given up ---------------------------------------------------------------------------------------- */

/* An effect's receipt is the proof that it was refused, by whom and why.  What belongs to a flow or connection that is
 * not here any more is counted all the same. */
static void discard(struct engine *engine, struct change *change, struct slice row, const struct author *author)
{
    bool is_event = slice_is(record_get(row, "kind"), "event");
    char *name = text_of(row, is_event ? "flow" : "connection");
    char text[500], counter[NAME_MAX_BYTES + 32];
    struct flow *flow = is_event ? engine_flow(engine, name) : NULL;
    struct connection *connection = is_event ? NULL : engine_connection(engine, name);
    snprintf(text, sizeof text, "discarded by %s: %s", author->who, author->why);
    snprintf(counter, sizeof counter, is_event ? "flow.%s.discarded" : "lane.%s.refused", name);
    if (flow)
        flow_discard(flow, change, row, text);
    else if (connection)
        lane_refuse_effect(connection->lane, change, row, text);
    else
        change_count(change, counter, 1);
    free(name);
}

bool held_settle(struct engine *engine, struct change *change, uint64_t number, struct slice row,
                 enum held_decision decision, const struct author *author, struct err *err)
{
    bool is_event = slice_is(record_get(row, "kind"), "event");
    bool ok = true;
    if (decision == HELD_DISCARD)
        discard(engine, change, row, author);
    else if (is_event)
        ok = retry_event(engine, change, row, decision == HELD_RETRY_AS_IT_WAS, err);
    else
        ok = retry_effect(engine, change, row, err);
    if (!ok)
        return false;
    map_put(&engine->settling, number_slice(&number), engine);
    held_remove(change, number);
    return true;
}

/* ---- one of them ---------------------------------------------------------------------------------------- */

/* The row of the number, or an answer that there is none, or that somebody settles it just now: what is not yet on disk
 * must not be done a second time. */
static bool find_held(struct engine *engine, uint64_t number, struct slice *row, engine_done done, void *context)
{
    char text[200];
    bool is_settling = held_is_settling(engine, number);
    if (!is_settling && held_get(&engine->held, number, row))
        return true;
    if (is_settling)
        snprintf(text, sizeof text, "somebody is just deciding about held %" PRIu64, number);
    else
        snprintf(text, sizeof text, "nothing is held as %" PRIu64 "; `headgate held` lists what is", number);
    done(context, false, text);
    return false;
}

static struct deciding *deciding_new(struct engine *engine, uint64_t number, engine_done done, void *context)
{
    struct deciding *deciding = mem_zero(sizeof *deciding);
    *deciding = (struct deciding){.engine = engine, .done = done, .context = context, .number = number};
    return deciding;
}

static void on_committed(void *context)
{
    struct deciding *deciding = context;
    held_settled(deciding->engine, deciding->number);
    held_wake(deciding->engine);
    log_info("%s", deciding->text);
    deciding->done(deciding->context, true, deciding->text);
    free(deciding);
}

static void give_up(struct deciding *deciding, struct change *change, const struct err *err)
{
    snprintf(deciding->text, sizeof deciding->text, "held %" PRIu64 " stays held: %.200s", deciding->number, err->text);
    deciding->done(deciding->context, false, deciding->text);
    change_drop(change);
    free(deciding);
}

static const char *decision_words(enum held_decision decision)
{
    return decision == HELD_DISCARD           ? "is discarded"
           : decision == HELD_RETRY_AS_IT_WAS ? "goes back to work under the release that it had"
                                              : "goes back to work";
}

void engine_decide_held(struct engine *engine, uint64_t number, enum held_decision decision,
                        const struct author *author, engine_done done, void *context)
{
    struct slice row;
    struct err err = ERR_INIT;
    char subject[32];
    if (!find_held(engine, number, &row, done, context))
        return;
    struct deciding *deciding = deciding_new(engine, number, done, context);
    struct change *change = change_new(on_committed, deciding);
    char *reason = text_of(row, "reason");
    if (held_settle(engine, change, number, row, decision, author, &err)) {
        snprintf(subject, sizeof subject, "%" PRIu64, number);
        audit_write(engine, change, author, decision == HELD_DISCARD ? "held discard" : "held retry", subject, reason);
        snprintf(deciding->text, sizeof deciding->text, "held %" PRIu64 " %s, by %s: %s", number,
                 decision_words(decision), author->who, author->why);
        store_commit(engine->store, change);
    } else {
        give_up(deciding, change, &err);
    }
    free(reason);
}

/* ---- edited ------------------------------------------------------------------------------------------------ */

static const struct held_edit *edit_of(const struct held_edit *edits, struct slice name)
{
    while (edits->name && !slice_is(name, edits->name))
        edits++;
    return edits->name ? edits : NULL;
}

/* The value in the field's own kind. */
static bool add_edited(struct buf *record, const char *name, enum record_kind kind, struct slice value, struct err *err)
{
    char *text = mem_copy(value), *end = text;
    json_t *json = NULL;
    bool ok = true;
    switch (kind) {
    case RECORD_TEXT: record_add_text(record, name, value); break;
    case RECORD_INTEGER:
        record_add_integer(record, name, strtoll(text, &end, 10));
        ok = (end != text && !*end) || err_set(err, "%s: expected an integer", name);
        break;
    case RECORD_BOOLEAN:
        record_add_boolean(record, name, strcmp(text, "true") == 0);
        ok =
            strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || err_set(err, "%s: expected true or false", name);
        break;
    case RECORD_JSON:
        json = json_loadb(value.data, value.size, JSON_DECODE_ANY, NULL);
        record_add(record, name, RECORD_JSON, value);
        ok = json != NULL || err_set(err, "%s: expected JSON", name);
        json_decref(json);
        break;
    default: ok = err_set(err, "%s cannot be edited", name); break;
    }
    free(text);
    return ok;
}

static bool knows_all(struct slice record, const struct held_edit *edits, struct err *err)
{
    for (; edits->name; edits++) {
        if (record_has(record, edits->name))
            continue;
        struct buf names = BUF_INIT(1000);
        struct field field;
        for (size_t at = 0; record_next(record, &at, &field);)
            buf_addf(&names, "%s%.*s", names.size ? ", " : "", SLICE_ARG(field.name));
        err_set(err, "it has no field %s; it has %s", edits->name, names.data);
        buf_clear(&names);
        return false;
    }
    return true;
}

/* The record with the fields changed.  An event's body that was too large is not, any more. */
static bool edit_record(struct slice record, const struct held_edit *edits, struct buf *out, struct err *err)
{
    struct field field;
    if (!knows_all(record, edits, err))
        return false;
    for (size_t at = 0; record_next(record, &at, &field);) {
        char *name = mem_copy(field.name);
        const struct held_edit *edit = edit_of(edits, field.name);
        bool ok = true;
        if (edit)
            ok = add_edited(out, name, field.kind, edit->value, err);
        else if (strcmp(name, "oversize") != 0)
            record_add(out, name, field.kind, field.value);
        free(name);
        if (!ok)
            return false;
    }
    return true;
}

/* The item with its inner record (an event's "event", an effect's "fields") edited. */
static bool edit_item(struct slice item, bool is_event, const struct held_edit *edits, struct buf *out, struct err *err)
{
    const char *inner_name = is_event ? "event" : "fields";
    struct buf inner = BUF_INIT(EDITED_MAX);
    struct field field;
    bool ok = edit_record(record_get(item, inner_name), edits, &inner, err);
    for (size_t at = 0; ok && record_next(item, &at, &field);) {
        char *name = mem_copy(field.name);
        record_add(out, name, field.kind, strcmp(name, inner_name) == 0 ? buf_slice(&inner) : field.value);
        free(name);
    }
    buf_clear(&inner);
    return ok;
}

static bool is_of_an_edit(struct slice name)
{
    return slice_is(name, "item") || slice_is(name, "original") || slice_is(name, "edited_at")
           || slice_is(name, "edited_by") || slice_is(name, "edited_why");
}

static bool edit_row(struct slice row, const struct held_edit *edits, const struct author *author, struct buf *out,
                     struct err *err)
{
    struct slice item = record_get(row, "item");
    struct buf edited = BUF_INIT(EDITED_MAX);
    struct field field;
    if (!edit_item(item, slice_is(record_get(row, "kind"), "event"), edits, &edited, err)) {
        buf_clear(&edited);
        return false;
    }
    for (size_t at = 0; record_next(row, &at, &field);) {
        char *name = mem_copy(field.name);
        if (!is_of_an_edit(field.name))
            record_add(out, name, field.kind, field.value);
        free(name);
    }
    record_add_integer(out, "edited_at", clock_now_ms());
    record_add_text(out, "edited_by", slice_of(author->who));
    record_add_text(out, "edited_why", slice_of(author->why));
    record_add_text(out, "original", record_has(row, "original") ? record_get(row, "original") : item);
    bool fits = record_add_text(out, "item", buf_slice(&edited)) && !edited.is_over;
    buf_clear(&edited);
    return fits || err_set(err, "it is too large");
}

static void name_fields(const struct held_edit *edits, struct buf *names)
{
    for (; edits->name; edits++)
        buf_addf(names, "%s%s", names->size ? ", " : "", edits->name);
}

void engine_edit_held(struct engine *engine, uint64_t number, const struct held_edit *edits,
                      const struct author *author, engine_done done, void *context)
{
    struct slice row;
    struct err err = ERR_INIT;
    char subject[32];
    if (!find_held(engine, number, &row, done, context))
        return;
    struct deciding *deciding = deciding_new(engine, number, done, context);
    struct change *change = change_new(on_committed, deciding);
    struct buf edited = BUF_INIT(EDITED_MAX), names = BUF_INIT(1000);
    if (edit_row(row, edits, author, &edited, &err)) {
        snprintf(subject, sizeof subject, "%" PRIu64, number);
        name_fields(edits, &names);
        held_put(change, number, buf_slice(&edited));
        map_put(&engine->settling, number_slice(&number), engine);
        audit_write(engine, change, author, "held edit", subject, names.data);
        snprintf(deciding->text, sizeof deciding->text, "held %" PRIu64 " is edited (%s), by %s: %s; it stays held",
                 number, names.data, author->who, author->why);
        store_commit(engine->store, change);
    } else {
        give_up(deciding, change, &err);
    }
    buf_clear(&edited);
    buf_clear(&names);
}
