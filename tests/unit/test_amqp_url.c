/* test_amqp_url.c - the url of a RabbitMQ connection */
#include "adapters/amqp/rabbit.h"

#include "test.h"

static void expect(const char *url, bool is_tls, const char *user, const char *password, const char *host, int port,
                   const char *vhost)
{
    struct rabbit_address address;
    struct err err = ERR_INIT;
    if (!rabbit_url_parse(url, &address, &err))
        fail_msg("%s: %s", url, err.text);
    assert_int_equal(address.is_tls, is_tls);
    assert_string_equal(address.user, user);
    assert_string_equal(address.password, password);
    assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
    assert_string_equal(address.vhost, vhost);
    rabbit_address_clear(&address);
}

static void expect_refusal(const char *url, const char *word)
{
    struct rabbit_address address;
    struct err err = ERR_INIT;
    if (rabbit_url_parse(url, &address, &err))
        fail_msg("%s was accepted", url);
    if (!strstr(err.text, word))
        fail_msg("%s: \"%s\" does not say \"%s\"", url, err.text, word);
    if (strstr(err.text, "hush"))
        fail_msg("%s: \"%s\" tells the password", url, err.text);
    rabbit_address_clear(&address);
}

TEST(a_bare_host_gets_the_defaults_of_rabbitmq)
{
    expect("amqp://broker", false, "guest", "guest", "broker", 5672, "/");
    expect("amqps://broker", true, "guest", "guest", "broker", 5671, "/");
    expect("AMQP://broker:1234", false, "guest", "guest", "broker", 1234, "/");
}

TEST(a_lone_slash_is_the_virtual_host_slash)
{
    expect("amqp://broker/", false, "guest", "guest", "broker", 5672, "/");
    expect("amqp://broker/%2f", false, "guest", "guest", "broker", 5672, "/");
    expect("amqp://broker/us", false, "guest", "guest", "broker", 5672, "us");
    expect("amqp://broker/%2Fa%2Fb", false, "guest", "guest", "broker", 5672, "/a/b");
}

TEST(every_byte_may_be_escaped_in_user_and_password)
{
    expect("amqp://a%40b:p%3A%2F%c3%b8%FF%25@broker", false, "a@b", "p:/\xc3\xb8\xff%", "broker", 5672, "/");
    expect("amqp://u:p@ss:word@broker:1/v", false, "u", "p@ss:word", "broker", 1, "v"); /* the last @ counts */
    expect("amqp://u:@broker", false, "u", "", "broker", 5672, "/");
}

TEST(an_ipv6_address_stands_in_brackets)
{
    expect("amqps://[::1]", true, "guest", "guest", "::1", 5671, "/");
    expect("amqp://u:p@[fe80::1]:99/x", false, "u", "p", "fe80::1", 99, "x");
    expect_refusal("amqp://[::1", "]");
    expect_refusal("amqp://[::1]5", "]");
}

TEST(a_url_that_means_something_else_is_refused_with_a_reason_that_keeps_the_password)
{
    expect_refusal("http://broker", "amqp://");
    expect_refusal("broker:5672", "amqp://");
    expect_refusal("amqp://", "no host");
    expect_refusal("amqp://u:hush@/v", "no host");
    expect_refusal("amqp://u@broker", "without a password");
    expect_refusal("amqp://u:hush%@broker", "hex");
    expect_refusal("amqp://u:hush%4@broker", "hex");
    expect_refusal("amqp://u:hush%zz@broker", "hex");
    expect_refusal("amqp://u:hush%00@broker", "hex");
    expect_refusal("amqp://u:hush@broker:", "port");
    expect_refusal("amqp://u:hush@broker:0", "port");
    expect_refusal("amqp://u:hush@broker:65536", "port");
    expect_refusal("amqp://u:hush@broker:99999999999999999999", "port");
    expect_refusal("amqp://u:hush@broker:56x", "port");
    expect_refusal("amqp://u:hush@broker/a/b", "%2F");
    expect_refusal("amqp://guest:4711/hush@broker:5672", "%2F"); /* else 4711 would be the port of a host named guest */
    expect_refusal("amqp://u:hush@broker/?heartbeat=30", "query");
}
