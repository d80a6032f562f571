/* store.c - GET /v1/store, GET /v1/store/verify, POST /v1/store/backup: the store's upkeep
 *
 * What takes time is done on a worker thread, on a picture of the store. */
#include "core/admin/internal.h"

#include "core/admin/upkeep.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/backup.h"

#include <stdlib.h>

/* ---- as JSON ---------------------------------------------------------------------------------------- */

json_t *upkeep_sizes(const struct store_sizes *sizes, int64_t limit_bytes)
{
    int64_t high_bytes = limit_bytes - limit_bytes / 10;
    json_t *tables = json_array();
    for (enum table table = 0; table < TABLE_COUNT; table++)
        json_array_append_new(tables, json_pack("{s:s, s:I, s:I}", "table", table_forms[table].name, "rows",
                                                (json_int_t)sizes->tables[table].rows, "bytes",
                                                (json_int_t)sizes->tables[table].bytes));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "used_bytes", (json_int_t)sizes->used_bytes,
                     "free_bytes", (json_int_t)sizes->free_bytes, "file_bytes", (json_int_t)sizes->file_bytes,
                     "limit_bytes", (json_int_t)limit_bytes, "high_bytes", (json_int_t)high_bytes,
                     "growth_bytes_per_day", (json_int_t)sizes->growth_bytes, "sampled_ms",
                     (json_int_t)sizes->sampled_ms, "high_at_ms",
                     (json_int_t)sizes_reach(sizes, high_bytes, clock_now_ms()), "tables", tables);
}

json_t *upkeep_verified(const struct verified *verified)
{
    json_t *findings = json_array();
    for (char *line = verified->findings.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
        json_array_append_new(findings, json_of((struct slice){line, (size_t)(end - line)}));
    return json_pack("{s:I, s:b, s:I, s:o}", "rows", (json_int_t)verified->rows, "complete", !verified->is_incomplete,
                     "finding_count", (json_int_t)verified->finding_count, "findings", findings);
}

static json_t *backup_json(struct store *store)
{
    static const char *const states[] = {"none", "runs", "done", "failed"};
    struct backup_view *view = mem_zero(sizeof *view); /* it has a path: too large for the stack of a callback */
    store_backup_look(store, view);
    json_t *json = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:o}", "state", states[view->state], "path",
                             json_of(slice_of(view->path)), "bytes", (json_int_t)view->bytes, "of_bytes",
                             (json_int_t)view->of, "began_ms", (json_int_t)view->began_ms, "took_ms",
                             (json_int_t)view->ms, "text", json_of(slice_of(view->text)));
    free(view);
    return json;
}

/* ---- looking ----------------------------------------------------------------------------------------- */

struct looking {
    struct engine *engine; /* lives as long as a picture of its store is open */
    struct request *request;
    struct picture *picture;
    struct store_sizes sizes;
    struct verified verified;
    uv_work_t work;
};

static void measure(uv_work_t *work)
{
    struct looking *looking = work->data;
    picture_sizes(looking->picture, &looking->sizes);
}

static void on_measured(uv_work_t *work, int status)
{
    static const char *const states[] = {"ok", "high", "full"};
    struct looking *looking = work->data;
    struct store *store = engine_store(looking->engine);
    json_t *json = upkeep_sizes(&looking->sizes, engine_config(looking->engine)->store_limit);
    (void)status;
    json_object_set_new(json, "state", json_string(states[store_get_state(store)]));
    json_object_set_new(json, "backup", backup_json(store));
    picture_close(looking->picture);
    reply_json(looking->request, 200, json);
    free(looking);
}

static void look_through(uv_work_t *work)
{
    struct looking *looking = work->data;
    verify(looking->picture, &looking->verified);
}

static void on_looked_through(uv_work_t *work, int status)
{
    struct looking *looking = work->data;
    (void)status;
    picture_close(looking->picture);
    reply_json(looking->request, 200, upkeep_verified(&looking->verified));
    verified_clear(&looking->verified);
    free(looking);
}

static void begin_looking(struct admin *admin, struct request *request, uv_work_cb look, uv_after_work_cb looked)
{
    struct err err = ERR_INIT;
    struct picture *picture = picture_open(engine_store(admin->engine), &err);
    if (!picture) {
        reply_error(request, 500, "%s", err.text);
        return;
    }
    struct looking *looking = mem_zero(sizeof *looking);
    looking->engine = admin->engine;
    looking->request = request;
    looking->picture = picture;
    looking->work.data = looking;
    uv_queue_work(engine_loop(admin->engine), &looking->work, look, looked);
}

void answer_store(struct admin *admin, struct request *request)
{
    begin_looking(admin, request, measure, on_measured);
}

void answer_store_verify(struct admin *admin, struct request *request)
{
    begin_looking(admin, request, look_through, on_looked_through);
}

/* ---- a backup ------------------------------------------------------------------------------------------ */

/* It writes where it is told to, and all that is in the store: so only on the daemon's own machine. */
void change_store_backup(struct admin *admin, struct request *request)
{
    struct err err = ERR_INIT;
    struct slice body = request_body(request);
    json_t *json = json_loadb(body.data ? body.data : "", body.size, JSON_REJECT_DUPLICATES, NULL);
    const char *path = json_string_value(json_object_get(json, "path"));
    struct store *store = engine_store(admin->engine);
    if (request_peer_uid(request) == (unsigned)-1) {
        reply_error(request, 403, "a backup is asked for on the daemon's machine: headgate store backup");
    } else if (!path) {
        reply_error(request, 400, "where to? {\"path\": \"/...\"}");
    } else if (!store_backup(store, path, &err)) {
        reply_error(request, 409, "%s", err.text);
    } else {
        char *who = take_who(request);
        log_info("store: %s asked for a backup to %s", who, path);
        free(who);
        reply_json(request, 200, json_pack("{s:o}", "backup", backup_json(store)));
    }
    json_decref(json);
}
