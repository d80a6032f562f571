/* engine.h - one node: the parts put together
 *
 *      engine_open ─► store, lanes, rules, flows from the store ─► new ones of the folders deployed ─► ready
 *      engine_stop ─► sources silent ─► what is under way ends ─► last commit ─► stopped
 *
 * All of it on the loop thread.  Whoever changes something here (gate, release, held) does so by one change that also
 * has the audit row: who, when, why. */
#ifndef HEADGATE_ENGINE_ENGINE_H
#define HEADGATE_ENGINE_ENGINE_H

#include "core/campaign/campaign.h"
#include "core/config/config.h"
#include "core/flow/flow.h"
#include "core/lane/lane.h"

struct engine;

struct engine_options {
    struct config *config;             /* taken */
    bool watches;                      /* saving a file deploys it; new flows begin with their gate on */
    void (*on_ready)(void *context);   /* flows are loaded, events may come */
    void (*on_closing)(void *context); /* it has drained: whoever looks at it lets go now; not when the start failed */
    void (*on_stopped)(void *context); /* everything is closed but the handles, which the loop still has to run down */
    void *context;
};

/* `exit_code`: what the process should end with when it is NULL. */
struct engine *engine_open(uv_loop_t *loop, const struct engine_options *options, int *exit_code, struct err *err);
void engine_stop(struct engine *engine);

/* ---- looking ------------------------------------------------------------------------------- */

const struct config *engine_config(const struct engine *engine);
struct webhooks *engine_webhooks(struct engine *engine); /* NULL: none are listened for */
struct store *engine_store(struct engine *engine);
uv_loop_t *engine_loop(struct engine *engine);
struct held_numbers *engine_held(struct engine *engine);
bool engine_is_ready(const struct engine *engine);
bool engine_is_stopping(const struct engine *engine); /* it drains */
int64_t engine_started_ms(const struct engine *engine);
/* How long the store could take it if all far sides were down from now on, at the rate of the last minutes; -1: nothing
 * comes in, or it is too early to tell. */
int64_t engine_outage_ms(const struct engine *engine);
struct flow *engine_flow(struct engine *engine, const char *name);             /* NULL: none */
struct flow *engine_flow_at(struct engine *engine, size_t index);              /* in order of names; NULL: no more */
struct connection *engine_connection(struct engine *engine, const char *name); /* NULL: none */
struct connection *engine_connection_at(struct engine *engine, size_t index);  /* in the file's order; NULL: no more */
/* What the store has for flows and connections that are not here any more, for people: one a line. */
struct books;
void engine_orphans(struct engine *engine, const struct books *books, struct buf *lines);
/* Differences between the folders and what is released, for `status`: one a line. */
void engine_differences(struct engine *engine, struct buf *lines);

/* How the last reload went. */
struct reloaded {
    int64_t at_ms;      /* 0: there was none since the start */
    int64_t success_ms; /* of the last good one, or of the start */
    bool is_ok;
    char *text; /* what changed, or why nothing did: a sentence a line; NULL: there was none */
};
const struct reloaded *engine_reloaded(const struct engine *engine);

/* ---- changing ------------------------------------------------------------------------------- */

/* How a change ends, on the loop thread. `text`: what was done, or why not. */
typedef void (*engine_done)(void *context, bool ok, const char *text);

struct author {
    const char *who; /* a person or account */
    const char *why; /* their reason */
};

void engine_set_gate(struct engine *engine, const char *flow, bool is_on, const struct author *author, engine_done done,
                     void *context);
/* A person has looked at a tripped gate: what was counted counts no more, and it is again as it was. */
void engine_reset(struct engine *engine, const char *flow, const struct author *author, engine_done done,
                  void *context);
/* Reads headgate.yaml and its secrets again.  If anything in it is wrong, nothing changes.  Ends when all that changed
 * is closed and opened again. */
void engine_reload(struct engine *engine, const struct author *author, engine_done done, void *context);
/* Checks the release beside the live one, runs its spec, then switches between two events. Takes the release. */
void engine_deploy(struct engine *engine, struct release *release, const struct author *author, engine_done done,
                   void *context);

/* ---- held things ------------------------------------------------------------------------------ */

enum held_decision {
    HELD_RETRY,           /* events under the release that is live by then, effects as they are stored */
    HELD_RETRY_AS_IT_WAS, /* events under the release that held them */
    HELD_DISCARD,
};
void engine_decide_held(struct engine *engine, uint64_t number, enum held_decision decision,
                        const struct author *author, engine_done done, void *context);
/* One changed field of an event or effect; a list of them ends with the name NULL. */
struct held_edit {
    const char *name;   /* "body", or another field that it has */
    struct slice value; /* as text, whatever the field's kind */
};
void engine_edit_held(struct engine *engine, uint64_t number, const struct held_edit *edits,
                      const struct author *author, engine_done done, void *context);

/* Decides about all that match and are held now, at most `rate` a second (0: no bound).  False: another is under way.
 */
bool engine_recover(struct engine *engine, const struct held_filter *filter, enum held_decision decision, double rate,
                    const struct author *author, struct err *err);
bool engine_stop_recovery(struct engine *engine, const struct author *author, struct err *err);
struct recovery_view {
    const char *decision;  /* "retry" or "discard" */
    const char *who, *why; /* lent until the next engine_recover */
    double rate;           /* a second; 0: no bound */
    uint64_t done, left;   /* decided; could not be, and stay held */
    const char *trouble;   /* why the last of those could not; "" */
    bool is_running, was_stopped;
    int64_t began_ms, ended_ms; /* ended: 0 while it runs */
};
bool engine_look_recovery(const struct engine *engine, struct recovery_view *view); /* the last one; false: none yet */

/* A campaign is paused, goes on, or is cancelled for ever. */
void engine_set_campaign(struct engine *engine, const char *connection, const char *name, enum campaign_state state,
                         const struct author *author, engine_done done, void *context);
/* Nothing is sent to this recipient any more through the connection, or it may be again. */
void engine_suppress(struct engine *engine, const char *connection, const char *recipient, bool is_suppressed,
                     const struct author *author, engine_done done, void *context);

#endif
