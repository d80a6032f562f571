/* world.h - the world of one flow release: a Lua state that can be left alone with foreign code
 *
 * Pure libraries, `json`, `require` (of what the host offers), `log`, `now()`; no io, os, debug,
 * load, coroutine, bytecode, and nothing that differs from one run to the next: no random numbers, no
 * clock, `pairs` in an order of its own.  A ceiling for memory, a budget of VM instructions for each step
 * that no pcall escapes, bounds on the library functions that can run long in C.
 *
 *     world_new ─► world_push_globals (the host adds its tables) ─► world_load (flow.lua)
 *     for each event:  world_thread ─► push a function and its arguments ─► world_resume ─► ... ─► world_drop
 *
 * What the host adds: each table in the globals is frozen (see frozen.h) when the first chunk is loaded.
 * A host function finds its run by lua_getextraspace(L): the one pointer there is the host's, NULL
 * from world_thread on until the host sets it, and NULL at the top level of chunks, where no run is.
 * It may raise; it may lua_yield[k] where the run has to wait; it must hold nothing of its own meanwhile.
 * Outside of world_load and world_resume the ceiling does not count, so that the host's own pushes
 * onto stacks of this state cannot fail; what is too much then fails the next resume.
 * Owned by the loop thread. */
#ifndef HEADGATE_LUA_WORLD_H
#define HEADGATE_LUA_WORLD_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <lua.h>

#define WORLD_MEMORY_BYTES (32 << 20)
#define WORLD_INSTRUCTIONS 2000000

struct world_options {
    size_t memory_bytes;  /* ceiling for the whole state (for the length of one instruction twice as much); 0: 32 MiB */
    int64_t instructions; /* budget of each world_load, and of each world_resume that begins a step; 0: 2,000,000.  32
                           * bytes allocated and 4 steps of a pattern count as one instruction. */
    /* The source of the module `name` ("rules.monitored"), lent until the next call; `chunk`, which is empty, gets its
     * name for tracebacks ("rules/monitored.lua").  False: there is none. */
    bool (*find)(void *context, const char *name, struct slice *source, struct buf *chunk);
    void (*log)(void *context, const char *level, const char *text); /* log.info(...) and its like; may be NULL */
    void *context;
};

struct world;

struct world *world_new(const struct world_options *options, struct err *err);
void world_free(struct world *world);
lua_State *world_lua(struct world *world);      /* the main thread, for whoever puts tables into the world */
size_t world_memory(const struct world *world); /* bytes in use */
/* The table of the world's globals on top of the main thread's stack; only before the first chunk is loaded. */
void world_push_globals(struct world *world);

/* Runs the chunk within the limits; its one return value stays on the main thread's stack.  The error is the
 * message with its traceback. */
bool world_load(struct world *world, const char *chunk, struct slice source, struct err *err);

enum world_status { WORLD_DONE, WORLD_WAITING, WORLD_FAILED };
/* A fresh coroutine, anchored until world_drop.  Finished (DONE), it may be given another function to run. */
lua_State *world_thread(struct world *world);
/* lua_resume under a budget: `is_new_step` starts a fresh one, else the rest of the last goes on.  WAITING: a host
 * function yielded.  FAILED: `err` has message and traceback; the thread can only be dropped.  A budget that is spent,
 * or a memory ceiling that was hit even if the flow caught it, is FAILED. `results`: values on top of the thread. */
enum world_status world_resume(struct world *world, lua_State *thread, int arguments, bool is_new_step, int *results,
                               struct err *err);
void world_drop(struct world *world, lua_State *thread); /* may be reused by world_thread */
void world_set_now(struct world *world, int64_t now_ms); /* what now() answers, until set again */

/* For functions in C that flows call: counts work as so many instructions, and ends the run (without returning) if its
 * budget is spent by that.  Does nothing outside of a run, or in a state that is no world's. */
void world_charge(lua_State *L, int64_t instructions);

#endif
