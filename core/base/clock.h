/* clock.h - three clocks, and a way for tests to set the first two
 *
 * A moment (when did it happen, until when is it kept) is the wall clock's, and jumps with it.  A wait (not before) is
 * counted on a clock that never jumps: else an hour's step back would make half a second an hour.  Both begin on the
 * same scale, so a wait can be stored as a moment, and read as one. */
#ifndef HEADGATE_BASE_CLOCK_H
#define HEADGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_now_ms(void);        /* wall clock, ms since 1970-01-01 UTC; jumps when the machine's clock does */
int64_t clock_wait_ms(void);       /* never jumps; began as the wall clock */
int64_t clock_mono_ns(void);       /* never goes back; for durations only */
void clock_set_ms(int64_t now_ms); /* tests: freezes both; 0 frees them again */

/* The moment that a wait will end at, for the disk and for people; and back. */
int64_t clock_moment_of(int64_t wait_ms);
int64_t clock_wait_of(int64_t moment_ms);

#define CLOCK_TEXT_MAX 32
/* "2026-11-22T09:41:07.512Z" (RFC 3339, UTC) into `text` of CLOCK_TEXT_MAX bytes; returns `text`. */
const char *clock_text(int64_t ms, char *text);
/* RFC 3339 to ms since 1970; false if it is not one. */
bool clock_parse(const char *text, size_t size, int64_t *ms);

#endif
