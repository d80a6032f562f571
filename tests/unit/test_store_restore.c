/* test_store_restore.c - a backup that takes the store's place sends nothing again of which nobody knows */
#include "core_kit.h"

#include "core/engine/restore.h"
#include "core/flow/release.h"
#include "core/store/backup.h"

static char folder[sizeof kit.folder], backup[200];

static void put(struct change *change, enum table table, struct slice key, const char *name, const char *text)
{
    struct buf row = BUF_INIT(1000);
    record_add_text(&row, "flow", slice_of("f"));
    record_add_text(&row, name, slice_of(text));
    change_put(change, table, key, buf_slice(&row));
    buf_clear(&row);
}

static struct slice effect(uint64_t number)
{
    static struct store_key key;
    key = effect_key("box", number);
    return store_key_slice(&key);
}

#define CAMPAIGN(name) ((struct slice){"box\0" name, sizeof "box\0" name - 1})

/* Two effects wait, one of them was tried three times; three campaigns; then a backup; then one effect more. */
static void make_backup(void)
{
    bool is_done;
    struct err err = ERR_INIT;
    struct backup_view view;
    kit_open();
    memcpy(folder, kit.folder, sizeof folder);
    struct change *change = kit_change(&is_done);
    put(change, TABLE_OUTBOX, effect(1), "id", "one");
    put(change, TABLE_OUTBOX, effect(2), "id", "two");
    struct buf attempts = BUF_INIT(1000);
    record_add_integer(&attempts, "count", 3);
    change_put(change, TABLE_ATTEMPTS, effect(2), buf_slice(&attempts));
    buf_clear(&attempts);
    put(change, TABLE_CAMPAIGNS, CAMPAIGN("runs"), "state", "running");
    put(change, TABLE_CAMPAIGNS, CAMPAIGN("over"), "state", "cancelled");
    change_count(change, "lane.box.asked", 2);
    change_count(change, "lane.box.waiting-normal", 2);
    kit_commit(change, &is_done);
    snprintf(backup, sizeof backup, "%s/backup.mdb", kit.folder);
    assert_true(store_backup(kit.store, backup, &err));
    WAIT_UNTIL((store_backup_look(kit.store, &view), view.state == BACKUP_DONE));
    change = kit_change(&is_done);
    put(change, TABLE_OUTBOX, effect(3), "id", "three");
    kit_commit(change, &is_done);
    kit_close();
}

static struct restored put_back(bool resends)
{
    enum store_failure failure;
    struct err err = ERR_INIT;
    static struct restored restored;
    struct restore_options options = {
        .folder = folder, .backup = backup, .resends = resends, .author = {"ada", "the disk broke"}};
    if (!restore(&options, &restored, &failure, &err))
        fail_msg("%s", err.text);
    memcpy(kit.folder, folder, sizeof folder);
    kit_open();
    return restored;
}

static struct slice row_of(enum table table, struct slice key)
{
    struct slice row = SLICE_NONE;
    store_get(kit.store, table, key, &row);
    return row;
}

TEST(what_waits_is_marked_as_being_sent_and_running_campaigns_are_paused)
{
    make_backup();
    struct restored restored = put_back(false);
    assert_int_equal(restored.waiting, 2);
    assert_int_equal(restored.paused, 1);
    assert_int_equal(rows_in(TABLE_OUTBOX), 2);
    for (uint64_t number = 1; number <= 2; number++) {
        struct slice attempts = row_of(TABLE_ATTEMPTS, effect(number));
        expect_text(attempts, "state", "sending");
        assert_int_equal(record_get_integer(attempts, "count", -1), number == 2 ? 3 : 0);
        assert_non_null(memmem(record_get(attempts, "text").data, record_get(attempts, "text").size, "put back", 8));
    }
    expect_text(row_of(TABLE_CAMPAIGNS, CAMPAIGN("runs")), "state", "paused");
    expect_text(row_of(TABLE_CAMPAIGNS, CAMPAIGN("runs")), "flow", "f");
    expect_text(row_of(TABLE_CAMPAIGNS, CAMPAIGN("over")), "state", "cancelled");
    struct store_key first = STORE_KEY_INIT;
    store_key_add_number(&first, 1);
    expect_text(row_of(TABLE_AUDIT, store_key_slice(&first)), "who", "ada");
    expect_text(row_of(TABLE_AUDIT, store_key_slice(&first)), "why", "the disk broke");
    expect_balance();
    kit_close();
}

TEST(where_all_is_to_be_sent_again_nothing_is_marked)
{
    make_backup();
    struct restored restored = put_back(true);
    assert_int_equal(restored.paused, 0);
    assert_int_equal(rows_in(TABLE_ATTEMPTS), 1);
    expect_text(row_of(TABLE_CAMPAIGNS, CAMPAIGN("runs")), "state", "running");
    kit_close();
}

static struct slice gate_of(const char *flow)
{
    static struct store_key key;
    key = (struct store_key)STORE_KEY_INIT;
    store_key_add_text(&key, release_kind_name(RELEASE_FLOW));
    store_key_add_text(&key, flow);
    return store_key_slice(&key);
}

static struct slice row_key(const char *flow, int64_t number)
{
    static struct store_key key;
    key = (struct store_key)STORE_KEY_INIT;
    store_key_add_text(&key, flow);
    store_key_add_number(&key, (uint64_t)number);
    return store_key_slice(&key);
}

/* Flows in whose backup an event waits, a timer is due, a timer is not yet due, and nothing is. */
static void make_flows(void)
{
    static const char *const flows[] = {"waits", "due", "later", "idle"};
    bool is_done;
    memcpy(kit.folder, folder, sizeof folder);
    kit_open();
    struct change *change = kit_change(&is_done);
    for (size_t i = 0; i < 4; i++)
        put(change, TABLE_GATES, gate_of(flows[i]), "gate", "on");
    put(change, TABLE_INBOX, row_key("waits", 1), "id", "one");
    put(change, TABLE_TIMERS, row_key("due", clock_now_ms() - 1), "data", "1");
    put(change, TABLE_TIMERS, row_key("later", clock_now_ms() + 3600000), "data", "1");
    kit_commit(change, &is_done);
    struct err err = ERR_INIT;
    struct backup_view view;
    snprintf(backup, sizeof backup, "%s/flows.mdb", kit.folder);
    assert_true(store_backup(kit.store, backup, &err));
    WAIT_UNTIL((store_backup_look(kit.store, &view), view.state == BACKUP_DONE));
    kit_close();
}

static bool is_tripped(const char *flow)
{
    struct slice row = row_of(TABLE_GATES, gate_of(flow));
    expect_text(row, "gate", "on");
    return record_get_integer(row, "tripped_at", 0) && record_get(row, "reason").size;
}

TEST(flows_that_would_run_again_what_may_have_run_since_are_tripped)
{
    make_backup();
    make_flows();
    struct restored restored = put_back(false);
    assert_int_equal(restored.tripped, 2);
    assert_true(is_tripped("waits"));
    assert_true(is_tripped("due"));
    assert_false(is_tripped("later"));
    assert_false(is_tripped("idle"));
    kit_close();
}

TEST(no_flow_is_tripped_where_all_is_to_be_sent_again)
{
    make_backup();
    make_flows();
    struct restored restored = put_back(true);
    assert_int_equal(restored.tripped, 0);
    assert_false(is_tripped("waits"));
    kit_close();
}

TEST(the_store_that_was_there_is_kept_aside_as_it_was)
{
    make_backup();
    struct restored restored = put_back(false);
    kit_close();
    char command[5000];
    snprintf(command, sizeof command, "rm -r '%s/store' && mv '%s' '%s/store'", folder, restored.aside, folder);
    assert_int_equal(system(command), 0);
    memcpy(kit.folder, folder, sizeof folder);
    kit_open();
    assert_int_equal(rows_in(TABLE_OUTBOX), 3);
    assert_int_equal(rows_in(TABLE_AUDIT), 0);
    kit_close();
}

TEST(a_backup_that_cannot_be_read_or_is_cut_off_and_a_folder_in_use_change_nothing)
{
    enum store_failure failure;
    struct err err = ERR_INIT;
    struct restored restored;
    make_backup();
    struct restore_options options = {.folder = folder, .backup = "tests/data/README.md", .author = {"ada", "why"}};
    assert_false(restore(&options, &restored, &failure, &err));
    assert_non_null(strstr(err.text, "is no store of headgate's"));
    memcpy(kit.folder, folder, sizeof folder);
    kit_open();
    options.backup = backup;
    char cut[300], command[600];
    snprintf(cut, sizeof cut, "%s.cut", backup);
    snprintf(command, sizeof command, "head -c 20480 '%s' > '%s'", backup, cut);
    assert_int_equal(system(command), 0);
    options.backup = cut;
    assert_false(restore(&options, &restored, &failure, &err));
    assert_non_null(strstr(err.text, "is cut off: it has 20480 bytes of"));
    options.backup = backup;
    assert_false(restore(&options, &restored, &failure, &err));
    assert_int_equal(failure, STORE_IN_USE);
    assert_int_equal(rows_in(TABLE_OUTBOX), 3);
    kit_close();
}

TEST(a_backup_of_an_older_schema_is_upgraded_and_a_folder_without_a_store_gets_it)
{
    if (sysconf(_SC_PAGESIZE) != 4096)
        skip();
    char command[600];
    snprintf(folder, sizeof folder, "%s/new", test_folder());
    snprintf(backup, sizeof backup, "%s/old.mdb", test_folder());
    snprintf(command, sizeof command, "gzip -dc tests/data/store-1.mdb.gz > '%s'", backup);
    assert_int_equal(system(command), 0);
    struct restored restored = put_back(false);
    assert_string_equal(restored.aside, "");
    assert_int_equal(restored.waiting, 3);
    assert_int_equal(counter("lane.alerts.waiting-normal"), 3);
    snprintf(command, sizeof command, "%s/store-before-2.mdb", folder);
    assert_int_equal(access(command, F_OK), -1); /* the backup is the copy from before */
    kit_close();
}
