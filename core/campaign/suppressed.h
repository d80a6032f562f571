/* suppressed.h - recipients to whom nothing is sent any more through a connection
 *
 *      the far side says that there is no such recipient ──► a row here, in the change that has the verdict
 *      a person adds or removes one ──► with who and why, and an audit row
 *
 *     suppressed   connection \0 recipient -> at (ms), who, why, effect (its id; where it was the far side)
 *
 * Looked at right before each delivery.  Rows stay until a person removes them: one for each dead address. */
#ifndef HEADGATE_CAMPAIGN_SUPPRESSED_H
#define HEADGATE_CAMPAIGN_SUPPRESSED_H

#include "core/store/store.h"

struct suppression {
    const char *who;    /* a person or account; NULL: the far side */
    const char *why;    /* what it said, or their reason */
    const char *effect; /* id of the effect that it was about; NULL: none */
};

struct store_key suppressed_key(const char *connection, struct slice recipient);
/* The row; lent as by store_get. */
bool suppressed_find(struct store *store, const char *connection, struct slice recipient, struct slice *row);
void suppressed_add(struct change *change, const char *connection, struct slice recipient,
                    const struct suppression *suppression);
void suppressed_remove(struct change *change, const char *connection, struct slice recipient);

#endif
