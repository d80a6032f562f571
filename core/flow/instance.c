/* instance.c - see instance.h; the tables of connections in a flow's world are made in api.c */
#include "core/flow/instance.h"

#include "core/base/log.h"
#include "core/flow/api.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

static void remember_rule(struct instance *instance, const struct release *rule)
{
    instance->rules = mem_resize(instance->rules, (instance->rule_count + 1) * sizeof *instance->rules);
    struct used_rule *used = &instance->rules[instance->rule_count++];
    used->name = mem_text(rule->name);
    memcpy(used->hash, rule->hash, sizeof used->hash);
}

static bool find_module(void *context, const char *name, struct slice *source, struct buf *chunk)
{
    struct instance *instance = context;
    const struct release *rule;
    if (!rulebook_find(instance->rulebook, name, source, chunk, &rule))
        return false;
    if (rule)
        remember_rule(instance, rule);
    return true;
}

static void write_log(void *context, const char *level, const char *text)
{
    struct instance *instance = context;
    const char *flow = instance->release->name;
    enum log_level number = strcmp(level, "error") == 0     ? LOG_LEVEL_ERROR
                            : strcmp(level, "warning") == 0 ? LOG_LEVEL_WARNING
                            : strcmp(level, "debug") == 0   ? LOG_LEVEL_DEBUG
                                                            : LOG_LEVEL_INFO;
    log_about(number, (struct log_about){.flow = flow}, "flow %s: %s", flow, text);
}

static bool parse_manifest(struct instance *instance, const struct config *config, struct err *err)
{
    struct slice source;
    char file[2 * NAME_MAX_BYTES];
    if (!release_find(instance->release, "flow.yaml", &source))
        return err_set(err, "%s: there is no flow.yaml in its folder", instance->release->name);
    snprintf(file, sizeof file, "%s/flow.yaml", instance->release->name);
    instance->manifest = manifest_parse(file, source, config, err);
    if (!instance->manifest)
        return false;
    return strcmp(instance->manifest->name, instance->release->name) == 0
           || err_set(err, "%s: it says `flow: %s`, but its folder is named %s; they must be the same", file,
                      instance->manifest->name, instance->release->name);
}

/* The chunk's value is on top: takes a reference to each function that the manifest names. */
static bool take_steps(struct instance *instance, struct err *err)
{
    lua_State *L = world_lua(instance->world);
    int count = instance->manifest->step_count;
    const char *flow = instance->release->name;
    if (!lua_istable(L, -1))
        return err_set(err, "%s/flow.lua: it must end with `return step` (a table of its functions), but returns %s",
                       flow, luaL_typename(L, -1));
    instance->steps = mem_zero((count ? (size_t)count : 1) * sizeof *instance->steps);
    for (int i = 0; i < (count ? count : 1); i++) {
        const char *name = count ? instance->manifest->steps[i].name : "run";
        if (lua_getfield(L, -1, name) != LUA_TFUNCTION) {
            return count ? err_set(err, "%s/flow.lua: it has no function step.%s, which flow.yaml names in line %d",
                                   flow, name, instance->manifest->steps[i].line)
                         : err_set(err, "%s/flow.lua: flow.yaml lists no steps, so it needs one function `run`", flow);
        }
        instance->steps[instance->step_count++] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return true;
}

static bool load(struct instance *instance, const struct instance_options *options, struct err *err)
{
    struct slice source;
    char chunk[2 * NAME_MAX_BYTES];
    if (!parse_manifest(instance, options->config, err))
        return false;
    if (!release_find(instance->release, "flow.lua", &source))
        return err_set(err, "%s: there is no flow.lua in its folder", instance->release->name);
    struct world_options world = {.find = find_module, .log = write_log, .context = instance};
    instance->world = world_new(&world, err);
    if (!instance->world)
        return false;
    *(struct run **)lua_getextraspace(world_lua(instance->world)) = NULL;
    for (char **name = instance->manifest->uses; *name; name++)
        api_add_connection(instance->world, options->connection(options->context, *name));
    api_add_memory(instance->world);
    snprintf(chunk, sizeof chunk, "%s/flow.lua", instance->release->name);
    if (!world_load(instance->world, chunk, source, err) || !take_steps(instance, err))
        return false;
    lua_settop(world_lua(instance->world), 0);
    return true;
}

struct instance *instance_new(struct release *release, const struct instance_options *options, struct err *err)
{
    struct instance *instance = mem_zero(sizeof *instance);
    instance->release = release;
    instance->rulebook = options->rulebook;
    instance->users = 1;
    if (!load(instance, options, err)) {
        instance_release(instance);
        return NULL;
    }
    return instance;
}

bool instance_check_rule(const struct release *rule, const struct instance_options *options, struct err *err)
{
    struct instance lone = {.release = (struct release *)rule, .rulebook = options->rulebook};
    struct world_options world = {.find = find_module, .log = write_log, .context = &lone};
    char source[2 * NAME_MAX_BYTES];
    lone.world = world_new(&world, err);
    if (!lone.world)
        return false;
    snprintf(source, sizeof source, "return require \"rules.%s\"", rule->name);
    bool ok = world_load(lone.world, rule->name, slice_of(source), err);
    world_free(lone.world);
    for (size_t i = 0; i < lone.rule_count; i++)
        free(lone.rules[i].name);
    free(lone.rules);
    return ok;
}

struct instance *instance_keep(struct instance *instance)
{
    instance->users++;
    return instance;
}

void instance_release(struct instance *instance)
{
    if (!instance || --instance->users > 0)
        return;
    if (instance->world)
        world_free(instance->world);
    if (instance->manifest)
        manifest_free(instance->manifest);
    for (size_t i = 0; i < instance->rule_count; i++)
        free(instance->rules[i].name);
    free(instance->rules);
    free(instance->steps);
    release_free(instance->release);
    free(instance);
}

const char *instance_step_name(const struct instance *instance, int step)
{
    return step < instance->manifest->step_count ? instance->manifest->steps[step].name : "run";
}

int instance_find_step(const struct instance *instance, struct slice name, struct buf *names)
{
    for (int i = 0; i < instance->step_count; i++)
        if (slice_is(name, instance_step_name(instance, i)))
            return i;
    for (int i = 0; i < instance->step_count; i++)
        buf_addf(names, "%s%s", i ? ", " : "", instance_step_name(instance, i));
    return -1;
}

bool instance_uses_rule(const struct instance *instance, const char *rule)
{
    for (size_t i = 0; i < instance->rule_count; i++)
        if (strcmp(instance->rules[i].name, rule) == 0)
            return true;
    return false;
}
