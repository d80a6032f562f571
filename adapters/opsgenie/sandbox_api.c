/* sandbox_api.c - the Alert API v2 of the simulated OpsGenie: keys, limits, routes
 *
 * A call passes, in this order: the key (401), the route (404, 405), the rate limit (429), what an
 * account key may do (403); then sandbox_read.c or sandbox_write.c answers it. */
#include "adapters/opsgenie/sandbox_api.h"

#include "core/base/clock.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SEGMENTS_MAX 6 /* of a path, and a few too many to see that it is too long */

/* ---- key and limits -------------------------------------------------------------------------------- */

/* The key in "GenieKey <key>", or in Basic with an empty user and the key as password (RFC 7617). */
static bool take_key(const char *header, char *key, size_t room)
{
    key[0] = '\0';
    if (header && strncmp(header, "GenieKey ", 9) == 0) {
        snprintf(key, room, "%s", header + 9);
    } else if (header && strncasecmp(header, "Basic ", 6) == 0 && strlen(header + 6) % 4 == 0
               && strlen(header + 6) < room) {
        int size = EVP_DecodeBlock((unsigned char *)key, (const unsigned char *)header + 6, (int)strlen(header + 6));
        key[size > 0 ? size : 0] = '\0';
        if (key[0] != ':')
            return false;
        memmove(key, key + 1, strlen(key));
    }
    return key[0];
}

enum key_kind { KEY_NONE, KEY_ACCOUNT, KEY_INTEGRATION };

static enum key_kind kind_of_key(const struct sandbox_call *call)
{
    char key[1024], account[1024];
    if (!take_key(request_header(call->request, "Authorization"), key, sizeof key))
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

static const struct sandbox_route routes[] = {
    {"POST", "", DOMAIN_ALERT, ACTION_CREATE, sandbox_write_run},
    {"GET", "", DOMAIN_SEARCH, ACTION_COUNT, sandbox_read_list},
    {"GET", "count", DOMAIN_SEARCH, ACTION_COUNT, sandbox_read_count},
    {"GET", "requests/*", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_status},
    {"GET", "*", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_get},
    {"DELETE", "*", DOMAIN_ALERT, ACTION_DELETE, sandbox_write_run},
    {"POST", "*/close", DOMAIN_ALERT, ACTION_CLOSE, sandbox_write_run},
    {"POST", "*/acknowledge", DOMAIN_ALERT, ACTION_ACKNOWLEDGE, sandbox_write_run},
    {"POST", "*/unacknowledge", DOMAIN_ALERT, ACTION_UNACKNOWLEDGE, sandbox_write_run},
    {"POST", "*/notes", DOMAIN_ALERT, ACTION_NOTE, sandbox_write_run},
    {"GET", "*/notes", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_lines},
    {"GET", "*/logs", DOMAIN_ALERT, ACTION_COUNT, sandbox_read_lines},
    {"POST", "*/details", DOMAIN_ALERT, ACTION_ADD_DETAILS, sandbox_write_run},
    {"DELETE", "*/details", DOMAIN_ALERT, ACTION_REMOVE_DETAILS, sandbox_write_run},
    {"POST", "*/tags", DOMAIN_ALERT, ACTION_ADD_TAGS, sandbox_write_run},
    {"DELETE", "*/tags", DOMAIN_ALERT, ACTION_REMOVE_TAGS, sandbox_write_run},
    {"PUT", "*/priority", DOMAIN_ALERT, ACTION_PRIORITY, sandbox_write_run},
    {"PUT", "*/message", DOMAIN_ALERT, ACTION_MESSAGE, sandbox_write_run},
    {"PUT", "*/description", DOMAIN_ALERT, ACTION_DESCRIPTION, sandbox_write_run},
};
#define ROUTE_COUNT (sizeof routes / sizeof *routes)

/* Of OpsGenie, but not played here: better said than answered wrongly. */
static const char *const not_played[] = {"*/snooze", "*/assign",    "*/escalate",    "*/responders",
                                         "*/teams",  "*/actions/*", "*/attachments", "*/recipients"};

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

/* Splits what stands below /v2/alerts; -1: it is not below it. */
static int split_path(char *path, char **segments)
{
    static const char root[] = "/v2/alerts";
    int count = 0;
    char *rest = NULL;
    if (strncmp(path, root, sizeof root - 1) != 0)
        return -1;
    path += sizeof root - 1;
    if (*path != '\0' && *path != '/')
        return -1;
    for (char *segment = *path ? path + 1 : NULL; segment && count < SEGMENTS_MAX; segment = rest) {
        rest = strchr(segment, '/');
        if (rest)
            *rest++ = '\0';
        if (!decode(segment))
            return -1;
        segments[count++] = segment;
    }
    return count;
}

static const struct sandbox_route *find_route(struct sandbox_call *call, char **segments, int count)
{
    const char *method = request_method(call->request);
    bool is_read = strcmp(method, "GET") == 0, is_known = false;
    char message[100];
    for (size_t i = 0; count >= 0 && i < ROUTE_COUNT; i++) {
        if (!fits(routes[i].path, segments, (size_t)count))
            continue;
        is_known = true;
        if (strcmp(method, routes[i].method) == 0)
            return &routes[i];
    }
    for (size_t i = 0; count >= 0 && i < sizeof not_played / sizeof *not_played; i++) {
        if (fits(not_played[i], segments, (size_t)count)) {
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
        found->run(call, found, segments);
    }
}

void sandbox_api_answer(struct sandbox_call *call)
{
    char *segments[SEGMENTS_MAX] = {NULL};
    char *path = mem_text(request_raw_path(call->request));
    enum key_kind key = kind_of_key(call);
    call->began_ns = clock_mono_ns();
    call->rate_period = "60";
    sandbox_alerts_uuid("read", ++call->account->reads, call->id);
    if (key == KEY_NONE)
        sandbox_api_refuse(call, 401, "Could not authenticate");
    else
        route(call, key, segments, split_path(path, segments));
    free(path);
}
