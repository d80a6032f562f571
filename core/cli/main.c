/* main.c - headgate: one program, daemon and command line */
#include "core/cli/cli.h"

#include "core/base/nearest.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"run", cli_run, "run the daemon"},
    {"status", cli_status, "flows, lanes and whether the books balance"},
    {"on", cli_on, "open a flow's gate"},
    {"off", cli_off, "close a flow's gate"},
    {"reset", cli_reset, "open a flow's gate that a fuse has tripped"},
    {"deploy", cli_deploy, "release a new version of a flow or rule"},
    {"releases", cli_releases, "what was released of a flow or rule"},
    {"trace", cli_trace, "what happened to a key: events, decisions, effects"},
    {"timers", cli_timers, "timers that wait"},
    {"state", cli_state, "what a flow keeps between its runs"},
    {"held", cli_held, "what needs a person: list, show, edit, retry, discard"},
    {"campaigns", cli_campaigns, "jobs that write to many: progress, pause, resume, cancel"},
    {"suppressed", cli_suppressed, "to whom nothing is sent any more: list, add, remove"},
    {"lanes", cli_lanes, "how each connection is delivered to: state, rates, retries"},
    {"audit", cli_audit, "who changed what, when and why"},
    {"reload", cli_reload, "read headgate.yaml and its secrets again"},
    {"doctor", cli_doctor, "look at every connection and queue"},
    {"store", cli_store, "the store: sizes and growth, verify, backup, compact, restore"},
    {"check", cli_check, "check the configuration, all flows and rules"},
    {"test", cli_test, "run the spec of a flow or rule"},
    {"try", cli_try, "run one event through a flow; delivers nothing"},
    {"adapters", cli_adapters, "what connections can be configured, and what flows may ask of them"},
    {"sandbox", cli_sandbox, "simulated far sides on this machine"},
    {NULL, NULL, NULL}};

static void print_help(FILE *to)
{
    fputs("headgate " VERSION ": events in, a small Lua flow decides, effects out; nothing lost\n\n"
          "usage: headgate COMMAND [ARGUMENTS]\n\n",
          to);
    for (const struct command *command = commands; command->name; command++)
        fprintf(to, "  %-11s %s\n", command->name, command->summary);
    fputs("\nheadgate COMMAND --help says more.  The daemon is found by headgate.yaml: that of\n"
          "COMMAND -c FILE, else of HEADGATE_CONFIG, else ./headgate.yaml, else\n"
          "/etc/headgate/headgate.yaml.\n",
          to);
}

static void start_libraries(void)
{
    struct timespec now;
    signal(SIGPIPE, SIG_IGN);
    clock_gettime(CLOCK_REALTIME, &now);
    srandom((unsigned)(now.tv_nsec ^ now.tv_sec ^ getpid()));
    json_object_seed(0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int unknown_command(const char *name)
{
    struct nearest nearest = nearest_for(slice_of(name));
    if (name[0] == '-')
        return cli_fail(64, "%s stands where a command is expected; options follow the command: headgate COMMAND %s",
                        name, name);
    for (const struct command *command = commands; command->name; command++)
        nearest_offer(&nearest, slice_of(command->name));
    return cli_fail(64, "there is no command %s%s", name, nearest_text(&nearest, "the commands are"));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 64;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("headgate " VERSION);
        return 0;
    }
    start_libraries();
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, argv[1]) == 0)
            return command->run(argc - 1, argv + 1);
    return unknown_command(argv[1]);
}
