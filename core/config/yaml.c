/* yaml.c - a YAML file as a tree that remembers where everything stood
 *
 * libyaml's event parser tells what comes next and where it stands; we build the tree and refuse,
 * as soon as we see it, whatever makes YAML dangerous or ambiguous: anchors and aliases (a few
 * lines of them can stand for gigabytes, or for themselves), tags, a key that is there twice,
 * endless depth.  What a scalar means is decided by the table of options that it is checked
 * against, not here: `no` is a country until somebody asks for a boolean.
 *
 * The bytes are looked at before libyaml is: it reports bad ones without line and column. */
#include "core/config/yaml.h"

#include "core/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const char *file;    /* name for messages */
    struct slice source; /* the whole file, without a byte order mark */
    struct err *err;     /* where to say what is wrong */
};

/* ---- messages ------------------------------------------------------------------------------ */

static bool say(const char *file, int line, int column, struct err *err, const char *format, va_list args)
{
    char text[ERR_MAX];
    vsnprintf(text, sizeof text, format, args);
    return err_set(err, "%s:%d:%d: %s", file, line, column, text);
}

bool yaml_err(const struct yaml *at, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(at->file, at->line, at->column, err, format, args);
    va_end(args);
    return false;
}

bool yaml_err_key(const struct yaml *at, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(at->file, at->key_line, at->key_column, err, format, args);
    va_end(args);
    return false;
}

/* At the place of an event. */
__attribute__((format(printf, 3, 4))) static bool refuse(const struct reader *reader, const yaml_event_t *event,
                                                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(reader->file, (int)event->start_mark.line + 1, (int)event->start_mark.column + 1, reader->err, format, args);
    va_end(args);
    return false;
}

const char *yaml_shown(struct slice text, char *shown)
{
    struct buf buf = BUF_INIT(400);
    struct slice cut = utf8_cut(text, 40);
    buf_add_json(&buf, cut);
    struct slice whole = utf8_cut(buf_slice(&buf), YAML_SHOWN_MAX - 6);
    const char *dots = whole.size < buf.size ? "...\"" : cut.size < text.size ? "..." : "";
    snprintf(shown, YAML_SHOWN_MAX, "%.*s%s", SLICE_ARG(whole), dots);
    buf_clear(&buf);
    return shown;
}

const char *yaml_shown_key(const struct yaml *entry, char *shown)
{
    size_t size = strspn(entry->key.data, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return yaml_shown((struct slice){entry->key.data, size}, shown);
}

bool yaml_is_nothing(const struct yaml *value)
{
    return value->kind == YAML_SCALAR && !value->is_quoted
           && (value->text.size == 0 || slice_is(value->text, "~") || slice_is(value->text, "null"));
}

const char *yaml_found(const struct yaml *value)
{
    if (value->kind != YAML_SCALAR)
        return value->kind == YAML_LIST ? "a list" : "a map";
    return yaml_is_nothing(value) ? "nothing" : "a text";
}

/* ---- the tree ------------------------------------------------------------------------------- */

static void forget(struct slice text)
{
    if (text.data)
        explicit_bzero((char *)text.data, text.size);
    free((char *)text.data);
}

void yaml_tree_free(struct yaml *root)
{
    while (root) {
        struct yaml *next = root->next;
        yaml_tree_free(root->first); /* no deeper than YAML_DEPTH_MAX */
        forget(root->text);
        forget(root->key);
        free(root);
        root = next;
    }
}

struct yaml *yaml_get(const struct yaml *map, const char *key)
{
    for (struct yaml *entry = map->kind == YAML_MAP ? map->first : NULL; entry; entry = entry->next)
        if (slice_is(entry->key, key))
            return entry;
    return NULL;
}

static bool next_event(struct reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event)
           || yaml_problem(&reader->parser, reader->file, reader->source, reader->err);
}

/* Neither name is repeated: somebody's password may begin with & or * or !, and no quotes. */
static bool is_decent(const struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (event->type == YAML_ALIAS_EVENT)
        return refuse(reader, event,
                      "found an alias (*name), and these are not allowed: write the value out; "
                      "a text that begins with * needs quotes, as in \"*.offline\"");
    if (anchor)
        return refuse(reader, event,
                      "found an anchor (&name), and these are not allowed: write the value out where it "
                      "is needed; a text that begins with & needs quotes");
    if (tag)
        return refuse(reader, event,
                      "found a tag (!name), and these are not allowed: leave it out; "
                      "a text that begins with ! needs quotes");
    if (event->type == YAML_SCALAR_EVENT && memchr(event->data.scalar.value, 0, event->data.scalar.length))
        return refuse(reader, event, "found a zero byte (\\0) inside this text, and no text may hold one");
    return true;
}

static struct slice copy_scalar(const yaml_event_t *event)
{
    struct slice text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    return (struct slice){mem_copy(text), text.size};
}

static struct yaml *read_node(struct reader *reader, yaml_event_t *event, int depth);

static bool read_list(struct reader *reader, struct yaml *list, int depth)
{
    struct yaml **last = &list->first;
    for (;;) {
        yaml_event_t event;
        if (!next_event(reader, &event))
            return false;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return true;
        }
        *last = read_node(reader, &event, depth);
        if (!*last)
            return false;
        last = &(*last)->next;
    }
}

/* Whether the event is a key that this map may have; `keys`: how many there are already. */
static bool is_key(struct reader *reader, const yaml_event_t *event, const struct yaml *map, int keys)
{
    if (!is_decent(reader, event))
        return false;
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(reader, event, "found a %s as a key; a key is a plain word, as in `word: value`",
                      event->type == YAML_SEQUENCE_START_EVENT ? "list" : "map");
    if (event->data.scalar.length == 0)
        return refuse(reader, event, "found a value without a key; a key is a plain word, as in `word: value`");
    if (keys == YAML_KEYS_MAX)
        return refuse(reader, event, "found more than %d keys in one map; allowed are %d", keys, keys);
    struct yaml entry = {.key = {(const char *)event->data.scalar.value, event->data.scalar.length}};
    for (const struct yaml *other = map->first; other; other = other->next) {
        char shown[YAML_SHOWN_MAX];
        if (slice_equal(other->key, entry.key))
            return refuse(reader, event,
                          "found the key %s a second time; it already stands in line %d, column %d, "
                          "and a map has each key only once",
                          yaml_shown_key(&entry, shown), other->key_line, other->key_column);
    }
    return true;
}

static bool read_map(struct reader *reader, struct yaml *map, int depth)
{
    struct yaml **last = &map->first;
    for (int keys = 0;; keys++) {
        yaml_event_t key, value;
        if (!next_event(reader, &key))
            return false;
        bool is_end = key.type == YAML_MAPPING_END_EVENT;
        if (is_end || !is_key(reader, &key, map, keys) || !next_event(reader, &value)) {
            yaml_event_delete(&key);
            return is_end;
        }
        struct yaml *entry = read_node(reader, &value, depth);
        if (entry) {
            entry->key = copy_scalar(&key);
            entry->key_line = (int)key.start_mark.line + 1;
            entry->key_column = (int)key.start_mark.column + 1;
        }
        yaml_event_delete(&key);
        *last = entry;
        if (!entry)
            return false;
        last = &entry->next;
    }
}

/* The value that begins with `event`, which is used up; NULL after an error. */
static struct yaml *read_node(struct reader *reader, yaml_event_t *event, int depth)
{
    bool ok = is_decent(reader, event);
    if (ok && depth > YAML_DEPTH_MAX)
        ok = refuse(reader, event, "found a value inside %d lists and maps; allowed are %d", depth - 1,
                    YAML_DEPTH_MAX - 1);
    if (!ok) {
        yaml_event_delete(event);
        return NULL;
    }
    struct yaml *node = mem_zero(sizeof *node);
    node->file = reader->file;
    node->line = (int)event->start_mark.line + 1;
    node->column = (int)event->start_mark.column + 1;
    yaml_event_type_t type = event->type;
    if (type == YAML_SCALAR_EVENT) {
        node->kind = YAML_SCALAR;
        node->text = copy_scalar(event);
        node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    } else {
        node->kind = type == YAML_SEQUENCE_START_EVENT ? YAML_LIST : YAML_MAP;
    }
    yaml_event_delete(event);
    if (type != YAML_SCALAR_EVENT)
        ok = type == YAML_SEQUENCE_START_EVENT ? read_list(reader, node, depth + 1) : read_map(reader, node, depth + 1);
    if (ok)
        return node;
    yaml_tree_free(node);
    return NULL;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The root of the one document, and nothing behind it. */
static struct yaml *read_document(struct reader *reader)
{
    struct yaml *root = NULL;
    for (;;) {
        yaml_event_t event;
        if (!next_event(reader, &event))
            break;
        yaml_event_type_t type = event.type;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT
            || (type == YAML_DOCUMENT_START_EVENT && !root)) {
            yaml_event_delete(&event);
            continue;
        }
        if (type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_START_EVENT) {
            root = read_node(reader, &event, 1);
            if (!root)
                break;
            continue;
        }
        if (type == YAML_STREAM_END_EVENT && root)
            return root; /* this event owns nothing */
        if (root)
            refuse(reader, &event, "found a second document (---); allowed is one in each file");
        else
            err_set(reader->err, "%s:1:1: found nothing but space and comments; expected `key: value` lines",
                    reader->file);
        yaml_event_delete(&event);
        break;
    }
    yaml_tree_free(root);
    return NULL;
}

/* Valid UTF-8, and no control character but line breaks and tabs. */
static bool has_decent_bytes(const char *file, struct slice source, struct err *err)
{
    int line = 1, column = 1;
    for (size_t at = 0; at < source.size; column++) {
        unsigned char c = (unsigned char)source.data[at];
        size_t length = utf8_length(source.data + at, source.size - at);
        if (length == 0)
            return err_set(err, "%s:%d:%d: found the byte 0x%02X, which is not UTF-8 here; save the file as UTF-8",
                           file, line, column, c);
        if (c == 0 && at + 1 < source.size && line == 1 && column <= 2)
            return err_set(err, "%s:1:%d: found a zero byte; if this is UTF-16, save the file as UTF-8", file, column);
        if (c == 0)
            return err_set(err, "%s:%d:%d: found a zero byte; allowed is text in UTF-8", file, line, column);
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F)
            return err_set(err, "%s:%d:%d: found the control character 0x%02X; allowed are line breaks and tabs", file,
                           line, column, c);
        bool is_break = c == '\n' || (c == '\r' && !(at + 1 < source.size && source.data[at + 1] == '\n'));
        if (is_break) {
            line++;
            column = 0;
        }
        at += length;
    }
    return true;
}

struct yaml *yaml_parse(const char *file, struct slice source, struct err *err)
{
    if (source.size > YAML_SIZE_MAX) {
        err_set(err, "%s:1:1: found a file of %zu bytes; allowed are %d (1 MiB)", file, source.size, YAML_SIZE_MAX);
        return NULL;
    }
    if (source.size >= 3 && memcmp(source.data, "\xEF\xBB\xBF", 3) == 0)
        source = (struct slice){source.data + 3, source.size - 3};
    if (!has_decent_bytes(file, source, err))
        return NULL;

    struct reader reader = {.file = file, .source = source, .err = err};
    if (!yaml_parser_initialize(&reader.parser)) {
        err_set(err, "%s: no memory to read it", file);
        return NULL;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(source.data ? source.data : ""), source.size);
    struct yaml *root = read_document(&reader);
    yaml_parser_delete(&reader.parser);
    return root;
}
