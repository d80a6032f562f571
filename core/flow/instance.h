/* instance.h - a release of a flow, loaded: its manifest, its world, its steps
 *
 * The same instance serves the daemon, `headgate try` and `headgate test`: there is one sandbox and one API.  It
 * decides nothing about gates, stores or deliveries; it lets a run (run.h) happen.
 * Shared by its users; the last `instance_release` frees it. */
#ifndef HEADGATE_FLOW_INSTANCE_H
#define HEADGATE_FLOW_INSTANCE_H

#include "core/flow/manifest.h"
#include "core/flow/rulebook.h"
#include "core/lua/world.h"

struct instance_options {
    const struct config *config;
    const struct rulebook *rulebook;
    /* The connection of that name; never NULL for one that the configuration has. */
    struct connection *(*connection)(void *context, const char *name);
    void *context;
};

/* A rule that the flow required, with the release that it got. */
struct used_rule {
    char *name;
    char hash[HASH_TEXT_MAX];
};

struct instance {
    struct release *release;   /* owned */
    struct manifest *manifest; /* owned */
    struct world *world;       /* owned */
    const struct rulebook *rulebook;
    int *steps; /* registry references of the step functions; one for a flow with `run` */
    int step_count;
    struct used_rule *rules;
    size_t rule_count;
    unsigned users;
};

/* Takes the release, also when it fails.  The error says file and line where there are any. */
struct instance *instance_new(struct release *release, const struct instance_options *options, struct err *err);
/* Loads the rule alone, to see that it does. */
bool instance_check_rule(const struct release *rule, const struct instance_options *options, struct err *err);
struct instance *instance_keep(struct instance *instance);
void instance_release(struct instance *instance);
/* Name of the step for the trail: of the manifest, or "run". */
const char *instance_step_name(const struct instance *instance, int step);
/* -1: there is no step of that name; `names` gets those that there are. */
int instance_find_step(const struct instance *instance, struct slice name, struct buf *names);
bool instance_uses_rule(const struct instance *instance, const char *rule);

#endif
