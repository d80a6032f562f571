/* recipients.h - whom an effect reaches, and in whose course: one recipient, or a list of them */
#ifndef HEADGATE_FLOW_RECIPIENTS_H
#define HEADGATE_FLOW_RECIPIENTS_H

#include "core/flow/run.h"

/* Adds the form under which the recipient is recognised again.  False: it is none, and why. */
bool recipients_recognise(const struct verb *verb, struct slice as_written, struct buf *recipient, struct err *err);
/* Of one recipient: fills asked->recipient and asked->campaign from the fields, where the verb knows of such.  An
 * effect of a campaign gets its id from these. */
bool recipients_one(struct asked *asked, struct slice fields, struct err *err);
/* Of a list: `entries` is a record with a field for each, its value a record of the fields that this one has for
 * himself.  Who is in it twice is taken once; who cannot be recognised as a recipient is kept, to be counted later. */
bool recipients_list(struct asked *asked, struct slice fields, struct slice entries, struct err *err);

#endif
