/* yaml.h - a YAML file as a tree that remembers where everything stood
 *
 * Only what configuration needs: one document, maps with text keys, lists, scalars.  Anchors,
 * aliases, tags, duplicate keys, depth over 32 and files over 1 MiB are refused with file, line
 * and column.  No error text ever holds a value that might be a secret: texts are not repeated,
 * only numbers, choices and names are. */
#ifndef HEADGATE_CONFIG_YAML_H
#define HEADGATE_CONFIG_YAML_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/option.h"
#include "core/base/settings.h"
#include "core/base/slice.h"

#define YAML_SIZE_MAX (1 << 20) /* bytes of a file */
#define YAML_DEPTH_MAX 32
#define YAML_KEYS_MAX 1000 /* of one map */

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml {
    enum yaml_kind kind;
    int line, column;          /* from 1, in characters */
    struct slice text;         /* of a scalar; zero-terminated behind its end, no zero inside */
    bool is_quoted;            /* a quoted scalar is a text, never a number or boolean */
    struct slice key;          /* of a map's entry; zero-terminated, never empty */
    int key_line, key_column;  /* where the key stands */
    struct yaml *first, *next; /* children, in the file's order; the next of the same parent */
    const char *file;          /* name for messages; lent by whoever called yaml_parse */
};

/* `file` is the name for messages and outlives the tree, which is freed with yaml_tree_free.  (Not `yaml_free`: libyaml
 * exports a function of that name, and ours would take its place inside the library.) */
struct yaml *yaml_parse(const char *file, struct slice source, struct err *err);
void yaml_tree_free(struct yaml *root); /* overwrites what it held first */

struct yaml *yaml_get(const struct yaml *map, const char *key); /* NULL: none */
bool yaml_is_nothing(const struct yaml *value);                 /* `key:` with nothing behind it, `~` or `null` */
/* "flow.yaml:12:5: ..." in front of the text: where the value stands, where its key stands. */
bool yaml_err(const struct yaml *at, struct err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool yaml_err_key(const struct yaml *at, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define YAML_SHOWN_MAX 64
/* The text for a message: quoted, escaped, cut; returns `shown` of YAML_SHOWN_MAX bytes.  Not for what may be secret.
 */
const char *yaml_shown(struct slice text, char *shown);
/* The same of a key, up to the first character that is in no name: of `url:https://...`, where the space behind the
 * colon was forgotten, only `url`, because a password may follow. */
const char *yaml_shown_key(const struct yaml *entry, char *shown);
/* "a text", "a list", "a map", "nothing" */
const char *yaml_found(const struct yaml *value);

/* Checks the map `at` against `options` and fills `settings` (made by settings_new of the same table).  Keys in
 * `ignore` (ends with NULL, or NULL) belong to somebody else.  Says line and column, what was found, what is allowed,
 * and the nearest known name for a key that is not known.
 *
 * A text may hold references, as a whole or inside: ${env:NAME}, ${file:PATH} (relative to `folder`, without the line
 * break at its end), ${credential:NAME} (of systemd); $${ is a plain ${.  `folder` NULL: references are refused.
 * `may_read_secrets` false: they are checked for their form only, and the text keeps them as written. */
bool yaml_settings(const struct yaml *at, const struct option *options, const char *const *ignore, const char *folder,
                   bool may_read_secrets, struct settings *settings, struct err *err);

/* reference.c: `text` of the entry `name`, with its references replaced, into `out`, which the caller overwrites. */
bool yaml_resolve(const struct yaml *value, const char *name, const char *folder, bool may_read_secrets,
                  struct buf *out, struct err *err);

/* yaml_problem.c: what libyaml could not read, in words for a person. */
struct yaml_parser_s;
bool yaml_problem(const struct yaml_parser_s *parser, const char *file, struct slice source, struct err *err);

#endif
