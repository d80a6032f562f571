/* forecast.c - see forecast.h */
#include "core/engine/forecast.h"

/* A row that is written also costs the page that it does not fill, its key, and rows beside it (trail, seen-mark). */
#define COST_OF_A_BYTE 2

void forecast_note(struct forecast *forecast, int64_t now_ms, int64_t used_bytes, int64_t asked_bytes)
{
    unsigned last = (forecast->next + FORECAST_SAMPLES - 1) % FORECAST_SAMPLES;
    if (forecast->count && now_ms - forecast->samples[last].at_ms < FORECAST_STEP_MS)
        return;
    forecast->samples[forecast->next].at_ms = now_ms;
    forecast->samples[forecast->next].used_bytes = used_bytes;
    forecast->samples[forecast->next].asked_bytes = asked_bytes;
    forecast->next = (forecast->next + 1) % FORECAST_SAMPLES;
    if (forecast->count < FORECAST_SAMPLES)
        forecast->count++;
}

int64_t forecast_left_ms(const struct forecast *forecast, int64_t high_bytes)
{
    if (forecast->count < 2)
        return -1;
    unsigned newest = (forecast->next + FORECAST_SAMPLES - 1) % FORECAST_SAMPLES;
    unsigned oldest = (forecast->next + FORECAST_SAMPLES - forecast->count) % FORECAST_SAMPLES;
    int64_t time_ms = forecast->samples[newest].at_ms - forecast->samples[oldest].at_ms;
    int64_t grown = forecast->samples[newest].used_bytes - forecast->samples[oldest].used_bytes;
    int64_t asked = COST_OF_A_BYTE * (forecast->samples[newest].asked_bytes - forecast->samples[oldest].asked_bytes);
    int64_t room = high_bytes - forecast->samples[newest].used_bytes;
    int64_t bytes = grown > asked ? grown : asked;
    if (bytes <= 0 || time_ms <= 0)
        return -1;
    return room <= 0 ? 0 : (int64_t)((double)room / (double)bytes * (double)time_ms);
}
