/* run.c - `headgate run`: the daemon
 *
 *      config ─► engine (store, lanes, flows) ─► admin API ─► ready
 *      SIGHUP ─► headgate.yaml is read again (engine/reload.c)
 *      SIGTERM, SIGINT ─► engine stops: sources are silent, what is under way ends ─► admin closed, last commit ─► exit
 * 0 a second one ─► exit at once; the store is as after a crash, which is a road we have built
 *
 * The admin API answers while the daemon drains, so that /readyz can say so and a person can watch.  systemd is told
 * of each step; its watchdog is fed from the loop, so a loop that hangs is noticed. */
#include "core/cli/cli.h"

#include "core/admin/admin.h"
#include "core/base/log.h"
#include "core/base/notify.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_help help = {
    .usage = "run [-c FILE] [--watch] [--verbose] [--log STYLE]",
    .text =
        "Runs the daemon in the foreground until SIGTERM or SIGINT.  At start, flows and rules that are new in their\n"
        "folders are deployed (a new flow's gate is off), and those that differ from what is released are reported.\n"
        "With --watch, saving a file deploys it: for writing flows.\n\n"
        "SIGTERM drains: sources are silent, what is under way may end, at most ten seconds; then it ends with 0.\n"
        "SIGHUP reads headgate.yaml and the secrets again (`headgate reload --help` says more); on a terminal it ends "
        "the\n"
        "daemon, as the terminal is gone then.\n"
        "Under systemd (Type=notify) it tells when it is ready, stops, and that it is alive (WatchdogSec=).",
    .options = "cWvL"};

struct daemon {
    uv_loop_t loop;
    struct engine *engine;
    struct admin *admin; /* NULL before it is opened and after it is closed */
    uv_signal_t terminate, interrupt, hang_up;
    uv_timer_t watchdog; /* says that the loop is alive; runs where systemd wants to know */
    bool is_stopping;
};

/* Both halves: events may come, and people and scrapers are answered. */
static void say_ready(struct daemon *daemon)
{
    if (!daemon->admin || !engine_is_ready(daemon->engine))
        return;
    log_info("ready");
    notify_say("READY=1\nSTATUS=ready");
}

static void on_ready(void *context)
{
    struct daemon *daemon = context;
    if (daemon->engine) /* else it is ready as soon as it is open, and the admin API is not yet there */
        say_ready(daemon);
}

static void on_alive(uv_timer_t *timer)
{
    (void)timer;
    notify_say("WATCHDOG=1");
}

/* Nothing is under way any more: the store closes next, and nobody may ask for it from now on. */
static void on_closing(void *context)
{
    struct daemon *daemon = context;
    if (daemon->admin)
        admin_close(daemon->admin);
    daemon->admin = NULL;
}

static void on_stopped(void *context)
{
    struct daemon *daemon = context;
    uv_close((uv_handle_t *)&daemon->terminate, NULL);
    uv_close((uv_handle_t *)&daemon->interrupt, NULL);
    uv_close((uv_handle_t *)&daemon->hang_up, NULL);
    uv_close((uv_handle_t *)&daemon->watchdog, NULL);
    log_info("stopped");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    if (daemon->is_stopping)
        _exit(128 + number);
    daemon->is_stopping = true;
    notify_say("STOPPING=1\nSTATUS=draining: what is under way may end");
    engine_stop(daemon->engine);
}

static void on_reloaded(void *context, bool ok, const char *text)
{
    (void)context, (void)text; /* the engine has said it in the log */
    notify_say("READY=1\nSTATUS=%s", ok ? "ready" : "ready; the last reload failed, and nothing was changed");
}

static void on_hang_up(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    static const struct author author = {"SIGHUP", "headgate.yaml is to be read again"};
    (void)number;
    notify_reloading();
    engine_reload(daemon->engine, &author, on_reloaded, daemon);
}

static void watch_signal(struct daemon *daemon, uv_signal_t *handle, uv_signal_cb then, int number)
{
    uv_signal_init(&daemon->loop, handle);
    handle->data = daemon;
    uv_signal_start(handle, then, number);
}

static void watch_over(struct daemon *daemon)
{
    uint64_t period_ms = (uint64_t)notify_watchdog_ms();
    watch_signal(daemon, &daemon->terminate, on_signal, SIGTERM);
    watch_signal(daemon, &daemon->interrupt, on_signal, SIGINT);
    /* From a terminal it says that the terminal is gone: nobody wants a daemon that stays behind. */
    watch_signal(daemon, &daemon->hang_up, isatty(STDIN_FILENO) ? on_signal : on_hang_up, SIGHUP);
    uv_timer_init(&daemon->loop, &daemon->watchdog);
    if (period_ms)
        uv_timer_start(&daemon->watchdog, on_alive, 0, period_ms);
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
    struct engine_options options = {.config = config,
                                     .watches = watches,
                                     .on_ready = on_ready,
                                     .on_closing = on_closing,
                                     .on_stopped = on_stopped,
                                     .context = &daemon};
    daemon.engine = engine_open(&daemon.loop, &options, &exit_code, &err);
    if (!daemon.engine)
        return give_up(&daemon, exit_code, &err);
    watch_over(&daemon);
    daemon.admin = admin_open(daemon.engine, &err);
    if (!daemon.admin) {
        daemon.is_stopping = true;
        engine_stop(daemon.engine);
        return give_up(&daemon, 73, &err);
    }
    say_ready(&daemon);
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    uv_loop_close(&daemon.loop);
    return 0;
}

static bool find_style(const char *name, enum log_style *style)
{
    static const char *const names[] = {"text", "journal", "json"};
    *style = LOG_STYLE_GUESS;
    for (size_t i = 0; name && i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            *style = (enum log_style)(LOG_STYLE_TEXT + i);
    return !name || *style != LOG_STYLE_GUESS;
}

int cli_run(int argc, char **argv)
{
    struct cli_args args;
    struct err err = ERR_INIT;
    enum log_style style;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    if (!find_style(args.log, &style))
        return cli_fail(64, "run: --log takes text, json or journal, not %s", args.log);
    signal(SIGHUP, SIG_IGN); /* until the daemon can read its configuration again */
    notify_open();
    log_open(args.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, style);
    struct config *config = config_load(cli_config_path(&args), &err);
    if (!config)
        return cli_fail(78, "%s", err.text);
    return run(config, args.watch);
}
