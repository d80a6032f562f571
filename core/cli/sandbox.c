/* sandbox.c - `headgate sandbox`: the far sides, simulated on loopback
 *
 * Starts the simulator of every adapter that has one, says what runs where and what to write into
 * headgate.yaml, and runs until SIGINT or SIGTERM.  Its arguments are the simulators' own options
 * (`opsgenie_port` is `--opsgenie-port`), so a new simulator brings its arguments with it.
 *
 * What a simulator says while it starts has two kinds of lines:
 *
 *     OpsGenie API  http://127.0.0.1:8282          a service: its label, two spaces, where it is
 *       alerts: {adapter: opsgenie, ...}           two spaces first: a connection for headgate.yaml
 *
 * `--ready-file` is written once everything listens, in one step (by rename): a JSON object from
 * label ("opsgenie_api") to place. */
#include "core/adapter.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define SIMULATORS_MAX 16
#define SAYS_MAX 16384

int cli_sandbox(int argc, char **argv);

struct stage {
    const struct simulator *simulator;
    struct settings *settings; /* its options, as the arguments say */
    void *running;             /* what start gave; NULL: not running */
};

struct sandbox {
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    struct stage stages[SIMULATORS_MAX];
    size_t count;           /* of stages */
    const char *ready_file; /* NULL: none is wanted */
    struct buf says;        /* what the simulators said */
    bool wants_help;
};

static void collect(struct sandbox *sandbox)
{
    for (size_t i = 0; adapters[i] && sandbox->count < SIMULATORS_MAX; i++) {
        const struct simulator *simulator = adapters[i]->simulator;
        if (simulator)
            sandbox->stages[sandbox->count++] =
                (struct stage){.simulator = simulator, .settings = settings_new(simulator->options)};
    }
}

/* ---- arguments ------------------------------------------------------------------------------------- */

static void argument_name(const struct option *option, char *name, size_t room)
{
    snprintf(name, room, "--%s", option->name);
    for (char *c = name + 2; *c; c++)
        *c = *c == '_' ? '-' : *c;
}

static const struct option *find_option(struct sandbox *sandbox, const char *argument, struct stage **stage)
{
    char name[80];
    for (size_t i = 0; i < sandbox->count; i++) {
        *stage = &sandbox->stages[i];
        for (const struct option *option = (*stage)->simulator->options; option->name; option++) {
            argument_name(option, name, sizeof name);
            if (strcmp(name, argument) == 0)
                return option;
        }
    }
    return NULL;
}

static bool set_option(struct settings *settings, const struct option *option, const char *value, struct err *err)
{
    int64_t number;
    if (option->kind == OPTION_TEXT || option->kind == OPTION_SECRET) {
        number = (int64_t)strlen(value);
        if (option->most && (number < option->least || number > option->most))
            return err_set(err, "must have %lld to %lld bytes", (long long)option->least, (long long)option->most);
        settings_set_text(settings, option->name, slice_of(value));
        return true;
    }
    if (!settings_parse(option->kind, value, &number))
        return err_set(err, "\"%s\" cannot be read. %s", value, option->help);
    if ((option->least || option->most) && (number < option->least || number > option->most))
        return err_set(err, "%s is not from %lld to %lld", value, (long long)option->least, (long long)option->most);
    settings_set_number(settings, option->name, number);
    return true;
}

static bool read_argument(struct sandbox *sandbox, const char *name, const char *value, struct err *err)
{
    struct stage *stage;
    if (strcmp(name, "--ready-file") == 0) {
        sandbox->ready_file = value;
        return value || err_set(err, "a path is missing");
    }
    const struct option *option = find_option(sandbox, name, &stage);
    if (!option)
        return err_set(err, "no such argument; `headgate sandbox -h` lists them");
    return value ? set_option(stage->settings, option, value, err)
                 : err_set(err, "a value is missing. %s", option->help);
}

static bool read_arguments(struct sandbox *sandbox, int argc, char **argv, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            sandbox->wants_help = true;
            return true;
        }
        char *equals = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;
        char *name = equals ? strndup(argv[i], (size_t)(equals - argv[i])) : mem_text(argv[i]);
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        bool ok = read_argument(sandbox, name, value, err) || err_wrap(err, "%s", name);
        free(name);
        if (!ok)
            return false;
    }
    return true;
}

static void print_help(const struct sandbox *sandbox)
{
    puts("usage: headgate sandbox [arguments]\n\n"
         "Plays the outside systems on 127.0.0.1, so that flows can be written and shown without an\n"
         "account anywhere.  Runs until Ctrl-C.  Each says at GET / what it can be asked.\n\n"
         "  --ready-file PATH            written once all of it listens: JSON, from service to place");
    for (size_t i = 0; i < sandbox->count; i++) {
        const struct simulator *simulator = sandbox->stages[i].simulator;
        printf("\n%s: %s\n", simulator->name, simulator->summary);
        for (const struct option *option = simulator->options; option->name; option++) {
            char name[80];
            argument_name(option, name, sizeof name);
            printf("  %-28s %s", name, option->help);
            if (option->fallback)
                printf(" (%s)", option->fallback);
            putchar('\n');
        }
    }
    puts("\nexit: 0 stopped by a signal, 64 wrong arguments, 69 something could not start (a port is taken)");
}

/* ---- what runs where --------------------------------------------------------------------------------- */

/* Calls for each line that `says` holds. */
static void each_line(const struct sandbox *sandbox, void (*each)(struct slice line, struct buf *out), struct buf *out)
{
    struct slice rest = buf_slice(&sandbox->says);
    while (rest.size) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end ? (size_t)(end - rest.data) : rest.size;
        each((struct slice){rest.data, size}, out);
        size += end ? 1 : 0;
        rest = (struct slice){rest.data + size, rest.size - size};
    }
}

static bool is_connection(struct slice line)
{
    return line.size > 2 && memcmp(line.data, "  ", 2) == 0;
}

static void add_service(struct slice line, struct buf *out)
{
    if (!is_connection(line))
        buf_addf(out, "  %.*s\n", SLICE_ARG(line));
}

static void add_connection(struct slice line, struct buf *out)
{
    if (is_connection(line))
        buf_addf(out, "  %.*s\n", SLICE_ARG(line));
}

static void add_ready(struct slice line, struct buf *out)
{
    const char *gap = is_connection(line) || !line.size ? NULL : memmem(line.data, line.size, "  ", 2);
    if (!gap)
        return;
    buf_add_text(out, out->size > 1 ? ",\n \"" : "\"");
    for (const char *c = line.data; c < gap; c++)
        buf_add_char(out, *c == ' ' ? '_' : (char)tolower((unsigned char)*c));
    while (gap < line.data + line.size && *gap == ' ')
        gap++;
    buf_add_text(out, "\": ");
    buf_add_json(out, (struct slice){gap, (size_t)(line.data + line.size - gap)});
}

static void print_places(const struct sandbox *sandbox)
{
    struct buf out = BUF_INIT(4 * SAYS_MAX);
    buf_add_text(&out, "The sandbox is running:\n\n");
    each_line(sandbox, add_service, &out);
    buf_add_text(&out, "\nTo use it, in headgate.yaml:\n\n  connections:\n");
    each_line(sandbox, add_connection, &out);
    buf_add_text(&out, "\nCtrl-C stops it.\n");
    fwrite(out.data, 1, out.size, stdout);
    fflush(stdout);
    buf_clear(&out);
}

static bool write_ready_file(const struct sandbox *sandbox, struct err *err)
{
    if (!sandbox->ready_file)
        return true;
    struct buf out = BUF_INIT(4 * SAYS_MAX), path = BUF_INIT(4096);
    buf_add_text(&out, "{");
    each_line(sandbox, add_ready, &out);
    buf_add_text(&out, "}\n");
    buf_addf(&path, "%s.new", sandbox->ready_file);
    FILE *file = fopen(path.data, "w");
    bool ok = file && fwrite(out.data, 1, out.size, file) == out.size;
    if (file)
        ok = fclose(file) == 0 && ok;
    ok = ok && rename(path.data, sandbox->ready_file) == 0;
    if (!ok)
        err_set(err, "--ready-file %s: %s", sandbox->ready_file, strerror(errno));
    buf_clear(&out);
    buf_clear(&path);
    return ok;
}

/* ---- running ------------------------------------------------------------------------------------------- */

static void stop_all(struct sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->count; i++) {
        if (sandbox->stages[i].running)
            sandbox->stages[i].simulator->stop(sandbox->stages[i].running);
        sandbox->stages[i].running = NULL;
    }
    if (!uv_is_closing((uv_handle_t *)&sandbox->interrupt)) {
        uv_close((uv_handle_t *)&sandbox->interrupt, NULL);
        uv_close((uv_handle_t *)&sandbox->terminate, NULL);
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    stop_all(signal->data);
}

static bool start_all(struct sandbox *sandbox, struct err *err)
{
    for (size_t i = 0; i < sandbox->count; i++) {
        struct stage *stage = &sandbox->stages[i];
        stage->running = stage->simulator->start(&sandbox->loop, stage->settings, &sandbox->says, err);
        if (!stage->running)
            return err_wrap(err, "sandbox");
    }
    return sandbox->count > 0 || err_set(err, "sandbox: no adapter of this program has a simulator");
}

static int run(struct sandbox *sandbox)
{
    struct err err = ERR_INIT;
    uv_loop_init(&sandbox->loop);
    uv_signal_init(&sandbox->loop, &sandbox->interrupt);
    uv_signal_init(&sandbox->loop, &sandbox->terminate);
    sandbox->interrupt.data = sandbox->terminate.data = sandbox;
    uv_signal_start(&sandbox->interrupt, on_signal, SIGINT);
    uv_signal_start(&sandbox->terminate, on_signal, SIGTERM);

    bool ok = start_all(sandbox, &err);
    if (ok) {
        print_places(sandbox);
        ok = write_ready_file(sandbox, &err);
    }
    if (!ok) {
        fprintf(stderr, "headgate: %s\n", err.text);
        stop_all(sandbox);
    }
    uv_run(&sandbox->loop, UV_RUN_DEFAULT); /* until all that stop_all closes is closed */
    uv_loop_close(&sandbox->loop);
    return ok ? EX_OK : EX_UNAVAILABLE;
}

int cli_sandbox(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct sandbox sandbox = {.says = BUF_INIT(SAYS_MAX)};
    int code = EX_USAGE;
    collect(&sandbox);
    if (!read_arguments(&sandbox, argc, argv, &err)) {
        fprintf(stderr, "headgate: sandbox: %s\n", err.text);
    } else if (sandbox.wants_help) {
        print_help(&sandbox);
        code = EX_OK;
    } else {
        code = run(&sandbox);
    }
    for (size_t i = 0; i < sandbox.count; i++)
        settings_free(sandbox.stages[i].settings);
    buf_clear(&sandbox.says);
    return code;
}
