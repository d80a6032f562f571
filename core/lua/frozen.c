/* frozen.c - see frozen.h */
#include "core/lua/frozen.h"

#include "core/lua/world.h"

#include <lauxlib.h>

#define DEPTH_MOST 32

static const char content_key; /* in the metatable of a frozen table: its content */

bool frozen_content(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    if (lua_rawgetp(L, -1, &content_key) == LUA_TTABLE) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 2);
    return false;
}

static int refuse(lua_State *L)
{
    return luaL_error(L, "'%s' cannot be set: this table is shared by all events and stays as it is",
                      luaL_tolstring(L, 2, NULL));
}

static int length(lua_State *L)
{
    lua_pushinteger(L, frozen_content(L, 1) ? (lua_Integer)lua_rawlen(L, -1) : 0);
    return 1;
}

/* The metatable of the table at `index`, for a content that is on top of the stack. */
static void dress(lua_State *L, int index)
{
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, &content_key);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, length);
    lua_setfield(L, -2, "__len");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, index);
}

static void freeze(lua_State *L, int index, int depth)
{
    luaL_checkstack(L, 8, "frozen table");
    if (depth > DEPTH_MOST || !lua_istable(L, index))
        return;
    if (lua_getmetatable(L, index)) {
        lua_pop(L, 1);
        return;
    }
    lua_newtable(L);
    int content = lua_gettop(L);
    dress(L, index); /* first, so that a table that contains itself is met as frozen */
    lua_pushnil(L);
    while (lua_next(L, index)) {
        world_charge(L, 2);
        freeze(L, lua_gettop(L), depth + 1);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, content); /* content[key] = value */
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, index); /* clearing a field while going through a table is allowed */
    }
    lua_pop(L, 1);
}

void frozen_cover(lua_State *L)
{
    luaL_checkstack(L, 8, "frozen table");
    lua_newtable(L);
    lua_insert(L, -2);
    dress(L, lua_gettop(L) - 1);
    lua_pop(L, 1);
}

void frozen_make(lua_State *L, int index)
{
    freeze(L, lua_absindex(L, index), 1);
}
