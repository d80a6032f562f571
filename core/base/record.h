/* record.h - named values in flat bytes: the form of everything that is stored or handed over
 *
 * A record is a sequence of fields, in the order they were added:
 *
 *     name size (1 byte)  name  kind (1 byte)  value size (4 bytes, little endian)  value
 *
 * A reader asks by name and takes the last of that name; names it does not know it skips, so an
 * older or newer program can read the same row.  Integers are 8 bytes, little endian.
 * A damaged record never makes a reader look outside of it. */
#ifndef HEADGATE_BASE_RECORD_H
#define HEADGATE_BASE_RECORD_H

#include "core/base/buf.h"

enum record_kind {
    RECORD_TEXT = 't',    /* bytes as they are */
    RECORD_INTEGER = 'i', /* int64 */
    RECORD_BOOLEAN = 'b', /* one byte, 0 or 1 */
    RECORD_NUMBER = 'd',  /* IEEE double, 8 bytes */
    RECORD_JSON = 'j',    /* any other value, as JSON text (UTF-8) */
};

struct field {
    struct slice name;
    enum record_kind kind;
    struct slice value; /* the raw bytes; see record_get_integer and its like for the rest */
};

bool record_add(struct buf *record, const char *name, enum record_kind kind, struct slice value);
bool record_add_text(struct buf *record, const char *name, struct slice value);
bool record_add_integer(struct buf *record, const char *name, int64_t value);
bool record_add_boolean(struct buf *record, const char *name, bool value);

bool record_has(struct slice record, const char *name);
/* The bytes of the field, lent from the record; SLICE_NONE where there is none. */
struct slice record_get(struct slice record, const char *name);
int64_t record_get_integer(struct slice record, const char *name, int64_t fallback);
bool record_get_boolean(struct slice record, const char *name, bool fallback);
/* Walks: start with *at = 0; false at the end. */
bool record_next(struct slice record, size_t *at, struct field *field);

#endif
