/* run.c - `headgate run`: the daemon
 *
 *      config ─► engine (store, lanes, flows) ─► admin socket ─► ready
 *      SIGTERM, SIGINT ─► admin closed ─► engine stops: what is under way ends, last commit ─► exit 0
 *      a second one ─► exit at once; the store is as after a crash, which is a road we have built
 */
#include "core/cli/cli.h"

#include "core/admin/admin.h"
#include "core/base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_help help = {
    .usage = "run [-c FILE] [--watch] [--verbose]",
    .text =
        "Runs the daemon in the foreground until SIGTERM or SIGINT.  At start, flows and rules that are new in their\n"
        "folders are deployed (a new flow's gate is off), and those that differ from what is released are reported.\n"
        "With --watch, saving a file deploys it: for writing flows.",
    .options = "cWv"};

struct daemon {
    uv_loop_t loop;
    struct engine *engine;
    struct admin *admin;
    uv_signal_t terminate, interrupt;
    bool is_stopping;
};

static void on_ready(void *context)
{
    (void)context;
    log_info("ready");
}

static void close_signals(struct daemon *daemon)
{
    uv_close((uv_handle_t *)&daemon->terminate, NULL);
    uv_close((uv_handle_t *)&daemon->interrupt, NULL);
}

static void on_stopped(void *context)
{
    close_signals(context);
    log_info("stopped");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    if (daemon->is_stopping)
        _exit(128 + number);
    daemon->is_stopping = true;
    admin_close(daemon->admin);
    engine_stop(daemon->engine);
}

static void watch_signal(struct daemon *daemon, uv_signal_t *handle, int number)
{
    uv_signal_init(&daemon->loop, handle);
    handle->data = daemon;
    uv_signal_start(handle, on_signal, number);
}

/* Ends the loop's handles; used when the start failed. */
static int give_up(struct daemon *daemon, int exit_code, const struct err *err)
{
    log_error("%s", err->text);
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    uv_loop_close(&daemon->loop);
    return exit_code;
}

static int run(struct config *config, bool watches)
{
    static struct daemon daemon;
    struct err err = ERR_INIT;
    int exit_code = 70;
    uv_loop_init(&daemon.loop);
    struct engine_options options = {
        .config = config, .watches = watches, .on_ready = on_ready, .on_stopped = on_stopped, .context = &daemon};
    daemon.engine = engine_open(&daemon.loop, &options, &exit_code, &err);
    if (!daemon.engine)
        return give_up(&daemon, exit_code, &err);
    watch_signal(&daemon, &daemon.terminate, SIGTERM);
    watch_signal(&daemon, &daemon.interrupt, SIGINT);
    daemon.admin = admin_open(daemon.engine, &err);
    if (!daemon.admin) {
        daemon.is_stopping = true;
        engine_stop(daemon.engine);
        return give_up(&daemon, 73, &err);
    }
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    uv_loop_close(&daemon.loop);
    return 0;
}

int cli_run(int argc, char **argv)
{
    struct cli_args args;
    struct err err = ERR_INIT;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    log_open(args.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    struct config *config = config_load(cli_config_path(&args), &err);
    if (!config)
        return cli_fail(78, "%s", err.text);
    return run(config, args.watch);
}
