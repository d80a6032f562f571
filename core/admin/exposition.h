/* exposition.h - the text that Prometheus reads: format 0.0.4, or OpenMetrics 1.0 for who asks for it
 *
 *     exposition_family(&out, "headgate_events_finished_total", EXPOSITION_COUNTER, "Events that are settled.");
 *     exposition_add(&out, "", 17, "flow", "mail-contacts", "outcome", "expired");
 *
 *     # HELP headgate_events_finished_total Events that are settled.
 *     # TYPE headgate_events_finished_total counter
 *     headgate_events_finished_total{flow="mail-contacts",outcome="expired"} 17
 *
 * A family is one block: all of its lines follow its head. */
#ifndef HEADGATE_ADMIN_EXPOSITION_H
#define HEADGATE_ADMIN_EXPOSITION_H

#include "core/base/buf.h"

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

struct exposition {
    struct buf text;
    bool is_open_metrics; /* a counter's family has no _total in its head there, and the text has an end mark */
    const char *name;     /* of the family that lines are added to */
};

#define EXPOSITION_MAX ((size_t)64 << 20)
#define EXPOSITION_INIT(open_metrics)                                                                                  \
    {                                                                                                                  \
        .text = BUF_INIT(EXPOSITION_MAX), .is_open_metrics = (open_metrics), .name = ""                                \
    }

/* `name`: lent until the next family; a counter's ends with _total. */
void exposition_family(struct exposition *out, const char *name, enum exposition_type type, const char *help);
/* One line of the family, `suffix` behind its name; then pairs of label and value. */
#define exposition_add(...) exposition_line(__VA_ARGS__, (const char *)NULL)
void exposition_line(struct exposition *out, const char *suffix, double value, ...) __attribute__((sentinel));
void exposition_end(struct exposition *out);
const char *exposition_content_type(const struct exposition *out);

#endif
