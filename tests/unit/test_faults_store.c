/* test_faults_store.c - whatever fails under the store, what it said is done is on disk, whole and in order */
#include "faults.h"

#include "core/store/upkeep.h"

#define CHANGES 6 /* number 1 to CHANGES; the last ones after the store was opened again */

static struct slice key_of(int number)
{
    static struct store_key key;
    key.size = 0;
    store_key_add_text(&key, "f");
    store_key_add_number(&key, (uint64_t)number);
    return store_key_slice(&key);
}

static void on_done(void *context)
{
    noted->is_done[(intptr_t)context] = true;
}

/* A change that touches every kind of operation.  It keeps the books: what is received waits, what is asked waits. */
static void commit(int number)
{
    struct change *change = change_new(on_done, (void *)(intptr_t)number);
    struct buf row = BUF_INIT(10000);
    static char text[5000]; /* more than a page */
    memset(text, 'x', sizeof text);
    record_add_integer(&row, "number", number);
    record_add_text(&row, "text", (struct slice){text, sizeof text});
    change_put(change, TABLE_INBOX, key_of(number), buf_slice(&row));
    change_put(change, TABLE_OUTBOX, key_of(number), buf_slice(&row));
    change_put(change, TABLE_ATTEMPTS, key_of(number), buf_slice(&row));
    change_delete(change, TABLE_ATTEMPTS, key_of(number - 1));
    change_count(change, "flow.f.received", 1);
    change_count(change, "lane.f.asked", 1);
    change_count(change, "lane.f.waiting-normal", 1);
    change_push(change, (struct slice){"k\0f", 4}, INT64_MAX, slice_of("trail"), 3, 1000);
    change_put_until(change, TABLE_SEEN, key_of(number), number == 2 ? 1 : INT64_MAX, SLICE_NONE);
    buf_clear(&row);
    store_commit(kit.store, change);
}

static bool is_there(enum table table, int number)
{
    struct slice row;
    return store_get(kit.store, table, key_of(number), &row);
}

static bool wait_done(int number)
{
    WAIT_UNTIL(noted->is_done[number]);
    return is_there(TABLE_INBOX, number) && is_there(TABLE_OUTBOX, number);
}

/* False: refused, in words. */
static bool open_again(void)
{
    enum store_failure failure;
    struct err err = ERR_INIT;
    kit.store = open_store_in(kit.folder, &failure, &err);
    assert_true(kit.store || err.text[0]);
    return kit.store != NULL;
}

static void look_around(void)
{
    struct err err = ERR_INIT;
    struct store_sizes sizes;
    struct picture *picture = picture_open(kit.store, &err);
    if (!picture)
        return;
    picture_sizes(picture, &sizes);
    picture_close(picture);
}

static void work(void)
{
    struct slice last;
    assert_int_equal(uv_loop_init(&kit.loop), 0);
    uv_timer_init(&kit.loop, &kit.tick);
    uv_timer_start(&kit.tick, on_tick, 2, 2);
    arm();
    if (!open_again())
        return;
    commit(1);
    assert_true(wait_done(1));
    commit(2);
    commit(3);
    commit(4);
    assert_true(wait_done(4) && wait_done(2));
    assert_int_equal(store_counter(kit.store, "lane.f.asked"), 4);
    assert_true(store_last(kit.store, TABLE_INBOX, slice_of("f"), &last) && store_key_number(last) == 4);
    look_around();
    store_close(kit.store);
    uv_run(&kit.loop, UV_RUN_NOWAIT);
    if (!open_again())
        return;
    assert_true(is_there(TABLE_INBOX, 4));
    WAIT_UNTIL(noted->did_fail
               || !is_there(TABLE_SEEN, 2)); /* the sweeper looks at once; after a fault a second later */
    commit(5);
    commit(6);
    assert_true(wait_done(6));
    store_close(kit.store);
}

static void check(void)
{
    kit_open();
    bool ended = false;
    for (int number = 1; number <= CHANGES; number++) {
        bool is_here = is_there(TABLE_INBOX, number);
        if (noted->is_done[number] && !is_here)
            fail_msg("call %d, %s: change %d was done, and is lost", call_to_fail, noted->call, number);
        if (is_here != is_there(TABLE_OUTBOX, number) || (number != 2 && is_here != is_there(TABLE_SEEN, number)))
            fail_msg("call %d, %s: change %d is half there", call_to_fail, noted->call, number);
        if (is_here && ended)
            fail_msg("call %d, %s: change %d overtook another", call_to_fail, noted->call, number);
        ended = !is_here;
    }
    expect_nothing_found();
    for (int number = 1; number <= CHANGES; number++) {
        if (is_there(TABLE_INBOX, number))
            continue;
        noted->is_done[number] = false;
        commit(number);
        assert_true(wait_done(number));
    }
    assert_int_equal(rows_in(TABLE_OUTBOX), CHANGES);
    expect_nothing_found();
    kit_close();
}

static const struct scenario scenario = {work, check};

TEST(each_call_of_lmdb_may_fail)
{
    fail_each_call(FAULT_LMDB, &scenario);
}

TEST(each_read_and_write_may_fail)
{
    fail_each_call(FAULT_DISK, &scenario);
}

TEST(each_allocation_may_fail)
{
    fail_each_call(FAULT_MEMORY, &scenario);
}
