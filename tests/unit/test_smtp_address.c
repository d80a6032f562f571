/* test_smtp_address.c - what may stand in an envelope and in a header */
#include "adapters/smtp/address.h"

#include "test.h"

static struct err err;

static bool is_good(const char *address)
{
    err = (struct err)ERR_INIT;
    return smtp_address_check(slice_of(address), &err);
}

static const char *refusal(const char *data, size_t size)
{
    err = (struct err)ERR_INIT;
    assert_false(smtp_address_check((struct slice){data, size}, &err));
    return err.text;
}

#define REFUSAL(text) refusal(text, sizeof(text) - 1)

TEST(an_ordinary_address_is_good)
{
    assert_true(is_good("ada@example.net"));
    assert_true(is_good("Ada.Lovelace+cars/7=x@mail-1.example.co.uk"));
    assert_true(is_good("o'brien@xn--mnchen-3ya.example"));
    assert_true(is_good("bot@localhost"));
    assert_true(is_good("a@1.de"));
}

TEST(an_address_is_recognised_again_whatever_its_case_and_the_spaces_around_it)
{
    struct buf out = BUF_INIT(254);
    err = (struct err)ERR_INIT;
    assert_true(smtp_address_canonical(slice_of(" Ada.L@Example.NET "), &out, &err));
    assert_string_equal(out.data, "ada.l@example.net");
    assert_false(smtp_address_canonical(slice_of("ada@example.net\r\n"), &out, &err));
    assert_non_null(strstr(err.text, "line break"));
    assert_false(smtp_address_canonical(slice_of("nobody"), &out, &err));
    buf_clear(&out);
}

TEST(an_address_that_could_give_commands_is_refused_with_words)
{
    assert_string_equal(REFUSAL("ada@example.net\r\nRCPT TO:<eve@example.net>"),
                        "`ada@example.net\r\nRCPT TO:<eve@example.net>` is no mail address: it has a line break or "
                        "another control character");
    assert_non_null(strstr(REFUSAL("ada@example.net\n"), "line break"));
    assert_non_null(strstr(REFUSAL("ada\r@example.net"), "line break"));
    assert_non_null(strstr(REFUSAL("ada@example.net\0.org"), "control character"));
    assert_non_null(strstr(REFUSAL("ada@example.net> NOTIFY=NEVER"), "spaces"));
    assert_non_null(strstr(REFUSAL("<ada@example.net>"), "`<` and `>`"));
    assert_non_null(strstr(REFUSAL("ada@example.net>"), "`<` and `>`"));
    assert_non_null(strstr(REFUSAL("ada @example.net"), "spaces"));
    assert_non_null(strstr(REFUSAL("\"ada\"@example.net"), "`\"` may not stand there"));
    assert_non_null(strstr(REFUSAL("a,b@example.net"), "`,` may not stand there"));
    assert_non_null(strstr(REFUSAL("a@b@example.net"), "`@` may not stand there"));
}

TEST(what_is_not_well_formed_is_refused)
{
    assert_non_null(strstr(REFUSAL(""), "empty"));
    assert_non_null(strstr(REFUSAL("ada"), "no @"));
    assert_non_null(strstr(REFUSAL("@example.net"), "nothing before"));
    assert_non_null(strstr(REFUSAL("ada@"), "no domain"));
    assert_non_null(strstr(REFUSAL(".ada@example.net"), "`.`"));
    assert_non_null(strstr(REFUSAL("ada.@example.net"), "`.`"));
    assert_non_null(strstr(REFUSAL("a..b@example.net"), "`.`"));
    assert_non_null(strstr(REFUSAL("ada@example..net"), "not well formed"));
    assert_non_null(strstr(REFUSAL("ada@.net"), "not well formed"));
    assert_non_null(strstr(REFUSAL("ada@example.net."), "not well formed"));
    assert_non_null(strstr(REFUSAL("ada@example-.net"), "not well formed"));
    assert_non_null(strstr(REFUSAL("ada@-example.net"), "`-`"));
    assert_non_null(strstr(REFUSAL("ada@[127.0.0.1]"), "`[`"));
    assert_non_null(strstr(REFUSAL("j\xc3\xb6rg@example.net"), "not ASCII"));
    assert_non_null(strstr(REFUSAL("ada@m\xc3\xbcnchen.example"), "xn--"));
}

TEST(sizes_are_those_of_rfc_5321)
{
    char text[400];
    memset(text, 'a', sizeof text);
    memcpy(text + 64, "@example.net", 13);
    assert_true(is_good(text));
    memmove(text + 1, text, 78);
    assert_non_null(strstr(refusal(text, strlen(text)), "longer than 64"));

    strcpy(text, "ada@");
    for (int i = 0; i < 62; i++)
        strcat(text, "abc.");
    strcat(text, "de");
    assert_int_equal(strlen(text), 254);
    assert_true(is_good(text));
    strcat(text, "f");
    assert_non_null(strstr(refusal(text, strlen(text)), "longer than 254"));

    snprintf(text, sizeof text, "a@%063d.de", 1);
    assert_true(is_good(text));
    snprintf(text, sizeof text, "a@%064d.de", 1);
    assert_false(is_good(text));
}

static bool parse(const char *text, struct smtp_mailbox *mailbox)
{
    err = (struct err)ERR_INIT;
    return smtp_address_parse(slice_of(text), mailbox, &err);
}

TEST(a_sender_may_have_a_name)
{
    struct smtp_mailbox m;
    assert_true(parse("Support <support@example.com>", &m));
    assert_string_equal(m.name, "Support");
    assert_string_equal(m.address, "support@example.com");
    assert_true(parse("\"Support, \\\"B\\\" <1>\"  <s@example.com>", &m));
    assert_string_equal(m.name, "Support, \"B\" <1>");
    assert_true(parse(" Bj\xc3\xb6rn <b@example.com> ", &m));
    assert_string_equal(m.name, "Bj\xc3\xb6rn");
    assert_true(parse("b@example.com", &m));
    assert_string_equal(m.name, "");
    assert_string_equal(m.address, "b@example.com");
    assert_true(parse("<b@example.com>", &m));
    assert_string_equal(smtp_address_domain(m.address).data, "example.com");

    assert_false(parse("Support", &m));
    assert_false(parse("", &m));
    assert_false(parse(">", &m));
    assert_false(parse("Support <>", &m));
    assert_false(parse("Support <a@b.de> <c@d.de>", &m));
    assert_false(parse("Support\r\nBcc: e@example.com <a@b.de>", &m));
    assert_non_null(strstr(err.text, "line break"));
    assert_false(parse("a@b.de, c@d.de", &m));
}

static bool may_set(const char *name, bool *is_text)
{
    err = (struct err)ERR_INIT;
    return smtp_address_check_header(slice_of(name), is_text, &err);
}

TEST(a_flow_sets_only_headers_that_nobody_else_writes)
{
    bool is_text = false;
    assert_true(may_set("X-Ticket", &is_text) && is_text);
    assert_true(may_set("x-ticket", &is_text) && is_text);
    assert_true(may_set("List-Unsubscribe", &is_text) && !is_text);
    assert_true(may_set("in-reply-to", &is_text) && !is_text);

    const char *refused[] = {"From",
                             "To",
                             "Bcc",
                             "Subject",
                             "Date",
                             "Message-ID",
                             "Content-Type",
                             "MIME-Version",
                             "Received",
                             "Return-Path",
                             "Sender",
                             "X-Headgate-Delivery",
                             "x-headgate-y",
                             "DKIM-Signature",
                             "X-",
                             "List-",
                             "",
                             "X-A: b\r\nBcc",
                             "X-\xc3\xa4",
                             "X A",
                             "Referencesx",
                             "Reference"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(may_set(refused[i], &is_text));
}

TEST(a_header_value_with_a_line_break_is_refused)
{
    err = (struct err)ERR_INIT;
    assert_true(smtp_address_check_value(slice_of("Caf\xc3\xa9"), &err));
    assert_false(smtp_address_check_value(slice_of("a\nBcc: e@example.com"), &err));
    assert_false(smtp_address_check_value(slice_of("a\r"), &err));
    assert_false(smtp_address_check_value((struct slice){"a\0b", 3}, &err));
    assert_false(smtp_address_check_value(slice_of("\xc3"), &err));
    char big[SMTP_HEADER_MAX + 2];
    memset(big, 'a', sizeof big);
    assert_true(smtp_address_check_value((struct slice){big, SMTP_HEADER_MAX}, &err));
    assert_false(smtp_address_check_value((struct slice){big, SMTP_HEADER_MAX + 1}, &err));
}
