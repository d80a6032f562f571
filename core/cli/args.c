/* args.c - arguments and help of every subcommand, from one table of options */
/* getopt's struct option is not ours (core/base/option.h): it gets another name while its header is read. */
#define option getopt_option
#include <getopt.h>
#undef option

#include "core/cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>

struct known {
    char letter; /* also the short option, where it is lower case and `has_short` */
    bool has_short;
    const char *name;
    const char *value; /* word for its argument; NULL: it takes none */
    const char *help;
};

static const struct known known[] = {
    {'c', true, "config", "FILE", "the configuration (headgate --help: where else)"},
    {'s', false, "socket", "PATH", "the daemon's admin socket, if not the configuration's"},
    {'j', false, "json", NULL, "print JSON, for machines"},
    {'w', false, "why", "TEXT", "the reason; it is kept in the audit for ever"},
    {'W', false, "watch", NULL, "deploy a flow or rule when its file is saved; new flows begin with their gate on"},
    {'f', false, "flow", "NAME", "only of this flow"},
    {'C', false, "connection", "NAME", "only of this connection"},
    {'l', false, "limit", "N", "at most so many"},
    {'r', false, "rules", "FOLDER", "rules from this folder instead of the configuration's"},
    {'a', false, "all", "FOLDER", "every spec below this folder"},
    {'p', false, "plain", NULL, "plain output, for logs"},
    {'v', false, "verbose", NULL, "say more"},
    {'R', false, "reason", "TEXT", "only those whose reason has this in it"},
    {'H', false, "release", "HASH", "only of this release (the beginning of its hash)"},
    {'k', false, "key", "KEY", "only of this key"},
    {'K', false, "kind", "KIND", "only these: event or effect"},
    {'V', false, "verdict", "WORD", "only effects with this verdict: never, unknown, expired"},
    {'S', false, "since", "TIME", "not older: 2h, 7d, 2026-11-22, 2026-11-22T09:41:00Z"},
    {'U', false, "until", "TIME", "not newer; as with --since"},
    {'x', false, "rate", "RATE", "at most so many, such as 10/s"},
    {'o', false, "as-it-was", NULL, "events run under the release that held them, not under the live one"},
    {'g', false, "group", NULL, "count those that look alike"},
    {'e', false, "set", "FIELD=VALUE",
     "change a field; FIELD=@FILE reads it from a file, FIELD=@- from stdin; repeatable"},
    {'L', false, "log", "STYLE",
     "text, json or journal (default: text on a terminal, journal's prefixes under systemd, else json)"},
    {'1', false, "resend", NULL,
     "what waits in the backup is sent again, even where the far side cannot tell a repeat"},
    {'h', true, "help", NULL, "this help"}};
#define KNOWN (sizeof known / sizeof *known)

static bool takes(const struct cli_help *help, const struct known *option)
{
    return option->letter == 'h' || strchr(help->options, option->letter);
}

static void print_help(FILE *to, const struct cli_help *help)
{
    fprintf(to, "usage: headgate %s\n\n%s\n\noptions:\n", help->usage, help->text);
    for (size_t i = 0; i < KNOWN; i++) {
        char name[40];
        if (!takes(help, &known[i]))
            continue;
        snprintf(name, sizeof name, "%s--%s%s%s",
                 known[i].letter == 'c'   ? "-c, "
                 : known[i].letter == 'h' ? "-h, "
                                          : "    ",
                 known[i].name, known[i].value ? " " : "", known[i].value ? known[i].value : "");
        fprintf(to, "  %-24s %s\n", name, known[i].help);
    }
}

static void set(struct cli_args *args, char letter, const char *value)
{
    switch (letter) {
    case 'c': args->config = value; break;
    case 's': args->socket = value; break;
    case 'w': args->why = value; break;
    case 'f': args->flow = value; break;
    case 'C': args->connection = value; break;
    case 'r': args->rules = value; break;
    case 'a': args->all = value; break;
    case 'L': args->log = value; break;
    case 'l': args->limit = strtol(value, NULL, 10); break;
    case 'j': args->json = true; break;
    case 'W': args->watch = true; break;
    case 'p': args->plain = true; break;
    case 'v': args->verbose = true; break;
    case 'R': args->reason = value; break;
    case 'H': args->release = value; break;
    case 'k': args->key = value; break;
    case 'K': args->kind = value; break;
    case 'V': args->verdict = value; break;
    case 'S': args->since = value; break;
    case 'U': args->until = value; break;
    case 'x': args->rate = value; break;
    case 'o': args->as_it_was = true; break;
    case 'g': args->group = true; break;
    case '1': args->resend = true; break;
    case 'e':
        if (args->set_count < CLI_SETS)
            args->sets[args->set_count++] = value;
        break;
    default: break;
    }
}

bool cli_parse(int argc, char **argv, const struct cli_help *help, struct cli_args *args, int *exit_code)
{
    struct getopt_option options[KNOWN + 1] = {{NULL, 0, NULL, 0}};
    size_t count = 0;
    for (size_t i = 0; i < KNOWN; i++)
        if (takes(help, &known[i]))
            options[count++] = (struct getopt_option){known[i].name, known[i].value ? required_argument : no_argument,
                                                      NULL, known[i].letter};
    options[count] = (struct getopt_option){NULL, 0, NULL, 0};
    *args = (struct cli_args){.config = NULL};
    optind = 1;
    opterr = 0;
    for (int letter;
         (letter = getopt_long(argc, argv, strchr(help->options, 'c') ? "c:h" : "h", options, NULL)) != -1;) {
        if (letter == 'h') {
            print_help(stdout, help);
            *exit_code = 0;
            return false;
        }
        if (letter == '?') {
            *exit_code =
                cli_fail(64, "%s: `%s` is not an option here, or lacks its value; headgate %s --help lists them",
                         argv[0], argv[optind - 1], argv[0]);
            return false;
        }
        set(args, (char)letter, optarg);
    }
    args->rest = argv + optind;
    args->count = argc - optind;
    if (args->count >= help->least && args->count <= help->most)
        return true;
    fprintf(stderr, "usage: headgate %s\n(headgate %s --help says more)\n", help->usage, argv[0]);
    *exit_code = 64;
    return false;
}

int cli_fail(int exit_code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("headgate: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return exit_code;
}

const char *cli_config_path(const struct cli_args *args)
{
    const char *environment = getenv("HEADGATE_CONFIG");
    return args->config ? args->config : environment && environment[0] ? environment : config_default_path();
}
