/* view.c - a lane, for people */
#include "core/base/clock.h"
#include "core/lane/internal.h"

#include <stdio.h>

const char *const breaker_names[] = {"closed", "open", "probing"};

static void look_at_pace(struct lane *lane, struct lane_view *view, int64_t now_ms)
{
    struct pace *pace = &lane->pace;
    view->breaker = pace_breaker(lane, now_ms);
    view->breaker_until_ms = view->breaker == BREAKER_OPEN ? clock_moment_of(pace->rest_until_ms) : 0;
    view->failures = pace->failures;
    view->calls_most = pace_most_calls(lane);
    view->rate_count = pace->rate_count;
    for (size_t i = 0; i < pace->rate_count; i++) {
        struct rate_view *rate = &view->rates[i];
        rate_limit_text(&pace->rates[i].limit, rate->text);
        rate->most = pace->rates[i].limit.most;
        rate->used = rate_used(&pace->rates[i], now_ms);
        int64_t free_ms = rate_free_ms(&pace->rates[i], now_ms);
        rate->free_ms = free_ms ? clock_moment_of(free_ms) : 0;
    }
    if (pace->far_reset_ms > now_ms) {
        view->far_left = pace->far_left > 0 ? pace->far_left : 0;
        view->far_reset_ms = clock_moment_of(pace->far_reset_ms);
    }
}

static void look_at_backlogs(const struct lane *lane, struct lane_view *view)
{
    for (int i = 0; i < PRIORITIES; i++) {
        const struct backlog *backlog = &lane->backlogs[i];
        const struct entry *oldest = window_oldest(&backlog->window);
        view->waiting_of[i] = backlog->waiting;
        view->waiting += backlog->waiting;
        view->parked += backlog->parked;
        view->retrying += backlog->window.delayed_count;
        if (oldest && (!view->oldest_ms || oldest->asked_ms < view->oldest_ms))
            view->oldest_ms = oldest->asked_ms;
    }
}

const struct stats *lane_stats(const struct lane *lane)
{
    return &lane->stats;
}

void lane_look(struct lane *lane, struct lane_view *view)
{
    int64_t now_ms = clock_wait_ms();
    static const char *const states[] = {"idle", "up", "down"};
    const char *state = states[lane->state];
    *view = (struct lane_view){.connection = lane->connection->name,
                               .adapter = lane->connection->adapter->name,
                               .under_way = lane->under_way,
                               .calls = lane->calls,
                               .delivered = lane->delivered,
                               .later = lane->later,
                               .options = &lane->options};
    look_at_pace(lane, view, now_ms);
    look_at_backlogs(lane, view);
    if (lane->is_refused)
        state = "refused";
    else if (lane->is_suspended)
        state = "reopening";
    else if (lane->pace.paused_until_ms > now_ms)
        state = "paused", view->until_ms = clock_moment_of(lane->pace.paused_until_ms);
    else if (view->breaker == BREAKER_OPEN)
        state = "resting", view->until_ms = view->breaker_until_ms;
    snprintf(view->state, sizeof view->state, "%s", state);
    snprintf(view->text, sizeof view->text, "%s", lane->text);
}
