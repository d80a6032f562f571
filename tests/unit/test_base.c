/* test_base.c - errors, buffers, UTF-8, clocks, maps, mailboxes, hashes, waiting */
#include "core/base/backoff.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/mailbox.h"
#include "core/base/map.h"
#include "core/base/utf8.h"

#include "test.h"

/* ---- err ------------------------------------------------------------------------------------------ */

TEST(an_error_gathers_context_in_front)
{
    struct err err = ERR_INIT;
    assert_false(err_set(&err, "store is %s", "full"));
    assert_false(err_wrap(&err, "outbox: add %d", 7));
    assert_string_equal(err.text, "outbox: add 7: store is full");
    struct err empty = ERR_INIT;
    err_wrap(&empty, "alone");
    assert_string_equal(empty.text, "alone");
}

TEST(a_long_error_is_cut_between_two_characters)
{
    char text[3 * ERR_MAX];
    for (size_t lead = 0; lead < 4; lead++) {
        struct err err = ERR_INIT;
        memset(text, 'x', lead);
        for (size_t i = lead; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        err_set(&err, "%s", text);
        assert_true(strlen(err.text) < ERR_MAX && strlen(err.text) > ERR_MAX - 8);
        assert_true(utf8_is_valid(slice_of(err.text)));
        err_wrap(&err, "\xc3\xa4");
        assert_true(strlen(err.text) < ERR_MAX && utf8_is_valid(slice_of(err.text)));
    }
}

/* ---- buf -------------------------------------------------------------------------------------------- */

TEST(a_buffer_refuses_what_would_pass_its_ceiling_and_stays_as_it_was)
{
    struct buf buf = BUF_INIT(10);
    assert_true(buf_add_text(&buf, "12345"));
    assert_false(buf_add_text(&buf, "678901"));
    assert_true(buf.is_over);
    assert_string_equal(buf.data, "12345");
    assert_true(buf_addf(&buf, "%d", 67890));
    assert_false(buf_add_char(&buf, 'x'));
    assert_false(buf_add(&buf, "x", SIZE_MAX));
    assert_int_equal(buf.size, 10);
    buf_reset(&buf);
    assert_false(buf.is_over);
    assert_string_equal(buf.data, "");
    buf_clear(&buf);
    assert_true(buf_add_text(&buf, "again"));
    char *taken = buf_take(&buf);
    assert_string_equal(taken, "again");
    free(taken);
    taken = buf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
}

TEST(a_long_formatted_text_is_added_whole_or_not)
{
    char text[1000];
    memset(text, 'x', sizeof text);
    text[999] = '\0';
    struct buf buf = BUF_INIT(999);
    assert_true(buf_addf(&buf, "%s", text));
    assert_string_equal(buf.data, text);
    buf_reset(&buf);
    assert_false(buf_addf(&buf, "%s!", text));
    assert_int_equal(buf.size, 0);
    buf_clear(&buf);
}

TEST(a_text_becomes_good_json_whatever_it_is)
{
    struct buf buf = BUF_INIT(1000);
    buf_add_json(&buf, (struct slice){"a\"\\\n\t\0\x1f\x7f\xc3\xa4\xff\xe2\x82z", 14});
    assert_string_equal(buf.data, "\"a\\\"\\\\\\n\\t\\u0000\\u001f\\u007f\xc3\xa4\\ufffd\\ufffd\\ufffdz\"");
    buf_reset(&buf);
    buf_add_json(&buf, SLICE_NONE);
    assert_string_equal(buf.data, "\"\"");
    buf_clear(&buf);
}

/* ---- utf8 --------------------------------------------------------------------------------------------- */

TEST(only_strict_utf8_is_valid)
{
    static const char *const good[] = {
        "", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5", "\xe2\x82", "a\xc3",    "\xe2\x82\x41"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(utf8_is_valid(slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_is_valid(slice_of(bad[i])));
    assert_int_equal(utf8_count(slice_of("a\xe2\x82\xac\xff")), 3);
    assert_int_equal(utf8_cut(slice_of("a\xe2\x82\xac"), 3).size, 1);
    assert_int_equal(utf8_cut(slice_of("a\xe2\x82\xac"), 4).size, 4);
}

/* ---- clock ---------------------------------------------------------------------------------------------- */

static int64_t time_of(const char *text)
{
    int64_t ms = -1;
    char *exact = malloc(strlen(text) + 1); /* a sanitizer sees a look beyond */
    strcpy(exact, text);
    bool ok = clock_parse(exact, strlen(text), &ms);
    free(exact);
    return ok ? ms : INT64_MIN;
}

TEST(times_are_read_as_rfc_3339_says)
{
    assert_true(time_of("1970-01-01T00:00:00Z") == 0);
    assert_true(time_of("2026-11-22T09:41:07.512Z") == 1795340467512);
    assert_true(time_of("2026-11-22t09:41:07.5z") == 1795340467500);
    assert_true(time_of("2026-11-22T09:41:07.512999Z") == 1795340467512);
    assert_true(time_of("2026-11-22T11:41:07+02:00") == 1795340467000);
    assert_true(time_of("2026-11-22 04:11:07-05:30") == 1795340467000);
    static const char *const bad[] = {"",
                                      "2026-11-22",
                                      "2026-11-22T09:41:07",
                                      "2026-11-22T09:41:07X",
                                      "2026-11-22T09:41:07+2:00",
                                      "2026-11-22T09:41:07+02:00 ",
                                      "2026-13-22T09:41:07Z",
                                      "2026-11-22T24:41:07Z",
                                      "2026-11-22T09:60:07Z",
                                      "2026-11-00T09:41:07Z",
                                      "2026-11-2 T09:41:07Z",
                                      "2026-11-22T09:41:07.512",
                                      "yesterday at about nine"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (time_of(bad[i]) != INT64_MIN)
            fail_msg("took %s", bad[i]);
}

TEST(times_are_written_as_they_are_read)
{
    char text[CLOCK_TEXT_MAX];
    assert_string_equal(clock_text(1795340467512, text), "2026-11-22T09:41:07.512Z");
    assert_string_equal(clock_text(-1, text), "1969-12-31T23:59:59.999Z");
    for (int64_t ms = 1; ms < 4000000000000; ms = ms * 3 + 1)
        assert_true(time_of(clock_text(ms, text)) == ms);
}

TEST(a_frozen_clock_stands_still_and_the_other_does_not)
{
    clock_set_ms(5);
    int64_t before_ns = clock_mono_ns();
    assert_int_equal(clock_now_ms(), 5);
    while (clock_mono_ns() == before_ns)
        ;
    assert_int_equal(clock_now_ms(), 5);
    clock_set_ms(0);
    assert_true(clock_now_ms() > 1600000000000);
}

/* ---- map ----------------------------------------------------------------------------------------------------- */

static void count_entry(void *context, struct slice key, void *value)
{
    assert_int_equal(key.size, strlen(value));
    ++*(size_t *)context;
}

TEST(a_map_keeps_what_a_naive_model_keeps)
{
    static char keys[500][16];
    bool there[500] = {false};
    size_t count = 0, seen = 0;
    struct map map = MAP_INIT;
    srandom(1);
    for (int i = 0; i < 500; i++)
        snprintf(keys[i], sizeof keys[i], "key %d", i * i);
    for (int step = 0; step < 20000; step++) {
        int i = (int)(random() % 500);
        struct slice key = slice_of(keys[i]);
        assert_ptr_equal(map_get(&map, key), there[i] ? keys[i] : NULL);
        if (random() % 2) {
            map_put(&map, key, keys[i]);
            count += !there[i];
            there[i] = true;
        } else {
            assert_ptr_equal(map_remove(&map, key), there[i] ? keys[i] : NULL);
            count -= there[i];
            there[i] = false;
        }
        assert_int_equal(map.count, count);
    }
    map_each(&map, count_entry, &seen);
    assert_int_equal(seen, count);
    map_clear(&map);
    assert_null(map_get(&map, slice_of("key 0")));
    map_put(&map, SLICE_NONE, keys[0]); /* the empty key is one, too */
    assert_ptr_equal(map_get(&map, slice_of("")), keys[0]);
    map_clear(&map);
}

/* ---- mailbox ---------------------------------------------------------------------------------------------------- */

struct letter {
    struct mail mail;
    int from, number;
};

#define LETTERS 20000

struct sender {
    struct mailbox *box;
    int from;
    struct letter letters[LETTERS];
};

static void *send_letters(void *context)
{
    struct sender *sender = context;
    for (int i = 0; i < LETTERS; i++) {
        sender->letters[i].from = sender->from;
        sender->letters[i].number = i;
        mailbox_put(sender->box, &sender->letters[i].mail);
    }
    return NULL;
}

TEST(mail_of_many_threads_arrives_once_and_in_the_order_of_each)
{
    static struct sender senders[2];
    struct mailbox box;
    pthread_t threads[2];
    int next[2] = {0, 0};
    mailbox_init(&box, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        senders[i].box = &box;
        senders[i].from = i;
        pthread_create(&threads[i], NULL, send_letters, &senders[i]);
    }
    while (next[0] + next[1] < 2 * LETTERS) {
        for (struct mail *mail = mailbox_wait(&box, -1); mail; mail = mail->next) {
            struct letter *letter = (struct letter *)mail;
            assert_int_equal(letter->number, next[letter->from]++);
        }
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_null(mailbox_take(&box));
    mailbox_clear(&box);
}

static void count_wake(void *context)
{
    ++*(int *)context;
}

TEST(the_owner_is_woken_once_for_each_batch)
{
    struct mailbox box;
    struct letter letters[4];
    int wakes = 0;
    mailbox_init(&box, count_wake, &wakes);
    for (int i = 0; i < 3; i++)
        mailbox_put(&box, &letters[i].mail);
    assert_int_equal(wakes, 1);
    struct mail *mail = mailbox_take(&box);
    assert_ptr_equal(mail, &letters[0].mail);
    assert_ptr_equal(mail->next->next, &letters[2].mail);
    assert_null(mail->next->next->next);
    mailbox_put(&box, &letters[3].mail);
    assert_int_equal(wakes, 2);
    mailbox_take(&box);
    assert_null(mailbox_wait(&box, 5)); /* and does not wait for ever */
    mailbox_clear(&box);
}

/* ---- hash, backoff
 * --------------------------------------------------------------------------------------------------- */

TEST(parts_are_hashed_with_their_borders)
{
    unsigned char a[HASH_SIZE], b[HASH_SIZE];
    char text[HASH_TEXT_MAX];
    hash_parts((struct slice[]){slice_of("ab"), slice_of("c")}, 2, a);
    hash_parts((struct slice[]){slice_of("a"), slice_of("bc")}, 2, b);
    assert_memory_not_equal(a, b, HASH_SIZE);
    hash_parts((struct slice[]){slice_of("ab"), slice_of("c")}, 2, b);
    assert_memory_equal(a, b, HASH_SIZE);
    hash_parts((struct slice[]){slice_of("ab"), slice_of("c"), SLICE_NONE}, 3, b);
    assert_memory_not_equal(a, b, HASH_SIZE);
    hash_parts(NULL, 0, a);
    hash_hex(a, HASH_SIZE, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"); /* of nothing */
}

TEST(waits_grow_up_to_their_ceiling_and_are_never_nothing)
{
    for (unsigned failures = 1; failures < 100; failures++) {
        int64_t most = failures < 11 ? 500 << (failures - 1) : 300000, largest = 0;
        for (int i = 0; i < 200; i++) {
            int64_t wait = backoff_ms(failures, 500, 300000);
            assert_in_range(wait, 50, 50 + (most < 300000 ? most : 300000));
            largest = wait > largest ? wait : largest;
        }
        assert_true(largest > (most < 300000 ? most : 300000) / 2);
    }
    assert_in_range(backoff_ms(UINT32_MAX, 500, 300000), 50, 300050);
}
