/* verdict.c - what the adapter says: of a delivery (done, later, never, unknown), and of the connection
 *
 *      done       delivered
 *      later      postponed: by the time that the far side named, or by core's own backoff
 *      never      held with the reason
 *      unknown    idempotent, or the flow (else the connection) says `when_unknown: retry`: as later
 *                 else: held, with what is known
 *
 * What becomes of it on disk is in settle.c. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/utf8.h"
#include "core/lane/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a far side said is shown on terminals and in logs: no control characters, no half characters, not too long. */
static void clean(char *text)
{
    struct slice cut = utf8_cut(slice_of(text), TEXT_MAX - 1);
    text[cut.size] = '\0';
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

/* ---- answers of the adapter -------------------------------------------------------------------------------- */

#define DATA_MOST ((size_t)64 << 10) /* bytes of what an adapter gives along with `done` */

#define FORMAT_TEXT(text)                                                                                              \
    char text[2 * TEXT_MAX];                                                                                           \
    va_list args;                                                                                                      \
    va_start(args, format);                                                                                            \
    vsnprintf(text, sizeof text, format, args);                                                                        \
    va_end(args);                                                                                                      \
    clean(text)

/* An answer that comes twice would count one effect twice: it is a bug of the adapter and ends the process. */
static struct work *answered(struct delivery *delivery)
{
    struct work *work = work_of(delivery);
    if (!work->is_given) {
        log_error("lane %s: the adapter answered effect %s twice", work->lane->connection->name, work->id);
        abort();
    }
    work->is_given = false;
    if (work->delivery.verb->is_idempotent)
        work_answered(work);
    return work;
}

void delivery_done(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    work->lane->stats.results[STATS_DONE]++;
    pace_note_success(work);
    work_delivered(work, SLICE_NONE, text);
}

void delivery_done_with(struct delivery *delivery, struct slice json, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    work->lane->stats.results[STATS_DONE]++;
    pace_note_success(work);
    work_delivered(work, json.size <= DATA_MOST ? json : SLICE_NONE, text);
}

void delivery_later(struct delivery *delivery, int64_t wait_ms, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    work->lane->stats.results[STATS_LATER]++;
    if (wait_ms)
        pace_note_success(work); /* the far side answered, and wants this one later: it is no sign of an outage */
    else
        pace_note_failure(work, text);
    work_postpone(work, wait_ms, text);
}

void delivery_never(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    work->lane->stats.results[STATS_NEVER]++;
    pace_note_success(work); /* the far side answered: it is this effect that it does not want */
    work_hold(work, "never", text, NULL);
}

void delivery_never_again(struct delivery *delivery, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct work *work = answered(delivery);
    work->lane->stats.results[STATS_NEVER]++;
    pace_note_success(work);
    work_bounce(work, text);
}

void delivery_unknown(struct delivery *delivery, const struct delivery_known *known, const char *format, ...)
{
    FORMAT_TEXT(text);
    static const struct delivery_known nothing;
    struct work *work = answered(delivery);
    work->lane->stats.results[STATS_UNKNOWN]++;
    if (work_may_repeat(work)) {
        pace_note_failure(work, text);
        work_postpone(work, 0, text);
    } else {
        work_hold(work, "unknown", text, known ? known : &nothing);
    }
}

void connection_says(struct connection *connection, enum connection_state state, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct lane *lane = connection->lane;
    if (!lane)
        return; /* a connection that is only looked at: `headgate check` */
    bool is_new = lane->state != state;
    lane->state = state;
    snprintf(lane->text, sizeof lane->text, "%.199s", text);
    bool is_down = state == CONNECTION_DOWN;
    if (is_new)
        log_about(is_down ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, (struct log_about){.connection = connection->name},
                  "connection %s: %s%s", connection->name, is_down ? "down: " : "", text);
}

void connection_pause(struct connection *connection, int64_t pause_ms, const char *format, ...)
{
    FORMAT_TEXT(text);
    struct lane *lane = connection->lane;
    int64_t until_ms = clock_wait_ms() + pause_ms;
    if (lane->pace.paused_until_ms <= clock_wait_ms())
        log_warning("connection %s: pauses for %lld s: %s", connection->name, (long long)(pause_ms + 999) / 1000, text);
    if (until_ms > lane->pace.paused_until_ms)
        lane->pace.paused_until_ms = until_ms;
    snprintf(lane->text, sizeof lane->text, "%.199s", text);
    lane->is_woken = true;
}
