/* sandbox_act.c - what each action does to an alert of the simulated OpsGenie
 *
 * A closed alert can no longer be acknowledged, snoozed, assigned or escalated; notes, tags and the
 * like may still be added. */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"

#include <stdlib.h>

const char *sandbox_act_who(const json_t *body)
{
    const char *user = json_string_value(json_object_get(body, "user"));
    return user && *user ? user : "API";
}

static const char *close_alert(struct sandbox_alert *alert, json_t *body)
{
    if (!alert->is_open)
        return NULL;
    alert->is_open = false;
    alert->closed_ms = clock_now_ms();
    alert->closed_by = mem_text(sandbox_act_who(body));
    return "Closed alert";
}

static const char *acknowledge(struct sandbox_alert *alert, json_t *body)
{
    if (!alert->is_open)
        return NULL;
    if (!alert->is_acknowledged) {
        free(alert->acknowledged_by);
        alert->acknowledged_by = mem_text(sandbox_act_who(body));
        alert->acknowledged_ms = clock_now_ms();
        if (!alert->owner)
            alert->owner = mem_text(sandbox_act_who(body));
    }
    alert->is_acknowledged = true;
    return "Acknowledged alert";
}

static const char *unacknowledge(struct sandbox_alert *alert)
{
    if (!alert->is_open)
        return NULL;
    alert->is_acknowledged = false;
    return "Unacknowledged alert";
}

static bool has_tag(const json_t *tags, const char *tag)
{
    for (size_t i = 0; i < json_array_size(tags); i++)
        if (strcmp(json_string_value(json_array_get(tags, i)), tag) == 0)
            return true;
    return false;
}

static const char *change_tags(struct sandbox_alert *alert, json_t *body, bool is_adding)
{
    json_t *asked = json_object_get(body, "tags"), *old = json_object_get(alert->said, "tags"), *tags = json_array();
    for (size_t i = 0; i < json_array_size(old); i++)
        if (is_adding || !has_tag(asked, json_string_value(json_array_get(old, i))))
            json_array_append(tags, json_array_get(old, i));
    for (size_t i = 0; is_adding && i < json_array_size(asked); i++)
        if (!has_tag(tags, json_string_value(json_array_get(asked, i))))
            json_array_append(tags, json_array_get(asked, i));
    json_object_set_new(alert->said, "tags", tags);
    return is_adding ? "Added tags" : "Removed tags";
}

static const char *change_details(struct sandbox_alert *alert, json_t *body, bool is_adding)
{
    json_t *details = json_object_get(alert->said, "details");
    json_t *keys = json_object_get(body, "keys");
    if (is_adding)
        json_object_update(details, json_object_get(body, "details"));
    for (size_t i = 0; !is_adding && i < json_array_size(keys); i++)
        json_object_del(details, json_string_value(json_array_get(keys, i)));
    return is_adding ? "Added details" : "Removed details";
}

static const char *change_text(struct sandbox_alert *alert, json_t *body, const char *name)
{
    json_object_set(alert->said, name, json_object_get(body, name));
    return "Updated alert";
}

static const char *snooze(struct sandbox_alert *alert, json_t *body)
{
    const json_t *end = json_object_get(body, "endTime");
    if (!alert->is_open)
        return NULL;
    clock_parse(json_string_value(end), json_string_length(end), &alert->snoozed_until_ms);
    return "Snoozed alert";
}

static const char *assign(struct sandbox_alert *alert, json_t *body)
{
    const json_t *owner = json_object_get(body, "owner");
    const char *name = json_string_value(json_object_get(owner, "username"));
    if (!alert->is_open)
        return NULL;
    free(alert->owner);
    alert->owner = mem_text(name ? name : json_string_value(json_object_get(owner, "id")));
    return "Assigned alert";
}

static const char *escalate(struct sandbox_alert *alert)
{
    if (!alert->is_open)
        return NULL;
    alert->escalations++;
    return "Escalated alert";
}

static const char *add_responder(struct sandbox_alert *alert, json_t *body)
{
    json_array_append(json_object_get(alert->said, "responders"), json_object_get(body, "responder"));
    return "Added responder";
}

const char *sandbox_act(enum sandbox_action action, struct sandbox_alert *alert, json_t *body)
{
    switch (action) {
    case ACTION_CLOSE: return close_alert(alert, body);
    case ACTION_ACKNOWLEDGE: return acknowledge(alert, body);
    case ACTION_UNACKNOWLEDGE: return unacknowledge(alert);
    case ACTION_NOTE: return "Added note";
    case ACTION_ADD_DETAILS: return change_details(alert, body, true);
    case ACTION_REMOVE_DETAILS: return change_details(alert, body, false);
    case ACTION_ADD_TAGS: return change_tags(alert, body, true);
    case ACTION_REMOVE_TAGS: return change_tags(alert, body, false);
    case ACTION_PRIORITY: return change_text(alert, body, "priority");
    case ACTION_MESSAGE: return change_text(alert, body, "message");
    case ACTION_DESCRIPTION: return change_text(alert, body, "description");
    case ACTION_SNOOZE: return snooze(alert, body);
    case ACTION_ASSIGN: return assign(alert, body);
    case ACTION_ESCALATE: return escalate(alert);
    case ACTION_RESPONDER: return add_responder(alert, body);
    default: return NULL; /* create and delete are the caller's */
    }
}
