/* clock.h - the two clocks, and a way for tests to set the first */
#ifndef HEADGATE_BASE_CLOCK_H
#define HEADGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_now_ms(void);        /* wall clock, ms since 1970-01-01 UTC; jumps when the machine's clock does */
int64_t clock_mono_ns(void);       /* never goes back; for durations only */
void clock_set_ms(int64_t now_ms); /* tests: freezes the wall clock; 0 frees it again */

#define CLOCK_TEXT_MAX 32
/* "2026-11-22T09:41:07.512Z" (RFC 3339, UTC) into `text` of CLOCK_TEXT_MAX bytes; returns `text`. */
const char *clock_text(int64_t ms, char *text);
/* RFC 3339 to ms since 1970; false if it is not one. */
bool clock_parse(const char *text, size_t size, int64_t *ms);

#endif
