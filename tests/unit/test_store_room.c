/* test_store_room.c - the store grows, reaches its limit, meets a full disk, and goes on */
#include "core_kit.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROW_BYTES 100000

static struct slice a_row(void)
{
    static char bytes[ROW_BYTES];
    memset(bytes, 'x', sizeof bytes);
    return (struct slice){bytes, sizeof bytes};
}

static struct {
    uint64_t done[5000];
    size_t count;
} order;

static void on_row(void *context)
{
    order.done[order.count++] = (uint64_t)(uintptr_t)context;
}

static void put_row(uint64_t number)
{
    struct change *change = change_new(on_row, (void *)(uintptr_t)number);
    struct store_key key = STORE_KEY_INIT;
    store_key_add_number(&key, number);
    change_put(change, TABLE_OUTBOX, store_key_slice(&key), a_row());
    store_commit(kit.store, change);
}

static void delete_rows(uint64_t from, uint64_t to)
{
    struct change *change = change_new(NULL, NULL);
    for (uint64_t number = from; number <= to; number++) {
        struct store_key key = STORE_KEY_INIT;
        store_key_add_number(&key, number);
        change_delete(change, TABLE_OUTBOX, store_key_slice(&key));
    }
    store_commit(kit.store, change);
}

static void expect_order(size_t count)
{
    assert_int_equal(order.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(order.done[i], i + 1);
}

TEST(the_map_grows_while_the_loop_thread_reads)
{
    kit_open();
    order.count = 0;
    for (uint64_t i = 1; i <= 500; i++) { /* 50 MB: past 16 and 32 MiB */
        put_row(i);
        rows_in(TABLE_OUTBOX);
    }
    while (order.count < 500) {
        rows_in(TABLE_OUTBOX);
        turn();
    }
    expect_order(500);
    assert_int_equal(rows_in(TABLE_OUTBOX), 500);
    assert_false(was_told(STORE_FULL));
    kit_reopen();
    assert_int_equal(rows_in(TABLE_OUTBOX), 500);
    put_row(501);
    WAIT_UNTIL(order.count == 501);
    kit_close();
}

static size_t count_in(struct picture *picture)
{
    size_t rows = 0;
    picture_scan(picture, TABLE_OUTBOX, SLICE_NONE, count_one, &rows);
    return rows;
}

TEST(a_picture_stays_as_it_was_and_growing_waits_for_it)
{
    kit_open();
    order.count = 0;
    struct err err = ERR_INIT;
    put_row(1);
    WAIT_UNTIL(order.count == 1);
    struct picture *picture = picture_open(kit.store, &err);
    for (uint64_t i = 2; i <= 400; i++)
        put_row(i);
    let_happen();
    assert_true(order.count < 400); /* does not fit before the map grows */
    assert_int_equal(count_in(picture), 1);
    picture_close(picture);
    WAIT_UNTIL(order.count == 400);
    expect_order(400);
    kit_close();
}

TEST(above_the_high_water_mark_it_says_so_and_below_the_low_one_it_says_ok)
{
    kit.limit_bytes = 8 << 20;
    kit_open();
    order.count = 0;
    for (uint64_t i = 1; i <= 80; i++)
        put_row(i);
    WAIT_UNTIL(store_get_state(kit.store) == STORE_HIGH);
    expect_order(80); /* what was taken in is still written */
    assert_true(store_used_bytes(kit.store) > (8 << 20) / 10 * 9);
    delete_rows(1, 5); /* between the marks: no change of mind */
    put_row(81);
    delete_rows(6, 60);
    WAIT_UNTIL(store_get_state(kit.store) == STORE_OK);
    assert_int_equal(kit.state_count, 2);
    kit_close();
}

TEST(a_store_at_its_limit_says_full_and_loses_nothing)
{
    kit.limit_bytes = 8 << 20;
    kit_open();
    order.count = 0;
    for (uint64_t i = 1; i <= 600; i++) /* 60 MB; limit and slack are 40 MiB */
        put_row(i);
    WAIT_UNTIL(store_get_state(kit.store) == STORE_FULL);
    size_t written = order.count;
    assert_true(written < 600);
    let_happen();
    assert_int_equal(order.count, written);
    assert_true(rows_in(TABLE_OUTBOX) == written); /* and can still be read */
    kit_close();                                   /* what waits can never be written: closing does not wait for it */
    expect_order(written);
}

/* ---- a full disk ------------------------------------------------------------------------------------- */

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* In a process of its own, because the limit is one of the process. */
static void meet_the_limit(void)
{
    signal(SIGXFSZ, SIG_IGN);
    kit_open();
    order.count = 0;
    put_row(1);
    WAIT_UNTIL(order.count == 1);
    set_file_limit((rlim_t)3 << 20);
    for (uint64_t i = 2; i <= 60; i++)
        put_row(i);
    WAIT_UNTIL(store_get_state(kit.store) == STORE_FULL);
    assert_true(order.count < 60);
    assert_int_equal(rows_in(TABLE_OUTBOX), order.count);
    set_file_limit(RLIM_INFINITY);
    WAIT_UNTIL(order.count == 60);
    expect_order(60);
    WAIT_UNTIL(store_get_state(kit.store) == STORE_OK);
    kit_reopen();
    assert_int_equal(rows_in(TABLE_OUTBOX), 60);
    kit_close();
}

static void expect_good_end(void (*body)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the process ended with %d, signal %d", WEXITSTATUS(status), WTERMSIG(status));
}

TEST(a_file_that_may_not_grow_pauses_the_store_and_nothing_is_lost)
{
    test_folder(); /* made, and removed, by this process */
    expect_good_end(meet_the_limit);
}

static char disk[100];

static void fill_the_disk(void)
{
    char path[200];
    snprintf(path, sizeof path, "%s/filler", disk);
    static char block[65536];
    FILE *file = fopen(path, "w");
    while (fwrite(block, 1, sizeof block, file) == sizeof block && fflush(file) == 0)
        ;
    fclose(file);
}

static void meet_the_full_disk(void)
{
    snprintf(kit.folder, sizeof kit.folder, "%s/data", disk);
    kit_open();
    order.count = 0;
    for (uint64_t i = 1; i <= 10; i++)
        put_row(i);
    WAIT_UNTIL(order.count == 10);
    fill_the_disk();
    for (uint64_t i = 11; i <= 60; i++)
        put_row(i);
    WAIT_UNTIL(store_get_state(kit.store) == STORE_FULL);
    assert_int_equal(rows_in(TABLE_OUTBOX), order.count);
    char path[200];
    snprintf(path, sizeof path, "%s/filler", disk);
    unlink(path);
    WAIT_UNTIL(order.count == 60 && store_get_state(kit.store) == STORE_OK);
    expect_order(60);
    kit_reopen();
    assert_int_equal(rows_in(TABLE_OUTBOX), 60);
    kit_close();
}

TEST(a_full_disk_pauses_the_store_and_nothing_is_lost)
{
    snprintf(disk, sizeof disk, "%s/disk", test_folder());
    mkdir(disk, 0700);
    if (mount("none", disk, "tmpfs", 0, "size=12m") != 0) {
        print_message("a small disk cannot be mounted here (no right to): not tried\n");
        skip();
    }
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        meet_the_full_disk();
        _exit(0);
    }
    waitpid(child, &status, 0);
    umount(disk);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- with threads of libuv's, after which no test may fork -------------------------------------------- */

static struct {
    struct picture *picture;
    size_t rows;
    bool has_ended;
} looking;

static void look(uv_work_t *work)
{
    (void)work;
    looking.rows = count_in(looking.picture);
}

static void looked(uv_work_t *work, int status)
{
    (void)work, (void)status;
    picture_close(looking.picture);
    looking.has_ended = true;
}

TEST(a_picture_is_read_on_another_thread_while_changes_go_on)
{
    kit_open();
    order.count = 0;
    for (uint64_t i = 1; i <= 20; i++)
        put_row(i);
    WAIT_UNTIL(order.count == 20);
    for (int round = 0; round < 20; round++) {
        uv_work_t work;
        struct err err = ERR_INIT;
        size_t before = rows_in(TABLE_OUTBOX);
        looking.has_ended = false;
        looking.picture = picture_open(kit.store, &err);
        uv_queue_work(&kit.loop, &work, look, looked);
        for (uint64_t i = 0; i < 10; i++)
            put_row(21 + (uint64_t)round * 10 + i);
        WAIT_UNTIL(looking.has_ended);
        assert_in_range(looking.rows, before, rows_in(TABLE_OUTBOX));
    }
    WAIT_UNTIL(order.count == 220);
    kit_close();
}
