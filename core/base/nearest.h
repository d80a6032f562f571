/* nearest.h - "did you mean ...?": the known name that is most like a mistyped one
 *
 *     struct nearest nearest = nearest_for(found);
 *     for (...) nearest_offer(&nearest, slice_of(known[i].name));
 *     return err_set(err, "unknown key \"%s\"%s", found, nearest_text(&nearest, "allowed"));
 *
 *     unknown key "prefech"; did you mean "prefetch"? (allowed: exchange, keys, prefetch) */
#ifndef HEADGATE_BASE_NEAREST_H
#define HEADGATE_BASE_NEAREST_H

#include "core/base/slice.h"

#define NEAREST_MAX 900 /* bytes of the list of names, and of the whole text */

struct nearest {
    struct slice wanted;          /* what somebody wrote; lent */
    struct slice best;            /* the name most like it; lent; none is like it: size 0 */
    size_t distance;              /* of `best`: how many letters differ */
    size_t count;                 /* how many names were offered */
    char names[NEAREST_MAX];      /* all that were offered, with commas between them, up to what fits */
    size_t size;                  /* bytes used in `names` */
    bool is_full;                 /* the list ends with dots */
    char text[NEAREST_MAX + 200]; /* what nearest_text answers */
};

struct nearest nearest_for(struct slice wanted);
void nearest_offer(struct nearest *nearest, struct slice name);
/* "; did you mean "x"? (allowed: x, y)", "; allowed: x, y" or, where none was offered, "; there are none".
 * `label` stands before the list. */
const char *nearest_text(struct nearest *nearest, const char *label);

#endif
