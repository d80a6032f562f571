/* admin.c - the routes; see admin.h */
#include "core/admin/internal.h"

#include "core/base/endpoint.h"
#include "core/base/log.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void reply_json(struct request *request, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    request_reply(request, status, "application/json", slice_of(text ? text : "{}"));
    free(text);
    json_decref(json);
}

void reply_error(struct request *request, int status, const char *format, ...)
{
    char text[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reply_json(request, status, json_pack("{s:o}", "error", json_of(slice_of(text))));
}

json_t *json_of(struct slice text)
{
    json_t *json = json_stringn(text.data ? text.data : "", text.size);
    if (json)
        return json;
    struct buf quoted = BUF_INIT(6 * text.size + 2);
    buf_add_json(&quoted, text);
    json = json_loadb(quoted.data, quoted.size, JSON_DECODE_ANY, NULL);
    buf_clear(&quoted);
    return json ? json : json_string("(not a text)");
}

json_t *json_of_field(struct slice record, const char *name)
{
    return json_of(record_get(record, name));
}

char *take_who(const struct request *request)
{
    char number[32];
    if (request_user(request))
        return mem_text(request_user(request));
    unsigned uid = request_peer_uid(request);
    struct passwd account, *found = NULL;
    char room[4096];
    if (getpwuid_r(uid, &account, room, sizeof room, &found) == 0 && found)
        return mem_text(account.pw_name);
    snprintf(number, sizeof number, "uid %u", uid);
    return mem_text(number);
}

char *take_why(struct request *request)
{
    struct slice body = request_body(request);
    json_t *json = json_loadb(body.data ? body.data : "", body.size, JSON_REJECT_DUPLICATES, NULL);
    const char *why = json_string_value(json_object_get(json, "why"));
    char *copy = why && why[0] && strlen(why) <= WHY_MAX ? mem_text(why) : NULL;
    json_decref(json);
    if (!copy)
        reply_error(request, 400, "a reason is needed, of at most %d bytes: {\"why\": \"...\"}", WHY_MAX);
    return copy;
}

void reply_done(void *context, bool ok, const char *text)
{
    struct request *request = context;
    if (ok)
        reply_json(request, 200, json_pack("{s:b, s:o}", "ok", 1, "text", json_of(slice_of(text))));
    else
        reply_json(request, 409,
                   json_pack("{s:o}", "error", json_of(slice_of(text)))); /* may be long: a spec's output */
}

static void change_gate(struct admin *admin, struct request *request, const char *what, const char *name)
{
    char *why = take_why(request);
    if (!why)
        return;
    char *who = take_who(request);
    struct author author = {who, why};
    if (strcmp(what, "reset") == 0)
        engine_reset(admin->engine, name, &author, reply_done, request);
    else
        engine_set_gate(admin->engine, name, strcmp(what, "on") == 0, &author, reply_done, request);
    free(who);
    free(why);
}

static bool route_get(struct admin *admin, struct request *request, const char *path)
{
    char name[NAME_MAX_BYTES + 1];
    unsigned long long number;
    int end = 0;
    if (strcmp(path, "/livez") == 0)
        answer_livez(request);
    else if (strcmp(path, "/readyz") == 0)
        answer_readyz(admin, request);
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(admin->metrics, request);
    else if (strcmp(path, "/v1/status") == 0)
        answer_status(admin, request);
    else if (strcmp(path, "/v1/trace") == 0)
        answer_trace(admin, request);
    else if (strcmp(path, "/v1/timers") == 0)
        answer_timers(admin, request);
    else if (strcmp(path, "/v1/state") == 0)
        answer_state(admin, request);
    else if (strcmp(path, "/v1/held") == 0)
        answer_held(admin, request);
    else if (sscanf(path, "/v1/held/%llu%n", &number, &end) == 1 && !path[end])
        answer_held_one(admin, request, number);
    else if (strcmp(path, "/v1/held/progress") == 0)
        answer_held_progress(admin, request);
    else if (strcmp(path, "/v1/lanes") == 0)
        answer_lanes(admin, request);
    else if (sscanf(path, "/v1/lanes/%64[a-z0-9_]%n", name, &end) == 1 && !path[end])
        answer_lane(admin, request, name);
    else if (strcmp(path, "/v1/releases") == 0)
        answer_releases(admin, request);
    else if (strcmp(path, "/v1/audit") == 0)
        answer_audit(admin, request);
    else if (strcmp(path, "/v1/doctor") == 0)
        answer_doctor(admin, request);
    else if (strcmp(path, "/v1/store") == 0)
        answer_store(admin, request);
    else if (strcmp(path, "/v1/store/verify") == 0)
        answer_store_verify(admin, request);
    else
        return route_campaigns(admin, request);
    return true;
}

static void reload(struct admin *admin, struct request *request)
{
    char *who = take_who(request);
    struct author author = {who, "headgate.yaml is to be read again"};
    engine_reload(admin->engine, &author, reply_done, request);
    free(who);
}

static bool route_post(struct admin *admin, struct request *request, const char *path)
{
    char name[NAME_MAX_BYTES + 1], what[16];
    unsigned long long number;
    int end = 0;
    if (strcmp(path, "/v1/deploy") == 0)
        answer_deploy(admin, request);
    else if (strcmp(path, "/v1/reload") == 0)
        reload(admin, request);
    else if (strcmp(path, "/v1/store/backup") == 0)
        change_store_backup(admin, request);
    else if (sscanf(path, "/v1/flows/%64[a-z0-9-]/%15[a-z]%n", name, what, &end) == 2 && !path[end]
             && (strcmp(what, "on") == 0 || strcmp(what, "off") == 0 || strcmp(what, "reset") == 0))
        change_gate(admin, request, what, name);
    else if (sscanf(path, "/v1/held/all/%15[a-z]%n", what, &end) == 1 && !path[end])
        change_all_held(admin, request, what);
    else if (sscanf(path, "/v1/held/%llu/%15[a-z]%n", &number, what, &end) == 2 && !path[end])
        change_held(admin, request, number, what);
    else
        return route_campaigns(admin, request);
    return true;
}

static void on_request(struct request *request, void *context)
{
    struct admin *admin = context;
    const char *method = request_method(request), *path = request_path(request);
    bool found = false;
    if (!access_allows(admin, request))
        return;
    if (strcmp(method, "GET") == 0) {
        found = route_get(admin, request, path);
    } else if (engine_is_stopping(admin->engine)) {
        reply_error(request, 503, "the daemon is stopping: nothing is changed any more");
        return;
    } else if (strcmp(method, "POST") == 0) {
        found = route_post(admin, request, path);
    }
    if (!found)
        reply_error(request, 404, "there is no %s %s", method, path);
}

static bool open_network(struct admin *admin, struct err *err)
{
    const struct config *config = engine_config(admin->engine);
    struct server_options options = {.host = config->admin_host, .port = config->admin_port, .body_limit = ASKED_MAX};
    if (!config->admin_host)
        return true;
    admin->network = server_open(engine_loop(admin->engine), &options, on_request, admin, err);
    if (!admin->network)
        return err_wrap(err, "admin: listen");
    log_info("admin API: http://%s:%d/", config->admin_host, server_port(admin->network));
    if (!endpoint_is_loopback(config->admin_host))
        log_warning(
            "admin API: %s is not on loopback, and what goes there is not encrypted: put a proxy with TLS in front",
            config->admin_host);
    return true;
}

struct admin *admin_open(struct engine *engine, struct err *err)
{
    struct admin *admin = mem_zero(sizeof *admin);
    struct server_options options = {.socket = engine_config(engine)->admin_socket, .body_limit = ASKED_MAX};
    admin->engine = engine;
    admin->metrics = metrics_open(engine);
    admin->server = server_open(engine_loop(engine), &options, on_request, admin, err);
    if (admin->server && open_network(admin, err))
        return admin;
    admin_close(admin);
    return NULL;
}

void admin_close(struct admin *admin)
{
    server_close(admin->server);
    server_close(admin->network);
    metrics_close(admin->metrics);
    free(admin);
}
