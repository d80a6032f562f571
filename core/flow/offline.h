/* offline.h - a flow without a daemon: for `headgate try`, `test` and `check`
 *
 * The same instance and the same run as in the daemon; connections are there as tables, but nothing is opened, nothing
 * is delivered, and whoever runs an event answers its reads. */
#ifndef HEADGATE_FLOW_OFFLINE_H
#define HEADGATE_FLOW_OFFLINE_H

#include "core/flow/run.h"

#include <jansson.h>

struct offline {
    struct config *config; /* owned */
    struct rulebook rules;
    struct connection *connections; /* as the configuration has them, never opened */
    size_t connection_count;
};

/* `rules`: the folder; NULL: the configuration's. Secrets are not read unless wanted. */
bool offline_open(struct offline *offline, const char *config_path, const char *rules, bool may_read_secrets,
                  struct err *err);
void offline_close(struct offline *offline);
/* The flow of that folder; for a rule's file, see instance_check_rule. */
struct instance *offline_load(struct offline *offline, const char *folder, struct err *err);
struct instance_options offline_options(struct offline *offline);

/* How the flow's reads are answered: by run_answer or run_no_answer, before it returns. */
typedef void (*offline_answer)(struct run *run, void *context);

/* Runs the event {"body", "headers", "properties", "received"}, and where it says so: "now" (else it is "received"),
 * "state" (an object: what the flow has kept), "continue" ({"step", "timer" or "result", "late_by", "cause", "id",
 * "key"}: it goes on where an earlier run left off).  The result, owned by the caller:
 * {"ok", "error", "skipped": "" | "expired", "id", "key",
 *  "decisions": [{"step", "kind": "do" | "ask", "answer", "why"}],
 *  "effects": [{"id", "connection", "verb", "fields", "next" and "cause" (where its outcome is asked for)}],
 *  "state": [{"key", "value", "expires_in" (ms, 0: never)} or {"key", "deleted": true}],
 *  "timers": [{"name", "step", "in" (ms), "data", "cause"} or {"name", "cancelled": true}]}
 * NULL: the event is not good JSON, or lacks a body. */
json_t *offline_run(struct instance *instance, struct slice event_json, offline_answer answer, void *context,
                    struct err *err);

#endif
