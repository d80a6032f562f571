/* test_yaml.c - what a YAML file may say, what it may not, and that no message gives a secret away */
#include "core/base/clock.h"
#include "core/config/yaml.h"

#include "test.h"

static struct err why;

/* The message must begin with `start` and hold `part`. */
static void is_refused(const char *source, const char *start, const char *part)
{
    why = (struct err)ERR_INIT;
    struct yaml *root = yaml_parse("f.yaml", slice_of(source), &why);
    if (root)
        fail_msg("was not refused:\n%s", source);
    if (strncmp(why.text, start, strlen(start)) != 0 || !strstr(why.text, part))
        fail_msg("\n%s\nsays      %s\nexpected  %s ... %s", source, why.text, start, part);
}

static struct yaml *parse(const char *source)
{
    why = (struct err)ERR_INIT;
    struct yaml *root = yaml_parse("f.yaml", slice_of(source), &why);
    if (!root)
        fail_msg("%s", why.text);
    return root;
}

TEST(every_value_knows_where_it_stood)
{
    struct yaml *root = parse("# comment\na: 1\nb:\n  - x\n  - {c: 'd'}\n");
    struct yaml *b = yaml_get(root, "b"), *c = yaml_get(b->first->next, "c");
    assert_int_equal(root->line, 2);
    assert_int_equal(yaml_get(root, "a")->column, 4);
    assert_int_equal(b->kind, YAML_LIST);
    assert_int_equal(b->key_line, 3);
    assert_int_equal(b->key_column, 1);
    assert_int_equal(c->line, 5);
    assert_int_equal(c->column, 9);
    assert_int_equal(c->key_column, 6);
    assert_true(c->is_quoted);
    assert_true(slice_is(c->text, "d"));
    assert_false(b->first->is_quoted);
    assert_null(yaml_get(root, "x"));
    assert_null(yaml_get(b, "x"));
    yaml_tree_free(root);
}

TEST(columns_are_counted_in_characters)
{
    is_refused("{\xC3\xA4: 1, \xC3\xA4: 2}", "f.yaml:1:8: ", "a second time");
    is_refused("a: \xC3\xA4\xC3\xA4 \xFF", "f.yaml:1:7: ", "0xFF");
}

TEST(an_alias_bomb_is_refused_at_its_first_anchor)
{
    is_refused("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
               "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
               "f.yaml:1:4: ", "anchor");
    is_refused("a: &x [*x]", "f.yaml:1:4: ", "anchor");
    is_refused("a: *x", "f.yaml:1:4: ", "alias");
    is_refused("&k a: 1", "f.yaml:1:1: ", "anchor");
    is_refused("a: 1\n<<: *b", "f.yaml:2:5: ", "alias");
}

TEST(a_tag_is_refused)
{
    is_refused("a: !!str 1", "f.yaml:1:4: ", "tag");
    is_refused("a: !foo {b: 1}", "f.yaml:1:4: ", "tag");
    is_refused("a: ! x", "f.yaml:1:4: ", "tag");
    is_refused("a: !e!f x", "f.yaml:1:4: ", "tag");
    is_refused("a:\n- !!binary abc", "f.yaml:2:3: ", "tag");
}

TEST(a_key_that_stands_twice_names_both_places)
{
    is_refused("a: 1\nb: 2\n\na: 3\n",
               "f.yaml:4:1: ", "the key \"a\" a second time; it already stands in line 1, column 1");
    is_refused("x: {a: 1, 'a': 2}", "f.yaml:1:11: ", "line 1, column 5");
    yaml_tree_free(parse("x: {a: 1}\ny: {a: 1}"));
}

TEST(a_tab_in_the_indentation_is_called_a_tab)
{
    is_refused("a:\n\tb: 1", "f.yaml:2:1: ", "tab in the indentation");
    is_refused("a:\n  b: 1\n \tc: 2", "f.yaml:3:2: ", "tab in the indentation");
    is_refused("a:\n  b: 1\n  \tc: 2", "f.yaml:3:3: ", "tab in the indentation");
    is_refused("a:\r\n  b: 1\r\n\tc: 2", "f.yaml:3:1: ", "tab in the indentation");
    yaml_tree_free(parse("a: 1\t# a tab that is no indentation\nb: {\n\tc: 1}"));
}

TEST(bytes_that_are_no_text_have_a_line_and_a_column)
{
    is_refused("a: 1\nb: \xE4 \n", "f.yaml:2:4: ", "0xE4, which is not UTF-8 here; save the file as UTF-8");
    is_refused("a: 1\r\nb: \x01", "f.yaml:2:4: ", "control character 0x01");
    is_refused("a: \xED\xA0\x80", "f.yaml:1:4: ", "not UTF-8");
    is_refused("a: 1\nb: x\xC2\x81", "f.yaml:2:5: ", "control characters are not allowed");
    is_refused("a: \"x\\0y\"", "f.yaml:1:4: ", "zero byte");
    is_refused("\"a\\0\": 1", "f.yaml:1:1: ", "zero byte");
    assert_null(yaml_parse("f.yaml", (struct slice){"a: 1\nb: x\0y", 11}, &why));
    assert_string_equal(why.text, "f.yaml:2:5: found a zero byte; allowed is text in UTF-8");
    assert_null(yaml_parse("f.yaml", (struct slice){"a\0:\0", 4}, &why));
    assert_non_null(strstr(why.text, "UTF-16"));
    yaml_tree_free(parse("\xEF\xBB\xBF"
                         "a: 1"));
}

TEST(depth_has_an_end_that_is_reached_at_once)
{
    static char deep[40001];
    memset(deep, '[', 20000);
    memset(deep + 20000, ']', 20000);
    int64_t before = clock_mono_ns();
    is_refused(deep, "f.yaml:1:33: ", "allowed are 31");
    memset(deep, '[', sizeof deep - 1);
    for (size_t i = 0; i < sizeof deep - 1; i += 2)
        memcpy(deep + i, "{a", 2);
    is_refused(deep, "f.yaml:1:", "");
    assert_true(clock_mono_ns() - before < INT64_C(2000000000));

    char most[63];
    memset(most, '[', 31);
    memset(most + 31, ']', 31);
    most[62] = '\0';
    yaml_tree_free(parse(most));
}

TEST(a_file_has_a_largest_size_and_a_map_a_largest_number_of_keys)
{
    char *large = malloc(YAML_SIZE_MAX + 1);
    memset(large, '\n', YAML_SIZE_MAX + 1);
    assert_null(yaml_parse("f.yaml", (struct slice){large, YAML_SIZE_MAX + 1}, &why));
    assert_string_equal(why.text, "f.yaml:1:1: found a file of 1048577 bytes; allowed are 1048576 (1 MiB)");
    char *at = large;
    for (int i = 0; i <= YAML_KEYS_MAX; i++)
        at += sprintf(at, "k%d: 1\n", i);
    is_refused(large, "f.yaml:1001:1: ", "more than 1000 keys");
    free(large);
}

TEST(one_file_is_one_document)
{
    is_refused("", "f.yaml:1:1: ", "nothing but space");
    is_refused("# nothing\n", "f.yaml:1:1: ", "nothing but space");
    is_refused("---\na: 1\n---\nb: 1\n", "f.yaml:3:1: ", "second document");
    is_refused("a: 1\n...\nb: 1\n", "f.yaml:3:1: ", "behind the end of the document");
    yaml_tree_free(parse("---\na: 1\n...\n"));
}

TEST(a_key_is_a_plain_word)
{
    is_refused("? [a]\n: b", "f.yaml:1:3: ", "found a list as a key");
    is_refused("a: {{b: c}: d}", "f.yaml:1:5: ", "found a map as a key");
    is_refused("{: b}", "f.yaml:1:2: ", "");
    is_refused("'': b", "f.yaml:1:1: ", "without a key");
}

TEST(common_slips_are_told_in_words_that_help)
{
    is_refused("a: b: c", "f.yaml:1:5: ", "needs quotes");
    is_refused("a: 1\n  b: 2", "f.yaml:2:4: ", "indented further");
    is_refused("a:\n    b: 1\n  c: 2", "f.yaml:3:3: ", "the map that begins in line 1, column 1");
    is_refused("a: \"x", "f.yaml:1:4: ", "never closed");
    is_refused("b: 1\na: [1, 2", "f.yaml:2:4: ", "expected , or ] for the [ in line 2, column 4");
    is_refused("a: {k: ${env:X}}", "f.yaml:1:9: ", "needs quotes, as in \"${env:NAME}\"");
    is_refused("k: [*.offline]", "f.yaml:1:5: ", "\"*.offline\"");
    is_refused("k: [#]\n", "f.yaml:2:1: ", "the file ends where a value is expected");
    is_refused("k: [a, #]\nb: 1\n", "f.yaml:1:4: ", "as in \"#\"");
    is_refused("k: @x", "f.yaml:1:4: ", "needs quotes");
    is_refused("k: \"\\q\"", "f.yaml:1:5: ", "backslash");
    is_refused("k: - a", "f.yaml:1:4: ", "lines of their own");
    is_refused("- a\nb: 1", "f.yaml:2:1: ", "the list that begins in line 1, column 1");
    is_refused("user: x\npassword:hunter2\nz: 1", "f.yaml:2:1: ", "space behind the colon");
}

/* ---- against a table of options -------------------------------------------------------------- */

static const struct option options[] = {
    {.name = "url", .kind = OPTION_TEXT, .is_required = true, .help = "Where the far side is."},
    {.name = "country", .kind = OPTION_TEXT, .most = 20},
    {.name = "mode", .kind = OPTION_TEXT, .choices = "retry|hold", .fallback = "hold"},
    {.name = "prefetch", .kind = OPTION_INTEGER, .least = 1, .most = 1000},
    {.name = "verify", .kind = OPTION_BOOLEAN},
    {.name = "wait", .kind = OPTION_DURATION, .least = 1000, .most = 3600000},
    {.name = "limit", .kind = OPTION_SIZE, .least = 8 << 20},
    {.name = "rate", .kind = OPTION_RATE, .least = 1},
    {.name = "password", .kind = OPTION_SECRET, .least = 4, .most = 60},
    {.name = "keys", .kind = OPTION_LIST},
    {.name = "headers", .kind = OPTION_MAP},
    OPTION_END,
};

static struct settings *against(const char *source, const char *const *ignore, const char *folder, bool may_read)
{
    struct yaml *root = parse(source);
    struct settings *settings = settings_new(options);
    why = (struct err)ERR_INIT;
    bool ok = yaml_settings(root, options, ignore, folder, may_read, settings, &why);
    yaml_tree_free(root);
    if (ok)
        return settings;
    settings_free(settings);
    return NULL;
}

static void is_wrong(const char *source, const char *expected)
{
    struct settings *settings = against(source, NULL, test_folder(), true);
    if (settings)
        fail_msg("was not refused: %s", source);
    if (strcmp(why.text, expected) != 0)
        fail_msg("\n%s\nsays      %s\nexpected  %s", source, why.text, expected);
}

TEST(a_good_map_becomes_settings)
{
    struct settings *settings = against("url: https://x/\ncountry: no\nprefetch: 20\nverify: true\nwait: \"10m\"\n"
                                        "limit: 8MiB\nrate: 10/s\npassword: 123456\nkeys: [a, \"true\", '#']\n"
                                        "headers: {one: 1, two: yes}\n",
                                        NULL, NULL, true);
    if (!settings)
        fail_msg("%s", why.text);
    assert_string_equal(settings_text(settings, "country"), "no");
    assert_string_equal(settings_text(settings, "mode"), "hold");
    assert_true(settings_number(settings, "prefetch") == 20);
    assert_true(settings_number(settings, "verify") == 1);
    assert_true(settings_number(settings, "wait") == 600000);
    assert_true(settings_number(settings, "limit") == 8 << 20);
    assert_true(settings_number(settings, "rate") == 864000);
    assert_string_equal(settings_text(settings, "password"), "123456");
    assert_int_equal(settings_count(settings, "keys"), 3);
    assert_string_equal(settings_item(settings, "keys", 2), "#");
    assert_string_equal(settings_key(settings, "headers", 1), "two");
    assert_string_equal(settings_item(settings, "headers", 1), "yes");
    settings_free(settings);
}

TEST(a_wrong_value_is_answered_with_what_was_found_and_what_is_expected)
{
    is_wrong("url: x\nprefetch: many",
             "f.yaml:2:11: prefetch: found \"many\"; expected a whole number such as 20, from 1 to 1000");
    is_wrong("url: x\nprefetch: 1.5",
             "f.yaml:2:11: prefetch: found \"1.5\"; expected a whole number such as 20, from 1 to 1000");
    is_wrong("url: x\nprefetch: 0", "f.yaml:2:11: prefetch: found 0; allowed is from 1 to 1000");
    is_wrong("url: x\nprefetch: \"20\"", "f.yaml:2:11: prefetch: found \"20\" in quotes, which is a text; expected a "
                                         "whole number such as 20, without quotes");
    is_wrong("url: x\nverify: yes", "f.yaml:2:9: verify: found \"yes\"; expected true or false");
    is_wrong("url: x\nwait: 10", "f.yaml:2:7: wait: found \"10\"; expected a duration such as 500ms, 30s, 10m, 2h or "
                                 "7d, from 1s to 1h");
    is_wrong("url: x\nwait: 2h", "f.yaml:2:7: wait: found 2h; allowed is from 1s to 1h");
    is_wrong("url: x\nlimit: 1MiB", "f.yaml:2:8: limit: found 1MiB; allowed is at least 8MiB");
    is_wrong("url: x\nrate: 10", "f.yaml:2:7: rate: found \"10\"; expected a rate such as 10/s, 600/m, 500/h or 4/d, "
                                 "at least 1/d");
    is_wrong("url: x\nkeys: a", "f.yaml:2:7: keys: found a text; expected a list of texts such as [\"one\", \"two\"]");
    is_wrong("url: x\nkeys: [[a]]", "f.yaml:2:8: keys: found a list; expected a text");
    is_wrong("url: x\nheaders: [a]", "f.yaml:2:10: headers: found a list; expected a map of texts such as {name: "
                                     "\"value\"}");
    is_wrong("url:\ncountry: no", "f.yaml:1:5: url: found nothing; expected a text");
    is_wrong("url: {a: b}", "f.yaml:1:6: url: found a map; expected a text");
    is_wrong("url: x\nmode: Hold", "f.yaml:2:7: mode: found \"Hold\"; did you mean \"hold\"? (allowed: retry, hold)");
    is_wrong("url: x\ncountry: 012345678901234567890",
             "f.yaml:2:10: country: found a text that is too long; allowed is from 0 to 20 bytes");
    is_wrong("country: no\nmode: hold", "f.yaml:1:1: url is missing here; expected `url: ` and a text (Where the far "
                                        "side is)");
}

TEST(an_unknown_key_is_answered_with_the_nearest_and_all_known_ones)
{
    is_wrong("url: x\nprefech: 1", "f.yaml:2:1: unknown key \"prefech\"; did you mean \"prefetch\"? (allowed: url, "
                                   "country, mode, prefetch, verify, wait, limit, rate, password, keys, headers)");
    static const char *const others[] = {"adapter", NULL};
    assert_null(against("url: x\nadaptr: 1", others, NULL, true));
    assert_non_null(strstr(why.text, "did you mean \"adapter\"?"));
    struct settings *settings = against("url: x\nadapter: 1", others, NULL, true);
    assert_non_null(settings);
    settings_free(settings);
    is_wrong("- a", "f.yaml:1:1: found a list; expected a map of `key: value`; allowed keys: url, country, mode, "
                    "prefetch, verify, wait, limit, rate, password, keys, headers");
}

TEST(a_found_text_is_escaped_and_cut)
{
    is_wrong("url: x\nmode: \"\\e[31m\\n\"", "f.yaml:2:7: mode: found \"\\u001b[31m\\n\"; allowed: retry, hold");
    is_wrong("url: x\nmode: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
             "f.yaml:2:7: mode: found \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"...; allowed: retry, hold");
}

/* ---- secrets ---------------------------------------------------------------------------------- */

static void put(const char *name, const char *content, size_t size)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite(content, 1, size, file);
    fclose(file);
}

static void password_is(const char *source, const char *option, const char *expected)
{
    struct settings *settings = against(source, NULL, test_folder(), true);
    if (!settings)
        fail_msg("%s", why.text);
    assert_string_equal(settings_text(settings, option), expected);
    settings_free(settings);
}

TEST(a_secret_comes_from_the_environment_a_file_or_a_credential)
{
    setenv("HEADGATE_TEST_SECRET", "swordfish", 1);
    setenv("CREDENTIALS_DIRECTORY", test_folder(), 1);
    put("one.pem", "line 1\nline 2\r\n", 15);
    put("relay", "xyzzy\n\n", 7);
    password_is("url: x\npassword: ${env:HEADGATE_TEST_SECRET}", "password", "swordfish");
    password_is("url: x\npassword: '${file:one.pem}'", "password", "line 1\nline 2");
    password_is("url: x\npassword: '${credential:relay}'", "password", "xyzzy\n");
    char source[300];
    snprintf(source, sizeof source, "url: x\npassword: '${file:%s/one.pem}'", test_folder());
    password_is(source, "password", "line 1\nline 2");
    password_is("url: 'amqp://u:${env:HEADGATE_TEST_SECRET}@h/${credential:relay}'", "url",
                "amqp://u:swordfish@h/xyzzy\n");
    password_is("url: x\npassword: 'a$${env:X}$b$'", "password", "a${env:X}$b$");

    struct settings *settings =
        against("url: x\nheaders: {a: '${env:HEADGATE_TEST_SECRET}'}", NULL, test_folder(), true);
    assert_non_null(settings);
    assert_string_equal(settings_item(settings, "headers", 0), "swordfish");
    settings_free(settings);
}

TEST(a_missing_secret_is_named_by_its_place_and_source)
{
    unsetenv("HEADGATE_TEST_NONE");
    setenv("HEADGATE_TEST_EMPTY", "", 1);
    unsetenv("CREDENTIALS_DIRECTORY");
    put("empty", "\n", 1);
    put("zero", "a\0b", 3);
    is_wrong("url: x\npassword: ${env:HEADGATE_TEST_NONE}",
             "f.yaml:2:11: password: the environment variable HEADGATE_TEST_NONE is not set; set it where headgate is "
             "started, or use ${file:PATH} or ${credential:NAME}");
    is_wrong("url: x\npassword: ${env:HEADGATE_TEST_EMPTY}",
             "f.yaml:2:11: password: the environment variable HEADGATE_TEST_EMPTY is set, but empty; expected the "
             "secret in it");
    is_wrong("url: x\npassword: '${file:empty}'",
             "f.yaml:2:11: password: the file empty is empty; expected the secret in it");
    is_wrong("url: x\npassword: '${file:zero}'",
             "f.yaml:2:11: password: the file zero holds a zero byte; expected text");
    is_wrong("url: x\npassword: '${credential:relay}'",
             "f.yaml:2:11: password: cannot read the credential relay: CREDENTIALS_DIRECTORY is not set; systemd sets "
             "it for a service with LoadCredential=relay:PATH");
    assert_null(against("url: x\npassword: '${file:nowhere}'", NULL, test_folder(), true));
    assert_non_null(strstr(why.text, "f.yaml:2:11: password: cannot read the file nowhere ("));
    assert_non_null(strstr(why.text, "No such file"));
    assert_null(against("url: x\npassword: '${file:.}'", NULL, test_folder(), true));
    assert_non_null(strstr(why.text, "Is a directory"));
}

TEST(a_reference_has_one_of_three_forms)
{
    is_wrong("url: x\npassword: '${vault:a}'",
             "f.yaml:2:11: password: found \"${\", but no reference that is known; expected ${env:NAME}, ${file:PATH} "
             "or ${credential:NAME}; for a plain ${ write $${");
    is_wrong("url: x\npassword: '${env:ABC'", "f.yaml:2:11: password: found ${env:... without its closing brace; "
                                              "expected ${env:NAME}, ${file:PATH} or ${credential:NAME}");
    is_wrong("url: x\npassword: '${env:}'", "f.yaml:2:11: password: found ${env:...} with a name of 0 bytes; allowed "
                                            "are 1 to 500");
    is_wrong("url: x\npassword: '${env:A B}'",
             "f.yaml:2:11: password: found ${env:...} without a proper name in it; expected letters, digits and _, as "
             "in ${env:BROKER_PASSWORD}");
    is_wrong("url: x\npassword: '${credential:../x}'",
             "f.yaml:2:11: password: found ${credential:...} without a proper name in it; expected letters, digits, _ "
             ". and -, as in ${credential:relay}");
    assert_null(against("url: '${env:HOME}'", NULL, NULL, true));
    assert_non_null(strstr(why.text, "in headgate.yaml only"));
}

TEST(secrets_that_may_not_be_read_are_checked_for_their_form_and_stay_as_written)
{
    unsetenv("HEADGATE_TEST_NONE");
    struct settings *settings = against("url: 'amqp://u:${env:HEADGATE_TEST_NONE}@h/'\npassword: '${file:nowhere}'",
                                        NULL, test_folder(), false);
    assert_non_null(settings);
    assert_string_equal(settings_text(settings, "url"), "amqp://u:${env:HEADGATE_TEST_NONE}@h/");
    settings_free(settings);
    assert_null(against("url: '${env:a b}'", NULL, test_folder(), false));
}

TEST(no_message_holds_a_secret)
{
    static const char *const slips[] = {
        "url: x\npassword: [hunter2]",
        "url: x\npassword: {hunter2: x}",
        "url: x\npassword: {x: hunter2}",
        "url: [hunter2]",
        "url: x\nheaders: hunter2",
        "url: x\nheaders: {a: [hunter2]}",
        "url: x\nkeys: hunter2",
        "url: x\npassword: &hunter2",
        "url: x\npassword: *hunter2",
        "url: x\npassword: !hunter2",
        "url: x\npassword: !hunter2 x",
        "url: x\npassword: !!hunter2 x",
        "url: x\npassword: @hunter2",
        "url: x\npassword: %hunter2",
        "url: x\npassword: \"\\hunter2\"",
        "url: x\npassword: \"hunter2",
        "url: x\npassword: hunter2: x",
        "url: x\npassword:hunter2",
        "url: x\npassword:hunter2\ncountry: no",
        "{url: x, password:hunter2}",
        "{url: x, password=hunter2}",
        "{url: x, password: hunter2, password: hunter2}",
        "{password:hunter2: x, password:hunter2: y}",
        "{url:amqp://u:hunter2@h/}",
        "{uri:amqp://u:hunter2@h/}",
        "url: x\npassword: {hunter2}}",
        "url: x\npassword: 'h${hunter2}'",
        "url: x\npassword: '${env:hunter2'",
        "url: x\npassword: 'h${env:hunter2 x}'",
        "url: x\npassword: hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2",
        "url: x\npassword: ${env:HEADGATE_TEST_LONG}",
        "url: x\nmode: 1\npassword: hunter2",
    };
    char text[200] = "";
    for (int i = 0; i < 20; i++)
        strcat(text, "hunter2");
    setenv("HEADGATE_TEST_LONG", text, 1);
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        why = (struct err)ERR_INIT;
        struct yaml *root = yaml_parse("f.yaml", slice_of(slips[i]), &why);
        struct settings *settings = settings_new(options);
        if (root && yaml_settings(root, options, NULL, test_folder(), true, settings, &why))
            fail_msg("was not refused: %s", slips[i]);
        if (strstr(why.text, "hunter2"))
            fail_msg("\n%s\nsays %s", slips[i], why.text);
        if (strncmp(why.text, "f.yaml:", 7) != 0 || why.text[7] < '1' || why.text[7] > '9')
            fail_msg("\n%s\nhas no place: %s", slips[i], why.text);
        settings_free(settings);
        yaml_tree_free(root);
    }
}
