/* pattern.c - see pattern.h
 *
 * A pattern becomes a row of items, each with its repetition.  Matching walks down the row; an item
 * that may repeat tries its possibilities one after another, each time matching the rest of the row by
 * calling itself.  So the calls nest no deeper than the row is long, which PATTERN_BYTES_MOST bounds,
 * and time is bounded by the steps.
 *
 * Captures need no undoing: the row has no branches, so whoever reads a capture has just passed the
 * items that wrote it. */
#include "core/lua/pattern.h"

enum item_kind { CHARACTER, ANY, SET, OPEN, PLACE, CLOSE, SAME_AGAIN, BALANCED, FRONTIER, AT_END, MATCHED };

#define CAPTURE_OPEN 1 /* states of a capture while the pattern is read */
#define CAPTURE_DONE 2

/* ---- classes and sets ---------------------------------------------------------------------- */

static const struct {
    char letter;
    uint64_t bits[2]; /* ASCII; no byte above belongs to a class */
} classes[] = {
    {'a', {UINT64_C(0x0000000000000000), UINT64_C(0x07fffffe07fffffe)}},
    {'c', {UINT64_C(0x00000000ffffffff), UINT64_C(0x8000000000000000)}},
    {'d', {UINT64_C(0x03ff000000000000), UINT64_C(0x0000000000000000)}},
    {'g', {UINT64_C(0xfffffffe00000000), UINT64_C(0x7fffffffffffffff)}},
    {'l', {UINT64_C(0x0000000000000000), UINT64_C(0x07fffffe00000000)}},
    {'p', {UINT64_C(0xfc00fffe00000000), UINT64_C(0x78000001f8000001)}},
    {'s', {UINT64_C(0x0000000100003e00), UINT64_C(0x0000000000000000)}},
    {'u', {UINT64_C(0x0000000000000000), UINT64_C(0x0000000007fffffe)}},
    {'w', {UINT64_C(0x03ff000000000000), UINT64_C(0x07fffffe07fffffe)}},
    {'x', {UINT64_C(0x03ff000000000000), UINT64_C(0x0000007e0000007e)}},
    {'z', {UINT64_C(0x0000000000000001), UINT64_C(0x0000000000000000)}}, /* of old: the byte 0 */
};

static bool set_has(const struct pattern_set *set, unsigned char c)
{
    return set->bits[c >> 6] >> (c & 63) & 1;
}

static void set_add(struct pattern_set *set, unsigned char c)
{
    set->bits[c >> 6] |= UINT64_C(1) << (c & 63);
}

/* Adds the class that stands behind a "%"; false if the letter names none and so means itself. */
static bool set_add_class(struct pattern_set *set, unsigned char letter)
{
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (classes[i].letter == (letter | 0x20) && letter < 0x80) {
            bool is_negated = !(letter & 0x20);
            uint64_t flip = is_negated ? UINT64_MAX : 0;
            set->bits[0] |= classes[i].bits[0] ^ flip;
            set->bits[1] |= classes[i].bits[1] ^ flip;
            set->bits[2] |= flip;
            set->bits[3] |= flip;
            return true;
        }
    }
    return false;
}

/* ---- reading a pattern --------------------------------------------------------------------- */

struct pattern_reader {
    struct pattern *pattern;
    const unsigned char *at;
    const unsigned char *end;
    uint8_t capture_states[PATTERN_CAPTURES_MOST]; /* CAPTURE_OPEN or CAPTURE_DONE */
};

static struct pattern_set *new_set(struct pattern_reader *r, struct pattern_item *item)
{
    item->set = (uint16_t)r->pattern->set_count++;
    struct pattern_set *set = &r->pattern->sets[item->set];
    memset(set, 0, sizeof *set);
    return set;
}

/* The "]" that closes the set whose first character `at` is; NULL if there is none.  That character and one behind a
 * "%" never close it. */
static const unsigned char *find_bracket(const unsigned char *at, const unsigned char *end)
{
    bool is_first = true;
    while (at < end && (*at != ']' || is_first)) {
        at += *at == '%' && at + 1 < end ? 2 : 1;
        is_first = false;
    }
    return at < end ? at : NULL;
}

/* r->at is at the "[". */
static const char *read_set(struct pattern_reader *r, struct pattern_item *item)
{
    const unsigned char *at = r->at + 1;
    bool is_negated = at < r->end && *at == '^';
    at += is_negated;
    const unsigned char *bracket = find_bracket(at, r->end);
    if (!bracket)
        return "malformed pattern (missing ']')";
    struct pattern_set *set = new_set(r, item);
    while (at < bracket) {
        if (*at == '%') {
            if (!set_add_class(set, at[1]))
                set_add(set, at[1]);
            at += 2;
        } else if (at[1] == '-' && at + 2 < bracket) {
            for (unsigned c = at[0]; c <= at[2]; c++)
                set_add(set, (unsigned char)c);
            at += 3;
        } else {
            set_add(set, *at++);
        }
    }
    for (int i = 0; is_negated && i < 4; i++)
        set->bits[i] = ~set->bits[i];
    r->at = bracket + 1;
    return NULL;
}

static const char *read_capture(struct pattern_reader *r, struct pattern_item *item)
{
    if (*r->at++ == '(') {
        if (r->pattern->captures == PATTERN_CAPTURES_MOST)
            return "too many captures";
        item->a = (uint8_t)r->pattern->captures++;
        bool is_place = r->at < r->end && *r->at == ')';
        r->at += is_place;
        item->kind = is_place ? PLACE : OPEN;
        r->capture_states[item->a] = is_place ? CAPTURE_DONE : CAPTURE_OPEN;
        return NULL;
    }
    for (int i = r->pattern->captures - 1; i >= 0; i--) {
        if (r->capture_states[i] == CAPTURE_OPEN) {
            r->capture_states[i] = CAPTURE_DONE;
            item->kind = CLOSE;
            item->a = (uint8_t)i;
            return NULL;
        }
    }
    return "invalid pattern capture";
}

/* Behind a "%" outside of a set. */
static const char *read_escape(struct pattern_reader *r, struct pattern_item *item)
{
    unsigned char letter = *r->at++;
    if (letter == 'b') {
        if (r->end - r->at < 2)
            return "malformed pattern (missing arguments to '%b')";
        item->kind = BALANCED;
        item->a = r->at[0];
        item->b = r->at[1];
        r->at += 2;
    } else if (letter == 'f') {
        if (r->at >= r->end || *r->at != '[')
            return "missing '[' after '%f' in pattern";
        item->kind = FRONTIER;
        return read_set(r, item);
    } else if (letter >= '0' && letter <= '9') {
        int which = letter - '1';
        if (which < 0 || which >= r->pattern->captures || r->capture_states[which] != CAPTURE_DONE)
            return "invalid capture index in pattern";
        item->kind = SAME_AGAIN;
        item->a = (uint8_t)which;
    } else {
        struct pattern_set set = {{0}};
        item->kind = CHARACTER;
        item->a = letter;
        if (set_add_class(&set, letter)) {
            item->kind = SET;
            *new_set(r, item) = set;
        }
    }
    return NULL;
}

static const char *read_item(struct pattern_reader *r, struct pattern_item *item)
{
    *item = (struct pattern_item){.kind = CHARACTER};
    const char *mistake = NULL;
    unsigned char c = *r->at;
    if (c == '(' || c == ')')
        return read_capture(r, item);
    if (c == '$' && r->at + 1 == r->end) {
        item->kind = AT_END;
        r->at++;
        return NULL;
    }
    if (c == '%') {
        if (++r->at == r->end)
            return "malformed pattern (ends with '%')";
        mistake = read_escape(r, item);
    } else if (c == '[') {
        item->kind = SET;
        mistake = read_set(r, item);
    } else {
        item->kind = c == '.' ? ANY : CHARACTER;
        item->a = c;
        r->at++;
    }
    if (!mistake && item->kind <= SET && r->at < r->end && *r->at && strchr("?*+-", *r->at))
        item->repeat = *r->at++;
    return mistake;
}

const char *pattern_read(struct pattern *pattern, struct slice text, bool may_anchor)
{
    if (text.size > PATTERN_BYTES_MOST)
        return "pattern too long (500 bytes at most)";
    const unsigned char *start = (const unsigned char *)(text.data ? text.data : "");
    struct pattern_reader r = {.pattern = pattern, .at = start, .end = start + text.size};
    pattern->captures = pattern->item_count = pattern->set_count = 0;
    pattern->is_anchored = may_anchor && text.size > 0 && *start == '^';
    r.at += pattern->is_anchored;
    while (r.at < r.end) {
        const char *mistake = read_item(&r, &pattern->items[pattern->item_count++]);
        if (mistake)
            return mistake;
    }
    for (int i = 0; i < pattern->captures; i++) {
        if (r.capture_states[i] == CAPTURE_OPEN)
            return "unfinished capture";
    }
    pattern->items[pattern->item_count] = (struct pattern_item){.kind = MATCHED};
    return NULL;
}

bool pattern_is_special(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] && strchr("^$*+?.([%-", text.data[i]))
            return true;
    }
    return false;
}

/* ---- matching ------------------------------------------------------------------------------ */

static const char *match_row(struct pattern_match *m, const struct pattern *p, const struct pattern_item *item,
                             const char *at);

static bool fits(const struct pattern_match *m, const struct pattern *p, const struct pattern_item *item,
                 const char *at)
{
    if (at >= m->end)
        return false;
    if (item->kind == CHARACTER)
        return (unsigned char)*at == item->a;
    return item->kind == ANY || set_has(&p->sets[item->set], (unsigned char)*at);
}

/* As many as there are, then one less, and so on. */
static const char *match_most(struct pattern_match *m, const struct pattern *p, const struct pattern_item *item,
                              const char *at)
{
    const char *last = at;
    while (fits(m, p, item, last) && (item->repeat != '?' || last == at))
        last++;
    const char *first = item->repeat == '+' ? at + 1 : at;
    for (; last >= first && m->steps >= 0; last--) {
        const char *end = match_row(m, p, item + 1, last);
        if (end)
            return end;
    }
    return NULL;
}

/* None, then one more, and so on. */
static const char *match_least(struct pattern_match *m, const struct pattern *p, const struct pattern_item *item,
                               const char *at)
{
    while (m->steps-- > 0) {
        const char *end = match_row(m, p, item + 1, at);
        if (end)
            return end;
        if (!fits(m, p, item, at))
            return NULL;
        at++;
    }
    return NULL;
}

/* Behind the closing one that belongs to the opening one at `at`. */
static const char *match_balanced(struct pattern_match *m, const struct pattern_item *item, const char *at)
{
    if (at >= m->end || (unsigned char)*at != item->a)
        return NULL;
    const char *first = at++;
    for (int64_t depth = 1; at < m->end; at++) {
        if ((unsigned char)*at == item->b) {
            if (--depth == 0) {
                m->steps -= at - first;
                return at + 1;
            }
        } else if ((unsigned char)*at == item->a) {
            depth++;
        }
    }
    m->steps -= at - first;
    return NULL;
}

static const char *match_same_again(struct pattern_match *m, const struct pattern_capture *capture, const char *at)
{
    if ((size_t)(m->end - at) < capture->size) /* true of every PATTERN_POSITION: a place matches nothing */
        return NULL;
    m->steps -= (int64_t)(capture->size / 8);
    return memcmp(capture->start, at, capture->size) == 0 ? at + capture->size : NULL;
}

static bool is_frontier(const struct pattern_match *m, const struct pattern_set *set, const char *at)
{
    unsigned char before = at == m->subject ? '\0' : (unsigned char)at[-1];
    unsigned char here = at < m->end ? (unsigned char)*at : '\0';
    return !set_has(set, before) && set_has(set, here);
}

/* The end of the match of `item` and all behind it, or NULL. */
static const char *match_row(struct pattern_match *m, const struct pattern *p, const struct pattern_item *item,
                             const char *at)
{
    for (;; item++) {
        if (m->steps-- <= 0)
            return m->steps = -1, NULL;
        switch ((enum item_kind)item->kind) {
        case MATCHED: return at;
        case AT_END:
            if (at != m->end)
                return NULL;
            break;
        case PLACE: m->captures[item->a] = (struct pattern_capture){at, PATTERN_POSITION}; break;
        case OPEN: m->captures[item->a] = (struct pattern_capture){at, 0}; break;
        case CLOSE: m->captures[item->a].size = (size_t)(at - m->captures[item->a].start); break;
        case SAME_AGAIN: at = match_same_again(m, &m->captures[item->a], at); break;
        case BALANCED: at = match_balanced(m, item, at); break;
        case FRONTIER:
            if (!is_frontier(m, &p->sets[item->set], at))
                return NULL;
            break;
        case CHARACTER:
        case ANY:
        case SET:
            if (item->repeat == '-')
                return match_least(m, p, item, at);
            if (item->repeat)
                return match_most(m, p, item, at);
            at = fits(m, p, item, at) ? at + 1 : NULL;
        }
        if (!at)
            return NULL;
    }
}

bool pattern_match_at(struct pattern_match *match, const struct pattern *pattern, const char *at)
{
    match->from = at;
    match->to = match_row(match, pattern, pattern->items, at);
    return match->to != NULL;
}

/* Where a match could begin at the earliest; NULL: nowhere. */
static const char *skip_hopeless(struct pattern_match *match, const struct pattern *pattern, const char *at)
{
    const struct pattern_item *first = &pattern->items[0];
    if (first->kind != CHARACTER || (first->repeat && first->repeat != '+'))
        return at;
    const char *found = at < match->end ? memchr(at, first->a, (size_t)(match->end - at)) : NULL;
    match->steps -= ((found ? found : match->end) - at) / 16;
    return found;
}

bool pattern_search(struct pattern_match *match, const struct pattern *pattern, const char *at)
{
    if (pattern->is_anchored)
        return pattern_match_at(match, pattern, at);
    for (; at <= match->end && match->steps >= 0; at++) {
        at = skip_hopeless(match, pattern, at);
        if (!at)
            return false;
        if (pattern_match_at(match, pattern, at))
            return true;
    }
    return false;
}
