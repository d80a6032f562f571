/* lib_table.c - `table`, as flows see it
 *
 * As in Lua, with each turn of a loop counted against the budget: a table whose __len answers 1e15 keeps
 * Lua's own functions busy for hours, in C, where no hook is called.
 *
 * sort is a merge sort: stable, never slower than n log n, and the same in every run (Lua's own draws
 * its pivot from the clock when a table is unlucky, and so orders equals now this way, now that). */
#include "core/lua/inside.h"

#include <limits.h>
#include <lualib.h>

static lua_Integer length_of(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    return luaL_len(L, 1);
}

/* t[to] = t[from] */
static void copy_field(lua_State *L, lua_Integer from, lua_Integer to)
{
    world_charge(L, 1);
    lua_geti(L, 1, from);
    lua_seti(L, 1, to);
}

static int table_insert(lua_State *L)
{
    lua_Integer behind = (lua_Integer)((lua_Unsigned)length_of(L) + 1);
    lua_Integer position = behind;
    switch (lua_gettop(L)) {
    case 2: break;
    case 3:
        position = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)position - 1u < (lua_Unsigned)behind, 2, "position out of bounds");
        for (lua_Integer i = behind; i > position; i--)
            copy_field(L, i - 1, i);
        break;
    default: return luaL_error(L, "table.insert takes a table, perhaps a position, and a value");
    }
    lua_seti(L, 1, position);
    return 0;
}

static int table_remove(lua_State *L)
{
    lua_Integer size = length_of(L);
    lua_Integer position = luaL_optinteger(L, 2, size);
    if (position != size)
        luaL_argcheck(L, (lua_Unsigned)position - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
    lua_geti(L, 1, position);
    for (; position < size; position++)
        copy_field(L, position + 1, position);
    lua_pushnil(L);
    lua_seti(L, 1, position);
    return 1;
}

static void add_field(lua_State *L, luaL_Buffer *text, lua_Integer i)
{
    world_charge(L, 1);
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
        luaL_error(L, "table.concat: a %s at index %I is no text", luaL_typename(L, -1), (LUAI_UACINT)i);
    luaL_addvalue(text);
}

static int table_concat(lua_State *L)
{
    lua_Integer size = length_of(L);
    size_t separator_size;
    const char *separator = luaL_optlstring(L, 2, "", &separator_size);
    lua_Integer i = luaL_optinteger(L, 3, 1);
    lua_Integer last = luaL_optinteger(L, 4, size);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (; i < last; i++) {
        add_field(L, &text, i);
        luaL_addlstring(&text, separator, separator_size);
    }
    if (i == last)
        add_field(L, &text, i);
    luaL_pushresult(&text);
    return 1;
}

static int table_unpack(lua_State *L)
{
    lua_Integer first = luaL_optinteger(L, 2, 1);
    lua_Integer last = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (first > last)
        return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
    if (count >= INT_MAX || !lua_checkstack(L, (int)count + 1))
        return luaL_error(L, "table.unpack: too many results");
    world_charge(L, (int64_t)count);
    for (lua_Unsigned i = 0; i <= count; i++)
        lua_geti(L, 1, (lua_Integer)((lua_Unsigned)first + i));
    return (int)count + 1;
}

static int table_pack(lua_State *L)
{
    int count = lua_gettop(L);
    lua_createtable(L, count, 1);
    lua_insert(L, 1);
    for (int i = count; i >= 1; i--)
        lua_rawseti(L, 1, i);
    lua_pushinteger(L, count);
    lua_setfield(L, 1, "n");
    return 1;
}

static void move_field(lua_State *L, int target, lua_Integer from, lua_Integer to)
{
    world_charge(L, 1);
    lua_geti(L, 1, from);
    lua_seti(L, target, to);
}

static int table_move(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 2);
    lua_Integer last = luaL_checkinteger(L, 3);
    lua_Integer to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    if (last >= first) {
        luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
        lua_Integer count = last - first + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wraps around");
        bool may_overwrite = to > first && to <= last && (target == 1 || lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer i = 0; i < count; i++) {
            lua_Integer at = may_overwrite ? count - 1 - i : i;
            move_field(L, target, first + at, to + at);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

/* ---- sort ---------------------------------------------------------------------------------- */

#define SORT_COMPARE 2 /* stack: the table, the comparator or nil, a copy of the values */
#define SORT_VALUES 3

/* Does the b-th value belong before the a-th?  Equals keep their order. */
static bool comes_before(lua_State *L, uint32_t b, uint32_t a)
{
    world_charge(L, 1);
    bool has_comparator = !lua_isnil(L, SORT_COMPARE);
    if (has_comparator)
        lua_pushvalue(L, SORT_COMPARE);
    lua_rawgeti(L, SORT_VALUES, b);
    lua_rawgeti(L, SORT_VALUES, a);
    bool answer;
    if (has_comparator) {
        lua_call(L, 2, 1);
        answer = lua_toboolean(L, -1);
        lua_pop(L, 1);
    } else {
        answer = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
    }
    return answer;
}

/* Merges from[first..middle) and from[middle..end) into `to`. */
static void merge(lua_State *L, const uint32_t *from, uint32_t *to, size_t first, size_t middle, size_t end)
{
    size_t left = first, right = middle;
    if (middle >= end || !comes_before(L, from[middle], from[middle - 1])) { /* in order already */
        memcpy(to + first, from + first, (end - first) * sizeof *to);
        return;
    }
    for (size_t i = first; i < end; i++) {
        bool take_right = left == middle || (right < end && comes_before(L, from[right], from[left]));
        to[i] = take_right ? from[right++] : from[left++];
    }
}

static int table_sort(lua_State *L)
{
    lua_Integer length = length_of(L);
    if (length < 2)
        return 0;
    luaL_argcheck(L, length < INT_MAX / 8, 1, "too many elements to sort");
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    world_charge(L, 2 * length);
    size_t count = (size_t)length;
    lua_createtable(L, (int)length, 0);
    uint32_t *order = lua_newuserdatauv(L, 2 * count * sizeof *order, 0);
    uint32_t *other = order + count;
    for (uint32_t i = 0; i < count; i++) {
        lua_geti(L, 1, (lua_Integer)i + 1);
        lua_rawseti(L, SORT_VALUES, (lua_Integer)i + 1);
        order[i] = i + 1;
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t first = 0; first < count; first += 2 * width) {
            size_t middle = first + width < count ? first + width : count;
            size_t end = first + 2 * width < count ? first + 2 * width : count;
            merge(L, order, other, first, middle, end);
        }
        uint32_t *merged = other;
        other = order;
        order = merged;
    }
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, SORT_VALUES, order[i]);
        lua_seti(L, 1, (lua_Integer)i + 1);
    }
    return 0;
}

int lib_table_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"insert", table_insert}, {"remove", table_remove}, {"concat", table_concat}, {"unpack", table_unpack},
        {"pack", table_pack},     {"move", table_move},     {"sort", table_sort},     {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
