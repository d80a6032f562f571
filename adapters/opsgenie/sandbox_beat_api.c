/* sandbox_beat_api.c - heartbeats over HTTP: making, looking, pinging
 *
 * OpsGenie's own name a heartbeat in the path; those of jsm-ops belong to a team, and are named in
 * the query.  A ping is answered PONG whether there is such a heartbeat or not. */
#include "adapters/opsgenie/sandbox_api.h"

#include "core/base/clock.h"

static void ping(struct sandbox_call *call, const char *name)
{
    struct sandbox_beat *beat = sandbox_beats_find(call->account->beats, name);
    if (beat) {
        beat->last_ms = clock_now_ms();
        beat->number++;
    }
    buf_add_text(&call->answer, "{\"result\":\"PONG - Heartbeat received\"");
    sandbox_api_finish(call, 202);
}

void sandbox_beat_create(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    (void)segments;
    json_t *body = sandbox_write_take_body(call, ACTION_CREATE);
    const char *name = json_string_value(json_object_get(body, "name"));
    bool is_good = name && *name && json_is_integer(json_object_get(body, "interval"))
                   && json_is_string(json_object_get(body, "intervalUnit"))
                   && json_is_boolean(json_object_get(body, "enabled"));
    if (body && !is_good)
        sandbox_api_refuse_field(call, "name", "name, interval, intervalUnit and enabled should be given");
    if (is_good) {
        sandbox_beats_put(&call->account->beats, name, body);
        sandbox_api_data(call, json_pack("{s:s}", "name", name));
        call->status = 201;
    }
    json_decref(body);
}

void sandbox_beat_get(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    const struct sandbox_beat *beat = sandbox_beats_find(call->account->beats, segments[0]);
    if (beat)
        sandbox_api_data(call, sandbox_beats_show(beat));
    else
        sandbox_api_refuse(call, 404, "Heartbeat does not exist");
}

void sandbox_beat_ping(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    ping(call, segments[0]);
}

/* Finds those whose name begins with what is asked for. */
void sandbox_beat_list_ops(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    (void)segments;
    const char *name = request_query(call->request, "name");
    json_t *values = json_array();
    for (const struct sandbox_beat *beat = call->account->beats; beat; beat = beat->next) {
        if (name && strncmp(beat->name, name, strlen(name)) != 0)
            continue;
        json_t *shown = sandbox_beats_show(beat);
        bool is_enabled = json_is_true(json_object_get(shown, "enabled"));
        const char *status = !is_enabled ? "Off" : sandbox_beats_is_expired(beat) ? "Unresponsive" : "Responsive";
        json_object_del(shown, "expired");
        json_object_set_new(shown, "status", json_string(beat->last_ms || !is_enabled ? status : "Pending"));
        json_array_append_new(values, shown);
    }
    sandbox_api_data(call, json_pack("{s:o, s:{}}", "values", values, "links"));
}

void sandbox_beat_ping_ops(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    (void)route;
    (void)segments;
    const char *name = request_query(call->request, "name");
    if (name && *name)
        ping(call, name);
    else
        sandbox_api_refuse(call, 400, "name is missing");
}
