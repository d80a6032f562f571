/* suppressed.c - `headgate suppressed`: to whom nothing is sent any more */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help = {
    .usage = "suppressed [list | add RECIPIENT | remove RECIPIENT] [--connection NAME] [--why TEXT]",
    .text =
        "A recipient of whom the far side says that there is no such one (550 5.1.1, say) is put on the list of the\n"
        "suppressed: nothing is sent to them any more through that connection, whatever a flow asks for.  What is "
        "asked\n"
        "for is counted as refused, and its receipt says since when and why.\n\n"
        "  suppressed                      lists them\n"
        "  suppressed add RECIPIENT        puts one on the list, with a reason (--why): who wants nothing more, say\n"
        "  suppressed remove RECIPIENT     takes one off again, with a reason (--why)\n\n"
        "--connection NAME is needed to add or remove; the audit keeps who did it and why.",
    .options = "csjwCl",
    .least = 0,
    .most = 2};

static int list(const struct cli_args *args)
{
    char path[1000], room[32];
    int exit_code = 0;
    size_t index;
    json_t *item;
    snprintf(path, sizeof path, "/v1/suppressed?limit=%ld", args->limit ? args->limit : 100);
    if (args->connection) {
        char *connection = cli_escape(args->connection);
        snprintf(path + strlen(path), sizeof path - strlen(path), "&connection=%s", connection);
        free(connection);
    }
    json_t *answer = cli_ask(args, "GET", path, NULL, &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    json_t *suppressed = json_object_get(answer, "suppressed");
    struct grid grid = GRID_INIT(5, 0);
    static const char *const heads[] = {"RECIPIENT", "CONNECTION", "SINCE", "WHO", "WHY"};
    for (size_t i = 0; i < 5; i++)
        grid_add(&grid, "%s", heads[i]);
    json_array_foreach(suppressed, index, item) {
        grid_add(&grid, "%s", cli_text(item, "recipient"));
        grid_add(&grid, "%s", cli_text(item, "connection"));
        grid_add(&grid, "%s", cli_moment(cli_number(item, "at"), room));
        grid_add(&grid, "%s", cli_text(item, "who")[0] ? cli_text(item, "who") : "the far side");
        grid_add(&grid, "%s", cli_text(item, "why"));
    }
    if (json_array_size(suppressed))
        grid_print(&grid);
    else
        printf("nobody is suppressed\n");
    buf_clear(&grid.cells);
    int64_t more = cli_number(answer, "total") - (int64_t)json_array_size(suppressed);
    if (more > 0)
        printf("and %lld more (--limit N)\n", (long long)more);
    json_decref(answer);
    return 0;
}

static int change(const struct cli_args *args, const char *what, const char *recipient)
{
    int exit_code = 0;
    if (!args->connection)
        return cli_fail(64, "on which connection? headgate suppressed %s %s --connection NAME", what, recipient);
    if (!args->why || !args->why[0])
        return cli_fail(64, "say why: headgate suppressed %s %s --why \"...\"; the audit keeps it", what, recipient);
    char path[3000], *escaped = cli_escape(recipient), *connection = cli_escape(args->connection);
    snprintf(path, sizeof path, "/v1/suppressed/%s?recipient=%s&connection=%s", what, escaped, connection);
    free(escaped);
    free(connection);
    json_t *answer = cli_ask(args, "POST", path, cli_why(args), &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}

int cli_suppressed(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    const char *what = args.count > 0 ? args.rest[0] : "list";
    if (strcmp(what, "list") == 0 && args.count < 2)
        return list(&args);
    if ((strcmp(what, "add") == 0 || strcmp(what, "remove") == 0) && args.count == 2)
        return change(&args, what, args.rest[1]);
    return cli_fail(64, "usage: headgate %s\n(headgate suppressed --help says more)", help.usage);
}
