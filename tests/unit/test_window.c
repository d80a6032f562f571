/* test_window.c - who may go next */
#include "core/base/buf.h"
#include "core/lane/window.h"

#include "test.h"

#define MOST 3000

static struct entry entries[MOST];

static struct entry *add(struct window *window, int i, const char *key, int64_t due_ms)
{
    entries[i] = (struct entry){.number = (uint64_t)i + 1, .due_ms = due_ms, .key = slice_of(key)};
    window_add(window, &entries[i], 100);
    return &entries[i];
}

static void clear(struct window *window)
{
    map_clear(&window->heads);
    free(window->delayed);
}

TEST(of_each_key_only_the_first_may_go_and_other_keys_pass)
{
    struct window window;
    window_init(&window);
    struct entry *a1 = add(&window, 0, "a", 0), *a2 = add(&window, 1, "a", 0), *b1 = add(&window, 2, "b", 0);
    assert_ptr_equal(window_take(&window, 100), a1);
    assert_ptr_equal(window_take(&window, 100), b1);
    assert_null(window_take(&window, 100));
    window_remove(&window, a1, 100);
    assert_ptr_equal(window_take(&window, 100), a2);
    window_remove(&window, b1, 100);
    window_remove(&window, a2, 100);
    assert_null(window_take(&window, 100));
    assert_int_equal(window.count, 0);
    clear(&window);
}

TEST(a_delayed_entry_holds_back_its_key_but_no_other)
{
    struct window window;
    window_init(&window);
    struct entry *a1 = add(&window, 0, "a", 0), *b1;
    add(&window, 1, "a", 0);
    assert_ptr_equal(window_take(&window, 100), a1);
    a1->due_ms = 500;
    window_delay(&window, a1);
    b1 = add(&window, 2, "b", 0);
    assert_ptr_equal(window_take(&window, 100), b1);
    assert_null(window_take(&window, 499));
    assert_int_equal(window_next_due(&window), 500);
    assert_ptr_equal(window_take(&window, 500), a1);
    clear(&window);
}

TEST(a_successor_that_is_not_due_waits_until_it_is)
{
    struct window window;
    window_init(&window);
    struct entry *a1 = add(&window, 0, "a", 0), *a2 = add(&window, 1, "a", 900);
    assert_ptr_equal(window_take(&window, 100), a1);
    window_remove(&window, a1, 100);
    assert_null(window_take(&window, 899));
    assert_ptr_equal(window_take(&window, 900), a2);
    clear(&window);
}

TEST(what_is_taken_back_comes_first_again)
{
    struct window window;
    window_init(&window);
    struct entry *a = add(&window, 0, "a", 0), *b = add(&window, 1, "b", 0);
    assert_ptr_equal(window_take(&window, 100), a);
    window_untake(&window, a);
    assert_ptr_equal(window_take(&window, 100), a);
    assert_ptr_equal(window_take(&window, 100), b);
    window_untake(&window, b); /* into an empty list */
    struct entry *c = add(&window, 2, "c", 0);
    assert_ptr_equal(window_take(&window, 100), b);
    assert_ptr_equal(window_take(&window, 100), c);
    clear(&window);
}

TEST(the_oldest_is_the_head_with_the_lowest_number)
{
    struct window window;
    window_init(&window);
    assert_null(window_oldest(&window));
    struct entry *a = add(&window, 0, "a", 0);
    add(&window, 1, "b", 0);
    assert_ptr_equal(window_oldest(&window), a);
    assert_ptr_equal(window_take(&window, 100), a);
    assert_ptr_equal(window_oldest(&window), a); /* under way, but still there */
    clear(&window);
}

/* ---- against a naive model ------------------------------------------------------------------------ */

enum model_state { ABSENT, WAITING, UNDER_WAY };

static struct {
    enum model_state state;
    int64_t due_ms;
    int key;
} model[MOST];
static char model_keys[40][16];

/* The entry may go: it is there, is due, and no earlier one of its key is there. */
static bool may_go(int i, int count, int64_t now_ms)
{
    (void)count;
    if (model[i].state != WAITING || model[i].due_ms > now_ms)
        return false;
    for (int j = 0; j < i; j++)
        if (model[j].key == model[i].key && model[j].state != ABSENT)
            return false;
    return true;
}

static int any_of(int count, enum model_state state)
{
    int from = count ? (int)(random() % count) : 0;
    for (int i = 0; i < count; i++)
        if (model[(from + i) % count].state == state)
            return (from + i) % count;
    return -1;
}

static void check_heap(const struct window *window)
{
    for (size_t i = 1; i <= window->delayed_count; i++) {
        assert_int_equal(window->delayed[i]->heap_place, i);
        if (i > 1)
            assert_true(window->delayed[i / 2]->due_ms <= window->delayed[i]->due_ms);
    }
}

static void step_add(struct window *window, int i, int64_t now_ms)
{
    model[i].state = WAITING;
    model[i].key = (int)(random() % 40);
    model[i].due_ms = random() % 3 ? 0 : now_ms + random() % 50;
    entries[i] =
        (struct entry){.number = (uint64_t)i + 1, .due_ms = model[i].due_ms, .key = slice_of(model_keys[model[i].key])};
    window_add(window, &entries[i], now_ms);
}

static void step_take(struct window *window, int count, int64_t now_ms)
{
    struct entry *entry = window_take(window, now_ms);
    if (!entry) {
        for (int i = 0; i < count; i++)
            assert_false(may_go(i, count, now_ms));
        return;
    }
    int i = (int)entry->number - 1;
    assert_true(may_go(i, count, now_ms));
    model[i].state = UNDER_WAY;
}

static void step_end(struct window *window, int count, int64_t now_ms)
{
    int i = any_of(count, UNDER_WAY);
    if (i < 0)
        return;
    if (random() % 3 == 0) {
        model[i].state = WAITING;
        model[i].due_ms = entries[i].due_ms = now_ms + 1 + random() % 80;
        window_delay(window, &entries[i]);
    } else {
        model[i].state = ABSENT;
        window_remove(window, &entries[i], now_ms);
    }
}

TEST(any_series_of_operations_does_what_a_naive_model_does)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        srandom(seed);
        struct window window;
        window_init(&window);
        memset(model, 0, sizeof model);
        for (int k = 0; k < 40; k++)
            snprintf(model_keys[k], sizeof model_keys[k], "k%d", k);
        int count = 0;
        int64_t now_ms = 1000;
        for (int step = 0; step < 6000; step++) {
            int dice = (int)(random() % 10);
            if (dice < 3 && count < 1500)
                step_add(&window, count++, now_ms);
            else if (dice < 6)
                step_take(&window, count, now_ms);
            else if (dice < 9)
                step_end(&window, count, now_ms);
            else
                now_ms += random() % 30;
            check_heap(&window);
        }
        clear(&window);
    }
}
