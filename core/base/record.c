/* record.c - see record.h */
#include "core/base/record.h"

#include <endian.h>

bool record_add(struct buf *record, const char *name, enum record_kind kind, struct slice value)
{
    size_t name_size = strlen(name);
    char *to = name_size <= 255 && value.size <= UINT32_MAX ? buf_reserve(record, 6 + name_size + value.size) : NULL;
    if (!to) {
        record->is_over = true;
        return false;
    }
    *to++ = (char)name_size;
    memcpy(to, name, name_size);
    to += name_size;
    *to++ = (char)kind;
    uint32_t size = htole32((uint32_t)value.size);
    memcpy(to, &size, 4);
    if (value.size)
        memcpy(to + 4, value.data, value.size);
    record->size += 6 + name_size + value.size;
    return true;
}

bool record_add_text(struct buf *record, const char *name, struct slice value)
{
    return record_add(record, name, RECORD_TEXT, value);
}

bool record_add_integer(struct buf *record, const char *name, int64_t value)
{
    uint64_t bytes = htole64((uint64_t)value);
    return record_add(record, name, RECORD_INTEGER, (struct slice){(const char *)&bytes, 8});
}

bool record_add_boolean(struct buf *record, const char *name, bool value)
{
    char byte = value;
    return record_add(record, name, RECORD_BOOLEAN, (struct slice){&byte, 1});
}

bool record_next(struct slice record, size_t *at, struct field *field)
{
    if (*at >= record.size)
        return false;
    const char *from = record.data + *at;
    size_t left = record.size - *at;
    size_t name_size = (unsigned char)*from;
    if (left < 6 + name_size)
        return false;
    uint32_t size;
    memcpy(&size, from + 2 + name_size, 4);
    size = le32toh(size);
    if (left - 6 - name_size < size)
        return false;
    field->name = (struct slice){from + 1, name_size};
    field->kind = (enum record_kind)from[1 + name_size];
    field->value = (struct slice){from + 6 + name_size, size};
    *at += 6 + name_size + size;
    return true;
}

static bool find(struct slice record, const char *name, struct field *found)
{
    size_t at = 0;
    bool is_found = false;
    struct field field;
    while (record_next(record, &at, &field)) {
        if (slice_is(field.name, name)) {
            *found = field;
            is_found = true;
        }
    }
    return is_found;
}

bool record_has(struct slice record, const char *name)
{
    struct field field;
    return find(record, name, &field);
}

struct slice record_get(struct slice record, const char *name)
{
    struct field field;
    return find(record, name, &field) ? field.value : SLICE_NONE;
}

int64_t record_get_integer(struct slice record, const char *name, int64_t fallback)
{
    struct slice value = record_get(record, name);
    if (value.size != 8)
        return fallback;
    uint64_t bytes;
    memcpy(&bytes, value.data, 8);
    return (int64_t)le64toh(bytes);
}

bool record_get_boolean(struct slice record, const char *name, bool fallback)
{
    struct slice value = record_get(record, name);
    return value.size == 1 ? value.data[0] != 0 : fallback;
}
