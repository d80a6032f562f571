/* test_store.c - changes are whole, in order, and there when they say so */
#include "core_kit.h"

#include <endian.h>
#include <sys/wait.h>

static void put(struct change *change, enum table table, const char *key, const char *value)
{
    change_put(change, table, slice_of(key), slice_of(value));
}

static bool has(enum table table, const char *key, const char *value)
{
    struct slice found;
    return store_get(kit.store, table, slice_of(key), &found) && slice_is(found, value);
}

TEST(all_of_a_change_is_there_when_done_is_called)
{
    kit_open();
    bool is_done;
    struct change *change = kit_change(&is_done);
    put(change, TABLE_INBOX, "a", "1");
    put(change, TABLE_OUTBOX, "b", "2");
    change_count(change, "c", 3);
    assert_false(has(TABLE_INBOX, "a", "1"));
    store_commit(kit.store, change);
    while (!is_done) { /* until then nothing or all of it */
        assert_int_equal(has(TABLE_INBOX, "a", "1"), has(TABLE_OUTBOX, "b", "2"));
        turn();
    }
    assert_true(has(TABLE_INBOX, "a", "1") && has(TABLE_OUTBOX, "b", "2") && counter("c") == 3);
    change = kit_change(&is_done);
    change_delete(change, TABLE_INBOX, slice_of("a"));
    change_delete(change, TABLE_INBOX, slice_of("was never there"));
    kit_commit(change, &is_done);
    assert_int_equal(rows_in(TABLE_INBOX), 0);
    kit_close();
}

static struct {
    int order[1000];
    int count;
    bool all_readable;
} seen;

static void on_nth(void *context)
{
    int n = (int)(intptr_t)context;
    char key[16];
    snprintf(key, sizeof key, "k%d", n);
    seen.order[seen.count++] = n;
    seen.all_readable = seen.all_readable && has(TABLE_META, key, key);
}

TEST(changes_are_done_in_the_order_of_their_commits_and_readable_then)
{
    kit_open();
    seen.count = 0;
    seen.all_readable = true;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        struct change *change = change_new(on_nth, (void *)(intptr_t)i);
        put(change, TABLE_META, key, key);
        put(change, TABLE_META, "last", key);
        store_commit(kit.store, change);
    }
    WAIT_UNTIL(seen.count == 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(seen.order[i], i);
    assert_true(seen.all_readable);
    assert_true(has(TABLE_META, "last", "k999"));
    kit_close();
}

TEST(counters_sum_within_a_batch_across_batches_and_over_many_names)
{
    kit_open();
    bool is_done;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 600; i++) { /* more names than are gathered at once */
            char name[32];
            snprintf(name, sizeof name, "counter.%d", i);
            struct change *change = change_new(NULL, NULL);
            change_count(change, name, i);
            change_count(change, name, 1);
            change_count(change, "sum", -1);
            store_commit(kit.store, change);
        }
    }
    kit_commit(kit_change(&is_done), &is_done);
    assert_int_equal(counter("counter.0"), 3);
    assert_int_equal(counter("counter.599"), 1800);
    assert_int_equal(counter("sum"), -1800);
    assert_int_equal(counter("nothing"), 0);
    kit_close();
}

static size_t items_of(const char *key, char *first, char *last)
{
    struct slice row, item;
    size_t count = 0;
    if (!store_get(kit.store, TABLE_TRAILS, slice_of(key), &row))
        return 0;
    for (size_t at = 0; store_list_next(row, &at, &item); count++) {
        if (count == 0)
            snprintf(first, 32, "%.*s", SLICE_ARG(item));
        snprintf(last, 32, "%.*s", SLICE_ARG(item));
    }
    return count;
}

TEST(a_list_row_keeps_the_last_items_within_its_count_and_bytes)
{
    kit_open();
    bool is_done;
    char first[32], last[32], item[32];
    for (int i = 1; i <= 20; i++) {
        struct change *change = kit_change(&is_done);
        snprintf(item, sizeof item, "item-%02d", i);
        change_push(change, slice_of("by count"), INT64_MAX, slice_of(item), 8, 16384);
        change_push(change, slice_of("by bytes"), INT64_MAX, slice_of(item), 100, 3 * (7 + 4));
        change_push(change, slice_of("too large"), INT64_MAX, slice_of(item), 8, 5);
        kit_commit(change, &is_done);
    }
    assert_int_equal(items_of("by count", first, last), 8);
    assert_string_equal(first, "item-13");
    assert_string_equal(last, "item-20");
    assert_int_equal(items_of("by bytes", first, last), 3);
    assert_string_equal(first, "item-18");
    assert_int_equal(items_of("too large", first, last), 1);
    assert_string_equal(last, "item-20");
    kit_close();
}

TEST(the_sweeper_deletes_what_is_due_in_slices_and_leaves_the_rest)
{
    kit_open();
    clock_set_ms(1000000);
    bool is_done;
    struct change *change = kit_change(&is_done);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06d", i);
        change_put_until(change, TABLE_SEEN, slice_of(key), i % 3 ? 2000000 : 2000001, SLICE_NONE);
    }
    change_put_until(change, TABLE_RECEIPTS, slice_of("r"), 2000000, slice_of("receipt"));
    change_push(change, slice_of("t"), 2000000, slice_of("trail"), 8, 1000);
    change_put(change, TABLE_HELD, slice_of("for ever"), slice_of("\0\0\0\0\0\0\0\1 looks like an expiry"));
    kit_commit(change, &is_done);
    let_happen();
    assert_int_equal(rows_in(TABLE_SEEN), 3000);
    clock_set_ms(2000000);
    int64_t began_ns = clock_mono_ns();
    WAIT_UNTIL(rows_in(TABLE_SEEN) == 1000 && rows_in(TABLE_RECEIPTS) == 0 && rows_in(TABLE_TRAILS) == 0);
    assert_true(clock_mono_ns() - began_ns < 4500000000); /* 2000 are 5 slices: not one a second */
    let_happen();
    assert_int_equal(rows_in(TABLE_SEEN), 1000);
    assert_int_equal(rows_in(TABLE_HELD), 1);
    kit_close();
}

TEST(the_expiry_is_kept_apart_from_the_value)
{
    kit_open();
    bool is_done;
    int64_t expires_ms;
    struct slice value;
    struct change *change = kit_change(&is_done);
    change_put_until(change, TABLE_RECEIPTS, slice_of("r"), 4102444800000, slice_of("receipt"));
    kit_commit(change, &is_done);
    assert_true(store_get_until(kit.store, TABLE_RECEIPTS, slice_of("r"), &expires_ms, &value));
    assert_true(expires_ms == 4102444800000 && slice_is(value, "receipt"));
    assert_false(store_get_until(kit.store, TABLE_RECEIPTS, slice_of("s"), &expires_ms, &value));
    kit_close();
}

TEST(a_second_store_on_the_same_folder_is_refused_as_in_use)
{
    kit_open();
    struct err err = ERR_INIT;
    enum store_failure failure = STORE_FAILED;
    char pid[32];
    assert_null(open_store_in(kit.folder, &failure, &err));
    assert_int_equal(failure, STORE_IN_USE);
    assert_non_null(strstr(err.text, "another headgate"));
    snprintf(pid, sizeof pid, "process id %d", (int)getpid());
    assert_non_null(strstr(err.text, pid));
    bool is_done; /* the first is not disturbed */
    kit_commit(kit_change(&is_done), &is_done);
    kit_reopen();
    kit_close();
}

TEST(a_folder_that_cannot_be_made_is_refused_with_its_name)
{
    kit_open();
    struct err err = ERR_INIT;
    enum store_failure failure = STORE_IN_USE;
    char folder[200];
    snprintf(folder, sizeof folder, "%s/lock/below", kit.folder);
    assert_null(open_store_in(folder, &failure, &err));
    assert_int_equal(failure, STORE_FAILED);
    assert_non_null(strstr(err.text, folder));
    kit_close();
}

TEST(what_was_committed_is_there_after_reopening)
{
    kit_open();
    struct change *change = change_new(NULL, NULL); /* closed at once: still committed */
    put(change, TABLE_OUTBOX, "a", "1");
    change_count(change, "c", 41);
    store_commit(kit.store, change);
    kit_reopen();
    assert_true(has(TABLE_OUTBOX, "a", "1"));
    assert_int_equal(counter("c"), 41);
    kit_close();
}

TEST(a_store_of_a_newer_schema_is_refused_with_words)
{
    kit_open();
    char folder[sizeof kit.folder];
    memcpy(folder, kit.folder, sizeof folder);
    struct change *change = change_new(NULL, NULL);
    put(change, TABLE_META, "schema", "999");
    store_commit(kit.store, change);
    kit_close();

    kit_open();
    struct err err = ERR_INIT;
    enum store_failure failure = STORE_IN_USE;
    assert_null(open_store_in(folder, &failure, &err));
    assert_int_equal(failure, STORE_FAILED);
    assert_non_null(strstr(err.text, "schema 999"));
    assert_null(open_store_in(folder, &failure, &err)); /* refusing it lets go of its lock */
    assert_int_equal(failure, STORE_FAILED);
    kit_close();
}

TEST(the_last_key_of_a_prefix_is_found_and_a_scan_stays_within_it)
{
    kit_open();
    bool is_done;
    struct slice last;
    struct change *change = kit_change(&is_done);
    for (uint64_t i = 1; i <= 300; i++) {
        struct store_key key = STORE_KEY_INIT;
        store_key_add_text(&key, i % 2 ? "odd" : "odds");
        store_key_add_number(&key, i);
        change_put(change, TABLE_OUTBOX, store_key_slice(&key), SLICE_NONE);
    }
    kit_commit(change, &is_done);
    struct store_key prefix = STORE_KEY_INIT, from = STORE_KEY_INIT;
    store_key_add_text(&prefix, "odd");
    assert_true(store_last(kit.store, TABLE_OUTBOX, store_key_slice(&prefix), &last));
    assert_int_equal(store_key_number(last), 299);
    size_t count = 0;
    store_scan(kit.store, TABLE_OUTBOX, store_key_slice(&prefix), SLICE_NONE, count_one, &count);
    assert_int_equal(count, 150);
    store_key_add_text(&from, "odd");
    store_key_add_number(&from, 201);
    count = 0;
    store_scan(kit.store, TABLE_OUTBOX, store_key_slice(&prefix), store_key_slice(&from), count_one, &count);
    assert_int_equal(count, 50);
    assert_false(store_last(kit.store, TABLE_OUTBOX, slice_of("even"), &last));
    assert_false(store_last(kit.store, TABLE_HELD, SLICE_NONE, &last));
    kit_close();
}

TEST(numbers_of_the_held_go_on_after_a_restart_and_are_never_used_twice)
{
    kit_open();
    bool is_done;
    struct change *change = kit_change(&is_done);
    assert_int_equal(held_add(&kit.held, change, slice_of("one")), 1);
    assert_int_equal(held_add(&kit.held, change, slice_of("two")), 2);
    kit_commit(change, &is_done);
    change = kit_change(&is_done);
    held_remove(change, 2);
    kit_commit(change, &is_done);
    kit_reopen();
    change = kit_change(&is_done);
    assert_int_equal(held_add(&kit.held, change, slice_of("three")), 3);
    kit_commit(change, &is_done);
    assert_true(slice_is(held_row(3), "three"));
    struct slice row;
    assert_false(held_get(&kit.held, 2, &row));
    kit_close();
}

/* A process that is killed between two turns of its loop: what it was told is done is there. */
static int commit_until_killed(int report)
{
    kit_open();
    for (uint32_t i = 1;; i++) {
        bool is_done;
        struct change *change = kit_change(&is_done);
        struct store_key a = STORE_KEY_INIT;
        store_key_add_number(&a, i);
        change_put(change, TABLE_INBOX, store_key_slice(&a), slice_of("half"));
        change_put(change, TABLE_OUTBOX, store_key_slice(&a), slice_of("other half"));
        change_count(change, "n", 1);
        kit_commit(change, &is_done);
        if (write(report, &i, sizeof i) != sizeof i)
            return 1;
    }
}

TEST(what_was_done_outlives_a_kill_and_no_change_is_half_there)
{
    for (int round = 0; round < 3; round++) {
        int pipe_ends[2];
        uint32_t told = 0, n;
        assert_int_equal(pipe(pipe_ends), 0);
        snprintf(kit.folder, sizeof kit.folder, "%s/killed-%d", test_folder(), round);
        pid_t child = fork();
        if (child == 0)
            _exit(commit_until_killed(pipe_ends[1]));
        close(pipe_ends[1]);
        while (told < 20 + 7 * (uint32_t)round && read(pipe_ends[0], &n, sizeof n) == sizeof n)
            told = n;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(pipe_ends[0], &n, sizeof n) == sizeof n)
            told = n;
        close(pipe_ends[0]);
        assert_true(told >= 20);
        kit_open();
        assert_true(rows_in(TABLE_INBOX) >= told);
        assert_int_equal(rows_in(TABLE_INBOX), rows_in(TABLE_OUTBOX));
        assert_int_equal(rows_in(TABLE_INBOX), counter("n"));
        kit_close();
    }
}
