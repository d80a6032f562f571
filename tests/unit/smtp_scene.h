/* smtp_scene.h - the simulated mailbox in a thread of its own, and a blocking client that knows SMTP by heart */
#ifndef HEADGATE_TESTS_UNIT_SMTP_SCENE_H
#define HEADGATE_TESTS_UNIT_SMTP_SCENE_H

#include "core/adapter.h"

#include "test.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

extern const struct simulator simulator_mailbox;

#define REPLY_MAX (1 << 20)
#define DEADLINE_S 10

#define HEADERS                                                                                                        \
    "Date: Sun, 22 Nov 2026 09:41:07 +0000\r\nFrom: Support <support@example.com>\r\nTo: <ada@example.net>\r\n"        \
    "Message-ID: <one@example.com>\r\nSubject: a test\r\n"
#define MAIL HEADERS "\r\nhello\r\n"

/* A scene is static: when a test fails, its thread lives on, and must not do so on a stack that is gone. */

/* ---- the simulator in its thread ---------------------------------------------------------------- */

struct scene {
    uv_loop_t loop;
    uv_async_t stopper;
    uv_thread_t thread;
    struct settings *settings;
    void *simulator;
    int smtp_port, http_port;
};

static void on_stop(uv_async_t *stopper)
{
    struct scene *scene = stopper->data;
    simulator_mailbox.stop(scene->simulator);
    uv_close((uv_handle_t *)stopper, NULL);
}

static void run_loop(void *context)
{
    struct scene *scene = context;
    uv_run(&scene->loop, UV_RUN_DEFAULT);
}

static int port_behind(const char *says, const char *label)
{
    const char *at = strstr(says, label);
    at = at ? strstr(at, "127.0.0.1:") : NULL;
    return at ? atoi(at + strlen("127.0.0.1:")) : 0;
}

/* `texts`: option, value, option, value, ..., NULL */
static void scene_open(struct scene *scene, const char *const *texts, bool is_tls)
{
    struct err err = ERR_INIT;
    struct buf says = BUF_INIT(4096);
    scene->settings = settings_new(simulator_mailbox.options);
    settings_set_number(scene->settings, "mailbox_smtp_port", 0);
    settings_set_number(scene->settings, "mailbox_port", 0);
    settings_set_number(scene->settings, "mailbox_size", 100000);
    settings_set_number(scene->settings, "mailbox_tls", is_tls);
    for (; texts && *texts; texts += 2)
        settings_set_text(scene->settings, texts[0], slice_of(texts[1]));
    uv_loop_init(&scene->loop);
    uv_async_init(&scene->loop, &scene->stopper, on_stop);
    scene->stopper.data = scene;
    scene->simulator = simulator_mailbox.start(&scene->loop, scene->settings, &says, &err);
    if (!scene->simulator)
        fail_msg("%s", err.text);
    scene->smtp_port = port_behind(says.data, "Mailbox SMTP");
    scene->http_port = port_behind(says.data, "Mailbox pages");
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

/* ---- a client ------------------------------------------------------------------------------------- */

struct client {
    int fd;
    SSL *ssl; /* NULL: in clear */
};

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

static void begin_tls(struct client *client)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    client->ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(client->ssl, client->fd);
    assert_int_equal(SSL_connect(client->ssl), 1);
}

static void client_write(struct client *client, const char *data, size_t size)
{
    if (client->ssl)
        assert_int_equal(SSL_write(client->ssl, data, (int)size), (int)size);
    else
        assert_int_equal(send(client->fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

static int client_byte(struct client *client, char *byte)
{
    return client->ssl ? SSL_read(client->ssl, byte, 1) : (int)recv(client->fd, byte, 1, 0);
}

/* The code of the next reply, its last line in `line`; 0: the connection is closed. */
static int reply_line(struct client *client, char *line, size_t room)
{
    size_t size = 0;
    char byte = 0;
    while (size + 1 < room && client_byte(client, &byte) == 1) {
        line[size++] = byte;
        if (byte != '\n')
            continue;
        line[size] = '\0';
        if (size >= 4 && line[3] == '-') {
            size = 0;
            continue;
        }
        return atoi(line);
    }
    line[size] = '\0';
    return 0;
}

static int reply(struct client *client)
{
    char line[600];
    return reply_line(client, line, sizeof line);
}

static int say(struct client *client, const char *text)
{
    client_write(client, text, strlen(text));
    return reply(client);
}

static struct client client_open(struct scene *scene)
{
    struct client client = {.fd = dial(scene->smtp_port)};
    return client;
}

static void client_close(struct client *client)
{
    SSL_free(client->ssl);
    close(client->fd);
}

static struct client client_greeted(struct scene *scene)
{
    struct client client = client_open(scene);
    assert_int_equal(reply(&client), 220);
    assert_int_equal(say(&client, "EHLO test.example.com\r\n"), 250);
    return client;
}

/* Up to 354; the code at which it stopped. */
static int begin_mail(struct client *client, const char *to)
{
    char line[600];
    snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", to);
    int code = say(client, "MAIL FROM:<support@example.com>\r\n");
    code = code == 250 ? say(client, line) : code;
    return code == 250 ? say(client, "DATA\r\n") : code;
}

static int send_mail(struct client *client, const char *to, const char *mail)
{
    int code = begin_mail(client, to);
    if (code != 354)
        return code;
    client_write(client, mail, strlen(mail));
    return say(client, ".\r\n");
}

/* One mail in a session of its own; the code of the reply to the dot, or at which it stopped. */
static int bring(struct scene *scene, const char *to, const char *mail)
{
    struct client client = client_greeted(scene);
    int code = send_mail(&client, to, mail);
    client_close(&client);
    return code;
}

/* The body of the answer; the test frees it. */
static char *http(struct scene *scene, const char *method, const char *path, const char *body)
{
    struct client client = {.fd = dial(scene->http_port)};
    struct buf out = BUF_INIT(REPLY_MAX);
    buf_addf(&out, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method, path,
             strlen(body), body);
    client_write(&client, out.data, out.size);
    buf_reset(&out);
    char piece[4096];
    for (ssize_t size; (size = recv(client.fd, piece, sizeof piece, 0)) > 0;)
        buf_add(&out, piece, (size_t)size);
    close(client.fd);
    const char *start = out.data ? strstr(out.data, "\r\n\r\n") : NULL;
    assert_non_null(start);
    char *text = mem_text(start + 4);
    buf_clear(&out);
    return text;
}

static void shows(struct scene *scene, const char *path, const char *wanted)
{
    char *text = http(scene, "GET", path, "");
    if (!strstr(text, wanted))
        fail_msg("%s shows no %s but: %s", path, wanted, text);
    free(text);
}

static void fault(struct scene *scene, const char *wish)
{
    char *text = http(scene, "POST", "/sandbox/mailbox/faults", wish);
    assert_null(strstr(text, "error"));
    free(text);
}

#define SUMMARY "/sandbox/mailbox/summary"
#define VIOLATIONS "/sandbox/mailbox/violations"

#endif
