/* metrics.c - GET /metrics: the numbers, for Prometheus and what understands its text
 *
 *      request ─► the books of some seconds ago are fresh enough ──────────────────► answer
 *              └► else: wait ─► one count from a picture, on a worker thread ─► answer all that wait
 *
 * The books are the dear part: they are counted row by row.  However many ask however often, they are counted every few
 * seconds at most.  The count may outlive the admin API, which closes while the daemon drains. */
#include "core/admin/internal.h"

#include "core/admin/metrics.h"
#include "core/base/clock.h"
#include "core/engine/books.h"

#include <stdlib.h>

#define FRESH_MS 5000
#define ASKERS_MOST 64 /* that wait for one count */

struct metrics {
    struct engine *engine;
    bool is_closed;     /* the admin API is gone: freed when the count under way is over */
    bool has_counted;   /* `books` hold something */
    int64_t counted_ms; /* when; of the clock that never goes back */
    struct books books;
    struct books counting;   /* of the count under way */
    struct picture *picture; /* of the count under way; NULL: there is none */
    uv_work_t work;
    struct request *askers[ASKERS_MOST];
    size_t asker_count;
};

static void answer(struct metrics *metrics, struct request *request)
{
    const char *accept = request_header(request, "Accept");
    struct exposition out = EXPOSITION_INIT(accept && strstr(accept, "application/openmetrics-text") != NULL);
    metrics_of_node(&out, metrics->engine);
    metrics_of_process(&out);
    metrics_of_flows(&out, metrics->engine, &metrics->books);
    metrics_of_lanes(&out, metrics->engine, &metrics->books);
    exposition_end(&out);
    request_reply(request, 200, exposition_content_type(&out), buf_slice(&out.text));
    buf_clear(&out.text);
}

static void count(uv_work_t *work)
{
    struct metrics *metrics = work->data;
    books_read(metrics->picture, &metrics->counting);
}

static void metrics_free(struct metrics *metrics)
{
    books_clear(&metrics->books);
    free(metrics);
}

/* The picture is closed last: as long as it is open, the engine lives. */
static void on_counted(uv_work_t *work, int status)
{
    struct metrics *metrics = work->data;
    struct picture *picture = metrics->picture;
    (void)status;
    books_clear(&metrics->books);
    metrics->books = metrics->counting;
    metrics->picture = NULL;
    metrics->has_counted = true;
    metrics->counted_ms = clock_mono_ns() / 1000000;
    for (size_t i = 0; i < metrics->asker_count; i++)
        answer(metrics, metrics->askers[i]);
    metrics->asker_count = 0;
    if (metrics->is_closed)
        metrics_free(metrics);
    picture_close(picture);
}

static bool start_count(struct metrics *metrics, struct err *err)
{
    if (metrics->picture)
        return true;
    metrics->picture = picture_open(engine_store(metrics->engine), err);
    if (!metrics->picture)
        return false;
    metrics->work.data = metrics;
    uv_queue_work(engine_loop(metrics->engine), &metrics->work, count, on_counted);
    return true;
}

void answer_metrics(struct metrics *metrics, struct request *request)
{
    struct err err = ERR_INIT;
    bool is_fresh = metrics->has_counted && clock_mono_ns() / 1000000 - metrics->counted_ms < FRESH_MS;
    if (is_fresh)
        answer(metrics, request);
    else if (metrics->asker_count == ASKERS_MOST)
        reply_error(request, 503, "%d others wait for the same already", ASKERS_MOST);
    else if (!start_count(metrics, &err))
        reply_error(request, 500, "%s", err.text);
    else
        metrics->askers[metrics->asker_count++] = request;
}

struct metrics *metrics_open(struct engine *engine)
{
    struct metrics *metrics = mem_zero(sizeof *metrics);
    metrics->engine = engine;
    return metrics;
}

void metrics_close(struct metrics *metrics)
{
    metrics->is_closed = true;
    if (!metrics->picture)
        metrics_free(metrics);
}
