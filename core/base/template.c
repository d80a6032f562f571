/* template.c - see template.h
 *
 * The text is cut into tokens first, so that a tag that is never closed is found even where the
 * data would have skipped it; then the tokens are walked with the data beside them. */
#include "core/base/template.h"

#include <stdio.h>
#include <stdlib.h>

enum token_kind { TOKEN_TEXT, TOKEN_VALUE, TOKEN_RAW, TOKEN_SECTION, TOKEN_INVERTED, TOKEN_CLOSE, TOKEN_REMARK };

struct token {
    enum token_kind kind;
    struct slice text; /* the literal text, or the path */
    unsigned line;     /* of the file, for errors */
    size_t close;      /* sections: the index of the token that closes it */
};

struct parser {
    const struct template *template;
    struct token *tokens;            /* owned */
    size_t count, room;              /* of tokens */
    size_t open[TEMPLATE_DEPTH_MAX]; /* sections not yet closed, outermost first */
    size_t depth;                    /* of them */
    struct err *err;
};

static bool fail(const struct template *template, unsigned line, struct err *err)
{
    return err_wrap(err, "%s:%u", template->name, line);
}

/* ---- into tokens ------------------------------------------------------------------------ */

static struct slice find(struct slice text, const char *what)
{
    const char *at = text.size ? memmem(text.data, text.size, what, strlen(what)) : NULL;
    return at ? (struct slice){at, text.size - (size_t)(at - text.data)} : SLICE_NONE;
}

static struct slice trim(struct slice text)
{
    while (text.size && memchr(" \t\r\n", text.data[0], 4)) {
        text.data++;
        text.size--;
    }
    while (text.size && memchr(" \t\r\n", text.data[text.size - 1], 4))
        text.size--;
    return text;
}

static unsigned count_lines(const char *from, const char *to)
{
    unsigned lines = 0;
    for (; from < to; from++)
        lines += *from == '\n';
    return lines;
}

static struct token *add_token(struct parser *parser, enum token_kind kind, struct slice text, unsigned line)
{
    if (parser->count == parser->room) {
        parser->room = parser->room ? 2 * parser->room : 32;
        parser->tokens = mem_resize(parser->tokens, parser->room * sizeof *parser->tokens);
    }
    struct token *token = &parser->tokens[parser->count++];
    *token = (struct token){.kind = kind, .text = text, .line = line};
    return token;
}

/* "site.name" or "."; no empty names, no blanks inside. */
static bool is_path(struct slice path)
{
    if (slice_is(path, "."))
        return true;
    bool is_in_name = false;
    for (size_t i = 0; i < path.size; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c <= ' ' || strchr("{}#^/!>&=", c) || (c == '.' && !is_in_name))
            return false;
        is_in_name = c != '.';
    }
    return is_in_name;
}

static bool close_section(struct parser *parser, const struct token *token)
{
    if (parser->depth == 0)
        return err_set(parser->err, "{{/%.*s}} closes a section that was not opened", SLICE_ARG(token->text));
    struct token *open = &parser->tokens[parser->open[parser->depth - 1]];
    if (!slice_equal(open->text, token->text))
        return err_set(parser->err, "{{/%.*s}} stands where `%.*s` of line %u is still open", SLICE_ARG(token->text),
                       SLICE_ARG(open->text), open->line);
    parser->depth--;
    open->close = parser->count - 1;
    return true;
}

/* `inside`: what stands between the braces. */
static bool add_tag(struct parser *parser, struct slice inside, bool is_raw, unsigned line)
{
    static const char signs[] = "#^/";
    static const enum token_kind kinds[] = {TOKEN_SECTION, TOKEN_INVERTED, TOKEN_CLOSE};
    inside = trim(inside);
    const char *sign = inside.size && !is_raw ? strchr(signs, inside.data[0]) : NULL;
    enum token_kind kind = is_raw ? TOKEN_RAW : sign && *sign ? kinds[sign - signs] : TOKEN_VALUE;
    if (sign && *sign)
        inside = trim((struct slice){inside.data + 1, inside.size - 1});
    if (!is_path(inside))
        return err_set(parser->err,
                       "`%.*s` is no tag of this language: there are {{path}}, {{{path}}}, {{#path}}, {{^path}}, "
                       "{{/path}} and {{! remark }}",
                       SLICE_ARG(inside));
    struct token *token = add_token(parser, kind, inside, line);
    if (kind == TOKEN_CLOSE)
        return close_section(parser, token);
    if (kind == TOKEN_SECTION || kind == TOKEN_INVERTED) {
        if (parser->depth == TEMPLATE_DEPTH_MAX)
            return err_set(parser->err, "sections are nested deeper than %d", TEMPLATE_DEPTH_MAX);
        parser->open[parser->depth++] = parser->count - 1;
    }
    return true;
}

/* If nothing but blanks stand around the tag from..to on its line: widens it to the whole line. */
static void widen_to_line(struct slice text, const char **from, const char **to)
{
    const char *start = *from, *end = *to, *last = text.data + text.size;
    while (start > text.data && (start[-1] == ' ' || start[-1] == '\t'))
        start--;
    while (end < last && (*end == ' ' || *end == '\t' || *end == '\r'))
        end++;
    if ((start > text.data && start[-1] != '\n') || (end < last && *end != '\n'))
        return;
    *from = start;
    *to = end < last ? end + 1 : end;
}

/* Takes one tag that begins at `tag`; *rest is left behind it, *from at its beginning. */
static bool take_tag(struct parser *parser, struct slice tag, const char **from, const char **rest, unsigned line)
{
    bool is_raw = tag.size > 2 && tag.data[2] == '{';
    size_t braces = is_raw ? 3 : 2;
    struct slice inside = {tag.data + braces, tag.size - braces};
    struct slice end = find(inside, is_raw ? "}}}" : "}}");
    if (!end.data)
        return err_set(parser->err, "a tag is not closed with %s", is_raw ? "}}}" : "}}");
    inside.size = (size_t)(end.data - inside.data);
    *from = tag.data;
    *rest = end.data + braces;
    bool is_remark = !is_raw && inside.size && inside.data[0] == '!';
    if (!is_remark && !add_tag(parser, inside, is_raw, line))
        return false;
    enum token_kind kind = is_remark ? TOKEN_REMARK : parser->tokens[parser->count - 1].kind;
    if (kind != TOKEN_VALUE && kind != TOKEN_RAW)
        widen_to_line(parser->template->text, from, rest);
    return true;
}

static bool parse(struct parser *parser)
{
    struct slice rest = parser->template->text;
    unsigned line = parser->template->first_line;
    while (rest.size) {
        struct slice tag = find(rest, "{{");
        const char *from = tag.data ? tag.data : rest.data + rest.size, *next = from;
        unsigned tag_line = line + count_lines(rest.data, from);
        size_t text_at = parser->count;
        add_token(parser, TOKEN_TEXT, (struct slice){rest.data, 0}, line);
        if (tag.data && !take_tag(parser, tag, &from, &next, tag_line))
            return fail(parser->template, tag_line, parser->err);
        parser->tokens[text_at].text.size = (size_t)(from - rest.data);
        line += count_lines(rest.data, next);
        rest = (struct slice){next, rest.size - (size_t)(next - rest.data)};
    }
    if (parser->depth == 0)
        return true;
    const struct token *open = &parser->tokens[parser->open[parser->depth - 1]];
    err_set(parser->err, "the section `%.*s` is never closed", SLICE_ARG(open->text));
    return fail(parser->template, open->line, parser->err);
}

/* ---- with the data ---------------------------------------------------------------------- */

struct scope {
    const json_t *value;       /* of this section */
    const struct scope *outer; /* NULL: this is the whole data */
};

struct renderer {
    const struct template *template;
    const struct token *tokens;
    struct buf *out;
    unsigned steps; /* done so far */
    struct err *err;
};

/* The value at `path`; NULL: there is none. */
static const json_t *look_up(const struct scope *scope, struct slice path)
{
    if (slice_is(path, "."))
        return scope->value;
    bool is_first = true;
    const json_t *value = NULL;
    while (path.size) {
        const char *dot = memchr(path.data, '.', path.size);
        size_t size = dot ? (size_t)(dot - path.data) : path.size;
        if (is_first)
            for (const struct scope *at = scope; at && !value; at = at->outer)
                value = json_object_getn(at->value, path.data, size);
        else
            value = json_object_getn(value, path.data, size);
        if (!value)
            return NULL;
        is_first = false;
        path = (struct slice){path.data + size + (dot != NULL), path.size - size - (dot != NULL)};
    }
    return value;
}

static void add_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        switch (text.data[i]) {
        case '&': buf_add_text(out, "&amp;"); break;
        case '<': buf_add_text(out, "&lt;"); break;
        case '>': buf_add_text(out, "&gt;"); break;
        case '"': buf_add_text(out, "&quot;"); break;
        case '\'': buf_add_text(out, "&#39;"); break;
        default: buf_add_char(out, text.data[i]);
        }
    }
}

/* As few digits (%g leaves out zeros at the end) as read back as the same number. */
static void add_real(struct buf *out, double number)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buf_add_text(out, text);
}

static bool render_value(struct renderer *r, const struct token *token, const struct scope *scope)
{
    const json_t *value = look_up(scope, token->text);
    if (!value)
        return err_set(r->err, "there is no `%.*s` in the data", SLICE_ARG(token->text));
    switch (json_typeof(value)) {
    case JSON_STRING: {
        struct slice text = {json_string_value(value), json_string_length(value)};
        if (token->kind == TOKEN_VALUE && r->template->is_html)
            add_escaped(r->out, text);
        else
            buf_add_slice(r->out, text);
        return true;
    }
    case JSON_INTEGER: buf_addf(r->out, "%lld", (long long)json_integer_value(value)); return true;
    case JSON_REAL: add_real(r->out, json_real_value(value)); return true;
    case JSON_TRUE: buf_add_text(r->out, "true"); return true;
    case JSON_FALSE: buf_add_text(r->out, "false"); return true;
    case JSON_NULL: return err_set(r->err, "`%.*s` is null in the data", SLICE_ARG(token->text));
    default:
        return err_set(r->err, "`%.*s` is a %s in the data, not a text or number", SLICE_ARG(token->text),
                       json_is_array(value) ? "list" : "table");
    }
}

static bool is_there(const json_t *value)
{
    return value && !json_is_null(value) && !json_is_false(value)
           && !(json_is_array(value) && json_array_size(value) == 0)
           && !(json_is_string(value) && json_string_length(value) == 0);
}

static bool render_tokens(struct renderer *r, size_t from, size_t to, const struct scope *scope);

static bool render_section(struct renderer *r, size_t at, const struct scope *scope)
{
    const struct token *token = &r->tokens[at];
    const json_t *value = look_up(scope, token->text);
    if (token->kind == TOKEN_INVERTED)
        return is_there(value) || render_tokens(r, at + 1, token->close, scope);
    if (!is_there(value))
        return true;
    bool is_list = json_is_array(value);
    size_t count = is_list ? json_array_size(value) : 1;
    for (size_t i = 0; i < count; i++) {
        struct scope inner = {is_list ? json_array_get(value, i) : value, scope};
        if (!render_tokens(r, at + 1, token->close, &inner))
            return false;
    }
    return true;
}

/* Recursion goes as deep as sections are nested, which the parser has bounded. */
static bool render_tokens(struct renderer *r, size_t from, size_t to, const struct scope *scope)
{
    for (size_t at = from; at < to; at++) {
        const struct token *token = &r->tokens[at];
        bool is_section = token->kind == TOKEN_SECTION || token->kind == TOKEN_INVERTED;
        if (r->steps++ >= TEMPLATE_STEPS_MAX) {
            err_set(r->err, "its lists have too many items (more than %d texts and tags)", TEMPLATE_STEPS_MAX);
            return fail(r->template, token->line, r->err);
        }
        if (token->kind == TOKEN_TEXT)
            buf_add_slice(r->out, token->text);
        else if (is_section && !render_section(r, at, scope))
            return false; /* has its line already */
        else if ((token->kind == TOKEN_VALUE || token->kind == TOKEN_RAW) && !render_value(r, token, scope))
            return fail(r->template, token->line, r->err);
        if (is_section)
            at = token->close;
        if (r->out->is_over) {
            err_set(r->err, "the text becomes larger than %zu bytes", r->out->limit);
            return fail(r->template, token->line, r->err);
        }
    }
    return true;
}

bool template_render(const struct template *template, const json_t *data, struct buf *out, struct err *err)
{
    struct parser parser = {.template = template, .err = err};
    bool ok = parse(&parser);
    if (ok) {
        struct renderer r = {.template = template, .tokens = parser.tokens, .out = out, .err = err};
        struct scope whole = {data, NULL};
        ok = render_tokens(&r, 0, parser.count, &whole);
    }
    free(parser.tokens);
    return ok;
}
