/* json_read.c - from JSON text straight onto the Lua stack (RFC 8259, strictly)
 *
 * One pass, no tokens, no tree: each value is pushed as it is read, each member set as soon as it is
 * whole.  A string without escapes goes from the text into Lua in one piece; one with escapes is put
 * together in a small array, or, when it is long, in a userdata, which Lua frees whatever happens.
 *
 * Every function that reads leaves `at` behind what it read and pushes one value; or says what is
 * wrong, once, and returns false.  json_push then takes off the stack what had been pushed. */
#include "core/lua/json.h"

#include "core/base/utf8.h"

#include <float.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#define SHORT_TEXT 512  /* bytes of a string with escapes that need no memory of their own */
#define NUMBER_MOST 400 /* bytes of a number: more than any double needs */
#define FIELDS_GUESS 8  /* room for the members of an object before there is one */

struct reader {
    lua_State *lua;
    const char *start; /* of the text */
    const char *at;    /* next byte to read */
    const char *end;
    int array_mark; /* stack index of the metatable of arrays */
    int depth;      /* arrays and objects that are open */
    struct err *err;
};

static bool read_value(struct reader *r);

static bool wrong(struct reader *r, const char *at, const char *what)
{
    return err_set(r->err, "byte %zu: %s", (size_t)(at - r->start) + 1, what);
}

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* ---- strings ------------------------------------------------------------------------------ */

/* What stops the fast way through a string: 0 nothing, 1 control, quote or backslash, 2 not ASCII. */
static const unsigned char stops[256] = {
    ['"'] = 1,
    ['\\'] = 1,
    [0x00 ... 0x1f] = 1,
    [0x80 ... 0xff] = 2,
};

/* The closing quote of the string that begins at r->at; NULL with the reason. */
static const char *find_quote(struct reader *r, bool *has_escapes)
{
    const char *at = r->at;
    *has_escapes = false;
    for (;;) {
        while (at < r->end && !stops[(unsigned char)*at])
            at++;
        if (at >= r->end)
            return wrong(r, r->at - 1, "this string has no end"), NULL;
        if (*at == '"')
            return at;
        if (*at == '\\') {
            *has_escapes = true;
            at += at + 1 < r->end ? 2 : 1;
        } else if ((unsigned char)*at < 0x20) {
            return wrong(r, at, "a control character in a string must be escaped"), NULL;
        } else {
            size_t length = utf8_length(at, (size_t)(r->end - at));
            if (length == 0)
                return wrong(r, at, "this is not UTF-8"), NULL;
            at += length;
        }
    }
}

/* Four hex digits; -1 if they are not. */
static long read_hex(const char *at, const char *end)
{
    long value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, long c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* Behind "\u": one character, which outside the first plane is written as two halves. */
static const char *unescape_unicode(struct reader *r, const char *at, const char *quote, char **to)
{
    long c = read_hex(at, quote);
    if (c < 0)
        return wrong(r, at - 2, "\\u wants four hex digits"), NULL;
    at += 4;
    if (c >= 0xD800 && c <= 0xDFFF) {
        long low = c < 0xDC00 && quote - at >= 6 && at[0] == '\\' && at[1] == 'u' ? read_hex(at + 2, quote) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return wrong(r, at - 6, "half of a surrogate pair"), NULL;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
    }
    *to = put_utf8(*to, c);
    return at;
}

/* Writes the characters up to `quote` to `to`, which has room for as many bytes as the text has. */
static bool unescape(struct reader *r, const char *quote, char *to, size_t *size)
{
    static const char plain[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
    };
    char *first = to;
    for (const char *at = r->at; at < quote;) {
        if (*at != '\\') {
            *to++ = *at++;
        } else if (at[1] == 'u') {
            at = unescape_unicode(r, at + 2, quote, &to);
            if (!at)
                return false;
        } else if (plain[(unsigned char)at[1]]) {
            *to++ = plain[(unsigned char)at[1]];
            at += 2;
        } else {
            return wrong(r, at, "JSON has no such escape");
        }
    }
    *size = (size_t)(to - first);
    return true;
}

/* r->at is behind the opening quote. */
static bool read_string(struct reader *r)
{
    bool has_escapes;
    const char *quote = find_quote(r, &has_escapes);
    if (!quote)
        return false;
    if (!has_escapes) {
        lua_pushlstring(r->lua, r->at, (size_t)(quote - r->at));
        r->at = quote + 1;
        return true;
    }
    char brief[SHORT_TEXT];
    size_t size = (size_t)(quote - r->at);
    char *text = size <= sizeof brief ? brief : lua_newuserdatauv(r->lua, size, 0);
    if (!unescape(r, quote, text, &size))
        return false;
    lua_pushlstring(r->lua, text, size);
    if (text != brief)
        lua_remove(r->lua, -2);
    r->at = quote + 1;
    return true;
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* The slow and sure way, for what does not fit the fast one. */
static bool push_double(struct reader *r, const char *first, const char *last)
{
    char text[NUMBER_MOST + 1];
    size_t size = (size_t)(last - first);
    if (size > NUMBER_MOST)
        return wrong(r, first, "this number has too many digits");
    memcpy(text, first, size);
    text[size] = '\0';
    double value = strtod(text, NULL);
    if (isinf(value))
        return wrong(r, first, "this number is too large");
    lua_pushnumber(r->lua, value);
    return true;
}

/* digits * 10^exponent is exact in one operation while both are exact doubles. */
static bool push_float(struct reader *r, const char *first, uint64_t digits, bool is_exact, long exponent)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!is_exact || digits > (UINT64_C(1) << DBL_MANT_DIG) || exponent < -22 || exponent > 22)
        return push_double(r, first, r->at);
    double value = (double)digits;
    value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
    lua_pushnumber(r->lua, *first == '-' ? -value : value);
    return true;
}

/* Reads digits into `value`; false once they do not fit. */
static bool read_digits(struct reader *r, uint64_t *value)
{
    bool fits = true;
    for (; is_digit(r->at, r->end); r->at++) {
        unsigned digit = (unsigned)(*r->at - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            fits = false;
        else
            *value = *value * 10 + digit;
    }
    return fits;
}

static bool push_integer(struct reader *r, const char *first, uint64_t digits, bool fits)
{
    bool is_negative = *first == '-';
    if (!fits || digits > (uint64_t)INT64_MAX + is_negative)
        return wrong(r, first, "this integer does not fit into 64 bits: send it as a string");
    lua_pushinteger(r->lua, is_negative ? (lua_Integer)(0 - digits) : (lua_Integer)digits);
    return true;
}

static bool read_number(struct reader *r)
{
    const char *first = r->at;
    uint64_t digits = 0;
    if (*r->at == '-')
        r->at++;
    if (!is_digit(r->at, r->end))
        return wrong(r, first, "this is not JSON");
    if (*r->at == '0' && is_digit(r->at + 1, r->end))
        return wrong(r, first, "a number cannot begin with 0");
    bool fits = read_digits(r, &digits);
    bool has_point = r->at < r->end && *r->at == '.';
    bool has_exponent = r->at < r->end && (*r->at | 32) == 'e';
    if (!has_point && !has_exponent)
        return push_integer(r, first, digits, fits);

    long exponent = 0;
    if (has_point) {
        const char *behind_point = ++r->at;
        fits = read_digits(r, &digits) && fits;
        if (r->at == behind_point)
            return wrong(r, r->at, "a digit must follow the point");
        exponent = (long)(behind_point - r->at);
        has_exponent = r->at < r->end && (*r->at | 32) == 'e';
    }
    if (has_exponent) {
        r->at++;
        bool is_negative = r->at < r->end && *r->at == '-';
        if (r->at < r->end && (*r->at == '-' || *r->at == '+'))
            r->at++;
        if (!is_digit(r->at, r->end))
            return wrong(r, r->at, "a digit must follow the exponent sign");
        long written = 0;
        for (; is_digit(r->at, r->end); r->at++)
            written = written < 100000 ? written * 10 + (*r->at - '0') : written;
        exponent += is_negative ? -written : written;
    }
    return push_float(r, first, digits, fits, exponent);
}

/* ---- arrays, objects, everything ----------------------------------------------------------- */

static bool go_deeper(struct reader *r)
{
    if (++r->depth > JSON_DEPTH_MOST)
        return wrong(r, r->at - 1, "nested deeper than 64 levels");
    if (!lua_checkstack(r->lua, 8))
        return wrong(r, r->at - 1, "no stack left");
    return true;
}

/* r->at is behind the "[". */
static bool read_array(struct reader *r)
{
    if (!go_deeper(r))
        return false;
    lua_newtable(r->lua);
    lua_pushvalue(r->lua, r->array_mark);
    lua_setmetatable(r->lua, -2);
    skip_space(r);
    if (r->at < r->end && *r->at == ']') {
        r->at++;
        r->depth--;
        return true;
    }
    for (lua_Integer i = 1;; i++) {
        if (!read_value(r))
            return false;
        lua_rawseti(r->lua, -2, i);
        skip_space(r);
        char c = r->at < r->end ? *r->at : '\0';
        if (c != ',' && c != ']')
            return wrong(r, r->at, r->at < r->end ? "a comma or ] expected" : "this array has no end");
        r->at++;
        if (c == ']')
            break;
    }
    r->depth--;
    return true;
}

/* The key and its colon. */
static bool read_key(struct reader *r)
{
    skip_space(r);
    if (r->at >= r->end || *r->at != '"')
        return wrong(r, r->at, r->at < r->end ? "a key in quotes expected" : "this object has no end");
    const char *first = r->at++;
    if (!read_string(r))
        return false;
    lua_pushvalue(r->lua, -1);
    if (lua_rawget(r->lua, -3) != LUA_TNIL)
        return wrong(r, first, "this key is there twice");
    lua_pop(r->lua, 1);
    skip_space(r);
    if (r->at >= r->end || *r->at != ':')
        return wrong(r, r->at, "a colon expected");
    r->at++;
    return true;
}

/* r->at is behind the "{". */
static bool read_object(struct reader *r)
{
    if (!go_deeper(r))
        return false;
    skip_space(r);
    if (r->at < r->end && *r->at == '}') {
        lua_newtable(r->lua);
        r->at++;
        r->depth--;
        return true;
    }
    lua_createtable(r->lua, 0, FIELDS_GUESS);
    for (;;) {
        if (!read_key(r) || !read_value(r))
            return false;
        lua_rawset(r->lua, -3);
        skip_space(r);
        char c = r->at < r->end ? *r->at : '\0';
        if (c != ',' && c != '}')
            return wrong(r, r->at, r->at < r->end ? "a comma or } expected" : "this object has no end");
        r->at++;
        if (c == '}')
            break;
    }
    r->depth--;
    return true;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0)
        return wrong(r, r->at, "this is not JSON");
    r->at += size;
    if (word[0] == 'n')
        json_push_null(r->lua);
    else
        lua_pushboolean(r->lua, word[0] == 't');
    return true;
}

static bool read_value(struct reader *r)
{
    skip_space(r);
    if (r->at >= r->end)
        return wrong(r, r->at, "a value expected, but the text ends");
    switch (*r->at) {
    case '"': r->at++; return read_string(r);
    case '{': r->at++; return read_object(r);
    case '[': r->at++; return read_array(r);
    case 't': return read_word(r, "true");
    case 'f': return read_word(r, "false");
    case 'n': return read_word(r, "null");
    default: return read_number(r);
    }
}

bool json_push(lua_State *L, struct slice text, struct err *err)
{
    int top = lua_gettop(L);
    const char *start = text.data ? text.data : "";
    struct reader r = {
        .lua = L, .start = start, .at = start, .end = start + text.size, .array_mark = top + 1, .err = err};
    if (!lua_checkstack(L, 8))
        return err_set(err, "no stack left");
    json_push_array_mark(L);
    bool ok = read_value(&r);
    if (ok) {
        skip_space(&r);
        ok = r.at == r.end || wrong(&r, r.at, "something follows the end of the value");
    }
    if (!ok) {
        lua_settop(L, top);
        return false;
    }
    lua_remove(L, r.array_mark);
    return true;
}
