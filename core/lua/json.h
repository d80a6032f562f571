/* json.h - JSON to Lua values and back, exact
 *
 *     JSON                    Lua
 *     integer in int64        integer (beyond int64 it is refused)
 *     other number            float
 *     null                    json.null (a light userdata that prints as null, equal only to itself)
 *     [] / {}                 told apart: an array carries the metatable of json.array{}
 *
 * A table encodes as an array if json.array made it or if its keys are 1..n with n > 0; an empty table
 * without the mark is {}.  Mixed keys, holes, NaN, infinities, functions, invalid UTF-8, depth over 64
 * are refused with the path to the place ("items[3].price: ...").  Duplicate keys and invalid UTF-8 in
 * the input are refused with the number of the byte, the first being 1.
 *
 * The keys of an object are written in the order of their bytes: the same value is the same text, in
 * every process, so that two runs can be compared. */
#ifndef HEADGATE_LUA_JSON_H
#define HEADGATE_LUA_JSON_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <lua.h>

#define JSON_DEPTH_MOST 64

/* Puts `json.decode`, `.encode`, `.null`, `.array` as a table on the stack.  json.decode and json.encode raise. */
int json_open(lua_State *L);
/* Pushes the value, or pushes nothing and returns false.  May raise on lack of memory only; so it must not be
 * called within a run by code that holds something. */
bool json_push(lua_State *L, struct slice text, struct err *err);
/* Adds the JSON text of the value at `index`.  False with the reason (past the ceiling of `out`, too); `out` may then
 * hold a part.  Never raises, and calls no metamethod. */
bool json_add(lua_State *L, int index, struct buf *out, struct err *err);
void json_push_null(lua_State *L);

/* Between the files of the codec. */
void json_push_array_mark(lua_State *L); /* the metatable of arrays; nil before json_open */
bool json_null_at(lua_State *L, int index);

#endif
