/* pattern.h - Lua's patterns, with a limit to the steps that a match may take
 *
 * What Lua 5.4's manual says of patterns holds here (6.4.1).  Two things differ: a pattern is read
 * once, as a whole, so a mistake in it is found even behind the place where matching would have given
 * up; and characters are classed as in the C locale, whatever the process has set.
 *
 * A pattern like ("a?"):rep(30) .. ("a"):rep(30) tries 2^30 ways.  So every step is counted, and past
 * the limit the match ends without an answer.  Knows nothing of Lua states. */
#ifndef HEADGATE_LUA_PATTERN_H
#define HEADGATE_LUA_PATTERN_H

#include "core/base/slice.h"

#include <stdint.h>

#define PATTERN_BYTES_MOST 500
#define PATTERN_CAPTURES_MOST 32
#define PATTERN_POSITION SIZE_MAX /* size of a capture that is only a place: "()" */

struct pattern_set {
    uint64_t bits[4]; /* one for each byte */
};

struct pattern_item {
    uint8_t kind;   /* enum item_kind in pattern.c */
    uint8_t repeat; /* '\0' once, '?', '*', '+' or '-' */
    uint8_t a;      /* CHARACTER: it; captures: which; BALANCED: the opening one */
    uint8_t b;      /* BALANCED: the closing one */
    uint16_t set;   /* SET, FRONTIER: which of pattern.sets */
};

struct pattern {
    bool is_anchored; /* begins with ^ */
    int captures;
    int item_count;
    int set_count;
    struct pattern_item items[PATTERN_BYTES_MOST + 1];
    struct pattern_set sets[PATTERN_BYTES_MOST / 2];
};

struct pattern_capture {
    const char *start; /* in the subject */
    size_t size;       /* bytes, or PATTERN_POSITION */
};

struct pattern_match {
    const char *subject; /* first byte: %f looks behind the place where matching starts, but not further */
    const char *end;     /* behind its last byte */
    int64_t steps;       /* left; below 0 the match was given up */
    const char *from;    /* what matched */
    const char *to;
    struct pattern_capture captures[PATTERN_CAPTURES_MOST]; /* as many as the pattern has */
};

/* Reads `text`; NULL, or what is wrong with it (a constant).  In `gmatch` a "^" is a character like others. */
const char *pattern_read(struct pattern *pattern, struct slice text, bool may_anchor);
/* True if some character of the text means more than itself. */
bool pattern_is_special(struct slice text);
/* Does it match at `at` exactly?  Sets from, to and captures. */
bool pattern_match_at(struct pattern_match *match, const struct pattern *pattern, const char *at);
/* The first match at or behind `at` (or only there, if the pattern is anchored). */
bool pattern_search(struct pattern_match *match, const struct pattern *pattern, const char *at);

#endif
