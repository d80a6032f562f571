/* world.c - the limits of a world, and its threads; see world.h
 *
 * Memory.  The allocator counts.  Past the ceiling it has the hook called at the next instruction, which
 * collects all garbage and ends the run if too much is left.  (Refusing at once would not do: Lua's
 * string buffers do not collect before they give up, so a run would fail by other runs' garbage.)
 * One instruction that would double the ceiling is refused; a flow may catch the error, so that is noted,
 * and the resume is FAILED however it ends.
 *
 * Budget.  A count hook is called every 1000 instructions.  What C does in bulk counts too: bytes
 * allocated, steps of a pattern (world_charge).  Once the budget is spent:
 *
 *     where the thread can yield       the hook yields, and nobody ever resumes it: no pcall sees that
 *     where it cannot (a comparator,   the hook raises, and is from now on called at every instruction:
 *     a gsub callback, a module)       who catches the error raises the next one
 *
 * A hook that raises is not called again until somebody has caught the error; a message handler would run
 * unwatched meanwhile.  So flows get an xpcall that calls its handler after the error was caught
 * (lib_base.c), and the engine's own look at an error calls no metamethod.
 *
 * The clock is a last resort for what nobody thought of: a resume that burns two seconds of CPU is
 * FAILED too.
 *
 * Threads.  One that finished is kept for the next event.  One that failed or waits is only let go: the
 * collector frees it without running a line of the flow (closing it would run __close metamethods). */
#include "core/lua/inside.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "core/lua/frozen.h"
#include "core/lua/json.h"

#include <assert.h>
#include <inttypes.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HOOK_EVERY 1000                 /* instructions */
#define BYTES_PER_INSTRUCTION 32        /* what allocating counts against the budget */
#define CPU_MOST_NS INT64_C(2000000000) /* of one resume */
#define COLLECTOR_PAUSE 400             /* percent the heap may grow between two collections: a world is small */
#define MESSAGE_MOST 1200               /* bytes of an error that leave room for its traceback */

static const char environment_key; /* registry: what chunks have as _ENV; empty, looks things up in ... */
static const char globals_key;     /* registry: ... the globals */

/* ---- memory -------------------------------------------------------------------------------- */

static void on_count(lua_State *L, lua_Debug *where);

static bool is_over_ceiling(const struct world *world)
{
    return world->used_bytes > world->options.memory_bytes;
}

/* Within a run: false if there must not be so much.  Bytes are work, too. */
static bool may_have(struct world *world, size_t old_bytes, size_t new_bytes)
{
    size_t more = new_bytes > old_bytes ? new_bytes - old_bytes : 0;
    size_t most = 2 * world->options.memory_bytes;
    if (more > 0 && (more > most || world->used_bytes > most - more)) {
        world->is_full = true;
        return false;
    }
    world->left -= (int64_t)(new_bytes / BYTES_PER_INSTRUCTION);
    bool is_over = world->used_bytes + more > world->options.memory_bytes;
    if (is_over || world->left < 0) /* this is no place to raise from: have the hook called at once */
        lua_sethook(world->running, on_count, LUA_MASKCOUNT, 1);
    return true;
}

static void *allocate(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    struct world *world = context;
    if (!block)
        old_bytes = 0; /* Lua says there what kind of object it is for */
    if (new_bytes == 0) {
        world->used_bytes -= old_bytes;
        free(block);
        return NULL;
    }
    if (world->running && !may_have(world, old_bytes, new_bytes))
        return NULL;
    world->used_bytes += new_bytes - old_bytes;
    return mem_resize(block, new_bytes);
}

struct world *world_of(lua_State *L)
{
    void *context;
    return lua_getallocf(L, &context) == allocate ? context : NULL;
}

/* ---- budget -------------------------------------------------------------------------------- */

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The cheap clock first: waiting for a busy machine is no fault of the flow. */
static bool is_late(struct world *world)
{
    if (world->began_ns == 0) {
        world->began_ns = clock_mono_ns();
        world->began_cpu_ns = cpu_ns();
    }
    world->is_slow = clock_mono_ns() - world->began_ns > CPU_MOST_NS && cpu_ns() - world->began_cpu_ns > CPU_MOST_NS;
    return world->is_slow;
}

static void grant(struct world *world, lua_State *L)
{
    int64_t instructions = world->left < HOOK_EVERY ? world->left : HOOK_EVERY;
    if (instructions < 1 || is_over_ceiling(world))
        instructions = 1;
    world->left -= instructions;
    lua_sethook(L, on_count, LUA_MASKCOUNT, (int)instructions);
}

static int end_run(struct world *world, lua_State *L)
{
    world->is_spent = true;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    if (lua_isyieldable(L))
        return lua_yield(L, 0);
    return luaL_error(L, "the budget is spent");
}

/* Collects, at the price of the work that this is; true if too much is left. */
static bool is_full(struct world *world, lua_State *L)
{
    if (is_over_ceiling(world) && !world->is_full) {
        world->left -= (int64_t)(world->used_bytes / BYTES_PER_INSTRUCTION / 2);
        lua_gc(L, LUA_GCCOLLECT);
        world->is_full = is_over_ceiling(world);
    }
    return world->is_full;
}

static void on_count(lua_State *L, lua_Debug *where)
{
    (void)where;
    struct world *world = world_of(L);
    if (world->is_spent || is_full(world, L) || world->left <= 0 || is_late(world))
        end_run(world, L);
    else
        grant(world, L);
}

void world_charge(lua_State *L, int64_t instructions)
{
    struct world *world = world_of(L);
    if (!world || world->running != L)
        return;
    world->left -= instructions;
    if (world->left < 0)
        end_run(world, L);
}

/* ---- failures ------------------------------------------------------------------------------ */

/* An error value as text, without calling any metamethod: no code of the flow runs outside of its limits. */
static void push_error_text(lua_State *L, lua_State *thread, struct buf *json)
{
    struct err err = ERR_INIT;
    if (lua_type(thread, -1) == LUA_TSTRING || lua_type(thread, -1) == LUA_TNUMBER) {
        lua_pushvalue(thread, -1);
        lua_xmove(thread, L, 1);
    } else if (json_add(thread, -1, json, &err)) {
        lua_pushfstring(L, "error object: %s", json->data);
    } else {
        lua_pushfstring(L, "error object: a %s", luaL_typename(thread, -1));
    }
}

static void push_message(struct world *world, lua_State *thread, int status)
{
    lua_State *L = world->lua;
    struct buf json = BUF_INIT(MESSAGE_MOST);
    if (world->is_full)
        lua_pushfstring(L, "the memory ceiling of %I KiB was reached",
                        (lua_Integer)(world->options.memory_bytes / 1024));
    else if (world->is_slow)
        lua_pushliteral(L, "the step ran for 2 s");
    else if (world->is_spent)
        lua_pushfstring(L, "the budget of %I instructions is spent (an endless loop?)",
                        (lua_Integer)world->options.instructions);
    else if (status == LUA_OK || status == LUA_YIELD)
        lua_pushliteral(L, "failed");
    else
        push_error_text(L, thread, &json);
    buf_clear(&json);
}

static enum world_status fail(struct world *world, lua_State *thread, int status, struct err *err)
{
    lua_State *L = world->lua;
    int top = lua_gettop(L);
    lua_checkstack(L, 20);
    lua_checkstack(thread, 4);
    push_message(world, thread, status);
    struct slice message;
    message.data = lua_tolstring(L, -1, &message.size);
    luaL_traceback(L, thread, NULL, 0);
    err_set(err, "%.*s\n%s", SLICE_ARG(utf8_cut(message, MESSAGE_MOST)), lua_tostring(L, -1));
    lua_settop(L, top);
    return WORLD_FAILED;
}

/* ---- threads ------------------------------------------------------------------------------- */

lua_State *world_thread(struct world *world)
{
    lua_State *thread;
    if (world->idle_count > 0) {
        thread = world->idle[--world->idle_count];
    } else {
        lua_checkstack(world->lua, 4);
        thread = lua_newthread(world->lua);
        lua_rawsetp(world->lua, LUA_REGISTRYINDEX, thread);
    }
    *(void **)lua_getextraspace(thread) = NULL;
    return thread;
}

/* Where a waiting thread's rest of the budget is kept in the registry: an address of its own beside the anchor's. */
static const void *budget_key(const lua_State *thread)
{
    return (const char *)thread + 1;
}

void world_drop(struct world *world, lua_State *thread)
{
    lua_State *L = world->lua;
    if (lua_status(thread) == LUA_OK && world->idle_count < WORLD_IDLE_MOST) {
        lua_settop(thread, 0);
        world->idle[world->idle_count++] = thread;
        return;
    }
    lua_checkstack(L, 4);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, budget_key(thread));
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, thread);
}

static void begin(struct world *world, lua_State *thread, int64_t budget)
{
    world->left = budget;
    world->is_spent = world->is_slow = world->is_full = false;
    world->began_ns = 0;
    grant(world, thread);
    world->running = thread;
}

static int64_t rest_of_budget(struct world *world, lua_State *thread)
{
    lua_State *L = world->lua;
    lua_checkstack(L, 4);
    lua_rawgetp(L, LUA_REGISTRYINDEX, budget_key(thread));
    int64_t rest = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return rest;
}

enum world_status world_resume(struct world *world, lua_State *thread, int arguments, bool is_new_step, int *results,
                               struct err *err)
{
    begin(world, thread, is_new_step ? world->options.instructions : rest_of_budget(world, thread));
    int status = lua_resume(thread, world->lua, arguments, results);
    world->running = NULL;
    if (world->is_spent || world->is_full || (status != LUA_OK && status != LUA_YIELD))
        return fail(world, thread, status, err);
    if (status == LUA_OK)
        return WORLD_DONE;
    lua_checkstack(world->lua, 4);
    lua_pushinteger(world->lua, world->left);
    lua_rawsetp(world->lua, LUA_REGISTRYINDEX, budget_key(thread));
    return WORLD_WAITING;
}

/* ---- chunks -------------------------------------------------------------------------------- */

bool world_compile(lua_State *L, const char *chunk, struct slice source)
{
    char name[300];
    snprintf(name, sizeof name, "@%s", chunk);
    if (luaL_loadbufferx(L, source.data ? source.data : "", source.size, name, "t") != LUA_OK)
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &environment_key);
    lua_setupvalue(L, -2, 1);
    return true;
}

static void seal(struct world *world)
{
    lua_State *L = world->lua;
    if (world->is_sealed)
        return;
    world->is_sealed = true;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        frozen_make(L, -1);
    lua_pop(L, 1);
}

static bool run_chunk(struct world *world, lua_State *thread, const char *chunk, struct err *err)
{
    int results;
    switch (world_resume(world, thread, 0, true, &results, err)) {
    case WORLD_FAILED: return false;
    case WORLD_WAITING: return err_set(err, "%s: only a step can wait for an answer, the top level cannot", chunk);
    case WORLD_DONE: break;
    }
    lua_settop(thread, 1);
    lua_xmove(thread, world->lua, 1);
    return true;
}

bool world_load(struct world *world, const char *chunk, struct slice source, struct err *err)
{
    lua_checkstack(world->lua, 20);
    seal(world);
    lua_State *thread = world_thread(world);
    begin(world, thread, world->options.instructions);
    bool ok = world_compile(thread, chunk, source);
    world->running = NULL;
    if (!ok)
        err_set(err, "%s", world->is_full ? "the memory ceiling was reached" : lua_tostring(thread, -1));
    ok = ok && run_chunk(world, thread, chunk, err);
    world_drop(world, thread);
    return ok;
}

/* ---- the state itself ---------------------------------------------------------------------- */

static int unknown_global(lua_State *L)
{
    return luaL_error(L, "there is no '%s' here; a connection must be named in the flow's 'uses'",
                      luaL_tolstring(L, 2, NULL));
}

static int set_global(lua_State *L)
{
    const char *name = luaL_tolstring(L, 2, NULL);
    return luaL_error(L, "global '%s' is not declared: write 'local %s'", name, name);
}

/* _ENV of all chunks: empty, so that every write is seen; reads fall through to the globals, and on to an error. */
static void make_environment(lua_State *L)
{
    lua_newtable(L); /* globals */
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);

    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);

    lua_pushvalue(L, -1);
    frozen_cover(L);
    lua_getmetatable(L, -1);
    lua_pushcfunction(L, set_global);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &environment_key);
}

static int open_libraries(lua_State *L)
{
    make_environment(L);
    lib_base_fill(L);
    lib_string_open(L);
    lua_setfield(L, -2, "string");
    lib_table_open(L);
    lua_setfield(L, -2, "table");
    json_open(L);
    lua_setfield(L, -2, "json");
    return 0;
}

/* An error outside of every protected call: a mistake of the host, or of this file. */
static int panic(lua_State *L)
{
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no message";
    fprintf(stderr, "headgate: Lua error outside of a run: %s\n", message);
    abort();
}

struct world *world_new(const struct world_options *options, struct err *err)
{
    struct world *world = mem_zero(sizeof *world);
    world->options = *options;
    if (world->options.memory_bytes == 0)
        world->options.memory_bytes = WORLD_MEMORY_BYTES;
    if (world->options.instructions == 0)
        world->options.instructions = WORLD_INSTRUCTIONS;
    world->lua = lua_newstate(allocate, world);
    if (!world->lua) {
        free(world);
        return err_set(err, "Lua gives no state"), NULL;
    }
    lua_atpanic(world->lua, panic);
    lua_gc(world->lua, LUA_GCINC, COLLECTOR_PAUSE, 0, 0);
    lua_pushcfunction(world->lua, open_libraries);
    if (lua_pcall(world->lua, 0, 0, 0) != LUA_OK) {
        err_set(err, "opening Lua's libraries: %s", lua_tostring(world->lua, -1));
        world_free(world);
        return NULL;
    }
    return world;
}

void world_free(struct world *world)
{
    if (!world)
        return;
    lua_close(world->lua);
    free(world);
}

lua_State *world_lua(struct world *world)
{
    return world->lua;
}

size_t world_memory(const struct world *world)
{
    return world->used_bytes;
}

void world_push_globals(struct world *world)
{
    assert(!world->is_sealed);
    lua_checkstack(world->lua, 20);
    lua_rawgetp(world->lua, LUA_REGISTRYINDEX, &globals_key);
}

void world_set_now(struct world *world, int64_t now_ms)
{
    world->now_ms = now_ms;
}
