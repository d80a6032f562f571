/* api_memory.c - what a flow keeps between its runs: `state`, `timer`; and `uuid()`
 *
 * All of it is only collected here (wishes.h): it becomes true with the run's effects, in one change. */
#include "core/base/hash.h"
#include "core/base/utf8.h"
#include "core/flow/api.h"
#include "core/flow/continuation.h"
#include "core/flow/run.h"
#include "core/lua/json.h"

#include <lauxlib.h>
#include <stdio.h>

#define BYTES_PER_INSTRUCTION 8 /* of JSON: work that the hook does not see */
#define CALL_INSTRUCTIONS 50    /* what a look into the store, or a hash, counts against the budget */

/* An error must not leap over what C owns; it quotes what a flow said, so it is made one line. */
static int raise_about(lua_State *L, const char *what, struct err *err)
{
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return luaL_error(L, "%s: %s", what, err->text);
}

/* A key of the state, or the name of a timer. */
static struct slice check_name(lua_State *L, int index, const char *what)
{
    struct slice name = SLICE_NONE;
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "%s must be a text, not %s", what, luaL_typename(L, index));
    name.data = lua_tolstring(L, index, &name.size);
    bool is_clean = name.size > 0 && name.size <= STATE_KEY_MAX && utf8_is_valid(name);
    for (size_t i = 0; is_clean && i < name.size; i++)
        is_clean = (unsigned char)name.data[i] >= 0x20 && name.data[i] != 0x7f;
    if (!is_clean)
        luaL_error(L, "%s has %d bytes or control characters in it; allowed are 1 to %d bytes of plain text", what,
                   (int)name.size, STATE_KEY_MAX);
    return name;
}

/* A time span at `index`: milliseconds, or a text such as "10m". */
static int64_t check_span(lua_State *L, int index, const char *what)
{
    int64_t ms = -1;
    if (lua_isinteger(L, index))
        ms = lua_tointeger(L, index);
    else if (lua_type(L, index) != LUA_TSTRING || !settings_parse(OPTION_DURATION, lua_tostring(L, index), &ms))
        luaL_error(L, "%s must be a duration such as \"10m\", or milliseconds, not %s", what,
                   luaL_tolstring(L, index, NULL));
    if (ms < 1 || ms > KEPT_MOST_MS)
        luaL_error(L, "%s is %d ms; allowed are 1 ms to 366 days", what, (int)(ms < INT32_MAX ? ms : INT32_MAX));
    return ms;
}

/* The options at `index` may have this one field; it is on top of the stack then, nil where it is not said. */
static void get_option(lua_State *L, int index, const char *what, const char *name)
{
    lua_settop(L, index);
    if (lua_isnil(L, index))
        return;
    if (!lua_istable(L, index))
        luaL_error(L, "%s: the options must be a table such as { %s = ... }, not %s", what, name,
                   luaL_typename(L, index));
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), name) != 0)
            luaL_error(L, "%s: there is no option `%s`; there is `%s`", what, luaL_tolstring(L, -1, NULL), name);
    }
    lua_pushstring(L, name);
    lua_rawget(L, index);
}

/* The value at `index` as JSON into `json`; false with the reason. */
static bool encode(lua_State *L, int index, const char *what, struct buf *json, struct err *err)
{
    buf_reset(json);
    bool ok = json_add(L, index, json, err);
    if (!ok && json->is_over)
        err_set(err, "it has more than %zu KiB as JSON", STATE_VALUE_MAX >> 10);
    json->is_over = false;
    return ok || err_wrap(err, "%s", what);
}

static bool has_room(const struct run *run, enum wish_kind kind, size_t bytes, struct err *err)
{
    return !run->memory || run->memory->has_room(run, kind, bytes, err);
}

/* state.get(key) -> value | nil
 *
 * What this flow put under `key`: as this run has set it, else as the run before did, be it on disk yet or not.
 *
 *     local last = state.get("status-" .. event.key)
 */
static int state_get(lua_State *L)
{
    const struct run *run = api_run(L, "state.get");
    struct slice key = check_name(L, 1, "the key of state.get"), json = SLICE_NONE;
    const struct wish *wish = wishes_find(&run->wishes, key);
    static struct err err; /* an error leaps over this frame */
    world_charge(L, CALL_INSTRUCTIONS);
    if (wish)
        json = (struct slice){wish->json, wish->json_size};
    else if (!run->memory || !run->memory->get(run, key, &json))
        json = SLICE_NONE;
    if (!json.size) {
        lua_pushnil(L);
        return 1;
    }
    world_charge(L, (int64_t)(json.size / BYTES_PER_INSTRUCTION));
    return json_push(L, json, &err) ? 1 : raise_about(L, "state.get", &err);
}

/* state.set(key, value [, { expires = "7d" }])
 *
 * Keeps `value`, whatever JSON can say, under `key`: from the moment on at which this run's effects are stored, and
 * not at all if the run fails.  With `expires` it is gone after that time, counted from the end of the run.
 *
 *     state.set("status-" .. event.key, event.body.status, { expires = "7d" })
 */
static int state_set(lua_State *L)
{
    static struct buf json = BUF_INIT(STATE_VALUE_MAX); /* of the loop thread, kept */
    static struct err err;
    struct run *run = api_run(L, "state.set");
    struct slice key = check_name(L, 1, "the key of state.set");
    if (lua_isnoneornil(L, 2))
        return luaL_error(L, "state.set: there is no value; state.delete forgets a key");
    get_option(L, 3, "state.set", "expires");
    int64_t in_ms = lua_isnil(L, -1) ? 0 : check_span(L, -1, "state.set: `expires`");
    err_clear(&err);
    bool ok = encode(L, 2, "the value", &json, &err);
    world_charge(L, CALL_INSTRUCTIONS + (int64_t)(json.size / BYTES_PER_INSTRUCTION));
    ok = ok && has_room(run, WISH_SET, key.size + json.size, &err);
    struct wish *wish = ok ? wishes_add(&run->wishes, WISH_SET, key, buf_slice(&json), &err) : NULL;
    if (!wish)
        return raise_about(L, "state.set", &err);
    wish->in_ms = in_ms;
    return 0;
}

/* state.delete(key)
 *
 * Forgets what is kept under `key`, with this run's effects.  No error where there is nothing.
 *
 *     state.delete("status-" .. event.key)
 */
static int state_delete(lua_State *L)
{
    static struct err err;
    struct run *run = api_run(L, "state.delete");
    struct slice key = check_name(L, 1, "the key of state.delete");
    world_charge(L, CALL_INSTRUCTIONS);
    return wishes_add(&run->wishes, WISH_DELETE, key, SLICE_NONE, &err) ? 0 : raise_about(L, "state.delete", &err);
}

/* timer.after(duration, step, data [, { name = ... }])
 *
 * When the duration has passed since the end of this run, a new run of this event begins at `step`, with
 * event.timer = { name, data } and event.late_by.  A timer of the same name is replaced: names are the flow's, so one
 * for each controller has the controller in its name.
 *
 *     timer.after("10m", "still_offline", { since = event.time }, { name = "offline-" .. event.key })
 */
static int timer_after(lua_State *L)
{
    static struct buf json = BUF_INIT(STATE_VALUE_MAX);
    static struct err err;
    char cause[EFFECT_ID_SIZE];
    struct run *run = api_run(L, "timer.after");
    int64_t in_ms = check_span(L, 1, "timer.after: the duration");
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "timer.after: the second is the name of a step, not %s", luaL_typename(L, 2));
    get_option(L, 4, "timer.after", "name");
    bool is_named = !lua_isnil(L, -1);
    continuation_cause(run, cause);
    struct slice name = is_named ? check_name(L, -1, "timer.after: the `name`") : slice_of(cause);
    err_clear(&err);
    int step = continuation_step(run, lua_tostring(L, 2), &err);
    bool ok = step >= 0;
    buf_reset(&json);
    if (ok && !lua_isnil(L, 3))
        ok = encode(L, 3, "the data", &json, &err);
    world_charge(L, CALL_INSTRUCTIONS + (int64_t)(json.size / BYTES_PER_INSTRUCTION));
    ok = ok && has_room(run, WISH_TIMER, json.size, &err);
    struct wish *wish = ok ? wishes_add(&run->wishes, WISH_TIMER, name, buf_slice(&json), &err) : NULL;
    if (!wish)
        return raise_about(L, "timer.after", &err);
    wish->in_ms = in_ms;
    wish->step = step;
    memcpy(wish->cause, cause, sizeof wish->cause);
    return 0;
}

/* timer.cancel(name)
 *
 * Stops the timer of this name, with this run's effects.  No error where there is none, or where it is due already.
 *
 *     timer.cancel("offline-" .. event.key)
 */
static int timer_cancel(lua_State *L)
{
    static struct err err;
    struct run *run = api_run(L, "timer.cancel");
    struct slice name = check_name(L, 1, "the name of timer.cancel");
    world_charge(L, CALL_INSTRUCTIONS);
    return wishes_add(&run->wishes, WISH_CANCEL, name, SLICE_NONE, &err) ? 0 : raise_about(L, "timer.cancel", &err);
}

/* uuid() -> text
 *
 * A name that nothing else has; the same, in its place, when the event is run again.  RFC 9562, version 8.
 *
 *     broker.publish { exchange = "orders", key = "order.new", body = { order = uuid() } }
 */
static int make_uuid(lua_State *L)
{
    struct run *run = api_run(L, "uuid");
    unsigned number = run->named++;
    world_charge(L, CALL_INSTRUCTIONS);
    struct slice parts[] = {slice_of(run->instance->release->name),
                            run_identity(run),
                            slice_of("uuid"),
                            {(const char *)&number, sizeof number}};
    unsigned char digest[HASH_SIZE];
    char hex[33], text[37];
    hash_parts(parts, sizeof parts / sizeof *parts, digest);
    digest[6] = (unsigned char)(0x80 | (digest[6] & 0x0f));
    digest[8] = (unsigned char)(0x80 | (digest[8] & 0x3f));
    hash_hex(digest, 16, hex);
    snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    lua_pushstring(L, text);
    return 1;
}

void api_add_memory(struct world *world)
{
    static const luaL_Reg state[] = {{"get", state_get}, {"set", state_set}, {"delete", state_delete}, {NULL, NULL}};
    static const luaL_Reg timer[] = {{"after", timer_after}, {"cancel", timer_cancel}, {NULL, NULL}};
    lua_State *L = world_lua(world);
    world_push_globals(world);
    luaL_newlib(L, state);
    lua_setfield(L, -2, "state");
    luaL_newlib(L, timer);
    lua_setfield(L, -2, "timer");
    lua_pushcfunction(L, make_uuid);
    lua_setfield(L, -2, "uuid");
    lua_pop(L, 1);
}
