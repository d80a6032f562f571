/* test_record.c - named values in flat bytes */
#include "core/base/record.h"

#include "test.h"

TEST(a_field_is_found_by_its_name)
{
    struct buf record = BUF_INIT(1000);
    record_add_text(&record, "body", slice_of("hello"));
    record_add_integer(&record, "time_ms", -9007199254740993);
    record_add_boolean(&record, "oversize", true);
    assert_true(slice_is(record_get(buf_slice(&record), "body"), "hello"));
    assert_true(record_get_integer(buf_slice(&record), "time_ms", 0) == -9007199254740993);
    assert_true(record_get_boolean(buf_slice(&record), "oversize", false));
    assert_false(record_has(buf_slice(&record), "headers"));
    buf_clear(&record);
}

TEST(the_last_field_of_a_name_counts)
{
    struct buf record = BUF_INIT(1000);
    record_add_text(&record, "a", slice_of("old"));
    record_add_text(&record, "a", slice_of("new"));
    assert_true(slice_is(record_get(buf_slice(&record), "a"), "new"));
    buf_clear(&record);
}

TEST(a_cut_record_is_read_up_to_the_cut_and_never_beyond)
{
    struct buf record = BUF_INIT(1000);
    record_add_text(&record, "first", slice_of("1"));
    record_add_text(&record, "second", slice_of("22"));
    for (size_t size = 0; size < record.size; size++) {
        char *copy = malloc(size + 1); /* exactly as large: a sanitizer sees a look beyond */
        memcpy(copy, record.data, size);
        struct slice cut = {copy, size};
        assert_false(record_has(cut, "second"));
        free(copy);
    }
    buf_clear(&record);
}

TEST(a_full_record_takes_no_half_field)
{
    struct buf record = BUF_INIT(20);
    assert_true(record_add_text(&record, "a", slice_of("0123456789")));
    assert_false(record_add_text(&record, "b", slice_of("0123456789")));
    assert_true(record.is_over);
    assert_true(slice_is(record_get(buf_slice(&record), "a"), "0123456789"));
    assert_false(record_has(buf_slice(&record), "b"));
    buf_clear(&record);
}
