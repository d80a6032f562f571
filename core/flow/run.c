/* run.c - see run.h */
#include "core/flow/run.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "core/lane/lane.h"
#include "core/lua/json.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TRAIL_MAX ((size_t)64 << 10) /* bytes */
#define WHY_MAX 300                  /* bytes of a step's `why` that are kept */

/* A question lives until the adapter answers it, also when its run is gone by then. */
struct asking {
    struct question question;
    struct run *run; /* NULL: nobody waits any more */
    struct buf fields;
};

struct run *run_new(struct instance *instance, int64_t received_ms)
{
    struct run *run = mem_new(sizeof *run);
    memset(run, 0, offsetof(struct run, err));
    run->err.text[0] = '\0';
    run->instance = instance_keep(instance);
    run->event_ref = LUA_NOREF;
    run->received_ms = received_ms;
    run->began_ms = clock_now_ms();
    run->attempt = 1;
    run->trail = (struct buf)BUF_INIT(TRAIL_MAX);
    run->query_fields = (struct buf)BUF_INIT((size_t)1 << 20);
    return run;
}

void run_forget_effects(struct run *run)
{
    for (size_t i = 0; i < run->asked_count; i++) {
        buf_clear(&run->asked[i].fields);
        buf_clear(&run->asked[i].as_said);
        buf_clear(&run->asked[i].recipient);
        buf_clear(&run->asked[i].recipients);
        free(run->asked[i].campaign);
    }
    run->asked_count = 0;
    wishes_clear(&run->wishes);
}

/* Lets go of everything in the world; the effects stay. */
static void leave_world(struct run *run)
{
    if (run->thread)
        world_drop(run->instance->world, run->thread);
    run->thread = NULL;
    luaL_unref(world_lua(run->instance->world), LUA_REGISTRYINDEX, run->event_ref);
    run->event_ref = LUA_NOREF;
}

void run_free(struct run *run)
{
    leave_world(run);
    run_forget_effects(run);
    free(run->asked);
    free(run->id);
    free(run->key);
    if (run->asking)
        run->asking->run = NULL;
    buf_clear(&run->trail);
    buf_clear(&run->query_fields);
    instance_release(run->instance);
    free(run);
}

/* ---- steps ---------------------------------------------------------------------------------------------- */

static void end(struct run *run, enum run_outcome outcome)
{
    if (outcome != RUN_FINISHED)
        run_forget_effects(run);
    leave_world(run);
    run->ended(run, outcome);
}

static bool fail(struct run *run)
{
    struct buf text = BUF_INIT(ERR_MAX);
    const char *name = instance_step_name(run->instance, run->step);
    buf_addf(&text, "step %s", name);
    err_wrap(&run->err, "%s", text.data);
    buf_clear(&text);
    end(run, RUN_FAILED);
    return false;
}

static void add_trail(struct run *run, const char *answer, struct slice why)
{
    buf_add_text(&run->trail, run->trail.size ? ",{\"step\":\"" : "{\"step\":\"");
    buf_add_text(&run->trail, instance_step_name(run->instance, run->step));
    buf_add_text(&run->trail, "\"");
    if (answer) {
        buf_add_text(&run->trail, ",\"answer\":");
        buf_add_text(&run->trail, answer);
    }
    if (why.size) {
        buf_add_text(&run->trail, ",\"why\":");
        buf_add_json(&run->trail, utf8_cut(why, WHY_MAX));
    }
    buf_add_char(&run->trail, '}');
}

/* The step's function has returned `results` values.  Moves on; false: the run failed. */
static bool take_results(struct run *run, int results)
{
    lua_State *L = run->thread;
    const struct manifest *manifest = run->instance->manifest;
    const struct step *step = manifest->step_count ? &manifest->steps[run->step] : NULL;
    struct slice why = SLICE_NONE;
    int next = run->step + 1;
    int first = lua_gettop(L) - results + 1;
    if (results > 1 && lua_type(L, first + 1) == LUA_TSTRING)
        why.data = lua_tolstring(L, first + 1, &why.size);
    if (step && step->kind == STEP_ASK) {
        if (results < 1 || !lua_isboolean(L, first)) {
            err_set(&run->err, "it is an `ask`, so it must return true or false (and why), but returned %s",
                    results < 1 ? "nothing" : luaL_typename(L, first));
            return fail(run);
        }
        bool answer = lua_toboolean(L, first);
        add_trail(run, answer ? "true" : "false", why);
        next = answer ? step->yes : step->no;
    } else {
        add_trail(run, NULL, why);
        next = step ? step->yes : next;
    }
    lua_settop(L, 0);
    run->step = next == STEP_STOP ? run->instance->step_count : next;
    run->position = 0;
    return true;
}

static void ask_adapter(struct run *run)
{
    if (run->answer) {
        run->answer(run);
        return;
    }
    struct asking *asking = mem_zero(sizeof *asking);
    asking->run = run;
    asking->fields = run->query_fields;
    run->query_fields = (struct buf)BUF_INIT(run->query_fields.limit);
    asking->question = (struct question){
        .connection = run->query_connection, .query = run->query, .fields = buf_slice(&asking->fields)};
    run->asking = asking;
    run->query_connection->questions++;
    const char *refusal = run->query_connection->is_closing ? "the connection is just being opened again"
                                                            : lane_refusal(run->query_connection->lane);
    if (refusal) /* its adapter is not open */
        question_later(&asking->question, "%s", refusal);
    else
        run->query_connection->adapter->ask(run->query_connection, &asking->question);
}

/* Ends the question; the run that waited for it, or NULL. */
static struct run *asked_by(struct question *question)
{
    struct asking *asking = (struct asking *)question;
    struct run *run = asking->run;
    question->connection->questions--;
    if (run)
        run->asking = NULL;
    buf_clear(&asking->fields);
    free(asking);
    return run;
}

void question_answer(struct question *question, struct slice json)
{
    struct run *run = asked_by(question);
    if (run)
        run_answer(run, json);
}

#define FORMAT_TEXT(text)                                                                                              \
    char text[500];                                                                                                    \
    va_list args;                                                                                                      \
    va_start(args, format);                                                                                            \
    vsnprintf(text, sizeof text, format, args);                                                                        \
    va_end(args)

void question_later(struct question *question, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct run *run = asked_by(question);
    if (run)
        run_no_answer(run, false, text);
}

void question_never(struct question *question, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct run *run = asked_by(question);
    if (run)
        run_no_answer(run, true, text);
}

/* Goes on with the step under way: `arguments` values are on top of the thread. */
static void go_on(struct run *run, int arguments, bool is_new_step)
{
    for (;;) {
        int results = 0;
        *(struct run **)lua_getextraspace(run->thread) = run;
        world_set_now(run->instance->world, run->began_ms);
        switch (world_resume(run->instance->world, run->thread, arguments, is_new_step, &results, &run->err)) {
        case WORLD_WAITING:
            run->is_asking = true;
            ask_adapter(run);
            run->is_asking = false;
            if (!run->has_answer)
                return;
            run->has_answer = false; /* at once: a loop, because as many reads as this would fill the stack */
            arguments = 1;
            is_new_step = false;
            continue;
        case WORLD_FAILED: fail(run); return;
        case WORLD_DONE: break;
        }
        if (!take_results(run, results))
            return;
        if (run->step >= run->instance->step_count) {
            end(run, RUN_FINISHED);
            return;
        }
        lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->instance->steps[run->step]);
        lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->event_ref);
        arguments = 1;
        is_new_step = true;
    }
}

void run_start(struct run *run)
{
    run->thread = world_thread(run->instance->world);
    lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->instance->steps[run->step]);
    lua_rawgeti(run->thread, LUA_REGISTRYINDEX, run->event_ref);
    go_on(run, 1, true);
}

struct pushing {
    struct slice json;
    struct err *err;
    bool ok;
};

static int push_answer(lua_State *L)
{
    struct pushing *pushing = lua_touserdata(L, 1);
    lua_settop(L, 0);
    pushing->ok = json_push(L, pushing->json, pushing->err);
    return pushing->ok ? 1 : 0;
}

void run_answer(struct run *run, struct slice json)
{
    /* The answer is made on the world's main thread, where lack of memory can be caught, and then moved. */
    lua_State *L = world_lua(run->instance->world);
    struct pushing pushing = {json, &run->err, false};
    const char *query = run->query->name;
    run->query = NULL;
    lua_pushcfunction(L, push_answer);
    lua_pushlightuserdata(L, &pushing);
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    if (status != LUA_OK || !pushing.ok) {
        if (status != LUA_OK)
            err_set(&run->err, "the answer needs more memory than a flow may have");
        lua_settop(L, 0);
        err_wrap(&run->err, "%s", query);
        fail(run);
        return;
    }
    if (json.size == 4 && memcmp(json.data, "null", 4) == 0) {
        lua_pop(L, 1);
        lua_pushnil(L); /* nothing found is nil in Lua, not json.null */
    }
    lua_xmove(L, run->thread, 1);
    if (run->is_asking)
        run->has_answer = true;
    else
        go_on(run, 1, false);
}

void run_no_answer(struct run *run, bool is_final, const char *why)
{
    err_set(&run->err, "%s.%s: %s", run->query_connection->name, run->query->name, why);
    run->query = NULL;
    if (is_final)
        fail(run);
    else
        end(run, RUN_LATER);
}

void run_cancel(struct run *run)
{
    run_forget_effects(run);
    leave_world(run);
}
