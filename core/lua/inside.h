/* inside.h - what the files of a world share, and nobody else needs
 *
 * world.c keeps the limits; lib_*.c are the libraries that flows see. */
#ifndef HEADGATE_LUA_INSIDE_H
#define HEADGATE_LUA_INSIDE_H

#include "core/lua/world.h"

#include <lauxlib.h>

#define WORLD_IDLE_MOST 64 /* finished threads kept for the next event */

struct world {
    lua_State *lua;               /* the main thread */
    struct world_options options; /* with the defaults filled in */
    bool is_sealed;               /* the first chunk was loaded: the host adds nothing more */
    int64_t now_ms;               /* what now() answers */

    size_t used_bytes; /* by the whole state, garbage included */
    bool is_full;      /* this resume hit the ceiling */

    lua_State *running;   /* the thread that is being resumed; NULL: no limit counts */
    int64_t left;         /* instructions of its step that the hook has not yet counted off */
    int64_t began_ns;     /* when this resume's hook first ran, monotonic (0: not yet) ... */
    int64_t began_cpu_ns; /* ... and in CPU time of the loop thread */
    bool is_spent;        /* its budget is gone */
    bool is_slow;         /* not by instructions but by the clock */

    lua_State *idle[WORLD_IDLE_MOST]; /* finished threads, still anchored */
    size_t idle_count;                /* of them */
};

struct world *world_of(lua_State *L); /* NULL: the state is no world's */
/* Loads a chunk as a function onto L, with the world's globals; false with the message on L instead. */
bool world_compile(lua_State *L, const char *chunk, struct slice source);

/* Each pushes one table of functions. */
int lib_string_open(lua_State *L); /* also the methods of strings */
int lib_table_open(lua_State *L);
/* Fills the table on top of the stack with the plain functions (pairs, pcall, ...), `log` and `require`. */
void lib_base_fill(lua_State *L);

#endif
