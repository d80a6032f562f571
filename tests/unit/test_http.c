/* test_http.c - the HTTP client against our own server on loopback, and against nobody */
#include "core/net/http.h"
#include "core/net/server.h"

#include "test.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#define PATIENCE_MS 10000

static uv_loop_t loop;
static struct server *server;
static struct http *http;
static char url[200];            /* of the server */
static struct request *kept[20]; /* by the handler `keep` */
static unsigned calls;           /* of the handler */

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

/* What a callback was told. */
struct told {
    unsigned times;
    int status;
    bool sent;
    char *body, *failure, *answer_header; /* owned */
};

static void tell(const struct http_reply *reply, void *context)
{
    struct told *told = context;
    told->times++;
    told->status = reply->status;
    told->sent = reply->sent;
    told->body = mem_copy(reply->body);
    told->failure = mem_text(reply->failure);
    told->answer_header = mem_copy(http_header(reply, "x-answer"));
}

static bool is_told(void *context)
{
    return ((struct told *)context)->times > 0;
}

static void forget(struct told *told)
{
    assert_int_equal(told->times, 1);
    free(told->body);
    free(told->failure);
    free(told->answer_header);
}

static void begin_with(server_handler handler, const struct http_options *options,
                       const struct server_options *server_options)
{
    struct err err = ERR_INIT;
    signal(SIGPIPE, SIG_IGN);
    calls = 0;
    memset(kept, 0, sizeof kept);
    uv_loop_init(&loop);
    server = server_open(&loop, server_options, handler, NULL, &err);
    assert_non_null(server);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/a%%2Fb?q=1", server_port(server));
    http = http_open(&loop, options, &err);
    assert_non_null(http);
}

static void begin(server_handler handler)
{
    begin_with(handler, &(struct http_options){0},
               &(struct server_options){.host = "127.0.0.1", .body_limit = 20 << 20});
}

static void end(void)
{
    http_close(http);
    server_close(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static struct told ask(const struct http_request *request)
{
    struct told told = {0};
    http_send(http, request, tell, &told);
    assert_int_equal(told.times, 0); /* never before it returned */
    run_until(is_told, &told);
    return told;
}

static struct told get(void)
{
    return ask(&(struct http_request){.method = "GET", .url = url, .is_idempotent = true});
}

/* ---- handlers -------------------------------------------------------------------------------------- */

static void echo(struct request *request, void *context)
{
    (void)context;
    calls++;
    request_reply_header(request, "X-Answer", "  yes ");
    request_reply(request, 422, "text/plain", request_body(request));
}

static void say_hello(struct request *request, void *context)
{
    (void)context;
    calls++;
    const char *header = request_header(request, "X-Thing");
    struct buf text = BUF_INIT(1000);
    buf_addf(&text, "%s %s %s", request_method(request), request_raw_path(request), header ? header : "-");
    request_reply(request, 200, "text/plain", buf_slice(&text));
    buf_clear(&text);
}

static void cut_all_but_the_first(struct request *request, void *context)
{
    if (calls == 0)
        say_hello(request, context);
    else if (++calls)
        request_cut(request);
}

static void keep(struct request *request, void *context)
{
    (void)context;
    kept[calls++] = request;
}

static void redirect(struct request *request, void *context)
{
    (void)context;
    calls++;
    request_reply_header(request, "Location", "/elsewhere");
    request_reply(request, 302, NULL, SLICE_NONE);
}

static bool has_calls(void *context)
{
    return calls >= *(unsigned *)context;
}

/* ---- the sentences ------------------------------------------------------------------------------------ */

TEST(method_path_and_headers_arrive_as_they_were_given)
{
    begin(say_hello);
    const char *headers[] = {"X-Thing: t", NULL};
    struct told told = ask(&(struct http_request){.method = "PUT", .url = url, .headers = headers});
    assert_int_equal(told.status, 200);
    assert_true(told.sent);
    assert_null(told.failure);
    assert_string_equal(told.body, "PUT /a%2Fb t");
    forget(&told);
    end();
}

TEST(an_answer_that_says_no_is_an_answer)
{
    begin(echo);
    struct told told = ask(&(struct http_request){.method = "POST", .url = url, .body = slice_of("hi")});
    assert_int_equal(told.status, 422);
    assert_string_equal(told.body, "hi");
    assert_string_equal(told.answer_header, "yes");
    forget(&told);
    end();
}

TEST(five_megabytes_go_both_ways)
{
    begin(echo);
    size_t size = 5 << 20;
    char *large = mem_new(size);
    memset(large, 'x', size);
    struct told told = ask(&(struct http_request){
        .method = "POST", .url = url, .body = {large, size}, .reply_limit = 10 << 20, .is_idempotent = true});
    assert_int_equal(told.status, 422);
    assert_int_equal(strlen(told.body), size);
    free(large);
    forget(&told);
    end();
}

TEST(an_answer_over_the_limit_is_no_answer)
{
    begin(echo);
    struct told told =
        ask(&(struct http_request){.method = "POST", .url = url, .body = slice_of("0123456789"), .reply_limit = 9});
    assert_int_equal(told.status, 0);
    assert_true(told.sent);
    assert_string_equal(told.failure, "the answer is larger than 9 bytes");
    forget(&told);
    end();
}

TEST(where_nobody_listens_nothing_was_sent)
{
    begin(echo);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound but not listening: refused for sure */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    struct told told = ask(&(struct http_request){.method = "POST", .url = url, .body = slice_of("hi")});
    assert_int_equal(told.status, 0);
    assert_false(told.sent);
    assert_non_null(strstr(told.failure, "connect"));
    close(fd);
    forget(&told);
    end();
}

TEST(a_request_that_may_not_be_repeated_is_sent_once_when_the_connection_is_cut)
{
    begin(cut_all_but_the_first);
    struct told first = get(); /* leaves an idle connection behind */
    assert_int_equal(first.status, 200);
    struct told told = ask(&(struct http_request){.method = "POST", .url = url, .body = slice_of("hi")});
    assert_int_equal(told.status, 0);
    assert_true(told.sent);
    assert_string_equal(told.failure, "the connection was closed without an answer");
    assert_int_equal(calls, 2);
    forget(&first);
    forget(&told);
    end();
}

TEST(silence_is_no_answer_after_the_timeout)
{
    begin(keep);
    struct told told = ask(&(struct http_request){.method = "GET", .url = url, .timeout_ms = 200});
    assert_int_equal(told.status, 0);
    assert_true(told.sent);
    assert_string_equal(told.failure, "no answer within 0.2 s");
    request_cut(kept[0]);
    forget(&told);
    end();
}

TEST(a_header_with_a_line_end_is_refused_and_not_shown)
{
    begin(echo);
    const char *headers[] = {"Authorization: secret\r\nX-Evil: 1", NULL};
    struct told told = ask(&(struct http_request){.method = "GET", .url = url, .headers = headers});
    assert_int_equal(told.status, 0);
    assert_false(told.sent);
    assert_non_null(strstr(told.failure, "not one line"));
    assert_null(strstr(told.failure, "secret"));
    assert_int_equal(calls, 0);
    forget(&told);
    end();
}

TEST(only_http_is_spoken)
{
    begin(echo);
    struct told told = ask(&(struct http_request){.method = "GET", .url = "file:///etc/passwd"});
    assert_int_equal(told.status, 0);
    assert_false(told.sent);
    forget(&told);
    end();
}

TEST(a_redirect_is_not_followed)
{
    begin(redirect);
    struct told told = get();
    assert_int_equal(told.status, 302);
    assert_int_equal(calls, 1);
    forget(&told);
    end();
}

TEST(proxies_of_the_environment_are_not_asked)
{
    setenv("http_proxy", "http://127.0.0.1:9", 1);
    begin(say_hello);
    struct told told = get();
    assert_int_equal(told.status, 200);
    forget(&told);
    end();
    unsetenv("http_proxy");
}

TEST(what_is_too_much_at_once_waits_its_turn)
{
    begin_with(keep, &(struct http_options){.connections = 2}, &(struct server_options){.host = "127.0.0.1"});
    struct told told[5] = {0};
    for (size_t i = 0; i < 5; i++)
        http_send(http, &(struct http_request){.method = "GET", .url = url, .is_idempotent = true}, tell, &told[i]);
    for (unsigned answered = 0; answered < 5; answered++) {
        unsigned expected = answered + 2 > 5 ? 5 : answered + 2;
        run_until(has_calls, &expected);
        assert_int_equal(calls, expected);
        request_reply(kept[answered], 200, NULL, SLICE_NONE);
        run_until(is_told, &told[answered]);
    }
    for (size_t i = 0; i < 5; i++)
        forget(&told[i]);
    end();
}

TEST(closing_ends_requests_without_a_call_back)
{
    begin(keep);
    struct told under_way = {0}, waiting = {0};
    http_send(http, &(struct http_request){.method = "GET", .url = url}, tell, &under_way);
    unsigned one = 1;
    run_until(has_calls, &one);
    http_send(http, &(struct http_request){.method = "GET", .url = url}, tell, &waiting);
    http_close(http);
    http = NULL;
    request_cut(kept[0]);
    end();
    assert_int_equal(under_way.times + waiting.times, 0);
}

static void close_client(const struct http_reply *reply, void *context)
{
    tell(reply, context);
    http_close(http);
    http = NULL;
}

TEST(a_callback_may_close_the_client)
{
    begin(say_hello);
    struct told first = {0}, second = {0};
    http_send(http, &(struct http_request){.method = "GET", .url = url}, close_client, &first);
    http_send(http, &(struct http_request){.method = "GET", .url = "nonsense://"}, tell, &second);
    run_until(is_told, &first);
    forget(&first);
    if (second.times)
        forget(&second);
    end();
}

TEST(a_unix_socket_can_be_asked)
{
    char path[100];
    snprintf(path, sizeof path, "%s/s", test_folder());
    begin_with(say_hello, &(struct http_options){.socket = path}, &(struct server_options){.socket = path});
    struct told told =
        ask(&(struct http_request){.method = "GET", .url = "http://headgate/status", .is_idempotent = true});
    assert_int_equal(told.status, 200);
    assert_string_equal(told.body, "GET /status -");
    forget(&told);
    end();
}

TEST(an_escaped_text_is_one_segment)
{
    struct buf out = BUF_INIT(100);
    assert_true(http_escape(&out, slice_of("a/b c?d#e%f.~_-\xc3\xbc")));
    assert_string_equal(out.data, "a%2Fb%20c%3Fd%23e%25f.~_-%C3%BC");
    buf_clear(&out);
}

TEST(plain_http_is_for_this_machine_only)
{
    static const struct {
        const char *url;
        bool is_good;
    } rows[] = {{"https://api.example.com", true},
                {"https://api.example.com/jsm/ops", true},
                {"http://127.0.0.1:8282", true},
                {"http://localhost:8282", true},
                {"http://[::1]:8282", true},
                {"http://api.example.com", false},
                {"http://127.0.0.1.example.com", false},
                {"http://localhost.example.com", false},
                {"http://10.0.0.1", false},
                {"https://user:secret@api.example.com", false},
                {"https://api.example.com?x=1", false},
                {"https://api.example.com#x", false},
                {"ftp://127.0.0.1", false},
                {"api.example.com", false},
                {"", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = ERR_INIT;
        if (http_check_base(rows[i].url, &err) != rows[i].is_good)
            fail_msg("%s: %s", rows[i].url, err.text);
        assert_true(rows[i].is_good == (err.text[0] == '\0'));
    }
}

TEST(an_address_out_of_reach_is_not_connected_to_whatever_its_name)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "2130706433"};
    begin_with(say_hello, &(struct http_options){.reach = HTTP_PUBLIC}, &(struct server_options){.host = "127.0.0.1"});
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char where[200];
        snprintf(where, sizeof where, "http://%s:%d/", names[i], server_port(server));
        struct told told = ask(&(struct http_request){.method = "GET", .url = where, .is_idempotent = true});
        assert_int_equal(told.status, 0);
        assert_false(told.sent);
        if (!strstr(told.failure, "which is no public one"))
            fail_msg("%s", told.failure);
        forget(&told);
    }
    assert_int_equal(calls, 0);
    end();
    begin_with(say_hello, &(struct http_options){.reach = HTTP_PRIVATE}, &(struct server_options){.host = "127.0.0.1"});
    struct told told = get();
    assert_int_equal(told.status, 200);
    forget(&told);
    end();
}
