/* test_webhooks.c - what comes in at the door, and what is answered when */
#include "core/net/webhooks.h"

#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

static uv_loop_t loop;
static struct webhooks *webhooks;
static struct proof *proof;
static struct webhook_call *calls[10]; /* that arrived */
static size_t call_count;

static const struct option options[] = {PROOF_OPTIONS, OPTION_END};

static void begin(void)
{
    struct err err = ERR_INIT;
    struct settings *settings = settings_new(options);
    signal(SIGPIPE, SIG_IGN);
    settings_set_text(settings, "webhook_verify", slice_of("bearer"));
    settings_set_text(settings, "webhook_secret", slice_of("hush"));
    assert_true(proof_open(settings, &proof, &err));
    settings_free(settings);
    call_count = 0;
    uv_loop_init(&loop);
    webhooks = webhooks_open(&loop, &(struct webhooks_options){.host = "127.0.0.1", .body_limit = 2000}, &err);
    assert_string_equal(err.text, "");
}

static void end(void)
{
    webhooks_close(webhooks);
    proof_close(proof);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void on_arrived(struct webhook_call *call, void *context)
{
    (void)context;
    calls[call_count++] = call;
}

static struct webhook *open_route(const char *path, int64_t rate_per_day, struct err *err)
{
    return webhook_open(webhooks,
                        &(struct webhook_options){.connection = "shop",
                                                  .flow = "orders",
                                                  .path = path,
                                                  .methods = "POST PUT",
                                                  .proof = proof,
                                                  .body_limit = 1000,
                                                  .rate_per_day = rate_per_day,
                                                  .shakes_hands = true,
                                                  .arrived = on_arrived},
                        err);
}

static struct webhook *route(int64_t rate_per_day)
{
    struct err err = ERR_INIT;
    struct webhook *opened = open_route(NULL, rate_per_day, &err);
    assert_string_equal(err.text, "");
    return opened;
}

/* ---- a client ------------------------------------------------------------------------------------- */

struct client {
    int fd;
    char text[4096]; /* what came back */
    size_t size;
};

static void on_tick(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

/* Until the answer is whole, or a call has arrived that was not there. */
static void run_until(struct client *client, size_t calls_wanted)
{
    unsigned ticks = 0;
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, on_tick, 5, 5);
    bool is_over = false;
    while (!is_over && ticks < 2000 && !(calls_wanted && call_count >= calls_wanted)) {
        uv_run(&loop, UV_RUN_ONCE);
        if (!client)
            continue;
        ssize_t size =
            recv(client->fd, client->text + client->size, sizeof client->text - 1 - client->size, MSG_DONTWAIT);
        client->size += size > 0 ? (size_t)size : 0;
        client->text[client->size] = '\0';
        is_over = size == 0 || (size < 0 && errno != EAGAIN);
    }
    assert_true(ticks < 2000);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static struct client send_request(const char *head, const char *body)
{
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)webhooks_port(webhooks)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct buf text = BUF_INIT(10000);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&to, sizeof to), 0);
    buf_addf(&text, "%s\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    assert_int_equal(write(client.fd, text.data, text.size), text.size);
    buf_clear(&text);
    return client;
}

#define KEY "\r\nAuthorization: Bearer hush"

static void answers(struct client *client, const char *start, const char *part)
{
    run_until(client, 0);
    close(client->fd);
    if (strncmp(client->text, start, strlen(start)) != 0 || !strstr(client->text, part))
        fail_msg("not \"%s\" with \"%s\": %s", start, part, client->text);
}

static void is_refused(const char *head, const char *body, const char *start, const char *part)
{
    struct client client = send_request(head, body);
    answers(&client, start, part);
    assert_int_equal(call_count, 0);
}

/* A request that arrives; its call is calls[0]. */
static struct client arrive(const char *body)
{
    struct client client = send_request("POST /hooks/shop/orders HTTP/1.1" KEY, body);
    run_until(&client, call_count + 1);
    assert_int_equal(client.size, 0);
    return client;
}

/* ---- ------------------------------------------------------------------------------------------------ */

TEST(what_may_not_come_in_is_refused_with_its_reason)
{
    begin();
    struct webhook *opened = route(0);
    char large[1002], larger[2002];
    memset(large, 'x', sizeof large);
    memset(larger, 'x', sizeof larger);
    large[1001] = larger[2001] = '\0';
    is_refused("POST /hooks/shop/other HTTP/1.1" KEY, "{}", "HTTP/1.1 404", "");
    is_refused("POST /hooks/shop/orders/ HTTP/1.1" KEY, "{}", "HTTP/1.1 404", "");
    is_refused("GET /hooks/shop/orders HTTP/1.1" KEY, "", "HTTP/1.1 405", "Allow: POST PUT");
    is_refused("POST /hooks/shop/orders HTTP/1.1", "{}", "HTTP/1.1 401", "WWW-Authenticate: Bearer");
    is_refused("POST /hooks/shop/orders HTTP/1.1\r\nAuthorization: Bearer hus", "{}", "HTTP/1.1 401", "");
    is_refused("POST /hooks/shop/orders HTTP/1.1" KEY, large, "HTTP/1.1 413", "");
    is_refused("POST /hooks/shop/orders HTTP/1.1" KEY, larger, "HTTP/1.1 413", "");
    webhook_close(opened);
    is_refused("POST /hooks/shop/orders HTTP/1.1" KEY, "{}", "HTTP/1.1 404", "");
    end();
}

TEST(a_request_is_answered_when_all_its_events_are_on_disk)
{
    begin();
    struct webhook *opened = route(0);
    struct client client = arrive("{\"a\":1}");
    assert_true(slice_is(request_body(webhook_request(calls[0])), "{\"a\":1}"));
    uint64_t token = webhook_token(calls[0]);
    webhook_expect(calls[0], 2);
    webhook_ack(token);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(recv(client.fd, client.text, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    webhook_ack(token);
    answers(&client, "HTTP/1.1 200", "ok");
    webhook_close(opened);
    end();
}

TEST(one_event_put_back_asks_for_all_of_them_again)
{
    begin();
    struct webhook *opened = route(0);
    struct client client = arrive("{}");
    uint64_t token = webhook_token(calls[0]);
    webhook_expect(calls[0], 2);
    webhook_put_back(token);
    webhook_ack(token);
    answers(&client, "HTTP/1.1 503", "Retry-After: 30");
    client = arrive("{}");
    webhook_refuse(calls[1], 415, "%s is not understood", "text/csv");
    answers(&client, "HTTP/1.1 415", "text/csv is not understood");
    client = arrive("[]");
    webhook_expect(calls[2], 0);
    answers(&client, "HTTP/1.1 200", "ok");
    webhook_close(opened);
    end();
}

TEST(a_request_outlives_its_route_and_its_client)
{
    begin();
    struct webhook *opened = route(0);
    struct client gone = arrive("{}"), client = arrive("{}");
    webhook_close(opened);
    close(gone.fd);
    for (int i = 0; i < 2; i++)
        webhook_expect(calls[i], 1);
    webhook_ack(webhook_token(calls[0]));
    webhook_ack(webhook_token(calls[1]));
    answers(&client, "HTTP/1.1 200", "ok");
    end();
}

TEST(requests_of_a_connection_that_answers_no_more_are_told_to_come_again)
{
    begin();
    struct webhook *opened = route(0);
    struct client client = arrive("{}");
    webhook_expect(calls[0], 2);
    webhooks_give_up(webhooks, "another");
    webhook_ack(webhook_token(calls[0]));
    webhook_close(opened);
    webhooks_give_up(webhooks, "shop");
    answers(&client, "HTTP/1.1 503", "Retry-After: 30");
    end();
}

TEST(requests_that_nobody_answered_end_with_the_listener)
{
    begin();
    struct webhook *opened = route(0);
    struct client client = arrive("{}");
    webhook_expect(calls[0], 1);
    webhook_close(opened);
    end();
    close(client.fd);
}

TEST(more_than_the_rate_is_told_when_to_come_again)
{
    begin();
    struct webhook *opened = route(24); /* one an hour */
    struct client client = arrive("{}");
    webhook_expect(calls[0], 0);
    answers(&client, "HTTP/1.1 200", "ok");
    call_count = 0;
    is_refused("POST /hooks/shop/orders HTTP/1.1", "{}", "HTTP/1.1 401", "");
    is_refused("POST /hooks/shop/orders HTTP/1.1" KEY, "{}", "HTTP/1.1 429", "Retry-After: 3600");
    is_refused("OPTIONS /hooks/shop/orders HTTP/1.1\r\nWebHook-Request-Origin: shop.example", "", "HTTP/1.1 200",
               "WebHook-Allowed-Rate: 1\r\n");
    webhook_close(opened);
    end();
}

TEST(the_consent_handshake_names_who_may_send)
{
    begin();
    struct webhook *opened = route(0);
    is_refused("OPTIONS /hooks/shop/orders HTTP/1.1\r\nWebHook-Request-Origin: shop.example", "", "HTTP/1.1 200",
               "WebHook-Allowed-Origin: shop.example\r\nWebHook-Allowed-Rate: *\r\n");
    webhook_close(opened);
    end();
}

static void add_count(void *context, const char *connection, const char *flow, int status, uint64_t count)
{
    if (count)
        buf_addf(context, "%s/%s %d: %d, ", connection, flow, status, (int)count);
}

TEST(every_request_is_counted_by_how_it_was_answered)
{
    struct buf text = BUF_INIT(1000);
    begin();
    struct webhook *opened = route(0);
    is_refused("POST /nowhere HTTP/1.1", "{}", "HTTP/1.1 404", "");
    is_refused("POST /hooks/shop/orders HTTP/1.1", "{}", "HTTP/1.1 401", "");
    struct client client = arrive("{}");
    webhook_close(opened); /* a release replaces it, and counts on */
    webhook_expect(calls[0], 0);
    answers(&client, "HTTP/1.1 200", "ok");
    opened = route(0);
    client = arrive("{}");
    webhook_refuse(calls[1], 418, "a teapot");
    answers(&client, "HTTP/1.1 418", "a teapot");
    webhooks_each_count(webhooks, add_count, &text);
    assert_string_equal(text.data, "shop/orders 200: 1, shop/orders 400: 1, shop/orders 401: 1, / 404: 1, ");
    buf_clear(&text);
    webhook_close(opened);
    end();
}

TEST(a_path_without_a_route_is_told_to_come_again_while_routes_may_be_on_their_way)
{
    begin();
    webhooks_unsettled(webhooks, true);
    is_refused("POST /hooks/shop/orders HTTP/1.1", "{}", "HTTP/1.1 503", "try again");
    webhooks_unsettled(webhooks, false);
    is_refused("POST /hooks/shop/orders HTTP/1.1", "{}", "HTTP/1.1 404", "");
    end();
}

TEST(a_path_belongs_to_one_flow)
{
    struct err err = ERR_INIT;
    begin();
    struct webhook *opened = route(0);
    struct buf text = BUF_INIT(200);
    webhook_describe(opened, &text);
    assert_non_null(strstr(text.data, "POST PUT http://127.0.0.1:"));
    assert_non_null(strstr(text.data, "/hooks/shop/orders"));
    buf_clear(&text);
    assert_null(open_route("/hooks/shop/orders", 0, &err));
    assert_string_equal(err.text, "flow orders, connection shop has the path /hooks/shop/orders already; give one of "
                                  "them another `path`");
    static const char *const wrong[] = {"", "/", "hooks", "/a/", "/a//b", "/a?b", "/a b", "/a%20", "/\xC3\xA4"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(open_route(wrong[i], 0, &err));
        assert_non_null(strstr(err.text, "is no path for webhooks"));
    }
    webhook_close(opened);
    opened = open_route("/hooks/shop/orders", 0, &err);
    assert_non_null(opened);
    webhook_close(opened);
    end();
}

TEST(without_a_listener_or_a_proof_nothing_is_opened)
{
    struct err err = ERR_INIT;
    assert_null(webhook_open(NULL, &(struct webhook_options){.path = "/a"}, &err));
    assert_non_null(strstr(err.text, "headgate.yaml needs `webhooks:"));
    begin();
    assert_null(webhook_open(webhooks, &(struct webhook_options){.path = "/a"}, &err));
    assert_non_null(strstr(err.text, "set `webhook_verify`"));
    end();
}
