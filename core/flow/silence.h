/* silence.h - `expect: at least 1 per 15m`: a flow that gets fewer events than it should is silent, and somebody is
 * told
 *
 *      not watched ──gate on, sources may deliver──► watched ──a whole window with too few──► silent
 *           ▲                                          ▲                                        │
 *           └──────── gate off, store full, stop ──────┴──────────── enough again ◄─────────────┘
 *
 * Nobody is told before one whole window has been watched: after a start, or a gate that was opened, there may not have
 * been time for an event.  Events are counted in slots, each a sixtieth of the window. */
#ifndef HEADGATE_FLOW_SILENCE_H
#define HEADGATE_FLOW_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SILENCE_SLOTS 61 /* one more than the window has: the newest is not over yet */

struct silence {
    int64_t least, window_ms; /* so many events in that time; least 0: nothing is expected */
    int64_t since_ms;         /* watched since then, of the clock that never goes back; 0: not watched */
    int64_t slot;             /* number of the newest, counted from the begin of that clock */
    int64_t counts[SILENCE_SLOTS];
    bool is_silent;
};

enum silence_turn { SILENCE_AS_BEFORE, SILENCE_BEGAN, SILENCE_ENDED };

/* What is expected from now on; counting begins anew if it is something else. */
void silence_expect(struct silence *silence, int64_t least, int64_t window_ms);
void silence_event(struct silence *silence, int64_t mono_ms);
/* `is_watched`: events could come now.  To be called about every second. */
enum silence_turn silence_look(struct silence *silence, bool is_watched, int64_t mono_ms);
/* Reads "at least 1 per 15m"; false: it is not one. */
bool silence_parse(const char *text, int64_t *least, int64_t *window_ms);

#endif
