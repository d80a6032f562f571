/* sandbox_alerts.c - the alerts of the simulated OpsGenie
 *
 *     create, no open alert of that alias ──► open, count 1
 *     create, an open one ──► the same alert, count + 1 (stops at 100), nothing else of it changes
 *     close ──► closed; the next create with that alias makes a new alert
 *
 * An acknowledged alert is still open.  An alert is found by the number in its id, so the only
 * index is from alias to the alert that answers to it: since at most one of an alias is open, and
 * a new one is made only when it is closed, that is always the latest.  At most ALERTS_KEPT are
 * kept; the oldest is forgotten first. */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"
#include "core/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ALERTS_KEPT 200000
#define COUNT_STOPS 100 /* of an alert's counter and of its log lines for repeats */
#define LINES_KEPT 1000 /* notes and log lines of one alert */

struct sandbox_alerts {
    struct sandbox_alert *kept[ALERTS_KEPT]; /* alert `number` is in slot number % ALERTS_KEPT; NULL: deleted */
    uint64_t first, next;                    /* numbers: first kept, next to come */
    struct map by_alias;                     /* to the alert that answers to it */
    uint64_t created, deduplicated, deleted, forgotten, open, closed;
    uint64_t lines; /* notes and log lines so far: their offsets */
};

void sandbox_alerts_uuid(const char *kind, uint64_t number, char *id)
{
    static uint64_t start; /* another sandbox after this one must not make the same ids again */
    start = start ? start : (uint64_t)clock_now_ms();
    uint64_t parts[3] = {hash_quick(slice_of(kind)), number, start};
    uint64_t hash = hash_quick((struct slice){(const char *)parts, sizeof parts});
    snprintf(id, SANDBOX_ID_SIZE, "%08x-%04x-4%03x-8%03x-%012" PRIx64, (unsigned)(hash >> 32),
             (unsigned)(hash >> 16) & 0xffff, (unsigned)(hash >> 4) & 0xfff, (unsigned)(hash >> 20) & 0xfff,
             number & 0xffffffffffff);
}

uint64_t sandbox_alerts_uuid_number(const char *id)
{
    return strlen(id) >= 36 && id[23] == '-' ? strtoull(id + 24, NULL, 16) : 0;
}

struct sandbox_alerts *sandbox_alerts_new(void)
{
    struct sandbox_alerts *alerts = mem_zero(sizeof *alerts);
    alerts->first = alerts->next = 1;
    return alerts;
}

static struct sandbox_alert *at(const struct sandbox_alerts *alerts, uint64_t number)
{
    return number >= alerts->first && number < alerts->next ? alerts->kept[number % ALERTS_KEPT] : NULL;
}

/* After one is gone: an older alert of its alias may answer to it again. */
static void forget_alias(struct sandbox_alerts *alerts, const struct sandbox_alert *gone)
{
    struct slice alias = slice_of(gone->alias);
    if (map_get(&alerts->by_alias, alias) != gone)
        return;
    map_remove(&alerts->by_alias, alias);
    for (uint64_t number = gone->number; number-- > alerts->first;) {
        struct sandbox_alert *older = at(alerts, number);
        if (older && strcmp(older->alias, gone->alias) == 0) {
            map_put(&alerts->by_alias, alias, older);
            return;
        }
    }
}

static void alert_free(struct sandbox_alerts *alerts, struct sandbox_alert *alert)
{
    alerts->open -= alert->is_open;
    alerts->closed -= !alert->is_open;
    alerts->kept[alert->number % ALERTS_KEPT] = NULL;
    free(alert->alias);
    free(alert->acknowledged_by);
    free(alert->closed_by);
    free(alert->owner);
    json_decref(alert->said);
    json_decref(alert->notes);
    json_decref(alert->log);
    free(alert);
}

static void forget_first(struct sandbox_alerts *alerts)
{
    struct sandbox_alert *alert = at(alerts, alerts->first);
    if (alert) {
        forget_alias(alerts, alert);
        alert_free(alerts, alert);
        alerts->forgotten++;
    }
    alerts->first++;
}

void sandbox_alerts_reset(struct sandbox_alerts *alerts)
{
    map_clear(&alerts->by_alias);
    while (alerts->first < alerts->next)
        forget_first(alerts);
    alerts->created = alerts->deduplicated = alerts->deleted = alerts->forgotten = 0;
}

void sandbox_alerts_free(struct sandbox_alerts *alerts)
{
    if (alerts)
        sandbox_alerts_reset(alerts);
    free(alerts);
}

struct sandbox_alert *sandbox_alerts_find(const struct sandbox_alerts *alerts, enum sandbox_identifier by,
                                          const char *identifier)
{
    if (by == BY_ALIAS)
        return map_get(&alerts->by_alias, slice_of(identifier));
    if (by == BY_TINY)
        return at(alerts, strtoull(identifier, NULL, 10));
    struct sandbox_alert *alert = at(alerts, sandbox_alerts_uuid_number(identifier));
    return alert && strcmp(alert->id, identifier) == 0 ? alert : NULL;
}

const struct sandbox_alert *sandbox_alerts_next(const struct sandbox_alerts *alerts, uint64_t *number)
{
    if (*number < alerts->first)
        *number = alerts->first;
    while (*number < alerts->next) {
        const struct sandbox_alert *alert = at(alerts, (*number)++);
        if (alert)
            return alert;
    }
    return NULL;
}

/* ---- writing down --------------------------------------------------------------------------------- */

static void add_line(struct sandbox_alerts *alerts, json_t *lines, const char *name, const char *text,
                     const char *owner)
{
    char time[CLOCK_TEXT_MAX], offset[32];
    snprintf(offset, sizeof offset, "%" PRIu64, ++alerts->lines);
    json_array_append_new(lines, json_pack("{s:s, s:s, s:s, s:s}", name, text, "owner", owner, "createdAt",
                                           clock_text(clock_now_ms(), time), "offset", offset));
    if (json_array_size(lines) > LINES_KEPT)
        json_array_remove(lines, 0);
}

static void note_and_log(struct sandbox_alerts *alerts, struct sandbox_alert *alert, const json_t *body,
                         const char *log)
{
    const char *note = json_string_value(json_object_get(body, "note"));
    if (note && *note)
        add_line(alerts, alert->notes, "note", note, sandbox_act_who(body));
    if (log)
        add_line(alerts, alert->log, "log", log, sandbox_act_who(body));
}

/* ---- creating ------------------------------------------------------------------------------------------- */

static void repeat(struct sandbox_alerts *alerts, struct sandbox_alert *alert, json_t *body)
{
    alert->creates++;
    alerts->deduplicated++;
    alert->last_ms = clock_now_ms();
    bool is_counted = alert->count < COUNT_STOPS;
    alert->count += is_counted;
    note_and_log(alerts, alert, body, is_counted ? "Alert is deduplicated" : NULL);
}

static void keep_said(struct sandbox_alert *alert, json_t *body)
{
    static const char *const texts[] = {"message", "description", "entity", "source", "priority"};
    static const char *const lists[] = {"tags", "actions", "responders", "visibleTo"};
    alert->said = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *text = json_object_get(body, texts[i]);
        json_t *fallback = json_string(strcmp(texts[i], "priority") == 0 ? "P3" : "");
        json_object_set(alert->said, texts[i], json_is_string(text) ? text : fallback);
        json_decref(fallback);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_t *list = json_object_get(body, lists[i]);
        json_object_set_new(alert->said, lists[i], json_is_array(list) ? json_copy(list) : json_array());
    }
    json_t *details = json_object_get(body, "details");
    json_object_set_new(alert->said, "details", json_is_object(details) ? json_copy(details) : json_object());
}

static struct sandbox_alert *create(struct sandbox_alerts *alerts, json_t *body)
{
    const char *alias = json_string_value(json_object_get(body, "alias"));
    struct sandbox_alert *alert = alias && *alias ? map_get(&alerts->by_alias, slice_of(alias)) : NULL;
    if (alert && alert->is_open) {
        repeat(alerts, alert, body);
        return alert;
    }
    if (alerts->next - alerts->first == ALERTS_KEPT)
        forget_first(alerts);
    alert = mem_zero(sizeof *alert);
    alert->number = alerts->next++;
    alert->created_ms = alert->updated_ms = alert->last_ms = clock_now_ms();
    sandbox_alerts_uuid("alert", alert->number, alert->id);
    size_t size = strlen(alert->id);
    snprintf(alert->id + size, sizeof alert->id - size, "-%" PRId64, alert->created_ms);
    alert->alias = mem_text(alias && *alias ? alias : alert->id);
    alert->is_open = true;
    alert->count = 1;
    alert->creates = 1;
    alert->notes = json_array();
    alert->log = json_array();
    keep_said(alert, body);
    alerts->kept[alert->number % ALERTS_KEPT] = alert;
    map_put(&alerts->by_alias, slice_of(alert->alias), alert);
    alerts->open++;
    alerts->created++;
    note_and_log(alerts, alert, body, "Alert created");
    return alert;
}

static void name_alert(struct sandbox_outcome *outcome, const struct sandbox_alert *alert)
{
    snprintf(outcome->alert_id, sizeof outcome->alert_id, "%s", alert->id);
    outcome->alias = mem_text(alert->alias);
}

void sandbox_alerts_apply(struct sandbox_alerts *alerts, enum sandbox_action action, enum sandbox_identifier by,
                          const char *identifier, json_t *body, struct sandbox_outcome *outcome)
{
    *outcome = (struct sandbox_outcome){.status = "Alert does not exist"};
    if (action == ACTION_CREATE) {
        name_alert(outcome, create(alerts, body));
        outcome->status = "Created alert";
        outcome->is_success = true;
        return;
    }
    struct sandbox_alert *alert = sandbox_alerts_find(alerts, by, identifier);
    if (!alert)
        return;
    name_alert(outcome, alert);
    if (action == ACTION_DELETE) {
        forget_alias(alerts, alert);
        alert_free(alerts, alert);
        alerts->deleted++;
        outcome->status = "Deleted alert";
        outcome->is_success = true;
        return;
    }
    bool was_open = alert->is_open;
    const char *done = sandbox_act(action, alert, body);
    alerts->open -= was_open && !alert->is_open;
    alerts->closed += was_open && !alert->is_open;
    outcome->is_success = done;
    outcome->status = done ? done : "Alert is already closed";
    if (done) {
        alert->updated_ms = clock_now_ms();
        note_and_log(alerts, alert, body, done);
    }
}

/* ---- showing -------------------------------------------------------------------------------------------- */

static json_t *time_of(int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    return json_string(clock_text(ms, text));
}

static json_t *show_report(const struct sandbox_alert *alert)
{
    json_t *report = json_object();
    if (alert->acknowledged_by) {
        json_object_set_new(report, "ackTime", json_integer(alert->acknowledged_ms - alert->created_ms));
        json_object_set_new(report, "acknowledgedBy", json_string(alert->acknowledged_by));
    }
    if (alert->closed_by) {
        json_object_set_new(report, "closeTime", json_integer(alert->closed_ms - alert->created_ms));
        json_object_set_new(report, "closedBy", json_string(alert->closed_by));
    }
    return report;
}

json_t *sandbox_alerts_show(const struct sandbox_alert *alert, bool is_inspection)
{
    char tiny[32];
    bool is_snoozed = alert->is_open && alert->snoozed_until_ms > clock_now_ms();
    snprintf(tiny, sizeof tiny, "%" PRIu64, alert->number);
    json_t *shown = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:i, s:o, s:o, s:o, s:s, s:{s:s, s:s, s:s}, s:o}", "id", alert->id,
        "tinyId", tiny, "alias", alert->alias, "status", alert->is_open ? "open" : "closed", "acknowledged",
        alert->is_acknowledged, "isSeen", alert->is_acknowledged, "snoozed", is_snoozed, "count", (int)alert->count,
        "lastOccurredAt", time_of(alert->last_ms), "createdAt", time_of(alert->created_ms), "updatedAt",
        time_of(alert->updated_ms), "owner", alert->owner ? alert->owner : "", "integration", "id",
        SANDBOX_INTEGRATION_ID, "name", "Sandbox", "type", "API", "report", show_report(alert));
    if (is_snoozed)
        json_object_set_new(shown, "snoozedUntil", time_of(alert->snoozed_until_ms));
    json_object_update(shown, alert->said);
    if (is_inspection) {
        json_object_set(shown, "notes", alert->notes);
        json_object_set(shown, "log", alert->log);
        json_object_set_new(shown, "creates", json_integer((json_int_t)alert->creates));
        json_object_set_new(shown, "escalations", json_integer((json_int_t)alert->escalations));
    }
    return shown;
}

bool sandbox_alerts_summary(const struct sandbox_alerts *alerts, struct buf *out)
{
    return buf_addf(out,
                    "\"open\":%" PRIu64 ",\"closed\":%" PRIu64 ",\"total\":%" PRIu64 ",\"creates\":%" PRIu64
                    ",\"created\":%" PRIu64 ",\"deduplicated\":%" PRIu64 ",\"deleted\":%" PRIu64
                    ",\"forgotten\":%" PRIu64,
                    alerts->open, alerts->closed, alerts->open + alerts->closed, alerts->created + alerts->deduplicated,
                    alerts->created, alerts->deduplicated, alerts->deleted, alerts->forgotten);
}
