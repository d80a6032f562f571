/* lanes.c - `headgate lanes`: how each connection is delivered to */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help = {
    .usage = "lanes [NAME]",
    .text =
        "A lane delivers the effects of one connection: in order for each key, others in parallel.\n\n"
        "  lanes         every lane: its state, its breaker, what its rates have left, what waits\n"
        "  lanes NAME    all of one, with the times at which a failing effect is tried again\n\n"
        "The breaker is closed while all is well.  After several failures in a row it is open for a while, then\n"
        "probing: one call at a time, until one succeeds; after that the lane grows back to its concurrency call by\n"
        "call.  A far side that says how long to wait (Retry-After), or how many calls it still allows, is obeyed.\n"
        "An effect that is older than the connection's max_age is held as expired, and not tried any more.",
    .options = "csj",
    .least = 0,
    .most = 1};

/* "open 12s" */
static void add_state(struct grid *grid, const char *state, int64_t left_ms)
{
    char room[32];
    if (left_ms > 0)
        grid_add(grid, "%s %s", state, cli_duration(left_ms, room));
    else
        grid_add(grid, "%s", state);
}

/* "10/s, 480 of 500/h left" */
static void add_rates(struct buf *text, json_t *lane)
{
    size_t index;
    json_t *rate, *far_side = json_object_get(lane, "far_side");
    json_array_foreach(json_object_get(lane, "rates"), index, rate) {
        buf_add_text(text, text->size ? ", " : "");
        if (json_object_get(rate, "left"))
            buf_addf(text, "%lld of %s left", (long long)cli_number(rate, "left"), cli_text(rate, "rate"));
        else
            buf_add_text(text, cli_text(rate, "rate"));
    }
    if (far_side)
        buf_addf(text, "%sfar side: %lld left", text->size ? ", " : "", (long long)cli_number(far_side, "left"));
    if (!text->size)
        buf_add_text(text, "-");
}

static void add_waiting(struct grid *grid, json_t *lane)
{
    json_t *of = json_object_get(lane, "waiting_of");
    if (cli_number(of, "high") || cli_number(of, "low"))
        grid_add(grid, "%lld/%lld/%lld", (long long)cli_number(of, "high"), (long long)cli_number(of, "normal"),
                 (long long)cli_number(of, "low"));
    else
        grid_add(grid, "%lld", (long long)cli_number(lane, "waiting"));
}

static void print_all(json_t *lanes)
{
    struct grid grid = GRID_INIT(9, 0xf0);
    static const char *const heads[] = {"LANE",   "STATE",    "BREAKER", "RATES", "WAITING",
                                        "OLDEST", "RETRYING", "RETRIES", "SAYS"};
    for (size_t i = 0; i < 9; i++)
        grid_add(&grid, "%s", heads[i]);
    size_t index;
    json_t *lane;
    json_array_foreach(lanes, index, lane) {
        char room[32];
        struct buf rates = BUF_INIT(1000);
        json_t *breaker = json_object_get(lane, "breaker");
        grid_add(&grid, "%s", cli_text(lane, "connection"));
        add_state(&grid, cli_text(lane, "state"), cli_number(lane, "resumes_in_ms"));
        add_state(&grid, cli_text(breaker, "state"), cli_number(breaker, "probes_in_ms"));
        add_rates(&rates, lane);
        grid_add(&grid, "%s", rates.data);
        add_waiting(&grid, lane);
        grid_add(&grid, "%s", cli_number(lane, "waiting") ? cli_duration(cli_number(lane, "oldest_ms"), room) : "-");
        grid_add(&grid, "%lld", (long long)cli_number(lane, "retrying"));
        grid_add(&grid, "%lld", (long long)cli_number(lane, "retries"));
        grid_add(&grid, "%s", cli_text(lane, "text"));
        buf_clear(&rates);
    }
    grid_print(&grid);
}

static void print_now(json_t *lane)
{
    char room[32];
    json_t *breaker = json_object_get(lane, "breaker"), *of = json_object_get(lane, "waiting_of");
    struct buf rates = BUF_INIT(1000);
    add_rates(&rates, lane);
    printf("%s, adapter %s: %s", cli_text(lane, "connection"), cli_text(lane, "adapter"), cli_text(lane, "state"));
    if (cli_number(lane, "resumes_in_ms"))
        printf(", goes on in %s", cli_duration(cli_number(lane, "resumes_in_ms"), room));
    printf("%s%s\n", cli_text(lane, "text")[0] ? ": " : "", cli_text(lane, "text"));
    printf("  %-14s %s, %lld failures in a row", "breaker", cli_text(breaker, "state"),
           (long long)cli_number(breaker, "failures"));
    if (cli_number(breaker, "probes_in_ms"))
        printf(", probes in %s", cli_duration(cli_number(breaker, "probes_in_ms"), room));
    printf("\n  %-14s %lld of at most %lld now (concurrency %lld)\n", "calls", (long long)cli_number(lane, "calls"),
           (long long)cli_number(lane, "calls_at_once"), (long long)cli_number(lane, "concurrency"));
    printf("  %-14s %s\n", "rates", rates.data);
    printf("  %-14s %lld: %lld high, %lld normal, %lld low\n", "waiting", (long long)cli_number(lane, "waiting"),
           (long long)cli_number(of, "high"), (long long)cli_number(of, "normal"), (long long)cli_number(of, "low"));
    if (cli_number(lane, "waiting"))
        printf("  %-14s %s\n", "oldest", cli_duration(cli_number(lane, "oldest_ms"), room));
    if (cli_number(lane, "parked"))
        printf("  %-14s %lld, until the tripped gates of their flows are reset\n", "parked",
               (long long)cli_number(lane, "parked"));
    printf("  %-14s %lld wait for their next try\n", "retrying", (long long)cli_number(lane, "retrying"));
    printf("  %-14s %lld delivered, %lld tries put off\n", "since start", (long long)cli_number(lane, "delivered"),
           (long long)cli_number(lane, "retries"));
    printf("  %-14s %s\n", "when unknown", cli_text(lane, "when_unknown"));
    buf_clear(&rates);
}

static void add_between(struct grid *grid, int64_t least_ms, int64_t most_ms)
{
    char least[32], most[32];
    if (least_ms == most_ms)
        grid_add(grid, "%s", cli_duration(least_ms, least));
    else
        grid_add(grid, "%s to %s", cli_duration(least_ms, least), cli_duration(most_ms, most));
}

static void print_schedule(json_t *lane)
{
    struct grid grid = GRID_INIT(3, 1);
    char wait[32], age[32];
    size_t index;
    json_t *line, *last = NULL;
    grid_add(&grid, "ATTEMPT");
    grid_add(&grid, "AFTER");
    grid_add(&grid, "IF IT FAILS, THE NEXT COMES IN");
    json_array_foreach(json_object_get(lane, "schedule"), index, line) {
        grid_add(&grid, "%lld", (long long)cli_number(line, "attempt"));
        add_between(&grid, cli_number(line, "least_elapsed_ms"), cli_number(line, "most_elapsed_ms"));
        add_between(&grid, cli_number(line, "least_wait_ms"), cli_number(line, "most_wait_ms"));
        last = line;
    }
    printf("\na failing effect is tried again at random times, unless the far side says when:\n");
    grid_print(&grid);
    if (last)
        printf("and so on, within %s each time,", cli_duration(cli_number(last, "most_wait_ms"), wait));
    printf(" until it is %s old (max_age): then it is held, as expired\n",
           cli_duration(cli_number(lane, "max_age_ms"), age));
}

int cli_lanes(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    char path[500] = "/v1/lanes";
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    if (args.count) {
        char *name = cli_escape(args.rest[0]);
        snprintf(path, sizeof path, "/v1/lanes/%.300s", name);
        free(name);
    }
    json_t *answer = cli_ask(&args, "GET", path, NULL, &exit_code);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    if (args.count) {
        print_now(answer);
        print_schedule(answer);
    } else {
        print_all(json_object_get(answer, "lanes"));
    }
    json_decref(answer);
    return 0;
}
