/* store.c - `headgate store`: the store's upkeep, with the daemon or without
 *
 * Whoever holds DATA/lock works on the store: the daemon, or this program while none runs. */
#include "core/cli/cli.h"

#include "core/admin/upkeep.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/restore.h"
#include "core/store/environment.h"
#include "core/store/rest.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct cli_help help = {
    .usage = "store [verify [FILE] | backup FILE|FOLDER | compact | restore FILE [--why TEXT]] [--json]",
    .text =
        "Everything that Headgate must not forget is in one file, DATA/store/data.mdb.\n\n"
        "  store                    how large each table is, how it grows, and the day on which it will be full\n"
        "  store verify             looks at every row, at what must fit together, and at the books; exit code 1 if\n"
        "                           it finds something.  With FILE: of a backup\n"
        "  store backup FILE        a compact copy while the daemon works.  It appears whole or not at all, and never\n"
        "                           overwrites.  Into a FOLDER, its name has the time.  While it is made the file of\n"
        "                           the store grows by what is written meanwhile; where that needs more room than "
        "there\n"
        "                           is, the backup gives way.  Never copy the file itself while the daemon runs\n"
        "  store compact            gives the file's free pages back to the disk; the daemon must be stopped.  Seldom\n"
        "                           needed: free pages are used again.  (There is no compacting while it runs, "
        "because\n"
        "                           the file would have to be replaced under it.)\n"
        "  store restore FILE       a backup takes the store's place; the daemon must be stopped, and the old store "
        "is\n"
        "                           kept aside.  What happened since the backup is not known to it, so an effect that\n"
        "                           waits there and cannot be recognised as a repeat (a mail, say) becomes held as\n"
        "                           unknown, and running campaigns are paused: nobody may guess whether a person was\n"
        "                           written to.  --resend sends all of it again",
    .options = "csjw1",
    .least = 0,
    .most = 2};

/* ---- what is told ---------------------------------------------------------------------------------- */

static void print_growth(json_t *sizes)
{
    char room[32], day[40];
    int64_t growth = cli_number(sizes, "growth_bytes_per_day"), full_ms = cli_number(sizes, "high_at_ms");
    int64_t sampled_ms = cli_number(sizes, "sampled_ms");
    if (sampled_ms < 6 * 3600000) {
        printf("growth: it is too early to say; six hours of it have to be seen\n");
        return;
    }
    printf("growth: %s%s a day, seen over %s; ", growth < 0 ? "-" : "", cli_size(llabs(growth), room),
           cli_duration(sampled_ms, day));
    time_t then = (time_t)(full_ms / 1000);
    struct tm local;
    localtime_r(&then, &local);
    strftime(day, sizeof day, "%Y-%m-%d", &local);
    if (full_ms && full_ms <= clock_now_ms())
        printf("%sit is above its high-water mark now: the sources are paused%s\n", cli_paint("\033[31m"),
               cli_paint("\033[0m"));
    else if (full_ms)
        printf("it reaches its high-water mark about %s, and the sources are paused then\n", day);
    else
        printf("so it will not be full\n");
}

static int print_sizes(json_t *sizes)
{
    char used[32], free_room[32], file[32], limit[32], high[32], room[32];
    size_t index;
    json_t *table;
    int64_t used_bytes = cli_number(sizes, "used_bytes");
    printf("%s in use and %s free in a file of %s; limit %s, the sources pause at %s\n", cli_size(used_bytes, used),
           cli_size(cli_number(sizes, "free_bytes"), free_room), cli_size(cli_number(sizes, "file_bytes"), file),
           cli_size(cli_number(sizes, "limit_bytes"), limit), cli_size(cli_number(sizes, "high_bytes"), high));
    print_growth(sizes);
    putchar('\n');
    struct grid grid = GRID_INIT(4, 2 | 4 | 8);
    static const char *const heads[] = {"TABLE", "ROWS", "SIZE", "SHARE"};
    for (size_t i = 0; i < 4; i++)
        grid_add(&grid, "%s", heads[i]);
    json_array_foreach(json_object_get(sizes, "tables"), index, table) {
        int64_t bytes = cli_number(table, "bytes");
        grid_add(&grid, "%s", cli_text(table, "table"));
        grid_add(&grid, "%lld", (long long)cli_number(table, "rows"));
        grid_add(&grid, "%s", cli_size(bytes, room));
        grid_add(&grid, "%.0f %%", used_bytes ? 100.0 * (double)bytes / (double)used_bytes : 0);
    }
    grid_print(&grid);
    json_decref(sizes);
    return 0;
}

static int print_verified(json_t *verified, bool is_json)
{
    size_t index;
    json_t *finding;
    int64_t count = cli_number(verified, "finding_count"), rows = cli_number(verified, "rows");
    bool is_complete = json_is_true(json_object_get(verified, "complete"));
    int exit_code = count ? 1 : is_complete ? 0 : 75;
    if (is_json) {
        cli_print_json(verified);
        return exit_code;
    }
    json_array_foreach(json_object_get(verified, "findings"), index, finding)
        printf("%s%s%s\n", cli_paint("\033[31m"), json_string_value(finding), cli_paint("\033[0m"));
    if (count > (int64_t)index)
        printf("and %lld more\n", (long long)(count - (int64_t)index));
    printf("%lld rows looked at, %lld findings%s\n", (long long)rows, (long long)count,
           is_complete ? count ? "" : "; the books balance" : "; not all: the store needed room, run it again");
    json_decref(verified);
    return exit_code;
}

/* ---- with the daemon, or without -------------------------------------------------------------------------- */

static int in_use(const struct err *err)
{
    return cli_fail(75, "%s", err->text);
}

static json_t *look(struct environment *env, bool verifies, int64_t limit_bytes, struct err *err)
{
    struct picture *picture = picture_of_environment(env, err);
    json_t *json = NULL;
    if (picture && verifies) {
        struct verified verified;
        verify(picture, &verified);
        json = upkeep_verified(&verified);
        verified_clear(&verified);
    } else if (picture) {
        struct store_sizes sizes;
        picture_sizes(picture, &sizes);
        json = upkeep_sizes(&sizes, limit_bytes);
    }
    if (picture)
        picture_close(picture);
    return json;
}

/* The store at rest is only read: an older one is not upgraded by being looked at. */
static json_t *look_at_rest(const struct config *config, bool verifies, enum store_failure *failure, struct err *err)
{
    struct environment lock, file = {.lock_fd = -1};
    char path[5000];
    json_t *json = NULL;
    *failure = STORE_FAILED;
    snprintf(path, sizeof path, "%s/store/data.mdb", config->data);
    if (access(path, F_OK) != 0) {
        err_set(err, "%s: %s; there is no store yet", path, strerror(errno));
        return NULL;
    }
    if (environment_lock(&lock, config->data, failure, err) && environment_open_file(&file, path, false, err))
        json = look(&file, verifies, config->store_limit, err);
    environment_close(&file);
    environment_close(&lock);
    return json;
}

/* The daemon's answer, or one's own where none runs. */
static json_t *ask(const struct cli_args *args, const char *path, bool verifies, int *exit_code)
{
    struct err err = ERR_INIT;
    enum store_failure failure;
    if (args->socket)
        return cli_ask(args, "GET", path, NULL, exit_code);
    struct config *config = config_load_with(cli_config_path(args), adapters, false, &err);
    if (!config) {
        *exit_code = cli_fail(78, "%s", err.text);
        return NULL;
    }
    json_t *json = look_at_rest(config, verifies, &failure, &err);
    if (!json && failure == STORE_IN_USE)
        json = cli_ask(args, "GET", path, NULL, exit_code);
    else if (!json)
        *exit_code = cli_fail(74, "%s", err.text);
    config_free(config);
    return json;
}

static int show_sizes(const struct cli_args *args)
{
    int exit_code = 0;
    json_t *sizes = ask(args, "/v1/store", false, &exit_code);
    return !sizes ? exit_code : args->json ? cli_print_json(sizes) : print_sizes(sizes);
}

static int verify_file(const struct cli_args *args, const char *path)
{
    struct environment env;
    struct err err = ERR_INIT;
    json_t *json = environment_open_file(&env, path, true, &err) ? look(&env, true, 0, &err) : NULL;
    environment_close(&env);
    return json ? print_verified(json, args->json) : cli_fail(74, "%s", err.text);
}

static int verify_store(const struct cli_args *args)
{
    int exit_code = 0;
    json_t *verified = ask(args, "/v1/store/verify", true, &exit_code);
    return verified ? print_verified(verified, args->json) : exit_code;
}

/* ---- backup ------------------------------------------------------------------------------------------------ */

static void print_progress(json_t *backup)
{
    int64_t bytes = cli_number(backup, "bytes"), of = cli_number(backup, "of_bytes");
    int percent = of > 0 ? (int)(100 * bytes / of) : 0;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%d %%", percent < 100 ? percent : 99);
}

static int end_backup(const struct cli_args *args, json_t *status)
{
    json_t *backup = json_object_get(status, "backup");
    char room[32], took[32];
    bool is_done = strcmp(cli_text(backup, "state"), "done") == 0;
    if (isatty(STDERR_FILENO))
        fputs("\r     \r", stderr);
    if (args->json)
        cli_print_json(json_incref(backup));
    else if (is_done)
        printf("%s: %s in %s\n", cli_text(backup, "path"), cli_size(cli_number(backup, "bytes"), room),
               cli_duration(cli_number(backup, "took_ms"), took));
    int exit_code = is_done ? 0 : args->json ? 74 : cli_fail(74, "no backup: %s", cli_text(backup, "text"));
    json_decref(status);
    return exit_code;
}

/* The daemon makes it: the path is one of its own machine, and absolute. */
static int make_backup(const struct cli_args *args, const char *path)
{
    char absolute[8400], folder[4096];
    int exit_code = 0;
    if (path[0] != '/' && !getcwd(folder, sizeof folder))
        return cli_fail(74, "the working folder has no name: %s", strerror(errno));
    snprintf(absolute, sizeof absolute, "%s%s%.4000s", path[0] == '/' ? "" : folder, path[0] == '/' ? "" : "/", path);
    json_t *answer = cli_ask(args, "POST", "/v1/store/backup", json_pack("{s:s}", "path", absolute), &exit_code);
    if (!answer)
        return exit_code;
    json_decref(answer);
    for (;;) {
        json_t *status = cli_ask(args, "GET", "/v1/store", NULL, &exit_code);
        if (!status)
            return exit_code;
        json_t *backup = json_object_get(status, "backup");
        if (strcmp(cli_text(backup, "state"), "runs") != 0)
            return end_backup(args, status);
        print_progress(backup);
        json_decref(status);
        usleep(100000);
    }
}

/* ---- compact, restore ------------------------------------------------------------------------------------------ */

static int compact(const struct cli_args *args, const struct config *config)
{
    struct err err = ERR_INIT;
    enum store_failure failure;
    int64_t before, after;
    char room[2][32];
    if (!rest_compact(config->data, &before, &after, &failure, &err))
        return failure == STORE_IN_USE ? in_use(&err) : cli_fail(74, "%s", err.text);
    if (args->json)
        return cli_print_json(
            json_pack("{s:I, s:I}", "before_bytes", (json_int_t)before, "after_bytes", (json_int_t)after));
    printf("from %s to %s\n", cli_size(before, room[0]), cli_size(after, room[1]));
    return 0;
}

static const char *my_name(void)
{
    const struct passwd *account = getpwuid(getuid());
    return account ? account->pw_name : "?";
}

static int put_back(const struct cli_args *args, const struct config *config, const char *path)
{
    struct err err = ERR_INIT;
    enum store_failure failure;
    struct restored restored;
    struct restore_options options = {.folder = config->data,
                                      .backup = path,
                                      .resends = args->resend,
                                      .author = {my_name(), args->why ? args->why : "restored from a backup"}};
    if (!restore(&options, &restored, &failure, &err))
        return failure == STORE_IN_USE ? in_use(&err) : cli_fail(74, "%s", err.text);
    if (args->json)
        return cli_print_json(json_pack("{s:I, s:I, s:I, s:s, s:b}", "waiting", (json_int_t)restored.waiting,
                                        "paused_campaigns", (json_int_t)restored.paused, "tripped_flows",
                                        (json_int_t)restored.tripped, "aside", restored.aside, "resends",
                                        args->resend));
    printf("%s takes the place of the store", path);
    if (restored.aside[0])
        printf(", which is in %s now", restored.aside);
    printf("\n%lld effects wait in it", (long long)restored.waiting);
    if (restored.waiting)
        printf(args->resend
                   ? "; all of them will be sent"
                   : "; those that cannot be told from a repeat will be held as unknown when the daemon starts");
    if (restored.paused)
        printf("\n%lld campaigns are paused", (long long)restored.paused);
    if (restored.tripped)
        printf("\n%lld flows are tripped: what waits in their inbox, or was due, may have run since (headgate reset)",
               (long long)restored.tripped);
    printf("\nevents that were acknowledged after the backup are not in it\n");
    return 0;
}

static int at_rest(const struct cli_args *args, const char *path)
{
    struct err err = ERR_INIT;
    struct config *config = config_load_with(cli_config_path(args), adapters, false, &err);
    if (!config)
        return cli_fail(78, "%s", err.text);
    int exit_code = path ? put_back(args, config, path) : compact(args, config);
    config_free(config);
    return exit_code;
}

int cli_store(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    const char *what = args.count > 0 ? args.rest[0] : "";
    const char *path = args.count > 1 ? args.rest[1] : NULL;
    log_open(LOG_LEVEL_WARNING, LOG_STYLE_GUESS);
    if (args.count == 0)
        return show_sizes(&args);
    if (strcmp(what, "verify") == 0)
        return path ? verify_file(&args, path) : verify_store(&args);
    if (strcmp(what, "backup") == 0 && path)
        return make_backup(&args, path);
    if (strcmp(what, "compact") == 0 && !path)
        return at_rest(&args, NULL);
    if (strcmp(what, "restore") == 0 && path)
        return at_rest(&args, path);
    return cli_fail(64, "usage: headgate %s\n(headgate store --help says more)", help.usage);
}
