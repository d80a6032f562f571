/* keys.h - the keys of a table in an order that is the same in every process
 *
 * Lua's own order depends on a seed that each state draws anew.  What a flow does must not: a run that
 * is run again, rehearsed, or run beside its candidate has to give the same effects in the same order.
 * So `pairs` and the JSON writer go through a table by this order: numbers first, by size; then
 * strings, by their bytes; then whatever else, as Lua happens to have it. */
#ifndef HEADGATE_LUA_KEYS_H
#define HEADGATE_LUA_KEYS_H

#include "core/base/slice.h"

#include <lua.h>

#define KEYS_FEW 32 /* as many are worth an array on the C stack */

struct key {
    struct slice text; /* of a string, lent by the table */
    lua_Number number; /* of a number */
    lua_Integer exact; /* of an integer */
    int type;          /* LUA_T... */
    bool is_integer;   /* a number without a fraction, held in `exact` */
    int slot;          /* stack index where the key lies */
};

/* Pushes the raw keys of the table at `index`; returns how many, -1 if the stack cannot hold them (nothing is pushed
 * then).  Never raises. */
int keys_push(lua_State *L, int index);
/* Describes the `count` keys on top of the stack in `keys`, sorted.  Never raises. */
void keys_sort(lua_State *L, struct key *keys, int count);

#endif
