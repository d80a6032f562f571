/* sandbox_inspect.c - looking into the simulated OpsGenie, and making things go wrong in it
 *
 *     GET    /                              what this is and what can be asked
 *     GET    /sandbox/opsgenie/summary      counts: alerts, writes, repeats
 *     GET    /sandbox/opsgenie/alerts       with all state, in order of creation; ?query= ?limit=N (the latest N)
 *     GET    /sandbox/opsgenie/requests     every request of the API, in order; ?after=NUMBER ?limit=N ?method=
 *     POST   /sandbox/opsgenie/faults       something goes wrong from now on (sandbox_fault.c)
 *     GET, DELETE /sandbox/opsgenie/faults  which are still to come; none any more
 *     POST   /sandbox/opsgenie/webhooks     somebody is told what happens to alerts (sandbox_hooks.c)
 *     GET, DELETE /sandbox/opsgenie/webhooks  who is, and how often it was sent; nobody any more
 *     POST   /sandbox/opsgenie/reset        forgets alerts, requests, counts and faults
 *
 * No key is asked for: it listens on loopback only. */
#include "adapters/opsgenie/sandbox.h"

#include <inttypes.h>
#include <stdlib.h>

#define REPLY_MAX ((size_t)60 << 20)
#define ROOT "/sandbox/opsgenie/"

static void answer_error(struct request *request, int status, const char *text)
{
    struct buf body = BUF_INIT(8192);
    buf_add_text(&body, "{\"error\":");
    buf_add_json(&body, slice_of(text));
    buf_add_text(&body, "}\n");
    request_reply(request, status, "application/json", buf_slice(&body));
    buf_clear(&body);
}

static void answer(struct request *request, const char *type, struct buf *body)
{
    if (body->is_over)
        answer_error(request, 507, "the answer is too large: ask with a limit");
    else
        request_reply(request, 200, type, buf_slice(body));
    buf_clear(body);
}

static uint64_t query_number(const struct request *request, const char *name, uint64_t fallback)
{
    const char *text = request_query(request, name);
    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static void add_summary(const struct sandbox_account *account, struct buf *out)
{
    buf_add_char(out, '{');
    sandbox_alerts_summary(account->alerts, out);
    buf_add_char(out, ',');
    sandbox_work_summary(account->works, out);
    buf_add_char(out, ',');
    sandbox_seen_summary(account->seens, out);
    buf_addf(out, ",\"throttled\":%" PRIu64 ",\"faults_used\":%" PRIu64 "}\n", account->throttled,
             account->faults.used);
}

static void show_page(struct sandbox_account *account, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    buf_add_text(&out,
                 "Headgate sandbox: OpsGenie's API below /v2/, its successors' below /jsm/ops/integration/v2/ and\n"
                 "/jsm/ops/api/" SANDBOX_CLOUD "/v1/.  Nobody is paged.\n\n"
                 "GET    /sandbox/opsgenie/summary    counts\n"
                 "GET    /sandbox/opsgenie/alerts     all alerts in order of creation; ?query=status:open ?limit=N\n"
                 "GET    /sandbox/opsgenie/requests   every request, in order; ?after=NUMBER ?limit=N ?method=POST\n"
                 "POST   /sandbox/opsgenie/faults     make something go wrong:\n"
                 "         {\"match\": {\"method\": \"POST\", \"path_prefix\": \"/v2/alerts\"}, \"times\": 1,\n"
                 "          \"status\": 503, \"body\": \"...\", \"content_type\": \"text/html\", \"headers\": {},\n"
                 "          \"delay_ms\": 0, \"cut\": \"before|after\", \"drop\": false, \"accept\": false}\n"
                 "GET    /sandbox/opsgenie/faults     which are still to come\n"
                 "DELETE /sandbox/opsgenie/faults     none any more\n"
                 "POST   /sandbox/opsgenie/webhooks   tell somebody what happens to alerts:\n"
                 "         {\"url\": \"http://127.0.0.1:8281/hooks/alerts/FLOW\", \"headers\": {}, \"repeat\": 0,\n"
                 "          \"reverse\": false, \"lose\": 0, \"retries\": 0, \"style\": \"ns|ms\"}\n"
                 "GET    /sandbox/opsgenie/webhooks   who is told, and how often\n"
                 "DELETE /sandbox/opsgenie/webhooks   nobody any more\n"
                 "POST   /sandbox/opsgenie/reset      forget everything\n\nNow: ");
    add_summary(account, &out);
    answer(request, "text/plain; charset=utf-8", &out);
}

static void show_summary(struct sandbox_account *account, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    add_summary(account, &out);
    answer(request, "application/json", &out);
}

static int add_bytes(const char *bytes, size_t size, void *out)
{
    return buf_add(out, bytes, size) ? 0 : -1;
}

/* The latest `limit` of those that fit; two walks, so that nothing has to be kept in between. */
static void add_alerts(const struct sandbox_account *account, const struct sandbox_query *query, uint64_t limit,
                       struct buf *out)
{
    const struct sandbox_alert *alert;
    uint64_t number = 0, fitting = 0, skip;
    while ((alert = sandbox_alerts_next(account->alerts, &number)))
        fitting += sandbox_query_fits(query, alert);
    skip = fitting > limit ? fitting - limit : 0;
    const char *between = "[";
    for (number = 0; !out->is_over && (alert = sandbox_alerts_next(account->alerts, &number));) {
        if (!sandbox_query_fits(query, alert) || (skip > 0 && skip--))
            continue;
        json_t *shown = sandbox_alerts_show(alert, true);
        buf_add_text(out, between);
        json_dump_callback(shown, add_bytes, out, JSON_COMPACT);
        json_decref(shown);
        between = ",\n";
    }
    buf_add_text(out, *between == '[' ? "[]\n" : "]\n");
}

static void show_alerts(struct sandbox_account *account, struct request *request)
{
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT(REPLY_MAX);
    struct sandbox_query *query = sandbox_query_new(request_query(request, "query"), &err);
    if (!query) {
        answer_error(request, 422, err.text);
        return;
    }
    add_alerts(account, query, query_number(request, "limit", UINT64_MAX), &out);
    sandbox_query_free(query);
    answer(request, "application/json", &out);
}

static void show_requests(struct sandbox_account *account, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_seen_list(account->seens, query_number(request, "after", 0), query_number(request, "limit", SIZE_MAX),
                      request_query(request, "method"), &out);
    answer(request, "application/json", &out);
}

static void show_faults(struct sandbox_account *account, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_fault_list(&account->faults, &out);
    answer(request, "application/json", &out);
}

static void show_hooks(struct sandbox_account *account, struct request *request)
{
    struct buf out = BUF_INIT(REPLY_MAX);
    sandbox_hooks_list(account->hooks, &out);
    answer(request, "application/json", &out);
}

static bool add_wish(struct sandbox_account *account, struct request *request, bool is_fault)
{
    struct err err = ERR_INIT;
    struct slice body = request_body(request);
    json_error_t wrong;
    json_t *wish = json_loadb(body.size ? body.data : "", body.size, 0, &wrong);
    bool ok =
        wish
        && (is_fault ? sandbox_fault_add(&account->faults, wish, &err) : sandbox_hooks_add(account->hooks, wish, &err));
    if (!ok)
        answer_error(request, wish ? 422 : 400, wish ? err.text : wrong.text);
    json_decref(wish);
    return ok;
}

static void add_fault(struct sandbox_account *account, struct request *request)
{
    if (add_wish(account, request, true))
        show_faults(account, request);
}

static void add_hook(struct sandbox_account *account, struct request *request)
{
    if (add_wish(account, request, false))
        show_hooks(account, request);
}

static void clear_hooks(struct sandbox_account *account, struct request *request)
{
    sandbox_hooks_clear(account->hooks);
    show_hooks(account, request);
}

static void clear_faults(struct sandbox_account *account, struct request *request)
{
    sandbox_fault_clear(&account->faults);
    show_faults(account, request);
}

static void reset(struct sandbox_account *account, struct request *request)
{
    sandbox_work_reset(account->works);
    sandbox_alerts_reset(account->alerts);
    sandbox_seen_reset(account->seens);
    sandbox_beats_reset(&account->beats);
    sandbox_fault_clear(&account->faults);
    memset(account->buckets, 0, sizeof account->buckets);
    account->throttled = account->faults.used = 0;
    show_summary(account, request);
}

static const struct inspection {
    const char *method, *path;
    void (*run)(struct sandbox_account *account, struct request *request);
} inspections[] = {
    {"GET", "/", show_page},
    {"GET", ROOT "summary", show_summary},
    {"GET", ROOT "alerts", show_alerts},
    {"GET", ROOT "requests", show_requests},
    {"GET", ROOT "faults", show_faults},
    {"POST", ROOT "faults", add_fault},
    {"DELETE", ROOT "faults", clear_faults},
    {"GET", ROOT "webhooks", show_hooks},
    {"POST", ROOT "webhooks", add_hook},
    {"DELETE", ROOT "webhooks", clear_hooks},
    {"POST", ROOT "reset", reset},
};

bool sandbox_inspect(struct sandbox_account *account, struct request *request)
{
    const char *method = request_method(request), *path = request_path(request);
    for (size_t i = 0; i < sizeof inspections / sizeof *inspections; i++) {
        if (strcmp(path, inspections[i].path) == 0 && strcmp(method, inspections[i].method) == 0) {
            inspections[i].run(account, request);
            return true;
        }
    }
    if (strncmp(path, ROOT, strlen(ROOT)) != 0)
        return false;
    answer_error(request, 404, "nothing here; GET / says what can be asked");
    return true;
}
