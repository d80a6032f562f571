/* deploy.c - a new release: loaded, checked and tested beside the running one, then switched to between two events
 *
 *      asked ─► check: does it load? ─► test: its spec, in a process of its own ─► one change ─► switched
 *                 │ no: why                │ fails: what it printed
 *                 └────────────────────────┴──► nothing has changed
 *
 * A rule is checked with every flow that uses it: each must still load and pass its spec with the new rule.
 * One deploy at a time; the others wait. */
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEST_MS 60000      /* a spec that takes longer is ended */
#define LAST_OUTPUT_MS 500 /* after its end */
#define OUTPUT_MAX ((size_t)64 << 10)

/* A flow that is to be switched: its instance, loaded and checked, waits for the change to be on disk. */
struct switching {
    struct flow *flow; /* NULL: it is new and made then */
    struct instance *instance;
    struct switching *next;
};

struct deploy {
    struct engine *engine;
    struct release *release; /* what is to be live */
    char *who, *why;
    engine_done done;
    void *context;
    struct rulebook book; /* of the candidate, over the live rules */
    struct switching *switching;
    bool opens_gate; /* a flow that is new while watching begins with its gate on */

    char folder[4096]; /* where the candidate is laid out for its test */
    bool has_child;
    uv_process_t child;
    uv_pipe_t pipe;
    uv_timer_t timer;
    struct buf output;
    int64_t status;
    unsigned open_handles; /* of child, pipe, timer */
    bool timed_out;
    struct deploy *next;
};

static void begin_next(struct engine *engine);

/* ---- the end -------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about, (void)kind, (void)place;
    return remove(path);
}

static void free_deploy(struct deploy *deploy)
{
    while (deploy->switching) {
        struct switching *next = deploy->switching->next;
        instance_release(deploy->switching->instance);
        free(deploy->switching);
        deploy->switching = next;
    }
    if (deploy->folder[0])
        nftw(deploy->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    rulebook_clear(&deploy->book);
    release_free(deploy->release);
    buf_clear(&deploy->output);
    free(deploy->who);
    free(deploy->why);
    free(deploy);
}

static void end(struct deploy *deploy, bool ok, const char *text)
{
    struct engine *engine = deploy->engine;
    engine->deploys = deploy->next;
    if (!ok)
        log_warning("deploy: %s %s: nothing has changed: %s", release_kind_name(deploy->release->kind),
                    deploy->release->name, text);
    else
        log_info("deploy: %s", text);
    deploy->done(deploy->context, ok, text);
    free_deploy(deploy);
    begin_next(engine);
}

/* ---- the change --------------------------------------------------------------------------------------- */

static void on_committed(void *context)
{
    struct deploy *deploy = context;
    struct engine *engine = deploy->engine;
    struct release *release = deploy->release;
    char text[300];
    snprintf(text, sizeof text, "%s %s: release %.12s is live", release_kind_name(release->kind), release->name,
             release->hash);
    if (release->kind == RELEASE_RULE)
        rulebook_set(&engine->rules, map_remove(&deploy->book.rules, slice_of(release->name)));
    for (struct switching *each = deploy->switching; each; each = each->next) {
        struct flow *flow = each->flow ? each->flow : engine_add_flow(engine, each->instance->release->name);
        each->instance->rulebook = &engine->rules;
        flow_switch(flow, each->instance);
        each->instance = NULL;
        if (deploy->opens_gate)
            flow_set_gate(flow, true);
    }
    end(deploy, true, text);
}

static void commit(struct deploy *deploy)
{
    struct engine *engine = deploy->engine;
    struct release *release = deploy->release;
    struct gate_row row;
    struct author author = {deploy->who, deploy->why};
    char text[300];
    bool is_new = !gate_read(engine, release->kind, release->name, &row);
    struct change *change = change_new(on_committed, deploy);
    snprintf(text, sizeof text, "%s -> %s", row.live[0] ? row.live : "(none)", release->hash);
    memcpy(row.previous, row.live, sizeof row.previous);
    memcpy(row.live, release->hash, sizeof row.live);
    deploy->opens_gate = is_new && engine->watches && release->kind == RELEASE_FLOW;
    if (deploy->opens_gate)
        row.is_on = true;
    release_store(change, release, &author);
    gate_write(engine, change, release->kind, release->name, &row);
    audit_write(engine, change, &author, "deploy", release->name, text);
    store_commit(engine->store, change);
}

/* ---- the test ------------------------------------------------------------------------------------------- */

static void end_failed(struct deploy *deploy)
{
    struct buf text = BUF_INIT(2 * OUTPUT_MAX);
    buf_addf(&text, "%s %s: its spec fails, so nothing has changed\n%s", release_kind_name(deploy->release->kind),
             deploy->release->name, deploy->output.size ? deploy->output.data : "(it printed nothing)");
    end(deploy, false, text.data);
    buf_clear(&text);
}

static void judge(struct deploy *deploy)
{
    deploy->has_child = false;
    if (deploy->engine->is_stopping)
        end(deploy, false, "the daemon stops");
    else if (deploy->timed_out)
        end(deploy, false, "its spec did not end within 60 seconds");
    else if (deploy->status != 0)
        end_failed(deploy);
    else
        commit(deploy);
}

static void on_timeout(uv_timer_t *timer);

static void on_handle_closed(uv_handle_t *handle)
{
    struct deploy *deploy = handle->data;
    if (--deploy->open_handles == 0)
        judge(deploy);
}

static void close_if_over(struct deploy *deploy)
{
    /* Over when the child has ended and its output is read to the end: the timer is the last to be closed. */
    if (uv_is_closing((uv_handle_t *)&deploy->child) && uv_is_closing((uv_handle_t *)&deploy->pipe)
        && !uv_is_closing((uv_handle_t *)&deploy->timer))
        uv_close((uv_handle_t *)&deploy->timer, on_handle_closed);
}

/* The child leads a process group: what it started goes with it. */
static void kill_group(struct deploy *deploy)
{
    if (deploy->child.pid > 0)
        kill(-deploy->child.pid, SIGKILL);
}

static void on_child_exit(uv_process_t *child, int64_t status, int signal)
{
    struct deploy *deploy = child->data;
    deploy->status = signal ? 128 + signal : status;
    kill_group(deploy);
    uv_close((uv_handle_t *)child, on_handle_closed);
    /* Its output is read to the end; but somebody who left the group may hold the pipe open: not for long. */
    uv_timer_start(&deploy->timer, on_timeout, LAST_OUTPUT_MS, 0);
    close_if_over(deploy);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char chunk[16384]; /* one deploy at a time, and it is copied at once */
    (void)handle, (void)suggested;
    *buf = uv_buf_init(chunk, sizeof chunk);
}

static void on_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct deploy *deploy = stream->data;
    if (size > 0)
        buf_add(&deploy->output, buf->base, (size_t)size);
    if (size >= 0)
        return;
    uv_close((uv_handle_t *)stream, on_handle_closed);
    close_if_over(deploy);
}

static void on_timeout(uv_timer_t *timer)
{
    struct deploy *deploy = timer->data;
    if (!uv_is_closing((uv_handle_t *)&deploy->child)) {
        deploy->timed_out = true;
        kill_group(deploy);
    } else if (!uv_is_closing((uv_handle_t *)&deploy->pipe)) {
        uv_close((uv_handle_t *)&deploy->pipe, on_handle_closed);
        close_if_over(deploy);
    }
}

/* How it goes is told by the judge, also when the process cannot be started. */
static void spawn(struct deploy *deploy)
{
    struct engine *engine = deploy->engine;
    char rules[4200], target[4400];
    snprintf(rules, sizeof rules, "%s/rules", deploy->folder);
    snprintf(target, sizeof target, "%s/all", deploy->folder);
    char *args[] = {"headgate", "test", "--plain", "-c", engine->config->path, "--rules", rules, "--all", target, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&deploy->pipe},
        {.flags = UV_IGNORE}};
    uv_process_options_t options = {.file = "/proc/self/exe",
                                    .args = args,
                                    .stdio = stdio,
                                    .stdio_count = 3,
                                    .exit_cb = on_child_exit,
                                    .flags = UV_PROCESS_DETACHED};
    uv_pipe_init(engine->loop, &deploy->pipe, 0);
    uv_timer_init(engine->loop, &deploy->timer);
    deploy->child.data = deploy->pipe.data = deploy->timer.data = deploy;
    deploy->open_handles = 3;
    deploy->has_child = true;
    int status = uv_spawn(engine->loop, &deploy->child, &options);
    if (status != 0) {
        deploy->status = 70;
        buf_addf(&deploy->output, "the test could not be started: %s", uv_strerror(status));
        uv_close((uv_handle_t *)&deploy->child, on_handle_closed);
        uv_close((uv_handle_t *)&deploy->pipe, on_handle_closed);
        uv_close((uv_handle_t *)&deploy->timer, on_handle_closed);
        return;
    }
    uv_read_start((uv_stream_t *)&deploy->pipe, on_alloc, on_output);
    uv_timer_start(&deploy->timer, on_timeout, TEST_MS, 0);
}

struct writing {
    const char *folder;
    struct err *err;
    bool ok;
};

static void write_rule(void *context, struct slice name, void *value)
{
    struct writing *writing = context;
    (void)name;
    writing->ok = writing->ok && release_write(value, writing->folder, writing->err);
}

/* FOLDER/rules: all rules, the candidate among them; FOLDER/all: the flows to be tested; a rule's spec is beside it. */
static bool lay_out(struct deploy *deploy, struct err *err)
{
    char path[4200];
    snprintf(deploy->folder, sizeof deploy->folder, "%s/tmp", deploy->engine->config->data);
    if (!file_make_folder(deploy->folder, err))
        return false;
    snprintf(deploy->folder, sizeof deploy->folder, "%s/tmp/deploy-XXXXXX", deploy->engine->config->data);
    if (!mkdtemp(deploy->folder)) {
        deploy->folder[0] = '\0';
        return err_set(err, "cannot make a folder below %s/tmp", deploy->engine->config->data);
    }
    snprintf(path, sizeof path, "%s/rules", deploy->folder);
    struct writing writing = {path, err, true};
    if (!file_make_folder(path, err))
        return false;
    map_each(&deploy->engine->rules.rules, write_rule, &writing);
    map_each(&deploy->book.rules, write_rule, &writing);
    for (struct switching *each = deploy->switching; each && writing.ok; each = each->next) {
        snprintf(path, sizeof path, "%s/all/%s", deploy->folder, each->instance->release->name);
        writing.ok = file_make_folder(path, err) && release_write(each->instance->release, path, err);
    }
    snprintf(path, sizeof path, "%s/all", deploy->folder);
    if (writing.ok && deploy->release->kind == RELEASE_RULE) {
        /* Only the spec of the rule that changes: the others are tested when they change. */
        writing.ok = file_make_folder(path, err) && release_write(deploy->release, path, err);
    }
    return writing.ok;
}

/* ---- the check -------------------------------------------------------------------------------------------- */

static bool add_switching(struct deploy *deploy, struct flow *flow, struct release *release, struct err *err)
{
    struct instance_options options = engine_instance_options(deploy->engine, &deploy->book);
    struct instance *instance = instance_new(release, &options, err);
    if (!instance)
        return false;
    struct switching *switching = mem_zero(sizeof *switching);
    *switching = (struct switching){flow, instance, deploy->switching};
    deploy->switching = switching;
    return true;
}

static struct release *copy_release(const struct release *release, struct err *err)
{
    struct release *copy = release_new(release->kind, release->name);
    for (size_t i = 0; i < release->count; i++)
        if (!release_add(copy, release->files[i].path, release->files[i].content, err))
            abort(); /* it fitted before */
    release_seal(copy);
    return copy;
}

static bool check_rule(struct deploy *deploy, struct err *err)
{
    struct engine *engine = deploy->engine;
    rulebook_set(&deploy->book, copy_release(deploy->release, err));
    struct instance_options options = engine_instance_options(engine, &deploy->book);
    if (!instance_check_rule(deploy->release, &options, err))
        return false;
    for (size_t i = 0; i < engine->flow_count; i++) {
        struct instance *live = flow_live(engine->flows[i]);
        if (live && instance_uses_rule(live, deploy->release->name)
            && !add_switching(deploy, engine->flows[i], copy_release(live->release, err), err))
            return err_wrap(err, "flow %s, which uses it, does not load with it", flow_name(engine->flows[i]));
    }
    return true;
}

static bool check(struct deploy *deploy, struct err *err)
{
    struct release *release = deploy->release;
    if (release->kind == RELEASE_RULE)
        return check_rule(deploy, err);
    return add_switching(deploy, engine_flow(deploy->engine, release->name), copy_release(release, err), err);
}

static void begin(struct deploy *deploy)
{
    struct err err = ERR_INIT;
    struct gate_row row;
    struct release *release = deploy->release;
    if (gate_read(deploy->engine, release->kind, release->name, &row) && strcmp(row.live, release->hash) == 0) {
        char text[300];
        snprintf(text, sizeof text, "%s %s: release %.12s is live already", release_kind_name(release->kind),
                 release->name, release->hash);
        end(deploy, true, text);
    } else if (check(deploy, &err) && lay_out(deploy, &err)) {
        spawn(deploy);
    } else {
        end(deploy, false, err.text);
    }
}

static void begin_next(struct engine *engine)
{
    if (!engine->deploys)
        engine_check_ready(engine);
    else if (engine->is_stopping)
        end(engine->deploys, false, "the daemon stops");
    else
        begin(engine->deploys);
}

void engine_deploy(struct engine *engine, struct release *release, const struct author *author, engine_done done,
                   void *context)
{
    struct deploy *deploy = mem_zero(sizeof *deploy);
    deploy->engine = engine;
    deploy->release = release;
    deploy->who = mem_text(author->who);
    deploy->why = mem_text(author->why);
    deploy->done = done;
    deploy->context = context;
    deploy->book = (struct rulebook)RULEBOOK_INIT(&engine->rules);
    deploy->output = (struct buf)BUF_INIT(OUTPUT_MAX);
    struct deploy **end_of_line = &engine->deploys;
    while (*end_of_line)
        end_of_line = &(*end_of_line)->next;
    *end_of_line = deploy;
    if (engine->deploys == deploy)
        begin(deploy);
}

bool deploy_is_busy(const struct engine *engine)
{
    return engine->deploys != NULL;
}

void deploy_stop(struct engine *engine)
{
    if (engine->deploys && engine->deploys->has_child)
        kill_group(engine->deploys);
}

bool deploy_is_testing(const struct engine *engine)
{
    return engine->deploys && engine->deploys->has_child;
}
