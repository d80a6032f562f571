/* utf8.h - strict UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF) */
#ifndef HEADGATE_BASE_UTF8_H
#define HEADGATE_BASE_UTF8_H

#include "core/base/slice.h"

/* Bytes of the character that starts at `text`, 1 to 4; 0 if none starts there. */
size_t utf8_length(const char *text, size_t size);
bool utf8_is_valid(struct slice text);
/* Characters in `text`; a byte that starts none counts as one. */
size_t utf8_count(struct slice text);
/* The longest start of `text` with at most `size` bytes that does not end inside a character. */
struct slice utf8_cut(struct slice text, size_t size);

#endif
