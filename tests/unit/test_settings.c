/* test_settings.c - answers to a table of options, numbers with units, and "did you mean" */
#include "core/base/nearest.h"
#include "core/base/settings.h"

#include "test.h"

static const struct option options[] = {
    {.name = "url", .kind = OPTION_TEXT},
    {.name = "mode", .kind = OPTION_TEXT, .fallback = "safe"},
    {.name = "wait", .kind = OPTION_DURATION, .fallback = "7d"},
    {.name = "keys", .kind = OPTION_LIST, .fallback = "#"},
    {.name = "headers", .kind = OPTION_MAP},
    OPTION_END,
};

TEST(a_default_counts_until_somebody_says_otherwise)
{
    struct settings *settings = settings_new(options);
    assert_false(settings_has(settings, "url"));
    assert_null(settings_text(settings, "url"));
    assert_string_equal(settings_text(settings, "mode"), "safe");
    assert_true(settings_number(settings, "wait") == INT64_C(7) * 86400000);
    settings_set_text(settings, "mode", slice_of("fast"));
    settings_set_text(settings, "mode", slice_of("faster"));
    settings_set_number(settings, "wait", 5);
    assert_string_equal(settings_text(settings, "mode"), "faster");
    assert_true(settings_number(settings, "wait") == 5);
    settings_free(settings);
}

TEST(the_first_item_that_is_said_replaces_the_default)
{
    struct settings *settings = settings_new(options);
    assert_int_equal(settings_count(settings, "keys"), 1);
    settings_add_item(settings, "keys", slice_of("a"));
    settings_add_item(settings, "keys", slice_of("b"));
    assert_int_equal(settings_count(settings, "keys"), 2);
    assert_string_equal(settings_item(settings, "keys", 0), "a");
    assert_string_equal(settings_item(settings, "keys", 1), "b");
    assert_null(settings_item(settings, "keys", 2));
    settings_set_empty(settings, "keys");
    assert_true(settings_has(settings, "keys"));
    assert_int_equal(settings_count(settings, "keys"), 0);
    settings_free(settings);
}

TEST(a_map_keeps_its_keys_beside_its_values)
{
    struct settings *settings = settings_new(options);
    settings_add_pair(settings, "headers", slice_of("one"), slice_of("1"));
    settings_add_pair(settings, "headers", slice_of("two"), slice_of("2"));
    assert_string_equal(settings_key(settings, "headers", 1), "two");
    assert_string_equal(settings_item(settings, "headers", 1), "2");
    assert_null(settings_key(settings, "headers", 2));
    settings_free(settings);
}

static void is_number(enum option_kind kind, const char *text, int64_t expected, const char *printed)
{
    int64_t number;
    char room[SETTINGS_PRINT_MAX];
    assert_true(settings_parse(kind, text, &number));
    assert_true(number == expected);
    assert_string_equal(settings_print(kind, number, room), printed);
}

TEST(numbers_are_read_with_their_units_and_printed_in_the_largest_that_fits)
{
    is_number(OPTION_DURATION, "500ms", 500, "500ms");
    is_number(OPTION_DURATION, "30s", 30000, "30s");
    is_number(OPTION_DURATION, "120m", 7200000, "2h");
    is_number(OPTION_DURATION, "7d", INT64_C(604800000), "7d");
    is_number(OPTION_SIZE, "64KiB", 65536, "64KiB");
    is_number(OPTION_SIZE, "1024MiB", INT64_C(1) << 30, "1GiB");
    is_number(OPTION_SIZE, "1000", 1000, "1000");
    is_number(OPTION_RATE, "10/s", 864000, "10/s");
    is_number(OPTION_RATE, "500/h", 12000, "500/h");
    is_number(OPTION_RATE, "4/d", 4, "4/d");
    is_number(OPTION_INTEGER, "-9223372036854775807", -INT64_MAX, "-9223372036854775807");
    is_number(OPTION_INTEGER, "0", 0, "0");
    is_number(OPTION_BOOLEAN, "true", 1, "true");
    is_number(OPTION_BOOLEAN, "false", 0, "false");
}

TEST(what_is_not_quite_a_number_is_none)
{
    static const struct {
        enum option_kind kind;
        const char *text;
    } wrong[] = {
        {OPTION_DURATION, "7"},
        {OPTION_DURATION, "7 d"},
        {OPTION_DURATION, "1.5h"},
        {OPTION_DURATION, "-1s"},
        {OPTION_DURATION, "d"},
        {OPTION_DURATION, ""},
        {OPTION_SIZE, "1MB"},
        {OPTION_SIZE, "1mib"},
        {OPTION_RATE, "10"},
        {OPTION_RATE, "10/w"},
        {OPTION_INTEGER, "010"},
        {OPTION_INTEGER, "0x10"},
        {OPTION_INTEGER, "1e3"},
        {OPTION_INTEGER, "1_000"},
        {OPTION_INTEGER, "+1"},
        {OPTION_INTEGER, "-"},
        {OPTION_BOOLEAN, "yes"},
        {OPTION_BOOLEAN, "True"},
        {OPTION_BOOLEAN, "1"},
        {OPTION_BOOLEAN, "no"},
        {OPTION_INTEGER, "9223372036854775808"},
        {OPTION_SIZE, "9223372036854775807KiB"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t number;
        if (settings_parse(wrong[i].kind, wrong[i].text, &number))
            fail_msg("%s was taken for a number", wrong[i].text);
    }
}

static const char *guess(struct nearest *nearest, const char *wanted)
{
    static const char *const known[] = {"prefetch", "password", "url", "exchange", "keys", "when_off", NULL};
    *nearest = nearest_for(slice_of(wanted));
    for (const char *const *name = known; *name; name++)
        nearest_offer(nearest, slice_of(*name));
    return nearest->best.size ? nearest->best.data : "";
}

TEST(a_mistyped_name_finds_the_one_that_was_meant_and_a_strange_one_finds_none)
{
    struct nearest nearest;
    assert_string_equal(guess(&nearest, "prefech"), "prefetch");
    assert_string_equal(guess(&nearest, "excahnge"), "exchange");
    assert_string_equal(guess(&nearest, "URL"), "url");
    assert_string_equal(guess(&nearest, "ulr"), "url");
    assert_string_equal(guess(&nearest, "when-off"), "when_off");
    assert_string_equal(guess(&nearest, "pass"), "password");
    assert_string_equal(guess(&nearest, "colour"), "");
    assert_string_equal(guess(&nearest, ""), "");
    assert_string_equal(nearest_text(&nearest, "allowed"),
                        "; allowed: prefetch, password, url, exchange, keys, when_off");
    guess(&nearest, "key");
    assert_string_equal(nearest_text(&nearest, "allowed"),
                        "; did you mean \"keys\"? (allowed: prefetch, password, url, exchange, keys, when_off)");
    nearest = nearest_for(slice_of("x"));
    assert_string_equal(nearest_text(&nearest, "allowed"), "; there are none");
}

TEST(a_long_list_of_names_ends_with_dots_inside_its_room)
{
    struct nearest nearest = nearest_for(slice_of("x"));
    char name[100];
    memset(name, 'n', sizeof name);
    for (int i = 0; i < 100; i++)
        nearest_offer(&nearest, (struct slice){name, sizeof name});
    const char *text = nearest_text(&nearest, "allowed");
    assert_true(strlen(text) < NEAREST_MAX + 100);
    assert_non_null(strstr(text, ", ..."));
    assert_string_equal(strstr(text, ", ..."), ", ...");
}
