/* sandbox_api.c - the APIs of the simulated OpsGenie: keys, limits, routes
 *
 *     /v2/                             OpsGenie's own
 *     /jsm/ops/integration/v2/         of Jira Service Management: the same, but only four verbs
 *     /jsm/ops/api/CLOUD/v1/           likewise, nearly everything, in shapes of its own (sandbox_ops.c)
 *
 * All three have the same alerts behind them.  A call passes, in this order: the key (401), the route (404, 405), the
 * rate limit (429), what an account key may do (403); then sandbox_read.c or sandbox_write.c answers it. */
#include "adapters/opsgenie/sandbox_api.h"

#include "core/base/clock.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SEGMENTS_MAX 6 /* of a path, and a few too many to see that it is too long */

/* ---- key and limits -------------------------------------------------------------------------------- */

/* The key in "GenieKey <key>", or as password in Basic (RFC 7617): with an empty user for OpsGenie, with a person's
 * name for jsm-ops, which takes nothing else. */
static bool take_key(const char *header, enum sandbox_dialect dialect, char *key, size_t room)
{
    key[0] = '\0';
    bool is_ops = dialect == SANDBOX_OPS;
    if (header && !is_ops && strncmp(header, "GenieKey ", 9) == 0) {
        snprintf(key, room, "%s", header + 9);
    } else if (header && strncasecmp(header, "Basic ", 6) == 0 && strlen(header + 6) % 4 == 0
               && strlen(header + 6) < room) {
        int size = EVP_DecodeBlock((unsigned char *)key, (const unsigned char *)header + 6, (int)strlen(header + 6));
        key[size > 0 ? size : 0] = '\0';
        char *colon = strchr(key, ':');
        if (!colon || (colon == key) == is_ops)
            return false;
        memmove(key, colon + 1, strlen(colon));
    }
    return key[0];
}

enum key_kind { KEY_NONE, KEY_ACCOUNT, KEY_INTEGRATION };

static enum key_kind kind_of_key(const struct sandbox_call *call)
{
    char key[1024], account[1024];
    if (!take_key(request_header(call->request, "Authorization"), call->dialect, key, sizeof key))
        return KEY_NONE;
    snprintf(account, sizeof account, "%s-account", call->account->key);
    return strcmp(key, call->account->key) == 0 ? KEY_INTEGRATION : strcmp(key, account) == 0 ? KEY_ACCOUNT : KEY_NONE;
}

/* An account key may not do these, whatever rights it has. */
static bool needs_integration(const struct sandbox_route *route)
{
    return strcmp(route->method, "POST") == 0
           && (route->action == ACTION_CREATE || route->action == ACTION_CLOSE || route->action == ACTION_ACKNOWLEDGE
               || route->action == ACTION_NOTE);
}

/* Takes a token of the minute and one of the second. */
static bool is_within_limits(struct sandbox_call *call, enum sandbox_domain domain)
{
    static const char *const period[SANDBOX_WINDOWS] = {"60", "1"};
    static const double seconds[SANDBOX_WINDOWS] = {60, 1};
    int64_t now_ns = clock_mono_ns();
    for (int i = 0; i < SANDBOX_WINDOWS; i++) {
        double limit = (double)call->account->limits[i];
        struct sandbox_bucket *bucket = &call->account->buckets[domain][i];
        if (limit == 0)
            continue;
        double filled = bucket->tokens + (double)(now_ns - bucket->at_ns) / 1e9 * limit / seconds[i];
        bucket->tokens = !bucket->at_ns || filled > limit ? limit : filled;
        bucket->at_ns = now_ns;
        if (bucket->tokens < 1) {
            call->is_throttled = true;
            call->rate_period = period[i];
            call->account->throttled++;
            return false;
        }
        bucket->tokens -= 1;
    }
    return true;
}

/* ---- routes ---------------------------------------------------------------------------------------------- */

static const struct sandbox_route own_routes[] = {
    {"POST", "alerts", DOMAIN_ALERT, ACTION_CREATE, sandbox_write_run, true},
    {"GET", "alerts", DOMAIN_SEARCH, ACTION_COUNT, sandbox_read_list, false},
    {"GET", "alerts/count", DOMAIN_SEARCH, ACTION_COUNT, sandbox_read_count, false},
    {"GET", "alerts/requests/*", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_status, true},
    {"GET", "alerts/*", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_get, false},
    {"DELETE", "alerts/*", DOMAIN_ALERT, ACTION_DELETE, sandbox_write_run, false},
    {"POST", "alerts/*/close", DOMAIN_ALERT, ACTION_CLOSE, sandbox_write_run, true},
    {"POST", "alerts/*/acknowledge", DOMAIN_ALERT, ACTION_ACKNOWLEDGE, sandbox_write_run, true},
    {"POST", "alerts/*/unacknowledge", DOMAIN_ALERT, ACTION_UNACKNOWLEDGE, sandbox_write_run, false},
    {"POST", "alerts/*/snooze", DOMAIN_ALERT, ACTION_SNOOZE, sandbox_write_run, false},
    {"POST", "alerts/*/assign", DOMAIN_ALERT, ACTION_ASSIGN, sandbox_write_run, false},
    {"POST", "alerts/*/escalate", DOMAIN_ALERT, ACTION_ESCALATE, sandbox_write_run, false},
    {"POST", "alerts/*/responders", DOMAIN_ALERT, ACTION_RESPONDER, sandbox_write_run, false},
    {"POST", "alerts/*/notes", DOMAIN_ALERT, ACTION_NOTE, sandbox_write_run, true},
    {"GET", "alerts/*/notes", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_lines, false},
    {"GET", "alerts/*/logs", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_lines, false},
    {"POST", "alerts/*/details", DOMAIN_ALERT, ACTION_ADD_DETAILS, sandbox_write_run, false},
    {"DELETE", "alerts/*/details", DOMAIN_ALERT, ACTION_REMOVE_DETAILS, sandbox_write_run, false},
    {"POST", "alerts/*/tags", DOMAIN_ALERT, ACTION_ADD_TAGS, sandbox_write_run, false},
    {"DELETE", "alerts/*/tags", DOMAIN_ALERT, ACTION_REMOVE_TAGS, sandbox_write_run, false},
    {"PUT", "alerts/*/priority", DOMAIN_ALERT, ACTION_PRIORITY, sandbox_write_run, false},
    {"PUT", "alerts/*/message", DOMAIN_ALERT, ACTION_MESSAGE, sandbox_write_run, false},
    {"PUT", "alerts/*/description", DOMAIN_ALERT, ACTION_DESCRIPTION, sandbox_write_run, false},
    {"POST", "heartbeats", DOMAIN_HEARTBEAT, ACTION_COUNT, sandbox_beat_create, false},
    {"GET", "heartbeats/*", DOMAIN_HEARTBEAT, ACTION_COUNT, sandbox_beat_get, false},
    {"GET", "heartbeats/*/ping", DOMAIN_HEARTBEAT, ACTION_COUNT, sandbox_beat_ping, false},
};

/* Of OpsGenie, but not played here: better said than answered wrongly. */
static const char *const not_played[] = {"alerts/*/teams", "alerts/*/actions/*", "alerts/*/attachments",
                                         "alerts/*/recipients"};

/* The longest prefix first, where one is the start of another. */
static const struct root {
    const char *prefix;
    enum sandbox_dialect dialect;
} roots[] = {
    {"/jsm/ops/integration/v2/", SANDBOX_EVENTS},
    {"/jsm/ops/api/" SANDBOX_CLOUD "/v1/", SANDBOX_OPS},
    {"/v2/", SANDBOX_OWN},
};

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* Decodes one segment in place; false if it is not well encoded. */
static bool decode(char *segment)
{
    char *to = segment;
    for (const char *from = segment; *from; from++, to++) {
        *to = *from;
        if (*from != '%')
            continue;
        if (hex(from[1]) < 0 || hex(from[2]) < 0 || (from[1] == '0' && from[2] == '0'))
            return false;
        *to = (char)(hex(from[1]) << 4 | hex(from[2]));
        from += 2;
    }
    *to = '\0';
    return true;
}

static bool fits(const char *pattern, char **segments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(pattern, "/");
        bool is_any = size == 1 && *pattern == '*';
        if (!size || (is_any ? !*segments[i] : strlen(segments[i]) != size || memcmp(segments[i], pattern, size) != 0))
            return false;
        pattern += size + (pattern[size] == '/');
    }
    return !*pattern;
}

/* Splits what stands below a root; -1: it is badly encoded. */
static int split_path(char *path, char **segments)
{
    int count = 0;
    char *rest = NULL;
    for (char *segment = path; segment && count < SEGMENTS_MAX; segment = rest) {
        rest = strchr(segment, '/');
        if (rest)
            *rest++ = '\0';
        if (!decode(segment))
            return -1;
        segments[count++] = segment;
    }
    return count;
}

/* What stands below the root, and whose it is; NULL: below none. */
static char *find_root(struct sandbox_call *call, char *path)
{
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        size_t size = strlen(roots[i].prefix);
        if (strncmp(path, roots[i].prefix, size) != 0)
            continue;
        call->dialect = roots[i].dialect;
        return path + size;
    }
    return NULL;
}

static const struct sandbox_route *find_route(struct sandbox_call *call, char **segments, int count)
{
    const char *method = request_method(call->request);
    const struct sandbox_route *routes = call->dialect == SANDBOX_OPS ? sandbox_ops_routes : own_routes;
    size_t many = call->dialect == SANDBOX_OPS ? sandbox_ops_route_count : sizeof own_routes / sizeof *own_routes;
    bool is_read = strcmp(method, "GET") == 0, is_known = false;
    char message[100];
    for (size_t i = 0; count > 0 && i < many; i++) {
        if (!fits(routes[i].path, segments, (size_t)count) || (call->dialect == SANDBOX_EVENTS && !routes[i].is_event))
            continue;
        is_known = true;
        if (strcmp(method, routes[i].method) == 0)
            return &routes[i];
    }
    for (size_t i = 0; count > 0 && i < sizeof not_played / sizeof *not_played; i++) {
        if (call->dialect == SANDBOX_OWN && fits(not_played[i], segments, (size_t)count)) {
            sandbox_api_refuse(call, 501, "The sandbox does not play this part of OpsGenie");
            return NULL;
        }
    }
    /* OpsGenie answers a write to a wrong path with 405, not with 404. */
    snprintf(message, sizeof message, "Request method '%.20s' not supported", method);
    if (is_known || !is_read)
        sandbox_api_refuse(call, 405, message);
    else
        sandbox_api_refuse(call, 404, "No such path");
    return NULL;
}

static void route(struct sandbox_call *call, enum key_kind key, char **segments, int count)
{
    const struct sandbox_route *found = find_route(call, segments, count);
    if (!found)
        return;
    if (!is_within_limits(call, found->domain)) {
        sandbox_api_refuse(call, 429,
                           "You are making too many requests! To avoid errors, we recommend you limit requests.");
    } else if (key == KEY_ACCOUNT && needs_integration(found)) {
        sandbox_api_refuse(call, 403, "To perform this action, use an API key from an API integration.");
        call->answer.size--; /* the closing brace */
        buf_add_text(&call->answer, ",\"code\":40301}");
    } else {
        found->run(call, found, segments + 1);
    }
}

void sandbox_api_answer(struct sandbox_call *call)
{
    char *segments[SEGMENTS_MAX] = {NULL};
    char *path = mem_text(request_raw_path(call->request)), *rest = find_root(call, path);
    enum key_kind key = kind_of_key(call);
    call->began_ns = clock_mono_ns();
    call->rate_period = "60";
    sandbox_alerts_uuid("read", ++call->account->reads, call->id);
    if (key == KEY_NONE)
        sandbox_api_refuse(call, 401, "Could not authenticate");
    else
        route(call, key, segments, rest ? split_path(rest, segments) : 0);
    free(path);
}
