/* template.h - texts with places to fill in: the part of Mustache that a mail needs
 *
 *     {{site.name}}                 the value; escaped if the template is HTML
 *     {{{site.name}}}               the value, never escaped
 *     {{#contacts}}..{{/contacts}}  once for each item of a list; or once, if there is a value
 *     {{^contacts}}..{{/contacts}}  if there is none
 *     {{.}}                         the item itself
 *     {{! a remark }}
 *
 * A name is looked for in the innermost section first, then outwards.  A section's tag that is
 * alone on its line takes the line with it.  Missing, null, false, "" and [] are no value; 0 is one.
 *
 * It has no logic on purpose: what to write is decided in the flow.  And it is strict: a name that
 * the data does not have is an error, because a mail that begins "Dear ," is worse than one that
 * waits for a person.  Only a section may ask for a name that is not there. */
#ifndef HEADGATE_BASE_TEMPLATE_H
#define HEADGATE_BASE_TEMPLATE_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <jansson.h>

#define TEMPLATE_DEPTH_MAX 32     /* sections inside sections */
#define TEMPLATE_STEPS_MAX 100000 /* texts and tags of one rendering: lists in lists in lists must end, too */

struct template
{
    const char *name;    /* for errors: "templates/offline.de.txt" */
    unsigned first_line; /* line of the file that `text` begins with; 1 if it is the whole file */
    struct slice text;   /* lent */
    bool is_html;        /* escape the values */
};

/* Adds the filled-in text, up to the ceiling of `out`.  The error names template, line and path. */
bool template_render(const struct template *template, const json_t *data, struct buf *out, struct err *err);

#endif
