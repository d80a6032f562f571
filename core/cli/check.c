/* check.c - `headgate check`: everything that can be known without starting anything */
#include "core/cli/cli.h"

#include "core/flow/offline.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

static const struct cli_help help = {
    .usage = "check [-c FILE] [--rules FOLDER] [--json]",
    .text = "Checks the configuration, every rule and every flow of its folders, without starting anything.\n"
            "Ends with 78 if the configuration is wrong, with 65 if a flow or rule is.",
    .options = "crj"};

struct checking {
    struct offline offline;
    json_t *results;
    bool prints;
    int bad;
};

static void note(struct checking *checking, const char *kind, const char *name, bool ok, const char *text)
{
    json_array_append_new(checking->results,
                          json_pack("{s:s, s:s, s:b, s:s}", "kind", kind, "name", name, "ok", ok, "text", text));
    if (!ok)
        checking->bad++;
    if (checking->prints && ok)
        printf("ok   %s %s%s%s\n", kind, name, text[0] ? ": " : "", text);
    else if (checking->prints)
        printf("%s!!   %s %s: %s%s\n", cli_paint("\033[31m"), kind, name, text, cli_paint("\033[0m"));
}

/* What an adapter can say about its settings without the far side: it opens, which never waits, and closes. */
static void check_connections(struct checking *checking)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct config_connection *from = checking->offline.config->connections;
    for (size_t i = 0; from; from = from->next, i++) {
        struct connection *connection = &checking->offline.connections[i];
        struct err err = ERR_INIT;
        connection->loop = &loop;
        if (from->is_elsewhere) {
            note(checking, "connection", from->name, true, "is for another environment, and will not be opened here");
        } else if (from->adapter->open(connection, &err)) {
            from->adapter->close(connection);
            note(checking, "connection", from->name, true, "");
        } else {
            note(checking, "connection", from->name, false, err.text);
        }
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

static void check_rule(void *context, struct slice name, void *rule)
{
    struct checking *checking = context;
    struct instance_options options = offline_options(&checking->offline);
    struct err err = ERR_INIT;
    bool ok = instance_check_rule(rule, &options, &err);
    (void)name;
    note(checking, "rule", ((struct release *)rule)->name, ok, err.text);
}

static void check_flow(struct checking *checking, const char *path)
{
    struct err err = ERR_INIT;
    struct instance *instance = offline_load(&checking->offline, path, &err);
    const char *name = strrchr(path, '/') + 1;
    if (!instance) {
        note(checking, "flow", name, false, err.text);
        return;
    }
    note(checking, "flow", name, true, instance->manifest->title);
    instance_release(instance);
}

static void check_flows(struct checking *checking)
{
    struct dirent **items;
    const char *folder = checking->offline.config->flows;
    int count = scandir(folder, &items, NULL, alphasort);
    if (count < 0)
        note(checking, "folder", folder, false, "the folder of the flows cannot be read");
    for (int i = 0; i < count; i++) {
        char path[4096];
        struct stat about;
        snprintf(path, sizeof path, "%s/%s/flow.yaml", folder, items[i]->d_name);
        if (items[i]->d_name[0] != '.' && stat(path, &about) == 0) {
            *strrchr(path, '/') = '\0';
            check_flow(checking, path);
        }
        free(items[i]);
    }
    if (count >= 0)
        free(items);
}

int cli_check(int argc, char **argv)
{
    struct cli_args args;
    struct checking checking = {.results = json_array()};
    struct err err = ERR_INIT;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    checking.prints = !args.json;
    if (!offline_open(&checking.offline, cli_config_path(&args), args.rules, true, &err)) {
        json_decref(checking.results);
        return cli_fail(78, "%s", err.text);
    }
    check_connections(&checking);
    int bad_connections = checking.bad;
    map_each(&checking.offline.rules.rules, check_rule, &checking);
    check_flows(&checking);
    if (args.json)
        cli_print_json(json_pack("{s:b, s:O}", "ok", checking.bad == 0, "results", checking.results));
    json_decref(checking.results);
    offline_close(&checking.offline);
    return bad_connections ? 78 : checking.bad ? 65 : 0;
}
