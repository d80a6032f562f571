/* test_pattern.c - patterns, against Lua's own string library, and what would freeze it */
#include "core/lua/inside.h"
#include "core/lua/pattern.h"

#include "test.h"

#include <lualib.h>

/* A plain state that has Lua's functions as `theirs` and ours as `ours`. */
static lua_State *open_both(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_getglobal(L, "string");
    lua_setglobal(L, "theirs");
    lib_string_open(L);
    lua_setglobal(L, "ours");
    return L;
}

static void expect_true(const char *code)
{
    lua_State *L = open_both();
    if (luaL_dostring(L, code) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    if (!lua_toboolean(L, -1))
        fail_msg("not true: %s", code);
    lua_close(L);
}

static void expect_error(const char *code, const char *reason)
{
    lua_State *L = open_both();
    if (luaL_dostring(L, code) == LUA_OK)
        fail_msg("no error: %s", code);
    if (!strstr(lua_tostring(L, -1), reason))
        fail_msg("%s: expected %s, got %s", code, reason, lua_tostring(L, -1));
    lua_close(L);
}

/* `same(f, ...)`: do ours and theirs give the same?  A mistake in a pattern counts as the same whenever ours finds one:
 * theirs sees it only if matching gets there. */
static const char *const helpers =
    "local function results(lib, f, ...)\n"
    "  local r = table.pack(pcall(lib[f], ...))\n"
    "  if r[1] and f == 'gmatch' then\n"
    "    local all = {}\n"
    "    r = table.pack(pcall(function() for a, b, c in r[2] do all[#all + 1] = tostring(a) .. '|' .. tostring(b) .. "
    "'|' .. tostring(c) end end))\n"
    "    r[2], r.n = table.concat(all, ';'), 2\n"
    "  end\n"
    "  return r\n"
    "end\n"
    "local mistakes, compared = 0, 0\n"
    "local function same(f, ...)\n"
    "  local mine, other = results(ours, f, ...), results(theirs, f, ...)\n"
    "  if not mine[1] then\n"
    "    if other[1] and not tostring(mine[2]):find('malformed') and not tostring(mine[2]):find('capture') and not "
    "tostring(mine[2]):find('missing') then error('only ours fails: ' .. mine[2]) end\n"
    "    mistakes = mistakes + 1\n"
    "    return true\n"
    "  end\n"
    "  compared = compared + 1\n"
    "  if mine.n ~= other.n then return false end\n"
    "  for i = 1, mine.n do if mine[i] ~= other[i] then return false end end\n"
    "  return true\n"
    "end\n";

static void expect_same_as_lua(const char *code)
{
    char *all = malloc(strlen(helpers) + strlen(code) + 1);
    strcat(strcpy(all, helpers), code);
    expect_true(all);
    free(all);
}

TEST(generated_patterns_match_as_they_do_in_lua)
{
    expect_same_as_lua(
        "local seed = 1\n"
        "local function draw(n) seed = (seed * 1103515245 + 12345) & 0x7fffffff return (seed >> 8) % n + 1 end\n"
        "local parts = {'a', 'b', 'c', '.', '%a', '%d', '%s', '%w', '%A', '%.', '[ab]', '[^a]', '[a-c]', '[%w_]', "
        "'[]]',"
        " '[^]b]', '[a-]', '[%a-z]', '(', ')', '()', '(a)', '(.-)', '%1', '%2', '%b()', '%bab', '%f[%w]', '%f[^a]', "
        "'^',"
        " '$', '*', '+', '-', '?', '%', '[', ']', '%z', '%%', '%x', '%p', '%g', '%u', '%l', '%c', '\\0', '(b*)', "
        "'[+-%%]'}\n"
        "local letters = {'a', 'b', 'c', 'A', '1', ' ', '(', ')', '.', '-', ']', '%', '\\0', '\\xff', 'ab', 'aa', "
        "'_'}\n"
        "local replacements = {'x', '%0', '%1', '<%2>', '%%', '%', function(a) return a ~= 'a' and a end, {a = 'A', b "
        "= false}}\n"
        "local function text(from, most) local t = {} for i = 1, draw(most + 1) - 1 do t[i] = from[draw(#from)] end "
        "return table.concat(t) end\n"
        "for i = 1, 60000 do\n"
        "  local p, s, init = text(parts, 6), text(letters, 10), draw(14) - 7\n"
        "  local ok = same('find', s, p, init) and same('match', s, p, init) and "
        "same('gmatch', s, p, init)\n"
        "    and same('gsub', s, p, replacements[draw(#replacements)], i % 3 == 0 and draw(3) - 1 or nil) and "
        "same('find', s, "
        "text(letters, 2), init, true)\n"
        "  if not ok then error(('pattern %q subject %q init %d'):format(p, s, init)) end\n"
        "end\n"
        "assert(compared > 100000, compared)\n"
        "return true");
}

TEST(each_class_holds_the_same_characters_as_in_lua)
{
    expect_same_as_lua(
        "for c = 0, 255 do for _, class in ipairs{'a', 'c', 'd', 'g', 'l', 'p', 's', 'u', 'w', 'x', 'z'} do\n"
        "  for _, p in ipairs{'%' .. class, '%' .. class:upper(), '[%' .. class .. ']', '[^%' .. class:upper() "
        ".. 'x]'} do assert(same('find', string.char(c), p), p .. c) end\n"
        "end end return true");
}

TEST(a_frontier_does_not_look_before_the_subject)
{
    const char *text = "bb";
    struct pattern pattern;
    struct pattern_match match = {.subject = text + 1, .end = text + 2, .steps = 100};
    assert_null(pattern_read(&pattern, slice_of("%f[b]b"), true));
    assert_true(pattern_search(&match, &pattern, match.subject));
    match.subject = text;
    assert_false(pattern_match_at(&match, &pattern, text + 1));
}

TEST(mistakes_in_patterns_are_named)
{
    expect_error("ours.find('a', '[a')", "malformed pattern (missing ']')");
    expect_error("ours.find('a', '%')", "malformed pattern (ends with '%')");
    expect_error("ours.find('a', 'zzz%')", "malformed pattern (ends with '%')");
    expect_error("ours.find('a', '(a')", "unfinished capture");
    expect_error("ours.match('a', 'a)')", "invalid pattern capture");
    expect_error("ours.find('a', '(a%1)')", "invalid capture index");
    expect_error("ours.find('a', '%0')", "invalid capture index");
    expect_error("ours.find('a', '%ba')", "missing arguments to '%b'");
    expect_error("ours.find('a', '%fa')", "missing '[' after '%f'");
    expect_error("ours.find('a', ('()'):rep(33))", "too many captures");
    expect_error("ours.find('a', ('.'):rep(501))", "pattern too long");
    expect_error("ours.gmatch('a', '[')", "malformed");
    expect_error("ours.gsub('a', 'a', '%2')", "invalid capture index %2 in replacement string");
    expect_error("ours.gsub('a', 'a', '%x')", "invalid use of '%' in replacement string");
    expect_error("ours.gsub('a', 'a', function() return {} end)", "invalid replacement value (a table)");
    expect_error("ours.gsub('a', 'a', true)", "string/function/table expected");
}

TEST(no_pattern_runs_for_ever)
{
    expect_error("ours.find(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30))", "pattern takes too long");
    expect_error("ours.match(('a'):rep(40), ('a*'):rep(40) .. 'b')", "pattern takes too long");
    expect_error("ours.match(('a'):rep(40), ('a-'):rep(40) .. 'b')", "pattern takes too long");
    expect_error("ours.gsub(('a'):rep(50000), '.-b', '')", "pattern takes too long");
    expect_error("for _ in ours.gmatch(('('):rep(20000), '%b()') do end", "pattern takes too long");
    expect_error("ours.find(('x'):rep(20000), '(.-)%1y')", "pattern takes too long");
    expect_error("ours.find(('x'):rep(200000), ('.'):rep(400) .. 'y')", "pattern takes too long");
    expect_error("ours.find(('('):rep(10000) .. (')'):rep(10000), '%b()x')", "pattern takes too long");
}

TEST(long_texts_pass_where_the_work_is_in_proportion)
{
    expect_true("local s, n = ours.gsub(('ab '):rep(300000), '%w+', 'x') return n == 300000 and #s == 600000");
    expect_true("local n = 0 for w in ours.gmatch(('ab '):rep(100000), '%a+') do n = n + 1 end return n == 100000");
    expect_true("return ours.find(('a'):rep(1000000) .. 'b', 'b') == 1000001");
    expect_true("return ours.find(('a'):rep(1000000) .. 'b', 'a*b') == 1");
    expect_true("return ours.find(('a'):rep(1000000) .. 'bc', 'b[c]') == 1000001");
    expect_true("return ours.find(('a'):rep(200000), ('a'):rep(100000) .. 'b', 1, true) == nil");
}

TEST(a_callback_of_gsub_may_fail_and_may_call_gsub)
{
    expect_true("local ok, why = pcall(ours.gsub, ('a'):rep(5000), 'a', function() error('enough', 0) end) "
                "return not ok and why == 'enough'");
    expect_true("return ours.gsub('a b', '%a', function(c) return (ours.gsub(c .. c, '.', '%0-')) end) == 'a-a- b-b-'");
    expect_true("return ours.gsub('abc', '%w', {a = 1, b = false}) == '1bc'");
    expect_true("return ours.gsub(('xy'):rep(2000), '()x', '%1') ~= nil");
}

TEST(rep_of_nothing_is_nothing_however_often)
{
    expect_true("return ours.rep('', 1e15) == '' and ours.rep('x', 0) == '' and ours.rep('x', -1) == ''");
    expect_true("return ours.rep('ab', 3, ',') == 'ab,ab,ab' and ours.rep('', 3, ',') == ',,' and ours.rep('x', 1, "
                "',') == 'x'");
    expect_error("ours.rep('xx', math.maxinteger)", "too large");
}
