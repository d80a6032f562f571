/* audit.c - `headgate audit` */
#include "core/cli/cli.h"

static const struct cli_help help = {
    .usage = "audit [--limit N] [--json]",
    .text = "Who changed what, when and why, the newest first: gates, releases, what was held.",
    .options = "csjl"};

int cli_audit(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    char path[100], room[32];
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    snprintf(path, sizeof path, "/v1/audit?limit=%ld", args.limit > 0 ? args.limit : 50);
    json_t *answer = cli_ask(&args, "GET", path, NULL, &exit_code), *row;
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    struct grid grid = GRID_INIT(5, 0);
    static const char *const heads[] = {"WHEN", "WHO", "WHAT", "OF", "WHY"};
    for (size_t i = 0; i < 5; i++)
        grid_add(&grid, "%s", heads[i]);
    size_t index;
    json_array_foreach(json_object_get(answer, "audit"), index, row) {
        grid_add(&grid, "%s", cli_moment(cli_number(row, "at"), room));
        grid_add(&grid, "%s", cli_text(row, "who"));
        if (strcmp(cli_text(row, "what"), "gate") == 0)
            grid_add(&grid, "gate %s", cli_text(row, "text"));
        else
            grid_add(&grid, "%s", cli_text(row, "what"));
        grid_add(&grid, "%s", cli_text(row, "subject"));
        grid_add(&grid, "%s", cli_text(row, "why"));
    }
    grid_print(&grid);
    json_decref(answer);
    return 0;
}
