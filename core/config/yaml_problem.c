/* yaml_problem.c - what libyaml could not read, in words for a person
 *
 * libyaml says "did not find expected key"; a person wants to know which line to look at and what
 * to change.  Nearly all mistakes are of a few kinds, each known by libyaml's sentence; for all
 * others its own words are passed on, with the place.  No text of the file is repeated: it might
 * be a password.
 *
 * A tab where indentation is meant is behind several of its sentences, so the line itself is
 * looked at first. */
#include "core/config/yaml.h"

#include "core/base/utf8.h"

#include <yaml.h>

struct place {
    int line, column; /* from 1 */
};

static struct place place_of(yaml_mark_t mark)
{
    return (struct place){(int)mark.line + 1, (int)mark.column + 1};
}

/* Line and column of the byte at `offset`. */
static struct place count_to(struct slice source, size_t offset)
{
    struct place place = {1, 1};
    for (size_t at = 0; at < source.size && at < offset;) {
        size_t length = utf8_length(source.data + at, source.size - at);
        bool is_break = source.data[at] == '\n'
                        || (source.data[at] == '\r' && !(at + 1 < source.size && source.data[at + 1] == '\n'));
        place.column = is_break ? 1 : place.column + 1;
        place.line += is_break;
        at += length ? length : 1;
    }
    return place;
}

/* The bytes of a line, without its break. */
static struct slice line_of(struct slice source, int line)
{
    size_t start = 0, at = 0;
    for (int now = 1; at < source.size; at++) {
        bool is_break = source.data[at] == '\n'
                        || (source.data[at] == '\r' && !(at + 1 < source.size && source.data[at + 1] == '\n'));
        if (!is_break)
            continue;
        if (now == line)
            break;
        now++;
        start = at + 1;
        if (now > line)
            return SLICE_NONE;
    }
    return (struct slice){source.data + start, at - start};
}

/* Column of a tab in the space that a line begins with; 0: none. */
static int tab_in(struct slice line)
{
    for (size_t at = 0; at < line.size && (line.data[at] == ' ' || line.data[at] == '\t'); at++)
        if (line.data[at] == '\t')
            return (int)at + 1;
    return 0;
}

/* What libyaml says, and what it means.  "line %d, column %d" is where the thing around it began. */
enum shown_at { AT_PROBLEM, AT_CONTEXT };
struct meaning {
    const char *problem; /* a part of libyaml's problem */
    const char *context; /* a part of its context; NULL: any */
    enum shown_at at;    /* where a person should look */
    const char *text;    /* for a person */
};

static const struct meaning meanings[] = {
    {"mapping values are not allowed", NULL, AT_PROBLEM,
     "found a colon where no key can stand; either the line is indented further than the one above, or the value holds "
     "\": \" and needs quotes"},
    {"did not find expected key", "block mapping", AT_PROBLEM,
     "this does not fit the map that begins in line %d, column %d; its keys stand in that column, one `key: value` a "
     "line, and a text with quotes in it is quoted as a whole"},
    {"did not find expected '-' indicator", NULL, AT_PROBLEM,
     "this does not fit the list that begins in line %d, column %d; its entries begin with \"- \" in that column"},
    {"could not find expected ':'", NULL, AT_CONTEXT,
     "found a key without its colon; expected `key: value`, with a space behind the colon"},
    {"did not find expected ',' or '}'", NULL, AT_PROBLEM,
     "expected , or } for the { in line %d, column %d; inside braces a text with { } [ ] , or # needs quotes, as in "
     "\"${env:NAME}\""},
    {"did not find expected ',' or ']'", NULL, AT_PROBLEM,
     "expected , or ] for the [ in line %d, column %d; inside brackets a text with { } [ ] , or # needs quotes, as in "
     "\"#\""},
    {"found unexpected end of stream", "quoted scalar", AT_CONTEXT,
     "found a quote that is never closed; expected another one of its kind"},
    {"found unexpected document indicator", "quoted scalar", AT_CONTEXT,
     "found a quote that is not closed before the next document; expected another one of its kind"},
    {"found unknown escape character", NULL, AT_PROBLEM,
     "found a backslash that means nothing here; in \"...\" write \\\\ for a backslash, or use '...', where it is one"},
    {"did not find expected alphabetic or numeric character", "an alias", AT_CONTEXT,
     "found a text that begins with *; it needs quotes, as in \"*.offline\""},
    {"did not find expected alphabetic or numeric character", "an anchor", AT_CONTEXT,
     "found a text that begins with &; it needs quotes"},
    {" tag", NULL, AT_CONTEXT,
     "found a tag (!name), and these are not allowed; a text that begins with ! needs quotes"},
    {"", " tag", AT_CONTEXT, "found a tag (!name), and these are not allowed; a text that begins with ! needs quotes"},
    {"did not find expected <document start>", NULL, AT_PROBLEM,
     "found something behind the end of the document; allowed is one map of `key: value` lines in each file"},
    {"did not find expected node content", NULL, AT_PROBLEM,
     "expected a value; found a character that cannot begin one: it needs quotes, or is one too many"},
    {"block sequence entries are not allowed", NULL, AT_PROBLEM,
     "found \"- \" where no list can begin; expected a list's entries on lines of their own below their key"},
    {"found character that cannot start any token", NULL, AT_PROBLEM,
     "found a character that cannot begin a value; a text that begins with @ ` or % needs quotes"},
    {NULL, NULL, AT_PROBLEM, NULL},
};

static const struct meaning cut_off = {"did not find expected node content", NULL, AT_PROBLEM,
                                       "the file ends where a value is expected; a [ or { above is never closed, or a "
                                       "# behind it needs quotes, as in \"#\""};

static bool says(const char *text, const char *part)
{
    return !part || (text && strstr(text, part));
}

static const struct meaning *meaning_of(const yaml_parser_t *parser)
{
    const struct meaning *meaning = meanings;
    while (meaning->problem && !(says(parser->problem, meaning->problem) && says(parser->context, meaning->context)))
        meaning++;
    return meaning->problem ? meaning : NULL;
}

static bool in_words(const yaml_parser_t *parser, const struct meaning *meaning, const char *file, struct slice source,
                     struct err *err)
{
    struct place context = place_of(parser->context_mark), at = place_of(parser->problem_mark);
    struct place end = count_to(source, source.size);
    bool is_at_end = at.line > end.line || (at.line == end.line && at.column >= end.column);
    if (is_at_end && says(parser->problem, cut_off.problem))
        meaning = &cut_off;
    else if (parser->context && (meaning->at == AT_CONTEXT || is_at_end))
        at = context; /* at the end there is nothing to look at */
    char where[64];
    snprintf(where, sizeof where, "line %d, column %d", context.line, context.column);

    struct buf text = BUF_INIT(600);
    const char *hole = strstr(meaning->text, "line %d, column %d");
    if (hole) {
        buf_add(&text, meaning->text, (size_t)(hole - meaning->text));
        buf_add_text(&text, where);
        buf_add_text(&text, hole + strlen("line %d, column %d"));
    } else {
        buf_add_text(&text, meaning->text);
    }
    err_set(err, "%s:%d:%d: %s", file, at.line, at.column, text.data);
    buf_clear(&text);
    return false;
}

bool yaml_problem(const struct yaml_parser_s *parser, const char *file, struct slice source, struct err *err)
{
    const char *problem = parser->problem ? parser->problem : "it cannot be read";
    if (parser->error == YAML_READER_ERROR) { /* knows its byte only */
        struct place at = count_to(source, parser->problem_offset);
        return err_set(err, "%s:%d:%d: %s; allowed is text in UTF-8 without control characters", file, at.line,
                       at.column, problem);
    }
    struct place at = place_of(parser->problem_mark);
    int tab = tab_in(line_of(source, at.line));
    if (tab)
        return err_set(err, "%s:%d:%d: found a tab in the indentation; YAML allows only spaces there", file, at.line,
                       tab);
    const struct meaning *meaning = meaning_of(parser);
    if (meaning)
        return in_words(parser, meaning, file, source, err);
    if (!parser->context)
        return err_set(err, "%s:%d:%d: this is not YAML: %s", file, at.line, at.column, problem);
    return err_set(err, "%s:%d:%d: this is not YAML: %s (%s that begins in line %d)", file, at.line, at.column, problem,
                   parser->context, (int)parser->context_mark.line + 1);
}
