/* test_store_years.c - what has expired goes as fast as it comes, pages are used again, and growth is foreseen */
#include "core_kit.h"

#include "core/store/upkeep.h"

#define DAY_MS ((int64_t)86400000)
#define HOUR_MS ((int64_t)3600000)
#define NOW_MS (20000 * DAY_MS)

static struct store_sizes sizes_now(void)
{
    struct err err = ERR_INIT;
    struct store_sizes sizes;
    struct picture *picture = picture_open(kit.store, &err);
    assert_non_null(picture);
    picture_sizes(picture, &sizes);
    picture_close(picture);
    return sizes;
}

static int64_t rows_of(enum table table)
{
    return sizes_now().tables[table].rows;
}

/* Keys in no order, as those of events are. */
static void put_marks(unsigned from, unsigned count, int64_t expires_ms)
{
    bool is_done;
    struct change *change = kit_change(&is_done);
    for (unsigned i = from; i < from + count; i++) {
        char key[40];
        snprintf(key, sizeof key, "f%c%08x-%u", 0, i * 2654435761u, i);
        change_put_until(change, TABLE_SEEN, (struct slice){key, 2 + strlen(key + 2)}, expires_ms, SLICE_NONE);
    }
    kit_commit(change, &is_done);
}

TEST(marks_that_expire_are_swept_faster_than_five_thousand_a_second)
{
    kit_open();
    clock_set_ms(NOW_MS);
    for (unsigned i = 0; i < 40; i++) /* one in four has expired, somewhere among the others */
        put_marks(i * 2000, 2000, i % 4 ? NOW_MS + DAY_MS : NOW_MS + 1000);
    assert_int_equal(rows_of(TABLE_SEEN), 80000);
    int64_t began_ns = clock_mono_ns();
    clock_set_ms(NOW_MS + 1000);
    WAIT_UNTIL(rows_of(TABLE_SEEN) <= 61000); /* where few are left, it looks once a second */
    double seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    print_message("# 19,000 swept in %.2f s, %.0f a second\n", seconds, 19000 / seconds);
    assert_true(seconds < 3.8);
    kit_close();
}

TEST(a_file_does_not_grow_while_as_much_is_swept_as_is_written)
{
    kit_open();
    clock_set_ms(NOW_MS);
    int64_t after_few = 0;
    for (unsigned round = 0; round < 6; round++) {
        put_marks(round * 5000, 5000, NOW_MS + 1 + round);
        clock_set_ms(NOW_MS + 1 + round);
        WAIT_UNTIL(rows_of(TABLE_SEEN) == 0);
        if (round == 1)
            after_few = sizes_now().file_bytes;
    }
    assert_in_range(sizes_now().file_bytes, 1, after_few + after_few / 2);
    kit_close();
}

static int64_t first_expiry_ms;

static bool look_at_expiry(void *context, struct slice key, struct slice value)
{
    int64_t expires_ms = (int64_t)store_key_number((struct slice){value.data, 8});
    (void)context, (void)key;
    first_expiry_ms = expires_ms < first_expiry_ms ? expires_ms : first_expiry_ms;
    return true;
}

TEST(trails_above_their_share_go_the_oldest_first_and_marks_stay)
{
    static char text[8000];
    kit.limit_bytes = 8 << 20; /* a fifth of it is 1.6 MiB */
    kit_open();
    clock_set_ms(NOW_MS);
    put_marks(0, 1000, NOW_MS + DAY_MS / 2);
    for (int i = 0; i < 300; i++) { /* 2.4 MB: ten a day */
        bool is_done;
        char key[20];
        struct change *change = kit_change(&is_done);
        memset(text, 'x', sizeof text);
        snprintf(key, sizeof key, "%d%cf", i * 7919 % 300, 0);
        change_push(change, (struct slice){key, strlen(key) + 3}, NOW_MS + 1000 + (1 + i / 10) * DAY_MS,
                    (struct slice){text, sizeof text}, 5, 16384);
        kit_commit(change, &is_done);
    }
    WAIT_UNTIL(sizes_now().tables[TABLE_TRAILS].bytes <= (8 << 20) / 5);
    let_happen();
    int64_t left = rows_of(TABLE_TRAILS);
    assert_in_range(left, 150, 205);
    first_expiry_ms = INT64_MAX;
    store_scan(kit.store, TABLE_TRAILS, SLICE_NONE, SLICE_NONE, look_at_expiry, NULL);
    assert_true(first_expiry_ms >= NOW_MS + (30 - left / 10) * DAY_MS);
    assert_int_equal(rows_of(TABLE_SEEN), 1000);
    kit_close();
}

/* ---- growth ------------------------------------------------------------------------------------------ */

static void put_sample(int64_t at_ms, int64_t used_bytes)
{
    bool is_done;
    struct change *change = kit_change(&is_done);
    struct store_key key = STORE_KEY_INIT;
    struct buf row = BUF_INIT(100);
    store_key_add_number(&key, (uint64_t)(at_ms / HOUR_MS));
    record_add_integer(&row, "at", at_ms);
    record_add_integer(&row, "used_bytes", used_bytes);
    change_put_until(change, TABLE_SAMPLES, store_key_slice(&key), at_ms + 90 * DAY_MS, buf_slice(&row));
    kit_commit(change, &is_done);
    buf_clear(&row);
}

TEST(the_day_on_which_it_is_full_follows_from_the_last_seven_days)
{
    clock_set_ms(NOW_MS);
    kit_open();
    for (int hour = 24 * 14; hour > 0; hour--) /* it fell for a week; since then a GiB a day */
        put_sample(NOW_MS - hour * HOUR_MS, hour > 24 * 7 ? (int64_t)hour << 40 : -((int64_t)hour << 30) / 24);
    struct store_sizes sizes = sizes_now();
    assert_in_range(sizes.growth_bytes, (1 << 30) - (1 << 20), (1 << 30) + (1 << 20));
    assert_int_equal(sizes.sampled_ms, 7 * DAY_MS);
    int64_t full_ms = sizes_reach(&sizes, sizes.used_bytes + 10 * ((int64_t)1 << 30), NOW_MS);
    assert_in_range(full_ms, NOW_MS + 10 * DAY_MS - HOUR_MS, NOW_MS + 10 * DAY_MS + HOUR_MS);
    assert_int_equal(sizes_reach(&sizes, 1, NOW_MS), NOW_MS);
    kit_close();
}

TEST(nobody_can_tell_when_a_young_or_shrinking_store_is_full)
{
    clock_set_ms(NOW_MS);
    kit_open();
    struct store_sizes sizes = sizes_now();
    assert_int_equal(sizes_reach(&sizes, (int64_t)1 << 40, NOW_MS), 0);
    for (int hour = 48; hour > 0; hour--)
        put_sample(NOW_MS - hour * HOUR_MS, (int64_t)hour << 30);
    sizes = sizes_now();
    assert_true(sizes.growth_bytes < 0);
    assert_int_equal(sizes_reach(&sizes, (int64_t)1 << 40, NOW_MS), 0);
    kit_close();
}

TEST(the_store_notes_its_size_once_an_hour)
{
    clock_set_ms(NOW_MS);
    kit_open();
    WAIT_UNTIL(rows_in(TABLE_SAMPLES) == 1);
    clock_set_ms(NOW_MS + HOUR_MS);
    WAIT_UNTIL(rows_in(TABLE_SAMPLES) == 2);
    kit_reopen(); /* and a restart within the hour adds none */
    clock_set_ms(NOW_MS + HOUR_MS);
    bool is_done;
    kit_commit(kit_change(&is_done), &is_done);
    assert_int_equal(rows_in(TABLE_SAMPLES), 2);
    kit_close();
}
