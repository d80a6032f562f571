/* test_store_upgrade.c - a store that an earlier version left behind is opened, upgraded, and goes on */
#include "core_kit.h"

#include "core/base/file.h"
#include "core/store/environment.h"

#include <errno.h>

#define MADE_MS 1795618360000 /* when tests/data/store-1.mdb.gz was made: its marks have not expired then */

/* The stored file in a new data folder, which becomes the kit's. */
static void unpack(void)
{
    char command[600];
    static unsigned folders;
    if (sysconf(_SC_PAGESIZE) != 4096 || *(const char *)&(int){1} != 1) {
        print_message("the stored file is of pages of 4096 bytes and little endian: not tried\n");
        skip();
    }
    snprintf(kit.folder, sizeof kit.folder, "%s/old-%u", test_folder(), ++folders);
    snprintf(command, sizeof command, "mkdir -p '%s/store' && gzip -dc tests/data/store-1.mdb.gz > '%s/store/data.mdb'",
             kit.folder, kit.folder);
    assert_int_equal(system(command), 0);
    clock_set_ms(MADE_MS);
}

static void copy_path(char path[200])
{
    snprintf(path, 200, "%s/store-before-2.mdb", kit.folder);
}

static void expect_schema(const char *schema)
{
    struct slice value;
    assert_true(store_get(kit.store, TABLE_META, slice_of("schema"), &value));
    assert_true(slice_is(value, schema));
}

static void expect_old_rows(void)
{
    assert_int_equal(rows_in(TABLE_GATES), 4);
    assert_int_equal(rows_in(TABLE_OUTBOX), 3);
    assert_int_equal(rows_in(TABLE_ATTEMPTS), 2);
    assert_int_equal(rows_in(TABLE_INBOX), 2);
    assert_int_equal(rows_in(TABLE_HELD), 3);
    assert_int_equal(counter("lane.mail.delivered"), 2);
    assert_int_equal(counter("lane.alerts.waiting-normal"), 3); /* which schema 1 did not count */
    assert_int_equal(counter("flow.alerting.received"), 8);
    assert_true(rows_in(TABLE_SEEN) > 0 && rows_in(TABLE_RECEIPTS) > 0 && rows_in(TABLE_TRAILS) > 0);
    expect_balance();
}

TEST(a_store_of_schema_1_is_upgraded_and_has_all_it_had)
{
    unpack();
    kit_open();
    expect_schema("2");
    expect_old_rows();
    bool is_done; /* and goes on */
    struct change *change = kit_change(&is_done);
    assert_int_equal(held_add(&kit.held, change, slice_of("new")), 5);
    held_remove(change, 5);
    kit_commit(change, &is_done);
    kit_reopen();
    expect_schema("2");
    expect_old_rows();
    kit_close();
}

static void expect_schema_1(const char *path)
{
    struct environment env;
    struct err err = ERR_INIT;
    if (!environment_open_file(&env, path, true, &err))
        fail_msg("%s", err.text);
    MDB_txn *txn;
    MDB_val key = {6, "schema"}, value;
    assert_int_equal(mdb_txn_begin(env.mdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_get(txn, env.tables[TABLE_META], &key, &value), 0);
    assert_true(value.mv_size == 1 && memcmp(value.mv_data, "1", 1) == 0);
    mdb_txn_abort(txn);
    environment_close(&env);
}

TEST(a_copy_from_before_the_upgrade_is_kept_and_reading_a_file_leaves_it_as_it_is)
{
    unpack();
    char path[200];
    snprintf(path, sizeof path, "%s/store/data.mdb", kit.folder);
    expect_schema_1(path);
    expect_schema_1(path);
    kit_open();
    copy_path(path);
    expect_schema_1(path);
    kit_close();
}

/* As a crash between the copy and the step leaves it. */
TEST(an_upgrade_that_did_not_end_is_taken_up_and_the_first_copy_stays)
{
    unpack();
    char path[200];
    struct buf content = BUF_INIT(100);
    struct err err = ERR_INIT;
    copy_path(path);
    FILE *file = fopen(path, "w");
    fputs("the first copy", file);
    fclose(file);
    kit_open();
    expect_schema("2");
    expect_old_rows();
    assert_true(file_read(path, &content, &err));
    assert_string_equal(content.data, "the first copy");
    buf_clear(&content);
    kit_close();
}

TEST(a_store_whose_copy_cannot_be_written_is_not_upgraded_and_stays_as_it_was)
{
    unpack();
    char path[220], command[400];
    struct err err = ERR_INIT;
    enum store_failure failure;
    copy_path(path);
    snprintf(command, sizeof command, "mkdir '%s.partial'", path);
    assert_int_equal(system(command), 0);
    uv_loop_init(&kit.loop);
    assert_null(open_store_in(kit.folder, &failure, &err));
    assert_non_null(strstr(err.text, "cannot be upgraded from schema 1 to 2"));
    assert_non_null(strstr(err.text, path));
    uv_loop_close(&kit.loop);
    snprintf(command, sizeof command, "rmdir '%s.partial'", path);
    assert_int_equal(system(command), 0);
    kit_open();
    expect_schema("2");
    expect_old_rows();
    kit_close();
}

TEST(a_new_store_has_the_newest_schema_and_no_copy)
{
    char path[200];
    kit_open();
    expect_schema("2");
    copy_path(path);
    assert_int_equal(access(path, F_OK), -1);
    kit_close();
}
