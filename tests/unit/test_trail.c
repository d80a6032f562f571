/* test_trail.c - nothing disappears without a number: what the trail tells of events that were not run */
#include "flow_kit.h"

#include <jansson.h>

/* The entries of a key, as they are stored; the caller frees. */
static json_t *trail_of(const char *key)
{
    struct store_key row_key = STORE_KEY_INIT;
    struct slice row, item;
    json_t *list = json_array();
    store_key_add_text(&row_key, key);
    store_key_add_text(&row_key, "f");
    if (!store_get(kit.store, TABLE_TRAILS, store_key_slice(&row_key), &row))
        fail_msg("there is no trail of %s", key);
    for (size_t at = 0; store_list_next(row, &at, &item);) {
        json_t *entry = json_loadb(item.data, item.size, 0, NULL);
        assert_non_null(entry);
        json_array_append_new(list, entry);
    }
    return list;
}

static void expect_entry(json_t *list, size_t index, const char *outcome, const char *event, int times)
{
    json_t *entry = json_array_get(list, index);
    assert_string_equal(json_string_value(json_object_get(entry, "outcome")), outcome);
    assert_string_equal(json_string_value(json_object_get(entry, "event")), event);
    assert_int_equal(json_integer_value(json_object_get(entry, "times")), times);
}

TEST(repeats_share_one_entry_that_counts_them)
{
    flow_open(MANIFEST, FLOW(TELL));
    arrive_id(1, "e1", "k");
    arrive_id(2, "e2", "k");
    for (uint64_t i = 3; i <= 1002; i++)
        arrive_id(i, i % 2 ? "e1" : "e2", "k");
    expect_acks(1002);
    json_t *list = trail_of("k");
    assert_int_equal(json_array_size(list), 3);
    expect_entry(list, 0, "finished", "e1", 0);
    expect_entry(list, 1, "finished", "e2", 0);
    expect_entry(list, 2, "repeat", "e2", 1000);
    assert_int_equal(counter("flow.f.repeat"), 1000);
    json_decref(list);
    flow_close();
}

TEST(each_reason_for_not_running_has_its_entry_and_its_number)
{
    char body[200];
    flow_open(HEAD "event: {id: body.id, key: body.key, time: body.at, expires: 1h}\nwhen_off: drop\n",
              FLOW("function step.run(event) error 'no' end "));
    for (int i = 1; i <= 3; i++) {
        snprintf(body, sizeof body, "{\"id\":\"old-%d\",\"key\":\"k\",\"at\":\"2020-01-01T00:00:0%dZ\"}", i, i);
        arrive((uint64_t)i, body);
    }
    expect_acks(3);
    flow_set_gate(flow, false);
    arrive(4, "{\"id\":\"off-1\",\"key\":\"k\",\"at\":1795340469}");
    arrive(5, "no JSON"); /* nobody knows its key: it is counted */
    expect_acks(5);
    flow_set_gate(flow, true);
    snprintf(body, sizeof body, "{\"id\":\"bad\",\"key\":\"k\",\"at\":%lld}", (long long)clock_now_ms());
    arrive(6, body);
    expect_acks(6);
    bool is_done;
    struct change *change = kit_change(&is_done);
    flow_discard(flow, change, held_row(1), "discarded by ada: a test");
    held_remove(change, 1);
    kit_commit(change, &is_done);

    json_t *list = trail_of("k");
    assert_int_equal(json_array_size(list), 4);
    expect_entry(list, 0, "expired", "old-3", 3);
    expect_entry(list, 1, "dropped", "off-1", 1);
    expect_entry(list, 2, "held", "bad", 0);
    expect_entry(list, 3, "discarded", "bad", 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "why")),
                        "it was older than 1h (event: expires in flow.yaml)");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 3), "why")), "discarded by ada: a test");
    json_decref(list);
    struct books books = read_books();
    const struct flow_book *book = books_flow(&books, "f");
    assert_int_equal(book->expired, 3);
    assert_int_equal(book->dropped, 2);
    assert_int_equal(book->discarded, 1);
    assert_int_equal(book->difference, 0);
    books_clear(&books);
    flow_close();
}

TEST(events_that_were_not_run_do_not_push_the_runs_out)
{
    char id[30];
    flow_open(MANIFEST, FLOW(TELL));
    for (int i = 1; i <= 12; i++) {
        snprintf(id, sizeof id, "e%d", i);
        arrive_id((uint64_t)(2 * i), id, "k");
        arrive_id((uint64_t)(2 * i + 1), id, "k");
    }
    expect_acks(24);
    json_t *list = trail_of("k");
    assert_int_equal(json_array_size(list), 8);
    for (size_t i = 0; i < 7; i++) {
        snprintf(id, sizeof id, "e%d", (int)i + 6);
        if (i < 6)
            expect_entry(list, i, "finished", id, 0);
    }
    json_decref(list);
    flow_close();
}
