/* opsgenie_scene.h - the simulated OpsGenie in a thread of its own, and a blocking client of it */
#ifndef HEADGATE_TESTS_UNIT_OPSGENIE_SCENE_H
#define HEADGATE_TESTS_UNIT_OPSGENIE_SCENE_H

#include "core/adapter.h"

#include "test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <sys/socket.h>

extern const struct simulator simulator_opsgenie;

#define ANSWER_MAX ((size_t)32 << 20)
#define DEADLINE_S 10
#define KEY "GenieKey sandbox"

/* A scene is static: when a test fails, its thread lives on, and must not do so on a stack that is gone. */

/* ---- the simulator in its thread -------------------------------------------------------------------- */

struct scene {
    uv_loop_t loop;
    uv_async_t stopper;
    uv_thread_t thread;
    struct settings *settings;
    void *simulator;
    int port;
};

static void on_stop(uv_async_t *stopper)
{
    struct scene *scene = stopper->data;
    simulator_opsgenie.stop(scene->simulator);
    uv_close((uv_handle_t *)stopper, NULL);
}

static void run_loop(void *context)
{
    struct scene *scene = context;
    uv_run(&scene->loop, UV_RUN_DEFAULT);
}

static void scene_open(struct scene *scene, int64_t delay_ms, int64_t limit, int64_t burst)
{
    struct err err = ERR_INIT;
    struct buf says = BUF_INIT(4096);
    scene->settings = settings_new(simulator_opsgenie.options);
    settings_set_number(scene->settings, "opsgenie_port", 0);
    settings_set_number(scene->settings, "opsgenie_delay", delay_ms);
    settings_set_number(scene->settings, "opsgenie_limit", limit);
    settings_set_number(scene->settings, "opsgenie_burst", burst);
    uv_loop_init(&scene->loop);
    uv_async_init(&scene->loop, &scene->stopper, on_stop);
    scene->stopper.data = scene;
    scene->simulator = simulator_opsgenie.start(&scene->loop, scene->settings, &says, &err);
    if (!scene->simulator)
        fail_msg("%s", err.text);
    scene->port = atoi(strstr(says.data, "127.0.0.1:") + strlen("127.0.0.1:"));
    buf_clear(&says);
    uv_thread_create(&scene->thread, run_loop, scene);
}

static void scene_close(struct scene *scene)
{
    uv_async_send(&scene->stopper);
    uv_thread_join(&scene->thread);
    assert_int_equal(uv_loop_close(&scene->loop), 0); /* every handle was closed */
    settings_free(scene->settings);
}

/* ---- a client ------------------------------------------------------------------------------------------ */

struct answer {
    int status;   /* 0: the connection was cut */
    char *text;   /* head and body; freed by the next call */
    json_t *json; /* of the body, or NULL; likewise */
};

static struct answer last; /* of the latest call: a test looks at one at a time */

static void forget_last(void)
{
    free(last.text);
    json_decref(last.json);
    last = (struct answer){0};
}

static int dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval deadline = {.tv_sec = DEADLINE_S};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    return fd;
}

static void request_write(int fd, const char *method, const char *path, const char *key, const char *type,
                          const char *body)
{
    struct buf out = BUF_INIT(ANSWER_MAX);
    buf_addf(&out, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", method, path);
    if (key)
        buf_addf(&out, "Authorization: %s\r\n", key);
    if (type)
        buf_addf(&out, "Content-Type: %s\r\n", type);
    buf_addf(&out, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    assert_int_equal(send(fd, out.data, out.size, MSG_NOSIGNAL), (ssize_t)out.size);
    buf_clear(&out);
}

static int call_with(struct scene *scene, const char *method, const char *path, const char *key, const char *type,
                     const char *body)
{
    forget_last();
    int fd = dial(scene->port);
    request_write(fd, method, path, key, type, body);
    struct buf in = BUF_INIT(ANSWER_MAX);
    char piece[16384];
    for (ssize_t size; (size = recv(fd, piece, sizeof piece, 0)) > 0;)
        buf_add(&in, piece, (size_t)size);
    close(fd);
    last.text = buf_take(&in);
    const char *start = strstr(last.text, "\r\n\r\n");
    last.json = start ? json_loads(start + 4, 0, NULL) : NULL;
    last.status = start ? atoi(last.text + strlen("HTTP/1.1 ")) : 0;
    return last.status;
}

static int call(struct scene *scene, const char *method, const char *path, const char *body)
{
    return call_with(scene, method, path, KEY, *body ? "application/json" : NULL, body);
}

/* "data.status" of the latest answer. */
static const json_t *member(const char *path)
{
    const json_t *at = last.json;
    while (at && *path) {
        size_t size = strcspn(path, ".");
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)size, path);
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(name)) : json_object_get(at, name);
        path += size + (path[size] == '.');
    }
    return at;
}

static const char *text(const char *path)
{
    const char *value = json_string_value(member(path));
    return value ? value : "";
}

static int number(const char *path)
{
    return json_is_boolean(member(path)) ? json_is_true(member(path)) : (int)json_integer_value(member(path));
}

/* Sends a write and waits until it was carried out; its request's status is the latest answer then. */
static bool carried_out(struct scene *scene, const char *method, const char *path, const char *body)
{
    assert_int_equal(call(scene, method, path, body), 202);
    assert_string_equal(text("result"), "Request will be processed");
    char status[200];
    snprintf(status, sizeof status, "/v2/alerts/requests/%s", text("requestId"));
    while (call(scene, "GET", status, "") == 404)
        assert_non_null(strstr(last.text, "X-Opsgenie-Errortype: RequestNotProcessed"));
    assert_int_equal(last.status, 200);
    assert_int_equal(number("data.success"), number("data.isSuccess"));
    return number("data.isSuccess");
}

static bool create(struct scene *scene, const char *alias)
{
    char body[600];
    snprintf(body, sizeof body, "{\"message\":\"disk full\",\"alias\":\"%s\"}", alias);
    return carried_out(scene, "POST", "/v2/alerts", body);
}

static void fault(struct scene *scene, const char *wish)
{
    if (call_with(scene, "POST", "/sandbox/opsgenie/faults", NULL, NULL, wish) != 200)
        fail_msg("%s", last.text);
}

static int summary(struct scene *scene, const char *name)
{
    call_with(scene, "GET", "/sandbox/opsgenie/summary", NULL, NULL, "");
    return number(name);
}

#endif
