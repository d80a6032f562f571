/* settings.h - the checked answers to a table of options
 *
 * Whoever asks names an option that is in the table (asking for another is a bug and aborts), so
 * defaults are already filled in.  All texts are lent for as long as the settings live. */
#ifndef HEADGATE_BASE_SETTINGS_H
#define HEADGATE_BASE_SETTINGS_H

#include "core/base/option.h"
#include "core/base/slice.h"

#include <stddef.h>

struct settings;

/* Empty settings with every default of `options` filled in. */
struct settings *settings_new(const struct option *options);
void settings_free(struct settings *settings); /* overwrites every text first: it may hold a secret */

void settings_set_text(struct settings *settings, const char *name, struct slice text); /* TEXT, SECRET; copies */
void settings_set_number(struct settings *settings, const char *name, int64_t number);  /* all kinds with a number */
void settings_add_item(struct settings *settings, const char *name, struct slice item); /* LIST: one more */
void settings_add_pair(struct settings *settings, const char *name, struct slice key, struct slice value); /* MAP */
void settings_set_empty(struct settings *settings, const char *name); /* LIST, MAP: said, but nothing in it */

bool settings_has(const struct settings *settings, const char *name);         /* said, or has a default */
const char *settings_text(const struct settings *settings, const char *name); /* NULL where nothing was said */
int64_t settings_number(const struct settings *settings, const char *name);   /* in the option's unit; BOOLEAN 0 or 1 */
size_t settings_count(const struct settings *settings, const char *name);     /* of a list or map */
const char *settings_item(const struct settings *settings, const char *name, size_t index); /* map: the value */
const char *settings_key(const struct settings *settings, const char *name, size_t index);  /* map: the key */

/* "7d" and the like to ms, "1MiB" to bytes, "10/s" to a number a day; false if it is not one. */
bool settings_parse(enum option_kind kind, const char *text, int64_t *number);
#define SETTINGS_PRINT_MAX 32
/* The other way round, in the largest unit that fits: 7200000 is "2h"; returns `text` of SETTINGS_PRINT_MAX bytes. */
const char *settings_print(enum option_kind kind, int64_t number, char *text);

/* Whether both, made from the same table, say the same. */
bool settings_equal(const struct settings *a, const struct settings *b);

#endif
