/* event.c - what a run sees of its event: the table, and id, key and time as the manifest finds them */
#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "core/flow/continuation.h"
#include "core/lua/json.h"

#include <lauxlib.h>
#include <stdio.h>

#define TIME_MOST_MS 253402300799999 /* the end of the year 9999 */

struct slice run_identity(const struct run *run)
{
    return slice_of(run->cause[0] ? run->cause : run->id);
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

/* What a continuation is told, beside the event: event.timer or event.result; and of what is late, how late. */
static bool set_cause(lua_State *L, struct building *building)
{
    static const char *const fields[] = {"timer", "result", NULL};
    for (const char *const *name = fields; *name; name++) {
        struct slice json = record_get(building->record, *name);
        if (!json.size)
            continue;
        if (!push_table(L, json, *name, building->err))
            return false;
        lua_setfield(L, 2, *name);
    }
    if (record_has(building->record, "late_ms")) {
        lua_pushinteger(L, record_get_integer(building->record, "late_ms", 0));
        lua_setfield(L, 2, "late_by");
    }
    return true;
}

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
    if (!set_cause(L, building))
        return 0;
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

/* A copy of a text that may be an id or key.  NULL with the reason. */
static char *copy_name(struct slice text, const char *what, const char *path, struct err *err)
{
    bool is_clean = text.size > 0 && text.size <= KEY_MAX_BYTES && utf8_is_valid(text);
    for (size_t i = 0; is_clean && i < text.size; i++)
        is_clean = (unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f;
    if (is_clean)
        return mem_copy(text);
    err_set(err,
            "the event's %s (%s) has %zu bytes or control characters in it; allowed are 1 to %d bytes of plain text",
            what, path, text.size, KEY_MAX_BYTES);
    return NULL;
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
    return copy_name(text, what, path, err);
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
    run->event_bytes = record.size;
    if (!protect(run, build_event, &building, err) || !building.ok)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->event_ref);
    if (record_has(record, "id")) { /* a continuation: what the first run found */
        run->id = copy_name(record_get(record, "id"), "id", "as it is stored", err);
        if (run->id)
            run->key = copy_name(record_get(record, "key"), "key", "as it is stored", err);
    } else {
        run->id = manifest->id_path ? text_at(L, "id", manifest->id_path, err) : mem_text(given_id);
        if (run->id)
            run->key = manifest->key_path ? text_at(L, "key", manifest->key_path, err) : mem_text(run->id);
    }
    bool ok = run->key && find_time(L, run, record, err);
    if (ok && record_has(record, "continues_at"))
        ok = continuation_take_up(run, record, err);
    lua_pop(L, 1);
    return ok && protect(run, set_names, run, err);
}
