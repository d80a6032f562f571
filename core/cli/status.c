/* status.c - `headgate status` */
#include "core/cli/cli.h"

#include <stdlib.h>

static const struct cli_help help = {
    .usage = "status [--json]",
    .text = "Shows each flow with its gate and what became of its events, each lane with what waits, and whether\n"
            "the books balance: received = finished + skipped + expired + waiting + held, and for a lane\n"
            "asked = delivered + refused + superseded + waiting + held.  Ends with 1 if they do not.",
    .options = "csj"};

static void print_flows(json_t *flows)
{
    struct grid grid = GRID_INIT(10, 0x1fc);
    static const char *const heads[] = {"FLOW",    "GATE",    "RATE",    "RECEIVED", "FINISHED",
                                        "SKIPPED", "EXPIRED", "WAITING", "HELD",     "SOURCE"};
    for (size_t i = 0; i < 10; i++)
        grid_add(&grid, "%s", heads[i]);
    size_t index;
    json_t *flow;
    json_array_foreach(flows, index, flow) {
        json_t *skipped = json_object_get(flow, "skipped");
        grid_add(&grid, "%s", cli_text(flow, "flow"));
        grid_add(&grid, "%s", cli_text(flow, "gate"));
        grid_add(&grid, "%.1f/s", json_real_value(json_object_get(flow, "rate")));
        grid_add(&grid, "%lld", (long long)cli_number(flow, "received"));
        grid_add(&grid, "%lld", (long long)cli_number(flow, "finished"));
        grid_add(&grid, "%lld",
                 (long long)(cli_number(skipped, "repeat") + cli_number(skipped, "dropped")
                             + cli_number(skipped, "discarded")));
        grid_add(&grid, "%lld", (long long)cli_number(flow, "expired"));
        grid_add(&grid, "%lld", (long long)cli_number(flow, "waiting"));
        grid_add(&grid, "%lld", (long long)cli_number(flow, "held"));
        grid_add(&grid, "%s", cli_text(flow, "source"));
    }
    grid_print(&grid);
}

/* Nothing disappears without a number: why events were not run. */
static void print_skipped(json_t *flows)
{
    static const char *const names[] = {"repeat", "dropped", "expired", "discarded"};
    static const char *const words[] = {"came before", "dropped while the gate was off", "too old", "discarded"};
    size_t index;
    json_t *flow;
    json_array_foreach(flows, index, flow) {
        json_t *skipped = json_object_get(flow, "skipped");
        bool is_first = true;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            int64_t count = cli_number(skipped, names[i]) + cli_number(flow, names[i]);
            if (!count)
                continue;
            if (is_first)
                printf("not run of %s: ", cli_text(flow, "flow"));
            printf("%s%lld %s", is_first ? "" : ", ", (long long)count, words[i]);
            is_first = false;
        }
        if (!is_first)
            putchar('\n');
    }
}

static void print_lanes(json_t *lanes)
{
    struct grid grid = GRID_INIT(8, 0x7c);
    static const char *const heads[] = {"LANE", "STATE", "ASKED", "DELIVERED", "WAITING", "OLDEST", "HELD", "SAYS"};
    for (size_t i = 0; i < 8; i++)
        grid_add(&grid, "%s", heads[i]);
    size_t index;
    json_t *lane;
    json_array_foreach(lanes, index, lane) {
        char room[32], rest[40] = "";
        if (cli_number(lane, "resumes_in_ms") > 0)
            snprintf(rest, sizeof rest, " %s", cli_duration(cli_number(lane, "resumes_in_ms"), room));
        grid_add(&grid, "%s", cli_text(lane, "connection"));
        grid_add(&grid, "%s%s", cli_text(lane, "state"), rest);
        grid_add(&grid, "%lld", (long long)cli_number(lane, "asked"));
        grid_add(&grid, "%lld", (long long)cli_number(lane, "delivered"));
        grid_add(&grid, "%lld", (long long)cli_number(lane, "waiting"));
        grid_add(&grid, "%s", cli_number(lane, "waiting") ? cli_duration(cli_number(lane, "oldest_ms"), room) : "-");
        grid_add(&grid, "%lld", (long long)cli_number(lane, "held"));
        if (cli_number(lane, "parked"))
            grid_add(&grid, "%lld parked, as their flow is tripped; %s", (long long)cli_number(lane, "parked"),
                     cli_text(lane, "text"));
        else
            grid_add(&grid, "%s", cli_text(lane, "text"));
    }
    grid_print(&grid);
}

/* What a person must look at comes first. */
static void print_trips(json_t *flows)
{
    size_t index;
    json_t *flow;
    char room[32];
    json_array_foreach(flows, index, flow) {
        json_t *trip = json_object_get(flow, "tripped");
        if (!json_is_object(trip))
            continue;
        printf("%sflow %s is tripped since %s: %s%s\n", cli_paint("\033[31m"), cli_text(flow, "flow"),
               cli_moment(cli_number(trip, "at"), room), cli_text(trip, "reason"), cli_paint("\033[0m"));
        printf("    nothing more of it leaves, and what comes waits: headgate reset %s --why TEXT\n\n",
               cli_text(flow, "flow"));
    }
}

static void print_timers(json_t *flows)
{
    size_t index;
    json_t *flow;
    char room[32];
    json_array_foreach(flows, index, flow) {
        int64_t many = cli_number(flow, "timers"), in_ms = cli_number(flow, "next_timer_in_ms");
        if (many)
            printf("%s: %lld timer%s, the next %s %s\n", cli_text(flow, "flow"), (long long)many, many == 1 ? "" : "s",
                   in_ms < 0 ? "late by" : "in", cli_duration(llabs(in_ms), room));
    }
}

static bool books_balance(json_t *list, const char *name, bool prints)
{
    size_t index;
    json_t *item;
    bool ok = true;
    json_array_foreach(list, index, item) {
        if (cli_number(item, "difference") == 0)
            continue;
        ok = false;
        if (prints)
            printf("%sthe books of %s %s do not balance: %lld%s\n", cli_paint("\033[31m"), name, cli_text(item, name),
                   (long long)cli_number(item, "difference"), cli_paint("\033[0m"));
    }
    return ok;
}

static void print_reload(const json_t *reload)
{
    char room[32];
    if (json_is_true(json_object_get(reload, "ok")))
        printf("headgate.yaml was read again at %s: %s\n\n", cli_moment(cli_number(reload, "at"), room),
               cli_text(reload, "text"));
    else if (json_is_object(reload))
        printf("%sthe reload at %s failed, and nothing was changed: %s%s\n\n", cli_paint("\033[31m"),
               cli_moment(cli_number(reload, "at"), room), cli_text(reload, "text"), cli_paint("\033[0m"));
}

int cli_status(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    json_t *status = cli_ask(&args, "GET", "/v1/status", NULL, &exit_code);
    if (!status)
        return exit_code;
    json_t *flows = json_object_get(status, "flows"), *lanes = json_object_get(status, "lanes");
    bool ok = books_balance(flows, "flow", false) && books_balance(lanes, "connection", false);
    if (args.json) {
        cli_print_json(status);
        return ok ? 0 : 1;
    }
    char up[32], used[32], limit[32], left[32], outage[64] = "";
    json_t *store = json_object_get(status, "store"), *note;
    if (cli_number(store, "outage_left_ms") >= 0)
        snprintf(outage, sizeof outage, ", takes an outage of %s",
                 cli_duration(cli_number(store, "outage_left_ms"), left));
    printf("%s · up %s · store %s, %s of %s%s%s\n\n", cli_text(status, "environment"),
           cli_duration(cli_number(status, "up_ms"), up), cli_text(store, "state"),
           cli_size(cli_number(store, "used_bytes"), used), cli_size(cli_number(store, "limit_bytes"), limit), outage,
           json_is_true(json_object_get(status, "ready")) ? "" : " · starting");
    print_trips(flows);
    print_reload(json_object_get(status, "reload"));
    print_flows(flows);
    print_timers(flows);
    print_skipped(flows);
    putchar('\n');
    print_lanes(lanes);
    putchar('\n');
    size_t index;
    json_array_foreach(json_object_get(status, "notes"), index, note)
        printf("%snote: %s%s\n", cli_paint("\033[33m"), json_string_value(note), cli_paint("\033[0m"));
    books_balance(flows, "flow", true);
    books_balance(lanes, "connection", true);
    if (ok)
        printf("%sthe books balance%s\n", cli_paint("\033[32m"), cli_paint("\033[0m"));
    json_decref(status);
    return ok ? 0 : 1;
}
