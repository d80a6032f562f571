/* held_change.c - POST /v1/held/...: what a person decides about one held thing, or about all that match */
#include "core/admin/internal.h"

#include <stdlib.h>

#define EDITS_MOST 50

static bool decision_of(const char *what, bool as_it_was, enum held_decision *decision)
{
    *decision = strcmp(what, "discard") == 0 ? HELD_DISCARD : as_it_was ? HELD_RETRY_AS_IT_WAS : HELD_RETRY;
    return *decision == HELD_DISCARD || strcmp(what, "retry") == 0;
}

static void edit(struct admin *admin, struct request *request, uint64_t number, const json_t *asked,
                 const struct author *author)
{
    struct held_edit edits[EDITS_MOST + 1];
    size_t count = 0;
    const char *name;
    json_t *fields = json_object_get(asked, "fields"), *value;
    json_object_foreach(fields, name, value) {
        if (count == EDITS_MOST || !json_is_string(value)) {
            reply_error(request, 400, "fields: %s: expected texts, at most %d of them", name, EDITS_MOST);
            return;
        }
        edits[count++] = (struct held_edit){name, {json_string_value(value), json_string_length(value)}};
    }
    edits[count] = (struct held_edit){.name = NULL};
    if (count)
        engine_edit_held(admin->engine, number, edits, author, reply_done, request);
    else
        reply_error(request, 400, "what is to be changed? {\"fields\": {\"body\": \"...\"}}");
}

static void recover(struct admin *admin, struct request *request, const char *what, const json_t *asked,
                    const struct author *author)
{
    struct err err = ERR_INIT;
    struct held_filter filter;
    enum held_decision decision;
    if (strcmp(what, "stop") == 0) {
        bool ok = engine_stop_recovery(admin->engine, author, &err);
        reply_done(request, ok, ok ? "it stops; what it has not come to stays held" : err.text);
        return;
    }
    if (!decision_of(what, json_is_true(json_object_get(asked, "as_it_was")), &decision)
        || !filter_of_json(json_object_get(asked, "filter"), &filter, &err)) {
        reply_error(request, 400, "%s", err.text[0] ? err.text : "retry, discard or stop");
        return;
    }
    double rate = json_number_value(json_object_get(asked, "rate"));
    bool ok = engine_recover(admin->engine, &filter, decision, rate, author, &err);
    reply_done(request, ok, ok ? "begun" : err.text);
}

/* The request's JSON, with its reason; NULL after an error reply. */
static json_t *take_asked(struct request *request, char **why)
{
    struct slice body = request_body(request);
    *why = take_why(request);
    return *why ? json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

void change_held(struct admin *admin, struct request *request, uint64_t number, const char *what)
{
    char *why;
    json_t *asked = take_asked(request, &why);
    if (!asked)
        return;
    char *who = take_who(request);
    struct author author = {who, why};
    enum held_decision decision;
    if (strcmp(what, "edit") == 0)
        edit(admin, request, number, asked, &author);
    else if (decision_of(what, json_is_true(json_object_get(asked, "as_it_was")), &decision))
        engine_decide_held(admin->engine, number, decision, &author, reply_done, request);
    else
        reply_error(request, 404, "a held thing can be retried, edited or discarded, not %s", what);
    free(who);
    free(why);
    json_decref(asked);
}

void change_all_held(struct admin *admin, struct request *request, const char *what)
{
    char *why;
    json_t *asked = take_asked(request, &why);
    if (!asked)
        return;
    char *who = take_who(request);
    struct author author = {who, why};
    recover(admin, request, what, asked, &author);
    free(who);
    free(why);
    json_decref(asked);
}

void answer_held_progress(struct admin *admin, struct request *request)
{
    struct recovery_view view;
    if (!engine_look_recovery(admin->engine, &view)) {
        reply_error(request, 404, "no retry or discard of many was asked for since the daemon began");
        return;
    }
    reply_json(request, 200,
               json_pack("{s:s, s:o, s:o, s:f, s:I, s:I, s:o, s:b, s:b, s:I, s:I}", "decision", view.decision, "who",
                         json_of(slice_of(view.who)), "why", json_of(slice_of(view.why)), "rate", view.rate, "done",
                         (json_int_t)view.done, "left", (json_int_t)view.left, "trouble",
                         json_of(slice_of(view.trouble)), "is_running", view.is_running, "was_stopped",
                         view.was_stopped, "began_at", (json_int_t)view.began_ms, "ended_at",
                         (json_int_t)view.ended_ms));
}
