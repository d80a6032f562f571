/* internal.h - what the files of the admin API share */
#ifndef HEADGATE_ADMIN_INTERNAL_H
#define HEADGATE_ADMIN_INTERNAL_H

#include "core/admin/admin.h"
#include "core/net/server.h"

#include <jansson.h>

struct metrics;

struct admin {
    struct engine *engine;
    struct metrics *metrics;
    struct server *server;  /* on the Unix socket */
    struct server *network; /* on TCP; NULL: not asked for */
    int64_t refused;        /* requests on TCP without a good token */
    int64_t complained_ms;  /* when the log last said so; of the clock that never goes back */
};

#define WHY_MAX 2000                 /* bytes of a reason: the audit keeps it for ever */
#define ASKED_MAX ((size_t)16 << 20) /* bytes of a request's body: a deploy carries a whole folder */

/* Replies with the JSON; takes it. */
void reply_json(struct request *request, int status, json_t *json);
void reply_error(struct request *request, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The text as a JSON string; what is not UTF-8 in it becomes U+FFFD. */
json_t *json_of(struct slice text);
json_t *json_of_field(struct slice record, const char *name);
/* {"why": ...} of the body, required; NULL after an error reply.  The caller frees. */
char *take_why(struct request *request);
/* Name of the token, else of the peer's account, or its number; freed by the caller. */
char *take_who(const struct request *request);
/* For engine_done: replies {"ok": true, "text"} or 409. */
void reply_done(void *request, bool ok, const char *text);

/* access.c: whether this may be asked by whom it is; false: it was answered. */
bool access_allows(struct admin *admin, struct request *request);

struct metrics *metrics_open(struct engine *engine); /* metrics.c */
void metrics_close(struct metrics *metrics);
void answer_metrics(struct metrics *metrics, struct request *request);
void answer_livez(struct request *request); /* health.c */
void answer_readyz(struct admin *admin, struct request *request);
void answer_status(struct admin *admin, struct request *request); /* status.c */
void answer_trace(struct admin *admin, struct request *request);  /* trace.c */
void answer_timers(struct admin *admin, struct request *request); /* kept.c */
void answer_state(struct admin *admin, struct request *request);
void answer_held(struct admin *admin, struct request *request); /* held.c */
void answer_held_one(struct admin *admin, struct request *request, uint64_t number);
/* held_filter.c; what they find is lent by the request or the JSON */
bool filter_of_query(const struct request *request, struct held_filter *filter, struct err *err);
bool filter_of_json(const json_t *json, struct held_filter *filter, struct err *err);
void change_held(struct admin *admin, struct request *request, uint64_t number, const char *what); /* held_change.c */
void change_all_held(struct admin *admin, struct request *request, const char *what);
void answer_held_progress(struct admin *admin, struct request *request);
void answer_lanes(struct admin *admin, struct request *request); /* lanes.c */
void answer_lane(struct admin *admin, struct request *request, const char *name);
void answer_deploy(struct admin *admin, struct request *request); /* releases.c */
void answer_releases(struct admin *admin, struct request *request);
void answer_audit(struct admin *admin, struct request *request);
void answer_doctor(struct admin *admin, struct request *request); /* doctor.c */
void answer_store(struct admin *admin, struct request *request);  /* store.c */
void answer_store_verify(struct admin *admin, struct request *request);
void change_store_backup(struct admin *admin, struct request *request);
json_t *trace_effect(struct store *store, json_t *asked);
json_t *written_to(struct admin *admin, const char *key);           /* written.c: by which campaigns */
bool route_campaigns(struct admin *admin, struct request *request); /* campaigns.c; false: it is about something else */

#endif
