/* reload.c - `headgate reload` */
#include "core/cli/cli.h"

static const struct cli_help help = {
    .usage = "reload [--json]",
    .text =
        "Lets the daemon read headgate.yaml and all secrets again, as SIGHUP does, and prints what changed.  "
        "Connections\n"
        "that say something else are closed and opened again: what is under way there ends first, what waits stays in\n"
        "the store.  New ones are opened; one that no flow uses any more may be taken out.  If anything is wrong, "
        "nothing\n"
        "changes at all, and the error says what.  The data folder, the folders of flows and rules, the store's limit "
        "and\n"
        "the places where the daemon listens need a restart.  Files that an option names by their path (a "
        "certificate,\n"
        "say) are read when the connection is opened: a change in them alone is not seen.",
    .options = "csj"};

int cli_reload(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    json_t *answer = cli_ask(&args, "POST", "/v1/reload", NULL, &exit_code);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    puts(cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}
