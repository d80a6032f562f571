/* test_address.c - which addresses are out there, and what of it the HTTP client keeps to */
#include "core/net/address.h"
#include "core/net/http.h"

#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool is_public(const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    char back[ADDRESS_TEXT_MAX];
    bool is_four = inet_pton(AF_INET, text, &four.sin_addr) == 1;
    if (!is_four && inet_pton(AF_INET6, text, &six.sin6_addr) != 1)
        fail_msg("%s is no address", text);
    const struct sockaddr *address = is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    assert_string_equal(address_text(address, back), text);
    return address_is_public(address);
}

TEST(addresses_of_the_machine_the_house_and_the_cloud_are_not_public)
{
    static const char *const inside[] = {"0.0.0.0",
                                         "0.1.2.3",
                                         "10.0.0.1",
                                         "10.255.255.255",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.255.255.254",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.0.0.1",
                                         "192.0.2.1",
                                         "192.88.99.1",
                                         "192.168.0.1",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "198.51.100.1",
                                         "203.0.113.1",
                                         "224.0.0.1",
                                         "239.255.255.255",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::ffff:10.0.0.1",
                                         "::ffff:127.0.0.1",
                                         "64:ff9b::7f00:1",
                                         "64:ff9b::a9fe:a9fe",
                                         "64:ff9b:1::808:808",
                                         "100::1",
                                         "fc00::1",
                                         "fdff::1",
                                         "fe80::1",
                                         "febf::1",
                                         "fec0::1",
                                         "ff02::1",
                                         "2001::1",
                                         "2001:db8::1",
                                         "2002:7f00:1::1",
                                         "2002:808:808::1",
                                         "3fff::1",
                                         "::ffff:169.254.1.1",
                                         "::ffff:0.0.0.0"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        if (is_public(inside[i]))
            fail_msg("%s is not public", inside[i]);
}

TEST(addresses_at_the_borders_of_these_are_public)
{
    static const char *const outside[] = {
        "1.1.1.1",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255",   "100.128.0.0",
        "126.255.255.255", "128.0.0.0",       "169.253.0.1",     "169.255.0.1",      "172.15.255.255",
        "172.32.0.0",      "192.0.1.1",       "192.167.0.1",     "192.169.0.1",      "198.17.0.1",
        "198.20.0.1",      "203.0.114.1",     "223.255.255.255", "2001:200::1",      "2001:db9::1",
        "2003::1",         "2606:4700::1111", "::ffff:8.8.8.8",  "64:ff9b::808:808", "2a00:1450::200e"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        if (!is_public(outside[i]))
            fail_msg("%s is public", outside[i]);
}

TEST(an_unknown_kind_of_address_is_not_public)
{
    struct sockaddr strange = {.sa_family = AF_UNIX};
    char text[ADDRESS_TEXT_MAX];
    assert_false(address_is_public(&strange));
    assert_string_equal(address_text(&strange, text), "an unknown address");
}

static const char *checked(const char *url, enum http_reach reach)
{
    static struct err err;
    err = (struct err)ERR_INIT;
    return http_check_reach(url, reach, &err) ? "" : err.text;
}

TEST(a_base_is_within_the_reach_of_its_connection_and_plain_http_stays_inside)
{
    static const char *const inside[] = {"https://localhost/",    "https://127.0.0.1/",  "https://2130706433/",
                                         "https://0x7f.1/",       "https://[::1]/",      "https://[::ffff:7f00:1]/",
                                         "https://10.1.2.3:8443", "https://[fd00::1]:1/"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        if (!strstr(checked(inside[i], HTTP_PUBLIC), "is no address of the public internet"))
            fail_msg("%s: %s", inside[i], checked(inside[i], HTTP_PUBLIC));
        assert_string_equal(checked(inside[i], HTTP_PRIVATE), "");
    }
    assert_string_equal(checked("https://api.example.com/v1", HTTP_PUBLIC), "");
    assert_string_equal(checked("https://8.8.8.8/", HTTP_PUBLIC), "");
    assert_non_null(strstr(checked("http://api.example.com/v1", HTTP_PUBLIC), "plain http:// is only for addresses"));
    assert_string_equal(checked("http://erp.intern:8080/v1", HTTP_PRIVATE), "");
    assert_non_null(strstr(checked("http://8.8.8.8/", HTTP_PRIVATE), "plain http:// is only for addresses"));
    assert_non_null(strstr(checked("ftp://10.0.0.1/", HTTP_PRIVATE), "https://"));
    assert_non_null(strstr(checked("https://user@api.example.com/", HTTP_PUBLIC), "no user"));
}
