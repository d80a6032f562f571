/* compose.h - from what a flow asked to what is stored: envelope and message */
#ifndef HEADGATE_SMTP_COMPOSE_H
#define HEADGATE_SMTP_COMPOSE_H

#include "core/adapter.h"

extern const struct option smtp_compose_fields[];
/* The `prepare` of the verb `send`.  Needs nothing of the connection but its settings `from` and `bounce`.
 * Stored are the texts envelope_from, to and message. */
bool smtp_compose(const struct ask *ask, struct buf *out, struct err *err);

#endif
