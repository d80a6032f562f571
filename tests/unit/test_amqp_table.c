/* test_amqp_table.c - header tables and JSON */
#include "adapters/amqp/rabbit.h"

#include "test.h"

#include <math.h>

static amqp_table_entry_t entry(const char *name, uint8_t kind)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name), .value.kind = kind};
}

static void expect_json(amqp_table_entry_t *entries, int count, const char *json)
{
    struct buf out = BUF_INIT(100000);
    amqp_table_t table = {count, entries};
    assert_true(rabbit_table_to_json(&out, &table));
    assert_string_equal(out.data, json);
    buf_clear(&out);
}

/* From JSON to a table, through the bytes that travel, and back. */
static void expect_back(const char *json, const char *expected)
{
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    struct err err = ERR_INIT;
    amqp_table_t table, arrived;
    if (!rabbit_table_from_json(slice_of(json), &pool, &table, &err))
        fail_msg("%s: %s", json, err.text);
    char bytes[4096];
    size_t size = 0, at = 0;
    assert_int_equal(amqp_encode_table((amqp_bytes_t){sizeof bytes, bytes}, &table, &size), AMQP_STATUS_OK);
    assert_int_equal(amqp_decode_table((amqp_bytes_t){size, bytes}, &pool, &arrived, &at), AMQP_STATUS_OK);
    expect_json(arrived.entries, arrived.num_entries, expected);
    empty_amqp_pool(&pool);
}

static void expect_refusal(const char *json, const char *word)
{
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    struct err err = ERR_INIT;
    amqp_table_t table;
    assert_false(rabbit_table_from_json(slice_of(json), &pool, &table, &err));
    if (!strstr(err.text, word))
        fail_msg("%s: \"%s\" does not say \"%s\"", json, err.text, word);
    empty_amqp_pool(&pool);
}

TEST(integers_of_every_width_stay_exact)
{
    amqp_table_entry_t e[] = {
        entry("a", AMQP_FIELD_KIND_I8),  entry("b", AMQP_FIELD_KIND_U8),  entry("c", AMQP_FIELD_KIND_I16),
        entry("d", AMQP_FIELD_KIND_U16), entry("e", AMQP_FIELD_KIND_I32), entry("f", AMQP_FIELD_KIND_U32),
        entry("g", AMQP_FIELD_KIND_I64), entry("h", AMQP_FIELD_KIND_U64), entry("i", AMQP_FIELD_KIND_TIMESTAMP)};
    e[0].value.value.i8 = INT8_MIN;
    e[1].value.value.u8 = UINT8_MAX;
    e[2].value.value.i16 = INT16_MIN;
    e[3].value.value.u16 = UINT16_MAX;
    e[4].value.value.i32 = INT32_MIN;
    e[5].value.value.u32 = UINT32_MAX;
    e[6].value.value.i64 = INT64_MIN;
    e[7].value.value.u64 = UINT64_MAX; /* no integer of ours: text, not a wrong number */
    e[8].value.value.u64 = 1700000000;
    expect_json(e, 9,
                "{\"a\":-128,\"b\":255,\"c\":-32768,\"d\":65535,\"e\":-2147483648,\"f\":4294967295,"
                "\"g\":-9223372036854775808,\"h\":\"18446744073709551615\",\"i\":1700000000}");
}

TEST(a_float_is_never_mistaken_for_an_integer)
{
    amqp_table_entry_t e[] = {entry("a", AMQP_FIELD_KIND_F64),  entry("b", AMQP_FIELD_KIND_F32),
                              entry("c", AMQP_FIELD_KIND_F64),  entry("d", AMQP_FIELD_KIND_DECIMAL),
                              entry("e", AMQP_FIELD_KIND_VOID), entry("f", AMQP_FIELD_KIND_BOOLEAN)};
    e[0].value.value.f64 = 3;
    e[1].value.value.f32 = 0.5f;
    e[2].value.value.f64 = INFINITY;
    e[3].value.value.decimal = (amqp_decimal_t){2, 1234};
    e[5].value.value.boolean = 1;
    expect_json(e, 6, "{\"a\":3.0,\"b\":0.5,\"c\":\"inf\",\"d\":1234e-2,\"e\":null,\"f\":true}");
}

TEST(bytes_that_are_no_text_come_as_base64)
{
    amqp_table_entry_t e[] = {entry("a", AMQP_FIELD_KIND_BYTES), entry("b", AMQP_FIELD_KIND_UTF8),
                              entry("c", AMQP_FIELD_KIND_UTF8)};
    e[0].value.value.bytes = (amqp_bytes_t){4, "\xff\x00\x01\x02"};
    e[1].value.value.bytes = (amqp_bytes_t){2, "\xc3\x28"};
    e[2].value.value.bytes = (amqp_bytes_t){3, "\xc3\xb8\""};
    expect_json(e, 3, "{\"a\":{\"base64\":\"/wABAg==\"},\"b\":{\"base64\":\"wyg=\"},\"c\":\"\xc3\xb8\\\"\"}");
}

TEST(of_a_repeated_name_the_last_value_counts_however_large_the_table)
{
    amqp_table_entry_t few[] = {entry("x", AMQP_FIELD_KIND_U8), entry("y", AMQP_FIELD_KIND_U8),
                                entry("x", AMQP_FIELD_KIND_U8)};
    for (uint8_t i = 0; i < 3; i++)
        few[i].value.value.u8 = i;
    expect_json(few, 3, "{\"x\":2,\"y\":1}");
    amqp_table_entry_t many[200];
    for (uint8_t i = 0; i < 200; i++) {
        many[i] = entry(i % 2 ? "odd" : "even", AMQP_FIELD_KIND_U8);
        many[i].value.value.u8 = i;
    }
    expect_json(many, 200, "{\"even\":198,\"odd\":199}");
}

TEST(what_nests_too_deep_is_cut_not_followed)
{
    amqp_table_entry_t deep[100];
    for (int i = 0; i < 99; i++) {
        deep[i] = entry("d", AMQP_FIELD_KIND_TABLE);
        deep[i].value.value.table = (amqp_table_t){1, &deep[i + 1]};
    }
    deep[99] = entry("d", AMQP_FIELD_KIND_VOID);
    struct buf out = BUF_INIT(10000);
    amqp_table_t table = {1, deep};
    assert_true(rabbit_table_to_json(&out, &table));
    assert_true(out.size < 400);
    assert_non_null(strstr(out.data, "\"d\":null}"));
    buf_clear(&out);
}

TEST(headers_of_a_flow_arrive_as_they_were_said)
{
    const char *json = "{\"a\":9007199254740993,\"b\":-1.5,\"c\":\"\xc3\xb8\",\"d\":[1,\"x\",[],{}],\"e\":{\"f\":true},"
                       "\"g\":null,\"h\":{\"base64\":\"/wABAg==\"}}";
    expect_back(json, json);
    expect_back("{}", "{}");
    expect_back("[]", "{}"); /* an empty table of Lua may have been written so */
    expect_back("{\"z\":\"a\\u0000b\"}", "{\"z\":\"a\\u0000b\"}");
}

TEST(headers_that_cannot_be_sent_are_refused_with_the_reason)
{
    expect_refusal("[1]", "names and values");
    expect_refusal("\"x\"", "");
    expect_refusal("{\"a\":1,\"a\":2}", "");
    expect_refusal("{\"a\":{\"base64\":\"!\"}}", "a: base64");
    expect_refusal("{\"a\":9223372036854775808}", "");
    char long_name[400] = "{\"";
    memset(long_name + 2, 'n', 300);
    strcpy(long_name + 302, "\":1}");
    expect_refusal(long_name, "255");
}

TEST(a_header_is_found_by_its_name_if_it_is_text)
{
    amqp_table_entry_t e[] = {entry("ce-type", AMQP_FIELD_KIND_UTF8), entry("n", AMQP_FIELD_KIND_I32)};
    e[0].value.value.bytes = amqp_cstring_bytes("com.example.raised");
    amqp_table_t table = {2, e};
    assert_true(slice_is(rabbit_table_text(&table, "ce-type"), "com.example.raised"));
    assert_int_equal(rabbit_table_text(&table, "n").size, 0);
    assert_int_equal(rabbit_table_text(&table, "none").size, 0);
}
