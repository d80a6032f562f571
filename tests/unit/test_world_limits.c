/* test_world_limits.c - those who try to outlive their budget or to eat the memory */
#include "world_kit.h"

/* ---- endless loops ------------------------------------------------------------------------- */

TEST(no_loop_outlives_the_budget)
{
    expect_failed("while true do end", SPENT);
    expect_failed("local function f() error 'x' end while true do pcall(f) end", SPENT);
    expect_failed("local function f() while true do end end while true do pcall(f) end", SPENT);
    expect_failed("local function f() return pcall(f) end while true do f() end", SPENT);
    expect_failed("table.sort({3, 2, 1}, function() while true do end end)", SPENT);
    expect_failed("table.sort({3, 2, 1}, function() while true do pcall(error) end end)", SPENT);
    expect_failed("pcall(table.sort, {3, 2, 1}, function() while true do pcall(error) end end) while true do end",
                  SPENT);
    expect_failed("table.sort({3, 2, 1}, function() while true do pcall(function() while true do end end) end end)",
                  SPENT);
    expect_failed("(('x'):rep(9)):gsub('x', function() while true do pcall(error) end end)", SPENT);
    expect_failed("for _ in function() return 1 end do end", SPENT);
    expect_failed("goto again ::again:: goto again", SPENT);
}

TEST(no_metamethod_outlives_the_budget)
{
    static const char *const uses[] = {"return t.x",
                                       "t.x = 1",
                                       "return t == u",
                                       "return t < u",
                                       "return #t",
                                       "return t .. 'x'",
                                       "return t + 1",
                                       "return t()",
                                       "tostring(t)",
                                       "log.info(t)",
                                       "for _ in pairs(t) do end",
                                       "return ('%s'):format(t)",
                                       "return ('x'):gsub('x', t)",
                                       "return table.concat(t)"};
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        char body[500];
        snprintf(
            body, sizeof body,
            "local function f() while true do pcall(error) end end local m = {__index = f, __newindex = f, __eq = f, "
            "__lt = f, __len = f, __concat = f, __add = f, __call = f, __tostring = f, __pairs = f} "
            "local t, u = setmetatable({}, m), setmetatable({}, m) pcall(function() %s end) while true do end",
            uses[i]);
        expect_failed(body, SPENT);
    }
}

TEST(no_message_handler_outlives_the_budget)
{
    const char *handler = "xpcall(error, function() while true do pcall(error) end end)";
    expect_failed(handler, SPENT);
    expect_failed("xpcall(function() while true do end end, function() while true do end end)", SPENT);
    expect_failed(
        "table.sort({2, 1}, function() xpcall(function() while true do end end, function() while true do end end) end)",
        SPENT);
    expect_failed("local function h() error('x') end while true do xpcall(error, h) end", SPENT);
}

TEST(no_closing_variable_outlives_the_budget)
{
    /* __close cannot be given to setmetatable, but it can be put in later */
    const char *forever =
        "local m = {} local t = setmetatable({}, m) m.__close = function() while true do pcall(error) end end ";
    char body[500];
    snprintf(body, sizeof body, "%s do local x <close> = t end", forever);
    expect_failed(body, SPENT);
    snprintf(body, sizeof body, "%s local x <close> = t error 'x'", forever);
    expect_failed(body, "x");
    snprintf(body, sizeof body, "%s local x <close> = t while true do end", forever);
    expect_failed(body, SPENT);
    snprintf(body, sizeof body, "%s table.sort({2, 1}, function() local x <close> = t while true do end end)", forever);
    expect_failed(body, SPENT);
}

TEST(no_function_in_c_outlives_the_budget)
{
    const char *long_one = "local t = setmetatable({}, {__len = function() return 1 << 50 end}) ";
    static const char *const uses[] = {
        "table.insert(t, 1, 0)",
        "table.remove(t, 1)",
        "table.move({}, 1, 1 << 40, 2)",
        "table.sort(setmetatable({}, {__len = function() return 1 << 27 end}))",
        "table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1 << 50)",
        "for i = 1, 1e9 do local s = ('x'):rep(1000) .. i end",
        "local s = ('x'):rep(100000) while true do local r = s:upper() end",
        "while true do pcall(string.find, ('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30)) end",
        "local s = ('x'):rep(1000000) while true do s:find('y', 1, true) end",
        "local s = ('x'):rep(1000000) while true do utf8.len(s) end",
        "local s = json.encode(('x'):rep(500000)) while true do json.decode(s) end",
        "local t = {} for i = 1, 1000 do t[i] = i end while true do for _ in pairs(t) do break end end",
        "local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t) end",
    };
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        char body[500];
        snprintf(body, sizeof body, "%s pcall(function() %s end) while true do end", long_one, uses[i]);
        expect_failed(body, SPENT);
    }
    expect_true("return ('').rep('', 1e15) == ''");
}

TEST(work_in_c_counts_in_proportion)
{
    expect_failed("local t = {} for i = 1, 15000 do t[i] = i * 7919 % 15013 end table.sort(t)", SPENT);
    expect_failed("local s = ('x'):rep(1000000) for i = 1, 100 do s:find('y', 1, true) end", SPENT);
    expect_failed("local s = ('x'):rep(1000000) for i = 1, 100 do utf8.len(s) end", SPENT);
    expect_failed("local s = ('1' .. (' '):rep(500000) .. 'x') for i = 1, 100 do pcall(json.decode, s) end", SPENT);
    expect_failed("local t = {('x'):rep(1000000), print} for i = 1, 20 do pcall(json.encode, t) end", SPENT);
    expect_true("local t = {} for i = 1, 2000 do t[i] = i * 7919 % 2003 end table.sort(t) return t[1] < t[2]");
}

TEST(a_pattern_may_take_a_part_of_the_budget_and_no_more)
{
    struct world *world = open_world_of(4 << 20, 600000);
    const char *slow = "('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))";
    char body[200];
    snprintf(body, sizeof body, "return %s", slow);
    expect_failed_in(world, body, "flow.lua:1: pattern takes too long");
    snprintf(body, sizeof body, "for i = 1, 2 do pcall(function() return %s end) end return true", slow);
    expect_true_in(world, body);
    snprintf(body, sizeof body, "for i = 1, 3 do pcall(function() return %s end) end return true", slow);
    expect_failed_in(world, body, "the budget of 600000 instructions is spent");
    world_free(world);
}

TEST(the_clock_ends_what_the_budget_does_not)
{
    struct world *world = open_world_of(32 << 20, INT64_MAX);
    expect_failed_in(world,
                     "local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end "
                     "while true do pcall(next, t) end",
                     "the step ran for 2 s");
    expect_true_in(world, "for i = 1, 1e5 do end return true");
    world_free(world);
}

TEST(a_top_level_that_loops_ends_as_well)
{
    expect_load_failed("while true do pcall(error) end", 30, SPENT);
    expect_load_failed("alerts.ask()", 12, "flow.lua: only a step can wait for an answer, the top level cannot");
    expect_load_failed("return x", 8, "there is no 'x'");
}

TEST(a_spent_budget_says_where)
{
    expect_failed("local n = 0\nwhile true do\nn = n + 1 end", "flow.lua:");
}

TEST(a_budget_is_for_a_step_however_often_it_waits)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    int results, resumes = 1;
    lua_State *thread = thread_for(world, "while true do alerts.ask() end");
    enum world_status status = world_resume(world, thread, 0, true, &results, &err);
    while (status == WORLD_WAITING && resumes < 10000) {
        lua_pop(thread, results);
        status = world_resume(world, thread, 0, false, &results, &err);
        resumes++;
    }
    assert_int_equal(status, WORLD_FAILED);
    assert_non_null(strstr(err.text, SPENT));
    world_drop(world, thread);

    thread = thread_for(world, "for step = 1, 3 do for i = 1, 30000 do end alerts.ask() end");
    status = world_resume(world, thread, 0, true, &results, &err);
    for (resumes = 1; status == WORLD_WAITING; resumes++)
        status = world_resume(world, thread, 0, true, &results, &err); /* each one a new step */
    assert_int_equal(status, WORLD_DONE);
    assert_int_equal(resumes, 4);
    world_drop(world, thread);
    world_free(world);
}

TEST(runs_that_wait_side_by_side_keep_their_own_budgets)
{
    struct world *world = open_world_of(4 << 20, 20000);
    struct err err = ERR_INIT;
    int results;
    lua_State *hungry = thread_for(world, "for i = 1, 15000 do end alerts.ask() for i = 1, 15000 do end");
    lua_State *modest = thread_for(world, "alerts.ask() for i = 1, 15000 do end return 'done'");
    assert_int_equal(world_resume(world, hungry, 0, true, &results, &err), WORLD_WAITING);
    assert_int_equal(world_resume(world, modest, 0, true, &results, &err), WORLD_WAITING);
    assert_int_equal(world_resume(world, hungry, 0, false, &results, &err), WORLD_FAILED);
    assert_int_equal(world_resume(world, modest, 0, false, &results, &err), WORLD_DONE);
    assert_string_equal(lua_tostring(modest, -1), "done");
    world_drop(world, hungry);
    world_drop(world, modest);
    world_free(world);
}

/* ---- memory -------------------------------------------------------------------------------- */

TEST(a_memory_bomb_fails_the_run_even_if_caught)
{
    static const char *const bombs[] = {
        "('x'):rep(1 << 30)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = 'x' while true do s = s .. s end",
        "local function f(n) return 1 + f(n + 1) end f(1)",
        "return table.unpack({}, 1, 900000)",
        "local t = {} while true do t[#t + 1] = {} end",
        "json.decode('[' .. ('[],'):rep(80000) .. '1]')",
    };
    struct world *world = open_world_of(4 << 20, 20000000);
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        char body[500];
        snprintf(body, sizeof body, "pcall(function() %s end) return 'survived'", bombs[i]);
        expect_failed_in(world, body, FULL);
        snprintf(body, sizeof body, "%s", bombs[i]);
        expect_failed_in(world, body, FULL);
        expect_true_in(world, "return #('x'):rep(100000) == 100000");
    }
    lua_gc(world_lua(world), LUA_GCCOLLECT);
    assert_true(world_memory(world) < 300000);
    world_free(world);
}

TEST(a_top_level_that_eats_memory_ends_as_well)
{
    struct world *world = open_world_of(4 << 20, 20000000);
    struct err err = ERR_INIT;
    assert_false(world_load(world, "flow.lua", slice_of("local t = {} while true do t[#t + 1] = {} end"), &err));
    assert_non_null(strstr(err.text, FULL));
    struct buf source = BUF_INIT(20 << 20);
    for (int i = 0; i < 200000; i++)
        buf_addf(&source, "local s%d = 'constant %d'; ", i, i);
    assert_false(world_load(world, "flow.lua", buf_slice(&source), &err));
    buf_reset(&source);
    buf_add_text(&source, "return {");
    for (int i = 0; i < 200000; i++)
        buf_addf(&source, "'constant %d', ", i);
    buf_add_text(&source, "}");
    assert_false(world_load(world, "flow.lua", buf_slice(&source), &err));
    assert_non_null(strstr(err.text, "the memory ceiling was reached"));
    buf_clear(&source);
    expect_true_in(world, "return true");
    world_free(world);
}

TEST(garbage_is_not_counted_against_a_run)
{
    struct world *world = open_world_of(4 << 20, 20000000);
    expect_true_in(world, "for i = 1, 100 do local s = ('x'):rep(200000) .. i end return true");
    world_free(world);
}

TEST(the_host_can_push_past_the_ceiling)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT(8 << 20);
    buf_add_char(&text, '[');
    for (int i = 0; i < 200000; i++)
        buf_add_text(&text, "[],");
    buf_add_text(&text, "[]]");
    lua_State *thread = thread_for(world, "return #event");
    int results;
    assert_true(json_push(thread, buf_slice(&text), &err));
    assert_true(world_memory(world) > 4 << 20);
    enum world_status status = world_resume(world, thread, 1, true, &results, &err);
    assert_true(status == WORLD_DONE || strstr(err.text, FULL));
    world_drop(world, thread);
    expect_true_in(world, "return true");
    buf_clear(&text);
    world_free(world);
}
