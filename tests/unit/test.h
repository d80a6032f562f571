/* test.h - a test is a sentence that is true
 *
 *     TEST(an_effect_outlives_a_crash_between_commit_and_ack)
 *     {
 *         assert_true(...);
 *     }
 *
 * One program for each file tests/unit/test_*.c; cmocka runs and reports.  A folder for a test's
 * files: test_folder(), removed at exit. */
#ifndef HEADGATE_TESTS_UNIT_TEST_H
#define HEADGATE_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef __SANITIZE_THREAD__
/* Lua leaves by the checked longjmp, which ThreadSanitizer does not know: it would take the frames that are left for
 * being still there, until its record of them is full. */
void __longjmp_chk(jmp_buf place, int value);
void __longjmp_chk(jmp_buf place, int value)
{
    longjmp(place, value);
}
#endif

#define TEST_MOST 300

static struct CMUnitTest test_list[TEST_MOST];
static size_t test_count;

#define TEST(sentence)                                                                                                 \
    static void sentence(void **state);                                                                                \
    __attribute__((constructor)) static void add_##sentence(void)                                                      \
    {                                                                                                                  \
        test_list[test_count++] = (struct CMUnitTest){#sentence, sentence, NULL, NULL, NULL};                          \
    }                                                                                                                  \
    static void sentence(void **state __attribute__((unused)))

static char test_folder_path[64];

static void test_folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", test_folder_path);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", test_folder_path);
}

__attribute__((unused)) static const char *test_folder(void)
{
    if (!test_folder_path[0]) {
        strcpy(test_folder_path, "/tmp/headgate-test-XXXXXX");
        if (!mkdtemp(test_folder_path))
            abort();
        atexit(test_folder_remove);
    }
    return test_folder_path;
}

int main(void)
{
    return _cmocka_run_group_tests(__FILE__, test_list, test_count, NULL, NULL) != 0;
}

#endif
