/* held.c - `headgate held`: what needs a person */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help = {
    .usage = "held [list | show N | edit N | retry WHICH | discard WHICH | progress | stop] [options]",
    .text =
        "What Headgate could not do by itself: an event whose run failed or that cannot be read, an effect that the\n"
        "far side refuses (never), that waited too long (expired), or of which nobody knows whether it arrived "
        "(unknown).\n\n"
        "  held                    lists them; with filters such as --flow or --reason only those\n"
        "  held --group            counts those that look alike\n"
        "  held show N             shows one whole: the reason, the traceback, the event or the effect\n"
        "  held edit N             changes the event's body in $EDITOR, or fields by --set (--why says why); the "
        "original is kept beside it\n"
        "  held retry WHICH        back to work; an effect keeps its id, so it can never double what arrived\n"
        "  held discard WHICH      gives it up; counted, and kept in the audit with the reason (--why)\n"
        "  held progress, stop     look at, or end, a retry or discard of many\n\n"
        "WHICH: numbers and ranges (7 9-12), filters (--flow orders --reason timeout), or the word all.",
    .options = "csjwfClRHkKVSUxoge",
    .least = 0,
    .most = 1000};

static void add_item(struct grid *grid, const json_t *item, bool is_group)
{
    char room[32];
    if (is_group)
        grid_add(grid, "%lld", (long long)cli_number(item, "count"));
    else
        grid_add(grid, "%lld%s", (long long)cli_number(item, "held"),
                 json_is_true(json_object_get(item, "edited")) ? "*" : "");
    grid_add(grid, "%s", cli_moment(cli_number(item, is_group ? "first_at" : "at"), room));
    if (is_group)
        grid_add(grid, "%s", cli_moment(cli_number(item, "last_at"), room));
    grid_add(grid, "%s", cli_text(item, "flow"));
    if (strcmp(cli_text(item, "kind"), "event") == 0)
        grid_add(grid, "event");
    else
        grid_add(grid, "%s.%s (%s)", cli_text(item, "connection"), cli_text(item, "verb"), cli_text(item, "verdict"));
    if (!is_group)
        grid_add(grid, "%s", cli_text(item, "key"));
    grid_add(grid, "%s", cli_text(item, "reason"));
}

static void print_list(json_t *answer, bool is_group)
{
    static const char *const heads[] = {"HELD", "SINCE", "FLOW", "WHAT", "KEY", "REASON"};
    static const char *const group_heads[] = {"COUNT", "FIRST", "LAST", "FLOW", "WHAT", "REASON"};
    json_t *list = json_object_get(answer, is_group ? "groups" : "held"), *item;
    struct grid grid = GRID_INIT(6, 1);
    size_t index;
    for (size_t i = 0; i < 6; i++)
        grid_add(&grid, "%s", (is_group ? group_heads : heads)[i]);
    json_array_foreach(list, index, item)
        add_item(&grid, item, is_group);
    if (json_array_size(list))
        grid_print(&grid);
    else
        printf("nothing is held\n");
    buf_clear(&grid.cells);
    int64_t more =
        is_group ? cli_number(answer, "others") : cli_number(answer, "total") - (int64_t)json_array_size(list);
    if (more > 0)
        printf(is_group ? "and %lld more of other kinds\n" : "and %lld more (--limit N, --group)\n", (long long)more);
}

static int list(const struct cli_args *args)
{
    int exit_code = 0;
    char *query = held_query(args, &exit_code);
    if (!query)
        return exit_code;
    struct buf path = BUF_INIT(65536);
    buf_addf(&path, "/v1/held%s", query);
    json_t *answer = cli_ask(args, "GET", path.data, NULL, &exit_code);
    buf_clear(&path);
    free(query);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    print_list(answer, args->group);
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
    static const char *const names[] = {"kind", "flow",     "release",   "connection", "verb",  "verdict",
                                        "key",  "event_id", "effect_id", "reason",     "phase", "last_reply"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cli_text(item, names[i])[0])
            printf("  %-14s %s\n", names[i], cli_text(item, names[i]));
    if (json_object_get(item, "bytes_total"))
        printf("  %-14s %lld of %lld bytes\n", "sent", (long long)cli_number(item, "bytes_sent"),
               (long long)cli_number(item, "bytes_total"));
    if (json_object_get(item, "sent_at"))
        printf("  %-14s %s\n", "sent at", cli_moment(cli_number(item, "sent_at"), room));
    if (cli_text(item, "detail")[0])
        printf("\n%s\n", cli_text(item, "detail"));
    print_part(item, "event");
    print_part(item, "effect");
    if (json_object_get(item, "original"))
        printf("\nedited at %s by %s: %s\n", cli_moment(cli_number(item, "edited_at"), room),
               cli_text(item, "edited_by"), cli_text(item, "edited_why"));
    print_part(item, "original");
    json_decref(item);
    return 0;
}

static int decide(const struct cli_args *args, const char *what, const char *number)
{
    char path[100];
    int exit_code = 0;
    snprintf(path, sizeof path, "/v1/held/%.20s/%s", number, what);
    json_t *body = json_pack("{s:s, s:b}", "why", args->why, "as_it_was", args->as_it_was);
    json_t *answer = cli_ask(args, "POST", path, body, &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}

static int decide_range(const struct cli_args *args, const char *what, const char *range)
{
    char *end;
    long long first = strtoll(range, &end, 10), last = *end == '-' ? strtoll(end + 1, &end, 10) : -1;
    int exit_code = 64;
    if (range[0] < '1' || range[0] > '9' || *end || last < first)
        return cli_fail(64, "found %s; expected numbers (7), ranges (9-12), or the word all", range);
    json_t *filter = held_filter(args, &exit_code);
    if (!filter)
        return exit_code;
    json_object_set_new(filter, "first", json_integer(first));
    json_object_set_new(filter, "last", json_integer(last));
    return held_decide_all(args, what, filter);
}

static bool is_number(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

/* Numbers and ranges, one after another; the exit code is the worst. */
static int decide_each(const struct cli_args *args, const char *what)
{
    int worst = 0;
    for (int i = 1; i < args->count; i++) {
        int code =
            is_number(args->rest[i]) ? decide(args, what, args->rest[i]) : decide_range(args, what, args->rest[i]);
        worst = code > worst ? code : worst;
    }
    return worst;
}

static int decide_which(struct cli_args *args, const char *what)
{
    int exit_code = 0;
    bool is_retry = strcmp(what, "retry") == 0, is_all = args->count == 2 && strcmp(args->rest[1], "all") == 0;
    if (!args->why || !args->why[0]) {
        if (!is_retry)
            return cli_fail(64, "say why: headgate held discard ... --why \"...\"; the audit keeps it");
        args->why = "retried";
    }
    if (args->count > 1 && !is_all)
        return decide_each(args, what);
    json_t *filter = held_filter(args, &exit_code);
    if (!filter)
        return exit_code;
    if (json_object_size(filter) || is_all)
        return held_decide_all(args, what, filter);
    json_decref(filter);
    return cli_fail(64, "which? Numbers (7 9-12), a filter such as --flow NAME, or: headgate held %s all", what);
}

int cli_held(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    const char *what = args.count > 0 ? args.rest[0] : "list";
    bool has_number = args.count == 2 && is_number(args.rest[1]);
    if (strcmp(what, "list") == 0 && args.count < 2)
        return list(&args);
    if (strcmp(what, "show") == 0 && has_number)
        return show(&args, args.rest[1]);
    if (strcmp(what, "edit") == 0 && has_number)
        return held_edit(&args, args.rest[1]);
    if (strcmp(what, "retry") == 0 || strcmp(what, "discard") == 0)
        return decide_which(&args, what);
    if (strcmp(what, "progress") == 0 && args.count == 1)
        return held_progress(&args);
    if (strcmp(what, "stop") == 0 && args.count == 1)
        return held_stop(&args);
    return cli_fail(64, "usage: headgate %s\n(headgate held --help says more)", help.usage);
}
