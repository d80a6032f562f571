/* slice.h - bytes lent for as long as their owner lives; never freed through a slice */
#ifndef HEADGATE_BASE_SLICE_H
#define HEADGATE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* may be NULL when size is 0; not zero-terminated */
    size_t size;      /* bytes */
};

#define SLICE_NONE ((struct slice){NULL, 0})
/* For printf: "%.*s", SLICE_ARG(s) */
#define SLICE_ARG(s) (int)(s).size, (s).data ? (s).data : ""

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_is(struct slice s, const char *text)
{
    size_t n = strlen(text);
    return s.size == n && (n == 0 || memcmp(s.data, text, n) == 0);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
