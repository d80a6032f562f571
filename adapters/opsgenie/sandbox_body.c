/* sandbox_body.c - is this a body that OpsGenie would take?
 *
 * One row a field: what it is, how long, for which actions.  Lengths are in UTF-16 units, as a Java
 * server counts them.  A field that the action does not know is refused here, though OpsGenie may
 * let it pass: what it ignores was a mistake of the sender. */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"

#include <ctype.h>

#define MASK(action) (1u << (action))
/* user, source and note go with every action but the three that replace a field */
#define WHO ((MASK(ACTION_COUNT) - 1) & ~(MASK(ACTION_PRIORITY) | MASK(ACTION_MESSAGE) | MASK(ACTION_DESCRIPTION)))

enum kind { TEXT, PRIORITY, TEXTS, DETAILS, TARGETS, TARGET, MOMENT };

static const struct field {
    const char *name;
    enum kind kind;
    size_t limit;      /* UTF-16 units of a text, or of all details; items of a list */
    size_t item_limit; /* UTF-16 units of an item of TEXTS */
    unsigned actions;  /* where it may stand */
    unsigned needed;   /* where it must stand, and not empty */
} fields[] = {
    {"message", TEXT, 130, 0, MASK(ACTION_CREATE) | MASK(ACTION_MESSAGE), MASK(ACTION_CREATE) | MASK(ACTION_MESSAGE)},
    {"alias", TEXT, 512, 0, MASK(ACTION_CREATE), 0},
    {"description", TEXT, 15000, 0, MASK(ACTION_CREATE) | MASK(ACTION_DESCRIPTION), MASK(ACTION_DESCRIPTION)},
    {"responders", TARGETS, 50, 0, MASK(ACTION_CREATE), 0},
    {"visibleTo", TARGETS, 50, 0, MASK(ACTION_CREATE), 0},
    {"actions", TEXTS, 10, 50, MASK(ACTION_CREATE), 0},
    {"tags", TEXTS, 20, 50, MASK(ACTION_CREATE) | MASK(ACTION_ADD_TAGS), MASK(ACTION_ADD_TAGS)},
    {"details", DETAILS, 8000, 0, MASK(ACTION_CREATE) | MASK(ACTION_ADD_DETAILS), MASK(ACTION_ADD_DETAILS)},
    {"entity", TEXT, 512, 0, MASK(ACTION_CREATE), 0},
    {"priority", PRIORITY, 2, 0, MASK(ACTION_CREATE) | MASK(ACTION_PRIORITY), MASK(ACTION_PRIORITY)},
    {"endTime", MOMENT, 0, 0, MASK(ACTION_SNOOZE), MASK(ACTION_SNOOZE)},
    {"owner", TARGET, 0, 0, MASK(ACTION_ASSIGN), MASK(ACTION_ASSIGN)},
    {"escalation", TARGET, 0, 0, MASK(ACTION_ESCALATE), MASK(ACTION_ESCALATE)},
    {"responder", TARGET, 0, 0, MASK(ACTION_RESPONDER), MASK(ACTION_RESPONDER)},
    {"user", TEXT, 100, 0, WHO, 0},
    {"source", TEXT, 100, 0, WHO, 0},
    {"note", TEXT, 25000, 0, WHO, MASK(ACTION_NOTE)},
};
#define FIELD_COUNT (sizeof fields / sizeof *fields)

static size_t utf16_units(const json_t *text)
{
    const char *bytes = json_string_value(text);
    size_t units = 0;
    for (size_t i = 0; i < json_string_length(text); i++) {
        unsigned char c = (unsigned char)bytes[i];
        units += (c & 0xc0) != 0x80; /* the start of a character */
        units += c >= 0xf0;          /* beyond the first plane: a pair */
    }
    return units;
}

static bool is_blank(const json_t *text)
{
    const char *bytes = json_string_value(text);
    for (size_t i = 0; i < json_string_length(text); i++)
        if (!isspace((unsigned char)bytes[i]))
            return false;
    return true;
}

static json_t *check_text(const struct field *field, const json_t *value, bool is_needed)
{
    if (!json_is_string(value))
        return json_string("should be a string");
    if (is_needed && is_blank(value))
        return json_string("can not be empty");
    if (utf16_units(value) > field->limit)
        return json_sprintf("should not be longer than %d characters", (int)field->limit);
    return NULL;
}

static json_t *check_priority(const json_t *value)
{
    const char *text = json_string_value(value);
    bool is_good = text && strlen(text) == 2 && text[0] == 'P' && text[1] >= '1' && text[1] <= '5';
    return is_good ? NULL : json_string("should be one of [ P1, P2, P3, P4, P5 ]");
}

static json_t *check_texts(const struct field *field, const json_t *value)
{
    if (!json_is_array(value))
        return json_string("should be an array of strings");
    if (json_array_size(value) > field->limit)
        return json_sprintf("should not have more than %d items", (int)field->limit);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_string(item) || is_blank(item))
            return json_string("should be an array of strings that are not empty");
        if (utf16_units(item) > field->item_limit)
            return json_sprintf("should not have items longer than %d characters", (int)field->item_limit);
    }
    return NULL;
}

static json_t *check_details(const struct field *field, const json_t *value)
{
    const char *key;
    json_t *item;
    size_t units = 0;
    if (!json_is_object(value))
        return json_string("should be an object of strings");
    json_object_foreach((json_t *)value, key, item) {
        if (!json_is_string(item))
            return json_sprintf("the value of '%s' should be a string", key);
        json_t *name = json_string(key);
        units += utf16_units(name) + utf16_units(item);
        json_decref(name);
    }
    if (units > field->limit)
        return json_sprintf("should not be longer than %d characters in total", (int)field->limit);
    return NULL;
}

static json_t *check_target(const json_t *target, bool is_responder)
{
    const char *type = json_string_value(json_object_get(target, "type"));
    bool is_user = type && strcmp(type, "user") == 0;
    bool is_known = is_user || (type && strcmp(type, "team") == 0)
                    || (is_responder && type && (strcmp(type, "escalation") == 0 || strcmp(type, "schedule") == 0));
    const json_t *name = json_object_get(target, is_user ? "username" : "name");
    const json_t *id = json_object_get(target, "id");
    if (!is_known)
        return json_sprintf("type should be one of [ %s ]",
                            is_responder ? "team, user, escalation, schedule" : "team, user");
    if ((!json_is_string(name) || is_blank(name)) && (!json_is_string(id) || is_blank(id)))
        return json_sprintf("id or %s should be given", is_user ? "username" : "name");
    return NULL;
}

static json_t *check_targets(const struct field *field, const json_t *value)
{
    if (!json_is_array(value))
        return json_string("should be an array of objects");
    if (json_array_size(value) > field->limit)
        return json_sprintf("should not have more than %d items", (int)field->limit);
    json_t *wrong = NULL;
    for (size_t i = 0; i < json_array_size(value) && !wrong; i++)
        wrong = check_target(json_array_get(value, i), strcmp(field->name, "responders") == 0);
    return wrong;
}

/* One person or team, of a type that the field's name tells where the value may leave it out. */
static json_t *check_one(const struct field *field, const json_t *value)
{
    bool is_owner = strcmp(field->name, "owner") == 0, is_escalation = strcmp(field->name, "escalation") == 0;
    const char *type = is_owner ? "user" : "escalation", *said = json_string_value(json_object_get(value, "type"));
    if (!json_is_object(value))
        return json_string("should be an object");
    if (!is_owner && !is_escalation)
        return check_target(value, true);
    if (said && strcmp(said, type) != 0)
        return json_sprintf("type should be %s", type);
    json_t *typed = json_copy((json_t *)value);
    json_object_set_new(typed, "type", json_string(type));
    json_t *wrong = check_target(typed, true);
    json_decref(typed);
    return wrong;
}

static json_t *check_moment(const json_t *value)
{
    int64_t ms;
    if (!json_is_string(value) || !clock_parse(json_string_value(value), json_string_length(value), &ms))
        return json_string("should be a date and time such as 2026-11-22T10:00:00Z");
    return ms > clock_now_ms() ? NULL : json_string("should be in the future");
}

static json_t *check_field(const struct field *field, const json_t *value, bool is_needed)
{
    switch (field->kind) {
    case TEXT: return check_text(field, value, is_needed);
    case PRIORITY: return check_priority(value);
    case TEXTS: return check_texts(field, value);
    case DETAILS: return check_details(field, value);
    case TARGETS: return check_targets(field, value);
    case TARGET: return check_one(field, value);
    case MOMENT: return check_moment(value);
    }
    return NULL;
}

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0)
           || (json_is_object(value) && json_object_size(value) == 0);
}

static void check_known(unsigned action, const json_t *body, json_t *errors)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value) {
        bool is_known = false;
        for (size_t i = 0; i < FIELD_COUNT && !is_known; i++)
            is_known = strcmp(fields[i].name, key) == 0 && (fields[i].actions & action);
        if (!is_known)
            json_object_set_new(errors, key, json_string("is not a field of this request"));
    }
}

bool sandbox_body_check(enum sandbox_action action, const json_t *body, json_t *errors)
{
    check_known(MASK(action), body, errors);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!(fields[i].actions & MASK(action)))
            continue;
        const json_t *value = json_object_get(body, fields[i].name);
        bool is_needed = fields[i].needed & MASK(action);
        json_t *wrong = NULL;
        if (is_empty(value) && is_needed)
            wrong = json_string("can not be empty");
        else if (value && !json_is_null(value))
            wrong = check_field(&fields[i], value, is_needed);
        if (wrong)
            json_object_set_new(errors, fields[i].name, wrong);
    }
    return json_object_size(errors) == 0;
}
