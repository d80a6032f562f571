/* body.c - from a flow's fields to the members of a request's body
 *
 * A page that loses metadata is better than no page: what is too long is cut, what is too much is
 * left out, and `notes` says so.  What would reach nobody, or refuse the whole alert, is refused at
 * once, in the flow's step.
 *
 * Lengths are counted in UTF-16 units, the strictest reading of "characters": the far side is
 * written in Java. */
#include "adapters/opsgenie/opsgenie.h"
#include "core/base/utf8.h"

#include <stdio.h>

#define DETAILS_MOST 8000 /* units of all keys and values together */
#define PEOPLE_MOST 50
#define BODY_LIMIT (1 << 20)

/* Texts and lists of texts: how they are called in the request, and how long they may be. */
static const struct limit {
    const char *field, *member;
    size_t most;  /* UTF-16 units of a text */
    size_t items; /* of a list; 0: it is a text */
} limits[] = {{"message", "message", 130, 0}, {"description", "description", 15000, 0},
              {"priority", "priority", 2, 0}, {"entity", "entity", 512, 0},
              {"user", "user", 100, 0},       {"source", "source", 100, 0},
              {"note", "note", 25000, 0},     {"tags", "tags", 50, 20},
              {"actions", "actions", 50, 10}, {"keys", "keys", DETAILS_MOST, 100}};

/* One person or team: how the field is called, and which type they are where the flow need not say. */
static const struct who {
    const char *field, *type; /* NULL: the flow says it */
} whos[] = {{"escalation", "escalation"}, {"owner", "user"}, {"responder", NULL}};

/* ---- texts ------------------------------------------------------------------------------------- */

static size_t units_of(struct slice text)
{
    size_t units = 0;
    for (size_t at = 0; at < text.size;) {
        size_t length = utf8_length(text.data + at, text.size - at);
        units += length == 4 ? 2 : 1;
        at += length ? length : 1;
    }
    return units;
}

bool opsgenie_cut(struct buf *out, struct slice text, size_t most)
{
    if (units_of(text) <= most) {
        buf_add_slice(out, text);
        return false;
    }
    size_t at = 0, units = 1; /* of the ellipsis */
    while (at < text.size) {
        size_t length = utf8_length(text.data + at, text.size - at);
        units += length == 4 ? 2 : 1;
        if (units > most)
            break;
        at += length ? length : 1;
    }
    buf_add(out, text.data, at);
    buf_add_text(out, "\xe2\x80\xa6");
    return true;
}

static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!strchr(" \t\r\n", text.data[i]) || !text.data[i])
            return false;
    return true;
}

static void note_that(struct buf *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note_that(struct buf *notes, const char *format, ...)
{
    va_list args;
    if (notes->size)
        buf_add_text(notes, "; ");
    va_start(args, format);
    buf_addv(notes, format, args);
    va_end(args);
}

/* ---- members of the body ------------------------------------------------------------------------ */

static json_t *cut_text(struct slice text, const char *field, size_t most, struct buf *notes)
{
    struct buf cut = BUF_INIT(BODY_LIMIT);
    if (opsgenie_cut(&cut, text, most))
        note_that(notes, "%s was cut to %zu characters", field, most);
    json_t *json = json_stringn(cut.data ? cut.data : "", cut.size);
    buf_clear(&cut);
    return json;
}

static bool add_text(json_t *body, const struct limit *limit, struct slice text, bool is_required, struct buf *notes,
                     struct err *err)
{
    if (is_blank(text))
        return !is_required || err_set(err, "`%s` is empty", limit->field);
    return json_object_set_new(body, limit->member, cut_text(text, limit->field, limit->most, notes)) == 0
           || err_set(err, "`%s` is not UTF-8", limit->field);
}

/* Numbers and booleans as a text; false for what has parts. */
static bool scalar_text(const json_t *value, struct buf *text)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return buf_add(text, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: return buf_addf(text, "%lld", (long long)json_integer_value(value));
    case JSON_TRUE: return buf_add_text(text, "true");
    case JSON_FALSE: return buf_add_text(text, "false");
    case JSON_REAL: break;
    default: return false;
    }
    char number[40];
    for (int digits = 15; digits <= 17; digits++) { /* the fewest that say the same number */
        snprintf(number, sizeof number, "%.*g", digits, json_real_value(value));
        if (strtod(number, NULL) == json_real_value(value))
            break;
    }
    return buf_add_text(text, number);
}

static bool add_list(json_t *body, const struct limit *limit, const json_t *list, bool is_required, struct buf *notes,
                     struct err *err)
{
    json_t *texts = json_array();
    bool ok = json_is_array(list) || json_object_size(list) == 0 /* Lua's {} */
              || err_set(err, "`%s` must be a list", limit->field);
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item) {
        struct buf text = BUF_INIT(BODY_LIMIT);
        ok = ok && (scalar_text(item, &text) || err_set(err, "`%s` takes only texts", limit->field));
        if (ok && !is_blank(buf_slice(&text)) && json_array_size(texts) < limit->items)
            json_array_append_new(texts, cut_text(buf_slice(&text), limit->field, limit->most, notes));
        buf_clear(&text);
    }
    if (json_array_size(list) > limit->items)
        note_that(notes, "%zu of the %s were left out", json_array_size(list) - limit->items, limit->field);
    if (ok && is_required && json_array_size(texts) == 0)
        ok = err_set(err, "`%s` is empty", limit->field);
    if (ok && json_array_size(texts))
        json_object_set(body, limit->member, texts);
    json_decref(texts);
    return ok;
}

static size_t details_units(json_t *details, const char **largest)
{
    size_t sum = 0, most = 0;
    const char *key;
    json_t *value;
    json_object_foreach(details, key, value) {
        size_t units = units_of((struct slice){json_string_value(value), json_string_length(value)});
        if (units >= most) {
            most = units;
            *largest = key;
        }
        sum += units + units_of(slice_of(key));
    }
    return sum;
}

static bool fill_details(json_t *details, const json_t *given, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, key, value) {
        if (json_is_null(value))
            continue;
        struct buf text = BUF_INIT(BODY_LIMIT);
        bool ok = scalar_text(value, &text)
                  || err_set(err, "`details.%s` is a table: OpsGenie takes only names and texts there", key);
        if (ok)
            json_object_set_new(details, key, json_stringn(text.data ? text.data : "", text.size));
        buf_clear(&text);
        if (!ok)
            return false;
    }
    return true;
}

static bool add_details(json_t *body, const json_t *given, bool is_required, struct buf *notes, struct err *err)
{
    json_t *details = json_object();
    bool ok = json_is_object(given) || json_array_size(given) == 0
              || err_set(err, "`details` must be a table of names and values");
    ok = ok && fill_details(details, given, err);
    const char *largest = NULL;
    while (ok && details_units(details, &largest) > DETAILS_MOST) {
        note_that(notes, "details.%s was left out, the details are too large", largest);
        json_object_del(details, largest);
    }
    if (ok && is_required && json_object_size(details) == 0)
        ok = err_set(err, "`details` is empty");
    if (ok && json_object_size(details))
        json_object_set(body, "details", details);
    json_decref(details);
    return ok;
}

static bool is_one_of(const char *text, const char *choices)
{
    const char *found = text && *text && !strchr(text, '|') ? strstr(choices, text) : NULL;
    size_t size = text ? strlen(text) : 0;
    return found && (found == choices || found[-1] == '|') && (found[size] == '|' || found[size] == '\0');
}

static bool person_is_good(const json_t *person, const char *field, const char *types, struct err *err)
{
    const char *type = json_string_value(json_object_get(person, "type"));
    if (!is_one_of(type, types))
        return err_set(err, "`%s` takes entries with a `type` that is one of %s", field, types);
    const char *names = strcmp(type, "user") == 0 ? "id|username" : "id|name";
    const char *key;
    json_t *value;
    bool has_name = false;
    json_object_foreach((json_t *)(uintptr_t)person, key, value) {
        if (strcmp(key, "type") == 0)
            continue;
        if (!is_one_of(key, names) || !json_string_length(value))
            return err_set(err, "`%s`: a %s is named by one of %s, not `%s`", field, type, names, key);
        has_name = true;
    }
    return has_name || err_set(err, "`%s`: a %s needs one of %s", field, type, names);
}

static bool add_people(json_t *body, const char *field, const json_t *given, struct buf *notes, struct err *err)
{
    bool is_responders = strcmp(field, "responders") == 0;
    if (!json_is_array(given))
        return json_object_size(given) == 0 || err_set(err, "`%s` must be a list", field);
    json_t *people = json_array();
    bool ok = true;
    size_t index;
    json_t *person;
    json_array_foreach(given, index, person) {
        if (json_is_object(person) && json_object_size(person) == 0)
            continue; /* OpsGenie would refuse the whole alert for it */
        ok = ok && person_is_good(person, field, is_responders ? "team|user|escalation|schedule" : "team|user", err);
        if (ok && json_array_size(people) < PEOPLE_MOST)
            json_array_append(people, person);
        else if (ok)
            note_that(notes, "one of the %s was left out", field);
    }
    if (ok && json_array_size(people))
        json_object_set(body, is_responders ? "responders" : "visibleTo", people);
    json_decref(people);
    return ok;
}

/* A name alone will do where only one type is possible. */
static bool add_person(json_t *body, const struct who *who, const json_t *given, struct slice name, struct err *err)
{
    json_t *person = json_is_object(given) ? json_copy((json_t *)(uintptr_t)given) : json_object();
    if (!json_is_object(given) && who->type)
        json_object_set_new(person, strcmp(who->type, "user") == 0 ? "username" : "name",
                            json_stringn(name.data ? name.data : "", name.size));
    if (who->type)
        json_object_set_new(person, "type", json_string(who->type));
    bool ok = person_is_good(person, who->field, who->type ? who->type : "team|user|escalation|schedule", err);
    if (ok)
        json_object_set(body, who->field, person);
    json_decref(person);
    return ok;
}

/* ---- all of them ------------------------------------------------------------------------------------- */

static const struct limit *limit_of(const char *field)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strcmp(limits[i].field, field) == 0)
            return &limits[i];
    return NULL;
}

static const struct who *who_of(const char *field)
{
    for (size_t i = 0; i < sizeof whos / sizeof whos[0]; i++)
        if (strcmp(whos[i].field, field) == 0)
            return &whos[i];
    return NULL;
}

bool opsgenie_body_add(json_t *body, const struct option *option, struct slice value, struct buf *notes,
                       struct err *err)
{
    const struct limit *limit = limit_of(option->name);
    const struct who *who = who_of(option->name);
    if (limit && !limit->items)
        return add_text(body, limit, value, option->is_required, notes, err);
    json_t *json = json_loadb(value.data ? value.data : "", value.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool ok;
    if (who)
        ok = add_person(body, who, json, value, err);
    else if (!json)
        ok = err_set(err, "`%s` is not a table", option->name);
    else if (limit)
        ok = add_list(body, limit, json, option->is_required, notes, err);
    else if (strcmp(option->name, "details") == 0)
        ok = add_details(body, json, option->is_required, notes, err);
    else
        ok = add_people(body, option->name, json, notes, err);
    json_decref(json);
    return ok;
}

/* Cutting an alias would merge alerts that have nothing to do with each other. */
bool opsgenie_check_name(const char *field, struct slice name, size_t most, struct err *err)
{
    if (is_blank(name))
        return err_set(err,
                       strcmp(field, "alias") == 0
                           ? "`%s` is empty: without it OpsGenie cannot recognise a repeat, and people are called "
                             "twice; build it from what the alert is about"
                           : "`%s` is empty",
                       field);
    if (units_of(name) > most)
        return err_set(err, "`%s` has %zu characters, OpsGenie takes %zu", field, units_of(name), most);
    if (slice_is(name, ".") || slice_is(name, ".."))
        return err_set(err, "`%s` may not be \".\" or \"..\": it is a part of a path", field);
    return utf8_is_valid(name) || err_set(err, "`%s` is not UTF-8", field);
}
