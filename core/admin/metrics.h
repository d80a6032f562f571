/* metrics.h - the families of /metrics, by what they are about
 *
 * The books are whatever was counted last, some seconds old; all else is of this moment.  Labels are flows,
 * destinations (connections) and what the design names; never ids, keys or addresses.  What can happen is there from
 * the start, with 0: a rate over a counter that appears with its first event misses that event. */
#ifndef HEADGATE_ADMIN_METRICS_H
#define HEADGATE_ADMIN_METRICS_H

#include "core/admin/exposition.h"
#include "core/engine/engine.h"

struct books;

void metrics_of_node(struct exposition *out, struct engine *engine);
void metrics_of_process(struct exposition *out);
void metrics_of_flows(struct exposition *out, struct engine *engine, const struct books *books);
void metrics_of_lanes(struct exposition *out, struct engine *engine, const struct books *books);

#endif
