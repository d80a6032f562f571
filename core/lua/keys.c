/* keys.c - see keys.h */
#include "core/lua/keys.h"

#include <stdlib.h>

#define INSERTION_MOST 16 /* keys that are sorted faster without qsort */

int keys_push(lua_State *L, int index)
{
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    if (!lua_checkstack(L, 4))
        return -1;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (!lua_checkstack(L, 4)) {
            lua_settop(L, top);
            return -1;
        }
        lua_pushvalue(L, -1); /* this one is for lua_next, the one below stays */
    }
    return lua_gettop(L) - top;
}

static int rank(const struct key *key)
{
    return key->type == LUA_TNUMBER ? 0 : key->type == LUA_TSTRING ? 1 : 2;
}

static int compare_text(const struct slice *a, const struct slice *b)
{
    size_t common = a->size < b->size ? a->size : b->size;
    int order = common ? memcmp(a->data, b->data, common) : 0;
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    if (rank(a) != rank(b))
        return rank(a) - rank(b);
    int order = 0;
    if (a->type == LUA_TSTRING)
        order = compare_text(&a->text, &b->text);
    else if (a->type == LUA_TNUMBER && a->is_integer && b->is_integer)
        order = (a->exact > b->exact) - (a->exact < b->exact);
    else if (a->type == LUA_TNUMBER)
        order = (a->number > b->number) - (a->number < b->number);
    return order ? order : a->slot - b->slot;
}

void keys_sort(lua_State *L, struct key *keys, int count)
{
    int first = lua_gettop(L) - count + 1;
    for (int i = 0; i < count; i++) {
        struct key *key = &keys[i];
        *key = (struct key){.slot = first + i, .type = lua_type(L, first + i)};
        if (key->type == LUA_TSTRING) {
            key->text.data = lua_tolstring(L, key->slot, &key->text.size);
        } else if (key->type == LUA_TNUMBER) {
            key->is_integer = lua_isinteger(L, key->slot);
            key->exact = key->is_integer ? lua_tointeger(L, key->slot) : 0;
            key->number = lua_tonumber(L, key->slot);
        }
    }
    if (count > INSERTION_MOST) {
        qsort(keys, (size_t)count, sizeof *keys, compare);
        return;
    }
    for (int i = 1; i < count; i++) {
        struct key key = keys[i];
        int at = i;
        for (; at > 0 && compare(&keys[at - 1], &key) > 0; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}
