/* err.c - error texts that gather context; see err.h */
#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts at the start of a UTF-8 character, so that no log line or JSON answer carries half of one. */
static void cut_at_character(char *text, size_t written)
{
    if (written < ERR_MAX)
        return;
    size_t end = ERR_MAX - 1;
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    if (end > 0 && ((unsigned char)text[end - 1] & 0x80))
        text[end - 1] = '\0';
}

bool err_set(struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int written = vsnprintf(err->text, ERR_MAX, format, args);
    va_end(args);
    cut_at_character(err->text, written < 0 ? 0 : (size_t)written);
    return false;
}

bool err_wrap(struct err *err, const char *format, ...)
{
    char inner[ERR_MAX];
    memcpy(inner, err->text, ERR_MAX);

    va_list args;
    va_start(args, format);
    int head = vsnprintf(err->text, ERR_MAX, format, args);
    va_end(args);

    size_t used = head < 0 ? 0 : (size_t)head;
    if (used < ERR_MAX && inner[0] != '\0')
        used += (size_t)snprintf(err->text + used, ERR_MAX - used, ": %s", inner);
    cut_at_character(err->text, used);
    return false;
}
