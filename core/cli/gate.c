/* gate.c - `headgate on`, `headgate off` and `headgate reset` */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help_on = {
    .usage = "on FLOW --why TEXT",
    .text = "Opens the flow's gate: it takes events from now on, those that waited in its queue first.  Who, when and\n"
            "why is kept for ever.",
    .options = "csjw",
    .least = 1,
    .most = 1};

static const struct cli_help help_off = {
    .usage = "off FLOW --why TEXT",
    .text = "Closes the flow's gate, at once.  Events wait in its queue at the broker, or are counted and dropped, as\n"
            "`when_off` in its flow.yaml says.  What it asked for before is still delivered; of a flow whose gate is "
            "tripped\n"
            "only after `headgate reset`.",
    .options = "csjw",
    .least = 1,
    .most = 1};

static const struct cli_help help_reset = {
    .usage = "reset FLOW --why TEXT",
    .text =
        "A fuse (`limits:` in flow.yaml, `fuse:` of a connection in headgate.yaml) trips the gate of a flow that does\n"
        "too much: nothing more of it leaves, and what comes waits.  `headgate status` says why.  When you have "
        "looked\n"
        "and perhaps deployed a better release, this lets it go on: what waits in its lanes leaves in its order, "
        "events\n"
        "are taken again (unless the gate was closed meanwhile), and the fuse counts from zero.  The event that asked\n"
        "for too much is held: `headgate held`.",
    .options = "csjw",
    .least = 1,
    .most = 1};

static int set(int argc, char **argv, const struct cli_help *help, const char *to)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, help, &args, &exit_code))
        return exit_code;
    if (!args.why || !args.why[0])
        return cli_fail(64, "say why: headgate %s %s --why \"...\"; the audit keeps it", to, args.rest[0]);
    char path[200], *name = cli_escape(args.rest[0]);
    snprintf(path, sizeof path, "/v1/flows/%s/%s", name, to);
    free(name);
    json_t *answer = cli_ask(&args, "POST", path, cli_why(&args), &exit_code);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}

int cli_on(int argc, char **argv)
{
    return set(argc, argv, &help_on, "on");
}

int cli_off(int argc, char **argv)
{
    return set(argc, argv, &help_off, "off");
}

int cli_reset(int argc, char **argv)
{
    return set(argc, argv, &help_reset, "reset");
}
