/* sandbox_ops.c - the API of Jira Service Management Operations, with OpsGenie's alerts behind it
 *
 *     an alert is named by its id; GET alerts/alias?alias=... finds an open one
 *     details are called extraProperties; people and teams have ids, no names
 *     close, acknowledge and unacknowledge take no body; updates are PATCH; DELETE has a body
 *     a note is there at once (200); all else is asynchronous, as in OpsGenie's own
 *
 * A body becomes one of OpsGenie's own and is checked as such. */
#include "adapters/opsgenie/sandbox_api.h"

#include <stdio.h>
#include <stdlib.h>

/* What the body of each action may have; NULL: there is none. */
static const char *members_of(enum sandbox_action action)
{
    switch (action) {
    case ACTION_CREATE:
        return "|message|alias|description|responders|visibleTo|actions|tags|extraProperties|entity|source|priority|"
               "note|";
    case ACTION_SNOOZE: return "|endTime|";
    case ACTION_NOTE: return "|note|";
    case ACTION_ADD_TAGS:
    case ACTION_REMOVE_TAGS: return "|tags|";
    case ACTION_ADD_DETAILS: return "|extraProperties|";
    case ACTION_REMOVE_DETAILS: return "|keys|";
    case ACTION_PRIORITY: return "|priority|";
    case ACTION_MESSAGE: return "|message|";
    case ACTION_DESCRIPTION: return "|description|";
    case ACTION_ASSIGN: return "|accountId|";
    case ACTION_ESCALATE: return "|escalationId|";
    case ACTION_RESPONDER: return "|id|type|";
    default: return NULL;
    }
}

static bool check_members(enum sandbox_action action, const json_t *body, json_t *errors)
{
    const char *members = members_of(action), *name;
    json_t *value;
    char word[100];
    json_object_foreach((json_t *)body, name, value) {
        snprintf(word, sizeof word, "|%.90s|", name);
        if (!members || !strstr(members, word))
            json_object_set_new(errors, name, json_string("is not a field of this request"));
    }
    return json_object_size(errors) == 0;
}

/* Who is named by a name is not known here. */
static bool check_ids(const json_t *people, json_t *errors)
{
    for (size_t i = 0; i < json_array_size(people); i++) {
        const json_t *who = json_array_get(people, i);
        if (!json_is_string(json_object_get(who, "id")) || json_object_size(who) != 2)
            json_object_set_new(errors, "responders", json_string("should have id and type"));
    }
    return json_object_size(errors) == 0;
}

/* The same in the words of OpsGenie's own API. */
static void translate(enum sandbox_action action, json_t *body)
{
    json_t *value;
    if ((value = json_object_get(body, "extraProperties"))) {
        json_object_set(body, "details", value);
        json_object_del(body, "extraProperties");
    }
    if (action == ACTION_ASSIGN || action == ACTION_ESCALATE) {
        bool is_assign = action == ACTION_ASSIGN;
        value = json_object_get(body, is_assign ? "accountId" : "escalationId");
        json_object_set_new(body, is_assign ? "owner" : "escalation", json_pack("{s:O?}", "id", value));
        json_object_del(body, is_assign ? "accountId" : "escalationId");
    }
    if (action == ACTION_RESPONDER) {
        value = json_copy(body);
        json_object_clear(body);
        json_object_set_new(body, "responder", value);
    }
}

/* Removing says `tags` or `keys`, which the check of OpsGenie's own bodies does not know: there they are in the query.
 */
static bool check_removal(const json_t *body, json_t *errors)
{
    const char *name = json_object_get(body, "keys") ? "keys" : "tags";
    if (json_array_size(json_object_get(body, name)) == 0)
        json_object_set_new(errors, name, json_string("can not be empty"));
    return json_object_size(errors) == 0;
}

static json_t *take_body(struct sandbox_call *call, enum sandbox_action action)
{
    json_t *body = sandbox_write_take_body(call, action), *errors = json_object();
    bool is_removal = action == ACTION_REMOVE_TAGS || action == ACTION_REMOVE_DETAILS;
    bool ok = body && check_members(action, body, errors) && check_ids(json_object_get(body, "responders"), errors);
    if (ok)
        translate(action, body);
    ok = ok && (is_removal ? check_removal(body, errors) : sandbox_body_check(action, body, errors));
    if (body && !ok) {
        sandbox_api_refuse_fields(call, errors);
        json_decref(body);
    }
    json_decref(errors);
    return ok ? body : NULL;
}

static void run_write(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    json_t *body = take_body(call, route->action);
    if (body)
        sandbox_write_accept(call, route->action, BY_ID, segments[0] ? segments[0] : "", body);
    json_decref(body);
}

static void run_note(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    json_t *body = take_body(call, route->action);
    struct sandbox_outcome outcome = {0};
    if (!body)
        return;
    sandbox_alerts_apply(call->account->alerts, ACTION_NOTE, BY_ID, segments[0], body, &outcome);
    sandbox_hooks_tell(call->account->hooks, ACTION_NOTE, &outcome, body);
    free(outcome.alias);
    if (outcome.is_success)
        sandbox_api_data(call, json_pack("{s:s, s:O}", "id", call->id, "note", json_object_get(body, "note")));
    else
        sandbox_api_refuse(call, 404, "Alert does not exist");
    json_decref(body);
}

json_t *sandbox_ops_alert(json_t *shown)
{
    json_object_set(shown, "extraProperties", json_object_get(shown, "details"));
    json_object_del(shown, "details");
    json_object_set(shown, "lastOccuredAt", json_object_get(shown, "lastOccurredAt")); /* spelt so by the real one */
    json_object_del(shown, "lastOccurredAt");
    return shown;
}

static void run_alias(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    (void)segments;
    const char *alias = request_query(call->request, "alias");
    const struct sandbox_alert *alert = sandbox_alerts_find(call->account->alerts, BY_ALIAS, alias ? alias : "");
    if (alert && alert->is_open)
        sandbox_api_data(call, sandbox_ops_alert(sandbox_alerts_show(alert, false)));
    else
        sandbox_api_refuse(call, 404, "Alert does not exist");
}

static void run_notes(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    const struct sandbox_alert *alert = sandbox_alerts_find(call->account->alerts, BY_ID, segments[0]);
    if (alert)
        sandbox_api_data(call, json_pack("{s:O, s:{}}", "values", alert->notes, "links"));
    else
        sandbox_api_refuse(call, 404, "Alert does not exist");
}

const struct sandbox_route sandbox_ops_routes[] = {
    {"POST", "alerts", DOMAIN_ALERT, ACTION_CREATE, run_write, false},
    {"GET", "alerts", DOMAIN_SEARCH, ACTION_COUNT, sandbox_read_list, false},
    {"GET", "alerts/alias", DOMAIN_ALERT, ACTION_COUNT, run_alias, false},
    {"GET", "alerts/requests/*", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_status, false},
    {"GET", "alerts/*", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_get, false},
    {"DELETE", "alerts/*", DOMAIN_ALERT, ACTION_DELETE, run_write, false},
    {"POST", "alerts/*/close", DOMAIN_ALERT, ACTION_CLOSE, run_write, false},
    {"POST", "alerts/*/acknowledge", DOMAIN_ALERT, ACTION_ACKNOWLEDGE, run_write, false},
    {"POST", "alerts/*/unacknowledge", DOMAIN_ALERT, ACTION_UNACKNOWLEDGE, run_write, false},
    {"POST", "alerts/*/snooze", DOMAIN_ALERT, ACTION_SNOOZE, run_write, false},
    {"POST", "alerts/*/assign", DOMAIN_ALERT, ACTION_ASSIGN, run_write, false},
    {"POST", "alerts/*/escalate", DOMAIN_ALERT, ACTION_ESCALATE, run_write, false},
    {"POST", "alerts/*/responders", DOMAIN_ALERT, ACTION_RESPONDER, run_write, false},
    {"POST", "alerts/*/notes", DOMAIN_ALERT, ACTION_NOTE, run_note, false},
    {"GET", "alerts/*/notes", DOMAIN_ALERT, ACTION_COUNT, run_notes, false},
    {"POST", "alerts/*/extra-properties", DOMAIN_ALERT, ACTION_ADD_DETAILS, run_write, false},
    {"DELETE", "alerts/*/extra-properties", DOMAIN_ALERT, ACTION_REMOVE_DETAILS, run_write, false},
    {"POST", "alerts/*/tags", DOMAIN_ALERT, ACTION_ADD_TAGS, run_write, false},
    {"DELETE", "alerts/*/tags", DOMAIN_ALERT, ACTION_REMOVE_TAGS, run_write, false},
    {"PATCH", "alerts/*/priority", DOMAIN_ALERT, ACTION_PRIORITY, run_write, false},
    {"PATCH", "alerts/*/message", DOMAIN_ALERT, ACTION_MESSAGE, run_write, false},
    {"PATCH", "alerts/*/description", DOMAIN_ALERT, ACTION_DESCRIPTION, run_write, false},
    {"GET", "teams/*/heartbeats", DOMAIN_HEARTBEAT, ACTION_COUNT, sandbox_beat_list_ops, false},
    {"GET", "teams/*/heartbeats/ping", DOMAIN_HEARTBEAT, ACTION_COUNT, sandbox_beat_ping_ops, false},
};
const size_t sandbox_ops_route_count = sizeof sandbox_ops_routes / sizeof *sandbox_ops_routes;
