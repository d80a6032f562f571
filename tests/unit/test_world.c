/* test_world.c - what a flow finds in its world, and what the host does with it */
#include "world_kit.h"

/* ---- what there is ------------------------------------------------------------------------- */

TEST(a_step_runs_and_answers)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    int results;
    lua_State *thread = thread_for(world, "return event + 1, 'why'");
    lua_pushinteger(thread, 41);
    assert_int_equal(world_resume(world, thread, 1, true, &results, &err), WORLD_DONE);
    assert_int_equal(results, 2);
    assert_int_equal(lua_tointeger(thread, -2), 42);
    assert_string_equal(lua_tostring(thread, -1), "why");
    world_drop(world, thread);
    world_free(world);
}

TEST(only_what_is_safe_is_there)
{
    static const char *const absent[] = {"io",     "os",      "debug",     "load",           "loadstring", "loadfile",
                                         "dofile", "package", "coroutine", "collectgarbage", "_G",         "warn"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        char body[100];
        snprintf(body, sizeof body, "return %s", absent[i]);
        expect_failed(body, "flow.lua:1: there is no '");
    }
    expect_true("return string.dump == nil and string.pack == nil and string.unpack == nil and string.packsize == nil");
    expect_true("return math.floor(2.5) == 2 and utf8.char(248) == 'ø' and ('ø'):len() == 2 and #utf8.charpattern > 0");
    expect_true(
        "return _VERSION == 'Lua 5.4' and select('#', 1, 2) == 2 and tonumber('0x10') == 16 and '10' + 1 == 11");
    expect_failed("return math.random(6)", "an event that is run again must have the same effects");
}

TEST(globals_are_neither_made_nor_guessed)
{
    expect_failed("count = 1", "flow.lua:1: global 'count' is not declared: write 'local count'");
    expect_failed("string = nil", "global 'string' is not declared");
    expect_failed("return crm.get('x')", "there is no 'crm' here; a connection must be named in the flow's 'uses'");
    expect_failed("rawset(_ENV, 'x', 1)", "shared by all events");
    expect_failed("_ENV.x = 1", "global 'x' is not declared");
    expect_failed("setmetatable(_ENV, nil)", "protected metatable");
    expect_true("return getmetatable(_ENV) == false");
}

TEST(libraries_and_connections_are_frozen)
{
    expect_failed("string.rep = nil", "'rep' cannot be set: this table is shared by all events");
    expect_failed("string.x = 1", "'x' cannot be set");
    expect_failed("alerts.create = print", "'create' cannot be set");
    expect_failed("json.null = nil", "cannot be set");
    expect_failed("rawset(table, 'insert', nil)", "shared by all events");
    expect_failed("table.insert(alerts, 1)", "cannot be set");
    expect_failed("table.sort(require('rules.prices').list)", "cannot be set");
    expect_failed("table.remove(require('rules.prices').list)", "cannot be set");
    expect_failed("table.move({1}, 1, 1, 1, alerts)", "cannot be set");
    expect_failed("setmetatable(math, {})", "protected metatable");
    expect_failed("getmetatable('').__index = 1", "attempt to index a boolean");
    expect_failed("local s = ('').rep; ('').rep = s", "attempt to index a string");
    expect_true("return getmetatable('') == false and getmetatable(string) == false");
}

TEST(frozen_tables_read_like_others)
{
    expect_true(
        "local p = require 'rules.prices' local n = 0 for k, v in pairs(p) do n = n + 1 end "
        "local sum = 0 for i, v in ipairs(p.list) do sum = sum * 10 + v end "
        "return n == 2 and sum == 312 and #p.list == 3 and rawlen(p.list) == 3 and rawget(p, 'gold').limit == 5 "
        "and next(p.gold) == 'limit' and table.concat(p.list, ',') == '3,1,2' and table.unpack(p.list) == 3 "
        "and json.encode(p) == '{\"gold\":{\"limit\":5},\"list\":[3,1,2]}'");
    expect_true("local t = require 'rules.self' return t.self == t and not pcall(function() t.x = 1 end)");
    expect_true("local names = {} for k in pairs(table) do names[#names + 1] = k end "
                "return table.concat(names, ' ') == 'concat insert move pack remove sort unpack'");
}

TEST(bytecode_is_refused)
{
    expect_load_failed("\x1bLua\x54\x00", 6, "attempt to load a binary chunk");
    struct world *world = open_world();
    struct err err = ERR_INIT;
    assert_false(world_load(world, "flow.lua", slice_of("return ("), &err));
    assert_non_null(strstr(err.text, "flow.lua:1: unexpected symbol near <eof>"));
    world_free(world);
}

TEST(an_error_says_where)
{
    expect_failed("local site\n local function inner() return site.name end\n inner()",
                  "flow.lua:2: attempt to index a nil");
    expect_failed("error('no contact', 0)",
                  "no contact\nstack traceback:\n\t[C]: in function 'error'\n\tflow.lua:1: in");
    expect_failed("error{code = 5, why = 'x'}", "error object: {\"code\":5,\"why\":\"x\"}");
    expect_failed("error(setmetatable({}, {__tostring = function() while true do end end}))", "error object: {}");
    expect_failed("error(print)", "error object: a function");
    expect_failed("error()", "error object: a nil");
    expect_failed("error(('x'):rep(100000))", "xxx\nstack traceback:\n\t[C]: in function 'error'");
    expect_failed("error(('ø'):rep(5000))", "ø\nstack traceback");
}

TEST(the_log_gets_lines)
{
    struct world *world = open_world();
    expect_true_in(world, "log.warning('site', 17, nil, true) return true");
    assert_string_equal(logged, "warning: site 17 nil true");
    expect_true_in(world, "print('x', json.null) return true");
    assert_string_equal(logged, "info: x null");
    expect_true_in(world, "log.debug(('ø'):rep(3000)) return true");
    assert_int_equal(strlen(logged), strlen("debug: ") + 4000);
    lines = 0;
    expect_failed_in(world, "while true do log.info('again') end", SPENT);
    assert_in_range(lines, 100, 200);
    world_free(world);
}

TEST(time_stands_still_in_a_run)
{
    struct world *world = open_world();
    world_set_now(world, 1763800000123);
    expect_true_in(world, "return now() == 1763800000123 and math.type(now()) == 'integer'");
    world_free(world);
}

TEST(pairs_goes_in_the_same_order_everywhere)
{
    expect_true("local t = {z = 1, a = 2, [2] = 3, [1] = 4, [-1.5] = 5, m = 6, [true] = 7} local s = '' "
                "for k in pairs(t) do s = s .. tostring(k) .. ' ' end return s == '-1.5 1 2 a m z true '");
    expect_true("local t = {} for i = 1, 100 do t['k' .. (1000 - i)] = i end local last = '' "
                "for k, v in pairs(t) do if k <= last then return false end last = k end return last == 'k999'");
    expect_true("local t, seen = {a = 1, b = 2, c = 3}, '' for k in pairs(t) do seen = seen .. k t.b = nil t.d = 1 end "
                "return seen == 'ac'");
    expect_true("for _ in pairs({}) do return false end return true");
    expect_true("local t = setmetatable({}, {__pairs = function(t) return function(_, k) if not k then return 1, 2 end "
                "end, t end}) "
                "local n = 0 for k, v in pairs(t) do n = n + k + v end return n == 3");
    expect_failed("pairs(nil)", "table expected, got nil");
}

TEST(the_table_library_does_what_it_should)
{
    expect_true(
        "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return table.concat(t, ' ') == '0 1 2 3 4'");
    expect_true("local t = {1, 2, 3} return table.remove(t, 1) == 1 and table.remove(t) == 3 and #t == 1 and "
                "table.remove({}) == nil and table.remove({}, 0) == nil");
    expect_true("local t = table.move({1, 2, 3}, 1, 3, 2) return table.concat(t) == '1123'");
    expect_true("local t = table.move({1, 2, 3}, 2, 3, 1) return table.concat(t) == '233'");
    expect_true("return table.concat(table.move({1, 2}, 1, 2, 1, {}), '-') == '1-2'");
    expect_true("local p = table.pack(1, nil, 3) return p.n == 3 and select('#', table.unpack(p, 1, 3)) == 3");
    expect_true("return table.concat({1, 2.5, 'x'}, ', ', 2, 3) == '2.5, x' and table.concat({}) == ''");
    expect_true("local a, b = table.unpack({1, 2, 3}, 2) return a == 2 and b == 3 and table.unpack({}, 1, 0) == nil");
    expect_failed("table.insert({1}, 5, 1)", "position out of bounds");
    expect_failed("table.remove({1}, 5)", "position out of bounds");
    expect_failed("table.concat({{}})", "a table at index 1 is no text");
    expect_failed("table.move({}, 1, math.maxinteger, 2)", "destination wraps around");
    expect_failed("table.move({}, math.mininteger, math.maxinteger, 2)", "too many elements to move");
    expect_failed("return table.unpack({}, 1, 1e8)", "too many results");
}

TEST(sort_is_stable_and_takes_any_comparator)
{
    expect_true("local t = {} for i = 1, 500 do t[i] = {key = i * 7919 % 10, place = i} end "
                "table.sort(t, function(a, b) return a.key < b.key end) "
                "for i = 2, 500 do local a, b = t[i - 1], t[i] "
                "if a.key > b.key or a.key == b.key and a.place > b.place then return false end end return true");
    expect_true("local t = {3, 1, 2} table.sort(t) return table.concat(t) == '123'");
    expect_true("local t = {'b', 'a'} table.sort(t, function(a, b) return a > b end) return t[1] == 'b'");
    expect_true(
        "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() return true end) return #t == 100");
    expect_true("for n = 0, 40 do local t = {} for i = 1, n do t[i] = i * 17 % 41 end table.sort(t) "
                "for i = 2, n do if t[i - 1] > t[i] then return false end end end return true");
    expect_failed("table.sort{1, 'a'}", "attempt to compare");
    expect_failed("table.sort({2, 1}, function() error 'no order' end)", "no order");
    expect_failed("table.sort(setmetatable({}, {__len = function() return 1e15 // 1 | 0 end}))", "too many elements");
}

TEST(metatables_have_no_finalizers)
{
    expect_failed("setmetatable({}, {__gc = print})", "a flow's tables have no __gc");
    expect_failed("setmetatable({}, {__gc = false})", "a flow's tables have no __gc");
    expect_failed("setmetatable({}, {__close = print})", "a flow's tables have no __close");
    expect_true("local t = setmetatable({}, {__index = {a = 1}}) return t.a == 1 and getmetatable(t).__index.a == 1");
}

TEST(xpcall_calls_its_handler)
{
    expect_true("local ok, why = xpcall(error, function(e) return 'caught ' .. e end, 'x') return not ok and why == "
                "'caught x'");
    expect_true("local ok, a, b = xpcall(function(...) return ... end, print, 1, 2) return ok and a == 1 and b == 2");
    expect_true(
        "local ok, why = xpcall(error, function(e) error('again', 0) end, 'x') return not ok and why == 'again'");
}

/* ---- modules ------------------------------------------------------------------------------- */

TEST(a_module_is_loaded_once)
{
    struct world *world = open_world();
    expect_true_in(world, "local a, n = require('rules.answer')() return a == 42 and n == 1");
    expect_true_in(
        world,
        "local a, n = require('rules.answer')() return n == 2 and require 'rules.answer' == require 'rules.answer'");
    expect_true_in(world, "return require 'rules.name' == 'rules.name'");
    world_free(world);
}

TEST(a_module_that_is_not_there_or_broken_is_named)
{
    expect_failed("require 'rules.none'", "flow.lua:1: require: there is no module 'rules.none'");
    expect_failed("require 'rules.broken'", "rules/broken.lua:2: unexpected symbol");
    expect_failed("require 'rules.fails'", "rules/fails.lua:1: not today");
    expect_failed("require 'rules.nothing'", "module 'rules.nothing' returns nothing");
    expect_failed("require 'rules.loops'", SPENT);
    expect_failed("require ''", "not the name of a module");
    expect_failed("require 'rules.name\\0x'", "not the name of a module");
}

TEST(modules_that_need_each_other_are_refused_with_their_names)
{
    expect_failed("require 'rules.a'", "modules need each other in a circle: rules.a > rules.b > rules.c > rules.a");
    expect_failed("pcall(require, 'rules.a') require 'rules.b'", "rules.b > rules.c > rules.a > rules.b");
}

/* ---- threads ------------------------------------------------------------------------------- */

TEST(a_run_waits_and_goes_on_with_the_answer)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    int results;
    lua_State *thread = thread_for(world, "local ok, site = pcall(alerts.ask, 'x') return ok and site.name");
    assert_int_equal(world_resume(world, thread, 0, true, &results, &err), WORLD_WAITING);
    lua_gc(world_lua(world), LUA_GCCOLLECT);
    lua_pop(thread, results);
    assert_true(json_push(thread, slice_of("{\"name\":\"depot\"}"), &err));
    assert_int_equal(world_resume(world, thread, 1, false, &results, &err), WORLD_DONE);
    assert_string_equal(lua_tostring(thread, -1), "depot");
    world_drop(world, thread);
    world_free(world);
}

TEST(a_dropped_thread_runs_no_line_more)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    int results;
    lua_State *thread =
        thread_for(world, "local m = {} local t = setmetatable({}, m) m.__close = function() log.error('ran') end "
                          "local x <close> = t alerts.ask()");
    logged[0] = '\0';
    assert_int_equal(world_resume(world, thread, 0, true, &results, &err), WORLD_WAITING);
    world_drop(world, thread);
    lua_gc(world_lua(world), LUA_GCCOLLECT);
    assert_string_equal(logged, "");
    world_free(world);
}

TEST(finished_threads_are_used_again_and_memory_stays_level)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    int mark;
    lua_State *thread = world_thread(world);
    *(void **)lua_getextraspace(thread) = &mark;
    world_drop(world, thread);
    assert_ptr_equal(world_thread(world), thread);
    assert_null(*(void **)lua_getextraspace(thread)); /* the last run's host data is gone */
    world_drop(world, thread);

    size_t before = 0;
    for (int i = 0; i < 600; i++) {
        const char *body = i % 3 == 0 ? "error 'x'" : i % 3 == 1 ? "return {}" : "alerts.ask()";
        err.text[0] = '\0';
        run_in(world, body, &err);
        if (i == 299) {
            lua_gc(world_lua(world), LUA_GCCOLLECT);
            before = world_memory(world);
        }
    }
    lua_gc(world_lua(world), LUA_GCCOLLECT);
    assert_true(world_memory(world) <= before + 2000);
    world_free(world);
}

TEST(a_host_function_finds_its_run)
{
    struct world *world = open_world();
    struct err err = ERR_INIT;
    int results, run;
    lua_State *thread = thread_for(world, "return alerts.run()");
    *(void **)lua_getextraspace(thread) = &run;
    assert_int_equal(world_resume(world, thread, 0, true, &results, &err), WORLD_DONE);
    assert_ptr_equal(lua_touserdata(thread, -1), &run);
    world_drop(world, thread);
    world_free(world);
}
