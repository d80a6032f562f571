/* test_faults_upgrade.c - whatever fails while an old store is upgraded, the next start finds all of it */
#include "faults.h"

static void upgrade(void)
{
    char command[600];
    assert_int_equal(uv_loop_init(&kit.loop), 0);
    uv_timer_init(&kit.loop, &kit.tick);
    uv_timer_start(&kit.tick, on_tick, 2, 2);
    snprintf(command, sizeof command, "mkdir -p '%s/store' && gzip -dc tests/data/store-1.mdb.gz > '%s/store/data.mdb'",
             kit.folder, kit.folder);
    assert_int_equal(system(command), 0);
    arm();
    enum store_failure failure;
    struct err err = ERR_INIT;
    kit.store = open_store_in(kit.folder, &failure, &err);
    assert_true(kit.store || err.text[0]); /* refused, in words */
    if (kit.store)
        store_close(kit.store);
}

static void check_upgraded(void)
{
    struct slice schema;
    kit_open();
    assert_true(store_get(kit.store, TABLE_META, slice_of("schema"), &schema) && slice_is(schema, "2"));
    assert_int_equal(rows_in(TABLE_OUTBOX), 3);
    assert_int_equal(rows_in(TABLE_INBOX), 2);
    assert_int_equal(rows_in(TABLE_HELD), 3);
    assert_int_equal(counter("lane.alerts.waiting-normal"), 3);
    expect_nothing_found();
    kit_close();
}

static const struct scenario upgrading = {upgrade, check_upgraded};

TEST(each_call_of_lmdb_may_fail_in_an_upgrade)
{
    fail_each_call(FAULT_LMDB, &upgrading);
}

TEST(each_read_and_write_may_fail_in_an_upgrade)
{
    fail_each_call(FAULT_DISK, &upgrading);
}
