/* test_store_upkeep.c - damage is found, and a backup is whole, never in the way, and never overwrites */
#include "core_kit.h"

#include "core/engine/verify.h"
#include "core/store/backup.h"
#include "core/store/environment.h"
#include "core/store/internal.h"
#include "core/store/rest.h"

#include <sys/stat.h>

/* ---- verify ---------------------------------------------------------------------------------------------- */

static void expect_findings(const char *const *wanted)
{
    struct err err = ERR_INIT;
    struct verified verified;
    struct picture *picture = picture_open(kit.store, &err);
    verify(picture, &verified);
    picture_close(picture);
    size_t count = 0;
    for (; wanted[count]; count++)
        if (!verified.findings.data || !strstr(verified.findings.data, wanted[count]))
            fail_msg("not found: %s; but: %s", wanted[count], verified.findings.data);
    if (verified.finding_count != (int64_t)count)
        fail_msg("%d findings, not %d: %s", (int)verified.finding_count, (int)count, verified.findings.data);
    assert_false(verified.is_incomplete);
    verified_clear(&verified);
}

static void put(struct change *change, enum table table, struct slice key, const char *name, const char *text)
{
    struct buf row = BUF_INIT(200000);
    assert_true(record_add_text(&row, name, slice_of(text)));
    if (table_forms[table].expires)
        change_put_until(change, table, key, INT64_MAX, buf_slice(&row));
    else
        change_put(change, table, key, buf_slice(&row));
    buf_clear(&row);
}

static struct slice numbered(const char *text, uint64_t number)
{
    static struct store_key key;
    key.size = 0;
    if (text)
        store_key_add_text(&key, text);
    store_key_add_number(&key, number);
    return store_key_slice(&key);
}

TEST(nothing_is_found_in_a_store_that_is_well)
{
    kit_open();
    bool is_done;
    kit_commit(kit_change(&is_done), &is_done);
    expect_findings((const char *const[]){NULL});
    kit_close();
}

TEST(rows_whose_form_is_wrong_are_found)
{
    kit_open();
    bool is_done;
    struct change *change = kit_change(&is_done);
    change_put(change, TABLE_AUDIT, slice_of("short"), SLICE_NONE);
    change_put(change, TABLE_AUDIT, numbered(NULL, 7), slice_of("no record"));
    change_put(change, TABLE_SOURCES, (struct slice){"flow\0without end", 16}, SLICE_NONE);
    change_put(change, TABLE_SENT, slice_of("an effect"), slice_of("expiry"));
    change_put_until(change, TABLE_TRAILS, (struct slice){"k\0f", 4}, INT64_MAX, slice_of("no list"));
    change_put(change, TABLE_COUNTERS, slice_of("counter"), slice_of("seven.."));
    kit_commit(change, &is_done);
    expect_findings((const char *const[]){"audit: a key of 5 bytes", "audit 7: its 9 bytes cannot be read",
                                          "sources: a key of 16 bytes", "sent an effect: its 6 bytes cannot be read",
                                          "trails k f : its 15 bytes cannot be read",
                                          "counters counter: its 7 bytes cannot be read", NULL});
    kit_close();
}

TEST(rows_that_do_not_fit_together_are_found)
{
    kit_open();
    bool is_done;
    struct change *change = kit_change(&is_done);
    put(change, TABLE_ATTEMPTS, numbered("box", 3), "state", "waiting");
    put(change, TABLE_OUTBOX, numbered("box", 4), "id", "e");
    change_count(change, "lane.box.asked", 3);
    put(change, TABLE_RECEIPTS, numbered("box", 4), "outcome", "delivered");
    put(change, TABLE_RECEIPTS, numbered("box", 2), "outcome", "held");
    put(change, TABLE_HELD, numbered(NULL, 9), "kind", "effect");
    put(change, TABLE_GATES, (struct slice){"flow\0f", 7}, "live", "abc");
    kit_commit(change, &is_done);
    expect_findings((const char *const[]){
        "attempts box 3: of an effect that is not in the outbox", "receipt box 4: says delivered, but",
        "receipt box 2: says held as 0, but nothing is held", "held 9: this number was never given out",
        "held 9: the thing itself is missing", "held 9: does not say whose it is",
        "gate flow f : its live release abc is not in the store", "the books of connection box do not balance: 2",
        "the books of connection  do not balance: -1", "lane box: 1 effects are in the outbox, its counters say 0",
        NULL});
    kit_close();
}

TEST(a_verify_lets_go_when_the_store_needs_room)
{
    kit_open();
    struct err err = ERR_INIT;
    struct verified verified;
    bool is_done;
    struct change *change = kit_change(&is_done);
    for (int i = 0; i < 3000; i++)
        put(change, TABLE_AUDIT, numbered(NULL, (uint64_t)i), "why", "because");
    kit_commit(change, &is_done);
    struct picture *picture = picture_open(kit.store, &err);
    atomic_store(&kit.store->wants_room, true);
    verify(picture, &verified);
    picture_close(picture);
    atomic_store(&kit.store->wants_room, false);
    assert_true(verified.is_incomplete && verified.rows < 3000);
    verified_clear(&verified);
    kit_close();
}

/* ---- backup ------------------------------------------------------------------------------------------------ */

static char path[200];

static struct backup_view backup_to(const char *name)
{
    struct err err = ERR_INIT;
    static struct backup_view view;
    snprintf(path, sizeof path, "%s/%s", kit.folder, name);
    if (!store_backup(kit.store, path, &err))
        fail_msg("%s", err.text);
    WAIT_UNTIL((store_backup_look(kit.store, &view), view.state != BACKUP_RUNS));
    return view;
}

static size_t done_rows;

static void on_row(void *context)
{
    (void)context;
    done_rows++;
}

static void put_rows(unsigned count)
{
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    static uint64_t number;
    for (unsigned i = 0; i < count; i++) {
        struct change *change = change_new(on_row, NULL);
        put(change, TABLE_OUTBOX, numbered("box", ++number), "id", text);
        change_count(change, "lane.box.asked", 1);
        change_count(change, "lane.box.waiting-normal", 1);
        store_commit(kit.store, change);
    }
}

static bool exists(const char *suffix)
{
    char name[300];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

TEST(a_backup_has_all_that_was_committed_and_overwrites_nothing)
{
    kit_open();
    done_rows = 0;
    put_rows(30);
    WAIT_UNTIL(done_rows == 30);
    struct backup_view view = backup_to("copy.mdb");
    assert_int_equal(view.state, BACKUP_DONE);
    assert_false(exists(".partial"));
    struct environment env;
    struct err err = ERR_INIT;
    assert_true(environment_open_file(&env, path, true, &err));
    struct picture *picture = picture_of_environment(&env, &err);
    size_t rows = 0;
    picture_scan(picture, TABLE_OUTBOX, SLICE_NONE, count_one, &rows);
    assert_int_equal(rows, 30);
    picture_close(picture);
    environment_close(&env);
    assert_false(store_backup(kit.store, path, &err));
    assert_non_null(strstr(err.text, "never overwrites"));
    assert_false(store_backup(kit.store, "relative.mdb", &err));
    kit_close();
}

TEST(a_backup_gives_way_when_the_store_needs_room_and_leaves_nothing_behind)
{
    kit_open();
    atomic_store(&kit.store->wants_room, true);
    struct backup_view view = backup_to("copy.mdb");
    assert_int_equal(view.state, BACKUP_FAILED);
    assert_non_null(strstr(view.text, "needed room"));
    assert_false(exists("") || exists(".partial"));
    atomic_store(&kit.store->wants_room, false);
    assert_int_equal(backup_to("copy.mdb").state, BACKUP_DONE);
    kit_close();
}

TEST(a_backup_that_is_stopped_leaves_nothing_behind)
{
    kit_open();
    struct err err = ERR_INIT;
    struct backup_view view;
    snprintf(path, sizeof path, "%s/copy.mdb", kit.folder);
    assert_true(store_backup(kit.store, path, &err));
    assert_false(store_backup(kit.store, path, &err));
    assert_true(store_is_pictured(kit.store));
    store_backup_stop(kit.store);
    WAIT_UNTIL(!store_is_pictured(kit.store));
    store_backup_look(kit.store, &view);
    assert_true(view.state == BACKUP_DONE ? exists("") : !exists(""));
    assert_false(exists(".partial"));
    kit_close();
}

TEST(the_store_grows_and_nothing_waits_for_the_backups_that_are_made_meanwhile)
{
    kit_open();
    done_rows = 0;
    put_rows(450); /* 45 MB: past 16 and 32 MiB */
    unsigned done = 0;
    for (int i = 0; i < 100 && done_rows < 450; i++) {
        char name[20];
        snprintf(name, sizeof name, "%d.mdb", i);
        done += backup_to(name).state == BACKUP_DONE;
        unlink(path);
    }
    WAIT_UNTIL(done_rows == 450);
    assert_true(done > 0);
    expect_balance();
    kit_close();
}

/* ---- at rest -------------------------------------------------------------------------------------------------- */

TEST(compacting_gives_free_pages_back_and_keeps_every_row)
{
    char folder[sizeof kit.folder];
    struct err err = ERR_INIT;
    enum store_failure failure;
    int64_t before, after;
    kit_open();
    memcpy(folder, kit.folder, sizeof folder);
    done_rows = 0;
    put_rows(60);
    WAIT_UNTIL(done_rows == 60);
    bool is_done;
    struct change *change = kit_change(&is_done);
    for (uint64_t number = 1; number <= 1000; number++)
        change_delete(change, TABLE_OUTBOX, numbered("box", number));
    put(change, TABLE_AUDIT, numbered(NULL, 1), "why", "because");
    kit_commit(change, &is_done);
    assert_false(rest_compact(folder, &before, &after, &failure, &err)); /* in use */
    assert_int_equal(failure, STORE_IN_USE);
    kit_close();
    if (!rest_compact(folder, &before, &after, &failure, &err))
        fail_msg("%s", err.text);
    assert_true(before > 6000000 && after < 200000);
    memcpy(kit.folder, folder, sizeof folder);
    kit_open();
    assert_int_equal(rows_in(TABLE_AUDIT), 1);
    kit_close();
}
