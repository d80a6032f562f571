/* trace.c - `headgate trace`: what happened to a key */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help = {
    .usage = "trace KEY [--json]",
    .text =
        "Shows the last events of a key (a controller, say): when each came, what every step decided and why, which\n"
        "effects it asked for and what became of them.  Of an address it also shows what campaigns wrote to it.",
    .options = "csj",
    .least = 1,
    .most = 1};

static void print_step(json_t *step)
{
    json_t *answer = json_object_get(step, "answer");
    const char *why = cli_text(step, "why");
    printf("    %-22s %s%s%s\n", cli_text(step, "step"),
           !answer                ? "done"
           : json_is_true(answer) ? "yes"
                                  : "no",
           why[0] ? ": " : "", why);
}

static void print_effect(json_t *effect)
{
    char room[32];
    const char *text = cli_text(effect, "text");
    int64_t at = cli_number(effect, "at"), attempts = cli_number(effect, "attempts"), held = cli_number(effect, "held");
    printf("    -> %s.%s %s%s%s", cli_text(effect, "connection"), cli_text(effect, "verb"), cli_text(effect, "state"),
           at ? " " : "", at ? cli_moment(at, room) : "");
    if (attempts > 1)
        printf(", %lld attempts", (long long)attempts);
    if (held)
        printf(", held as %lld", (long long)held);
    printf("%s%s  %s[%s]%s\n", text[0] ? ": " : "", text, cli_paint("\033[2m"), cli_text(effect, "id"),
           cli_paint("\033[0m"));
}

static void print_timer(json_t *timer)
{
    char room[32];
    if (json_is_true(json_object_get(timer, "cancelled")))
        printf("    timer %s cancelled\n", cli_text(timer, "name"));
    else
        printf("    timer %s in %s: %s\n", cli_text(timer, "name"), cli_duration(cli_number(timer, "in"), room),
               cli_text(timer, "step"));
}

static void print_run(json_t *run)
{
    char room[32];
    size_t index;
    json_t *item;
    int64_t held = cli_number(run, "held"), many = cli_number(run, "effect_count"), times = cli_number(run, "times");
    printf("%s%s  %s%s  event %s  %s", cli_paint("\033[1m"), cli_moment(cli_number(run, "at"), room),
           cli_text(run, "flow"), cli_paint("\033[0m"), cli_text(run, "event"), cli_text(run, "outcome"));
    if (held)
        printf(" as %lld", (long long)held);
    if (cli_text(run, "because")[0])
        printf("  because of %s", cli_text(run, "because"));
    if (times > 1)
        printf(", %lld times, this was the last", (long long)times);
    if (cli_text(run, "release")[0])
        printf("  %s(release %s)%s", cli_paint("\033[2m"), cli_text(run, "release"), cli_paint("\033[0m"));
    putchar('\n');
    if (cli_text(run, "why")[0])
        printf("    %s\n", cli_text(run, "why"));
    json_array_foreach(json_object_get(run, "steps"), index, item)
        print_step(item);
    json_array_foreach(json_object_get(run, "effects"), index, item)
        print_effect(item);
    json_array_foreach(json_object_get(run, "timers"), index, item)
        print_timer(item);
    if (many)
        printf("    -> %lld effects (too many to list)\n", (long long)many);
}

/* What campaigns wrote to the recipient of that name. */
static void print_written(const json_t *written)
{
    char room[32];
    const char *who = cli_text(written, "who");
    if (cli_number(written, "suppressed")) {
        printf("suppressed on %s since %s by %s: %s\n", cli_text(written, "connection"),
               cli_moment(cli_number(written, "suppressed"), room), who[0] ? who : "the far side",
               cli_text(written, "why"));
        return;
    }
    printf("%s%s  campaign %s%s\n", cli_paint("\033[1m"), cli_moment(cli_number(written, "at"), room),
           cli_text(written, "campaign"), cli_paint("\033[0m"));
    if (cli_text(written, "why")[0])
        printf("    nothing could be made: %s\n", cli_text(written, "why"));
    else
        print_effect(json_object_get(written, "effect"));
}

int cli_trace(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    char path[1000], *key = cli_escape(args.rest[0]);
    snprintf(path, sizeof path, "/v1/trace?key=%s", key);
    free(key);
    json_t *answer = cli_ask(&args, "GET", path, NULL, &exit_code);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    json_t *runs = json_object_get(answer, "runs"), *run;
    size_t index;
    json_array_foreach(runs, index, run)
        print_run(run);
    json_t *written = json_object_get(answer, "written");
    json_array_foreach(written, index, run)
        print_written(run);
    if (!json_array_size(runs) && !json_array_size(written)) {
        printf("nothing is known of %s: no event of this key ran in the last 30 days\n", args.rest[0]);
        exit_code = 1;
    }
    json_decref(answer);
    return exit_code;
}
