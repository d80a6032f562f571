/* held.c - `headgate held`: what needs a person */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help = {
    .usage = "held [list | show N | retry N | discard N] [--why TEXT] [--flow NAME] [--connection NAME]",
    .text =
        "What Headgate could not do by itself: an event whose run failed or that cannot be read, an effect that the\n"
        "far side refuses (never), or of which nobody knows whether it arrived (unknown).\n\n"
        "  held               lists them\n"
        "  held show N        shows one whole: the reason, the traceback, the event or the effect\n"
        "  held retry N       back to work; an effect keeps its id, so it can never double what arrived\n"
        "  held discard N     gives it up; counted, and kept in the audit with the reason (--why)",
    .options = "csjwfCl",
    .least = 0,
    .most = 2};

static int list(const struct cli_args *args)
{
    char path[1000] = "/v1/held?", room[32];
    int exit_code = 0;
    size_t index;
    json_t *item;
    if (args->flow) {
        char *flow = cli_escape(args->flow);
        snprintf(path + strlen(path), sizeof path - strlen(path), "flow=%s&", flow);
        free(flow);
    }
    if (args->connection) {
        char *connection = cli_escape(args->connection);
        snprintf(path + strlen(path), sizeof path - strlen(path), "connection=%s&", connection);
        free(connection);
    }
    snprintf(path + strlen(path), sizeof path - strlen(path), "limit=%ld", args->limit ? args->limit : 100);
    json_t *answer = cli_ask(args, "GET", path, NULL, &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    json_t *held = json_object_get(answer, "held");
    struct grid grid = GRID_INIT(6, 1);
    static const char *const heads[] = {"HELD", "SINCE", "FLOW", "WHAT", "KEY", "REASON"};
    for (size_t i = 0; i < 6; i++)
        grid_add(&grid, "%s", heads[i]);
    json_array_foreach(held, index, item) {
        bool is_event = strcmp(cli_text(item, "kind"), "event") == 0;
        grid_add(&grid, "%lld", (long long)cli_number(item, "held"));
        grid_add(&grid, "%s", cli_moment(cli_number(item, "at"), room));
        grid_add(&grid, "%s", cli_text(item, "flow"));
        if (is_event)
            grid_add(&grid, "event");
        else
            grid_add(&grid, "%s.%s (%s)", cli_text(item, "connection"), cli_text(item, "verb"),
                     cli_text(item, "verdict"));
        grid_add(&grid, "%s", cli_text(item, "key"));
        grid_add(&grid, "%s", cli_text(item, "reason"));
    }
    if (json_array_size(held))
        grid_print(&grid);
    else
        printf("nothing is held\n");
    buf_clear(&grid.cells);
    int64_t more = cli_number(answer, "total") - (int64_t)json_array_size(held);
    if (more > 0)
        printf("and %lld more (--limit N)\n", (long long)more);
    json_decref(answer);
    return 0;
}

static void print_part(json_t *json, const char *name)
{
    json_t *part = json_object_get(json, name);
    if (!part)
        return;
    printf("\n%s:\n", name);
    const char *key;
    json_t *value;
    json_object_foreach(part, key, value) {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        printf("  %-14s %s\n", key, text ? text : json_string_value(value));
        free(text);
    }
}

static int show(const struct cli_args *args, const char *number)
{
    char path[100], room[32];
    int exit_code = 0;
    snprintf(path, sizeof path, "/v1/held/%.20s", number);
    json_t *item = cli_ask(args, "GET", path, NULL, &exit_code);
    if (!item)
        return exit_code;
    if (args->json)
        return cli_print_json(item);
    printf("held %s since %s, after %lld attempt(s)\n", number, cli_moment(cli_number(item, "at"), room),
           (long long)cli_number(item, "attempts"));
    static const char *const names[] = {"kind",    "flow", "release",  "connection", "verb",
                                        "verdict", "key",  "event_id", "effect_id",  "reason"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cli_text(item, names[i])[0])
            printf("  %-14s %s\n", names[i], cli_text(item, names[i]));
    if (cli_text(item, "detail")[0])
        printf("\n%s\n", cli_text(item, "detail"));
    print_part(item, "event");
    print_part(item, "effect");
    json_decref(item);
    return 0;
}

static int decide(const struct cli_args *args, const char *what, const char *number)
{
    char path[100];
    int exit_code = 0;
    bool is_retry = strcmp(what, "retry") == 0;
    if (!is_retry && (!args->why || !args->why[0]))
        return cli_fail(64, "say why: headgate held discard %s --why \"...\"; the audit keeps it", number);
    snprintf(path, sizeof path, "/v1/held/%.20s/%s", number, what);
    json_t *body = json_pack("{s:s}", "why", args->why && args->why[0] ? args->why : "retried");
    json_t *answer = cli_ask(args, "POST", path, body, &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}

int cli_held(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    const char *what = args.count > 0 ? args.rest[0] : "list";
    const char *number = args.count > 1 ? args.rest[1] : "";
    if (strcmp(what, "list") == 0 && args.count < 2)
        return list(&args);
    bool is_number = number[0] && strspn(number, "0123456789") == strlen(number);
    if (strcmp(what, "show") == 0 && is_number)
        return show(&args, number);
    if ((strcmp(what, "retry") == 0 || strcmp(what, "discard") == 0) && is_number)
        return decide(&args, what, number);
    return cli_fail(64, "usage: headgate %s", help.usage);
}
