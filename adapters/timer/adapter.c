/* adapter.c - the clock as a source: an event each time a schedule says so
 *
 *      position (in the store) ──► the next moment after it ──► event ──► ack: all it caused is on disk
 *          ▲                                                               │
 *          └──────────────────────────── remembered ◄──────────────────────┘
 *
 * The moment is the event's id, so an event that was run, but not yet remembered when we died, comes again and is
 * known. One that was not run comes again and is run.  What was missed while nobody listened comes as one event, that
 * of the last moment, and says how late it is and how many it stands for.
 *
 * One event of a source is out at a time: the position never passes one that is not on disk. */
#include "core/adapter.h"
#include "adapters/timer/schedule.h"
#include "core/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 5000                /* the wall clock is asked at least so often: it may have been set */
#define AGAIN_MS 1000               /* after an event was put back */
#define BACK_MOST_MS (25 * 3600000) /* a clock that was set back further was wrong before */
#define EVERY_MAX 200
#define MEMORY_MAX 1000
#define BODY_MAX 1000

/* One source while it listens, and until its last event is answered. */
struct ticking {
    struct source *source; /* NULL: silenced */
    struct schedule *schedule;
    const char *every, *zone; /* lent by the settings */
    int64_t position_ms;      /* everything up to here is on disk */
    int64_t out_ms;           /* the moment whose event is not answered yet; 0: none */
    uv_timer_t timer;
    struct ticking *next; /* of the connection */
};

static const struct option options[] = {
    {.name = "zone",
     .kind = OPTION_TEXT,
     .fallback = "UTC",
     .least = 1,
     .most = 100,
     .help = "Time zone of its cron expressions, such as Europe/Berlin, unless a flow names another."},
    OPTION_END};

static const struct option source_options[] = {
    {.name = "every",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = EVERY_MAX,
     .help = "A duration (15m), or a cron expression: minute hour day month weekday (\"0 8 * * mon-fri\")."},
    {.name = "zone", .kind = OPTION_TEXT, .least = 1, .most = 100, .help = "Time zone; default: the connection's."},
    OPTION_END};

static const char *zone_of(const struct settings *connection, const struct settings *source)
{
    const char *said = settings_text(source, "zone");
    return said ? said : settings_text(connection, "zone");
}

static bool timer_check_source(const struct settings *connection, const struct settings *source, struct err *err)
{
    struct schedule *schedule = schedule_new(settings_text(source, "every"), zone_of(connection, source), err);
    schedule_free(schedule);
    return schedule != NULL;
}

/* ---- the position ------------------------------------------------------------------------------- */

static void on_remembered(struct source *source)
{
    (void)source;
}

/* The schedule stands beside it: of another one nothing was missed. */
static void remember(const struct ticking *ticking, struct source *source)
{
    struct buf memory = BUF_INIT(MEMORY_MAX);
    record_add_integer(&memory, "position_ms", ticking->position_ms);
    record_add_text(&memory, "every", slice_of(ticking->every));
    record_add_text(&memory, "zone", slice_of(ticking->zone));
    source_remember(source, buf_slice(&memory), on_remembered);
    buf_clear(&memory);
}

static void find_position(struct ticking *ticking)
{
    struct slice memory = ticking->source->memory;
    int64_t now_ms = clock_now_ms(), position_ms = record_get_integer(memory, "position_ms", 0);
    bool is_known = position_ms > 0 && slice_is(record_get(memory, "every"), ticking->every)
                    && slice_is(record_get(memory, "zone"), ticking->zone) && position_ms < now_ms + BACK_MOST_MS;
    ticking->position_ms = is_known ? position_ms : now_ms;
    if (!is_known)
        remember(ticking, ticking->source);
}

/* ---- events ---------------------------------------------------------------------------------------- */

static struct event *make_event(const struct ticking *ticking, int64_t moment_ms, int64_t missed)
{
    struct buf record = BUF_INIT(4 * BODY_MAX), body = BUF_INIT(BODY_MAX), properties = BUF_INIT(BODY_MAX);
    char moment[CLOCK_TEXT_MAX], local[SCHEDULE_LOCAL_MAX];
    buf_addf(&body, "{\"moment\":\"%s\",\"local\":\"%s\",\"missed\":%" PRId64 "}", clock_text(moment_ms, moment),
             schedule_local(ticking->schedule, moment_ms, local), missed);
    buf_add_text(&properties, "{\"every\":");
    buf_add_json(&properties, slice_of(ticking->every));
    buf_add_text(&properties, ",\"zone\":");
    buf_add_json(&properties, slice_of(ticking->zone));
    buf_add_text(&properties, "}");
    record_add_text(&record, "body", buf_slice(&body));
    record_add(&record, "properties", RECORD_JSON, buf_slice(&properties));
    record_add_integer(&record, "time_ms", moment_ms);
    record_add_integer(&record, "late_ms", clock_now_ms() - moment_ms);
    struct event *event = event_new(buf_slice(&record));
    event->epoch = (uint64_t)(uintptr_t)ticking;
    event->token = (uint64_t)moment_ms;
    buf_clear(&record);
    buf_clear(&body);
    buf_clear(&properties);
    return event;
}

static void on_timer(uv_timer_t *timer);

static void look_after(struct ticking *ticking, int64_t wait_ms)
{
    uv_update_time(ticking->timer.loop);
    uv_timer_start(&ticking->timer, on_timer, (uint64_t)(wait_ms < 1 ? 1 : wait_ms > LOOK_MS ? LOOK_MS : wait_ms), 0);
}

static void look(struct ticking *ticking)
{
    int64_t now_ms = clock_now_ms(), missed;
    if (!ticking->source || ticking->out_ms)
        return;
    int64_t next_ms = schedule_next(ticking->schedule, ticking->position_ms);
    if (next_ms > now_ms) {
        look_after(ticking, next_ms - now_ms);
        return;
    }
    ticking->out_ms = schedule_last(ticking->schedule, next_ms, now_ms, &missed);
    source_event(ticking->source, make_event(ticking, ticking->out_ms, missed));
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct ticking *ticking = handle->data;
    schedule_free(ticking->schedule);
    free(ticking);
}

/* Frees it where nobody needs it any more: it is silenced, and its event is answered. */
static void end_if_done(struct connection *connection, struct ticking *ticking)
{
    if (ticking->source || ticking->out_ms)
        return;
    struct ticking **at = (struct ticking **)&connection->state;
    while (*at != ticking)
        at = &(*at)->next;
    *at = ticking->next;
    uv_close((uv_handle_t *)&ticking->timer, on_closed);
}

static void timer_ack(struct connection *connection, struct event *event)
{
    struct ticking *ticking = (struct ticking *)(uintptr_t)event->epoch; /* kept until here */
    ticking->position_ms = (int64_t)event->token;
    ticking->out_ms = 0;
    remember(ticking, event->source);
    look(ticking);
    end_if_done(connection, ticking);
}

static void timer_put_back(struct connection *connection, struct event *event)
{
    struct ticking *ticking = (struct ticking *)(uintptr_t)event->epoch;
    ticking->out_ms = 0;
    if (ticking->source)
        look_after(ticking, AGAIN_MS);
    end_if_done(connection, ticking);
}

/* ---- the table -------------------------------------------------------------------------------------- */

static bool timer_open(struct connection *connection, struct err *err)
{
    struct zone *zone = zone_open(settings_text(connection->settings, "zone"), err);
    bool ok = zone != NULL;
    connection->state = NULL; /* the first of its ticking sources */
    zone_close(zone);
    if (ok)
        connection_says(connection, CONNECTION_UP, "the clock goes");
    return ok;
}

static void timer_close(struct connection *connection)
{
    for (struct ticking *ticking = connection->state, *next; ticking; ticking = next) {
        next = ticking->next;
        uv_close((uv_handle_t *)&ticking->timer, on_closed);
    }
    connection->state = NULL;
}

static bool timer_listen(struct source *source, struct err *err)
{
    struct connection *connection = source->connection;
    struct ticking *ticking = mem_zero(sizeof *ticking);
    ticking->source = source;
    ticking->every = settings_text(source->settings, "every");
    ticking->zone = zone_of(connection->settings, source->settings);
    ticking->schedule = schedule_new(ticking->every, ticking->zone, err);
    if (!ticking->schedule) {
        free(ticking);
        return false;
    }
    uv_timer_init(connection->loop, &ticking->timer);
    ticking->timer.data = ticking;
    ticking->next = connection->state;
    connection->state = ticking;
    source->state = ticking;
    find_position(ticking);
    source_says(source, SOURCE_LISTENING, "every %s (%s)", ticking->every, ticking->zone);
    look_after(ticking, 0);
    return true;
}

static void timer_silence(struct source *source)
{
    struct ticking *ticking = source->state;
    source->state = NULL;
    ticking->source = NULL;
    uv_timer_stop(&ticking->timer);
    end_if_done(source->connection, ticking);
}

static void timer_examine(struct connection *connection, struct source *source, struct examination *examination)
{
    const struct ticking *ticking = source ? source->state : NULL;
    char local[SCHEDULE_LOCAL_MAX];
    if (ticking) {
        int64_t next_ms = schedule_next(ticking->schedule, clock_now_ms());
        examination_finds(examination, true, "schedule", "every %s (%s): the next is at %s", ticking->every,
                          ticking->zone, schedule_local(ticking->schedule, next_ms, local));
    } else if (!source) {
        examination_finds(examination, true, "clock", "zone %s", settings_text(connection->settings, "zone"));
    }
    examination_ends(examination);
}

const struct adapter adapter_timer = {
    .name = "timer",
    .summary = "The clock: an event every 15m, or when a cron expression says so",
    .options = options,
    .source_options = source_options,
    .concurrency = 1,
    .open = timer_open,
    .close = timer_close,
    .check_source = timer_check_source,
    .listen = timer_listen,
    .silence = timer_silence,
    .ack = timer_ack,
    .put_back = timer_put_back,
    .examine = timer_examine,
};
