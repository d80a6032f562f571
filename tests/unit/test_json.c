/* test_json.c - JSON to Lua values and back */
#include "core/lua/json.h"

#include "core/lua/world.h"

#include "test.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>

static lua_State *open_lua(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    json_open(L);
    lua_setglobal(L, "json");
    return L;
}

/* Reads `text` and writes it again; "" and the reason in `err` if either is refused. */
static const char *round_trip(const char *text, struct err *err)
{
    static char answer[4000];
    lua_State *L = open_lua();
    struct buf out = BUF_INIT(sizeof answer - 1);
    err->text[0] = answer[0] = '\0';
    if (json_push(L, slice_of(text), err) && json_add(L, -1, &out, err))
        strcpy(answer, out.data);
    buf_clear(&out);
    lua_close(L);
    return answer;
}

static void expect_same(const char *text)
{
    struct err err;
    const char *answer = round_trip(text, &err);
    assert_string_equal(err.text, "");
    assert_string_equal(answer, text);
}

/* The text is refused, for this reason, and nothing is left on the stack. */
static void expect_refused(const char *text, size_t size, const char *reason)
{
    struct err err = ERR_INIT;
    lua_State *L = open_lua();
    char *copy = malloc(size ? size : 1); /* exactly as large: a sanitizer sees a look beyond */
    memcpy(copy, text, size);
    assert_false(json_push(L, (struct slice){copy, size}, &err));
    if (!strstr(err.text, reason))
        fail_msg("%s: expected %s, got %s", text, reason, err.text);
    assert_int_equal(lua_gettop(L), 0);
    free(copy);
    lua_close(L);
}

static void expect_text_refused(const char *text, const char *reason)
{
    expect_refused(text, strlen(text), reason);
}

/* Runs Lua code that returns true. */
static void expect_true(const char *code)
{
    lua_State *L = open_lua();
    if (luaL_dostring(L, code) != LUA_OK)
        fail_msg("%s: %s", code, lua_tostring(L, -1));
    if (!lua_toboolean(L, -1))
        fail_msg("not true: %s", code);
    lua_close(L);
}

/* Runs Lua code that raises, for this reason. */
static void expect_error(const char *code, const char *reason)
{
    lua_State *L = open_lua();
    if (luaL_dostring(L, code) == LUA_OK)
        fail_msg("no error: %s", code);
    if (!strstr(lua_tostring(L, -1), reason))
        fail_msg("%s: expected %s, got %s", code, reason, lua_tostring(L, -1));
    lua_close(L);
}

TEST(integers_of_64_bits_stay_exact)
{
    expect_same("9007199254740993");
    expect_same("9223372036854775807");
    expect_same("-9223372036854775808");
    expect_same("[0,-1,1763800000123]");
    expect_true("return math.type(json.decode('7')) == 'integer' and json.decode('-9223372036854775808') == "
                "math.mininteger");
    expect_text_refused("9223372036854775808", "does not fit into 64 bits");
    expect_text_refused("-9223372036854775809", "does not fit into 64 bits");
    expect_text_refused("[1,18446744073709551616]", "byte 4: this integer does not fit");
    expect_text_refused("99999999999999999999999999999999999", "does not fit");
}

TEST(floats_come_back_the_same_and_stay_floats)
{
    expect_same("3.0");
    expect_same("-0.0");
    expect_same("0.1");
    expect_same("55.7093");
    expect_same("0.30000000000000004");
    expect_same("1e+300");
    expect_same("4.94065645841247e-324");
    expect_same("1.7976931348623157e+308");
    expect_same("2.2250738585072014e-308");
    expect_true("return math.type(json.decode('1E2')) == 'float' and json.decode('1e2') == 100.0");
    expect_true("return json.encode(2^53) == '9007199254740992.0' and json.encode(1e15) == '1e+15'");
    expect_true("return json.decode('0.' .. ('0'):rep(350) .. '1') == 0.0");
    expect_text_refused("1e400", "too large");
    expect_text_refused("-1e999999999999999999999", "too large");
}

TEST(any_double_survives)
{
    lua_State *L = open_lua();
    uint64_t seed = 42;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = i % 2 ? seed ^ seed >> 29 : 0;
        double value;
        if (i % 2)
            memcpy(&value, &bits, sizeof value);
        else
            value = (double)(int64_t)(seed >> 30) / (double)(1 + (seed >> 7) % 1000); /* sizes that people use */
        if (!isfinite(value))
            continue;
        struct buf out = BUF_INIT(100);
        struct err err = ERR_INIT;
        lua_pushnumber(L, value);
        assert_true(json_add(L, -1, &out, &err));
        assert_true(json_push(L, buf_slice(&out), &err));
        assert_false(lua_isinteger(L, -1));
        double read = lua_tonumber(L, -1);
        assert_memory_equal(&read, &value, sizeof value);
        assert_true(strtod(out.data, NULL) == value);
        lua_settop(L, 0);
        buf_clear(&out);
    }
    lua_close(L);
}

TEST(a_decimal_is_read_as_strtod_reads_it)
{
    lua_State *L = open_lua();
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        char text[80];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64 "e%d", (seed >> 33) % 100000, seed >> (i % 60),
                 (int)(seed >> 40) % 40 - 20);
        struct err err = ERR_INIT;
        assert_true(json_push(L, slice_of(text), &err));
        if (lua_tonumber(L, -1) != strtod(text, NULL))
            fail_msg("%s", text);
        lua_settop(L, 0);
    }
    lua_close(L);
}

TEST(empty_arrays_and_objects_and_null_are_told_apart)
{
    expect_same("{\"a\":[],\"b\":{},\"c\":null,\"d\":[[],{},null]}");
    expect_same("null");
    expect_true("return json.encode({}) == '{}' and json.encode(json.array{}) == '[]'");
    expect_true("return json.encode(json.array()) == '[]' and json.encode({1, 2}) == '[1,2]'");
    expect_true("local t = json.decode('[]'); t[1] = 5; return json.encode(t) == '[5]'");
    expect_true("return json.decode('null') == json.null and json.null ~= nil and tostring(json.null) == 'null'");
    expect_true("return json.decode('[null]')[1] == json.null and #json.decode('[null,null]') == 2");
    expect_error("return json.null.name", "this is null, it has no field 'name'");
    expect_error("return json.array(setmetatable({}, {}))", "plain table expected");
}

TEST(keys_are_written_in_the_order_of_their_bytes)
{
    expect_true(
        "return json.encode{b = 1, a = 2, B = 3, aa = 4, [''] = 5} == '{\"\":5,\"B\":3,\"a\":2,\"aa\":4,\"b\":1}'");
    expect_true(
        "local t, want = {}, {} for i = 100, 999 do t['k' .. i] = i want[#want + 1] = ('\"k%d\":%d'):format(i, i) "
        "end return json.encode(t) == '{' .. table.concat(want, ',') .. '}'");
}

TEST(strings_keep_every_character)
{
    expect_same("\"a/b \xc3\xb8 \xe2\x82\xac \xf0\x9f\x9a\x97 \x7f\"");
    expect_same("\"\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\\\"\\\\\"");
    expect_true("return json.decode([[\"\\u00f8\\u20AC\\ud83d\\ude97\\/\"]]) == 'ø€🚗/'");
    expect_true("return json.decode([[\"a\\u0000b\"]]) == 'a\\0b'");
    expect_true(
        "local s = ('\\n'):rep(5000) return json.decode(json.encode(s)) == s"); /* longer than the small array */
    expect_true("return json.decode([[{\"\\u0061\":1}]]).a == 1");
}

TEST(broken_unicode_is_refused_with_its_place)
{
    expect_text_refused("\"\\ud83d\"", "byte 2: half of a surrogate pair");
    expect_text_refused("\"\\ude97\\ud83d\"", "half of a surrogate pair");
    expect_text_refused("\"\\ud83d\\u0041\"", "half of a surrogate pair");
    expect_text_refused("\"\\ud83dx\"", "half of a surrogate pair");
    expect_text_refused("\"\\u12g4\"", "four hex digits");
    expect_text_refused("\"\\u12\"", "four hex digits");
    expect_text_refused("[\"\xff\"]", "byte 3: this is not UTF-8");
    expect_text_refused("\"\xc0\xaf\"", "not UTF-8");
    expect_text_refused("\"\xed\xa0\x80\"", "not UTF-8");
    expect_text_refused("\"\xf4\x90\x80\x80\"", "not UTF-8");
    expect_text_refused("\"ab\xc3\"", "byte 4: this is not UTF-8");
    expect_text_refused("\xef\xbb\xbf{}", "byte 1: this is not JSON");
    expect_error("json.encode{a = {'x', 'b\\xff'}}", "a[2]: this string is not UTF-8");
    expect_error("json.encode{['k\\xff'] = 1}", "not UTF-8");
}

TEST(what_is_not_json_is_refused_with_its_place)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"", "byte 1: a value expected"},
        {"  ", "byte 3: a value expected"},
        {"nul", "byte 1: this is not JSON"},
        {"nullx", "byte 5: something follows"},
        {"{} {}", "byte 4: something follows"},
        {"01", "begin with 0"},
        {"-01", "begin with 0"},
        {"-", "not JSON"},
        {"+1", "not JSON"},
        {".5", "not JSON"},
        {"1.", "digit must follow the point"},
        {"1.e5", "digit must follow the point"},
        {"1e", "digit must follow"},
        {"1e+", "digit must follow"},
        {"0x10", "something follows"},
        {"NaN", "not JSON"},
        {"Infinity", "not JSON"},
        {"'a'", "not JSON"},
        {"\"abc", "byte 1: this string has no end"},
        {"\"abc\\", "no end"},
        {"\"abc\\\"", "no end"},
        {"\"a\nb\"", "byte 3: a control character"},
        {"\"\\x41\"", "no such escape"},
        {"[1,]", "byte 4: this is not JSON"},
        {"[1 2]", "byte 4: a comma or ] expected"},
        {"[1", "this array has no end"},
        {"[", "a value expected"},
        {"{", "this object has no end"},
        {"{\"a\"", "a colon expected"},
        {"{\"a\":1", "this object has no end"},
        {"{\"a\":1,}", "a key in quotes expected"},
        {"{a:1}", "a key in quotes expected"},
        {"{\"a\" 1}", "a colon expected"},
        {"{1:1}", "a key in quotes expected"},
        {"[1}", "a comma or ] expected"},
        {"/* c */ 1", "not JSON"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "byte 14: this key is there twice"},
        {"{\"a\":1,\"\\u0061\":3}", "this key is there twice"},
        {"{\"a\":null,\"a\":3}", "this key is there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_text_refused(cases[i].text, cases[i].reason);
    expect_refused("1\0", 2, "byte 2: something follows");
    expect_refused("\0", 1, "not JSON");
}

TEST(every_cut_of_a_document_is_refused)
{
    const char *text = "{\"a\":[1,-2.5e3,true,null],\"b\":\"\\ud83d\\ude97 \xc3\xb8\"}";
    for (size_t size = 0; size < strlen(text); size++)
        expect_refused(text, size, "byte ");
}

TEST(depth_ends_at_64)
{
    char text[300] = "";
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    expect_same(text);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    expect_text_refused(text, "byte 65: nested deeper than 64 levels");
    expect_error("local t = {} t.t = t json.encode(t)", "nested deeper than 64 levels");
    expect_error("local t = {} for i = 1, 64 do t = {t} end json.encode(t)", "nested deeper");
    expect_true("local t = json.array{} for i = 1, 63 do t = {t} end return #json.encode(t) == 128");
}

TEST(what_has_no_json_form_is_refused_with_its_path)
{
    expect_error("json.encode{items = {{price = 1}, {price = 0/0}}}", "items[2].price: NaN has no JSON form");
    expect_error("json.encode{a = 1/0}", "a: infinity");
    expect_error("json.encode{a = {b = print}}", "a.b: a function has no JSON form");
    expect_error("json.encode(print)", "json.encode: a function has no JSON form");
    expect_error("json.encode{[1] = 1, [3] = 3}", "a list must have the keys 1 to n");
    expect_error("json.encode{[0] = 1}", "a list must have the keys 1 to n");
    expect_error("json.encode{x = {1, 2, n = 2}}", "x: a list must have the keys");
    expect_error("json.encode{[1.5] = 1}", "the keys of an object must be strings");
    expect_error("json.encode{a = {[true] = 1}}", "a: the keys of an object must be strings");
    expect_error("local a = json.array{} a.x = 1 json.encode(a)", "a list must have the keys 1 to n");
    expect_error("json.encode{a = coroutine.create(print)}", "a: a userdata or thread");
    expect_error("json.encode(nil)", "nil has no JSON form");
    expect_error("json.encode()", "value expected");
}

TEST(encoding_runs_no_code_of_the_value)
{
    expect_true(
        "local t = setmetatable({a = 1}, {__index = error, __pairs = error, __len = error, __tostring = error}) "
        "return json.encode(t) == '{\"a\":1}'");
}

TEST(a_text_that_grows_without_end_meets_the_ceiling)
{
    expect_error("local t = {('x'):rep(1000)} for i = 1, 60 do t = {t, t} end json.encode(t)", "would be longer than");
    expect_error("local t = {} for i = 1, 60 do t = {a = t, b = t} end json.encode(t)", "would be longer than");
    expect_error("local s = ('x'):rep(1 << 20) local t = {} for i = 1, 100000 do t[i] = s end json.encode(t)",
                 "would be longer");

    lua_State *L = open_lua();
    struct buf out = BUF_INIT(10);
    struct err err = ERR_INIT;
    lua_pushstring(L, "0123456789");
    assert_false(json_add(L, -1, &out, &err));
    assert_non_null(strstr(err.text, "longer than 10 bytes"));
    assert_int_equal(lua_gettop(L), 1);
    buf_clear(&out);
    lua_close(L);
}

TEST(json_encode_works_on_after_a_refusal)
{
    expect_true("for i = 1, 100 do pcall(json.encode, {('y'):rep(100), print}) end return json.encode{1} == '[1]'");
}
