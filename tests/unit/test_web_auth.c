/* test_web_auth.c - who we are: one token for all who ask, renewed once; signatures; secrets that nobody is told */
#include "adapters/http/web.h"
#include "core/net/server.h"

#include "test.h"

#include <signal.h>

extern const struct adapter adapter_http;

static uv_loop_t loop;
static struct server *server;
static struct settings *settings;
static struct connection connection;
static struct web_auth *auth;
static unsigned asked;   /* requests for a token */
static int status;       /* of their answer */
static const char *life; /* expires_in of their answer */
static char form[1000];  /* of the last one */
static char basic[1000]; /* its Authorization */

static void give_token(struct request *request, void *context)
{
    (void)context;
    struct buf text = BUF_INIT(1000);
    const char *given = request_header(request, "Authorization");
    snprintf(form, sizeof form, "%.*s", SLICE_ARG(request_body(request)));
    snprintf(basic, sizeof basic, "%s", given ? given : "");
    buf_addf(&text, status == 200 ? "{\"access_token\":\"token-%u\",\"expires_in\":%s}" : "not for quiet-please %u %s",
             ++asked, life);
    request_reply(request, status, status == 200 ? "application/json" : "text/plain", buf_slice(&text));
    buf_clear(&text);
}

static void set(const char *name, const char *value)
{
    settings_set_text(settings, name, slice_of(value));
}

static void begin(void)
{
    struct err err = ERR_INIT;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    server = server_open(&loop, &(struct server_options){.host = "127.0.0.1"}, give_token, NULL, &err);
    settings = settings_new(adapter_http.options);
    set("base", "https://api.example.com");
    asked = 0;
    status = 200;
    life = "3600";
}

static void open_auth(void)
{
    struct err err = ERR_INIT;
    connection = (struct connection){.name = "partner", .settings = settings, .loop = &loop, .adapter = &adapter_http};
    auth = web_auth_open(&connection, &err);
    if (!auth)
        fail_msg("%s", err.text);
}

static void open_oauth(void)
{
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/token", server_port(server));
    settings_set_number(settings, "private", 1);
    set("oauth", url);
    set("client_id", "me & you");
    set("client_secret", "quiet-please\n");
    set("scope", "read write");
    settings_add_pair(settings, "oauth_fields", slice_of("audience"), slice_of("https://api"));
    open_auth();
}

static void end(void)
{
    web_auth_close(auth);
    auth = NULL;
    server_close(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    settings_free(settings);
}

/* What somebody who asked was told. */
struct told {
    char line[200]; /* "-": none */
    struct web_verdict trouble;
    bool is_told;
};

static void tell(const char *line, const struct web_verdict *trouble, void *context)
{
    struct told *told = context;
    assert_false(told->is_told);
    snprintf(told->line, sizeof told->line, "%s", line ? line : "-");
    if (trouble)
        told->trouble = *trouble;
    told->is_told = true;
}

static void wait_for(const struct told *told)
{
    for (int turns = 0; !told->is_told && turns < 5000; turns++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(told->is_told);
}

static struct told ask(const char *refused)
{
    struct told told = {.is_told = false};
    web_auth_line(auth, refused, tell, &told);
    wait_for(&told);
    return told;
}

TEST(all_who_ask_share_one_token)
{
    begin();
    open_oauth();
    struct told told[5] = {{.is_told = false}};
    for (int i = 0; i < 5; i++)
        web_auth_line(auth, NULL, tell, &told[i]);
    for (int i = 0; i < 5; i++) {
        wait_for(&told[i]);
        assert_string_equal(told[i].line, "Authorization: Bearer token-1");
    }
    assert_string_equal(ask(NULL).line, "Authorization: Bearer token-1");
    assert_int_equal(asked, 1);
    assert_string_equal(form, "grant_type=client_credentials&scope=read%20write&audience=https%3A%2F%2Fapi");
    assert_string_equal(basic, "Basic bWUlMjAlMjYlMjB5b3U6cXVpZXQtcGxlYXNl");
    end();
}

TEST(id_and_secret_stand_in_the_form_where_the_far_side_wants_them_there)
{
    begin();
    set("oauth_style", "body");
    open_oauth();
    ask(NULL);
    assert_string_equal(basic, "");
    assert_non_null(strstr(form, "&client_id=me%20%26%20you&client_secret=quiet-please"));
    end();
}

TEST(a_refused_token_is_renewed_once_however_many_were_refused_with_it)
{
    begin();
    open_oauth();
    struct told first = ask(NULL), told[3] = {{.is_told = false}};
    for (int i = 0; i < 3; i++)
        web_auth_line(auth, first.line, tell, &told[i]);
    for (int i = 0; i < 3; i++)
        wait_for(&told[i]);
    assert_string_equal(told[2].line, "Authorization: Bearer token-2");
    assert_string_equal(ask(first.line).line, "Authorization: Bearer token-2"); /* late: it is renewed already */
    assert_int_equal(asked, 2);
    end();
}

TEST(an_expired_token_is_fetched_again)
{
    begin();
    life = "1"; /* and a tenth of it is early */
    open_oauth();
    ask(NULL);
    usleep(950 * 1000);
    assert_string_equal(ask(NULL).line, "Authorization: Bearer token-2");
    end();
}

TEST(without_a_token_everybody_is_told_later_and_nobody_the_secret)
{
    begin();
    open_oauth();
    status = 401;
    struct told told = ask(NULL);
    assert_string_equal(told.line, "-");
    assert_int_equal(told.trouble.kind, WEB_LATER);
    assert_true(told.trouble.is_our_key);
    assert_int_equal(told.trouble.pause_ms, 60000);
    assert_non_null(strstr(told.trouble.text, "no OAuth token: HTTP 401"));
    assert_null(strstr(told.trouble.text, "quiet-please"));
    status = 503;
    told = ask(NULL);
    assert_int_equal(told.trouble.kind, WEB_LATER);
    assert_false(told.trouble.is_our_key);
    status = 204;
    assert_non_null(strstr(ask(NULL).trouble.text, "there is none in the answer"));
    status = 200;
    assert_string_equal(ask(NULL).line, "Authorization: Bearer token-4");
    end();
}

TEST(who_closes_while_a_token_is_fetched_is_not_called_back)
{
    begin();
    open_oauth();
    struct told told = {.is_told = false};
    web_auth_line(auth, NULL, tell, &told);
    end();
    assert_false(told.is_told);
}

TEST(the_other_ways_have_a_line_at_once)
{
    begin();
    set("user", "Aladdin");
    set("password", "open sesame\n");
    open_auth();
    assert_string_equal(ask(NULL).line, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    end();
    begin();
    set("key", "hush-hush");
    set("key_header", "X-Api-Key");
    open_auth();
    assert_string_equal(ask(NULL).line, "X-Api-Key: hush-hush");
    end();
    begin();
    open_auth();
    assert_string_equal(ask(NULL).line, "");
    end();
}

static void refused(const char *why, const char *const *said)
{
    struct err err = ERR_INIT;
    begin();
    for (; *said; said += 2)
        set(said[0], said[1]);
    connection = (struct connection){.name = "partner", .settings = settings, .loop = &loop, .adapter = &adapter_http};
    assert_null(web_auth_open(&connection, &err));
    if (!strstr(err.text, why))
        fail_msg("not \"%s\": %s", why, err.text);
    assert_null(strstr(err.text, "hush"));
    end();
}
#define REFUSED(why, ...) refused(why, (const char *const[]){__VA_ARGS__, NULL})

TEST(contradictions_are_refused_without_the_secret)
{
    REFUSED("`bearer` and `key` are two ways", "bearer", "hush", "key", "hush", "key_header", "X");
    REFUSED("`user` needs `password`", "user", "me");
    REFUSED("`key` needs `key_header`", "key", "hush");
    REFUSED("`oauth` needs `client_id`", "oauth", "https://login.example.com/token");
    REFUSED("`oauth`", "oauth", "http://login.example.com/token", "client_id", "me", "client_secret", "hush");
    REFUSED("no address of the public internet", "oauth", "https://169.254.169.254/token", "client_id", "me",
            "client_secret", "hush");
    REFUSED("not one line", "bearer", "hush\r\nX: y");
    REFUSED("whsec_ and base64", "sign", "standard", "sign_secret", "hush!");
    REFUSED("needs `sign_header`", "sign", "hmac", "sign_secret", "hush");
}

static void signs(const char *wanted)
{
    struct buf lines = BUF_INIT(4000);
    assert_true(web_auth_sign(auth, "msg_p5jXN8AQM9LWM0D4loKWxJek", slice_of("{\"test\": 2432232314}"),
                              INT64_C(1614265330000), &lines));
    assert_string_equal(lines.data ? lines.data : "", wanted);
    buf_clear(&lines);
}

TEST(effects_are_signed_as_the_vector_of_standard_webhooks_or_by_hmac)
{
    begin();
    set("sign", "standard");
    set("sign_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    open_auth();
    signs("webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
          "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n");
    end();
    begin();
    set("sign", "hmac");
    set("sign_secret", "key");
    set("sign_header", "X-Hub-Signature-256");
    set("sign_prefix", "sha256=");
    open_auth();
    signs("X-Hub-Signature-256: sha256=ad1a616fa5d45e0552fd84752e21f775525a9caa345c9b14fa23d8435584f7e9\n");
    end();
}

TEST(a_secret_that_is_repeated_is_overwritten_also_where_it_was_cut)
{
    char text[] = "you said hush-hush, and hush-hush again: hush-hu";
    begin();
    set("bearer", "hush-hush");
    open_auth();
    web_auth_hide(auth, text);
    assert_string_equal(text, "you said *********, and ********* again: *******");
    end();
}
