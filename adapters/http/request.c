/* request.c - from a flow's table to the request that every attempt sends; see web.h
 *
 * What a flow says may come from outside, so nothing in it may change where the request goes or how it is framed: a
 * path has no `..`, no `?`, no host; a header is one line, and not one of those that HTTP itself or the connection
 * speaks with. */
#include "adapters/http/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PATH_MAX_BYTES 8000
#define HEADERS_MAX 16000
#define BODY_MAX ((size_t)16 << 20)

#define PATH                                                                                                           \
    {                                                                                                                  \
        .name = "path", .kind = OPTION_ANY, .is_required = true,                                                       \
        .help = "Behind the connection's base: \"/orders/17\", or {\"orders\", id}, whose parts are escaped."          \
    }
#define QUERY                                                                                                          \
    {                                                                                                                  \
        .name = "query", .kind = OPTION_MAP, .help = "Behind the `?`; a list as value: its name several times."        \
    }
#define HEADERS                                                                                                        \
    {                                                                                                                  \
        .name = "headers", .kind = OPTION_MAP, .help = "More headers, of one line each."                               \
    }
#define BODY                                                                                                           \
    {.name = "json", .kind = OPTION_ANY, .help = "The body: any value, sent as JSON."},                                \
        {.name = "form", .kind = OPTION_MAP, .help = "The body: names and values, sent as a form."},                   \
        {.name = "text", .kind = OPTION_TEXT, .help = "The body as it is."},                                           \
    {                                                                                                                  \
        .name = "content_type", .kind = OPTION_TEXT, .least = 3, .most = 200,                                          \
        .help = "Of `text`; not said: text/plain."                                                                     \
    }
#define TIMEOUT                                                                                                        \
    {                                                                                                                  \
        .name = "timeout", .kind = OPTION_DURATION, .least = 100, .most = 600000,                                      \
        .help = "How long the answer may take; not said: as the connection says."                                      \
    }
#define CACHE                                                                                                          \
    {                                                                                                                  \
        .name = "cache", .kind = OPTION_DURATION, .least = 1, .most = 86400000,                                        \
        .help = "An answer may be so old; not said: it is asked for anew."                                             \
    }

const struct option web_effect_fields[] = {PATH,
                                           QUERY,
                                           HEADERS,
                                           BODY,
                                           {.name = "idempotency_key",
                                            .kind = OPTION_TEXT,
                                            .least = 1,
                                            .most = 200,
                                            .help = "In place of the effect's id, by which a repeat is recognised."},
                                           TIMEOUT,
                                           OPTION_END};
const struct option web_bare_fields[] = {PATH, QUERY, HEADERS, TIMEOUT, OPTION_END};
const struct option web_get_fields[] = {PATH, QUERY, HEADERS, TIMEOUT, CACHE, OPTION_END};
const struct option web_search_fields[] = {PATH, QUERY, HEADERS, BODY, TIMEOUT, CACHE, OPTION_END};

/* ---- values ------------------------------------------------------------------------------------------ */

/* Numbers and booleans as a text; false for what has parts. */
static bool scalar_text(const json_t *value, struct buf *text)
{
    char number[40];
    switch (json_typeof(value)) {
    case JSON_STRING: return buf_add(text, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: return buf_add_number(text, json_integer_value(value));
    case JSON_TRUE: return buf_add_text(text, "true");
    case JSON_FALSE: return buf_add_text(text, "false");
    case JSON_REAL: break;
    default: return false;
    }
    for (int digits = 15; digits <= 17; digits++) { /* the fewest that say the same number */
        snprintf(number, sizeof number, "%.*g", digits, json_real_value(value));
        if (strtod(number, NULL) == json_real_value(value))
            break;
    }
    return buf_add_text(text, number);
}

static bool add_pair(struct buf *out, const char *name, const json_t *value, const char *field, struct err *err)
{
    struct buf text = BUF_INIT(BODY_MAX);
    bool ok = scalar_text(value, &text);
    if (ok) {
        if (out->size)
            buf_add_char(out, '&');
        http_escape(out, slice_of(name));
        buf_add_char(out, '=');
        http_escape(out, buf_slice(&text));
    }
    buf_clear(&text);
    return ok || err_set(err, "`%s.%s` is a table: only texts, numbers and booleans can stand there", field, name);
}

/* "a=1&b=2&b=3", in the order of the names. */
static bool add_pairs(struct buf *out, struct slice json, const char *field, struct err *err)
{
    json_t *pairs = json_loadb(json.data, json.size, JSON_ALLOW_NUL, NULL), *value, *item;
    const char *name;
    bool ok = json_is_object(pairs) || json_array_size(pairs) == 0
              || err_set(err, "`%s` must be a table of names and values", field);
    json_object_foreach(pairs, name, value) {
        size_t index;
        if (ok && json_is_array(value))
            json_array_foreach(value, index, item)
                ok = ok && add_pair(out, name, item, field, err);
        else if (ok && !json_is_null(value))
            ok = add_pair(out, name, value, field, err);
    }
    json_decref(pairs);
    return ok && (!out->is_over || err_set(err, "`%s` is too large", field));
}

/* ---- the path -------------------------------------------------------------------------------------------- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* "." and "..", also where their dots are escaped: whoever reads the path might resolve them. */
static bool is_dots(struct slice part)
{
    size_t dots = 0;
    for (size_t i = 0; i < part.size; dots++) {
        if (part.data[i] == '.')
            i++;
        else if (part.size - i >= 3 && strncasecmp(part.data + i, "%2e", 3) == 0)
            i += 3;
        else
            return false;
    }
    return dots == 1 || dots == 2;
}

static bool path_is_good(struct slice path, struct err *err)
{
    if (path.size && path.data[0] != '/')
        return err_set(err, "`path` must begin with /");
    for (size_t i = 0; i < path.size; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c == '?' || c == '#')
            return err_set(err,
                           "`path` has a %c in it: what stands behind a ? belongs into `query`, and a value with "
                           "such characters into a list: path = {\"orders\", id}",
                           c);
        if (c == '\\' || c < 0x20 || c == 0x7f)
            return err_set(err, "`path` has a character in it that no path has; give its parts as a list: path = "
                                "{\"orders\", id}");
        if (c == '%' && !(path.size - i > 2 && is_hex(path.data[i + 1]) && is_hex(path.data[i + 2])))
            return err_set(err, "`path` has a %% without two hex digits behind it; give its parts as a list: path = "
                                "{\"orders\", id}");
    }
    for (size_t at = 0; at < path.size;) {
        const char *slash = memchr(path.data + at + 1, '/', path.size - at - 1);
        size_t end = slash ? (size_t)(slash - path.data) : path.size;
        if (is_dots((struct slice){path.data + at + 1, end - at - 1}))
            return err_set(err, "`path` has . or .. as a part of it");
        at = end;
    }
    return true;
}

/* What is not of ASCII, and the few characters that no URL has, are escaped; what is escaped already stays. */
static bool add_path_text(struct buf *out, struct slice path, struct err *err)
{
    if (!path_is_good(path, err))
        return false;
    for (size_t i = 0; i < path.size; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c > 0x7f || strchr(" \"<>^`{|}[]", c))
            buf_addf(out, "%%%02X", c);
        else
            buf_add_char(out, (char)c);
    }
    return true;
}

static bool add_path_parts(struct buf *out, const json_t *parts, struct err *err)
{
    size_t index;
    json_t *part;
    bool ok = json_is_array(parts) && json_array_size(parts) > 0;
    if (!ok)
        return err_set(err, "`path` must be a text such as \"/orders\", or a list such as {\"orders\", id}");
    json_array_foreach(parts, index, part) {
        struct buf text = BUF_INIT(PATH_MAX_BYTES);
        ok = ok && (scalar_text(part, &text) || err_set(err, "`path`: part %zu is no text or number", index + 1));
        ok = ok && (text.size || err_set(err, "`path`: part %zu is empty", index + 1));
        ok = ok && (!is_dots(buf_slice(&text)) || err_set(err, "`path`: part %zu is . or ..", index + 1));
        if (ok) {
            buf_add_char(out, '/');
            http_escape(out, buf_slice(&text));
        }
        buf_clear(&text);
    }
    return ok;
}

static bool add_path(struct buf *out, struct slice fields, struct err *err)
{
    struct slice path = record_get(fields, "path"), query = record_get(fields, "query");
    json_t *parts = path.size && path.data[0] == '[' ? json_loadb(path.data, path.size, JSON_ALLOW_NUL, NULL) : NULL;
    bool is_list = parts != NULL || (path.size && path.data[0] == '{'); /* a table; no path begins so */
    bool ok = is_list ? add_path_parts(out, parts, err) : add_path_text(out, path, err);
    json_decref(parts);
    if (!ok || !query.size)
        return ok && (!out->is_over || err_set(err, "`path` is too long"));
    struct buf pairs = BUF_INIT(PATH_MAX_BYTES);
    ok = add_pairs(&pairs, query, "query", err);
    if (ok && pairs.size) {
        buf_add_char(out, '?');
        buf_add_slice(out, buf_slice(&pairs));
    }
    buf_clear(&pairs);
    return ok && (!out->is_over || err_set(err, "`path` and `query` are too long"));
}

/* ---- headers ----------------------------------------------------------------------------------------------- */

/* Those that frame the message, that speak for the connection, or that have a field of their own. */
static const struct {
    const char *name, *why;
} refused[] = {{"host", "it is the connection's"},
               {"content-length", "HTTP counts by itself"},
               {"transfer-encoding", "it would change where the body ends"},
               {"connection", "it belongs to the transport"},
               {"keep-alive", "it belongs to the transport"},
               {"te", "it belongs to the transport"},
               {"trailer", "it belongs to the transport"},
               {"upgrade", "it belongs to the transport"},
               {"expect", "it belongs to the transport"},
               {"proxy-authorization", "it belongs to the transport"},
               {"proxy-connection", "it belongs to the transport"},
               {"authorization", "it is the connection's, in headgate.yaml"},
               {"cookie", "it is the connection's, in headgate.yaml"},
               {"content-type", "use `json`, `form`, or `content_type` beside `text`"}};

static bool name_is_token(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && !(c && strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return name.size > 0 && name.size <= 200;
}

bool web_header_check(const struct settings *settings, struct slice name, struct slice value, struct err *err)
{
    if (!name_is_token(name))
        return err_set(err, "`headers`: \"%.*s\" is no name of a header", (int)(name.size < 60 ? name.size : 60),
                       name.data);
    for (size_t i = 0; settings && i < sizeof refused / sizeof refused[0]; i++)
        if (name.size == strlen(refused[i].name) && strncasecmp(name.data, refused[i].name, name.size) == 0)
            return err_set(err, "`headers`: %.*s cannot be set: %s", SLICE_ARG(name), refused[i].why);
    if (settings && web_auth_owns(settings, name))
        return err_set(err, "`headers`: %.*s cannot be set: it is the connection's, in headgate.yaml", SLICE_ARG(name));
    bool is_blank = true;
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return err_set(err, "`headers`: the value of %.*s is not one line", SLICE_ARG(name));
        is_blank = is_blank && (c == ' ' || c == '\t');
    }
    return !is_blank || err_set(err, "`headers`: the value of %.*s is empty", SLICE_ARG(name));
}

static bool add_headers(struct buf *out, const struct settings *settings, struct slice json, struct err *err)
{
    json_t *headers = json.size ? json_loadb(json.data, json.size, JSON_ALLOW_NUL, NULL) : NULL, *value;
    const char *name;
    bool ok = !json.size || json_is_object(headers) || json_array_size(headers) == 0
              || err_set(err, "`headers` must be a table of names and values");
    json_object_foreach(headers, name, value) {
        struct buf text = BUF_INIT(HEADERS_MAX);
        ok = ok && (scalar_text(value, &text) || err_set(err, "`headers.%s` is a table", name));
        ok = ok && web_header_check(settings, slice_of(name), buf_slice(&text), err);
        if (ok)
            buf_addf(out, "%s: %.*s\n", name, SLICE_ARG(buf_slice(&text)));
        buf_clear(&text);
    }
    json_decref(headers);
    return ok && (!out->is_over || err_set(err, "`headers` are too large"));
}

/* ---- the body ------------------------------------------------------------------------------------------------ */

/* A value that is a text is kept as its bytes, everything else as JSON. */
static bool add_json_body(struct buf *body, struct slice fields)
{
    struct field field;
    bool is_text = false;
    for (size_t at = 0; record_next(fields, &at, &field);)
        if (slice_is(field.name, "json"))
            is_text = field.kind == RECORD_TEXT;
    struct slice value = record_get(fields, "json");
    return is_text ? buf_add_json(body, value) : buf_add_slice(body, value);
}

static bool add_body(struct buf *out, struct slice fields, struct err *err)
{
    static const char *const kinds[] = {"json", "form", "text"};
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
                                        "text/plain; charset=utf-8"};
    int kind = -1;
    for (int i = 0; i < 3; i++) {
        if (!record_has(fields, kinds[i]))
            continue;
        if (kind >= 0)
            return err_set(err, "`%s` and `%s` are both the body: leave one out", kinds[kind], kinds[i]);
        kind = i;
    }
    bool has_type = record_has(fields, "content_type");
    struct slice type = record_get(fields, "content_type");
    if (has_type && kind != 2)
        return err_set(err, "`content_type` is for `text`: leave it out");
    for (size_t i = 0; i < type.size; i++)
        if ((unsigned char)type.data[i] < 0x20 || (unsigned char)type.data[i] > 0x7e)
            return err_set(err, "`content_type` is not one line of ASCII");
    if (kind < 0)
        return true;
    struct buf body = BUF_INIT(BODY_MAX);
    bool ok = kind == 0   ? add_json_body(&body, fields)
              : kind == 1 ? add_pairs(&body, record_get(fields, "form"), "form", err)
                          : buf_add_slice(&body, record_get(fields, "text"));
    ok = ok && record_add_text(out, "body", buf_slice(&body))
         && record_add_text(out, "content_type", has_type ? type : slice_of(types[kind]));
    bool is_over = body.is_over || out->is_over;
    buf_clear(&body);
    return ok || (is_over && err_set(err, "the body is too large"));
}

bool web_request_build(const struct settings *settings, const char *method, struct slice fields, struct buf *out,
                       struct err *err)
{
    struct buf path = BUF_INIT(PATH_MAX_BYTES), headers = BUF_INIT(HEADERS_MAX);
    struct slice key = record_get(fields, "idempotency_key");
    bool ok = settings_text(settings, "base") || err_set(err, "the connection has no `base` to send to");
    ok = ok && add_path(&path, fields, err) && add_headers(&headers, settings, record_get(fields, "headers"), err)
         && (!key.size || web_header_check(NULL, slice_of("Idempotency-Key"), key, err))
         && record_add_text(out, "method", slice_of(method)) && record_add_text(out, "path", buf_slice(&path))
         && (!headers.size || record_add_text(out, "headers", buf_slice(&headers)))
         && (!key.size || record_add_text(out, "idempotency_key", key)) && add_body(out, fields, err);
    if (ok && record_has(fields, "timeout"))
        ok = record_add_integer(out, "timeout_ms", record_get_integer(fields, "timeout", 0));
    buf_clear(&path);
    buf_clear(&headers);
    return ok;
}
