/* silence.c - see silence.h */
#include "core/flow/silence.h"

#include "core/base/settings.h"

#include <stdio.h>
#include <string.h>

#define LEAST_WINDOW_MS 1000
#define MOST_WINDOW_MS (INT64_C(366) * 86400000)
#define MOST_EVENTS 1000000000

bool silence_parse(const char *text, int64_t *least, int64_t *window_ms)
{
    char window[20];
    long long events;
    int end = 0;
    if (sscanf(text, "at least %10lld per %15[0-9a-z]%n", &events, window, &end) != 2 || text[end]
        || !settings_parse(OPTION_DURATION, window, window_ms))
        return false;
    *least = events;
    return events >= 1 && events <= MOST_EVENTS && *window_ms >= LEAST_WINDOW_MS && *window_ms <= MOST_WINDOW_MS;
}

static void begin(struct silence *silence)
{
    memset(silence->counts, 0, sizeof silence->counts);
    silence->since_ms = 0;
    silence->is_silent = false;
}

void silence_expect(struct silence *silence, int64_t least, int64_t window_ms)
{
    if (silence->least == least && silence->window_ms == window_ms)
        return;
    silence->least = least;
    silence->window_ms = window_ms;
    begin(silence);
}

/* Empties the slots between the newest and now. */
static void turn_to(struct silence *silence, int64_t mono_ms)
{
    int64_t slot_ms = silence->window_ms / (SILENCE_SLOTS - 1), slot = mono_ms / slot_ms;
    if (slot - silence->slot >= SILENCE_SLOTS)
        memset(silence->counts, 0, sizeof silence->counts);
    else
        while (silence->slot < slot)
            silence->counts[++silence->slot % SILENCE_SLOTS] = 0;
    silence->slot = slot;
}

void silence_event(struct silence *silence, int64_t mono_ms)
{
    if (!silence->least)
        return;
    turn_to(silence, mono_ms);
    silence->counts[silence->slot % SILENCE_SLOTS]++;
}

enum silence_turn silence_look(struct silence *silence, bool is_watched, int64_t mono_ms)
{
    if (!silence->least || !is_watched) {
        begin(silence);
        return SILENCE_AS_BEFORE;
    }
    if (!silence->since_ms)
        silence->since_ms = mono_ms;
    turn_to(silence, mono_ms);
    int64_t events = 0;
    for (int i = 0; i < SILENCE_SLOTS; i++)
        events += silence->counts[i];
    bool was_silent = silence->is_silent;
    silence->is_silent = events < silence->least && mono_ms - silence->since_ms >= silence->window_ms;
    return silence->is_silent == was_silent ? SILENCE_AS_BEFORE : silence->is_silent ? SILENCE_BEGAN : SILENCE_ENDED;
}
