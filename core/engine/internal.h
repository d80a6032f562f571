/* internal.h - what the files of the engine share */
#ifndef HEADGATE_ENGINE_INTERNAL_H
#define HEADGATE_ENGINE_INTERNAL_H

#include "core/engine/engine.h"
#include "core/engine/forecast.h"
#include "core/flow/rulebook.h"

struct engine {
    uv_loop_t *loop;
    struct config *config;
    struct store *store;
    struct held_numbers held;
    struct flow_context flows_context;
    struct webhooks *webhooks;       /* NULL: none are listened for */
    struct connection **connections; /* as many as the configuration has, in its order */
    size_t connection_count;
    struct connection **gone; /* those that a reload took out: closed, their lanes refuse */
    size_t gone_count;
    struct reload *reload; /* under way; NULL: none */
    uv_timer_t reload_timer;
    struct former *former; /* what reloads replaced */
    struct reloaded reloaded;
    struct flow **flows; /* in order of names */
    size_t flow_count;
    struct rulebook rules;              /* live */
    uint64_t audit_last;                /* number of the newest audit row */
    struct map gates;                   /* key of its row -> struct gate_row, owned: as last decided */
    struct map deciding;                /* campaigns and recipients about which a change is under way */
    struct lane_releases lane_releases; /* for the feeders */
    struct lane_fuses lane_fuses;       /* the same */
    struct map settling;                /* numbers (8 bytes) of held things about which somebody decides just now */
    struct recovery *recovery;          /* of all that match a filter: the last one; NULL: none yet */
    uv_timer_t recovery_timer;

    struct deploy *deploys; /* the first is under way, the others wait */
    struct watch *watch;    /* NULL: the folders are not watched */
    bool watches;
    bool is_ready, is_stopping;
    int64_t started_ms;
    uv_timer_t pulse; /* every second; see pulse.c */
    struct forecast forecast;
    uv_timer_t stop_timer; /* how long what is under way may take to end */
    int64_t stop_until_ms;
    void (*on_ready)(void *context);
    void (*on_closing)(void *context);
    void (*on_stopped)(void *context);
    void *context;
};

/* engine.c */
struct flow *engine_add_flow(struct engine *engine, const char *name);
struct connection *engine_find_connection(void *engine, const char *name);
struct instance_options engine_instance_options(struct engine *engine, const struct rulebook *book);
void engine_check_ready(struct engine *engine);

/* connections.c */
bool connections_open(struct engine *engine, struct err *err); /* all that the configuration has */
/* One that was not there before, or that was gone: at its place in memory, with its lane, not yet open. */
struct connection *connection_new(struct engine *engine, const struct config_connection *from);
/* With what is said now; true as well if it is for another environment, and refused. */
bool connection_open(struct engine *engine, struct connection *connection, const struct config_connection *from,
                     struct err *err);
void connections_arrange(struct engine *engine); /* as the configuration has them now; the others are gone */
struct connection *connection_any(const struct engine *engine, size_t index);      /* gone ones, too; NULL: no more */
struct connection *connection_gone(const struct engine *engine, const char *name); /* NULL: none of that name */
void connections_free(struct engine *engine);

/* reload.c */
void reload_open(struct engine *engine);
void reload_stop(struct engine *engine); /* what is under way is not waited for */
void reload_free(struct engine *engine);

/* releases.c: rows of `releases`, `gates` and `audit`.  A gate is read as it was last decided, on disk or not yet: two
 * changes under way at once must not undo each other. */
struct gate_row {
    bool is_on;            /* as people want it */
    struct flow_trip trip; /* a fuse tripped it, and nobody has reset it */
    char live[HASH_TEXT_MAX], previous[HASH_TEXT_MAX];
};
bool gate_read(struct engine *engine, enum release_kind kind, const char *name, struct gate_row *row);
void gate_write(struct engine *engine, struct change *change, enum release_kind kind, const char *name,
                const struct gate_row *row);
void release_store(struct change *change, const struct release *release, const struct author *author);
struct release *release_restore(struct engine *engine, enum release_kind kind, const char *name, const char *hash,
                                struct err *err);
void audit_write(struct engine *engine, struct change *change, const struct author *author, const char *what,
                 const char *subject, const char *text);
void engine_load_released(struct engine *engine); /* rules and flows that the store has */
void engine_load_missing(struct engine *engine);  /* flows whose release could not be loaded before */

/* change.c: given to flows and lanes */
void engine_on_trip(void *engine, struct change *change, struct flow *flow); /* writes it down */
bool engine_is_parked(void *engine, const char *flow);                       /* its gate is tripped */
void engine_on_answer(void *engine, struct change *change, const struct connection *connection, const char *flow,
                      bool is_good, const char *text);

/* held.c: puts the decision about the row into the change; once that is on disk, held_settled and held_wake. */
bool held_settle(struct engine *engine, struct change *change, uint64_t number, struct slice row,
                 enum held_decision decision, const struct author *author, struct err *err);
bool held_is_settling(struct engine *engine, uint64_t number);
void held_settled(struct engine *engine, uint64_t number);
void held_wake(struct engine *engine);

/* recovery.c */
void recovery_free(struct engine *engine);

/* campaign.c */
struct lane_releases engine_releases(struct engine *engine);
struct lane_fuses engine_fuses(struct engine *engine);

/* deploy.c */
void deploy_stop(struct engine *engine); /* ends the one under way, drops the others */
bool deploy_is_busy(const struct engine *engine);
bool deploy_is_testing(const struct engine *engine); /* its process runs */

/* pulse.c */
void pulse_open(struct engine *engine);
void pulse_start(struct engine *engine);
void pulse_close(struct engine *engine);

/* watch.c */
void watch_folders(struct engine *engine, bool goes_on); /* deploys what is new now; and what changes, if it goes on */
void watch_stop(struct engine *engine);

#endif
