/* test_config.c - headgate.yaml: what it may say, and how mistakes in it are answered */
#include "core/base/endpoint.h"
#include "core/config/config.h"

#include <sys/stat.h>

#include "test.h"

static const struct option broker_options[] = {
    {.name = "url", .kind = OPTION_TEXT, .is_required = true, .help = "where the broker is"},
    {.name = "prefetch", .kind = OPTION_INTEGER, .fallback = "100", .least = 1, .most = 5000},
    OPTION_END,
};
static const struct option crm_options[] = {
    {.name = "login", .kind = OPTION_TEXT, .is_required = true},
    {.name = "grant", .kind = OPTION_TEXT, .choices = "jwt|password"},
    {.name = "client_id", .kind = OPTION_TEXT},
    {.name = "user", .kind = OPTION_TEXT},
    {.name = "key", .kind = OPTION_SECRET},
    {.name = "api", .kind = OPTION_TEXT},
    {.name = "budget", .kind = OPTION_MAP},
    OPTION_END,
};
static const struct option alert_options[] = {
    {.name = "api", .kind = OPTION_TEXT, .fallback = "https://api.example.com"},
    {.name = "key", .kind = OPTION_SECRET, .is_required = true},
    OPTION_END,
};
static const struct option mail_options[] = {
    {.name = "url", .kind = OPTION_TEXT, .is_required = true},
    {.name = "from", .kind = OPTION_TEXT, .is_required = true},
    {.name = "user", .kind = OPTION_TEXT},
    {.name = "password", .kind = OPTION_SECRET},
    OPTION_END,
};
static const struct option web_options[] = {{.name = "base", .kind = OPTION_TEXT, .is_required = true}, OPTION_END};

static const struct adapter fake_broker = {.name = "amqp", .options = broker_options};
static const struct adapter fake_crm = {.name = "salesforce", .options = crm_options};
static const struct adapter fake_alerts = {.name = "opsgenie", .options = alert_options};
static const struct adapter fake_mail = {.name = "smtp", .options = mail_options};
static const struct adapter fake_web = {.name = "http", .options = web_options};
static const struct adapter *const fakes[] = {&fake_broker, &fake_crm, &fake_alerts, &fake_mail, &fake_web, NULL};

static struct err why;

static void put(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct config *load(const char *source)
{
    char path[200];
    snprintf(path, sizeof path, "%s/headgate.yaml", test_folder());
    put("headgate.yaml", source);
    why = (struct err)ERR_INIT;
    return config_load_with(path, fakes, true, &why);
}

/* The message behind the file's folder. */
static void is_wrong(const char *source, const char *expected)
{
    struct config *config = load(source);
    if (config)
        fail_msg("was not refused:\n%s", source);
    const char *text =
        strncmp(why.text, test_folder(), strlen(test_folder())) == 0 ? why.text + strlen(test_folder()) + 1 : why.text;
    if (strcmp(text, expected) != 0)
        fail_msg("\n%s\nsays      %s\nexpected  %s", source, text, expected);
}

#define NODE "environment: staging\ndata: /var/lib/headgate\n" /* two lines */

TEST(the_configuration_of_the_design_is_understood)
{
    setenv("HEADGATE_TEST_KEY", "alert-key", 1);
    setenv("CREDENTIALS_DIRECTORY", test_folder(), 1);
    put("crm.pem", "a\nb\n");
    put("smtp", "mail-password\n");
    struct config *config =
        load("environment: staging\ndata: /var/lib/headgate\nflows: /etc/headgate/flows\nrules: /etc/headgate/rules\n"
             "admin: {socket: /run/headgate/admin.sock}\n"
             "connections:\n"
             "  broker: {adapter: amqp, url: \"amqp://guest:guest@127.0.0.1:5672/\"}\n"
             "  crm:    {adapter: salesforce, login: \"https://login.salesforce.com\", grant: jwt, client_id: \"x\",\n"
             "           user: bot@example.com, key: \"${file:crm.pem}\", api: \"64.0\", budget: {calls: 40000/d}}\n"
             "  alerts: {adapter: opsgenie, api: \"https://api.eu.opsgenie.com\", key: \"${env:HEADGATE_TEST_KEY}\"}\n"
             "  mail:   {adapter: smtp, url: \"smtps://relay.example.com:465\", from: \"Support <s@example.com>\",\n"
             "           user: bot, password: \"${credential:smtp}\", rate: 10/s, fuse: {effects: 5000/h}}\n"
             "  backup: {adapter: http, base: \"https://partner.example.com/v1\", environment: production}\n");
    if (!config)
        fail_msg("%s", why.text);
    assert_string_equal(config->environment, "staging");
    assert_string_equal(config->flows, "/etc/headgate/flows");
    assert_string_equal(config->admin_socket, "/run/headgate/admin.sock");
    assert_true(config->store_limit == INT64_C(64) << 30);

    const struct config_connection *crm = config_find(config, slice_of("crm"));
    assert_ptr_equal(crm->adapter, &fake_crm);
    assert_int_equal(crm->line, 8);
    assert_string_equal(settings_text(crm->settings, "key"), "a\nb");
    assert_string_equal(settings_text(crm->settings, "api"), "64.0");
    assert_string_equal(settings_item(crm->settings, "budget", 0), "40000/d");
    assert_false(crm->is_elsewhere);
    assert_string_equal(settings_text(config_find(config, slice_of("alerts"))->settings, "key"), "alert-key");
    const struct config_connection *mail = config_find(config, slice_of("mail"));
    assert_string_equal(settings_text(mail->settings, "password"), "mail-password");
    assert_string_equal(settings_item(mail->common, "rate", 0), "10/s");
    assert_string_equal(settings_text(mail->common, "when_unknown"), "hold");
    assert_true(mail->fuse.effects.most == 5000 && mail->fuse.effects.window_ms == 3600000);
    assert_true(crm->fuse.effects.most == 0);
    assert_true(config_find(config, slice_of("backup"))->is_elsewhere);
    assert_string_equal(config->connections->name, "broker");
    assert_true(settings_number(config->connections->settings, "prefetch") == 100);
    assert_false(settings_has(config->connections->common, "concurrency"));
    assert_null(config_find(config, slice_of("nobody")));
    config_free(config);
}

TEST(relative_paths_begin_at_the_folder_of_the_file)
{
    struct config *config = load("environment: staging\ndata: store/\n");
    if (!config)
        fail_msg("%s", why.text);
    char expected[200];
    snprintf(expected, sizeof expected, "%s/store", test_folder());
    assert_string_equal(config->data, expected);
    snprintf(expected, sizeof expected, "%s/store/admin.sock", test_folder());
    assert_string_equal(config->admin_socket, expected);
    snprintf(expected, sizeof expected, "%s/flows", test_folder());
    assert_string_equal(config->flows, expected);
    snprintf(expected, sizeof expected, "%s/rules", test_folder());
    assert_string_equal(config->rules, expected);
    assert_string_equal(config->folder, test_folder());
    assert_null(config->connections);
    config_free(config);
}

TEST(what_the_node_must_know_is_asked_for)
{
    is_wrong("data: x\n",
             "headgate.yaml:1:1: environment is missing here; expected `environment: ` and a text (the name "
             "of the environment that this node works in)");
    is_wrong("environment: x\n",
             "headgate.yaml:1:1: data is missing here; expected `data: ` and a text (the folder of the store)");
    is_wrong("environment: x\ndata:\n", "headgate.yaml:2:6: data: found nothing; expected a text");
    is_wrong(
        "environment: x\ndata: y\nflow: z\n",
        "headgate.yaml:3:1: unknown key \"flow\"; did you mean \"flows\"? (allowed: environment, data, flows, rules, "
        "admin, webhooks, store, connections)");
    is_wrong("just a text",
             "headgate.yaml:1:1: found a text; expected a map of `key: value`; allowed keys: environment, "
             "data, flows, rules, admin, webhooks, store, connections");
    is_wrong(NODE "store: {limit: 1MiB}\n", "headgate.yaml:3:16: limit: found 1MiB; allowed is from 8MiB to 16384GiB");
    is_wrong(NODE "store: 64GiB\n",
             "headgate.yaml:3:8: found a text; expected a map of `key: value`; allowed keys: limit");
}

TEST(the_admin_api_on_tcp_has_an_address_and_a_port)
{
    struct config *config = load(NODE "admin: {listen: \"127.0.0.1:8280\"}\n");
    assert_non_null(config);
    assert_string_equal(config->admin_host, "127.0.0.1");
    assert_int_equal(config->admin_port, 8280);
    config_free(config);
    is_wrong(NODE "admin: {listen: localhost}\n",
             "headgate.yaml:3:17: listen: expected host and port, such as \"127.0.0.1:8281\" or \"[::1]:8281\"");
    is_wrong(NODE "admin: {tokens: tokens.yaml}\n",
             "headgate.yaml:3:9: tokens: they are for the admin API on TCP, which is not asked for; add `listen: "
             "\"127.0.0.1:8280\"`, or leave them out");
}

#define TCP NODE "admin: {listen: \"127.0.0.1:0\", tokens: tokens.yaml}\n"

static void put_tokens(const char *text, int mode)
{
    char path[200];
    snprintf(path, sizeof path, "%s/tokens.yaml", test_folder());
    put("tokens.yaml", text);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void tokens_are_wrong(const char *text, const char *part)
{
    put_tokens(text, 0600);
    struct config *config = load(TCP);
    if (config)
        fail_msg("accepted: %s", text);
    if (!strstr(why.text, part))
        fail_msg("%s", why.text);
    assert_null(strstr(why.text, "sesame-sesame"));
}

TEST(tokens_are_kept_as_hashes_of_what_their_file_says)
{
    unsigned char digest[HASH_SIZE];
    put("ada.token", "open-sesame-sesame\n");
    put_tokens("- {name: watcher, role: viewer, sha256: "
               "2BB80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}\n"
               "- {name: ada, role: admin, token: \"${file:ada.token}\"}\n",
               0640);
    struct config *config = load(TCP);
    if (!config)
        fail_msg("%s", why.text);
    assert_string_equal(config->tokens->name, "watcher");
    token_digest(slice_of("secret"), digest);
    assert_memory_equal(config->tokens->digest, digest, HASH_SIZE);
    struct token *ada = config->tokens->next;
    assert_string_equal(ada->name, "ada");
    assert_int_equal(ada->role, ROLE_ADMIN);
    token_digest(slice_of("open-sesame-sesame"), digest);
    assert_memory_equal(ada->digest, digest, HASH_SIZE);
    struct config *again = load(TCP);
    assert_true(tokens_equal(config->tokens, again->tokens));
    config_free(again);
    put("ada.token", "another-sesame-sesame\n");
    again = load(TCP);
    assert_false(tokens_equal(config->tokens, again->tokens));
    config_free(again);
    config_free(config);
}

TEST(a_file_of_tokens_that_everybody_can_read_is_refused)
{
    put_tokens("- {name: ada, role: admin, token: open-sesame-sesame}\n", 0644);
    assert_null(load(TCP));
    assert_non_null(strstr(why.text, "its mode 644 lets every user of this machine in"));
}

TEST(a_mistake_among_the_tokens_is_said_without_the_token)
{
    tokens_are_wrong("- {name: ada, role: boss, token: open-sesame-sesame}\n", "role: found");
    tokens_are_wrong("- {name: ada, role: admin}\n", "found neither");
    tokens_are_wrong("- {name: ada, role: admin, token: short}\n", "token: found a text that is too short");
    tokens_are_wrong("- {name: ada, role: admin, sha256: sesame-sesame}\n", "sha256: found a text that is too short");
    tokens_are_wrong("- {role: admin, token: open-sesame-sesame}\n", "name is missing");
    tokens_are_wrong("- {name: a, role: admin, token: open-sesame-sesame}\n- {name: a, role: viewer, token: "
                     "other-sesame-sesame}\n",
                     "stands here a second time");
    tokens_are_wrong("- {name: a, role: admin, token: open-sesame-sesame}\n- {name: b, role: viewer, token: "
                     "open-sesame-sesame}\n",
                     "has the same token as a");
    tokens_are_wrong("[]\n", "an empty list");
    tokens_are_wrong("ada: open-sesame-sesame\n", "expected a list of tokens");
    tokens_are_wrong("- open-sesame-sesame\n", "expected a map");
}

TEST(webhooks_are_listened_for_at_a_stated_host_and_port)
{
    static const char help[] = "expected host and port, such as \"127.0.0.1:8281\" or \"[::1]:8281\"";
    struct config *config = load(NODE "webhooks: {listen: \"[::1]:8281\", limit: 64KiB}\n");
    if (!config)
        fail_msg("%s", why.text);
    assert_string_equal(config->webhooks_host, "::1");
    assert_int_equal(config->webhooks_port, 8281);
    assert_int_equal(config->webhooks_limit, 65536);
    config_free(config);
    config = load(NODE);
    assert_null(config->webhooks_host);
    config_free(config);
    static const char *const wrong[] = {"8281", ":8281", "127.0.0.1", "::1:8281", "[::1:8281", "a b:1", "http://a:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char source[200], expected[300];
        snprintf(source, sizeof source, NODE "webhooks: {listen: \"%s\"}\n", wrong[i]);
        snprintf(expected, sizeof expected, "headgate.yaml:3:20: listen: %s", help);
        is_wrong(source, expected);
    }
    is_wrong(NODE "webhooks: {listen: \"localhost:65536\"}\n",
             "headgate.yaml:3:20: listen: the port is a number from 0 (any free one) to 65535; expected host and port, "
             "such as \"127.0.0.1:8281\" or \"[::1]:8281\"");
}

TEST(a_socket_path_that_no_socket_can_have_is_refused)
{
    char source[400], expected[400], path[101];
    memset(path, 'd', sizeof path);
    path[0] = '/';
    path[100] = '\0';
    snprintf(source, sizeof source, "environment: x\ndata: %s\n", path);
    snprintf(expected, sizeof expected,
             "headgate.yaml:2:7: data: the path of the admin socket, admin.sock in this folder, "
             "has 111 bytes; allowed are 107; name a shorter one, as in `admin: {socket: /run/headgate/admin.sock}`");
    is_wrong(source, expected);
}

TEST(a_connection_has_an_adapter_that_exists)
{
    is_wrong(
        NODE "connections:\n  broker: {url: x}\n",
        "headgate.yaml:4:11: adapter is missing here; expected `adapter: ` and the kind of system that this connects "
        "to; this version has: amqp, salesforce, opsgenie, smtp, http");
    is_wrong(
        NODE "connections:\n  broker: {adapter: ampq, url: x}\n",
        "headgate.yaml:4:21: adapter: there is no adapter \"ampq\"; did you mean \"amqp\"? (this version has: amqp, "
        "salesforce, opsgenie, smtp, http)");
    is_wrong(
        NODE "connections:\n  broker: {adapter: kafka}\n",
        "headgate.yaml:4:21: adapter: there is no adapter \"kafka\"; this version has: amqp, salesforce, opsgenie, "
        "smtp, http");
    is_wrong(NODE "connections:\n  broker: {adapter: }\n",
             "headgate.yaml:4:21: adapter: found nothing; expected the name of an adapter; this version has: amqp, "
             "salesforce, opsgenie, smtp, http");
    is_wrong(NODE "connections:\n  broker: amqp://u:hunter2@h/\n",
             "headgate.yaml:4:11: broker: found a text; expected a map such as {adapter: ..., ...}");
    is_wrong(
        NODE "connections: [broker]\n",
        "headgate.yaml:3:14: connections: found a list; expected a map of lines such as `broker: {adapter: ..., ...}`");
}

TEST(a_connection_is_checked_against_what_all_may_say_and_what_its_adapter_adds)
{
    is_wrong(NODE "connections:\n  broker:\n    adapter: amqp\n",
             "headgate.yaml:5:5: url is missing here; expected `url: ` and a text (where the broker is)");
    is_wrong(NODE "connections:\n  broker:\n    adapter: amqp\n    url: x\n    prefech: 3\n",
             "headgate.yaml:7:5: unknown key \"prefech\"; did you mean \"prefetch\"? (allowed: adapter, environment, "
             "concurrency, rate, max_age, when_unknown, url, prefetch, fuse)");
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, concurrency: 1001}\n",
             "headgate.yaml:4:48: concurrency: found 1001; allowed is from 1 to 1000");
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, rate: fast}\n",
             "headgate.yaml:4:41: rate: found \"fast\"; expected a rate such as 10/s, 600/m, 500/h or 4/d, or a list "
             "of them");
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, when_unknown: drop}\n",
             "headgate.yaml:4:49: when_unknown: found \"drop\"; allowed: retry, hold");
    is_wrong(
        NODE "connections:\n  broker: {adapter: amqp, url: x, fuse: {effects: 5000}}\n",
        "headgate.yaml:4:51: effects: found \"5000\"; expected a number within a time, such as 500/h, 4/d, 10/m or "
        "5/s, or none");
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, fuse: {per_person: 4/d}}\n",
             "headgate.yaml:4:42: unknown key \"per_person\"; allowed: effects, per_recipient, failures_in_a_row");
    is_wrong(
        NODE "connections:\n  broker: {adapter: amqp, url:amqp://u:hunter2@h/}\n",
        "headgate.yaml:4:27: found the key \"url\" with more behind it; expected `url: value`, with a space behind the "
        "colon");
}

TEST(a_connection_has_a_name_that_a_flow_can_use)
{
#define NAME_HELP                                                                                                      \
    " as the name of a connection; a name begins with a small letter and goes on with small letters, digits and _, "   \
    "at "                                                                                                              \
    "most 64, such as \"broker\""
    is_wrong(NODE "connections:\n  my-broker: {adapter: amqp, url: x}\n",
             "headgate.yaml:4:3: found \"my-broker\"" NAME_HELP);
    is_wrong(NODE "connections:\n  Broker: {adapter: amqp, url: x}\n", "headgate.yaml:4:3: found \"Broker\"" NAME_HELP);
    is_wrong(NODE "connections:\n  2nd: {adapter: amqp, url: x}\n", "headgate.yaml:4:3: found \"2nd\"" NAME_HELP);
    static const char *const taken[] = {"end",   "json",   "log",     "now",  "state",
                                        "timer", "string", "require", "step", "event"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        char source[200], expected[300];
        snprintf(source, sizeof source, NODE "connections:\n  %s: {adapter: amqp, url: x}\n", taken[i]);
        snprintf(expected, sizeof expected,
                 "headgate.yaml:4:3: a connection cannot be named \"%s\", which already means "
                 "something in a flow; expected another name, such as \"my_%s\"",
                 taken[i], taken[i]);
        is_wrong(source, expected);
    }
}

TEST(mistakes_of_yaml_itself_name_the_file_and_place_too)
{
    is_wrong(NODE "connections:\n\tbroker: x\n",
             "headgate.yaml:4:1: found a tab in the indentation; YAML allows only spaces there");
    is_wrong(NODE "data: again\n",
             "headgate.yaml:3:1: found the key \"data\" a second time; it already stands in line 2, "
             "column 1, and a map has each key only once");
}

TEST(a_missing_or_too_large_file_is_named)
{
    assert_null(config_load_with("/nowhere/headgate.yaml", fakes, true, &why));
    assert_string_equal(why.text, "/nowhere/headgate.yaml: No such file or directory");
    char *large = malloc((1 << 20) + 2);
    memset(large, '\n', (1 << 20) + 1);
    large[(1 << 20) + 1] = '\0';
    is_wrong(large, "headgate.yaml: larger than the allowed 1048576 bytes");
    free(large);
}

TEST(secrets_are_asked_for_only_by_whoever_may_read_them)
{
    unsetenv("HEADGATE_TEST_NONE");
    setenv("HEADGATE_TEST_DATA", "/from/environment", 1);
    const char *source = "environment: x\ndata: ${env:HEADGATE_TEST_DATA}\nconnections:\n"
                         "  alerts: {adapter: opsgenie, key: \"${env:HEADGATE_TEST_NONE}\"}\n";
    is_wrong(source, "headgate.yaml:4:36: key: the environment variable HEADGATE_TEST_NONE is not set; set it where "
                     "headgate is started, or use ${file:PATH} or ${credential:NAME}");
    char path[200];
    snprintf(path, sizeof path, "%s/headgate.yaml", test_folder());
    struct config *config = config_load_with(path, fakes, false, &why);
    assert_non_null(config);
    assert_string_equal(config->admin_socket, "/from/environment/admin.sock");
    config_free(config);
}

TEST(the_example_is_right)
{
    struct config *config = config_load_with("examples/headgate.yaml", adapters, false, &why);
    if (!config)
        fail_msg("%s", why.text);
    assert_non_null(config_find(config, slice_of("mail")));
    config_free(config);
}

TEST(loopback_is_this_machine_and_nothing_else)
{
    static const char *const here[] = {"127.0.0.1", "127.9.9.9", "::1", "localhost"};
    static const char *const elsewhere[] = {"0.0.0.0",  "::",          "128.0.0.1",
                                            "10.0.0.1", "example.com", "127.0.0.1.example.com"};
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++)
        assert_true(endpoint_is_loopback(here[i]));
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        assert_false(endpoint_is_loopback(elsewhere[i]));
}

TEST(a_connection_may_have_several_rates_that_all_hold)
{
    struct config *config =
        load(NODE "connections:\n  broker: {adapter: amqp, url: x, rate: [10/s, 1000/h, 40000/d]}\n");
    if (!config)
        fail_msg("%s", why.text);
    const struct config_connection *broker = config_find(config, slice_of("broker"));
    assert_int_equal(settings_count(broker->common, "rate"), 3);
    assert_string_equal(settings_item(broker->common, "rate", 2), "40000/d");
    assert_int_equal(settings_number(broker->common, "max_age"), INT64_C(5) * 86400000);
    config_free(config);
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, rate: [10/s, 0/h]}\n",
             "headgate.yaml:4:48: rate: found \"0/h\"; expected a rate such as 10/s, 600/m, 500/h or 4/d, or a list of "
             "them");
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, rate: []}\n",
             "headgate.yaml:4:41: rate: found an empty list; expected a rate such as 10/s, 600/m, 500/h or 4/d, or a "
             "list of them");
    is_wrong(NODE "connections:\n  broker: {adapter: amqp, url: x, rate: [1/s, 2/s, 3/s, 4/s, 5/s]}\n",
             "headgate.yaml:4:62: rate: found more than 4 rates; expected a rate such as 10/s, 600/m, 500/h or 4/d, or "
             "a list of them");
}
