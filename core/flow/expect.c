/* expect.c - when the last event came, and whether the flow is silent; see silence.h
 *
 * The moment of the last event is on disk too, some seconds old at most: after a start, a person who looks wants to
 * know since when nothing came.  It goes there with the change of an event, so it costs no commit of its own. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/flow/internal.h"

#include <endian.h>
#include <stdio.h>

#define SAVE_MS 10000

static void last_event_name(const struct flow *flow, char name[NAME_MAX_BYTES + 32])
{
    snprintf(name, NAME_MAX_BYTES + 32, "flow.%s.last_event_ms", flow->name);
}

void expect_open(struct flow *flow)
{
    char name[NAME_MAX_BYTES + 32];
    last_event_name(flow, name);
    flow->last_event_ms = flow->saved_event_ms = store_counter(flow->context->store, name);
}

void expect_event(struct flow *flow, int64_t received_ms, int64_t mono_ms)
{
    flow->last_event_ms = received_ms;
    silence_event(&flow->silence, mono_ms);
}

void expect_save(struct flow *flow, struct change *change)
{
    int64_t age_ms = flow->last_event_ms - flow->saved_event_ms;
    if (age_ms >= 0 && age_ms < SAVE_MS) /* else it is time, or the machine's clock was set back */
        return;
    char name[NAME_MAX_BYTES + 32];
    uint64_t bytes = htole64((uint64_t)flow->last_event_ms);
    last_event_name(flow, name);
    change_put(change, TABLE_COUNTERS, slice_of(name), (struct slice){(const char *)&bytes, sizeof bytes});
    flow->saved_event_ms = flow->last_event_ms;
}

static void say_silent(const struct flow *flow, const struct manifest *manifest)
{
    char window[SETTINGS_PRINT_MAX], last[CLOCK_TEXT_MAX];
    log_about(LOG_LEVEL_WARNING, (struct log_about){.flow = flow->name},
              "flow %s: is silent: it expects at least %lld in %s; %s%s", flow->name, (long long)manifest->expect_least,
              settings_print(OPTION_DURATION, manifest->expect_ms, window),
              flow->last_event_ms ? "the last event came at " : "no event ever came",
              flow->last_event_ms ? clock_text(flow->last_event_ms, last) : "");
}

void flow_look_for_silence(struct flow *flow)
{
    const struct manifest *manifest = flow->live ? flow->live->manifest : NULL;
    bool is_watched = manifest && flow_is_open(flow) && flow->context->takes_events;
    if (manifest)
        silence_expect(&flow->silence, manifest->expect_least, manifest->expect_ms);
    enum silence_turn turn = silence_look(&flow->silence, is_watched, clock_mono_ns() / 1000000);
    if (turn == SILENCE_BEGAN)
        say_silent(flow, manifest);
    else if (turn == SILENCE_ENDED)
        log_about(LOG_LEVEL_INFO, (struct log_about){.flow = flow->name}, "flow %s: is not silent any more",
                  flow->name);
}
