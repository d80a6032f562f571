/* cli.h - what the subcommands share: arguments, help, the way to the daemon, tables
 *
 * One file a subcommand: `int cli_NAME(int argc, char **argv)` returns the exit code (those of sysexits.h: 64 usage, 65
 * data, 69 unavailable, 74 store, 75 try again, 77 no permission, 78 configuration; 1: a finding). */
#ifndef HEADGATE_CLI_CLI_H
#define HEADGATE_CLI_CLI_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/version.h"
#include "core/config/config.h"

#include <jansson.h>
#include <stdio.h>

/* What a command's help says, and which of the common options it takes. */
struct cli_help {
    const char *usage;   /* "on FLOW --why TEXT" */
    const char *text;    /* what it does, for a person who does not know it */
    const char *options; /* letters of the options it takes, of the table in args.c */
    int least, most;     /* how many arguments beside options */
};

#define CLI_SETS 50
struct cli_args {
    const char *config; /* -c FILE; NULL: the default place */
    const char *socket; /* --socket PATH; NULL: as the configuration says */
    const char *log;    /* --log STYLE; NULL: as fits where it goes */
    const char *why, *flow, *connection, *rules, *all;
    const char *reason, *release, *key, *kind, *verdict, *since, *until, *rate; /* of held things */
    const char *sets[CLI_SETS];                                                 /* FIELD=VALUE */
    size_t set_count;
    bool json, watch, plain, verbose, as_it_was, group, resend;
    long limit;  /* 0: not said */
    char **rest; /* arguments that are no options */
    int count;
};

/* True: go on.  False: end with *exit_code (help was asked for, or the usage is wrong and was explained). */
bool cli_parse(int argc, char **argv, const struct cli_help *help, struct cli_args *args, int *exit_code);
/* "headgate: TEXT" on stderr; returns `exit_code`. */
int cli_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *cli_config_path(const struct cli_args *args);

/* ---- the daemon ------------------------------------------------------------------------------ */

/* Sends the request to the daemon; `body` may be NULL (taken). The answer, or NULL after an error was printed, with the
 * exit code to end with. */
json_t *cli_ask(const struct cli_args *args, const char *method, const char *path, json_t *body, int *exit_code);
/* Percent-encoded, for a query; freed by the caller. */
char *cli_escape(const char *text);
/* "2h" ago, "2026-11-22", or RFC 3339, in ms since 1970; false if it is none of these. */
bool cli_time(const char *text, int64_t *ms);
/* {"why": ...} of --why, or of the user and host where a reason is not demanded; taken by cli_ask. */
json_t *cli_why(const struct cli_args *args);
/* Prints the JSON, indented where stdout is a terminal; frees it; returns 0. */
int cli_print_json(json_t *json);

/* ---- tables and words -------------------------------------------------------------------------- */

struct grid {
    struct buf cells; /* zero-terminated, one behind the other */
    unsigned columns;
    unsigned right; /* bit n: column n is aligned to the right */
};

#define GRID_INIT(n, right_columns)                                                                                    \
    {                                                                                                                  \
        BUF_INIT(1 << 24), (n), (right_columns)                                                                        \
    }
void grid_add(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));
void grid_print(struct grid *grid); /* and clears it; the first row is the heading */

bool cli_colour(void);                                        /* stdout is a terminal that wants it */
const char *cli_paint(const char *code);                      /* "\033[..m", or "" */
const char *cli_duration(int64_t ms, char *room);             /* "2m13s"; room of 32 */
const char *cli_size(int64_t bytes, char *room);              /* "3.1 MiB"; room of 32 */
const char *cli_moment(int64_t ms, char *room);               /* "11:04:05" today, else with the date; room of 32 */
const char *cli_text(const json_t *object, const char *name); /* "" where there is none */
int64_t cli_number(const json_t *object, const char *name);

/* ---- the commands -------------------------------------------------------------------------------- */

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_test(int argc, char **argv);
int cli_try(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_on(int argc, char **argv);
int cli_off(int argc, char **argv);
int cli_reset(int argc, char **argv);
int cli_deploy(int argc, char **argv);
int cli_releases(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_timers(int argc, char **argv);
int cli_state(int argc, char **argv);
int cli_held(int argc, char **argv);
int cli_lanes(int argc, char **argv);
/* held_filter.c, for held.c: the filter of the options, as query (begins with "?") and as JSON; NULL after an error. */
char *held_query(const struct cli_args *args, int *exit_code);
json_t *held_filter(const struct cli_args *args, int *exit_code);
int held_edit(const struct cli_args *args, const char *number);                     /* held_edit.c */
int held_decide_all(const struct cli_args *args, const char *what, json_t *filter); /* held_all.c; takes the filter */
int held_progress(const struct cli_args *args);
int held_stop(const struct cli_args *args);
int cli_campaigns(int argc, char **argv);
int cli_suppressed(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_adapters(int argc, char **argv);
int cli_sandbox(int argc, char **argv);
int cli_store(int argc, char **argv);

#endif
