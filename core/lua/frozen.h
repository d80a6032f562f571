/* frozen.h - tables that nobody can change
 *
 * What outlives an event (libraries, connections, what modules return) is shared by all runs of a
 * release.  A flow that changed it would change what the next event meets, so it is frozen: the table
 * stays the same object, but its content moves into a second one that only its metatable knows.
 * Reading, pairs, ipairs, # and JSON see the content; writing raises. */
#ifndef HEADGATE_LUA_FROZEN_H
#define HEADGATE_LUA_FROZEN_H

#include <lua.h>
#include <stdbool.h>

/* Freezes the table at `index` and the tables in it, down to a depth of 32.  A table that has a metatable already is
 * left as it is.  May raise on lack of memory. */
void frozen_make(lua_State *L, int index);
/* Replaces the table on top of the stack by an empty, frozen one that shows it.  May raise on lack of memory. */
void frozen_cover(lua_State *L);
/* If the value at `index` is frozen, pushes its content (which must not reach a flow) and returns true. */
bool frozen_content(lua_State *L, int index);

#endif
