/* campaigns.c - what campaigns there are, how far they are, and who is suppressed
 *
 *      GET  /v1/campaigns?connection=&name=         all, or one with those who could not be written to
 *      POST /v1/campaigns/pause|resume|cancel?name=&connection=     {"why"}
 *      GET  /v1/suppressed?connection=&limit=       who is not written to any more
 *      POST /v1/suppressed/add|remove?recipient=&connection=        {"why"}
 */
#include "core/admin/internal.h"

#include "core/campaign/book.h"
#include "core/campaign/suppressed.h"

#include <stdlib.h>

/* ---- looking --------------------------------------------------------------------------------------- */

struct looking {
    struct engine *engine; /* lives as long as a picture of its store is open; the admin API may be closed meanwhile */
    struct request *request;
    struct picture *picture;
    char *connection, *name; /* owned; NULL: any */
    struct campaign_books books;
    uv_work_t work;
};

static json_t *book_json(struct engine *engine, const struct campaign_book *book)
{
    struct connection *connection = engine_connection(engine, book->connection);
    double rate = connection ? lane_feed_rate(connection->lane, book->name) : 0;
    json_t *json = json_pack(
        "{s:o, s:s, s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:I}", "campaign",
        json_of(slice_of(book->name)), "connection", book->connection, "flow", json_of(slice_of(book->flow)), "state",
        book->state, "who", json_of(slice_of(book->who)), "why", json_of(slice_of(book->why)), "at",
        (json_int_t)book->at_ms, "since", (json_int_t)book->since_ms, "not_fed", (json_int_t)book->not_fed, "waiting",
        (json_int_t)book->waiting, "held", (json_int_t)book->held, "unknown", (json_int_t)book->unknown, "rate", rate,
        "is_here", connection != NULL, "difference", (json_int_t)book->difference);
    for (int i = 0; i < CAMPAIGN_COUNTERS; i++)
        if (i != CAMPAIGN_OUTBOX)
            json_object_set_new(json, campaign_counter_names[i], json_integer(book->counted[i]));
    return json;
}

static json_t *unfit_json(const struct campaign_books *books)
{
    json_t *list = json_array();
    struct field field;
    for (size_t at = 0; record_next(buf_slice(&books->unfit), &at, &field);)
        json_array_append_new(list,
                              json_pack("{s:o, s:o}", "recipient", json_of(field.name), "why", json_of(field.value)));
    return list;
}

static void count(uv_work_t *work)
{
    struct looking *looking = work->data;
    campaign_books_read(looking->picture, looking->connection, looking->name, &looking->books);
}

static void on_counted(uv_work_t *work, int status)
{
    struct looking *looking = work->data;
    json_t *list = json_array();
    (void)status;
    for (size_t i = 0; i < looking->books.count; i++)
        json_array_append_new(list, book_json(looking->engine, &looking->books.list[i]));
    reply_json(looking->request, 200, json_pack("{s:o, s:o}", "campaigns", list, "unfit", unfit_json(&looking->books)));
    picture_close(looking->picture);
    campaign_books_clear(&looking->books);
    free(looking->connection);
    free(looking->name);
    free(looking);
}

static void answer_campaigns(struct admin *admin, struct request *request)
{
    struct err err = ERR_INIT;
    struct picture *picture = picture_open(engine_store(admin->engine), &err);
    if (!picture) {
        reply_error(request, 500, "%s", err.text);
        return;
    }
    struct looking *looking = mem_zero(sizeof *looking);
    *looking = (struct looking){.engine = admin->engine,
                                .request = request,
                                .picture = picture,
                                .connection = mem_text(request_query(request, "connection")),
                                .name = mem_text(request_query(request, "name"))};
    looking->work.data = looking;
    uv_queue_work(engine_loop(admin->engine), &looking->work, count, on_counted);
}

/* ---- the suppressed ------------------------------------------------------------------------------------ */

struct listing {
    json_t *list;
    const char *connection; /* NULL: any */
    size_t most, total;
};

static bool add_suppressed(void *context, struct slice key, struct slice row)
{
    struct listing *listing = context;
    size_t skip = strlen(key.data) + 1;
    if (listing->connection && strcmp(key.data, listing->connection) != 0)
        return true;
    if (++listing->total > listing->most)
        return true;
    struct slice recipient = {key.data + skip, key.size - skip};
    json_array_append_new(listing->list,
                          json_pack("{s:s, s:o, s:I, s:o, s:o, s:o}", "connection", key.data, "recipient",
                                    json_of(recipient), "at", (json_int_t)record_get_integer(row, "at", 0), "who",
                                    json_of_field(row, "who"), "why", json_of_field(row, "why"), "effect_id",
                                    json_of_field(row, "effect")));
    return true;
}

static void answer_suppressed(struct admin *admin, struct request *request)
{
    const char *limit = request_query(request, "limit");
    struct listing listing = {json_array(), request_query(request, "connection"),
                              limit ? strtoul(limit, NULL, 10) : 100, 0};
    store_scan(engine_store(admin->engine), TABLE_SUPPRESSED, SLICE_NONE, SLICE_NONE, add_suppressed, &listing);
    reply_json(request, 200, json_pack("{s:I, s:o}", "total", (json_int_t)listing.total, "suppressed", listing.list));
}

/* ---- changing -------------------------------------------------------------------------------------------- */

static void change_campaign(struct admin *admin, struct request *request, enum campaign_state state)
{
    const char *name = request_query(request, "name"), *connection = request_query(request, "connection");
    if (!name || !connection || strlen(name) > CAMPAIGN_NAME_MAX || strlen(connection) > NAME_MAX_BYTES) {
        reply_error(request, 400, "which campaign of which connection? ?name=...&connection=...");
        return;
    }
    char *why = take_why(request);
    if (!why)
        return;
    char *who = take_who(request);
    struct author author = {who, why};
    engine_set_campaign(admin->engine, connection, name, state, &author, reply_done, request);
    free(who);
    free(why);
}

static void change_suppressed(struct admin *admin, struct request *request, bool is_suppressed)
{
    const char *recipient = request_query(request, "recipient"), *connection = request_query(request, "connection");
    if (!recipient || !connection) {
        reply_error(request, 400, "whom, on which connection? ?recipient=...&connection=...");
        return;
    }
    char *why = take_why(request);
    if (!why)
        return;
    char *who = take_who(request);
    struct author author = {who, why};
    engine_suppress(admin->engine, connection, recipient, is_suppressed, &author, reply_done, request);
    free(who);
    free(why);
}

bool route_campaigns(struct admin *admin, struct request *request)
{
    const char *path = request_path(request);
    bool is_post = strcmp(request_method(request), "POST") == 0;
    if (!is_post && strcmp(path, "/v1/campaigns") == 0)
        answer_campaigns(admin, request);
    else if (!is_post && strcmp(path, "/v1/suppressed") == 0)
        answer_suppressed(admin, request);
    else if (is_post && strcmp(path, "/v1/campaigns/pause") == 0)
        change_campaign(admin, request, CAMPAIGN_PAUSED);
    else if (is_post && strcmp(path, "/v1/campaigns/resume") == 0)
        change_campaign(admin, request, CAMPAIGN_RUNNING);
    else if (is_post && strcmp(path, "/v1/campaigns/cancel") == 0)
        change_campaign(admin, request, CAMPAIGN_CANCELLED);
    else if (is_post && strcmp(path, "/v1/suppressed/add") == 0)
        change_suppressed(admin, request, true);
    else if (is_post && strcmp(path, "/v1/suppressed/remove") == 0)
        change_suppressed(admin, request, false);
    else
        return false;
    return true;
}
