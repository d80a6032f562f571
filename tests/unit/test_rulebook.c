/* test_rulebook.c - what `require` finds */
#include "core/flow/rulebook.h"

#include "test.h"

#include <sys/stat.h>

static struct release *rule_of(const char *name, const char *source)
{
    struct err err = ERR_INIT;
    char file[100];
    struct release *rule = release_new(RELEASE_RULE, name);
    snprintf(file, sizeof file, "%s.lua", name);
    assert_true(release_add(rule, file, slice_of(source), &err));
    release_seal(rule);
    return rule;
}

static bool finds(const struct rulebook *book, const char *module, const char *source, const char *chunk)
{
    struct slice found;
    const struct release *rule;
    struct buf name = BUF_INIT(200);
    bool ok = rulebook_find(book, module, &found, &name, &rule) && (!source || slice_is(found, source))
              && strcmp(name.data, chunk) == 0 && (rule != NULL) == (strncmp(module, "rules.", 6) == 0);
    buf_clear(&name);
    return ok;
}

TEST(a_candidate_stands_over_the_live_rule_and_the_others_are_found_beneath)
{
    struct rulebook live = RULEBOOK_INIT(NULL), candidate = RULEBOOK_INIT(&live);
    rulebook_set(&live, rule_of("a", "return 'live a'"));
    rulebook_set(&live, rule_of("b", "return 'live b'"));
    rulebook_set(&candidate, rule_of("a", "return 'new a'"));
    assert_true(finds(&candidate, "rules.a", "return 'new a'", "rules/a.lua"));
    assert_true(finds(&candidate, "rules.b", "return 'live b'", "rules/b.lua"));
    assert_true(finds(&live, "rules.a", "return 'live a'", "rules/a.lua"));
    assert_false(finds(&candidate, "rules.c", NULL, ""));
    rulebook_set(&live, rule_of("b", "return 'newer b'"));
    assert_true(finds(&candidate, "rules.b", "return 'newer b'", "rules/b.lua"));
    assert_non_null(rulebook_get(&candidate, "b"));
    assert_null(rulebook_get(&candidate, "c"));
    rulebook_clear(&candidate);
    assert_true(finds(&live, "rules.a", "return 'live a'", "rules/a.lua"));
    rulebook_clear(&live);
}

TEST(the_scripts_of_this_program_are_found_and_cannot_be_replaced)
{
    struct rulebook book = RULEBOOK_INIT(NULL);
    assert_true(finds(&book, "headgate.first", NULL, "headgate/first.lua"));
    assert_false(finds(&book, "headgate.nothing", NULL, ""));
    assert_false(finds(&book, "first", NULL, ""));
    assert_false(finds(&book, "rules.", NULL, ""));
    assert_false(finds(&book, "os", NULL, ""));
    rulebook_clear(&book);
}

static void write_rule(const char *folder, const char *name)
{
    char path[1000];
    assert_in_range(snprintf(path, sizeof path, "%s/%s", folder, name), 1, sizeof path - 1);
    FILE *file = fopen(path, "w");
    fputs("return 1", file);
    fclose(file);
}

TEST(a_folder_of_rules_is_all_its_lua_files_without_specs)
{
    struct rulebook book = RULEBOOK_INIT(NULL);
    struct err err = ERR_INIT;
    char folder[200];
    snprintf(folder, sizeof folder, "%s/rules", test_folder());
    assert_true(rulebook_load_folder(&book, folder, &err)); /* not there: empty */
    mkdir(folder, 0700);
    write_rule(folder, "a.lua");
    write_rule(folder, "a_spec.lua");
    write_rule(folder, "b.lua");
    write_rule(folder, "notes.txt");
    write_rule(folder, ".hidden.lua");
    assert_true(rulebook_load_folder(&book, folder, &err));
    assert_int_equal(book.rules.count, 2);
    assert_int_equal(rulebook_get(&book, "a")->count, 2);
    write_rule(folder, "Bad-Name.lua");
    assert_false(rulebook_load_folder(&book, folder, &err));
    assert_non_null(strstr(err.text, "Bad-Name"));
    rulebook_clear(&book);
}
