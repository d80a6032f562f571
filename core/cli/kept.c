/* kept.c - `headgate timers` and `headgate state`: what flows keep between their runs */
#include "core/cli/cli.h"

#include "core/base/clock.h"

#include <stdlib.h>

static const struct cli_help timers_help = {
    .usage = "timers [FLOW] [--limit N] [--json]",
    .text =
        "The timers that wait, those of each flow in the order in which they are due: what `timer.after` wound up,\n"
        "for which key, and at which step the run will begin.",
    .options = "csjl",
    .most = 1};

static const struct cli_help state_help = {
    .usage = "state FLOW [KEY] [--limit N] [--json]",
    .text = "What a flow has kept by `state.set`, as it is on disk: all of it, or what begins with KEY.\n"
            "Only the flow itself can change it.",
    .options = "csjl",
    .least = 1,
    .most = 2};

static char *path_of(const struct cli_args *args, const char *what)
{
    struct buf path = BUF_INIT(4000);
    buf_addf(&path, "/v1/%s?limit=%ld", what, args->limit > 0 ? args->limit : 100);
    for (int i = 0; i < args->count; i++) {
        char *text = cli_escape(args->rest[i]);
        buf_addf(&path, "&%s=%s", i ? "key" : "flow", text);
        free(text);
    }
    return buf_take(&path);
}

static void add_heads(struct grid *grid, const char *const *heads)
{
    for (; *heads; heads++)
        grid_add(grid, "%s", *heads);
}

static void print_timers(json_t *answer)
{
    struct grid grid = GRID_INIT(6, 0);
    json_t *timers = json_object_get(answer, "timers"), *timer;
    size_t index;
    char room[32];
    add_heads(&grid, (const char *const[]){"FLOW", "DUE", "IN", "NAME", "KEY", "STEP", NULL});
    json_array_foreach(timers, index, timer) {
        int64_t due_ms = cli_number(timer, "due"), in_ms = due_ms - clock_now_ms();
        grid_add(&grid, "%s", cli_text(timer, "flow"));
        grid_add(&grid, "%s", cli_moment(due_ms, room));
        grid_add(&grid, "%s%s", in_ms < 0 ? "late by " : "", cli_duration(llabs(in_ms), room));
        grid_add(&grid, "%s", cli_text(timer, "name"));
        grid_add(&grid, "%s", cli_text(timer, "key"));
        grid_add(&grid, "%s", cli_text(timer, "step"));
    }
    int64_t total = cli_number(answer, "total"), shown = (int64_t)json_array_size(timers);
    if (shown)
        grid_print(&grid);
    else
        buf_clear(&grid.cells);
    if (!shown)
        printf("no timer waits\n");
    else if (shown < total)
        printf("%lld of %lld; --limit shows more\n", (long long)shown, (long long)total);
}

static void print_state(json_t *answer)
{
    struct grid grid = GRID_INIT(3, 0);
    json_t *state = json_object_get(answer, "state"), *entry;
    size_t index;
    char room[32];
    add_heads(&grid, (const char *const[]){"KEY", "EXPIRES", "VALUE", NULL});
    json_array_foreach(state, index, entry) {
        int64_t expires_ms = cli_number(entry, "expires");
        char *value = json_dumps(json_object_get(entry, "value"), JSON_ENCODE_ANY);
        grid_add(&grid, "%s", cli_text(entry, "key"));
        grid_add(&grid, "%s", expires_ms ? cli_moment(expires_ms, room) : "-");
        grid_add(&grid, "%s", value);
        free(value);
    }
    if (json_array_size(state))
        grid_print(&grid);
    else
        buf_clear(&grid.cells);
    if (!json_array_size(state))
        printf("nothing is kept\n");
    else if (json_is_true(json_object_get(answer, "has_more")))
        printf("there is more; --limit shows it\n");
}

static int show(int argc, char **argv, const struct cli_help *help, const char *what, void (*print)(json_t *answer))
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, help, &args, &exit_code))
        return exit_code;
    char *path = path_of(&args, what);
    json_t *answer = cli_ask(&args, "GET", path, NULL, &exit_code);
    free(path);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    print(answer);
    json_decref(answer);
    return 0;
}

int cli_timers(int argc, char **argv)
{
    return show(argc, argv, &timers_help, "timers", print_timers);
}

int cli_state(int argc, char **argv)
{
    return show(argc, argv, &state_help, "state", print_state);
}
