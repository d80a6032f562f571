/* request.c - method, path and body of every request, in each dialect
 *
 * What a flow asked for is stored in the words of OpsGenie's own API.  `jsm-events` takes the same,
 * and knows four verbs.  `jsm-ops` has other shapes:
 *
 *     an alert is named by its id only: who has an alias asks for the id first
 *     people and teams are named by id: `ids` of the connection says which id a name has
 *     details are called extraProperties, updates are PATCH, a DELETE has a body
 *     an action has no note, user or source: a note goes by a request of its own
 *
 * Sources: the vendor's OpenAPI description (github.com/opsgenie/opsgenie-oas) and the REST reference
 * "Jira Service Management ops" (developer.atlassian.com/cloud/jira/service-desk-ops). */
#include "adapters/opsgenie/opsgenie.h"

#include <stdlib.h>

#define QUERY_NOTE_MOST 1000 /* of a note in a URL; servers take URLs of about 8000 bytes */

static const struct route {
    const char *verb, *method, *action; /* of OpsGenie's own; action: below the alert */
    bool is_event;                      /* jsm-events knows it */
    const char *ops_method;             /* of jsm-ops; NULL: the same */
    const char *ops_action;             /* likewise */
    const char *ops_members;            /* what its body has of ours; "": it has none */
} routes[] = {
    {"create", "POST", NULL, true, NULL, NULL,
     "message|alias|description|responders|visibleTo|actions|tags|details|entity|source|priority|note"},
    {"close", "POST", "/close", true, NULL, NULL, ""},
    {"acknowledge", "POST", "/acknowledge", true, NULL, NULL, ""},
    {"unacknowledge", "POST", "/unacknowledge", false, NULL, NULL, ""},
    {"snooze", "POST", "/snooze", false, NULL, NULL, "endTime"},
    {"add_note", "POST", "/notes", true, NULL, NULL, "note"},
    {"add_tags", "POST", "/tags", false, NULL, NULL, "tags"},
    {"remove_tags", "DELETE", "/tags", false, NULL, NULL, "tags"},
    {"add_details", "POST", "/details", false, NULL, "/extra-properties", "details"},
    {"remove_details", "DELETE", "/details", false, NULL, "/extra-properties", "keys"},
    {"set_priority", "PUT", "/priority", false, "PATCH", NULL, "priority"},
    {"set_message", "PUT", "/message", false, "PATCH", NULL, "message"},
    {"set_description", "PUT", "/description", false, "PATCH", NULL, "description"},
    {"assign", "POST", "/assign", false, NULL, NULL, "owner"},
    {"escalate", "POST", "/escalate", false, NULL, NULL, "escalation"},
    {"add_responder", "POST", "/responders", false, NULL, NULL, "responder"},
    {"ping", "GET", NULL, false, NULL, NULL, ""},
};

static const struct route *route_of(const struct verb *verb)
{
    const struct route *route = routes;
    while (strcmp(route->verb, verb->name) != 0)
        route++;
    return route;
}

void opsgenie_request_clear(struct opsgenie_request *request)
{
    buf_clear(&request->path);
    buf_clear(&request->body);
}

enum opsgenie_dialect opsgenie_dialect(const struct settings *settings)
{
    const char *text = settings ? settings_text(settings, "dialect") : NULL;
    if (text && strcmp(text, "jsm-ops") == 0)
        return OPSGENIE_OPS;
    return text && strcmp(text, "jsm-events") == 0 ? OPSGENIE_EVENTS : OPSGENIE_V2;
}

static bool put_body(struct opsgenie_request *request, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    bool ok = text && buf_add_text(&request->body, text);
    free(text);
    return ok;
}

/* ---- OpsGenie's own shapes ------------------------------------------------------------------------------ */

/* A DELETE says in its query what others say in their body.  Its lists are joined by commas. */
static bool put_query(struct opsgenie_request *request, json_t *body, struct err *err)
{
    const char *member;
    json_t *value;
    json_object_foreach(body, member, value) {
        struct buf text = BUF_INIT(100000);
        for (size_t i = 0; i < json_array_size(value); i++) {
            const char *item = json_string_value(json_array_get(value, i));
            if (strchr(item, ',')) {
                buf_clear(&text);
                return err_set(err, "`%s`: \"%s\" has a comma, and OpsGenie splits there", member, item);
            }
            buf_addf(&text, "%s%s", i ? "," : "", item);
        }
        if (json_is_string(value))
            opsgenie_cut(&text, (struct slice){json_string_value(value), json_string_length(value)}, QUERY_NOTE_MOST);
        buf_addf(&request->path, "&%s=", member);
        http_escape(&request->path, buf_slice(&text));
        buf_clear(&text);
    }
    return true;
}

static bool write_own(struct opsgenie_request *request, const struct route *route, struct slice fields, json_t *body,
                      struct err *err)
{
    bool has_alias = record_has(fields, "alias");
    if (record_has(fields, "name")) {
        buf_add_text(&request->path, "/v2/heartbeats/");
        http_escape(&request->path, record_get(fields, "name"));
        return buf_add_text(&request->path, "/ping");
    }
    buf_add_text(&request->path, "/v2/alerts");
    if (route->action) {
        buf_add_char(&request->path, '/');
        http_escape(&request->path, record_get(fields, has_alias ? "alias" : "id"));
        buf_addf(&request->path, "%s?identifierType=%s", route->action, has_alias ? "alias" : "id");
    }
    return strcmp(route->method, "DELETE") == 0 ? put_query(request, body, err) : put_body(request, body);
}

/* ---- the shapes of jsm-ops ------------------------------------------------------------------------------ */

/* The id of {id = ...}, or of the name that `ids` of the connection knows. */
static const char *id_of(const struct settings *settings, const json_t *who, struct err *err)
{
    const char *id = json_string_value(json_object_get(who, "id"));
    const char *name = json_string_value(json_object_get(who, "name"));
    if (!name)
        name = json_string_value(json_object_get(who, "username"));
    for (size_t i = 0; !id && name && i < settings_count(settings, "ids"); i++)
        if (strcmp(settings_key(settings, "ids", i), name) == 0)
            id = settings_item(settings, "ids", i);
    if (!id)
        err_set(err,
                "Jira Service Management names people and teams by id: say in `ids` of the connection which id "
                "\"%s\" has",
                name ? name : "");
    return id;
}

static json_t *who_by_id(const struct settings *settings, const json_t *who, struct err *err)
{
    const char *id = id_of(settings, who, err);
    return id ? json_pack("{s:s, s:O}", "id", id, "type", json_object_get(who, "type")) : NULL;
}

static json_t *all_by_id(const struct settings *settings, const json_t *people, struct err *err)
{
    json_t *all = json_array();
    for (size_t i = 0; i < json_array_size(people); i++) {
        json_t *who = who_by_id(settings, json_array_get(people, i), err);
        if (!who) {
            json_decref(all);
            return NULL;
        }
        json_array_append_new(all, who);
    }
    return all;
}

/* One member of ours becomes one of theirs, or two. */
static bool move_member(const struct settings *settings, const char *member, json_t *value, json_t *body,
                        struct err *err)
{
    json_t *new = NULL;
    if (strcmp(member, "details") == 0)
        return json_object_set(body, "extraProperties", value) == 0;
    if (strcmp(member, "responders") == 0 || strcmp(member, "visibleTo") == 0)
        return (new = all_by_id(settings, value, err)) && json_object_set_new(body, member, new) == 0;
    if (strcmp(member, "responder") == 0) {
        bool ok = (new = who_by_id(settings, value, err)) && json_object_update(body, new) == 0;
        json_decref(new);
        return ok;
    }
    bool is_owner = strcmp(member, "owner") == 0;
    if (is_owner || strcmp(member, "escalation") == 0) {
        const char *id = id_of(settings, value, err);
        return id && json_object_set_new(body, is_owner ? "accountId" : "escalationId", json_string(id)) == 0;
    }
    return json_object_set(body, member, value) == 0;
}

static bool has_word(const char *words, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = words; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == size && memcmp(at, word, size) == 0)
            return true;
    return false;
}

static bool write_ops(struct opsgenie_request *request, const struct settings *settings, const struct route *route,
                      struct slice fields, struct slice id, json_t *ours, struct err *err)
{
    if (record_has(fields, "name")) {
        const char *team = settings_text(settings, "team");
        if (!team)
            return err_set(err, "a heartbeat of Jira Service Management belongs to a team: say in `team` of the "
                                "connection which id it has");
        buf_add_text(&request->path, "/v1/teams/");
        http_escape(&request->path, slice_of(team));
        buf_add_text(&request->path, "/heartbeats/ping?name=");
        return http_escape(&request->path, record_get(fields, "name"));
    }
    buf_add_text(&request->path, "/v1/alerts");
    if (route->action) {
        buf_add_char(&request->path, '/');
        http_escape(&request->path, id);
        buf_add_text(&request->path, route->ops_action ? route->ops_action : route->action);
    }
    if (!*route->ops_members)
        return true;
    json_t *theirs = json_object(), *value;
    const char *member;
    bool ok = true;
    json_object_foreach(ours, member, value)
        ok = ok && (!has_word(route->ops_members, member) || move_member(settings, member, value, theirs, err));
    ok = ok && put_body(request, theirs);
    json_decref(theirs);
    return ok;
}

bool opsgenie_request_needs_id(const struct settings *settings, const struct verb *verb, struct slice fields)
{
    return opsgenie_dialect(settings) == OPSGENIE_OPS && route_of(verb)->action && !record_has(fields, "id");
}

struct slice opsgenie_request_own_note(const struct settings *settings, const struct verb *verb, struct slice fields,
                                       struct buf *note)
{
    const struct route *route = route_of(verb);
    struct slice text = record_get(fields, "body");
    if (opsgenie_dialect(settings) != OPSGENIE_OPS || has_word(route->ops_members, "note"))
        return SLICE_NONE;
    json_t *body = json_loadb(text.data ? text.data : "", text.size, 0, NULL);
    json_t *value = json_object_get(body, "note");
    buf_add(note, json_is_string(value) ? json_string_value(value) : "", json_string_length(value));
    json_decref(body);
    return note->size ? buf_slice(note) : SLICE_NONE;
}

void opsgenie_request_note(struct opsgenie_request *request, struct slice id, struct slice note)
{
    json_t *body = json_pack("{s:s%}", "note", note.data, note.size);
    request->method = "POST";
    buf_add_text(&request->path, "/v1/alerts/");
    http_escape(&request->path, id);
    buf_add_text(&request->path, "/notes");
    put_body(request, body);
    json_decref(body);
}

void opsgenie_request_notes(struct opsgenie_request *request, struct slice id)
{
    request->method = "GET";
    buf_add_text(&request->path, "/v1/alerts/");
    http_escape(&request->path, id);
    buf_add_text(&request->path, "/notes?size=100");
}

/* ---- all dialects ------------------------------------------------------------------------------------------- */

bool opsgenie_request_write(struct opsgenie_request *request, const struct settings *settings, const struct verb *verb,
                            struct slice fields, struct slice id, struct err *err)
{
    enum opsgenie_dialect dialect = opsgenie_dialect(settings);
    const struct route *route = route_of(verb);
    struct slice text = record_get(fields, "body");
    if (dialect == OPSGENIE_EVENTS && !route->is_event)
        return err_set(err,
                       "the dialect jsm-events knows only create, close, acknowledge and add_note, not %s: "
                       "`dialect: jsm-ops` knows it",
                       verb->name);
    json_t *body = json_loadb(text.data ? text.data : "{}", text.data ? text.size : 2, 0, NULL);
    request->method = dialect == OPSGENIE_OPS && route->ops_method ? route->ops_method : route->method;
    bool ok = body || err_set(err, "what is stored of it is damaged");
    if (ok && dialect == OPSGENIE_OPS)
        ok = write_ops(request, settings, route, fields, record_has(fields, "id") ? record_get(fields, "id") : id, body,
                       err);
    else if (ok)
        ok = write_own(request, route, fields, body, err);
    json_decref(body);
    return ok && !request->path.is_over ? true : err->text[0] ? false : err_set(err, "it is too large");
}

void opsgenie_request_outcome(struct opsgenie_request *request, enum opsgenie_dialect dialect, const char *request_id)
{
    request->method = "GET";
    buf_addf(&request->path, "/%s/alerts/requests/", dialect == OPSGENIE_OPS ? "v1" : "v2");
    http_escape(&request->path, slice_of(request_id));
}

bool opsgenie_request_alert(struct opsgenie_request *request, enum opsgenie_dialect dialect, const char *by,
                            struct slice name, struct err *err)
{
    request->method = "GET";
    if (dialect == OPSGENIE_EVENTS)
        return err_set(err, "the dialect jsm-events cannot look at alerts: `dialect: jsm-ops` can");
    if (dialect == OPSGENIE_OPS && strcmp(by, "tiny") == 0)
        return err_set(err, "the dialect jsm-ops finds alerts by alias or id only, not by tiny id");
    bool is_query = dialect == OPSGENIE_OPS && strcmp(by, "alias") == 0;
    buf_add_text(&request->path, is_query                  ? "/v1/alerts/alias?alias="
                                 : dialect == OPSGENIE_OPS ? "/v1/alerts/"
                                                           : "/v2/alerts/");
    http_escape(&request->path, name);
    if (dialect == OPSGENIE_V2)
        buf_addf(&request->path, "?identifierType=%s", by);
    return !request->path.is_over || err_set(err, "`%s` is too long", by);
}
