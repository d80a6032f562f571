/* json_write.c - from a Lua value to JSON text
 *
 * Goes through the value by raw access: no metamethod, so no code of a flow, runs in here, nothing
 * raises, and what the C side holds meanwhile is safe.  The way to the value in hand is kept as it goes,
 * and becomes text only when something is wrong: "items[3].price: ...". */
#include "core/lua/json.h"

#include "core/base/utf8.h"
#include "core/lua/frozen.h"
#include "core/lua/keys.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_KEY_MOST 40 /* bytes of a key that a path shows */

struct place {
    struct slice key; /* of an object; data NULL: in an array */
    int64_t position; /* in an array, from 1 */
};

struct writer {
    lua_State *lua;
    struct buf *out;
    struct err *err;
    int depth;                            /* arrays and objects that are open */
    struct place places[JSON_DEPTH_MOST]; /* where in each of them */
};

static bool write_value(struct writer *w, int index);

static bool wrong(struct writer *w, const char *what)
{
    struct buf path = BUF_INIT(300);
    for (int i = 0; i < w->depth && i < JSON_DEPTH_MOST; i++) {
        const struct place *place = &w->places[i];
        if (!place->key.data)
            buf_addf(&path, "[%" PRId64 "]", place->position);
        else
            buf_addf(&path, "%s%.*s", i ? "." : "", SLICE_ARG(utf8_cut(place->key, PATH_KEY_MOST)));
    }
    if (path.size)
        err_set(w->err, "%s: %s", path.data, what);
    else
        err_set(w->err, "%s", what);
    buf_clear(&path);
    return false;
}

static bool too_long(struct writer *w)
{
    return err_set(w->err, "the text would be longer than %zu bytes", w->out->limit);
}

/* ---- strings and numbers ------------------------------------------------------------------- */

/* What a byte becomes: 0 itself, 'u' \u00XX, 1 part of a character beyond ASCII, else the letter of its escape. */
static const char escapes[256] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b',          ['\t'] = 't', ['\n'] = 'n',  [0x0b] = 'u',        ['\f'] = 'f',
    ['\r'] = 'r',          [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\', [0x80 ... 0xff] = 1,
};

static bool write_string(struct writer *w, struct slice text)
{
    const char *at = text.data, *end = text.data + text.size, *plain = at;
    buf_add_char(w->out, '"');
    while (at < end) {
        unsigned char c = (unsigned char)*at;
        if (!escapes[c]) {
            at++;
        } else if (escapes[c] == 1) {
            size_t length = utf8_length(at, (size_t)(end - at));
            if (length == 0)
                return wrong(w, "this string is not UTF-8");
            at += length;
        } else {
            buf_add(w->out, plain, (size_t)(at - plain));
            if (escapes[c] == 'u')
                buf_addf(w->out, "\\u%04x", c);
            else
                buf_add(w->out, (char[]){'\\', escapes[c]}, 2);
            plain = ++at;
        }
    }
    buf_add(w->out, plain, (size_t)(at - plain));
    return (buf_add_char(w->out, '"') && !w->out->is_over) || too_long(w);
}

/* The digits of `value`, with a point before the last `decimals` of them (0: without a point). */
static bool write_digits(struct writer *w, bool is_negative, uint64_t value, int decimals)
{
    char text[40];
    char *at = text + sizeof text;
    for (int written = 0; value || written <= decimals; written++) {
        if (decimals && written == decimals)
            *--at = '.';
        *--at = (char)('0' + value % 10);
        value /= 10;
    }
    if (is_negative)
        *--at = '-';
    return buf_add(w->out, at, (size_t)(text + sizeof text - at)) || too_long(w);
}

static bool write_integer(struct writer *w, lua_Integer value)
{
    return write_digits(w, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 0);
}

/* Numbers as people write them, 55.7093: m / 10^k is exact for such m and k, so if it gives the number back, these are
 * its shortest digits.  False if it is no such number (and nothing is written). */
static bool is_short_decimal(lua_Number value, uint64_t *m, int *k)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double size = fabs(value);
    for (*k = 1; size < 1e9 && *k <= 6; ++*k) {
        double scaled = nearbyint(size * powers[*k]);
        if (scaled / powers[*k] == size) {
            *m = (uint64_t)scaled;
            return true;
        }
    }
    return false;
}

/* The shortest digits that read back as the same number, and always something that shows it is no integer. */
static bool write_float(struct writer *w, lua_Number value)
{
    char text[40];
    uint64_t m;
    int k;
    if (is_short_decimal(value, &m, &k))
        return write_digits(w, signbit(value) != 0, m, k);
    if (isnan(value))
        return wrong(w, "NaN has no JSON form");
    if (isinf(value))
        return wrong(w, "infinity has no JSON form");
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text - 2, "%.*g", digits, value);
        if (digits == DBL_DECIMAL_DIG || strtod(text, NULL) == value)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    return buf_add_text(w->out, text) || too_long(w);
}

/* ---- arrays and objects -------------------------------------------------------------------- */

/* Every key of an array is one of 1..n, so there are n of them. */
static bool is_whole_array(lua_State *L, int index, lua_Integer *count)
{
    lua_Integer most = 0;
    *count = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        lua_Integer key = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (key < 1) {
            lua_pop(L, 1);
            return false;
        }
        most = key > most ? key : most;
        ++*count;
    }
    return most == *count;
}

static bool write_array(struct writer *w, int index)
{
    lua_State *L = w->lua;
    lua_Integer count;
    if (!is_whole_array(L, index, &count))
        return wrong(w, "a list must have the keys 1 to n, without holes and without others");
    struct place *place = &w->places[w->depth++];
    place->key = SLICE_NONE;
    buf_add_char(w->out, '[');
    for (lua_Integer i = 1; i <= count; i++) {
        place->position = i;
        if (i > 1)
            buf_add_char(w->out, ',');
        lua_rawgeti(L, index, i);
        if (!write_value(w, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
    }
    w->depth--;
    return buf_add_char(w->out, ']') || too_long(w);
}

static bool write_members(struct writer *w, int index, const struct key *keys, int count)
{
    lua_State *L = w->lua;
    struct place *place = &w->places[w->depth++];
    buf_add_char(w->out, '{');
    for (int i = 0; i < count; i++) {
        if (keys[i].type != LUA_TSTRING) {
            w->depth--;
            return wrong(w, "the keys of an object must be strings");
        }
        place->key = keys[i].text;
        if (i > 0)
            buf_add_char(w->out, ',');
        if (!write_string(w, keys[i].text))
            return false;
        buf_add_char(w->out, ':');
        lua_pushvalue(L, keys[i].slot);
        lua_rawget(L, index);
        if (!write_value(w, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
    }
    w->depth--;
    return buf_add_char(w->out, '}') || too_long(w);
}

static bool write_object(struct writer *w, int index)
{
    lua_State *L = w->lua;
    struct key few[KEYS_FEW];
    int top = lua_gettop(L);
    int count = keys_push(L, index);
    if (count < 0)
        return wrong(w, "this object has too many keys");
    struct key *keys = count <= KEYS_FEW ? few : mem_new((size_t)count * sizeof *keys);
    keys_sort(L, keys, count);
    bool ok = write_members(w, index, keys, count);
    if (keys != few)
        free(keys);
    if (ok)
        lua_settop(L, top);
    return ok;
}

/* An array is marked as one, or its first key is an integer. */
static bool looks_like_array(struct writer *w, int index)
{
    lua_State *L = w->lua;
    if (lua_getmetatable(L, index)) {
        json_push_array_mark(L);
        bool is_marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (is_marked)
            return true;
    }
    lua_pushnil(L);
    if (!lua_next(L, index))
        return false;
    bool is_numbered = lua_isinteger(L, -2);
    lua_pop(L, 2);
    return is_numbered;
}

static bool write_table(struct writer *w, int index)
{
    if (w->depth >= JSON_DEPTH_MOST)
        return wrong(w, "nested deeper than 64 levels; does it contain itself?");
    if (!lua_checkstack(w->lua, 8))
        return wrong(w, "no stack left");
    bool is_frozen = frozen_content(w->lua, index);
    int content = is_frozen ? lua_gettop(w->lua) : index;
    bool ok = looks_like_array(w, content) ? write_array(w, content) : write_object(w, content);
    if (ok && is_frozen)
        lua_pop(w->lua, 1);
    return ok;
}

static bool write_value(struct writer *w, int index)
{
    lua_State *L = w->lua;
    struct slice text;
    switch (lua_type(L, index)) {
    case LUA_TSTRING: text.data = lua_tolstring(L, index, &text.size); return write_string(w, text);
    case LUA_TNUMBER:
        return lua_isinteger(L, index) ? write_integer(w, lua_tointeger(L, index))
                                       : write_float(w, lua_tonumber(L, index));
    case LUA_TBOOLEAN: return buf_add_text(w->out, lua_toboolean(L, index) ? "true" : "false") || too_long(w);
    case LUA_TTABLE: return write_table(w, index);
    case LUA_TNIL: return wrong(w, "nil has no JSON form: leave it out, or say json.null");
    default:
        if (json_null_at(L, index))
            return buf_add_text(w->out, "null") || too_long(w);
        return wrong(w, lua_type(L, index) == LUA_TFUNCTION ? "a function has no JSON form"
                                                            : "a userdata or thread has no JSON form");
    }
}

bool json_add(lua_State *L, int index, struct buf *out, struct err *err)
{
    int top = lua_gettop(L);
    struct writer w; /* field by field: its places need no zeroes, and this is the hot path */
    w.lua = L;
    w.out = out;
    w.err = err;
    w.depth = 0;
    if (!lua_checkstack(L, 8))
        return err_set(err, "no stack left");
    bool ok = write_value(&w, lua_absindex(L, index)) && (!out->is_over || too_long(&w));
    lua_settop(L, top);
    return ok;
}
