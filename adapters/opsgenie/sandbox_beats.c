/* sandbox_beats.c - the heartbeats of the simulated OpsGenie
 *
 * Who stays silent longer than its interval has expired.  A ping for a name that nobody made is taken
 * as well: the real one does not look before it answers PONG. */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"

#include <stdlib.h>

struct sandbox_beat *sandbox_beats_find(struct sandbox_beat *first, const char *name)
{
    while (first && strcmp(first->name, name) != 0)
        first = first->next;
    return first;
}

void sandbox_beats_put(struct sandbox_beat **first, const char *name, json_t *said)
{
    struct sandbox_beat *beat = sandbox_beats_find(*first, name);
    if (!beat) {
        beat = mem_zero(sizeof *beat);
        beat->name = mem_text(name);
        beat->next = *first;
        *first = beat;
    }
    json_decref(beat->said);
    beat->said = json_incref(said);
}

static int64_t interval_ms(const struct sandbox_beat *beat)
{
    const char *unit = json_string_value(json_object_get(beat->said, "intervalUnit"));
    int64_t number = json_integer_value(json_object_get(beat->said, "interval"));
    return number
           * (unit && strcmp(unit, "days") == 0    ? 86400000
              : unit && strcmp(unit, "hours") == 0 ? 3600000
                                                   : 60000);
}

bool sandbox_beats_is_expired(const struct sandbox_beat *beat)
{
    return json_is_true(json_object_get(beat->said, "enabled")) && beat->last_ms
           && clock_now_ms() - beat->last_ms > interval_ms(beat);
}

json_t *sandbox_beats_show(const struct sandbox_beat *beat)
{
    char time[CLOCK_TEXT_MAX];
    json_t *shown = json_copy(beat->said);
    json_object_set_new(shown, "expired", json_boolean(sandbox_beats_is_expired(beat)));
    if (beat->last_ms)
        json_object_set_new(shown, "lastPingTime", json_string(clock_text(beat->last_ms, time)));
    return shown;
}

void sandbox_beats_reset(struct sandbox_beat **first)
{
    while (*first) {
        struct sandbox_beat *beat = *first;
        *first = beat->next;
        free(beat->name);
        json_decref(beat->said);
        free(beat);
    }
}
