/* buf.c - growing bytes with a ceiling; see buf.h */
#include "core/base/buf.h"

#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

static void *must(void *memory)
{
    if (!memory) {
        fputs("headgate: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_new(size_t size)
{
    return must(malloc(size ? size : 1));
}

void *mem_zero(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *mem_resize(void *old, size_t size)
{
    return must(realloc(old, size ? size : 1));
}

char *mem_text(const char *text)
{
    return text ? mem_copy(slice_of(text)) : NULL;
}

char *mem_copy(struct slice slice)
{
    char *copy = mem_new(slice.size + 1);
    if (slice.size)
        memcpy(copy, slice.data, slice.size);
    copy[slice.size] = '\0';
    return copy;
}

char *buf_reserve(struct buf *buf, size_t size)
{
    if (size > buf->limit || buf->size > buf->limit - size) {
        buf->is_over = true;
        return NULL;
    }
    size_t need = buf->size + size + 1;
    if (need > buf->room) {
        size_t room = buf->room ? buf->room : 256;
        while (room < need)
            room *= 2;
        buf->data = mem_resize(buf->data, room);
        buf->room = room;
    }
    return buf->data + buf->size;
}

bool buf_add(struct buf *buf, const void *data, size_t size)
{
    char *to = buf_reserve(buf, size);
    if (!to)
        return false;
    if (size)
        memcpy(to, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
    return true;
}

bool buf_add_slice(struct buf *buf, struct slice slice)
{
    return buf_add(buf, slice.data, slice.size);
}

bool buf_add_text(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

bool buf_add_char(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

bool buf_addv(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char small[256];
    int size = vsnprintf(small, sizeof small, format, args);
    bool ok = false;
    if (size >= 0 && (size_t)size < sizeof small) {
        ok = buf_add(buf, small, (size_t)size);
    } else if (size >= 0) {
        char *to = buf_reserve(buf, (size_t)size);
        if (to) {
            vsnprintf(to, (size_t)size + 1, format, again);
            buf->size += (size_t)size;
            ok = true;
        }
    }
    va_end(again);
    return ok;
}

bool buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool ok = buf_addv(buf, format, args);
    va_end(args);
    return ok;
}

bool buf_add_number(struct buf *buf, int64_t number)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        *--at = '-';
    return buf_add(buf, at, (size_t)(digits + sizeof digits - at));
}

static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return NULL;
    }
}

bool buf_add_json(struct buf *buf, struct slice text)
{
    buf_add_char(buf, '"');
    size_t plain = 0; /* start of the bytes that go out as they are */
    size_t at = 0;
    while (at < text.size) {
        unsigned char c = (unsigned char)text.data[at];
        size_t length = c < 0x80 ? 1 : utf8_length(text.data + at, text.size - at);
        if (length > 1 || (c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != 0x7f)) {
            at += length;
            continue;
        }
        buf_add(buf, text.data + plain, at - plain);
        if (length == 0)
            buf_add_text(buf, "\\ufffd");
        else if (short_escape(c))
            buf_add_text(buf, short_escape(c));
        else
            buf_addf(buf, "\\u%04x", c);
        at += 1;
        plain = at;
    }
    buf_add(buf, text.data + plain, at - plain);
    return buf_add_char(buf, '"') && !buf->is_over;
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->is_over = false;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_clear(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->size = buf->room = 0;
    buf->is_over = false;
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data ? buf->data : mem_copy(SLICE_NONE);
    buf->data = NULL;
    buf->size = buf->room = 0;
    return data;
}
