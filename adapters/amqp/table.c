/* table.c - header tables and JSON
 *
 *     AMQP                              JSON
 *     boolean, integers up to int64     as they are
 *     unsigned beyond int64, NaN, inf   text ("18446744073709551615", "nan")
 *     float, double                     number that always shows it is no integer (1.0)
 *     decimal                           number with an exponent, exact (1234e-2)
 *     text and bytes that are UTF-8     text
 *     other text and bytes              {"base64": "..."}
 *     timestamp                         integer: seconds since 1970
 *     table, array                      object, array; deeper than 32: null
 *     void                              null
 *
 * A name that comes twice in a table keeps its last value: JSON with repeated names is read differently by
 * different readers.  The way back: text becomes a long string, integers become 64-bit ones ('l', which RabbitMQ
 * and its clients read as signed), other numbers doubles, {"base64": ...} a byte string. */
#include "adapters/amqp/rabbit.h"
#include "core/base/utf8.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <openssl/evp.h>

#define DEPTH_MAX 32
#define NAME_MAX_SIZE 255 /* of a header: its length is one byte */

/* ---- to JSON ---------------------------------------------------------------------------------- */

static bool add_table(struct buf *out, const amqp_table_t *table, int depth);

static bool add_bytes(struct buf *out, struct slice bytes)
{
    if (utf8_is_valid(bytes))
        return buf_add_json(out, bytes);
    buf_add_text(out, "{\"base64\":\"");
    size_t most = 4 * ((bytes.size + 2) / 3) + 1;
    char *to = buf_reserve(out, most);
    if (to)
        out->size += (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)bytes.data, (int)bytes.size);
    return buf_add_text(out, "\"}");
}

static bool add_double(struct buf *out, double value, int digits)
{
    char text[40];
    int size = snprintf(text, sizeof text, "%.*g", digits, value);
    if (!isfinite(value))
        return buf_add_json(out, (struct slice){text, (size_t)size});
    buf_add(out, text, (size_t)size);
    return strpbrk(text, ".e") ? !out->is_over : buf_add_text(out, ".0");
}

static bool add_unsigned(struct buf *out, uint64_t value)
{
    return buf_addf(out, value > INT64_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

static bool add_array(struct buf *out, const amqp_array_t *array, int depth);

static bool add_value(struct buf *out, const amqp_field_value_t *field, int depth)
{
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN: return buf_add_text(out, field->value.boolean ? "true" : "false");
    case AMQP_FIELD_KIND_I8: return buf_addf(out, "%d", field->value.i8);
    case AMQP_FIELD_KIND_U8: return buf_addf(out, "%u", field->value.u8);
    case AMQP_FIELD_KIND_I16: return buf_addf(out, "%d", field->value.i16);
    case AMQP_FIELD_KIND_U16: return buf_addf(out, "%u", field->value.u16);
    case AMQP_FIELD_KIND_I32: return buf_addf(out, "%" PRId32, field->value.i32);
    case AMQP_FIELD_KIND_U32: return buf_addf(out, "%" PRIu32, field->value.u32);
    case AMQP_FIELD_KIND_I64: return buf_addf(out, "%" PRId64, field->value.i64);
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP: return add_unsigned(out, field->value.u64);
    case AMQP_FIELD_KIND_F32: return add_double(out, field->value.f32, 9);
    case AMQP_FIELD_KIND_F64: return add_double(out, field->value.f64, 17);
    case AMQP_FIELD_KIND_DECIMAL:
        return buf_addf(out, "%" PRIu32 "e-%u", field->value.decimal.value, field->value.decimal.decimals);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES: return add_bytes(out, rabbit_slice(field->value.bytes));
    case AMQP_FIELD_KIND_ARRAY: return add_array(out, &field->value.array, depth + 1);
    case AMQP_FIELD_KIND_TABLE: return add_table(out, &field->value.table, depth + 1);
    default: return buf_add_text(out, "null");
    }
}

static bool add_array(struct buf *out, const amqp_array_t *array, int depth)
{
    if (depth > DEPTH_MAX)
        return buf_add_text(out, "null");
    buf_add_char(out, '[');
    for (int i = 0; i < array->num_entries; i++) {
        if (i)
            buf_add_char(out, ',');
        if (!add_value(out, &array->entries[i], depth))
            return false;
    }
    return buf_add_char(out, ']');
}

/* By name, and the later of two equal ones last: entries stand in one array. */
static int by_name(const void *a, const void *b)
{
    const amqp_table_entry_t *x = *(amqp_table_entry_t *const *)a, *y = *(amqp_table_entry_t *const *)b;
    size_t least = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = least ? memcmp(x->key.bytes, y->key.bytes, least) : 0;
    if (order == 0 && x->key.len != y->key.len)
        order = x->key.len < y->key.len ? -1 : 1;
    return order ? order : x < y ? -1 : x > y;
}

static bool add_table(struct buf *out, const amqp_table_t *table, int depth)
{
    if (depth > DEPTH_MAX)
        return buf_add_text(out, "null");
    const amqp_table_entry_t *few[32], **sorted = few;
    size_t count = (size_t)table->num_entries;
    if (count > sizeof few / sizeof *few)
        sorted = mem_new(count * sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &table->entries[i];
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, by_name);
    bool ok = buf_add_char(out, '{'), is_first = true;
    for (size_t i = 0; i < count && ok; i++) {
        struct slice name = rabbit_slice(sorted[i]->key);
        if (i + 1 < count && slice_equal(name, rabbit_slice(sorted[i + 1]->key)))
            continue;
        if (!is_first)
            buf_add_char(out, ',');
        is_first = false;
        buf_add_json(out, name);
        buf_add_char(out, ':');
        ok = add_value(out, &sorted[i]->value, depth);
    }
    if (sorted != few)
        free(sorted);
    return buf_add_char(out, '}') && ok;
}

bool rabbit_table_to_json(struct buf *out, const amqp_table_t *table)
{
    return add_table(out, table, 0);
}

struct slice rabbit_table_text(const amqp_table_t *table, const char *name)
{
    for (int i = table->num_entries - 1; i >= 0; i--) {
        const amqp_table_entry_t *entry = &table->entries[i];
        bool is_text = entry->value.kind == AMQP_FIELD_KIND_UTF8 || entry->value.kind == AMQP_FIELD_KIND_BYTES;
        if (is_text && slice_is(rabbit_slice(entry->key), name))
            return rabbit_slice(entry->value.value.bytes);
    }
    return SLICE_NONE;
}

/* ---- from JSON --------------------------------------------------------------------------------- */

static void *pool_new(amqp_pool_t *pool, size_t size)
{
    void *memory = amqp_pool_alloc(pool, size ? size : 1);
    if (!memory)
        abort(); /* as mem_new does */
    return memory;
}

static amqp_bytes_t pool_copy(amqp_pool_t *pool, const char *data, size_t size)
{
    return (amqp_bytes_t){size, memcpy(pool_new(pool, size), data, size)};
}

static bool to_table(const json_t *object, amqp_pool_t *pool, amqp_table_t *table, struct err *err);

/* {"base64": "..."} and nothing else. */
static const json_t *base64_of(const json_t *value)
{
    const json_t *text = json_object_size(value) == 1 ? json_object_get(value, "base64") : NULL;
    return json_is_string(text) ? text : NULL;
}

static bool to_bytes(const json_t *text, amqp_pool_t *pool, amqp_bytes_t *bytes, struct err *err)
{
    const char *in = json_string_value(text);
    size_t size = json_string_length(text),
           pad = size && in[size - 1] == '=' ? 1 + (size > 1 && in[size - 2] == '=') : 0;
    unsigned char *out = pool_new(pool, size);
    int got = size % 4 == 0 ? EVP_DecodeBlock(out, (const unsigned char *)in, (int)size) : -1;
    if (got < (int)pad)
        return err_set(err, "base64 is not valid");
    *bytes = (amqp_bytes_t){(size_t)got - pad, out};
    return true;
}

static bool to_value(const json_t *value, amqp_pool_t *pool, amqp_field_value_t *field, struct err *err)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        field->kind = AMQP_FIELD_KIND_UTF8;
        field->value.bytes = pool_copy(pool, json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        field->kind = AMQP_FIELD_KIND_I64;
        field->value.i64 = json_integer_value(value);
        return true;
    case JSON_REAL:
        field->kind = AMQP_FIELD_KIND_F64;
        field->value.f64 = json_real_value(value);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        field->kind = AMQP_FIELD_KIND_BOOLEAN;
        field->value.boolean = json_is_true(value);
        return true;
    case JSON_ARRAY:
        field->kind = AMQP_FIELD_KIND_ARRAY;
        field->value.array.num_entries = (int)json_array_size(value);
        field->value.array.entries = pool_new(pool, json_array_size(value) * sizeof(amqp_field_value_t));
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!to_value(json_array_get(value, i), pool, &field->value.array.entries[i], err))
                return false;
        return true;
    case JSON_OBJECT:
        if (base64_of(value)) {
            field->kind = AMQP_FIELD_KIND_BYTES;
            return to_bytes(base64_of(value), pool, &field->value.bytes, err);
        }
        field->kind = AMQP_FIELD_KIND_TABLE;
        return to_table(value, pool, &field->value.table, err);
    default: field->kind = AMQP_FIELD_KIND_VOID; return true;
    }
}

static bool to_table(const json_t *object, amqp_pool_t *pool, amqp_table_t *table, struct err *err)
{
    table->num_entries = 0;
    table->entries = pool_new(pool, json_object_size(object) * sizeof(amqp_table_entry_t));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        amqp_table_entry_t *entry = &table->entries[table->num_entries++];
        if (strlen(name) > NAME_MAX_SIZE)
            return err_set(err, "the name %.40s... is longer than %d bytes", name, NAME_MAX_SIZE);
        entry->key = pool_copy(pool, name, strlen(name));
        if (!to_value(value, pool, &entry->value, err))
            return err_wrap(err, "%s", name);
    }
    return true;
}

bool rabbit_table_from_json(struct slice json, amqp_pool_t *pool, amqp_table_t *table, struct err *err)
{
    json_error_t error;
    json_t *value = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    bool ok = value ? json_is_object(value) || err_set(err, "is not a table of names and values")
                    : err_set(err, "%s", error.text);
    /* An empty Lua table may be an empty array as well. */
    if (value && json_is_array(value) && json_array_size(value) == 0) {
        *table = amqp_empty_table;
        ok = true;
    } else {
        ok = ok && to_table(value, pool, table, err);
    }
    json_decref(value);
    return ok;
}
