/* forecast.h - how long could the store take it, if all far sides were down from now on?
 *
 * What comes in is measured: the bytes that effects put into the outbox, and the growth of the store as a whole, over
 * the last ten minutes; whichever is more goes on at that rate until the high-water mark, where sources are paused. */
#ifndef HEADGATE_ENGINE_FORECAST_H
#define HEADGATE_ENGINE_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#define FORECAST_SAMPLES 61 /* one more than steps in the time that is looked back */
#define FORECAST_STEP_MS 10000

struct forecast {
    struct {
        int64_t at_ms, used_bytes, asked_bytes;
    } samples[FORECAST_SAMPLES]; /* a ring */
    unsigned count, next;
};

/* `now_ms` of the clock that never goes back; more often than every step is not noted. */
void forecast_note(struct forecast *forecast, int64_t now_ms, int64_t used_bytes, int64_t asked_bytes);
/* How many ms until `high_bytes`; -1: nothing comes in, or it was not watched for long enough to tell. */
int64_t forecast_left_ms(const struct forecast *forecast, int64_t high_bytes);

#endif
