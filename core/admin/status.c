/* status.c - GET /v1/status: what is going on, and whether the books balance
 *
 * The books are counted from a picture of the store on a worker thread; what only the loop thread knows is added when
 * they are back. */
#include "core/admin/internal.h"

#include "core/base/clock.h"
#include "core/engine/books.h"

#include <stdlib.h>

struct looking {
    struct engine *engine; /* lives as long as a picture of its store is open; the admin API may be closed meanwhile */
    struct request *request;
    struct picture *picture;
    struct books books;
    uv_work_t work;
};

static json_t *trip_json(const struct flow_view *view)
{
    return view->trip ? json_pack("{s:I, s:o}", "at", (json_int_t)view->trip->at_ms, "reason",
                                  json_of(slice_of(view->trip->reason)))
                      : json_null();
}

static json_t *flow_json(struct flow *flow, const struct books *books)
{
    struct flow_view view;
    static const struct flow_book none;
    flow_look(flow, &view);
    const struct flow_book *book = books_flow(books, view.name);
    if (!book)
        book = &none;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:b, s:I, s:b, s:b, s:f, s:i, s:I, s:I, s:{s:I, s:I, s:I}, "
        "s:I, s:I, s:I, s:I}",
        "flow", view.name, "title", view.title, "owner", view.owner, "gate",
        view.trip    ? "tripped"
        : view.is_on ? "on"
                     : "off",
        "tripped", trip_json(&view), "when_off", view.drops_when_off ? "drop" : "hold", "release", view.release,
        "source", json_of(slice_of(view.source_state)), "is_silent", view.is_silent, "last_event_at",
        (json_int_t)view.last_event_ms, "is_listening", view.is_listening, "is_refused", view.is_refused, "rate",
        view.rate, "under_way", (int)view.under_way, "received", (json_int_t)book->received, "finished",
        (json_int_t)book->finished, "skipped", "repeat", (json_int_t)book->repeat, "dropped", (json_int_t)book->dropped,
        "discarded", (json_int_t)book->discarded, "expired", (json_int_t)book->expired, "waiting",
        (json_int_t)book->waiting, "held", (json_int_t)book->held, "difference", (json_int_t)book->difference);
}

static json_t *with_timers(json_t *json, struct flow *flow)
{
    struct flow_view view;
    flow_look(flow, &view);
    json_object_set_new(json, "timers", json_integer((json_int_t)view.timers));
    if (view.next_timer_ms)
        json_object_set_new(json, "next_timer_in_ms", json_integer(view.next_timer_ms - clock_now_ms()));
    return json;
}

static json_t *lane_json(struct connection *connection, const struct books *books)
{
    struct lane_view view;
    static const struct lane_book none;
    int64_t now_ms = clock_now_ms();
    lane_look(connection->lane, &view);
    const struct lane_book *book = books_lane(books, view.connection);
    if (!book)
        book = &none;
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connection",
                     view.connection, "adapter", view.adapter, "state", view.state, "text",
                     json_of(slice_of(view.text)), "breaker", breaker_names[view.breaker], "resumes_in_ms",
                     (json_int_t)(view.until_ms ? view.until_ms - now_ms : 0), "under_way", (int)view.under_way,
                     "parked", (json_int_t)view.parked, "oldest_ms",
                     (json_int_t)(view.oldest_ms ? now_ms - view.oldest_ms : 0), "asked", (json_int_t)book->asked,
                     "delivered", (json_int_t)book->delivered, "refused", (json_int_t)book->refused, "superseded",
                     (json_int_t)book->superseded, "waiting", (json_int_t)book->waiting, "held", (json_int_t)book->held,
                     "difference", (json_int_t)book->difference);
}

static json_t *store_json(struct engine *engine)
{
    static const char *const states[] = {"ok", "high", "full"};
    return json_pack("{s:s, s:I, s:I, s:I}", "state", states[store_get_state(engine_store(engine))], "outage_left_ms",
                     (json_int_t)engine_outage_ms(engine), "used_bytes",
                     (json_int_t)store_used_bytes(engine_store(engine)), "limit_bytes",
                     (json_int_t)engine_config(engine)->store_limit);
}

static void add_silent(struct engine *engine, struct buf *lines)
{
    struct flow *flow;
    for (size_t i = 0; (flow = engine_flow_at(engine, i)); i++) {
        struct flow_view view;
        char window[SETTINGS_PRINT_MAX], last[CLOCK_TEXT_MAX];
        flow_look(flow, &view);
        if (view.is_silent)
            buf_addf(lines, "flow %s is silent: it expects at least %lld in %s; %s%s\n", view.name,
                     (long long)view.expect_least, settings_print(OPTION_DURATION, view.expect_ms, window),
                     view.last_event_ms ? "the last event came at " : "no event ever came",
                     view.last_event_ms ? clock_text(view.last_event_ms, last) : "");
    }
}

static json_t *reload_json(const struct reloaded *reloaded)
{
    if (!reloaded->at_ms)
        return json_null();
    return json_pack("{s:I, s:b, s:o}", "at", (json_int_t)reloaded->at_ms, "ok", reloaded->is_ok, "text",
                     json_of(slice_of(reloaded->text)));
}

/* What a person should know beside the tables: one text each. */
static json_t *notes_json(struct engine *engine, const struct books *books)
{
    struct buf lines = BUF_INIT(65536);
    json_t *list = json_array();
    add_silent(engine, &lines);
    engine_orphans(engine, books, &lines);
    engine_differences(engine, &lines);
    for (char *line = lines.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
        json_array_append_new(list, json_of((struct slice){line, (size_t)(end - line)}));
    buf_clear(&lines);
    return list;
}

static void answer(struct looking *looking)
{
    struct engine *engine = looking->engine;
    json_t *flows = json_array(), *lanes = json_array();
    struct flow *flow;
    struct connection *connection;
    for (size_t i = 0; (flow = engine_flow_at(engine, i)); i++)
        json_array_append_new(flows, with_timers(flow_json(flow, &looking->books), flow));
    for (size_t i = 0; (connection = engine_connection_at(engine, i)); i++)
        json_array_append_new(lanes, lane_json(connection, &looking->books));
    reply_json(looking->request, 200,
               json_pack("{s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:o}", "environment", engine_config(engine)->environment,
                         "ready", engine_is_ready(engine), "up_ms",
                         (json_int_t)(clock_now_ms() - engine_started_ms(engine)), "store", store_json(engine),
                         "reload", reload_json(engine_reloaded(engine)), "flows", flows, "lanes", lanes, "notes",
                         notes_json(engine, &looking->books)));
}

static void count(uv_work_t *work)
{
    struct looking *looking = work->data;
    books_read(looking->picture, &looking->books);
}

static void on_counted(uv_work_t *work, int status)
{
    struct looking *looking = work->data;
    (void)status;
    answer(looking);
    picture_close(looking->picture);
    books_clear(&looking->books);
    free(looking);
}

void answer_status(struct admin *admin, struct request *request)
{
    struct err err = ERR_INIT;
    struct picture *picture = picture_open(engine_store(admin->engine), &err);
    if (!picture) {
        reply_error(request, 500, "%s", err.text);
        return;
    }
    struct looking *looking = mem_zero(sizeof *looking);
    looking->engine = admin->engine;
    looking->request = request;
    looking->picture = picture;
    looking->work.data = looking;
    uv_queue_work(engine_loop(admin->engine), &looking->work, count, on_counted);
}
