/* adapters.c - `headgate adapters`: the manual that the tables of options are */
#include "core/cli/cli.h"

static const struct cli_help help = {
    .usage = "adapters [NAME]",
    .text =
        "Lists the kinds of outside systems; with a NAME: what a connection of that kind may say in headgate.yaml,\n"
        "what a flow may say below it in `on:`, and what a flow may ask of it.",
    .options = "j",
    .most = 1};

static const char *kind_word(enum option_kind kind)
{
    static const char *const words[] = {"text",  "integer", "true/false", "duration", "size",     "rate",
                                        "rates", "secret",  "list",       "map",      "any value"};
    return words[kind];
}

static void print_options(const char *title, const struct option *options)
{
    if (!options || !options->name)
        return;
    printf("%s\n", title);
    struct grid grid = GRID_INIT(4, 0);
    for (const char *const *head = (const char *const[]){"  NAME", "KIND", "DEFAULT", "MEANING", NULL}; *head; head++)
        grid_add(&grid, "%s", *head);
    for (; options->name; options++) {
        grid_add(&grid, "  %s", options->name);
        grid_add(&grid, "%s", options->choices ? options->choices : kind_word(options->kind));
        grid_add(&grid, "%s", options->fallback ? options->fallback : options->is_required ? "(required)" : "");
        grid_add(&grid, "%s", options->help ? options->help : "");
    }
    grid_print(&grid);
    putchar('\n');
}

static json_t *options_json(const struct option *options)
{
    json_t *list = json_array();
    for (; options && options->name; options++) {
        json_t *option = json_pack("{s:s, s:s, s:b, s:s}", "name", options->name, "kind", kind_word(options->kind),
                                   "required", options->is_required, "help", options->help ? options->help : "");
        if (options->fallback)
            json_object_set_new(option, "default", json_string(options->fallback));
        if (options->choices)
            json_object_set_new(option, "choices", json_string(options->choices));
        json_array_append_new(list, option);
    }
    return list;
}

static json_t *adapter_json(const struct adapter *adapter)
{
    json_t *verbs = json_array(), *queries = json_array();
    for (const struct verb *verb = adapter->verbs; verb && verb->name; verb++)
        json_array_append_new(verbs,
                              json_pack("{s:s, s:s, s:b, s:o}", "name", verb->name, "summary", verb->summary,
                                        "idempotent", verb->is_idempotent, "fields", options_json(verb->fields)));
    for (const struct query *query = adapter->queries; query && query->name; query++)
        json_array_append_new(queries, json_pack("{s:s, s:s, s:o}", "name", query->name, "summary", query->summary,
                                                 "fields", options_json(query->fields)));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", adapter->name, "summary", adapter->summary,
                     "options", options_json(adapter->options), "common_options", options_json(config_common_options),
                     "fuse_options", options_json(limits_fuse_options), "source_options",
                     options_json(adapter->source_options), "verbs", verbs, "queries", queries);
}

static void print_adapter(const struct adapter *adapter)
{
    char title[200];
    printf("%s: %s\n\n", adapter->name, adapter->summary);
    print_options("in headgate.yaml, of the connection:", adapter->options);
    print_options("the same for every kind of connection:", config_common_options);
    print_options("below `fuse:` of every kind of connection:", limits_fuse_options);
    print_options("in flow.yaml, below the connection in `on:`:", adapter->source_options);
    for (const struct verb *verb = adapter->verbs; verb && verb->name; verb++) {
        snprintf(title, sizeof title, "%s { ... }   %s%s", verb->name, verb->summary,
                 verb->is_idempotent ? "" : " (not idempotent)");
        print_options(title, verb->fields);
    }
    for (const struct query *query = adapter->queries; query && query->name; query++) {
        snprintf(title, sizeof title, "%s { ... }   reads: %s", query->name, query->summary);
        print_options(title, query->fields);
    }
    if (adapter->manual)
        fputs(adapter->manual, stdout);
}

int cli_adapters(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    if (args.count) {
        const struct adapter *adapter = adapter_find(slice_of(args.rest[0]));
        if (!adapter)
            return cli_fail(64, "there is no adapter %s; `headgate adapters` lists them", args.rest[0]);
        if (args.json)
            return cli_print_json(adapter_json(adapter));
        print_adapter(adapter);
        return 0;
    }
    if (args.json) {
        json_t *list = json_array();
        for (size_t i = 0; adapters[i]; i++)
            json_array_append_new(list, adapter_json(adapters[i]));
        return cli_print_json(list);
    }
    for (size_t i = 0; adapters[i]; i++)
        printf("%-10s %s\n", adapters[i]->name, adapters[i]->summary);
    return 0;
}
