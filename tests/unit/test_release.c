/* test_release.c - who has the hash has the content */
#include "core/adapter.h"
#include "core/base/file.h"
#include "core/flow/release.h"

#include "test.h"

#include <sys/stat.h>

struct part {
    const char *path, *content;
};

static struct release *made_of(const char *name, const struct part *parts, size_t count)
{
    struct err err = ERR_INIT;
    struct release *release = release_new(RELEASE_FLOW, name);
    for (size_t i = 0; i < count; i++)
        if (!release_add(release, parts[i].path, slice_of(parts[i].content), &err))
            fail_msg("%s", err.text);
    release_seal(release);
    return release;
}

static void expect_hash(const struct part *parts, const char *name, const char *hash, bool is_same)
{
    struct release *release = made_of(name, parts, 2);
    if ((strcmp(release->hash, hash) == 0) != is_same)
        fail_msg("%s=%s %s=%s", parts[0].path, parts[0].content, parts[1].path, parts[1].content);
    release_free(release);
}

TEST(the_hash_is_of_the_content_and_not_of_the_order)
{
    struct part parts[] = {{"flow.lua", "return 1"}, {"flow.yaml", "flow: a"}};
    struct release *release = made_of("a", parts, 2);
    assert_int_equal(strlen(release->hash), 64);
    expect_hash((struct part[]){{"flow.yaml", "flow: a"}, {"flow.lua", "return 1"}}, "a", release->hash, true);
    expect_hash((struct part[]){{"flow.lua", "return 2"}, {"flow.yaml", "flow: a"}}, "a", release->hash, false);
    expect_hash((struct part[]){{"flow.luaa", "return 1"}, {"flow.yaml", "flow: a"}}, "a", release->hash, false);
    expect_hash((struct part[]){{"flow.lua", "return 1f"}, {"flow.yaml", "low: a"}}, "a", release->hash, false);
    expect_hash((struct part[]){{"flow.lua", "flow: a"}, {"flow.yaml", "return 1"}}, "a", release->hash, false);
    expect_hash(parts, "b", release->hash, false);
    release_free(release);
}

TEST(a_path_that_leaves_its_folder_is_refused)
{
    static const char *const bad[] = {"", "/etc/passwd", "..", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "a/."};
    static const char *const good[] = {"a", "a/b/c.txt", "..a", "a..", "a/..b"};
    struct release *release = release_new(RELEASE_FLOW, "a");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        if (release_add(release, bad[i], SLICE_NONE, &err) || !strstr(err.text, "not a path inside"))
            fail_msg("took \"%s\"", bad[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct err err = ERR_INIT;
        assert_true(release_add(release, good[i], SLICE_NONE, &err));
    }
    char path[300];
    struct err err = ERR_INIT;
    memset(path, 'x', sizeof path);
    path[201] = '\0';
    assert_false(release_add(release, path, SLICE_NONE, &err));
    path[200] = '\0';
    assert_true(release_add(release, path, SLICE_NONE, &err));
    release_free(release);
}

TEST(too_large_a_flow_or_too_many_files_are_refused)
{
    struct release *release = release_new(RELEASE_FLOW, "a");
    struct err err = ERR_INIT;
    char *bytes = calloc(1, RELEASE_MAX);
    assert_true(release_add(release, "a", (struct slice){bytes, RELEASE_MAX - 1}, &err));
    assert_false(release_add(release, "b", (struct slice){bytes, 2}, &err));
    assert_non_null(strstr(err.text, "too large"));
    assert_true(release_add(release, "b", (struct slice){bytes, 1}, &err));
    for (int i = 2; i < 500; i++) {
        char path[16];
        snprintf(path, sizeof path, "f%d", i);
        assert_true(release_add(release, path, SLICE_NONE, &err));
    }
    assert_false(release_add(release, "one more", SLICE_NONE, &err));
    free(bytes);
    release_free(release);
}

TEST(what_is_encoded_is_decoded_as_the_same_release)
{
    struct part parts[] = {{"flow.lua", "return 1"}, {"templates/a.txt", ""}};
    struct err err = ERR_INIT;
    struct buf record = BUF_INIT(10000);
    struct slice content;
    struct release *release = made_of("a", parts, 2);
    assert_true(release_encode(release, &record));
    struct release *again = release_decode(RELEASE_FLOW, "a", buf_slice(&record), &err);
    assert_string_equal(again->hash, release->hash);
    assert_true(release_find(again, "flow.lua", &content) && slice_is(content, "return 1"));
    assert_true(release_find(again, "templates/a.txt", &content) && content.size == 0);
    assert_false(release_find(again, "templates", &content));
    release_free(again);
    record_add_text(&record, "../escape", slice_of("x")); /* a record of somebody else */
    assert_null(release_decode(RELEASE_FLOW, "a", buf_slice(&record), &err));
    release_free(release);
    buf_clear(&record);
}

static void write_to(const char *folder, const char *name, const char *text)
{
    char path[1000];
    assert_in_range(snprintf(path, sizeof path, "%s/%s", folder, name), 1, sizeof path - 1);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static const char *folder_of(const char *name)
{
    static char path[300];
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    assert_true(file_make_folder(path, &err));
    return path;
}

TEST(a_folder_is_a_release_without_what_editors_leave_there)
{
    struct err err = ERR_INIT;
    struct slice content;
    char below[400], copy[400];
    const char *folder = folder_of("my-flow");
    snprintf(below, sizeof below, "%s/templates", folder);
    assert_true(file_make_folder(below, &err));
    write_to(folder, "flow.lua", "return 1");
    write_to(below, "a.txt", "text");
    struct release *clean = release_from_path(folder, &err);
    write_to(folder, ".flow.lua.swp", "x");
    write_to(folder, "flow.lua~", "x");
    write_to(folder, "#flow.lua#", "x");
    write_to(folder, "flow.swp", "x");
    struct release *release = release_from_path(folder, &err);
    assert_string_equal(release->hash, clean->hash);
    assert_string_equal(release->name, "my-flow");
    assert_int_equal(release->count, 2);
    assert_true(release_find(release, "templates/a.txt", &content) && slice_is(content, "text"));

    snprintf(copy, sizeof copy, "%s", folder_of("copies/my-flow"));
    assert_true(release_write(release, copy, &err));
    struct release *again = release_from_path(copy, &err);
    assert_string_equal(again->hash, release->hash);
    release_free(again);
    release_free(release);
    release_free(clean);
}

TEST(a_rule_is_its_file_and_its_spec)
{
    struct err err = ERR_INIT;
    struct slice content;
    const char *folder = folder_of("rules-a");
    char path[400];
    snprintf(path, sizeof path, "%s/monitored.lua", folder);
    write_to(folder, "monitored.lua", "return 1");
    struct release *alone = release_from_path(path, &err);
    assert_int_equal(alone->kind, RELEASE_RULE);
    assert_int_equal(alone->count, 1);
    write_to(folder, "monitored_spec.lua", "spec");
    struct release *both = release_from_path(path, &err);
    assert_int_equal(both->count, 2);
    assert_true(release_find(both, "monitored_spec.lua", &content));
    assert_string_not_equal(alone->hash, both->hash);
    release_free(alone);
    release_free(both);
}

TEST(a_bad_name_or_place_is_refused_with_words)
{
    struct err err = ERR_INIT;
    assert_null(release_from_path("/does/not/exist", &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_null(release_from_path(folder_of("My_Flow"), &err));
    assert_non_null(strstr(err.text, "cannot name a flow"));
    const char *folder = folder_of("deep");
    folder_of("deep/1/2/3/4/5");
    folder = folder_of("deep");
    assert_null(release_from_path(folder, &err));
    assert_non_null(strstr(err.text, "nested deeper"));
    char name[NAME_MAX_BYTES + 2];
    memset(name, 'a', sizeof name);
    name[NAME_MAX_BYTES + 1] = '\0';
    assert_false(release_name_is_good(RELEASE_FLOW, name));
    name[NAME_MAX_BYTES] = '\0';
    assert_true(release_name_is_good(RELEASE_FLOW, name));
    assert_true(release_name_is_good(RELEASE_FLOW, "a-1") && !release_name_is_good(RELEASE_FLOW, "a_1"));
    assert_true(release_name_is_good(RELEASE_RULE, "a_1") && !release_name_is_good(RELEASE_RULE, "a-1"));
    assert_false(release_name_is_good(RELEASE_FLOW, "") || release_name_is_good(RELEASE_FLOW, "1a"));
}
