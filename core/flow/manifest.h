/* manifest.h - flow.yaml, checked: what a flow is, for people, the console and the engine */
#ifndef HEADGATE_FLOW_MANIFEST_H
#define HEADGATE_FLOW_MANIFEST_H

#include "core/config/config.h"
#include "core/config/limits.h"
#include "core/lane/effect.h"

#define STEPS_MAX 200 /* of one flow */

enum step_kind { STEP_DO, STEP_ASK };
#define STEP_STOP (-1) /* as a target: the run ends */

struct step {
    enum step_kind kind;
    char *name;  /* of the function in flow.lua */
    char *title; /* for people; NULL: none */
    int yes, no; /* index of the step that follows, always a later one, or STEP_STOP; of a `do` both are the same */
    int line;    /* in flow.yaml */
};

enum event_format { FORMAT_JSON, FORMAT_TEXT };

/* One connection that the flow listens to. */
struct manifest_source {
    char *connection;
    struct settings *settings; /* against the adapter's source_options; NULL without configuration */
    struct manifest_source *next;
};

struct manifest {
    char *name, *title, *owner;
    struct manifest_source *sources; /* in the file's order; at least one */

    /* A path is "body.", "headers." or "properties." and names with dots between them. */
    char *id_path; /* "body.anomaly_id", "headers.x", "properties.message_id"; NULL: `id: none`, repeats are accepted */
    char *key_path;  /* NULL: the id is the key */
    char *time_path; /* NULL: the time the source tells, else when it was received */
    enum event_format format;
    int64_t remember_ms;             /* a repeat within it is not run again; default 7d */
    int64_t expires_ms;              /* older events are skipped and counted; 0: never */
    int64_t body_limit;              /* bytes: `event: {limit: 1MiB}` */
    bool drops_when_off;             /* when_off: drop */
    enum priority priority;          /* of its effects: `priority: high`; default normal */
    enum when_unknown when_unknown;  /* of its effects; not said: as each connection says */
    int64_t expect_least, expect_ms; /* `expect: at least 1 per 15m`: so many events in that time; 0: nothing is said */

    char **uses;               /* names of connections, ends with NULL; never NULL itself */
    int64_t effects_per_event; /* default 20 */
    struct limits limits;      /* its fuses */
    struct quota *quotas;      /* effects to each connection of `uses`, in its order */

    struct step *steps; /* none: the flow has one function `run` */
    int step_count;
};

/* The flow's name is checked for its form only: that it is its folder's name, too, is the caller's to check.
 * `file`: name for messages.  `config`: against which connections are checked; NULL: names are not checked and
 * sources get no settings (only for looking at a manifest without its configuration). */
struct manifest *manifest_parse(const char *file, struct slice source, const struct config *config, struct err *err);
void manifest_free(struct manifest *manifest);

/* How many effects the flow may ask of a connection, where they reach people and it says nothing itself. */
#define MANIFEST_PEOPLE_QUOTA "10000/h"
/* NULL: the flow does not use it.  One that is built in holds only for effects that reach somebody. */
const struct quota *manifest_quota(const struct manifest *manifest, const char *connection);

/* manifest_limits.c: the map below `limits:` (NULL: none); after `uses`, whose names may stand in it. */
bool manifest_limits(struct manifest *manifest, const struct yaml *limits, struct err *err);
/* manifest_steps.c: the list below `steps:` (NULL: none) into the manifest. */
bool manifest_steps(struct manifest *manifest, const struct yaml *steps, struct err *err);

#endif
