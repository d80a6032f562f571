/* sandbox.h - the parts of the simulated OpsGenie; see sandbox.c for the whole
 *
 *     sandbox_api       routes, keys, rate limits, the shape of every answer
 *     sandbox_body      is this a body that OpsGenie would take?
 *     sandbox_work      accepted writes, on their way to be applied
 *     sandbox_alerts    the alerts themselves
 *     sandbox_act       what each action does to one
 *     sandbox_beats     heartbeats
 *     sandbox_hooks     tells others what happens to alerts
 *     sandbox_seen      every request that came, for tests to look at
 *     sandbox_fault     faults that somebody asked for
 *     sandbox_inspect   a look into all of it
 *
 * None of it is shared with the client beside it, so that each can find the other wrong. */
#ifndef HEADGATE_OPSGENIE_SANDBOX_H
#define HEADGATE_OPSGENIE_SANDBOX_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/map.h"
#include "core/net/server.h"

#include <jansson.h>
#include <uv.h>

#define SANDBOX_INTEGRATION_ID "5a2d0b6e-0000-4000-8000-000000000001"
#define SANDBOX_CLOUD "sandbox" /* the site's id in the paths of jsm-ops */
#define SANDBOX_ID_SIZE 64      /* of an id's text with its zero: a UUID, and for an alert "-" and ms */

/* ---- what may be done to an alert ------------------------------------------------------------ */

enum sandbox_action {
    ACTION_CREATE,
    ACTION_CLOSE,
    ACTION_ACKNOWLEDGE,
    ACTION_UNACKNOWLEDGE,
    ACTION_NOTE,
    ACTION_ADD_DETAILS,
    ACTION_REMOVE_DETAILS,
    ACTION_ADD_TAGS,
    ACTION_REMOVE_TAGS,
    ACTION_PRIORITY,
    ACTION_MESSAGE,
    ACTION_DESCRIPTION,
    ACTION_SNOOZE,
    ACTION_ASSIGN,
    ACTION_ESCALATE,
    ACTION_RESPONDER,
    ACTION_DELETE,
    ACTION_COUNT
};

/* OpsGenie's own API, and its two successors in Jira Service Management. */
enum sandbox_dialect { SANDBOX_OWN, SANDBOX_EVENTS, SANDBOX_OPS };

enum sandbox_identifier { BY_ID, BY_ALIAS, BY_TINY };

/* ---- sandbox_body.c ---------------------------------------------------------------------------- */

/* Puts into `errors` what is wrong, by field; true if nothing is. */
bool sandbox_body_check(enum sandbox_action action, const json_t *body, json_t *errors);

/* ---- sandbox_alerts.c -------------------------------------------------------------------------- */

struct sandbox_alert {
    uint64_t number;          /* 1, 2, ... in order of creation; also its tiny id */
    char id[SANDBOX_ID_SIZE]; /* <uuid>-<ms> */
    char *alias;
    bool is_open, is_acknowledged;
    unsigned count;   /* how often it was created; stops at 100 */
    uint64_t creates; /* the same, without a stop: for tests */
    int64_t created_ms, updated_ms, last_ms, acknowledged_ms, closed_ms;
    int64_t snoozed_until_ms;                  /* 0: never was */
    uint64_t escalations;                      /* how often it was escalated: for tests */
    char *acknowledged_by, *closed_by, *owner; /* NULL: nobody */
    json_t *said;                              /* message, description, tags, details, ... as they stand now */
    json_t *notes, *log;                       /* arrays of what GET shows, oldest first */
};

/* What became of one write. */
struct sandbox_outcome {
    bool is_success;
    const char *status;             /* free text for a person; a constant */
    char alert_id[SANDBOX_ID_SIZE]; /* "" if there is no such alert */
    char *alias;                    /* owned by whoever holds the outcome; NULL likewise */
};

struct sandbox_alerts;
struct sandbox_alerts *sandbox_alerts_new(void);
void sandbox_alerts_free(struct sandbox_alerts *alerts);
void sandbox_alerts_reset(struct sandbox_alerts *alerts); /* numbers go on */
void sandbox_alerts_apply(struct sandbox_alerts *alerts, enum sandbox_action action, enum sandbox_identifier by,
                          const char *identifier, json_t *body, struct sandbox_outcome *outcome);
/* The alert of that id, alias (the open one, else the latest) or tiny id; NULL: none. */
struct sandbox_alert *sandbox_alerts_find(const struct sandbox_alerts *alerts, enum sandbox_identifier by,
                                          const char *identifier);
/* Walks in order of creation: start with *number = 0; NULL at the end. */
const struct sandbox_alert *sandbox_alerts_next(const struct sandbox_alerts *alerts, uint64_t *number);
/* As GET shows it; with `notes`, `log` and `creates` too for the inspection.  The caller owns it. */
json_t *sandbox_alerts_show(const struct sandbox_alert *alert, bool is_inspection);
bool sandbox_alerts_summary(const struct sandbox_alerts *alerts, struct buf *out); /* members, without braces */
/* A UUID that carries `number` in its last 12 hex digits. */
void sandbox_alerts_uuid(const char *kind, uint64_t number, char *id);
/* That number; 0 if it is none. */
uint64_t sandbox_alerts_uuid_number(const char *id);

/* ---- sandbox_act.c ------------------------------------------------------------------------------- */

/* Changes the alert; says what was done, or NULL where the alert's state forbids it. */
const char *sandbox_act(enum sandbox_action action, struct sandbox_alert *alert, json_t *body);
const char *sandbox_act_who(const json_t *body); /* who did it */

/* ---- sandbox_query.c ---------------------------------------------------------------------------- */

struct sandbox_query;
/* "status:open AND alias:x"; NULL with the reason where it is not understood.  NULL or "" as text: all alerts. */
struct sandbox_query *sandbox_query_new(const char *text, struct err *err);
void sandbox_query_free(struct sandbox_query *query);
bool sandbox_query_fits(const struct sandbox_query *query, const struct sandbox_alert *alert);

/* ---- sandbox_hooks.c ----------------------------------------------------------------------------- */

struct sandbox_hooks;
struct sandbox_hooks *sandbox_hooks_new(uv_loop_t *loop, const struct sandbox_alerts *alerts);
/* Sends nothing more; frees later, and calls `closed`. */
void sandbox_hooks_close(struct sandbox_hooks *hooks, void (*closed)(void *context), void *context);
bool sandbox_hooks_add(struct sandbox_hooks *hooks, json_t *wish, struct err *err);
void sandbox_hooks_clear(struct sandbox_hooks *hooks);
bool sandbox_hooks_list(const struct sandbox_hooks *hooks, struct buf *out);
/* Tells everybody who wants to know what was done. */
void sandbox_hooks_tell(struct sandbox_hooks *hooks, enum sandbox_action action, const struct sandbox_outcome *outcome,
                        const json_t *body);

/* ---- sandbox_work.c ------------------------------------------------------------------------------ */

struct sandbox_work {
    char id[SANDBOX_ID_SIZE]; /* the request's */
    uint64_t number;
    enum sandbox_action action;
    enum sandbox_identifier by;
    char *identifier;
    json_t *body;    /* NULL once applied */
    uint64_t due;    /* uv_now at which it is applied */
    bool is_dropped; /* 202 was said, and nothing will ever come of it */
    bool is_applied;
    int64_t processed_ms;
    struct sandbox_outcome outcome; /* once applied */
};

struct sandbox_works;
struct sandbox_works *sandbox_work_new(uv_loop_t *loop, struct sandbox_alerts *alerts, struct sandbox_hooks *hooks,
                                       uint64_t delay_ms, void (*closed)(void *context), void *context);
void sandbox_work_close(struct sandbox_works *works); /* frees later, and calls `closed` */
void sandbox_work_reset(struct sandbox_works *works);
/* Accepts a write.  Takes a reference of its own to `body`. */
void sandbox_work_add(struct sandbox_works *works, const char *id, enum sandbox_action action,
                      enum sandbox_identifier by, const char *identifier, json_t *body, bool is_dropped);
uint64_t sandbox_work_next(const struct sandbox_works *works); /* the number of the next write */
const struct sandbox_work *sandbox_work_find(const struct sandbox_works *works, const char *id);
bool sandbox_work_summary(const struct sandbox_works *works, struct buf *out);
const char *sandbox_work_name(enum sandbox_action action); /* "Create", as a request's status calls it */

/* ---- sandbox_seen.c ------------------------------------------------------------------------------ */

struct sandbox_seens;
struct sandbox_seens *sandbox_seen_new(void);
void sandbox_seen_free(struct sandbox_seens *seens);
void sandbox_seen_reset(struct sandbox_seens *seens);
/* Notes a request; its number is for sandbox_seen_answered. */
uint64_t sandbox_seen_add(struct sandbox_seens *seens, const char *method, const char *path, struct slice body);
void sandbox_seen_answered(struct sandbox_seens *seens, uint64_t number, int status); /* 0: the connection was cut */
bool sandbox_seen_list(const struct sandbox_seens *seens, uint64_t after, size_t limit, const char *method,
                       struct buf *out);
bool sandbox_seen_summary(const struct sandbox_seens *seens, struct buf *out);

/* ---- sandbox_beats.c ----------------------------------------------------------------------------- */

struct sandbox_beat {
    struct sandbox_beat *next; /* made before this one */
    char *name;
    json_t *said;            /* description, interval, intervalUnit, enabled, ... as they were given */
    int64_t last_ms, number; /* the last ping, and how many came; 0: none */
};

struct sandbox_beat *sandbox_beats_find(struct sandbox_beat *first, const char *name);
/* Adds one, or gives the one of that name new settings. */
void sandbox_beats_put(struct sandbox_beat **first, const char *name, json_t *said);
bool sandbox_beats_is_expired(const struct sandbox_beat *beat);
json_t *sandbox_beats_show(const struct sandbox_beat *beat); /* the caller owns it */
void sandbox_beats_reset(struct sandbox_beat **first);

/* ---- sandbox_fault.c ----------------------------------------------------------------------------- */

enum sandbox_cut { CUT_NOT, CUT_BEFORE, CUT_AFTER };

struct sandbox_fault {
    struct sandbox_fault *next;       /* asked for after this one */
    json_t *wish;                     /* as it was asked for; owned */
    const char *method, *path_prefix; /* NULL: any; lent by `wish` */
    int times;                        /* still so often; -1: always */
    int status;                       /* 0: ours */
    const char *body, *content_type;
    const json_t *headers; /* object of strings, or NULL */
    int64_t delay_ms;      /* before the answer */
    enum sandbox_cut cut;  /* before or after it was done, without an answer */
    bool drop;             /* 202, and nothing comes of it */
    bool accept;           /* carried out, whatever `status` says */
};

struct sandbox_faults {
    struct sandbox_fault *first;
    uint64_t used; /* faults that have struck */
};

bool sandbox_fault_add(struct sandbox_faults *faults, json_t *wish, struct err *err);
void sandbox_fault_clear(struct sandbox_faults *faults);
/* The fault that strikes this request; the caller frees it with sandbox_fault_free.  NULL: none. */
struct sandbox_fault *sandbox_fault_take(struct sandbox_faults *faults, const char *method, const char *path);
void sandbox_fault_free(struct sandbox_fault *fault);
bool sandbox_fault_list(const struct sandbox_faults *faults, struct buf *out);

/* ---- sandbox_api.c ------------------------------------------------------------------------------- */

enum sandbox_domain { DOMAIN_ALERT, DOMAIN_SEARCH, DOMAIN_HEARTBEAT, DOMAIN_COUNT };
#define SANDBOX_WINDOWS 2 /* a minute and a second */

/* Tokens that fill up over a period, up to the limit. */
struct sandbox_bucket {
    double tokens;
    int64_t at_ns; /* when `tokens` was right; 0: never used */
};

struct sandbox_account {
    uv_loop_t *loop;
    struct server *server;
    char *key;                       /* of an integration; "<key>-account" is one that may not write all */
    int64_t limits[SANDBOX_WINDOWS]; /* requests in a minute, in a second; 0: no limit */
    struct sandbox_bucket buckets[DOMAIN_COUNT][SANDBOX_WINDOWS];
    struct sandbox_alerts *alerts;
    struct sandbox_works *works;
    struct sandbox_hooks *hooks;
    struct sandbox_seens *seens;
    struct sandbox_beat *beats;
    struct sandbox_faults faults;
    struct sandbox_delayed *delayed; /* answers that wait */
    uint64_t reads;                  /* request ids of what is not a write */
    uint64_t throttled;              /* answers 429 */
    unsigned handles;                /* not yet closed; the last one frees the account */
};

/* One call of the API and its answer. */
struct sandbox_call {
    struct sandbox_account *account;
    const struct request *request;
    enum sandbox_dialect dialect;
    bool is_dropped; /* accept it, but let nothing come of it */
    int status;
    struct buf answer;        /* JSON */
    char id[SANDBOX_ID_SIZE]; /* X-Request-ID */
    const char *error_type;   /* X-Opsgenie-Errortype, or NULL */
    const char *rate_period;  /* "60" or "1": the window that was over, or the wider one */
    bool is_throttled;
    int64_t began_ns;
};

void sandbox_api_answer(struct sandbox_call *call);

/* ---- sandbox_inspect.c --------------------------------------------------------------------------- */

/* Answers what is asked of the simulator itself; false: it is a call of the API. */
bool sandbox_inspect(struct sandbox_account *account, struct request *request);

#endif
