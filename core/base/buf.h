/* buf.h - bytes that grow up to a stated ceiling
 *
 * Every buffer has a ceiling.  An addition that would pass it adds nothing, marks the buffer as
 * `is_over` and returns false; so a long series of additions may be checked once, at its end.
 * No memory left ends the process (see DESIGN: a crash is a road we have built). */
#ifndef HEADGATE_BASE_BUF_H
#define HEADGATE_BASE_BUF_H

#include "core/base/slice.h"

#include <stdarg.h>
#include <stdint.h>

struct buf {
    char *data;   /* owned; always zero-terminated once anything was added */
    size_t size;  /* bytes in use, without the terminating zero */
    size_t room;  /* bytes allocated */
    size_t limit; /* ceiling for size */
    bool is_over; /* an addition was refused */
};

#define BUF_INIT(ceiling)                                                                                              \
    {                                                                                                                  \
        .data = NULL, .size = 0, .room = 0, .limit = (ceiling), .is_over = false                                       \
    }

bool buf_add(struct buf *buf, const void *data, size_t size);
bool buf_add_slice(struct buf *buf, struct slice slice);
bool buf_add_text(struct buf *buf, const char *text);
bool buf_add_char(struct buf *buf, char c);
bool buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_addv(struct buf *buf, const char *format, va_list args);
bool buf_add_number(struct buf *buf, int64_t number); /* in decimal */
/* Adds `text` as a JSON string with its quotes.  Bytes that are not UTF-8 become U+FFFD. */
bool buf_add_json(struct buf *buf, struct slice text);
/* Room for `size` more bytes at data + buf->size, or NULL past the ceiling.  The caller fills them and adds to
 * buf->size. */
char *buf_reserve(struct buf *buf, size_t size);
void buf_reset(struct buf *buf); /* empties, keeps the memory */
void buf_clear(struct buf *buf); /* frees; the ceiling stays */
/* Hands the bytes over: the caller frees them with free().  Never NULL. */
char *buf_take(struct buf *buf);

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->size};
}

/* malloc, calloc, realloc, strdup that end the process when there is no memory. */
void *mem_new(size_t size);
void *mem_zero(size_t size);
void *mem_resize(void *old, size_t size);
char *mem_text(const char *text);   /* NULL stays NULL */
char *mem_copy(struct slice slice); /* zero-terminated copy */

#endif
