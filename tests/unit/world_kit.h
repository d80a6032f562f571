/* world_kit.h - a world to play in, for the tests of core/lua/world.h */
#ifndef HEADGATE_TESTS_UNIT_WORLD_KIT_H
#define HEADGATE_TESTS_UNIT_WORLD_KIT_H

#include "core/lua/json.h"
#include "core/lua/world.h"

#include "test.h"

#include <lauxlib.h>

#define UNUSED __attribute__((unused))

static char logged[5000]; /* the last line, with its level */
static int lines;         /* logged so far */

static void keep_line(void *context, const char *level, const char *text)
{
    (void)context;
    snprintf(logged, sizeof logged, "%s: %s", level, text);
    lines++;
}

/* Modules of the tests. */
static bool find_module(void *context, const char *name, struct slice *source, struct buf *chunk)
{
    static const char *const modules[][2] = {
        {"rules.answer", "local n = 0 return function() n = n + 1 return 42, n end"},
        {"rules.prices", "return {gold = {limit = 5}, list = {3, 1, 2}}"},
        {"rules.a", "return require 'rules.b'"},
        {"rules.b", "return require 'rules.c'"},
        {"rules.c", "return require 'rules.a'"},
        {"rules.broken", "local x = \nreturn"},
        {"rules.fails", "error 'not today'"},
        {"rules.loops", "while true do end"},
        {"rules.nothing", "local x = 1"},
        {"rules.name", "return ..."},
        {"rules.self", "local t = {} t.self = t return t"},
    };
    (void)context;
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        if (strcmp(modules[i][0], name) == 0) {
            *source = slice_of(modules[i][1]);
            return buf_addf(chunk, "rules/%s.lua", name + strlen("rules."));
        }
    }
    return false;
}

/* A look-up that a run waits for; the answer is what the host pushes. */
static int host_ask(lua_State *L)
{
    lua_settop(L, 0);
    return lua_yield(L, 0);
}

static int host_memory(lua_State *L)
{
    void *run = *(void **)lua_getextraspace(L);
    lua_pushlightuserdata(L, run);
    return 1;
}

static struct world *open_world_of(size_t memory_bytes, int64_t instructions)
{
    static const luaL_Reg alerts[] = {{"ask", host_ask}, {"run", host_memory}, {NULL, NULL}};
    struct world_options options = {
        .memory_bytes = memory_bytes, .instructions = instructions, .find = find_module, .log = keep_line};
    struct err err = ERR_INIT;
    struct world *world = world_new(&options, &err);
    assert_non_null(world);
    lua_State *L = world_lua(world);
    world_push_globals(world);
    luaL_newlib(L, alerts);
    lua_setfield(L, -2, "alerts");
    lua_pop(L, 1);
    return world;
}

UNUSED static struct world *open_world(void)
{
    return open_world_of(4 << 20, 200000);
}

/* A thread that is about to run `body` as a step. */
UNUSED static lua_State *thread_for(struct world *world, const char *body)
{
    char source[4000];
    struct err err = ERR_INIT;
    snprintf(source, sizeof source, "return function(event) %s\nend", body);
    if (!world_load(world, "flow.lua", slice_of(source), &err))
        fail_msg("%s: %s", body, err.text);
    lua_State *thread = world_thread(world);
    lua_xmove(world_lua(world), thread, 1);
    return thread;
}

UNUSED static enum world_status run_in(struct world *world, const char *body, struct err *err)
{
    int results;
    lua_State *thread = thread_for(world, body);
    enum world_status status = world_resume(world, thread, 0, true, &results, err);
    world_drop(world, thread);
    assert_int_equal(lua_gettop(world_lua(world)), 0);
    return status;
}

/* A run whose step returns true. */
UNUSED static void expect_true_in(struct world *world, const char *body)
{
    int results;
    struct err err = ERR_INIT;
    lua_State *thread = thread_for(world, body);
    if (world_resume(world, thread, 0, true, &results, &err) != WORLD_DONE)
        fail_msg("%s: %s", body, err.text);
    if (results < 1 || !lua_toboolean(thread, -results))
        fail_msg("not true: %s", body);
    world_drop(world, thread);
}

UNUSED static void expect_true(const char *body)
{
    struct world *world = open_world();
    expect_true_in(world, body);
    world_free(world);
}

UNUSED static void expect_failed_in(struct world *world, const char *body, const char *reason)
{
    struct err err = ERR_INIT;
    if (run_in(world, body, &err) != WORLD_FAILED)
        fail_msg("did not fail: %s", body);
    if (!strstr(err.text, reason))
        fail_msg("%s: expected %s, got %s", body, reason, err.text);
}

/* The run fails for this reason, and the world is as good as before. */
UNUSED static void expect_failed(const char *body, const char *reason)
{
    struct world *world = open_world();
    expect_failed_in(world, body, reason);
    expect_true_in(world, "local t = {} for i = 1, 100 do t[i] = i end return #t == 100");
    world_free(world);
}

UNUSED static void expect_load_failed(const char *source, size_t size, const char *reason)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    assert_false(world_load(world, "flow.lua", (struct slice){source, size}, &err));
    if (!strstr(err.text, reason))
        fail_msg("%s: expected %s, got %s", source, reason, err.text);
    assert_int_equal(lua_gettop(world_lua(world)), 0);
    expect_true_in(world, "return true");
    world_free(world);
}

#define SPENT "the budget of 200000 instructions is spent"
#define FULL "the memory ceiling of 4096 KiB was reached"

#endif
