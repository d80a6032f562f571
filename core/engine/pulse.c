/* pulse.c - what the engine looks at every second: is a flow silent, how fast does the store fill? */
#include "core/base/clock.h"
#include "core/engine/internal.h"

#define PULSE_MS 1000
#define HIGH_WATER_PERCENT 90 /* of the limit: there the store pauses the sources */

static void on_pulse(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    int64_t asked_bytes = 0;
    for (size_t i = 0; i < engine->flow_count; i++)
        flow_look_for_silence(engine->flows[i]);
    for (size_t i = 0; i < engine->connection_count; i++)
        asked_bytes += lane_stats(engine->connections[i]->lane)->asked_bytes;
    forecast_note(&engine->forecast, clock_mono_ns() / 1000000, store_used_bytes(engine->store), asked_bytes);
}

void pulse_open(struct engine *engine)
{
    uv_timer_init(engine->loop, &engine->pulse);
    engine->pulse.data = engine;
}

void pulse_start(struct engine *engine)
{
    uv_timer_start(&engine->pulse, on_pulse, 0, PULSE_MS);
}

void pulse_close(struct engine *engine)
{
    uv_timer_stop(&engine->pulse);
    uv_close((uv_handle_t *)&engine->pulse, NULL);
}

int64_t engine_outage_ms(const struct engine *engine)
{
    return forecast_left_ms(&engine->forecast, engine->config->store_limit / 100 * HIGH_WATER_PERCENT);
}
