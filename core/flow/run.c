/* run.c - see run.h */
#include "core/flow/run.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "core/lane/lane.h"
#include "core/lua/json.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TRAIL_MAX ((size_t)64 << 10) /* bytes */
#define WHY_MAX 300                  /* bytes of a step's `why` that are kept */
#define TIME_MOST_MS 253402300799999 /* the end of the year 9999 */

/* A question lives until the adapter answers it, also when its run is gone by then. */
struct asking {
    struct question question;
    struct run *run; /* NULL: nobody waits any more */
    struct buf fields;
};

struct run *run_new(struct instance *instance, int64_t received_ms)
{
    struct run *run = mem_new(sizeof *run);
    memset(run, 0, offsetof(struct run, err));
    run->err.text[0] = '\0';
    run->instance = instance_keep(instance);
    run->event_ref = LUA_NOREF;
    run->received_ms = received_ms;
    run->began_ms = clock_now_ms();
    run->attempt = 1;
    run->trail = (struct buf)BUF_INIT(TRAIL_MAX);
    run->query_fields = (struct buf)BUF_INIT((size_t)1 << 20);
    return run;
}

static void forget_effects(struct run *run)
{
    for (size_t i = 0; i < run->asked_count; i++) {
        buf_clear(&run->asked[i].fields);
        buf_clear(&run->asked[i].as_said);
        buf_clear(&run->asked[i].recipient);
        free(run->asked[i].campaign);
    }
    run->asked_count = 0;
}

/* Lets go of everything in the world; the effects stay. */
static void leave_world(struct run *run)
{
    if (run->thread)
        world_drop(run->instance->world, run->thread);
    run->thread = NULL;
    luaL_unref(world_lua(run->instance->world), LUA_REGISTRYINDEX, run->event_ref);
    run->event_ref = LUA_NOREF;
}

void run_free(struct run *run)
{
    leave_world(run);
    forget_effects(run);
    free(run->asked);
    free(run->id);
    free(run->key);
    if (run->asking)
        run->asking->run = NULL;
    buf_clear(&run->trail);
    buf_clear(&run->query_fields);
    instance_release(run->instance);
    free(run);
}

/* ---- the event's table --------------------------------------------------------------------------- */

static bool is_json(struct slice content_type)
{
    char text[100];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(content_type));
    text[strcspn(text, "; ")] = '\0';
    size_t size = strlen(text);
    return size == 0 || strcasecmp(text, "application/json") == 0 || strcasecmp(text, "text/json") == 0
           || (size > 5 && strcasecmp(text + size - 5, "+json") == 0);
}

static bool push_body(lua_State *L, const struct manifest *manifest, struct slice record, struct err *err)
{
    struct slice body = record_get(record, "body"), type = record_get(record, "content_type");
    if (manifest->format == FORMAT_TEXT) {
        if (!utf8_is_valid(body))
            return err_set(err, "the body is not UTF-8");
        lua_pushlstring(L, body.data ? body.data : "", body.size);
        return true;
    }
    if (!is_json(type))
        return err_set(err, "the content type is %.*s, but the flow expects JSON (event: format in flow.yaml)",
                       (int)(type.size < 100 ? type.size : 100), type.data);
    if (body.size == 0)
        return err_set(err, "the body is empty, but the flow expects JSON");
    return json_push(L, body, err) || err_wrap(err, "the body is not good JSON");
}

static bool push_table(lua_State *L, struct slice json, const char *what, struct err *err)
{
    if (json.size == 0) {
        lua_newtable(L);
        return true;
    }
    return json_push(L, json, err) || err_wrap(err, "the %s cannot be read", what);
}

struct building {
    struct run *run;
    struct slice record;
    struct err *err;
    bool ok;
};

/* Runs inside of lua_pcall: no memory left in the world is an error of this event, not of the program. */
static int build_event(lua_State *L)
{
    struct building *building = lua_touserdata(L, 1);
    struct run *run = building->run;
    lua_createtable(L, 0, 12);
    if (!push_body(L, run->instance->manifest, building->record, building->err))
        return 0;
    lua_setfield(L, 2, "body");
    if (!push_table(L, record_get(building->record, "headers"), "headers", building->err))
        return 0;
    lua_setfield(L, 2, "headers");
    if (!push_table(L, record_get(building->record, "properties"), "properties", building->err))
        return 0;
    lua_setfield(L, 2, "properties");
    lua_pushinteger(L, run->received_ms);
    lua_setfield(L, 2, "received");
    lua_pushstring(L, run->instance->release->name);
    lua_setfield(L, 2, "flow");
    lua_pushinteger(L, run->attempt);
    lua_setfield(L, 2, "attempt");
    run->event_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    building->ok = true;
    return 0;
}

static bool protect(struct run *run, lua_CFunction function, void *argument, struct err *err)
{
    lua_State *L = world_lua(run->instance->world);
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, argument);
    bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
    if (!ok) {
        err_set(err, "the event needs more memory than a flow may have: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return ok;
}

/* ---- id, key, time --------------------------------------------------------------------------------- */

/* Pushes the value at `path` ("body.site.id") of the event's table, which is on top; nil where there is none. */
static void push_path(lua_State *L, const char *path)
{
    lua_pushvalue(L, -1);
    while (*path) {
        size_t size = strcspn(path, ".");
        if (lua_istable(L, -1)) {
            lua_pushlstring(L, path, size);
            lua_rawget(L, -2);
        } else {
            lua_pushnil(L);
        }
        lua_remove(L, -2);
        path += size + (path[size] == '.');
    }
}

/* The value on top as a text that may be an id or key. NULL with the reason. */
static char *take_text(lua_State *L, const char *what, const char *path, struct err *err)
{
    struct slice text;
    char number[32];
    if (lua_isinteger(L, -1)) {
        snprintf(number, sizeof number, "%lld", (long long)lua_tointeger(L, -1));
        text = slice_of(number);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        text.data = lua_tolstring(L, -1, &text.size);
    } else {
        err_set(err, "the event has no %s: %s is %s", what, path,
                lua_isnil(L, -1) ? "missing" : "neither a text nor an integer");
        return NULL;
    }
    bool is_clean = text.size > 0 && text.size <= KEY_MAX_BYTES && utf8_is_valid(text);
    for (size_t i = 0; is_clean && i < text.size; i++)
        is_clean = (unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f;
    if (!is_clean) {
        err_set(
            err,
            "the event's %s (%s) has %zu bytes or control characters in it; allowed are 1 to %d bytes of plain text",
            what, path, text.size, KEY_MAX_BYTES);
        return NULL;
    }
    return mem_copy(text);
}

static char *text_at(lua_State *L, const char *what, const char *path, struct err *err)
{
    push_path(L, path);
    char *text = take_text(L, what, path, err);
    lua_pop(L, 1);
    return text;
}

/* Of a source or a body, so anything may be in it; what is computed with it must not overflow. */
static bool time_is_good(int64_t ms)
{
    return ms >= 0 && ms <= TIME_MOST_MS;
}

static bool find_time(lua_State *L, struct run *run, struct slice record, struct err *err)
{
    const char *path = run->instance->manifest->time_path;
    run->time_ms = record_get_integer(record, "time_ms", run->received_ms);
    if (!time_is_good(run->time_ms))
        run->time_ms = run->received_ms;
    if (!path)
        return true;
    push_path(L, path);
    bool ok = true;
    size_t size;
    if (lua_isinteger(L, -1)) /* seconds or milliseconds: nothing that happens now is before 1973 in milliseconds */
        run->time_ms = lua_tointeger(L, -1) < 100000000000 && lua_tointeger(L, -1) > 0 ? lua_tointeger(L, -1) * 1000
                                                                                       : lua_tointeger(L, -1);
    else if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &size);
        ok = clock_parse(text, size, &run->time_ms);
    }
    lua_pop(L, 1);
    return (ok && time_is_good(run->time_ms)) || err_set(err, "%s is not a time such as 2026-11-22T09:41:07Z", path);
}

static int set_names(lua_State *L)
{
    struct run *run = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->event_ref);
    lua_pushstring(L, run->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, run->key);
    lua_setfield(L, -2, "key");
    lua_pushinteger(L, run->time_ms);
    lua_setfield(L, -2, "time");
    return 0;
}

bool run_admit(struct run *run, struct slice record, const char *given_id, struct err *err)
{
    const struct manifest *manifest = run->instance->manifest;
    lua_State *L = world_lua(run->instance->world);
    struct building building = {run, record, err, false};
    if (!protect(run, build_event, &building, err) || !building.ok)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->event_ref);
    run->id = manifest->id_path ? text_at(L, "id", manifest->id_path, err) : mem_text(given_id);
    if (run->id)
        run->key = manifest->key_path ? text_at(L, "key", manifest->key_path, err) : mem_text(run->id);
    bool ok = run->key && find_time(L, run, record, err);
    lua_pop(L, 1);
    return ok && protect(run, set_names, run, err);
}

/* ---- steps ---------------------------------------------------------------------------------------------- */

static void end(struct run *run, enum run_outcome outcome)
{
    if (outcome != RUN_FINISHED)
        forget_effects(run);
    leave_world(run);
    run->ended(run, outcome);
}

static bool fail(struct run *run)
{
    struct buf text = BUF_INIT(ERR_MAX);
    const char *name = instance_step_name(run->instance, run->step);
    buf_addf(&text, "step %s", name);
    err_wrap(&run->err, "%s", text.data);
    buf_clear(&text);
    end(run, RUN_FAILED);
    return false;
}

static void add_trail(struct run *run, const char *answer, struct slice why)
{
    buf_add_text(&run->trail, run->trail.size ? ",{\"step\":\"" : "{\"step\":\"");
    buf_add_text(&run->trail, instance_step_name(run->instance, run->step));
    buf_add_text(&run->trail, "\"");
    if (answer) {
        buf_add_text(&run->trail, ",\"answer\":");
        buf_add_text(&run->trail, answer);
    }
    if (why.size) {
        buf_add_text(&run->trail, ",\"why\":");
        buf_add_json(&run->trail, utf8_cut(why, WHY_MAX));
    }
    buf_add_char(&run->trail, '}');
}

/* The step's function has returned `results` values.  Moves on; false: the run failed. */
static bool take_results(struct run *run, int results)
{
    lua_State *L = run->thread;
    const struct manifest *manifest = run->instance->manifest;
    const struct step *step = manifest->step_count ? &manifest->steps[run->step] : NULL;
    struct slice why = SLICE_NONE;
    int next = run->step + 1;
    int first = lua_gettop(L) - results + 1;
    if (results > 1 && lua_type(L, first + 1) == LUA_TSTRING)
        why.data = lua_tolstring(L, first + 1, &why.size);
    if (step && step->kind == STEP_ASK) {
        if (results < 1 || !lua_isboolean(L, first)) {
            err_set(&run->err, "it is an `ask`, so it must return true or false (and why), but returned %s",
                    results < 1 ? "nothing" : luaL_typename(L, first));
            return fail(run);
        }
        bool answer = lua_toboolean(L, first);
        add_trail(run, answer ? "true" : "false", why);
        next = answer ? step->yes : step->no;
    } else {
        add_trail(run, NULL, why);
    }
    lua_settop(L, 0);
    run->step = next == STEP_STOP ? run->instance->step_count : next;
    run->position = 0;
    return true;
}

static void ask_adapter(struct run *run)
{
    if (run->answer) {
        run->answer(run);
        return;
    }
    struct asking *asking = mem_zero(sizeof *asking);
    asking->run = run;
    asking->fields = run->query_fields;
    run->query_fields = (struct buf)BUF_INIT(run->query_fields.limit);
    asking->question = (struct question){
        .connection = run->query_connection, .query = run->query, .fields = buf_slice(&asking->fields)};
    run->asking = asking;
    const char *refusal = lane_refusal(run->query_connection->lane);
    if (refusal) /* its adapter was never opened */
        question_later(&asking->question, "%s", refusal);
    else
        run->query_connection->adapter->ask(run->query_connection, &asking->question);
}

/* Ends the question; the run that waited for it, or NULL. */
static struct run *asked_by(struct question *question)
{
    struct asking *asking = (struct asking *)question;
    struct run *run = asking->run;
    if (run)
        run->asking = NULL;
    buf_clear(&asking->fields);
    free(asking);
    return run;
}

void question_answer(struct question *question, struct slice json)
{
    struct run *run = asked_by(question);
    if (run)
        run_answer(run, json);
}

#define FORMAT_TEXT(text)                                                                                              \
    char text[500];                                                                                                    \
    va_list args;                                                                                                      \
    va_start(args, format);                                                                                            \
    vsnprintf(text, sizeof text, format, args);                                                                        \
    va_end(args)

void question_later(struct question *question, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct run *run = asked_by(question);
    if (run)
        run_no_answer(run, false, text);
}

void question_never(struct question *question, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct run *run = asked_by(question);
    if (run)
        run_no_answer(run, true, text);
}

/* Goes on with the step under way: `arguments` values are on top of the thread. */
static void go_on(struct run *run, int arguments, bool is_new_step)
{
    for (;;) {
        int results = 0;
        *(struct run **)lua_getextraspace(run->thread) = run;
        world_set_now(run->instance->world, run->began_ms);
        switch (world_resume(run->instance->world, run->thread, arguments, is_new_step, &results, &run->err)) {
        case WORLD_WAITING:
            run->is_asking = true;
            ask_adapter(run);
            run->is_asking = false;
            if (!run->has_answer)
                return;
            run->has_answer = false; /* at once: a loop, because as many reads as this would fill the stack */
            arguments = 1;
            is_new_step = false;
            continue;
        case WORLD_FAILED: fail(run); return;
        case WORLD_DONE: break;
        }
        if (!take_results(run, results))
            return;
        if (run->step >= run->instance->step_count) {
            end(run, RUN_FINISHED);
            return;
        }
        lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->instance->steps[run->step]);
        lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->event_ref);
        arguments = 1;
        is_new_step = true;
    }
}

void run_start(struct run *run)
{
    run->thread = world_thread(run->instance->world);
    lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->instance->steps[0]);
    lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->event_ref);
    go_on(run, 1, true);
}

struct pushing {
    struct slice json;
    struct err *err;
    bool ok;
};

static int push_answer(lua_State *L)
{
    struct pushing *pushing = lua_touserdata(L, 1);
    lua_settop(L, 0);
    pushing->ok = json_push(L, pushing->json, pushing->err);
    return pushing->ok ? 1 : 0;
}

void run_answer(struct run *run, struct slice json)
{
    /* The answer is made on the world's main thread, where lack of memory can be caught, and then moved. */
    lua_State *L = world_lua(run->instance->world);
    struct pushing pushing = {json, &run->err, false};
    const char *query = run->query->name;
    run->query = NULL;
    lua_pushcfunction(L, push_answer);
    lua_pushlightuserdata(L, &pushing);
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    if (status != LUA_OK || !pushing.ok) {
        if (status != LUA_OK)
            err_set(&run->err, "the answer needs more memory than a flow may have");
        lua_settop(L, 0);
        err_wrap(&run->err, "%s", query);
        fail(run);
        return;
    }
    if (json.size == 4 && memcmp(json.data, "null", 4) == 0) {
        lua_pop(L, 1);
        lua_pushnil(L); /* nothing found is nil in Lua, not json.null */
    }
    lua_xmove(L, run->thread, 1);
    if (run->is_asking)
        run->has_answer = true;
    else
        go_on(run, 1, false);
}

void run_no_answer(struct run *run, bool is_final, const char *why)
{
    err_set(&run->err, "%s.%s: %s", run->query_connection->name, run->query->name, why);
    run->query = NULL;
    if (is_final)
        fail(run);
    else
        end(run, RUN_LATER);
}

void run_cancel(struct run *run)
{
    forget_effects(run);
    leave_world(run);
}
