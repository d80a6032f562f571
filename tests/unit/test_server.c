/* test_server.c - the HTTP server against raw sockets: slow, broken and unwelcome clients */
#include "core/net/listener.h"
#include "core/net/server.h"

#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PATIENCE_MS 10000

static uv_loop_t loop;
static struct server *server;
static struct request *last; /* what the handler got and did not answer */
static unsigned calls;       /* of the handler */

/* ---- a loop that runs until something is true, a client that is not part of it ------------------ */

static void on_tick(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

static void run_until(bool (*is_true)(void *context), void *context)
{
    unsigned ticks = 0;
    uv_timer_t timer; /* so that the loop always wakes up to look */
    uv_timer_init(&loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, on_tick, 5, 5);
    while (!is_true(context) && ticks < PATIENCE_MS / 5)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(is_true(context));
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static bool has_last(void *context)
{
    (void)context;
    return last != NULL;
}

static void begin(const struct server_options *options, server_handler handler)
{
    struct err err = ERR_INIT;
    signal(SIGPIPE, SIG_IGN);
    last = NULL;
    calls = 0;
    uv_loop_init(&loop);
    server = server_open(&loop, options, handler, NULL, &err);
    assert_string_equal(err.text, "");
    assert_non_null(server);
}

static void end(void)
{
    server_close(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

struct heard {
    int fd;
    char text[4096]; /* what came, zero-terminated */
    size_t size;
    bool is_over; /* the connection was closed */
};

static bool listen_more(void *context)
{
    struct heard *heard = context;
    ssize_t size = recv(heard->fd, heard->text + heard->size, sizeof heard->text - 1 - heard->size, MSG_DONTWAIT);
    if (size > 0)
        heard->size += (size_t)size;
    else if (size == 0 || errno != EAGAIN)
        heard->is_over = true;
    heard->text[heard->size] = '\0';
    return heard->is_over;
}

static struct heard hear_all(int fd)
{
    struct heard heard = {.fd = fd};
    run_until(listen_more, &heard);
    close(fd);
    return heard;
}

/* ---- handlers ------------------------------------------------------------------------------------ */

static void echo(struct request *request, void *context)
{
    (void)context;
    calls++;
    struct buf text = BUF_INIT(10000);
    buf_addf(&text, "%s %s raw=%s q=%s h=%s uid=%u body=", request_method(request), request_path(request),
             request_raw_path(request), request_query(request, "q") ? request_query(request, "q") : "-",
             request_header(request, "x-thing") ? request_header(request, "x-thing") : "-", request_peer_uid(request));
    buf_add_slice(&text, request_body(request));
    request_reply_header(request, "X-Answer", "yes");
    request_reply(request, 201, "text/plain", buf_slice(&text));
    buf_clear(&text);
}

static void keep(struct request *request, void *context)
{
    (void)context;
    calls++;
    last = request;
}

static void cut(struct request *request, void *context)
{
    (void)context;
    calls++;
    request_cut(request);
}

static void close_server(struct request *request, void *context)
{
    (void)context;
    calls++;
    server_close(server);
    request_reply(request, 200, NULL, SLICE_NONE);
}

static const struct server_options loopback = {.host = "127.0.0.1"};

/* ---- the sentences --------------------------------------------------------------------------------- */

TEST(a_handler_sees_path_query_header_and_body)
{
    begin(&loopback, echo);
    int fd = dial();
    say(fd, "POST /a%2Fb%20c?q=1%262&z HTTP/1.1\r\nHost: x\r\nX-THING: t\r\nContent-Length: 5\r\nConnection: close"
            "\r\n\r\nhello");
    struct heard heard = hear_all(fd);
    assert_non_null(strstr(heard.text, "HTTP/1.1 201 "));
    assert_non_null(strstr(heard.text, "X-Answer: yes\r\n"));
    assert_non_null(strstr(heard.text, "POST /a/b c raw=/a%2Fb%20c q=1&2 h=t uid=4294967295 body=hello"));
    end();
}

TEST(two_requests_of_one_connection_are_answered_in_order)
{
    begin(&loopback, echo);
    int fd = dial();
    say(fd, "GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct heard heard = hear_all(fd);
    char *one = strstr(heard.text, "/one"), *two = strstr(heard.text, "/two");
    assert_true(one && two && one < two);
    end();
}

TEST(a_reply_may_come_later)
{
    begin(&loopback, keep);
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    run_until(has_last, NULL);
    assert_false(request_is_gone(last));
    request_reply(last, 200, "text/plain", slice_of("at last"));
    assert_non_null(strstr(hear_all(fd).text, "at last"));
    end();
}

static bool last_is_gone(void *context)
{
    (void)context;
    return request_is_gone(last);
}

TEST(a_client_that_left_is_noticed_while_its_reply_is_awaited)
{
    begin(&loopback, keep);
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    run_until(has_last, NULL);
    close(fd);
    run_until(last_is_gone, NULL);
    request_reply(last, 200, "text/plain", slice_of("nobody reads this"));
    end();
}

TEST(a_request_may_outlive_its_server)
{
    begin(&loopback, keep);
    int fd = dial();
    say(fd, "GET /held HTTP/1.1\r\nHost: x\r\nX-Thing: still\r\n\r\n");
    run_until(has_last, NULL);
    end();
    assert_true(request_is_gone(last));
    assert_string_equal(request_path(last), "/held");
    assert_string_equal(request_header(last, "X-Thing"), "still");
    request_reply(last, 200, "text/plain", slice_of("too late"));
    char byte;
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

TEST(a_handler_may_close_the_server)
{
    begin(&loopback, close_server);
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    hear_all(fd);
    assert_int_equal(calls, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

TEST(a_cut_request_gets_no_byte)
{
    begin(&loopback, cut);
    int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    assert_int_equal(hear_all(fd).size, 0);
    assert_int_equal(calls, 1);
    end();
}

TEST(a_body_over_the_limit_is_answered_413_and_never_handed_over)
{
    begin(&(struct server_options){.host = "127.0.0.1", .body_limit = 1000}, echo);
    int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nConnection: close\r\n\r\n");
    char body[1001];
    memset(body, 'x', sizeof body);
    assert_int_equal(write(fd, body, sizeof body), sizeof body);
    assert_non_null(strstr(hear_all(fd).text, "HTTP/1.1 413 "));
    assert_int_equal(calls, 0);
    end();
}

TEST(a_chunked_body_is_counted_too)
{
    begin(&(struct server_options){.host = "127.0.0.1", .body_limit = 8}, echo);
    int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            "5\r\nhello\r\n4\r\nmore\r\n0\r\n\r\n");
    assert_non_null(strstr(hear_all(fd).text, "HTTP/1.1 413 "));
    assert_int_equal(calls, 0);
    end();
}

/* ---- slow clients ------------------------------------------------------------------------------------ */

static bool dribble(void *context)
{
    struct heard *heard = context;
    static int64_t before;
    int64_t now = (int64_t)uv_hrtime() / 1000000;
    if (now - before > 100) { /* far more often than the idle limit */
        before = now;
        ssize_t ignored = send(heard->fd, "X-A: b\r\n", 8, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)ignored;
    }
    return listen_more(heard);
}

TEST(a_client_that_dribbles_is_cut_after_a_while)
{
    begin(&(struct server_options){.host = "127.0.0.1", .idle_timeout_s = 1}, echo);
    struct heard heard = {.fd = dial()};
    say(heard.fd, "GET / HTTP/1.1\r\nHost: x\r\n");
    run_until(dribble, &heard);
    close(heard.fd);
    assert_int_equal(calls, 0);
    end();
}

/* ---- a Unix socket -------------------------------------------------------------------------------------- */

static char socket_path[100];

static const char *new_path(void)
{
    static unsigned number;
    snprintf(socket_path, sizeof socket_path, "%s/%u.sock", test_folder(), number++);
    return socket_path;
}

static int dial_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path, path);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

TEST(a_unix_socket_is_for_its_owner_alone_and_goes_with_the_server)
{
    const char *path = new_path();
    begin(&(struct server_options){.socket = path}, echo);
    struct stat there;
    assert_int_equal(stat(path, &there), 0);
    assert_int_equal(there.st_mode & 0777, 0600);
    int fd = dial_unix(path);
    assert_true(fd >= 0);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char expected[40];
    snprintf(expected, sizeof expected, "uid=%u ", geteuid());
    assert_non_null(strstr(hear_all(fd).text, expected));
    end();
    assert_int_equal(stat(path, &there), -1);
}

/* Another user can only come in when the file's mode was opened by somebody: then the server itself says no. */
TEST(another_user_is_answered_403)
{
    if (geteuid() != 0)
        skip(); /* only root can play two users */
    const char *path = new_path();
    assert_int_equal(chmod(test_folder(), 0755), 0);
    begin(&(struct server_options){.socket = path}, echo);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(seteuid(65534), 0);
    int fd = dial_unix(path); /* the kernel notes who connects */
    assert_int_equal(seteuid(0), 0);
    assert_true(fd >= 0);
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(hear_all(fd).text, "HTTP/1.1 403 "));
    assert_int_equal(calls, 0);
    end();
}

TEST(the_socket_of_a_dead_process_is_replaced_that_of_a_living_one_is_not)
{
    const char *path = new_path();
    struct listener dead;
    struct err err = ERR_INIT;
    assert_true(listener_unix(&dead, path, &err));
    close(dead.fd); /* as a killed process leaves it: the file is still there */
    begin(&(struct server_options){.socket = path}, echo);
    listener_clear(&dead); /* the dead one's file is not there any more, so nothing is removed */
    assert_null(server_open(&loop, &(struct server_options){.socket = path}, echo, NULL, &err));
    assert_non_null(strstr(err.text, "another process is listening there"));
    int fd = dial_unix(path);
    assert_true(fd >= 0); /* the first is unharmed */
    close(fd);
    end();
}

TEST(a_file_that_is_no_socket_is_left_alone)
{
    const char *path = new_path();
    FILE *file = fopen(path, "w");
    fputs("precious", file);
    fclose(file);
    struct listener listener;
    struct err err = ERR_INIT;
    assert_false(listener_unix(&listener, path, &err));
    assert_non_null(strstr(err.text, "not a socket"));
    assert_int_equal(access(path, F_OK), 0);
}

TEST(a_port_that_is_taken_is_an_error_with_its_number)
{
    begin(&loopback, echo);
    struct err err = ERR_INIT;
    assert_null(server_open(&loop, &(struct server_options){.host = "127.0.0.1", .port = server_port(server)}, echo,
                            NULL, &err));
    assert_non_null(strstr(err.text, "Address already in use"));
    end();
}
