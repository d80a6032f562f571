/* doctor.c - `headgate doctor` */
#include "core/cli/cli.h"

static const struct cli_help help = {
    .usage = "doctor [--json]",
    .text = "Looks at every connection (reachable? credentials accepted?) and at every flow's source (its queue, its\n"
            "bindings, other consumers).  Changes nothing.  Ends with 1 if something is wrong.",
    .options = "csj"};

int cli_doctor(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    json_t *answer = cli_ask(&args, "GET", "/v1/doctor", NULL, &exit_code), *finding;
    if (!answer)
        return exit_code;
    json_t *findings = json_object_get(answer, "findings");
    size_t index;
    struct grid grid = GRID_INIT(4, 0);
    grid_add(&grid, "%s", "");
    grid_add(&grid, "WHAT");
    grid_add(&grid, "ABOUT");
    grid_add(&grid, "FINDING");
    json_array_foreach(findings, index, finding) {
        bool is_good = json_is_true(json_object_get(finding, "good"));
        if (!is_good)
            exit_code = 1;
        grid_add(&grid, "%s", is_good ? "ok" : "!!");
        grid_add(&grid, "%s", cli_text(finding, "subject"));
        grid_add(&grid, "%s", cli_text(finding, "about"));
        grid_add(&grid, "%s", cli_text(finding, "text"));
    }
    if (args.json)
        cli_print_json(answer);
    else
        grid_print(&grid);
    buf_clear(&grid.cells);
    if (!args.json)
        json_decref(answer);
    return exit_code;
}
