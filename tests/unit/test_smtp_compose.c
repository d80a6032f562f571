/* test_smtp_compose.c - from what a flow asked to what is stored */
#include "adapters/smtp/compose.h"

#include "test.h"

static const struct option options[] = {
    {.name = "from", .kind = OPTION_TEXT}, {.name = "bounce", .kind = OPTION_TEXT}, OPTION_END};

static const char *const files[][2] = {
    {"templates/offline.de.html", "<p>{{name}}</p>\n"},
    {"templates/offline.de.txt", "Subject: {{name}} ist offline\n\nHallo,\n{{name}} schweigt.\n"},
    {"templates/offline.en.txt", "Subject: {{name}} is offline\r\n\r\n{{name}} is silent.\r\n"},
    {"templates/plain.txt", "Subject: plain\n\nplain\n"},
    {"templates/wrong.en.txt", "Hello\n\nthere\n"},
};
#define FILES (sizeof files / sizeof *files)

static bool file_of(const struct ask *ask, const char *path, struct slice *content)
{
    (void)ask;
    for (size_t i = 0; i < FILES; i++) {
        if (strcmp(files[i][0], path) == 0) {
            *content = slice_of(files[i][1]);
            return true;
        }
    }
    return false;
}

static void list_files(const struct ask *ask, const char *prefix, struct buf *names)
{
    (void)ask;
    for (size_t i = 0; i < FILES; i++)
        if (strncmp(files[i][0], prefix, strlen(prefix)) == 0)
            buf_addf(names, "%s%s", names->size ? ", " : "", files[i][0]);
}

static struct err err;
static char message[100000], sender[300];

/* Pairs of field and value, ending with NULL; `data` and `headers` as JSON. */
static bool compose(const char *first, ...)
{
    struct buf fields = BUF_INIT(100000), out = BUF_INIT(100000);
    va_list args;
    va_start(args, first);
    for (const char *name = first; name; name = va_arg(args, const char *)) {
        bool is_json = strcmp(name, "data") == 0 || strcmp(name, "headers") == 0;
        record_add(&fields, name, is_json ? RECORD_JSON : RECORD_TEXT, slice_of(va_arg(args, const char *)));
    }
    va_end(args);
    struct settings *settings = settings_new(options);
    settings_set_text(settings, "from", slice_of("Support <support@example.com>"));
    if (sender[0] == '*')
        settings_set_text(settings, "bounce", slice_of("bounce@example.com"));
    struct connection connection = {.name = "mail", .settings = settings};
    struct ask ask = {.connection = &connection,
                      .flow = "f",
                      .effect_id = "0123456789abcdef01234567",
                      .now_ms = 1795340467512,
                      .fields = buf_slice(&fields),
                      .file = file_of,
                      .list = list_files};
    err = (struct err)ERR_INIT;
    bool ok = smtp_compose(&ask, &out, &err);
    assert_int_equal(ok, err.text[0] == '\0');
    snprintf(message, sizeof message, "%.*s", SLICE_ARG(record_get(buf_slice(&out), "message")));
    snprintf(sender, sizeof sender, "%.*s", SLICE_ARG(record_get(buf_slice(&out), "envelope_from")));
    settings_free(settings);
    buf_clear(&fields);
    buf_clear(&out);
    return ok;
}

#define TO "to", "ada@example.net"

TEST(a_template_is_filled_in_in_the_language_asked_for)
{
    assert_true(compose(TO, "template", "offline", "language", "en", "data", "{\"name\":\"<4711>\"}", NULL));
    assert_non_null(strstr(message, "\r\nSubject: <4711> is offline\r\n"));
    assert_non_null(strstr(message, "\r\n\r\n<4711> is silent.\r\n"));
    assert_string_equal(sender, "support@example.com");
    assert_true(compose(TO, "template", "plain", NULL));
}

TEST(html_goes_beside_the_text_where_there_is_a_file_for_it)
{
    assert_true(compose(TO, "template", "offline", "language", "de", "data", "{\"name\":\"<4711>\"}", NULL));
    assert_non_null(strstr(message, "multipart/alternative"));
    assert_non_null(strstr(message, "<p>&lt;4711&gt;</p>"));
}

TEST(a_region_falls_back_to_its_language_and_to_nothing_else)
{
    const char *tags[] = {"de-AT", "DE", "de_ch", "de-Latn-DE"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(compose(TO, "template", "offline", "language", tags[i], "data", "{\"name\":\"x\"}", NULL));
        assert_non_null(strstr(message, "ist offline"));
    }
    assert_false(compose(TO, "template", "offline", "language", "fr", "data", "{\"name\":\"x\"}", NULL));
    assert_string_equal(err.text, "template `offline` has no language `fr`: there are de, en");
    assert_false(compose(TO, "template", "offline", "data", "{\"name\":\"x\"}", NULL));
    assert_string_equal(err.text, "template `offline` needs a language: there are de, en");
    assert_false(compose(TO, "template", "gone", "language", "de", NULL));
    assert_string_equal(err.text, "there is no template `gone`: the flow has no file templates/gone.de.txt");
    assert_false(compose(TO, "template", "../secret", "language", "de", NULL));
    assert_false(compose(TO, "template", "offline", "language", "../de", NULL));
    assert_false(compose(TO, "template", "offline", "language", "", NULL));
}

TEST(a_value_that_is_not_there_names_file_and_line)
{
    assert_false(compose(TO, "template", "offline", "language", "de", "data", "{}", NULL));
    assert_string_equal(err.text, "templates/offline.de.txt:1: there is no `name` in the data");
    assert_false(compose(TO, "template", "wrong", "language", "en", NULL));
    assert_non_null(strstr(err.text, "templates/wrong.en.txt:1: a template begins with a line `Subject: ...`"));
}

TEST(a_value_with_a_line_break_cannot_leave_the_subject)
{
    assert_false(compose(TO, "template", "offline", "language", "en", "data",
                         "{\"name\":\"x\\r\\nBcc: eve@example.com\"}", NULL));
    assert_non_null(strstr(err.text, "the header Subject: it has a line break"));
    assert_false(compose(TO, "template", "offline", "language", "en", "data", "{\"name\":\"x\\n\\nText\"}", NULL));
}

TEST(without_a_template_subject_and_text_are_said)
{
    assert_true(compose(TO, "subject", "s", "text", "t", "html", "<p>t</p>", "reply_to", "A <a@example.org>", "headers",
                        "{\"X-A\":\"1\"}", NULL));
    assert_non_null(strstr(message, "\r\nReply-To: A <a@example.org>\r\n"));
    assert_non_null(strstr(message, "\r\nX-A: 1\r\n"));
    assert_false(compose(TO, "subject", "s", NULL));
    assert_string_equal(err.text, "say `template`, or `subject` and `text`");
    assert_false(compose(TO, "subject", "s", "text", "t", "language", "de", NULL));
    assert_false(compose(TO, "template", "plain", "text", "t", NULL));
    assert_string_equal(err.text, "`text` comes from the template");
    assert_false(compose(TO, "subject", "s", "text", "t", "headers", "[1]", NULL));
}

TEST(an_address_that_could_inject_fails_the_step)
{
    assert_false(compose("to", "ada@example.net\r\nRCPT TO:<eve@example.net>", "subject", "s", "text", "t", NULL));
    assert_non_null(strstr(err.text, "`to`: "));
    assert_non_null(strstr(err.text, "line break"));
    assert_false(compose("to", "Ada <ada@example.net>", "subject", "s", "text", "t", NULL));
    assert_false(compose(TO, "from", "x\r\ny <a@b.de>", "subject", "s", "text", "t", NULL));
    assert_false(compose(TO, "reply_to", "a@b.de,c@d.de", "subject", "s", "text", "t", NULL));
    assert_false(compose(TO, "subject", "s", "text", "t", "headers", "{\"Bcc\":\"eve@example.net\"}", NULL));
}

TEST(notices_go_to_the_bounce_address_and_another_sender_stands_in_the_header_only)
{
    strcpy(sender, "*");
    assert_true(compose(TO, "from", "Other <other@example.org>", "subject", "s", "text", "t", NULL));
    assert_string_equal(sender, "bounce@example.com");
    assert_non_null(strstr(message, "\r\nFrom: Other <other@example.org>\r\n"));
    assert_non_null(strstr(message, "\r\nMessage-ID: <0123456789abcdef01234567@example.org>\r\n"));
    assert_true(compose(TO, "from", "Other <other@example.org>", "subject", "s", "text", "t", NULL));
    assert_string_equal(sender, "support@example.com");
}

TEST(the_same_ask_makes_the_same_bytes)
{
    static char before[100000];
    assert_true(compose(TO, "template", "offline", "language", "de", "data", "{\"name\":\"x\"}", NULL));
    strcpy(before, message);
    assert_true(compose(TO, "template", "offline", "language", "de", "data", "{\"name\":\"x\"}", NULL));
    assert_string_equal(before, message);
}
