/* fuzz_event.c - event bodies from anybody, through admission and a run
 *
 * The first byte chooses the format of the body.  A flow passes the body on: what comes out must mean what came in,
 * to a JSON reader that shares no code with ours.  Everything else is held with a reason. */
#include "fuzz.h"

#include "core/base/log.h"
#include "core/flow/run.h"

#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct config *config;
static struct rulebook rules;
static struct connection connection;
static struct instance *instances[2];
static enum run_outcome outcome;
static bool has_ended;

static const char lua[] = "return { run = function(event)\n"
                          "  broker.publish { exchange = 'x', key = 'k', body = event.body }\n"
                          "end }";

static struct connection *find_connection(void *context, const char *name)
{
    (void)context, (void)name;
    return &connection;
}

static struct config *load_config(void)
{
    static const char text[] = "environment: test\ndata: data\nconnections:\n"
                               "  broker: {adapter: amqp, url: \"amqp://127.0.0.1/\"}\n";
    char path[64];
    struct err err = ERR_INIT;
    int fd = memfd_create("headgate.yaml", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)(sizeof text - 1))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *loaded = config_load_with(path, adapters, false, &err);
    FUZZ_EXPECT(loaded, "%s\n", err.text);
    close(fd);
    return loaded;
}

static struct instance *load_flow(const char *format)
{
    char manifest[500];
    struct err err = ERR_INIT;
    struct instance_options options = {.config = config, .rulebook = &rules, .connection = find_connection};
    struct release *release = release_new(RELEASE_FLOW, "f");
    snprintf(manifest, sizeof manifest,
             "flow: f\ntitle: t\nowner: o\non: {broker: {exchange: x, keys: [k]}}\nuses: [broker]\n"
             "event: {id: none, time: %s, format: %s}\n",
             strcmp(format, "json") == 0 ? "body.time" : "properties.time", format);
    release_add(release, "flow.yaml", slice_of(manifest), &err);
    release_add(release, "flow.lua", slice_of(lua), &err);
    release_seal(release);
    struct instance *instance = instance_new(release, &options, &err);
    FUZZ_EXPECT(instance, "%s\n", err.text);
    return instance;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    config = load_config();
    connection = (struct connection){.name = config->connections->name,
                                     .environment = config->environment,
                                     .adapter = config->connections->adapter,
                                     .settings = config->connections->settings};
    instances[0] = load_flow("json");
    instances[1] = load_flow("text");
    return 0;
}

static void on_ended(struct run *run, enum run_outcome how)
{
    (void)run;
    outcome = how;
    has_ended = true;
}

/* JSON in, JSON out: the same value. */
static void check_value(struct slice in, const struct run *run)
{
    struct slice out = record_get(buf_slice(&run->asked[0].fields), "body");
    json_t *a = json_loadb(in.data, in.size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    json_t *b = json_loadb(out.data, out.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (a && (json_is_object(a) || json_is_array(a)))
        FUZZ_EXPECT(b && json_equal(a, b), "in:  %.*s\nout: %.*s\n", SLICE_ARG(in), SLICE_ARG(out));
    json_decref(a);
    json_decref(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct buf record = BUF_INIT((size_t)1 << 22);
    if (size < 1)
        return 0;
    struct slice body = {(const char *)data + 1, size - 1};
    bool is_text = data[0] == 't';
    record_add_text(&record, "body", body);
    struct run *run = run_new(instances[is_text], 1000);
    run->ended = on_ended;
    has_ended = false;
    if (run_admit(run, buf_slice(&record), "id", &err)) {
        run_start(run);
        FUZZ_EXPECT(has_ended, "the run neither ended nor failed\n");
        FUZZ_EXPECT(outcome == RUN_FINISHED || run->err.text[0], "it failed without a word\n");
        if (outcome == RUN_FINISHED && !is_text && run->asked_count == 1)
            check_value(body, run);
    } else {
        FUZZ_EXPECT(err.text[0], "it was refused without a word\n");
    }
    run_free(run);
    buf_clear(&record);
    return 0;
}
