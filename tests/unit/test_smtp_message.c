/* test_smtp_message.c - the bytes of one mail */
#include "adapters/smtp/message.h"

#include "test.h"

#define ID "0123456789abcdef01234567"

static struct err err;
static char built[SMTP_MESSAGE_MAX + 1];

static struct smtp_message message_of(const char *subject, const char *text)
{
    struct smtp_message message = {
        .from = {"Support", "support@example.com"},
        .to = "ada@example.net",
        .effect_id = ID,
        .date_ms = 1795340467512, /* 2026-11-22T09:41:07.512Z */
        .subject = slice_of(subject),
        .text = slice_of(text),
    };
    return message;
}

static bool try_build(const struct smtp_message *message)
{
    struct buf out = BUF_INIT(SMTP_MESSAGE_MAX);
    err = (struct err)ERR_INIT;
    bool ok = smtp_message_build(message, &out, &err);
    assert_int_equal(ok, err.text[0] == '\0');
    snprintf(built, sizeof built, "%s", out.data ? out.data : "");
    buf_clear(&out);
    return ok;
}

static const char *build(const struct smtp_message *message)
{
    assert_true(try_build(message));
    for (const char *line = built; *line;) { /* true of every mail: CRLF, 7 bit, short lines */
        size_t size = strcspn(line, "\r\n");
        assert_in_range(size, 0, 998);
        assert_memory_equal(line + size, "\r\n", 2);
        for (size_t i = 0; i < size; i++)
            assert_in_range((unsigned char)line[i], 9, 126);
        line += size + 2;
    }
    return built;
}

static const char *body_of(const char *text)
{
    struct smtp_message message = message_of("s", text);
    return strstr(build(&message), "\r\n\r\n") + 4;
}

/* The header's value with its folds, in a buffer of its own. */
static const char *header_of(const struct smtp_message *message, const char *name)
{
    static char value[4000];
    char start[60];
    snprintf(start, sizeof start, "\r\n%s: ", name);
    const char *from = strstr(build(message), start);
    assert_non_null(from);
    from += strlen(start);
    const char *end = strstr(from, "\r\n");
    while (end[2] == ' ' || end[2] == '\t')
        end = strstr(end + 2, "\r\n");
    snprintf(value, sizeof value, "%.*s", (int)(end - from), from);
    return value;
}

static const char *subject_of(const char *subject)
{
    struct smtp_message message = message_of(subject, "t");
    return header_of(&message, "Subject");
}

TEST(a_plain_mail_has_exactly_these_bytes)
{
    struct smtp_message message = message_of("Controller 4711 is offline", "Dear Ada,\n\nit is offline.\n");
    assert_string_equal(build(&message), "Date: Sun, 22 Nov 2026 09:41:07 +0000\r\n"
                                         "From: Support <support@example.com>\r\n"
                                         "To: ada@example.net\r\n"
                                         "Message-ID: <" ID "@example.com>\r\n"
                                         "Subject: Controller 4711 is offline\r\n"
                                         "Auto-Submitted: auto-generated\r\n"
                                         "X-Headgate-Delivery: " ID "\r\n"
                                         "MIME-Version: 1.0\r\n"
                                         "Content-Type: text/plain; charset=utf-8\r\n"
                                         "Content-Transfer-Encoding: quoted-printable\r\n"
                                         "\r\n"
                                         "Dear Ada,\r\n\r\nit is offline.\r\n");
}

TEST(a_mail_with_html_and_umlauts_has_exactly_these_bytes)
{
    struct smtp_message message = message_of("Ladesäule offline", "Grüße");
    message.from = (struct smtp_mailbox){"Björn, Support", "support@example.com"};
    message.reply_to = (struct smtp_mailbox){"Support, Berlin", "answers@example.com"};
    message.html = slice_of("<p class=\"x\">Grüße</p>\n");
    message.headers = json_pack("{s:s,s:s,s:s}", "X-b", "2", "References", "<a@b.de>", "X-A", "ö");
    assert_string_equal(build(&message), "Date: Sun, 22 Nov 2026 09:41:07 +0000\r\n"
                                         "From: =?UTF-8?B?QmrDtnJuLCBTdXBwb3J0?= <support@example.com>\r\n"
                                         "Reply-To: \"Support, Berlin\" <answers@example.com>\r\n"
                                         "To: ada@example.net\r\n"
                                         "Message-ID: <" ID "@example.com>\r\n"
                                         "Subject: =?UTF-8?B?TGFkZXPDpHVsZSBvZmZsaW5l?=\r\n"
                                         "References: <a@b.de>\r\n"
                                         "X-A: =?UTF-8?B?w7Y=?=\r\n"
                                         "X-b: 2\r\n"
                                         "Auto-Submitted: auto-generated\r\n"
                                         "X-Headgate-Delivery: " ID "\r\n"
                                         "MIME-Version: 1.0\r\n"
                                         "Content-Type: multipart/alternative; boundary=\"=_" ID "\"\r\n"
                                         "\r\n"
                                         "--=_" ID "\r\n"
                                         "Content-Type: text/plain; charset=utf-8\r\n"
                                         "Content-Transfer-Encoding: quoted-printable\r\n"
                                         "\r\n"
                                         "Gr=C3=BC=C3=9Fe\r\n"
                                         "\r\n--=_" ID "\r\n"
                                         "Content-Type: text/html; charset=utf-8\r\n"
                                         "Content-Transfer-Encoding: quoted-printable\r\n"
                                         "\r\n"
                                         "<p class=3D\"x\">Gr=C3=BC=C3=9Fe</p>\r\n"
                                         "\r\n--=_" ID "--\r\n");
    json_decref((json_t *)message.headers);
}

TEST(every_kind_of_line_end_becomes_one_and_the_last_line_is_ended)
{
    assert_string_equal(body_of("a\nb\r\nc\rd"), "a\r\nb\r\nc\r\nd\r\n");
    assert_string_equal(body_of("\n\n"), "\r\n\r\n");
    assert_string_equal(body_of("a\r\n\r\nb"), "a\r\n\r\nb\r\n");
}

TEST(dots_and_from_at_the_start_of_a_line_are_encoded)
{
    assert_string_equal(body_of(".\n..\na.b\nFrom me\nFromage\n"), "=2E\r\n=2E.\r\na.b\r\n=46rom me\r\nFromage\r\n");
    char text[78];
    memset(text, 'x', 75);
    strcpy(text + 75, ".y");
    body_of(text);
    assert_non_null(strstr(built, "xxx=\r\n=2Ey\r\n"));
}

TEST(blanks_at_the_end_of_a_line_are_encoded)
{
    assert_string_equal(body_of("a \nb\t\n \n"), "a=20\r\nb=09\r\n=20\r\n");
    assert_string_equal(body_of("a b=c\x01"), "a b=3Dc=01\r\n");
}

TEST(long_lines_are_broken_at_76)
{
    char text[5001];
    memset(text, 'x', 5000);
    text[5000] = '\0';
    const char *body = body_of(text);
    assert_int_equal(strcspn(body, "\r"), 76);
    assert_int_equal(body[75], '=');
    for (int i = 0; i < 2500; i++)
        memcpy(text + 2 * i, "ü", 2);
    for (body = body_of(text); *body; body += strcspn(body, "\r") + 2)
        assert_in_range(strcspn(body, "\r"), 1, 76);
}

TEST(a_long_subject_is_folded_between_words)
{
    assert_string_equal(subject_of("one two three four five six seven eight nine ten eleven twelve thirteen fourteen"),
                        "one two three four five six seven eight nine ten eleven twelve\r\n thirteen fourteen");
    assert_string_equal(subject_of("  a  b  "), "a  b");
}

TEST(encoded_words_end_between_characters_and_lines_within_76)
{
    const char *subject = subject_of("ääääääääääääääääääääääääääääääääääääääääääääääääää");
    assert_string_equal(subject, "=?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6Q=?=\r\n"
                                 " =?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6Q=?=\r\n"
                                 " =?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOk?=");
    assert_string_equal(subject_of("=?UTF-8?B?eA==?="), "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=");
}

TEST(no_line_passes_998_octets)
{
    char text[SMTP_HEADER_MAX + 1];
    memset(text, 'a', sizeof text);
    text[SMTP_HEADER_MAX] = '\0';
    assert_memory_equal(subject_of(text), "=?UTF-8?B?", 10);
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "a  ", 3);
    assert_memory_equal(subject_of(text), "=?UTF-8?B?", 10); /* nowhere to break */
    memset(text, 'a', sizeof text);
    text[900] = '\0';
    assert_string_equal(subject_of(text), text);
}

TEST(a_header_that_would_inject_is_refused)
{
    struct smtp_message message = message_of("s\r\nBcc: eve@example.com", "t");
    assert_false(try_build(&message));
    assert_string_equal(err.text, "the header Subject: it has a line break or another control character");
    message = message_of("", "t");
    assert_false(try_build(&message));
    assert_string_equal(err.text, "the header Subject is empty");

    const char *bad[][2] = {{"X-A", "a\nb"},     {"X-A\r\nBcc", "x"}, {"Bcc", "x"},
                            {"References", "ö"}, {"X-A", ""},         {"Content-Type", "text/html"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        message = message_of("s", "t");
        message.headers = json_pack("{s:s}", bad[i][0], bad[i][1]);
        assert_false(try_build(&message));
        json_decref((json_t *)message.headers);
    }
    message.headers = json_pack("{s:s,s:s}", "X-A", "1", "x-a", "2");
    assert_false(try_build(&message));
    assert_non_null(strstr(err.text, "twice"));
    json_decref((json_t *)message.headers);
}

TEST(text_that_is_not_utf8_or_too_large_is_refused)
{
    struct smtp_message message = message_of("s", "caf\xe9");
    assert_false(try_build(&message));
    assert_string_equal(err.text, "the text/plain is not UTF-8");
    message.text = (struct slice){"a\0b", 3};
    assert_false(try_build(&message));
    message.text = SLICE_NONE;
    assert_false(try_build(&message));
    assert_string_equal(err.text, "the mail has no text");

    char *big = malloc(SMTP_MESSAGE_MAX);
    memset(big, 'x', SMTP_MESSAGE_MAX);
    message.text = (struct slice){big, SMTP_MESSAGE_MAX};
    assert_false(try_build(&message));
    assert_string_equal(err.text, "the mail becomes larger than 1048576 bytes");
    free(big);
}
