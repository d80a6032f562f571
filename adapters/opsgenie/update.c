/* update.c - what OpsGenie tells us of an alert, and the event that it becomes
 *
 * There is no signature, no id and no number in an update, and the same one may come again.  So we
 * make a name of what it says:
 *
 *     Create                     alert, action: an alert is created once, though each team that it is
 *                                routed to tells us so
 *     Escalate                   alert, action, escalation, whom it calls, how late and how often
 *     all others                 alert, action, moment of the change
 *     without such a moment      alert, action, a hash of all of it
 *
 * The body stays as it came, but for `headers`: there OpsGenie repeats the headers that it was
 * configured to send, and with them our secret. */
#include "adapters/opsgenie/opsgenie.h"

#include "core/base/hash.h"
#include "core/base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define RECORD_MOST ((size_t)256 << 20)

/* Of the vendor's documentation; the names of the last row are those of page titles, seen with and without a blank. */
static const char *const known[] = {
    "Create",         "Acknowledge",   "UnAcknowledge",    "AddNote",         "AddTags",       "RemoveTags",
    "AddTeam",        "AddRecipient",  "AddResponder",     "AssignOwnership", "TakeOwnership", "Close",
    "Delete",         "Escalate",      "Snooze",           "SnoozeEnded",     "AddDetails",    "RemoveDetails",
    "UpdatePriority", "UpdateMessage", "UpdateDescription"};

bool opsgenie_update_is(const char *action, const char *other)
{
    for (;; action++, other++) {
        action += strspn(action, " _-");
        other += strspn(other, " _-");
        if (!*action || !*other || strncasecmp(action, other, 1) != 0)
            return !*action && !*other;
    }
}

static const char *known_as(const char *action)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (opsgenie_update_is(action, known[i]))
            return known[i];
    return NULL;
}

bool opsgenie_update_is_known(const char *action)
{
    return known_as(action) != NULL;
}

/* ms, or ns in the vendor's own samples, or anything between: the size tells. */
static int64_t moment_ms(const json_t *number)
{
    int64_t moment = json_is_integer(number) ? json_integer_value(number) : 0;
    while (moment >= INT64_C(100000000000000)) /* the year 5138, in ms */
        moment /= 1000;
    return moment > 0 ? moment : 0;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* ---- the name of an update ----------------------------------------------------------------------------- */

static void add_hash(struct buf *name, struct slice text)
{
    unsigned char digest[HASH_SIZE];
    char hex[HASH_SIZE + 1];
    hash_parts(&text, 1, digest);
    hash_hex(digest, HASH_SIZE / 2, hex);
    buf_add_text(name, hex);
}

static void add_name(struct buf *name, const struct opsgenie_update *update, const json_t *json, struct slice body)
{
    const json_t *alert = json_object_get(json, "alert");
    json_int_t updated = json_integer_value(json_object_get(alert, "updatedAt"));
    buf_addf(name, "%s %s", update->alert_id, update->action);
    if (strcmp(update->action, "Create") == 0 && *update->alert_id)
        return;
    buf_add_char(name, ' ');
    if (strcmp(update->action, "Escalate") == 0 && *text_of(json, "escalationId"))
        buf_addf(name, "%.60s %.60s %" JSON_INTEGER_FORMAT " %" JSON_INTEGER_FORMAT, text_of(json, "escalationId"),
                 text_of(json_object_get(json, "escalationNotify"), "id"),
                 json_integer_value(json_object_get(json, "escalationTime")),
                 json_integer_value(json_object_get(json, "repeatCount")));
    else if (updated && *update->alert_id)
        buf_addf(name, "%" JSON_INTEGER_FORMAT, updated);
    else
        add_hash(name, body);
    if (name->size <= KEY_MAX_BYTES)
        return;
    struct buf whole = *name;
    *name = (struct buf)BUF_INIT(KEY_MAX_BYTES + 1);
    add_hash(name, buf_slice(&whole));
    buf_clear(&whole);
}

/* ---- the event ------------------------------------------------------------------------------------------- */

static json_t *properties_of(const struct opsgenie_update *update, const json_t *json, struct slice body)
{
    static const struct {
        const char *from, *to;
    } rows[] = {{"alias", "alias"}, {"tinyId", "tiny_id"}, {"username", "username"}, {"message", "message"}};
    const json_t *alert = json_object_get(json, "alert");
    struct buf name = BUF_INIT(4 * KEY_MAX_BYTES);
    json_t *properties = json_object();
    add_name(&name, update, json, body);
    json_object_set_new(properties, "message_id", json_stringn(name.data, name.size));
    json_object_set_new(properties, "action", json_string(update->action));
    if (*update->alert_id)
        json_object_set_new(properties, "alert_id", json_string(update->alert_id));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *value = json_object_get(alert, rows[i].from);
        if (json_is_string(value) && json_string_length(value))
            json_object_set(properties, rows[i].to, value);
    }
    json_object_set_new(properties, "is_own", json_boolean(update->is_own));
    buf_clear(&name);
    return properties;
}

static bool write_record(struct opsgenie_update *update, const json_t *json, struct slice body)
{
    int64_t time_ms = moment_ms(json_object_get(json_object_get(json, "alert"), "updatedAt"));
    json_t *properties = properties_of(update, json, body);
    char *text = json_dumps(properties, JSON_COMPACT);
    bool ok = text && record_add_text(&update->record, "body", body)
              && record_add_text(&update->record, "content_type", slice_of("application/json"))
              && record_add(&update->record, "properties", RECORD_JSON, slice_of(text))
              && (!time_ms || record_add_integer(&update->record, "time_ms", time_ms));
    free(text);
    json_decref(properties);
    return ok;
}

static void copy_cut(char *to, size_t room, const char *text)
{
    struct slice cut = utf8_cut(slice_of(text), room - 1);
    snprintf(to, room, "%.*s", SLICE_ARG(cut));
}

bool opsgenie_update_read(struct slice body, const char *own, struct opsgenie_update *update, struct err *err)
{
    json_error_t wrong;
    *update = (struct opsgenie_update){.record = BUF_INIT(RECORD_MOST)};
    json_t *json = json_loadb(body.data ? body.data : "", body.size, 0, &wrong);
    const char *action = text_of(json, "action"), *source = text_of(json_object_get(json, "source"), "name");
    char *safe = NULL;
    if (!json)
        return err_set(err, "it is no JSON: line %d: %s", wrong.line, wrong.text);
    bool ok = *action || err_set(err, "it is no update of an alert: there is no `action` in it");
    copy_cut(update->action, sizeof update->action, known_as(action) ? known_as(action) : action);
    copy_cut(update->alert_id, sizeof update->alert_id, text_of(json_object_get(json, "alert"), "alertId"));
    update->is_own = own && *own && strcmp(source, own) == 0;
    if (ok && json_object_get(json, "headers")) {
        json_object_del(json, "headers");
        safe = json_dumps(json, JSON_COMPACT);
        body = slice_of(safe);
    }
    ok = ok && (write_record(update, json, body) || err_set(err, "it is too large"));
    free(safe);
    json_decref(json);
    return ok;
}
