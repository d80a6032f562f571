/* err.h - what went wrong, gathering context on its way up
 *
 * What can fail returns `bool` and takes `struct err *` last.  The place that fails calls
 * `err_set`; each level above that knows more calls `err_wrap`, which puts its words in front:
 *
 *     return err_set(err, "store is full");                     store is full
 *     return err_wrap(err, "outbox: add %s", id);               outbox: add 4711: store is full
 *
 * Both return false, so that failing and saying why is one statement. */
#ifndef HEADGATE_BASE_ERR_H
#define HEADGATE_BASE_ERR_H

#include <stdbool.h>

#define ERR_MAX 2000 /* bytes of text with its terminating zero; what is longer is cut at a character */

struct err {
    char text[ERR_MAX]; /* "" while nothing failed */
};

#define ERR_INIT                                                                                                       \
    {                                                                                                                  \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

/* The same for one in a place that is passed for every event: clears what has to be, not all the room. */
static inline void err_clear(struct err *err)
{
    err->text[0] = '\0';
}

bool err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
