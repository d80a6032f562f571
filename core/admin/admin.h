/* admin.h - the daemon's admin API: HTTP and JSON on a Unix socket, for its own user and root; where headgate.yaml says
 * `admin: {listen: ...}` also on TCP, for whoever has a token (access.c)
 *
 *      GET  /livez                          does the loop go round?
 *      GET  /readyz                         may this node be given work?  503 with the reasons, if not
 *      GET  /metrics                        the numbers, for Prometheus
 *      GET  /v1/status                      flows, lanes, store, whether the books balance
 *      POST /v1/flows/NAME/on | off         {"why"}
 *      POST /v1/flows/NAME/reset            {"why"}; of a tripped gate
 *      GET  /v1/releases?kind=&name=        what was released, newest first
 *      POST /v1/deploy                      {"kind", "name", "files": {path: text or {"base64"}}, "why"}
 *      POST /v1/reload                      reads headgate.yaml and its secrets again; says what changed
 *      GET  /v1/trace?key=                  what happened to a key
 *      GET  /v1/held?flow=&...&limit=&group=    what needs a person; the filter is held_filter.c's
 *      GET  /v1/held/N                      one of them, whole
 *      POST /v1/held/N/retry | discard      {"why", "as_it_was"}
 *      POST /v1/held/N/edit                 {"why", "fields": {name: text}}
 *      POST /v1/held/all/retry | discard    {"why", "filter": {...}, "rate": a second, "as_it_was"}
 *      POST /v1/held/all/stop               {"why"}
 *      GET  /v1/held/progress               how far it is
 *      GET  /v1/campaigns, /v1/suppressed   see campaigns.c
 *      GET  /v1/audit?limit=                who changed what, newest first
 *      GET  /v1/doctor                      what the connections and sources find when they look
 *      GET  /v1/store                       how large it is, when it will be full, how far a backup is
 *      GET  /v1/store/verify                looks at every row of it
 *      POST /v1/store/backup                {"path"}: begins a copy; never overwrites
 *
 * An answer that is not 200 is {"error": "..."}: 400 for a request that says too little, 401 and 403 for one that may
 * not ask this, 404 for what is not there, 409 for what was refused, 503 for a change while the daemon stops. */
#ifndef HEADGATE_ADMIN_ADMIN_H
#define HEADGATE_ADMIN_ADMIN_H

#include "core/engine/engine.h"

struct admin;

struct admin *admin_open(struct engine *engine, struct err *err);
void admin_close(struct admin *admin);

#endif
