/* try.c - `headgate try`: one event through a flow, to see what it would do */
#include "core/cli/cli.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/flow/offline.h"

#include <stdlib.h>
#include <sys/stat.h>

#define LIST_SHOWN 5 /* items of a list that is longer */

static const struct cli_help help = {
    .usage = "try FLOW EVENT.json [--json]",
    .text = "Runs one event through the flow in its folder, in the same world as in the daemon, and prints what each\n"
            "step decided and what the flow asked for.  Delivers nothing, stores nothing, needs no daemon.\n\n"
            "FLOW is a folder, or the name of one in the configuration's flows.  EVENT.json is\n"
            "{\"body\": ..., \"headers\": {}, \"properties\": {}}; \"reads\": {\"alerts.get\": ...} answers look-ups,\n"
            "\"state\": {\"key\": ...} is what the flow has kept, and \"continue\": {\"step\": \"name\", \"timer\": "
            "{...}}\n"
            "begins where a timer would.",
    .options = "crj",
    .least = 2,
    .most = 2};

/* Look-ups are answered by the sample's "reads", so that a try never touches a far side. */
static void answer(struct run *run, void *context)
{
    char name[2 * NAME_MAX_BYTES + 2], why[400];
    snprintf(name, sizeof name, "%s.%s", run->query_connection->name, run->query->name);
    json_t *value = json_object_get(json_object_get(context, "reads"), name);
    if (!value) {
        snprintf(why, sizeof why, "a try reads nothing from outside; say what it would find: \"reads\": {\"%s\": ...}",
                 name);
        run_no_answer(run, true, why);
        return;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    run_answer(run, slice_of(text));
    free(text);
}

/* A long list: how many, and the first of them. */
static bool print_list(const char *name, json_t *value)
{
    size_t count = json_array_size(value);
    if (count <= LIST_SHOWN)
        return false;
    printf("  %-12s %zu: ", name, count);
    for (size_t i = 0; i < LIST_SHOWN; i++) {
        json_t *item = json_array_get(value, i);
        char *text = json_is_string(item) ? NULL : json_dumps(item, JSON_ENCODE_ANY);
        printf("%s, ", text ? text : json_string_value(item));
        free(text);
    }
    printf("...\n");
    return true;
}

static void print_effect(json_t *effect)
{
    const char *name;
    json_t *value;
    printf("%s%s.%s%s  %s[%s]%s\n", cli_paint("\033[1m"), cli_text(effect, "connection"), cli_text(effect, "verb"),
           cli_paint("\033[0m"), cli_paint("\033[2m"), cli_text(effect, "id"), cli_paint("\033[0m"));
    if (cli_text(effect, "next")[0])
        printf("  %-12s %s\n", "next", cli_text(effect, "next"));
    json_object_foreach(json_object_get(effect, "fields"), name, value) {
        if (print_list(name, value))
            continue;
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        printf("  %-12s %s\n", name, text ? text : json_string_value(value));
        free(text);
    }
}

/* What it would keep: state that it sets or forgets, timers that it winds up or stops. */
static void print_kept(json_t *result)
{
    size_t index;
    json_t *item;
    char room[32];
    json_array_foreach(json_object_get(result, "state"), index, item) {
        char *value = json_dumps(json_object_get(item, "value"), JSON_ENCODE_ANY);
        int64_t in_ms = cli_number(item, "expires_in");
        printf("state  %-22s %s%s%s\n", cli_text(item, "key"), value ? value : "forgotten",
               in_ms ? ", expires in " : "", in_ms ? cli_duration(in_ms, room) : "");
        free(value);
    }
    json_array_foreach(json_object_get(result, "timers"), index, item) {
        if (json_is_true(json_object_get(item, "cancelled")))
            printf("timer  %-22s cancelled\n", cli_text(item, "name"));
        else
            printf("timer  %-22s in %s at step %s\n", cli_text(item, "name"),
                   cli_duration(cli_number(item, "in"), room), cli_text(item, "step"));
    }
}

static int print_result(json_t *result)
{
    size_t index;
    json_t *item;
    bool ok = json_is_true(json_object_get(result, "ok"));
    printf("event %s, key %s\n\n", cli_text(result, "id"), cli_text(result, "key"));
    if (cli_text(result, "skipped")[0])
        printf("not run: %s\n", cli_text(result, "skipped"));
    json_array_foreach(json_object_get(result, "decisions"), index, item) {
        const char *why = cli_text(item, "why");
        bool is_ask = strcmp(cli_text(item, "kind"), "ask") == 0;
        printf("%s  %-22s %s%s%s\n", is_ask ? "ask" : "do ", cli_text(item, "step"),
               !is_ask                                         ? "done"
               : json_is_true(json_object_get(item, "answer")) ? "yes"
                                                               : "no",
               why[0] ? ": " : "", why);
    }
    if (!ok)
        printf("%sfailed: %s%s\n", cli_paint("\033[31m"), cli_text(result, "error"), cli_paint("\033[0m"));
    if (ok)
        print_kept(result);
    json_t *effects = json_object_get(result, "effects");
    if (ok)
        printf("\n%zu effect%s, not delivered%s\n", json_array_size(effects), json_array_size(effects) == 1 ? "" : "s",
               json_array_size(effects) ? ":" : "");
    json_array_foreach(effects, index, item)
        print_effect(item);
    json_decref(result);
    return ok ? 0 : 1;
}

/* A name without a slash that is no folder here is looked for among the configured flows. */
static void find_flow(const struct offline *offline, const char *given, char *path, size_t room)
{
    struct stat about;
    snprintf(path, room, "%s", given);
    if (!strchr(given, '/') && stat(given, &about) != 0)
        snprintf(path, room, "%s/%s", offline->config->flows, given);
}

int cli_try(int argc, char **argv)
{
    struct cli_args args;
    struct offline offline;
    struct err err = ERR_INIT;
    struct buf event = BUF_INIT((size_t)64 << 20);
    char path[4096];
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    log_open(LOG_LEVEL_INFO, LOG_STYLE_GUESS);
    if (!file_read(args.rest[1], &event, &err))
        return cli_fail(66, "%s", err.text);
    if (!offline_open(&offline, cli_config_path(&args), args.rules, false, &err)) {
        buf_clear(&event);
        return cli_fail(78, "%s", err.text);
    }
    find_flow(&offline, args.rest[0], path, sizeof path);
    struct instance *instance = offline_load(&offline, path, &err);
    json_t *sample = json_loadb(event.data, event.size, 0, NULL);
    json_t *result = instance ? offline_run(instance, buf_slice(&event), answer, sample, &err) : NULL;
    if (!instance)
        exit_code = cli_fail(65, "%s", err.text);
    else if (!result)
        exit_code = cli_fail(65, "%s: %s", args.rest[1], err.text);
    else if (args.json)
        exit_code = json_is_true(json_object_get(result, "ok")) ? cli_print_json(result) : 1 + cli_print_json(result);
    else
        exit_code = print_result(result);
    json_decref(sample);
    instance_release(instance);
    offline_close(&offline);
    buf_clear(&event);
    return exit_code;
}
