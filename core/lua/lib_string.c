/* lib_string.c - `string`, as flows see it
 *
 * byte, char, format, len, lower, reverse, sub and upper are Lua's own.  dump, pack, packsize and unpack are
 * not there.  find, match, gmatch and gsub stand on pattern.c, which counts its steps: one call may take
 * a million, and some more for each byte of its subject; past that it raises "pattern takes too long".
 * What they took counts against the budget of the run, so catching that error is no way out. */
#include "core/lua/inside.h"

#include "core/lua/pattern.h"

#include <lualib.h>

#define STEPS_MOST 1000000       /* of one call ... */
#define STEPS_PER_BYTE 32        /* ... and on top of that, for each byte of the subject */
#define STEPS_PER_INSTRUCTION 4  /* what they count against the budget */
#define BYTES_PER_INSTRUCTION 64 /* of a plain search */

static struct slice check_text(lua_State *L, int index)
{
    struct slice text;
    text.data = luaL_checklstring(L, index, &text.size);
    return text;
}

/* `init` of find and its like as an offset from 0; may lie behind the end. */
static size_t start_offset(lua_State *L, int index, size_t size)
{
    lua_Integer init = luaL_optinteger(L, index, 1);
    if (init > 0)
        return (size_t)init - 1;
    if (init == 0 || init < -(lua_Integer)size)
        return 0;
    return size - (size_t)-init;
}

static void read_pattern(lua_State *L, struct pattern *pattern, struct slice text, bool may_anchor)
{
    const char *mistake = pattern_read(pattern, text, may_anchor);
    if (mistake)
        luaL_error(L, "%s", mistake);
}

static int64_t steps_for(size_t size)
{
    return STEPS_MOST + STEPS_PER_BYTE * (int64_t)size;
}

static void begin_match(struct pattern_match *match, struct slice subject)
{
    match->subject = subject.data;
    match->end = subject.data + subject.size;
    match->steps = steps_for(subject.size);
}

/* Counts the steps since there were `before`; raises if the match was given up. */
static void end_match(lua_State *L, const struct pattern_match *match, int64_t before)
{
    world_charge(L, (before - match->steps) / STEPS_PER_INSTRUCTION);
    if (match->steps < 0)
        luaL_error(L, "pattern takes too long");
}

static void push_capture(lua_State *L, const struct pattern_match *match, const struct pattern *pattern, int which)
{
    const struct pattern_capture *capture = &match->captures[which];
    if (pattern->captures == 0)
        lua_pushlstring(L, match->from, (size_t)(match->to - match->from));
    else if (capture->size == PATTERN_POSITION)
        lua_pushinteger(L, capture->start - match->subject + 1);
    else
        lua_pushlstring(L, capture->start, capture->size);
}

/* All captures, or the whole match where there are none. */
static int push_captures(lua_State *L, const struct pattern_match *match, const struct pattern *pattern)
{
    int count = pattern->captures ? pattern->captures : 1;
    luaL_checkstack(L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(L, match, pattern, i);
    return count;
}

/* ---- find, match --------------------------------------------------------------------------- */

static int find_plain(lua_State *L, struct slice subject, struct slice text, size_t offset)
{
    world_charge(L, (int64_t)(subject.size / BYTES_PER_INSTRUCTION));
    const char *found =
        text.size ? memmem(subject.data + offset, subject.size - offset, text.data, text.size) : subject.data + offset;
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - subject.data + 1);
    lua_pushinteger(L, found - subject.data + (lua_Integer)text.size);
    return 2;
}

static int find_or_match(lua_State *L, bool is_find)
{
    struct slice subject = check_text(L, 1);
    struct slice text = check_text(L, 2);
    size_t offset = start_offset(L, 3, subject.size);
    if (offset > subject.size) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || !pattern_is_special(text)))
        return find_plain(L, subject, text, offset);
    struct pattern pattern;
    struct pattern_match match;
    read_pattern(L, &pattern, text, true);
    begin_match(&match, subject);
    bool found = pattern_search(&match, &pattern, subject.data + offset);
    end_match(L, &match, steps_for(subject.size));
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    if (!is_find)
        return push_captures(L, &match, &pattern);
    lua_pushinteger(L, match.from - subject.data + 1);
    lua_pushinteger(L, match.to - subject.data);
    return 2 + (pattern.captures ? push_captures(L, &match, &pattern) : 0);
}

static int string_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int string_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* ---- gmatch, gsub -------------------------------------------------------------------------- */

/* The next match that is not the empty one right behind the last, which ended at `last`. */
static bool next_match(struct pattern_match *match, const struct pattern *pattern, const char *at, const char *last)
{
    for (; at <= match->end; at++) {
        if (!pattern_search(match, pattern, at))
            return false;
        if (match->to != last)
            return true;
        at = match->from;
    }
    return false;
}

/* Upvalues: subject, pattern, offset to go on from, offset where the last match ended (-1: there was none). */
static int gmatch_next(lua_State *L)
{
    struct slice subject = check_text(L, lua_upvalueindex(1));
    size_t offset = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    if (offset > subject.size)
        return 0;
    struct pattern pattern;
    struct pattern_match match;
    read_pattern(L, &pattern, check_text(L, lua_upvalueindex(2)), false);
    begin_match(&match, subject);
    bool found = next_match(&match, &pattern, subject.data + offset, last < 0 ? NULL : subject.data + last);
    end_match(L, &match, steps_for(subject.size));
    if (!found)
        return 0;
    lua_pushinteger(L, match.to - subject.data);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(L, &match, &pattern);
}

static int string_gmatch(lua_State *L)
{
    struct slice subject = check_text(L, 1);
    struct slice text = check_text(L, 2);
    struct pattern pattern;
    read_pattern(L, &pattern, text, false); /* a mistake shows here, not at the first turn of the loop */
    size_t offset = start_offset(L, 3, subject.size);
    lua_settop(L, 2);
    lua_pushinteger(L, offset > subject.size ? (lua_Integer)subject.size + 1 : (lua_Integer)offset);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* The replacement text: %0 to %9 are captures, %% is a percent sign. */
static void add_template(lua_State *L, luaL_Buffer *out, const struct pattern_match *match,
                         const struct pattern *pattern)
{
    struct slice text;
    text.data = lua_tolstring(L, 3, &text.size);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            luaL_addchar(out, text.data[i]);
            continue;
        }
        char c = ++i < text.size ? text.data[i] : '\0';
        int which = c - '1';
        if (c == '%') {
            luaL_addchar(out, '%');
        } else if (c == '0') {
            luaL_addlstring(out, match->from, (size_t)(match->to - match->from));
        } else if (which >= 0 && which < 9) {
            if (which >= (pattern->captures ? pattern->captures : 1))
                luaL_error(L, "invalid capture index %%%d in replacement string", which + 1);
            push_capture(L, match, pattern, which);
            luaL_tolstring(L, -1, NULL); /* a place is a number */
            lua_remove(L, -2);
            luaL_addvalue(out);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

static void add_replacement(lua_State *L, luaL_Buffer *out, const struct pattern_match *match,
                            const struct pattern *pattern)
{
    int type = lua_type(L, 3);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        add_template(L, out, match, pattern);
        return;
    }
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, match, pattern), 1);
    } else {
        push_capture(L, match, pattern, 0);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(out, match->from, (size_t)(match->to - match->from));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    } else {
        luaL_addvalue(out);
    }
}

static int string_gsub(lua_State *L)
{
    struct slice subject = check_text(L, 1);
    struct slice text = check_text(L, 2);
    int type = lua_type(L, 3);
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                     "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject.size + 1);
    struct pattern pattern;
    struct pattern_match match;
    read_pattern(L, &pattern, text, true);
    begin_match(&match, subject);
    const char *at = subject.data, *last = NULL;
    lua_Integer count = 0;
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    while (count < most) {
        int64_t before = match.steps;
        bool found = next_match(&match, &pattern, at, last);
        end_match(L, &match, before);
        if (!found)
            break;
        count++;
        luaL_addlstring(&out, at, (size_t)(match.from - at));
        at = last = match.to;
        add_replacement(L, &out, &match, &pattern);
        if (pattern.is_anchored)
            break;
    }
    luaL_addlstring(&out, at, (size_t)(match.end - at));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

/* ---- rep, and all together ----------------------------------------------------------------- */

static int string_rep(lua_State *L)
{
    struct slice text = check_text(L, 1);
    lua_Integer count = luaL_checkinteger(L, 2);
    struct slice separator = SLICE_NONE;
    separator.data = luaL_optlstring(L, 3, "", &separator.size);
    size_t unit = text.size + separator.size;
    if (count <= 0 || unit == 0) { /* nothing, however often */
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Unsigned)count > (lua_Unsigned)LUA_MAXINTEGER / unit)
        return luaL_error(L, "resulting string too large");
    luaL_Buffer out;
    size_t size = unit * (size_t)count - separator.size;
    char *to = luaL_buffinitsize(L, &out, size);
    for (lua_Integer i = 1; i <= count; i++) {
        memcpy(to, text.data, text.size);
        to += text.size;
        if (i < count && separator.size) {
            memcpy(to, separator.data, separator.size);
            to += separator.size;
        }
    }
    luaL_pushresultsize(&out, size);
    return 1;
}

int lib_string_open(lua_State *L)
{
    static const luaL_Reg ours[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch},
        {"gsub", string_gsub}, {"rep", string_rep},     {NULL, NULL},
    };
    static const char *const absent[] = {"dump", "pack", "packsize", "unpack", NULL};
    luaopen_string(L);
    luaL_setfuncs(L, ours, 0);
    for (int i = 0; absent[i]; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, absent[i]);
    }
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1); /* of all strings; its __index is the table that we have just changed */
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    return 1;
}
