/* lib_base.c - the plain functions of a flow's world: pairs, pcall, require, log, ...
 *
 * Most are Lua's own.  Those here differ from them:
 *
 *     pairs            goes through a table in an order that is the same in every process (keys.h), as it
 *                      was when pairs was called; what is removed meanwhile is skipped
 *     next, raw...     see the content of a frozen table; rawset refuses one
 *     setmetatable     refuses __gc, which would run at anybody's time and cost, and __close
 *     xpcall           calls its handler once the error was caught: a handler that is called while the
 *                      error is raised can run with the count hook switched off
 *     math.random      says why it is not there
 *     require          loads modules that the host offers, once in each world; what they return is frozen */
#include "core/lua/inside.h"

#include "core/base/utf8.h"
#include "core/lua/frozen.h"
#include "core/lua/keys.h"

#include <inttypes.h>
#include <lualib.h>

#define LOG_TEXT_MOST 4000       /* bytes */
#define LOG_INSTRUCTIONS 1000    /* what a line in the log counts against the budget */
#define BYTES_PER_INSTRUCTION 16 /* what looking through a string counts */
#define MODULE_NAME_MOST 200     /* bytes */

static const char modules_key; /* registry: name -> what the module returned */

/* ---- tables -------------------------------------------------------------------------------- */

/* Puts the content in the place of a frozen argument. */
static bool see_through(lua_State *L, int index)
{
    if (!frozen_content(L, index))
        return false;
    lua_replace(L, index);
    return true;
}

static int base_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    see_through(L, 1);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int base_rawget(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    see_through(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int base_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (frozen_content(L, 1))
        return luaL_argerror(L, 1, "this table is shared by all events and stays as it is");
    lua_rawset(L, 1);
    return 1;
}

static int base_rawlen(lua_State *L)
{
    int type = lua_type(L, 1);
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
    see_through(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static void refuse_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    if (lua_rawget(L, 2) != LUA_TNIL)
        luaL_error(L, "setmetatable: a flow's tables have no %s", name);
    lua_pop(L, 1);
}

static int base_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (lua_istable(L, 2)) {
        refuse_field(L, "__gc");
        refuse_field(L, "__close");
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* Upvalues: the table, its keys in order, how many of them were given out. */
static int next_pair(lua_State *L)
{
    lua_Integer given = lua_tointeger(L, lua_upvalueindex(3));
    lua_settop(L, 0);
    for (;;) {
        if (lua_rawgeti(L, lua_upvalueindex(2), ++given) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, 1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
            break;
        lua_settop(L, 0);
    }
    lua_pushinteger(L, given);
    lua_replace(L, lua_upvalueindex(3));
    return 2;
}

/* Pushes a list of the keys of the table at `index`, sorted. */
static void push_sorted_keys(lua_State *L, int index)
{
    int top = lua_gettop(L);
    int count = keys_push(L, index);
    if (count < 0)
        luaL_error(L, "pairs: this table has too many keys");
    if (count == 0) {
        lua_newtable(L);
        return;
    }
    luaL_checkstack(L, 4, "pairs");
    struct key few[KEYS_FEW];
    struct key *keys = few;
    if (count > KEYS_FEW) {
        keys = lua_newuserdatauv(L, (size_t)count * sizeof *keys, 0);
        lua_insert(L, top + 1);
    }
    keys_sort(L, keys, count);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, keys[i].slot);
        lua_rawseti(L, -2, i + 1);
    }
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

static int pairs_ready(lua_State *L, int status, lua_KContext context)
{
    (void)L, (void)status, (void)context;
    return 3;
}

static int base_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, pairs_ready);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, 1);
    see_through(L, 2);
    push_sorted_keys(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_pair, 3);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* ---- calls --------------------------------------------------------------------------------- */

/* Stack: function, handler, true, results... */
static int xpcall_handled(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) { /* the handler failed, too: its error is the answer */
        lua_pushboolean(L, false);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushboolean(L, false);
    lua_replace(L, 3);
    return lua_gettop(L) - 2;
}

static int xpcall_called(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 2;
    lua_pushvalue(L, 2);
    lua_insert(L, -2); /* function, handler, true, handler, error */
    status = lua_pcallk(L, 1, LUA_MULTRET, 0, 0, xpcall_handled);
    return xpcall_handled(L, status, 0);
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int arguments = lua_gettop(L) - 2;
    luaL_checkstack(L, 4, "xpcall");
    lua_pushboolean(L, true);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* function, handler, true, function, arguments... */
    int status = lua_pcallk(L, arguments, LUA_MULTRET, 0, 0, xpcall_called);
    return xpcall_called(L, status, 0);
}

/* Upvalue: a function of Lua's own that looks through its first argument without being watched. */
static int charged(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        world_charge(L, (int64_t)(lua_rawlen(L, 1) / BYTES_PER_INSTRUCTION));
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int no_random(lua_State *L)
{
    return luaL_error(L, "math.random is not here: an event that is run again must have the same effects");
}

/* now() -> integer
 *
 * Milliseconds since 1970 when this run began.  It stands still while the run lasts.
 *
 *     local age_ms = now() - event.time
 */
static int base_now(lua_State *L)
{
    lua_pushinteger(L, world_of(L)->now_ms);
    return 1;
}

/* log.debug(...), log.info(...), log.warning(...), log.error(...); print(...) is log.info(...)
 *
 * A line in the log, its arguments as text with spaces between them.  Cut at 4000 bytes.
 *
 *     log.warning("no contact for site", event.body.site)
 */
static int base_log(lua_State *L)
{
    struct world *world = world_of(L);
    int count = lua_gettop(L);
    world_charge(L, LOG_INSTRUCTIONS);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&text, ' ');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    struct slice line;
    line.data = lua_tolstring(L, -1, &line.size);
    if (line.size > LOG_TEXT_MOST) {
        line = utf8_cut(line, LOG_TEXT_MOST);
        line.data = lua_pushlstring(L, line.data, line.size);
    }
    if (world->options.log)
        world->options.log(world->options.context, lua_tostring(L, lua_upvalueindex(1)), line.data);
    return 0;
}

/* ---- require ------------------------------------------------------------------------------- */

static int base_require(lua_State *L);

/* Which modules are being loaded is to be read off the stack: no list that an error could leave behind.  Raises if
 * `name` is among them. */
static void refuse_circle(lua_State *L, const char *name)
{
    lua_Debug frame;
    bool is_circle = false;
    int top = lua_gettop(L);
    lua_pushstring(L, name);
    for (int level = 1; !is_circle && lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "f", &frame);
        bool is_require = lua_tocfunction(L, -1) == base_require;
        lua_settop(L, top + 1);
        if (!is_require || !lua_getlocal(L, &frame, 1))
            continue;
        is_circle = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), name) == 0;
        lua_pushfstring(L, "%s > %s", lua_tostring(L, -1), lua_tostring(L, top + 1));
        lua_replace(L, top + 1);
        lua_settop(L, top + 1);
    }
    if (is_circle)
        luaL_error(L, "require: modules need each other in a circle: %s", lua_tostring(L, top + 1));
    lua_settop(L, top);
}

/* Pushes the function of the module. */
static void compile_module(lua_State *L, const char *name)
{
    struct world *world = world_of(L);
    struct slice source = SLICE_NONE;
    char path[MODULE_NAME_MOST + 60];
    struct buf chunk = BUF_INIT(sizeof path - 1);
    bool is_there = world->options.find && world->options.find(world->options.context, name, &source, &chunk);
    snprintf(path, sizeof path, "%s", chunk.data ? chunk.data : name);
    buf_clear(&chunk); /* before anything can raise */
    if (!is_there)
        luaL_error(L, "require: there is no module '%s'", name);
    if (!world_compile(L, path, source))
        lua_error(L);
}

/* require(name) -> value
 *
 * What the module returns: a rule ("rules.monitored") or a part of the engine's flow side ("headgate.first").  It is
 * loaded once for each release of a flow, and frozen.  Raises if there is none, or if it needs itself.
 *
 *     local monitored = require "rules.monitored"
 */
static int base_require(lua_State *L)
{
    size_t size;
    const char *name = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, size > 0 && size <= MODULE_NAME_MOST && strlen(name) == size, 1, "not the name of a module");
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
    if (lua_getfield(L, 2, name) != LUA_TNIL)
        return 1;
    if (*(void **)lua_getextraspace(L)) /* the host marks threads that run steps */
        return luaL_error(L, "require '%s': modules are required at the top of a file, not inside of a step", name);
    lua_settop(L, 2);
    refuse_circle(L, name);
    compile_module(L, name);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1))
        return luaL_error(L, "require: module '%s' returns nothing", name);
    if (lua_istable(L, -1))
        frozen_make(L, -1);
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

/* ---- putting it together ------------------------------------------------------------------- */

static void take_from_lua(lua_State *L, int globals)
{
    static const char *const names[] = {"assert",   "error",  "getmetatable", "ipairs", "pcall",
                                        "rawequal", "select", "tostring",     "type",   NULL};
    luaL_requiref(L, "_G", luaopen_base, 0);
    for (int i = 0; names[i]; i++) {
        lua_getfield(L, -1, names[i]);
        lua_setfield(L, globals, names[i]);
    }
    lua_getfield(L, -1, "tonumber");
    lua_pushcclosure(L, charged, 1);
    lua_setfield(L, globals, "tonumber");
    lua_pop(L, 1);

    luaL_requiref(L, "math", luaopen_math, 0);
    lua_pushcfunction(L, no_random);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "random");
    lua_setfield(L, -2, "randomseed");
    lua_setfield(L, globals, "math");

    luaL_requiref(L, "utf8", luaopen_utf8, 0);
    static const char *const lookers[] = {"len", "codepoint", "offset", NULL};
    for (int i = 0; lookers[i]; i++) {
        lua_getfield(L, -1, lookers[i]);
        lua_pushcclosure(L, charged, 1);
        lua_setfield(L, -2, lookers[i]);
    }
    lua_setfield(L, globals, "utf8");
}

static void push_log(lua_State *L, const char *level)
{
    lua_pushstring(L, level);
    lua_pushcclosure(L, base_log, 1);
}

void lib_base_fill(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"next", base_next},
        {"rawget", base_rawget},
        {"rawset", base_rawset},
        {"rawlen", base_rawlen},
        {"setmetatable", base_setmetatable},
        {"pairs", base_pairs},
        {"xpcall", base_xpcall},
        {"now", base_now},
        {"require", base_require},
        {NULL, NULL},
    };
    static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
    int globals = lua_gettop(L);
    take_from_lua(L, globals);
    luaL_setfuncs(L, functions, 0);
    lua_pushliteral(L, LUA_VERSION);
    lua_setfield(L, globals, "_VERSION");
    push_log(L, "info");
    lua_setfield(L, globals, "print");
    lua_newtable(L);
    for (int i = 0; levels[i]; i++) {
        push_log(L, levels[i]);
        lua_setfield(L, -2, levels[i]);
    }
    lua_setfield(L, globals, "log");
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
}
