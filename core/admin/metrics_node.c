/* metrics_node.c - the node and its process */
#include "core/admin/metrics.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/version.h"
#include "core/net/webhooks.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void add_store(struct exposition *out, struct engine *engine)
{
    int64_t left_ms = engine_outage_ms(engine);
    exposition_family(out, "headgate_store_bytes", EXPOSITION_GAUGE, "Bytes of the store that are in use.");
    exposition_add(out, "", (double)store_used_bytes(engine_store(engine)));
    exposition_family(out, "headgate_store_limit_bytes", EXPOSITION_GAUGE,
                      "How large the store may grow; sources are paused at 90 % of it.");
    exposition_add(out, "", (double)engine_config(engine)->store_limit);
    exposition_family(out, "headgate_store_outage_seconds", EXPOSITION_GAUGE,
                      "How long the store could take it if all destinations were down from now on, at the rate of the "
                      "last minutes; +Inf: nothing comes in.");
    exposition_add(out, "", left_ms < 0 ? INFINITY : (double)left_ms / 1000);
    exposition_family(out, "headgate_store_state", EXPOSITION_GAUGE,
                      "1 for what the store is: ok, high (sources are paused) or full (commits are tried again).");
    static const char *const states[] = {"ok", "high", "full"};
    for (int i = 0; i < 3; i++)
        exposition_add(out, "", (int)store_get_state(engine_store(engine)) == i, "state", states[i]);
}

static void add_reload(struct exposition *out, const struct reloaded *reloaded)
{
    exposition_family(out, "headgate_reload_last_result", EXPOSITION_GAUGE,
                      "1 if headgate.yaml was good when it was read last, 0 if not: then nothing was changed.");
    exposition_add(out, "", reloaded->is_ok);
    exposition_family(out, "headgate_reload_last_success_timestamp_seconds", EXPOSITION_GAUGE,
                      "When it was read and good, since 1970.");
    exposition_add(out, "", (double)reloaded->success_ms / 1000);
}

static void add_log(struct exposition *out)
{
    static const char *const words[LOG_LEVELS] = {"debug", "info", "warning", "error"};
    exposition_family(out, "headgate_log_lines_total", EXPOSITION_COUNTER, "Lines of the log, by level.");
    for (int i = LOG_LEVEL_INFO; i < LOG_LEVELS; i++)
        exposition_add(out, "", (double)log_count((enum log_level)i), "level", words[i]);
}

static void add_webhook(void *context, const char *connection, const char *flow, int status, uint64_t count)
{
    char code[8];
    snprintf(code, sizeof code, "%d", status);
    exposition_add(context, "", (double)count, "source", connection, "flow", flow, "code", code);
}

static void add_webhooks(struct exposition *out, const struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    exposition_family(out, "headgate_webhook_requests_total", EXPOSITION_COUNTER,
                      "Requests of webhooks by how they were answered; 404: no flow has the path.");
    webhooks_each_count(webhooks, add_webhook, out);
}

void metrics_of_node(struct exposition *out, struct engine *engine)
{
    exposition_family(out, "headgate_build_info", EXPOSITION_GAUGE, "The program that runs; always 1.");
    exposition_add(out, "", 1, "version", VERSION, "environment", engine_config(engine)->environment);
    exposition_family(out, "headgate_ready", EXPOSITION_GAUGE,
                      "1 when flows are loaded and the daemon does not stop; /readyz knows more.");
    exposition_add(out, "", engine_is_ready(engine) && !engine_is_stopping(engine));
    add_store(out, engine);
    add_reload(out, engine_reloaded(engine));
    add_log(out);
    add_webhooks(out, engine_webhooks(engine));
}

/* ---- the process: names and meanings as all exporters have them ------------------------------------------------- */

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static int count_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = -3; /* ".", "..", and the folder's own */
    for (; folder && readdir(folder); count++)
        ;
    if (folder)
        closedir(folder);
    return folder ? count : 0;
}

/* Virtual and resident size, in pages. */
static void read_sizes(double *virtual, double *resident)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages[2] = {0, 0};
    if (file && fscanf(file, "%ld %ld", &pages[0], &pages[1]) != 2)
        pages[0] = pages[1] = 0;
    if (file)
        fclose(file);
    *virtual = (double)pages[0] * (double)sysconf(_SC_PAGESIZE);
    *resident = (double)pages[1] * (double)sysconf(_SC_PAGESIZE);
}

/* When the process began: the moment is asked for once, so that it does not tremble. */
static double start_time(void)
{
    static double start;
    char line[1024] = "";
    unsigned long long ticks;
    FILE *file = start > 0 ? NULL : fopen("/proc/self/stat", "r");
    if (!file)
        return start;
    const char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL; /* a name may have spaces in it */
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    if (end && sscanf(end + 1, " %*c%*d%*d%*d%*d%*d%*u%*u%*u%*u%*u%*u%*u%*d%*d%*d%*d%*d%*d%llu", &ticks) == 1)
        start = (double)clock_now_ms() / 1000 - ((double)up.tv_sec + (double)up.tv_nsec / 1e9)
                + (double)ticks / (double)sysconf(_SC_CLK_TCK);
    fclose(file);
    return start;
}

void metrics_of_process(struct exposition *out)
{
    struct rusage used;
    struct rlimit files = {0, 0};
    double virtual, resident;
    getrusage(RUSAGE_SELF, &used);
    getrlimit(RLIMIT_NOFILE, &files);
    read_sizes(&virtual, &resident);
    exposition_family(out, "process_cpu_seconds_total", EXPOSITION_COUNTER, "User and system time spent.");
    exposition_add(out, "", seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime));
    exposition_family(out, "process_resident_memory_bytes", EXPOSITION_GAUGE,
                      "Memory in use; pages of the store's map "
                      "that were read count here, too.");
    exposition_add(out, "", resident);
    exposition_family(out, "process_virtual_memory_bytes", EXPOSITION_GAUGE, "Address space in use.");
    exposition_add(out, "", virtual);
    exposition_family(out, "process_open_fds", EXPOSITION_GAUGE, "Open file descriptors.");
    exposition_add(out, "", count_fds());
    exposition_family(out, "process_max_fds", EXPOSITION_GAUGE, "How many there may be.");
    exposition_add(out, "", (double)files.rlim_cur);
    exposition_family(out, "process_start_time_seconds", EXPOSITION_GAUGE, "When the process began, since 1970.");
    exposition_add(out, "", start_time());
}
