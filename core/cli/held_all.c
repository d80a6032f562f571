/* held_all.c - `headgate held retry|discard` for all that match: begun in the daemon, watched here until it ends */
#include "core/cli/cli.h"

#include "core/base/settings.h"

#include <stdlib.h>
#include <unistd.h>

#define LOOK_US 200000

static void print_progress(json_t *view, bool is_last)
{
    char room[32];
    bool is_terminal = isatty(STDOUT_FILENO);
    if (!is_terminal && !is_last)
        return;
    int64_t began = cli_number(view, "began_at"), ended = cli_number(view, "ended_at"), left = cli_number(view, "left");
    printf("%s%s: %lld done", is_terminal ? "\r\033[K" : "", cli_text(view, "decision"),
           (long long)cli_number(view, "done"));
    if (left)
        printf(", %lld stay held: %s", (long long)left, cli_text(view, "trouble"));
    if (is_last && json_is_true(json_object_get(view, "is_running")))
        printf(", goes on\n");
    else if (is_last)
        printf(", %s after %s\n", json_is_true(json_object_get(view, "was_stopped")) ? "stopped" : "complete",
               cli_duration(ended > began ? ended - began : 0, room));
    fflush(stdout);
}

static int watch(const struct cli_args *args)
{
    for (;;) {
        int exit_code = 0;
        json_t *view = cli_ask(args, "GET", "/v1/held/progress", NULL, &exit_code);
        if (!view)
            return exit_code;
        bool is_running = json_is_true(json_object_get(view, "is_running"));
        if (!is_running && args->json)
            return cli_print_json(view);
        if (!args->json)
            print_progress(view, !is_running);
        exit_code = cli_number(view, "left") ? 1 : 0;
        json_decref(view);
        if (!is_running)
            return exit_code;
        usleep(LOOK_US);
    }
}

static bool read_rate(const char *text, double *rate, int *exit_code)
{
    int64_t per_day;
    *rate = 0;
    if (!text)
        return true;
    if (!settings_parse(OPTION_RATE, text, &per_day)) {
        *exit_code = cli_fail(64, "--rate: found %s; expected a rate such as 10/s or 500/h", text);
        return false;
    }
    *rate = (double)per_day / 86400;
    return true;
}

int held_decide_all(const struct cli_args *args, const char *what, json_t *filter)
{
    char path[100];
    double rate;
    int exit_code = 0;
    if (!read_rate(args->rate, &rate, &exit_code)) {
        json_decref(filter);
        return exit_code;
    }
    snprintf(path, sizeof path, "/v1/held/all/%s", what);
    json_t *body = json_pack("{s:s, s:o, s:f, s:b}", "why", args->why, "filter", filter, "rate", rate, "as_it_was",
                             args->as_it_was);
    json_t *answer = cli_ask(args, "POST", path, body, &exit_code);
    if (!answer)
        return exit_code;
    json_decref(answer);
    if (!args->json && isatty(STDOUT_FILENO))
        printf("the daemon does it; Ctrl-C ends only this view, `headgate held stop --why TEXT` ends it\n");
    return watch(args);
}

int held_progress(const struct cli_args *args)
{
    int exit_code = 0;
    json_t *view = cli_ask(args, "GET", "/v1/held/progress", NULL, &exit_code);
    if (!view)
        return exit_code;
    if (args->json)
        return cli_print_json(view);
    print_progress(view, true);
    json_decref(view);
    return 0;
}

int held_stop(const struct cli_args *args)
{
    int exit_code = 0;
    if (!args->why || !args->why[0])
        return cli_fail(64, "say why: headgate held stop --why \"...\"; the audit keeps it");
    json_t *answer = cli_ask(args, "POST", "/v1/held/all/stop", cli_why(args), &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}
