/* campaigns.c - `headgate campaigns`: jobs that write to many, and how far they are */
#include "core/cli/cli.h"

#include <stdlib.h>

#define BAR_CELLS 20

static const struct cli_help help = {
    .usage = "campaigns [list | show NAME | pause NAME | resume NAME | cancel NAME] [--connection NAME] [--why TEXT]",
    .text =
        "A campaign is what a flow names in `mail.send { campaign = ... }`: it writes to one recipient once, for "
        "ever,\n"
        "whoever starts it again.  A list that was handed over to it is sent a few hundred at a time.\n\n"
        "  campaigns               lists them, and whether their books balance\n"
        "  campaigns show NAME     one: what became of its recipients, and who could not be written to\n"
        "  campaigns pause NAME    nothing more of it leaves, what others send does\n"
        "  campaigns resume NAME   goes on where it was\n"
        "  campaigns cancel NAME   gives up what is not yet sent, for ever; each is counted\n\n"
        "The last three need a reason (--why), which the audit keeps.  --connection tells campaigns of one name "
        "apart.\n"
        "TOTAL are the recipients that it was given; TWICE those who were in it already; REFUSED are those of which a\n"
        "person gave up the effect, whom the far side does not know, who are suppressed, or cannot be written to at "
        "all.",
    .options = "csjwC",
    .least = 0,
    .most = 2};

static json_t *ask_for(const struct cli_args *args, const char *name, int *exit_code)
{
    char path[2000] = "/v1/campaigns?";
    if (name) {
        char *escaped = cli_escape(name);
        snprintf(path + strlen(path), sizeof path - strlen(path), "name=%s&", escaped);
        free(escaped);
    }
    if (args->connection) {
        char *escaped = cli_escape(args->connection);
        snprintf(path + strlen(path), sizeof path - strlen(path), "connection=%s&", escaped);
        free(escaped);
    }
    return cli_ask(args, "GET", path, NULL, exit_code);
}

static int64_t left_of(const json_t *campaign)
{
    return cli_number(campaign, "not_fed") + cli_number(campaign, "waiting");
}

static int64_t refused_of(const json_t *campaign)
{
    return cli_number(campaign, "refused") + cli_number(campaign, "bounced") + cli_number(campaign, "suppressed")
           + cli_number(campaign, "unfit") + cli_number(campaign, "superseded");
}

/* "████████░░░░ 61 %  12m left" on a terminal, else "61 %". */
static void add_progress(struct grid *grid, const json_t *campaign)
{
    int64_t total = cli_number(campaign, "total") - cli_number(campaign, "duplicate"), left = left_of(campaign);
    double rate = json_real_value(json_object_get(campaign, "rate"));
    int percent = total > 0 ? (int)(100 * (total - left) / total) : 100;
    char bar[BAR_CELLS * 3 + 1] = "", room[32], end[60] = "";
    for (int i = 0; cli_colour() && i < BAR_CELLS; i++)
        strcat(bar, i * 100 < percent * BAR_CELLS ? "█" : "░");
    if (left && rate > 0)
        snprintf(end, sizeof end, "  %s left", cli_duration((int64_t)((double)left / rate * 1000), room));
    grid_add(grid, "%s%s%d %%%s", bar, bar[0] ? " " : "", percent, end);
}

static const char *state_of(const json_t *campaign)
{
    const char *state = cli_text(campaign, "state");
    if (!json_is_true(json_object_get(campaign, "is_here")))
        return "no connection";
    return strcmp(state, "running") == 0 && !left_of(campaign) ? "done" : state;
}

static bool print_difference(json_t *campaigns)
{
    bool ok = true;
    size_t index;
    json_t *campaign;
    json_array_foreach(campaigns, index, campaign) {
        int64_t difference = cli_number(campaign, "difference");
        if (difference)
            printf("%sthe books of campaign %s differ by %lld%s\n", cli_paint("\033[31m"),
                   cli_text(campaign, "campaign"), (long long)difference, cli_paint("\033[0m"));
        ok = ok && !difference;
    }
    return ok;
}

static int list(const struct cli_args *args)
{
    int exit_code = 0;
    json_t *answer = ask_for(args, NULL, &exit_code), *campaign;
    size_t index;
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    json_t *campaigns = json_object_get(answer, "campaigns");
    struct grid grid = GRID_INIT(11, 0x3f8);
    static const char *const heads[] = {"CAMPAIGN", "CONNECTION", "STATE",   "TOTAL",     "TWICE",   "DELIVERED",
                                        "WAITING",  "HELD",       "REFUSED", "CANCELLED", "PROGRESS"};
    for (size_t i = 0; i < 11; i++)
        grid_add(&grid, "%s", heads[i]);
    json_array_foreach(campaigns, index, campaign) {
        grid_add(&grid, "%s", cli_text(campaign, "campaign"));
        grid_add(&grid, "%s", cli_text(campaign, "connection"));
        grid_add(&grid, "%s", state_of(campaign));
        const int64_t numbers[] = {cli_number(campaign, "total"),     cli_number(campaign, "duplicate"),
                                   cli_number(campaign, "delivered"), left_of(campaign),
                                   cli_number(campaign, "held"),      refused_of(campaign),
                                   cli_number(campaign, "cancelled")};
        for (size_t i = 0; i < 7; i++)
            grid_add(&grid, "%lld", (long long)numbers[i]);
        add_progress(&grid, campaign);
    }
    if (json_array_size(campaigns))
        grid_print(&grid);
    else
        printf("there are no campaigns; `mail.send { campaign = ... }` in a flow begins one\n");
    buf_clear(&grid.cells);
    bool ok = print_difference(campaigns);
    json_decref(answer);
    return ok ? 0 : 1;
}

static void print_campaign(const json_t *campaign)
{
    static const struct {
        const char *name, *words;
    } lines[] = {{"total", "recipients given"},
                 {"duplicate", "were in it already"},
                 {"delivered", "delivered"},
                 {"waiting", "in the outbox"},
                 {"not_fed", "not yet in the outbox"},
                 {"held", "held, for a person to decide"},
                 {"unknown", "of these unknown: may have arrived"},
                 {"bounced", "do not exist, says the far side"},
                 {"suppressed", "suppressed before"},
                 {"unfit", "cannot be written to"},
                 {"refused", "given up by a person"},
                 {"superseded", "sent before"},
                 {"cancelled", "cancelled"}};
    char room[32];
    struct grid grid = GRID_INIT(1, 0);
    printf("%s%s%s on %s: %s\n", cli_paint("\033[1m"), cli_text(campaign, "campaign"), cli_paint("\033[0m"),
           cli_text(campaign, "connection"), state_of(campaign));
    printf("  begun %s by flow %s\n", cli_moment(cli_number(campaign, "at"), room), cli_text(campaign, "flow"));
    if (cli_number(campaign, "since"))
        printf("  %s since %s by %s: %s\n", cli_text(campaign, "state"),
               cli_moment(cli_number(campaign, "since"), room), cli_text(campaign, "who"), cli_text(campaign, "why"));
    fputs("  ", stdout);
    add_progress(&grid, campaign);
    grid_print(&grid);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (i < 3 || cli_number(campaign, lines[i].name))
            printf("  %9lld  %s\n", (long long)cli_number(campaign, lines[i].name), lines[i].words);
}

static int show(const struct cli_args *args, const char *name)
{
    int exit_code = 0;
    size_t index;
    json_t *answer = ask_for(args, name, &exit_code), *item;
    if (!answer)
        return exit_code;
    json_t *campaigns = json_object_get(answer, "campaigns"), *unfit = json_object_get(answer, "unfit");
    if (!json_array_size(campaigns)) {
        json_decref(answer);
        return cli_fail(1, "there is no campaign %s; `headgate campaigns` lists them", name);
    }
    if (args->json)
        return cli_print_json(answer);
    json_array_foreach(campaigns, index, item)
        print_campaign(item);
    if (json_array_size(unfit))
        printf("\nnothing could be made for:\n");
    json_array_foreach(unfit, index, item)
        printf("  %s: %s\n", cli_text(item, "recipient"), cli_text(item, "why"));
    bool ok = print_difference(campaigns);
    json_decref(answer);
    return ok ? 0 : 1;
}

/* The connection that has the campaign; freed by the caller.  NULL after an error was printed. */
static char *find_connection(const struct cli_args *args, const char *name, int *exit_code)
{
    if (args->connection)
        return mem_text(args->connection);
    json_t *answer = ask_for(args, name, exit_code);
    if (!answer)
        return NULL;
    json_t *campaigns = json_object_get(answer, "campaigns");
    size_t count = json_array_size(campaigns);
    char *connection = count == 1 ? mem_text(cli_text(json_array_get(campaigns, 0), "connection")) : NULL;
    json_decref(answer);
    if (count == 0)
        *exit_code = cli_fail(1, "there is no campaign %s; `headgate campaigns` lists them", name);
    else if (count > 1)
        *exit_code = cli_fail(64, "%zu connections have a campaign %s; say --connection NAME", count, name);
    return connection;
}

static int change(const struct cli_args *args, const char *what, const char *name)
{
    int exit_code = 0;
    if (!args->why || !args->why[0])
        return cli_fail(64, "say why: headgate campaigns %s %s --why \"...\"; the audit keeps it", what, name);
    char *connection = find_connection(args, name, &exit_code);
    if (!connection)
        return exit_code;
    char path[2000], *escaped = cli_escape(name), *of = cli_escape(connection);
    snprintf(path, sizeof path, "/v1/campaigns/%s?name=%s&connection=%s", what, escaped, of);
    free(escaped);
    free(of);
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

int cli_campaigns(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    const char *what = args.count > 0 ? args.rest[0] : "list";
    if (strcmp(what, "list") == 0 && args.count < 2)
        return list(&args);
    if (strcmp(what, "show") == 0 && args.count == 2)
        return show(&args, args.rest[1]);
    bool changes = strcmp(what, "pause") == 0 || strcmp(what, "resume") == 0 || strcmp(what, "cancel") == 0;
    if (changes && args.count == 2)
        return change(&args, what, args.rest[1]);
    return cli_fail(64, "usage: headgate %s\n(headgate campaigns --help says more)", help.usage);
}
