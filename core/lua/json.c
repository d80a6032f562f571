/* json.c - `json`, as flows see it; the work is done in json_read.c and json_write.c
 *
 * null cannot be Lua's nil: a field that is null would be a field that is not there, and a list with
 * a null in it would end early.  So it is a value of its own, json.null.  It counts as true in an `if`
 * (only nil and false do not); whoever reads a field of it is told so.
 *
 * The mark of an array is a metatable: it costs nothing to carry, and an empty list stays a list on its
 * way through a flow. */
#include "core/lua/json.h"

#include "core/lua/world.h"

#include <lauxlib.h>

#define ENCODE_MOST (4 << 20)    /* bytes of one json.encode: larger than any event or effect may be */
#define ENCODE_KEEP (64 << 10)   /* bytes of its buffer that stay allocated between two calls */
#define BYTES_PER_INSTRUCTION 64 /* what decoding and encoding count against the budget */

static const char null_address; /* its address is json.null */
static const char array_key;    /* registry: the metatable of arrays */

void json_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&null_address);
}

bool json_null_at(lua_State *L, int index)
{
    return lua_touserdata(L, index) == (const void *)&null_address && lua_islightuserdata(L, index);
}

void json_push_array_mark(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
}

/* json.decode(text) -> value
 *
 * The value that the JSON `text` stands for.  Raises where it is not JSON, with the place.
 *
 *     local order = json.decode('{"id": 9007199254740993, "lines": []}')
 */
static int decode(lua_State *L)
{
    struct slice text;
    text.data = luaL_checklstring(L, 1, &text.size);
    world_charge(L, (int64_t)(text.size / BYTES_PER_INSTRUCTION));
    struct err err;
    err.text[0] = '\0';
    if (!json_push(L, text, &err))
        return luaL_error(L, "json.decode: %s", err.text);
    return 1;
}

/* json.encode(value) -> text
 *
 * The JSON text of a value.  Raises where the value has no JSON form, with the path to the place.
 *
 *     json.encode({ id = 7, lines = json.array{} })   --> {"id":7,"lines":[]}
 */
static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct buf *out = lua_touserdata(L, lua_upvalueindex(1));
    buf_reset(out);
    struct err err;
    err.text[0] = '\0';
    bool ok = json_add(L, 1, out, &err);
    world_charge(L, (int64_t)(out->size / BYTES_PER_INSTRUCTION));
    if (!ok)
        return luaL_error(L, "json.encode: %s", err.text);
    lua_pushlstring(L, out->data, out->size);
    if (out->room > ENCODE_KEEP)
        buf_clear(out);
    return 1;
}

/* json.array(table) -> table
 *
 * Marks the table (or a new one) as a list, so that it is [] even when it is empty.
 *
 *     local lines = json.array{}
 */
static int array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    json_push_array_mark(L);
    if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, 2))
        return luaL_argerror(L, 1, "a plain table expected, this one has a metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int null_to_text(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

static int null_has_no_fields(lua_State *L)
{
    return luaL_error(L, "this is null, it has no field '%s'", luaL_tolstring(L, 2, NULL));
}

static int buffer_free(lua_State *L)
{
    buf_clear(lua_touserdata(L, 1));
    return 0;
}

/* The buffer of json.encode lives in the state: an error that leaps over us leaves it with its owner. */
static void push_buffer(lua_State *L)
{
    struct buf *out = lua_newuserdatauv(L, sizeof *out, 0);
    *out = (struct buf)BUF_INIT(ENCODE_MOST);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, buffer_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

/* Metatables of light userdata belong to the type: json.null is the only one that flows ever get to see. */
static void dress_null(lua_State *L)
{
    static const luaL_Reg events[] = {
        {"__tostring", null_to_text},
        {"__index", null_has_no_fields},
        {NULL, NULL},
    };
    json_push_null(L);
    luaL_newlib(L, events);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

int json_open(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    dress_null(L);

    lua_createtable(L, 0, 4);
    lua_pushcfunction(L, decode);
    lua_setfield(L, -2, "decode");
    push_buffer(L);
    lua_pushcclosure(L, encode, 1);
    lua_setfield(L, -2, "encode");
    lua_pushcfunction(L, array);
    lua_setfield(L, -2, "array");
    json_push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
