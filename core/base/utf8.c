/* utf8.c - see utf8.h */
#include "core/base/utf8.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t utf8_length(const char *text, size_t size)
{
    const unsigned char *c = (const unsigned char *)text;
    if (size == 0)
        return 0;
    if (c[0] < 0x80)
        return 1;
    if (c[0] >= 0xC2 && c[0] <= 0xDF)
        return size >= 2 && is_tail(c[1]) ? 2 : 0;
    if (c[0] >= 0xE0 && c[0] <= 0xEF) {
        if (size < 3 || !is_tail(c[1]) || !is_tail(c[2]))
            return 0;
        bool overlong = c[0] == 0xE0 && c[1] < 0xA0;
        bool surrogate = c[0] == 0xED && c[1] > 0x9F;
        return overlong || surrogate ? 0 : 3;
    }
    if (c[0] >= 0xF0 && c[0] <= 0xF4) {
        if (size < 4 || !is_tail(c[1]) || !is_tail(c[2]) || !is_tail(c[3]))
            return 0;
        bool overlong = c[0] == 0xF0 && c[1] < 0x90;
        bool beyond = c[0] == 0xF4 && c[1] > 0x8F;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

bool utf8_is_valid(struct slice text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t length = utf8_length(text.data + at, text.size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

size_t utf8_count(struct slice text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.size; count++) {
        size_t length = utf8_length(text.data + at, text.size - at);
        at += length ? length : 1;
    }
    return count;
}

struct slice utf8_cut(struct slice text, size_t size)
{
    if (text.size <= size)
        return text;
    while (size > 0 && is_tail((unsigned char)text.data[size]))
        size--;
    return (struct slice){text.data, size};
}
