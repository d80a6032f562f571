/* adapter.c - plain HTTP: requests as effects and look-ups, webhooks as events
 *
 * For every far side that has an HTTP API and no adapter of its own.  See README.md for what it does and what each
 * answer means, web.h for the files. */
#include "adapters/http/web.h"

#include <stdlib.h>
#include <strings.h>

#define CONCURRENCY 4
#define CONNECTIONS 100 /* deliveries are bounded by the lane, look-ups by this */
#define CACHE_BYTES ((size_t)8 << 20)

extern const struct simulator simulator_http;

static const struct option options[] = {
    {.name = "base",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 2000,
     .help = "URL that every path stands behind; not needed where only webhooks come in."},
    {.name = "private",
     .kind = OPTION_BOOLEAN,
     .fallback = "false",
     .help = "May reach loopback and private addresses, and use plain http:// for them."},
    {.name = "timeout",
     .kind = OPTION_DURATION,
     .fallback = "30s",
     .least = 100,
     .most = 600000,
     .help = "How long an answer may take."},
    {.name = "headers", .kind = OPTION_MAP, .help = "Sent with each request, unless a flow says the same one."},
    {.name = "verdicts",
     .kind = OPTION_MAP,
     .help = "What answers mean where it is not as usual: {409: done, 404: later, \"5xx\": later}; see below."},
    {.name = "bearer", .kind = OPTION_SECRET, .help = "Token, sent as Authorization: Bearer."},
    {.name = "user", .kind = OPTION_TEXT, .least = 1, .most = 500, .help = "For Authorization: Basic."},
    {.name = "password", .kind = OPTION_SECRET, .help = "Of `user`."},
    {.name = "key", .kind = OPTION_SECRET, .help = "API key, sent in `key_header`."},
    {.name = "key_header", .kind = OPTION_TEXT, .least = 1, .most = 100, .help = "Such as X-Api-Key."},
    {.name = "oauth",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 2000,
     .help = "URL where a token is fetched by OAuth 2.0 client credentials."},
    {.name = "client_id", .kind = OPTION_TEXT, .least = 1, .most = 500, .help = "For `oauth`."},
    {.name = "client_secret", .kind = OPTION_SECRET, .help = "For `oauth`."},
    {.name = "scope", .kind = OPTION_TEXT, .least = 1, .most = 2000, .help = "For `oauth`: what the token is for."},
    {.name = "oauth_fields", .kind = OPTION_MAP, .help = "For `oauth`: what else is asked, such as {audience: ...}."},
    {.name = "oauth_style",
     .kind = OPTION_TEXT,
     .choices = "basic|body",
     .fallback = "basic",
     .help = "For `oauth`: where id and secret stand."},
    {.name = "sign",
     .kind = OPTION_TEXT,
     .choices = "standard|hmac",
     .help = "Signs each effect: by Standard Webhooks, or the body by HMAC-SHA256 in `sign_header`."},
    {.name = "sign_secret", .kind = OPTION_SECRET, .help = "For `sign`: whsec_... (standard) or the key (hmac)."},
    {.name = "sign_header", .kind = OPTION_TEXT, .least = 1, .most = 100, .help = "For `sign: hmac`."},
    {.name = "sign_prefix", .kind = OPTION_TEXT, .most = 40, .help = "For `sign: hmac`, such as sha256=."},
    {.name = "sign_encoding",
     .kind = OPTION_TEXT,
     .choices = "hex|base64",
     .fallback = "hex",
     .help = "For `sign: hmac`: how the signature is written."},
    {.name = "idempotency",
     .kind = OPTION_TEXT,
     .choices = "send|honoured|off",
     .fallback = "send",
     .help = "post and patch carry the effect's id as a key; honoured: the far side recognises a repeat by it."},
    {.name = "idempotency_header",
     .kind = OPTION_TEXT,
     .fallback = "Idempotency-Key",
     .least = 1,
     .most = 100,
     .help = "The header of that key."},
    {.name = "idempotency_quotes",
     .kind = OPTION_BOOLEAN,
     .fallback = "false",
     .help = "The key stands in quotes, as the draft of the standard has it."},
    {.name = "ca", .kind = OPTION_TEXT, .help = "PEM file of the certificates to trust; default: the system's."},
    {.name = "cert", .kind = OPTION_TEXT, .help = "PEM file of our own certificate, where the far side wants one."},
    {.name = "cert_key", .kind = OPTION_TEXT, .help = "PEM file of its key; not said: it is in `cert`."},
    PROOF_OPTIONS,
    OPTION_END};

/* ---- verbs ---------------------------------------------------------------------------------------------- */

static bool prepare(const struct ask *ask, struct buf *out, struct err *err)
{
    static const char *const methods[][2] = {
        {"post", "POST"}, {"put", "PUT"}, {"patch", "PATCH"}, {"delete", "DELETE"}};
    size_t i = 0;
    while (strcmp(methods[i][0], ask->verb->name) != 0)
        i++;
    return web_request_build(ask->connection->settings, methods[i][1], ask->fields, out, err);
}

#define VERBS(is_key_honoured)                                                                                         \
    {                                                                                                                  \
        {.name = "post",                                                                                               \
         .summary = "Sends a POST.",                                                                                   \
         .fields = web_effect_fields,                                                                                  \
         .is_idempotent = is_key_honoured,                                                                             \
         .prepare = prepare},                                                                                          \
            {.name = "put",                                                                                            \
             .summary = "Sends a PUT.",                                                                                \
             .fields = web_effect_fields,                                                                              \
             .is_idempotent = true,                                                                                    \
             .prepare = prepare},                                                                                      \
            {.name = "patch",                                                                                          \
             .summary = "Sends a PATCH.",                                                                              \
             .fields = web_effect_fields,                                                                              \
             .is_idempotent = is_key_honoured,                                                                         \
             .prepare = prepare},                                                                                      \
            {.name = "delete",                                                                                         \
             .summary = "Sends a DELETE.",                                                                             \
             .fields = web_bare_fields,                                                                                \
             .is_idempotent = true,                                                                                    \
             .prepare = prepare},                                                                                      \
        {                                                                                                              \
            .name = NULL                                                                                               \
        }                                                                                                              \
    }

static const struct verb verbs[] = VERBS(false), honoured_verbs[] = VERBS(true);

static const struct query queries[] = {
    {.name = "get",
     .summary = "GETs, and waits: {status, headers, json or text}; nil where there is none (404, 410).",
     .fields = web_get_fields},
    {.name = "search",
     .summary = "The same by a POST that changes nothing at the far side.",
     .fields = web_search_fields},
    {.name = NULL}};

static const char manual[] =
    "What an answer means, unless `verdicts` of the connection says otherwise for a status or for \"4xx\":\n"
    "  2xx                           done\n"
    "  3xx                           never: redirects are not followed\n"
    "  401, 403                      later, and the whole connection pauses: it is our key, not the content\n"
    "  408, 425, 429, 503            later; Retry-After is obeyed, for 429 and 503 by the whole connection\n"
    "  other 4xx                     never: held, with what the far side said\n"
    "  500, 502, 504, other 5xx      later where a repeat is harmless; else unknown\n"
    "  no answer, nothing was sent   later\n"
    "  no answer, but it was sent    later where a repeat is harmless; else unknown\n"
    "put and delete may always be repeated; post and patch with `idempotency: honoured`.\n"
    "A look-up is tried up to three times within its timeout; 404 and 410 answer nil.\n";

/* ---- opening ------------------------------------------------------------------------------------------------ */

enum http_reach web_reach(const struct settings *settings, const char *url)
{
    if (!settings_number(settings, "private"))
        return HTTP_PUBLIC;
    return strncasecmp(url, "http://", 7) == 0 ? HTTP_PRIVATE : HTTP_ANYWHERE;
}

static bool take_base(struct web *web, const struct settings *settings, struct err *err)
{
    const char *base = settings_text(settings, "base");
    enum http_reach reach = web_reach(settings, base);
    if (!http_check_reach(base, reach, err))
        return err_wrap(err, "`base`%s", reach == HTTP_PUBLIC ? " (with `private: true` it may be inside)" : "");
    size_t size = strlen(base);
    while (size && base[size - 1] == '/')
        size--;
    web->base = mem_copy((struct slice){base, size});
    for (size_t i = 0; i < settings_count(settings, "headers"); i++)
        if (!web_header_check(NULL, slice_of(settings_key(settings, "headers", i)),
                              slice_of(settings_item(settings, "headers", i)), err))
            return false;
    return true;
}

static bool open_client(struct web *web, struct err *err)
{
    const struct settings *settings = web->connection->settings;
    struct http_options http = {.connections = CONNECTIONS,
                                .ca_file = settings_text(settings, "ca"),
                                .cert_file = settings_text(settings, "cert"),
                                .key_file = settings_text(settings, "cert_key"),
                                .reach = web_reach(settings, settings_text(settings, "base"))};
    if (http.key_file && !http.cert_file)
        return err_set(err, "`cert_key` needs `cert`, too");
    if (!take_base(web, settings, err) || !(web->auth = web_auth_open(web->connection, err))
        || !(web->http = http_open(web->connection->loop, &http, err)))
        return false;
    web->cache = web_cache_new(CACHE_BYTES);
    return true;
}

static void web_close(struct connection *connection)
{
    struct web *web = connection->state;
    if (!web)
        return;
    web_drop_hooks(web);
    web_auth_close(web->auth);
    http_close(web->http);
    web_drop_calls(web);
    web_cache_free(web->cache);
    proof_close(web->proof);
    free(web->base);
    free(web);
    connection->state = NULL;
}

static bool web_open(struct connection *connection, struct err *err)
{
    const struct settings *settings = connection->settings;
    struct web *web = mem_zero(sizeof *web);
    web->connection = connection;
    connection->state = web;
    if (strcmp(settings_text(settings, "idempotency"), "honoured") == 0)
        connection->verbs = honoured_verbs;
    bool ok = proof_open(settings, &web->proof, err) && web_table_read(&web->table, settings, err);
    if (ok && settings_has(settings, "base"))
        ok = open_client(web, err);
    else if (ok && !web->proof)
        ok = err_set(err, "it needs `base` to send something, or `webhook_verify` to take something");
    if (!ok)
        web_close(connection);
    return ok;
}

const struct adapter adapter_http = {
    .name = "http",
    .summary = "plain HTTP: requests and look-ups, and webhooks coming in",
    .options = options,
    .source_options = web_source_options,
    .verbs = verbs,
    .queries = queries,
    .stays_open = true,
    .concurrency = CONCURRENCY,
    .open = web_open,
    .close = web_close,
    .listen = web_listen,
    .silence = web_silence,
    .ack = web_ack,
    .put_back = web_put_back,
    .deliver = web_deliver,
    .ask = web_ask,
    .examine = web_examine,
    .manual = manual,
    .simulator = &simulator_http,
};
