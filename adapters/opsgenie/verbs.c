/* verbs.c - what flows may ask of OpsGenie
 *
 * `prepare` checks the fields and makes of them what every attempt sends (body.c): the alert's alias
 * or id, and the body in the words of OpsGenie's own API.  Which URL that goes to, and in which
 * shape, follows from it and from the connection's dialect when it is sent (request.c): so what
 * waits in the outbox on the day a company moves goes to the new place.  What the dialect of today
 * cannot do is refused here, in the flow's step. */
#include "adapters/opsgenie/opsgenie.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define NOTES_LIMIT 600

#define TEXT(field, required, says)                                                                                    \
    {                                                                                                                  \
        .name = field, .kind = OPTION_TEXT, .is_required = required, .help = says                                      \
    }
#define ALERT                                                                                                          \
    TEXT("alias", false, "Which alert: the name that it was created with."),                                           \
        TEXT("id", false, "Which alert, in place of `alias`: the id that OpsGenie gave it.")
#define ORIGIN                                                                                                         \
    TEXT("user", false, "Who does it, as shown in OpsGenie; at most 100 characters."),                                 \
        TEXT("source", false, "Where it comes from; default: `source` of the connection.")
#define WHO ORIGIN, TEXT("note", false, "A note for the alert's log, at most 25000 characters.")
#define PRIORITY(required)                                                                                             \
    {                                                                                                                  \
        .name = "priority", .kind = OPTION_TEXT, .is_required = required, .choices = "P1|P2|P3|P4|P5",                 \
        .help = "How urgent; OpsGenie's own default is P3."                                                            \
    }
#define TAGS(required)                                                                                                 \
    {                                                                                                                  \
        .name = "tags", .kind = OPTION_LIST, .is_required = required, .help = "At most 20, each of 50 characters."     \
    }
#define DETAILS(required)                                                                                              \
    {                                                                                                                  \
        .name = "details", .kind = OPTION_MAP, .is_required = required,                                                \
        .help = "Names and values, 8000 characters in all; numbers and booleans become texts."                         \
    }
#define ANY(field, required, says)                                                                                     \
    {                                                                                                                  \
        .name = field, .kind = OPTION_ANY, .is_required = required, .help = says                                       \
    }

static const struct option create_fields[] = {
    TEXT("alias", true, "The name by which OpsGenie recognises a repeat, at most 512 characters."),
    TEXT("message", true, "One line that says what is wrong, at most 130 characters."),
    TEXT("description", false, "More of it, at most 15000 characters."),
    PRIORITY(false),
    TAGS(false),
    DETAILS(false),
    ANY("responders", false, "Who is called: a list of {type = \"team\", name = \"...\"} and the like."),
    ANY("visible_to", false, "Teams and users who may see it without being called."),
    {.name = "actions", .kind = OPTION_LIST, .help = "Names of custom actions, at most 10, each of 50 characters."},
    TEXT("entity", false, "What it is about: a host, a site; at most 512 characters."),
    WHO,
    OPTION_END};
static const struct option action_fields[] = {ALERT, WHO, OPTION_END};
static const struct option snooze_fields[] = {ALERT,
                                              {.name = "duration",
                                               .kind = OPTION_DURATION,
                                               .is_required = true,
                                               .least = 1000,
                                               .most = 365 * (int64_t)86400000,
                                               .help = "How long nobody is called, from the run's `now()` on."},
                                              WHO,
                                              OPTION_END};
static const struct option note_fields[] = {ALERT, TEXT("note", true, "The note, at most 25000 characters."), ORIGIN,
                                            OPTION_END};
static const struct option tags_fields[] = {ALERT, TAGS(true), WHO, OPTION_END};
static const struct option details_fields[] = {ALERT, DETAILS(true), WHO, OPTION_END};
static const struct option keys_fields[] = {
    ALERT,
    {.name = "keys", .kind = OPTION_LIST, .is_required = true, .help = "Names of the details that go."},
    WHO,
    OPTION_END};
static const struct option priority_fields[] = {ALERT, PRIORITY(true), OPTION_END};
static const struct option message_fields[] = {ALERT, TEXT("message", true, "The new message, at most 130 characters."),
                                               OPTION_END};
static const struct option description_fields[] = {
    ALERT, TEXT("description", true, "The new description, at most 15000 characters."), OPTION_END};
static const struct option escalate_fields[] = {
    ALERT, ANY("escalation", true, "The escalation's name, or {id = \"...\"}."), WHO, OPTION_END};
static const struct option assign_fields[] = {
    ALERT, ANY("owner", true, "The user's name (a mail address), or {id = \"...\"}."), WHO, OPTION_END};
static const struct option responder_fields[] = {
    ALERT, ANY("responder", true, "Who is called, too: {type = \"team\", name = \"...\"} and the like."), WHO,
    OPTION_END};
static const struct option ping_fields[] = {TEXT("name", true, "Name of the heartbeat, at most 200 characters."),
                                            OPTION_END};

/* Fields that are no members of the body. */
static bool is_apart(const char *field)
{
    static const char *const names[] = {"alias", "id", "name", "duration"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(field, names[i]) == 0)
            return true;
    return false;
}

static bool build_body(const struct ask *ask, json_t *body, struct buf *notes, struct err *err)
{
    const char *source = ask->connection->settings ? settings_text(ask->connection->settings, "source") : NULL;
    char end[CLOCK_TEXT_MAX];
    for (const struct option *option = ask->verb->fields; option->name; option++) {
        struct slice value = record_get(ask->fields, option->name);
        if (strcmp(option->name, "source") == 0 && !value.size)
            value = slice_of(source);
        bool is_there = record_has(ask->fields, option->name) || value.size;
        if (!is_there && option->is_required)
            return err_set(err, "`%s` is missing", option->name);
        if (is_there && !is_apart(option->name) && !opsgenie_body_add(body, option, value, notes, err))
            return false;
    }
    int64_t duration_ms = record_get_integer(ask->fields, "duration", 0);
    if (duration_ms) /* a moment, not a duration: a late or repeated attempt must not make it longer */
        json_object_set_new(body, "endTime", json_string(clock_text(ask->now_ms + duration_ms, end)));
    return true;
}

/* Which alert or heartbeat: exactly one of the names that the verb knows. */
static bool take_name(const struct ask *ask, struct buf *out, struct err *err)
{
    static const struct {
        const char *field;
        size_t most;
    } names[] = {{"alias", OPSGENIE_ALIAS_MOST}, {"id", 200}, {"name", 200}};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct slice name = record_get(ask->fields, names[i].field);
        if (!record_has(ask->fields, names[i].field))
            continue;
        if (found)
            return err_set(err, "`%s` and `%s` say the same thing: leave one out", found, names[i].field);
        found = names[i].field;
        if (!opsgenie_check_name(found, name, names[i].most, err))
            return false;
        record_add_text(out, found, name);
    }
    if (found)
        return true;
    bool is_ping = strcmp(ask->verb->name, "ping") == 0;
    return is_ping ? err_set(err, "`name` is missing") : opsgenie_check_name("alias", SLICE_NONE, 0, err);
}

static bool write_record(const struct ask *ask, json_t *body, struct buf *notes, struct buf *out, struct err *err)
{
    /* Lua's tables have no order: sorted, the same question gives the same bytes. */
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    bool ok = text && record_add_text(out, "body", slice_of(text))
              && (!notes->size || record_add_text(out, "notes", buf_slice(notes)));
    free(text);
    if (!ok)
        return err_set(err, "it is too large");
    /* A sample of what will be sent, only to know that it can be. */
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    ok = opsgenie_request_write(&request, ask->connection->settings, ask->verb, buf_slice(out), slice_of("id"), err);
    opsgenie_request_clear(&request);
    return ok;
}

static bool prepare(const struct ask *ask, struct buf *out, struct err *err)
{
    json_t *body = json_object();
    struct buf notes = BUF_INIT(NOTES_LIMIT);
    struct slice alias = record_get(ask->fields, "alias");
    bool ok = take_name(ask, out, err) && build_body(ask, body, &notes, err);
    if (ok && strcmp(ask->verb->name, "create") == 0)
        json_object_set_new(body, "alias", json_stringn(alias.data, alias.size));
    ok = ok && write_record(ask, body, &notes, out, err);
    json_decref(body);
    buf_clear(&notes);
    return ok;
}

/* Of two that say the same of the same alert or heartbeat only the later one matters.  Which connection speaks which
 * dialect makes no difference: both are as they were stored. */
static bool merge(struct slice earlier, struct slice later, struct buf *out)
{
    static const char *const names[] = {"alias", "id", "name"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!slice_equal(record_get(earlier, names[i]), record_get(later, names[i])))
            return false;
    return buf_add_slice(out, later);
}

#define VERB(word, fields_of_it, idempotent, says)                                                                     \
    {                                                                                                                  \
        .name = word, .summary = says, .fields = fields_of_it, .is_idempotent = idempotent, .prepare = prepare         \
    }
#define LAST(word, fields_of_it, says)                                                                                 \
    {                                                                                                                  \
        .name = word, .summary = says, .fields = fields_of_it, .is_idempotent = true, .prepare = prepare,              \
        .merge = merge                                                                                                 \
    }

const struct verb opsgenie_verbs[] = {
    VERB("create", create_fields, true, "Opens an alert, or counts one up that is open under this alias."),
    VERB("close", action_fields, true, "Closes the alert, if it is open."),
    VERB("acknowledge", action_fields, true, "Somebody cares: OpsGenie stops calling people."),
    VERB("unacknowledge", action_fields, true, "Nobody cares any more: OpsGenie calls people again."),
    VERB("snooze", snooze_fields, true, "Calls nobody for a while."),
    VERB("add_note", note_fields, false, "Adds a note; sending it twice makes two notes."),
    VERB("add_tags", tags_fields, true, "Adds tags."),
    VERB("remove_tags", tags_fields, true, "Removes tags."),
    VERB("add_details", details_fields, true, "Adds or replaces details."),
    VERB("remove_details", keys_fields, true, "Removes details."),
    LAST("set_priority", priority_fields, "Changes the priority."),
    LAST("set_message", message_fields, "Changes the message."),
    LAST("set_description", description_fields, "Changes the description."),
    VERB("assign", assign_fields, true, "Makes somebody the alert's owner."),
    VERB("escalate", escalate_fields, false, "Calls the next of an escalation; sending it twice calls two."),
    VERB("add_responder", responder_fields, false, "Calls somebody else, too; sending it twice may call them twice."),
    LAST("ping", ping_fields, "Tells a heartbeat that all is well now; what is late is not sent."),
    {.name = NULL}};
