/* adapter.c - OpsGenie: alerts for the people on call
 *
 * Alerts are addressed by alias, the name that the flow gives them: OpsGenie keeps at most one open
 * alert of an alias, so a create that is sent twice calls nobody twice.  Effects go out over HTTPS;
 * what happens to alerts comes in by webhooks.
 * See README.md for the far side's rules, opsgenie.h for the files. */
#include "adapters/opsgenie/opsgenie.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define CONCURRENCY 16 /* most of the time each waits for its outcome */
#define CONNECTIONS 5

extern const struct simulator simulator_opsgenie;

static const struct option options[] = {
    {.name = "dialect",
     .kind = OPTION_TEXT,
     .choices = OPSGENIE_DIALECTS,
     .fallback = "opsgenie",
     .help = "OpsGenie's own API, or one of its successors in Jira Service Management."},
    {.name = "key",
     .kind = OPTION_SECRET,
     .is_required = true,
     .help = "Key of an API integration (an account key may not create alerts); with jsm-ops the API token of `user`."},
    {.name = "user", .kind = OPTION_TEXT, .help = "Only jsm-ops, needed there: the person whose API token it is."},
    {.name = "cloud_id",
     .kind = OPTION_TEXT,
     .help = "Only jsm-ops: the site's id, as https://SITE.atlassian.net/_edge/tenant_info tells it."},
    {.name = "ids",
     .kind = OPTION_MAP,
     .help = "Only jsm-ops: which id a name has that flows use for a team, user, escalation or schedule."},
    {.name = "team", .kind = OPTION_TEXT, .help = "Only jsm-ops: id of the team that the heartbeats belong to."},
    {.name = "region", .kind = OPTION_TEXT, .choices = "us|eu", .help = "Where the account is; default: us."},
    {.name = "api",
     .kind = OPTION_TEXT,
     .help = "Base URL in place of `region` and `cloud_id`; plain http:// is taken for this machine only."},
    {.name = "source",
     .kind = OPTION_TEXT,
     .fallback = "headgate",
     .least = 1,
     .most = 100,
     .help = "Sent with each call: who OpsGenie shows as its origin."},
    {.name = "ca", .kind = OPTION_TEXT, .help = "PEM file of the certificates to trust; default: the system's."},
    PROOF_OPTIONS,
    OPTION_END};

/* ---- where, and as whom ------------------------------------------------------------------------------ */

/* Keys that only one dialect reads: in another they are a mistake. */
static bool check_keys(const struct settings *settings, enum opsgenie_dialect dialect, struct err *err)
{
    static const char *const of_ops[] = {"user", "cloud_id", "ids", "team"};
    for (size_t i = 0; i < sizeof of_ops / sizeof of_ops[0]; i++)
        if (dialect != OPSGENIE_OPS && settings_has(settings, of_ops[i]))
            return err_set(err, "`%s` goes with `dialect: jsm-ops` only", of_ops[i]);
    if (dialect != OPSGENIE_V2 && settings_has(settings, "region"))
        return err_set(err, "`region` goes with `dialect: opsgenie` only: Jira Service Management has one for all");
    if (dialect == OPSGENIE_OPS && !settings_has(settings, "user"))
        return err_set(err, "`dialect: jsm-ops` needs `user`: the mail address of the person whose API token `key` is");
    if (settings_has(settings, "api") && (settings_has(settings, "region") || settings_has(settings, "cloud_id")))
        return err_set(err, "`api` and `%s` say the same thing: leave one out",
                       settings_has(settings, "region") ? "region" : "cloud_id");
    if (dialect == OPSGENIE_OPS && !settings_has(settings, "api") && !settings_has(settings, "cloud_id"))
        return err_set(err, "`dialect: jsm-ops` needs `cloud_id` (or `api`, the whole base URL)");
    return true;
}

static bool add_base(const struct settings *settings, enum opsgenie_dialect dialect, struct buf *base)
{
    const char *api = settings_text(settings, "api"), *region = settings_text(settings, "region");
    if (api)
        return buf_add_text(base, api);
    if (dialect == OPSGENIE_EVENTS)
        return buf_add_text(base, "https://api.atlassian.com/jsm/ops/integration");
    if (dialect == OPSGENIE_OPS)
        return buf_add_text(base, "https://api.atlassian.com/jsm/ops/api/")
               && http_escape(base, slice_of(settings_text(settings, "cloud_id")));
    return buf_add_text(base, region && strcmp(region, "eu") == 0 ? "https://api.eu.opsgenie.com"
                                                                  : "https://api.opsgenie.com");
}

static bool choose_base(const struct settings *settings, struct opsgenie *opsgenie, struct err *err)
{
    struct buf base = BUF_INIT(4000);
    bool ok = add_base(settings, opsgenie->dialect, &base) || err_set(err, "`api` is too long");
    ok = ok && (http_check_base(base.data, err) || err_wrap(err, "`api`"));
    size_t size = ok ? base.size : 0;
    while (size && base.data[size - 1] == '/')
        size--;
    if (ok)
        opsgenie->base = mem_copy((struct slice){base.data, size});
    buf_clear(&base);
    return ok;
}

/* Who we are, as the header line that says so. */
static void put_authorization(const struct settings *settings, struct opsgenie *opsgenie)
{
    struct buf line = BUF_INIT(10000), pair = BUF_INIT(5000);
    char text[8000];
    if (opsgenie->dialect == OPSGENIE_OPS) {
        buf_addf(&pair, "%s:%s", settings_text(settings, "user"), opsgenie->key);
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)pair.data, (int)pair.size);
        buf_addf(&line, "Authorization: Basic %s", text);
    } else {
        buf_addf(&line, "Authorization: GenieKey %s", opsgenie->key);
    }
    opsgenie->authorization = buf_take(&line);
    explicit_bzero(text, sizeof text);
    if (pair.size)
        explicit_bzero(pair.data, pair.size);
    buf_clear(&pair);
}

/* A key that was read from a file brings the file's line end along. */
static bool take_key(const struct settings *settings, struct opsgenie *opsgenie, struct err *err)
{
    static const char white[] = " \t\r\n";
    const char *said = settings_text(settings, "key"), *user = settings_text(settings, "user");
    struct slice key = slice_of(said);
    while (key.size && strchr(white, key.data[0]))
        key.data++, key.size--;
    while (key.size && strchr(white, key.data[key.size - 1]))
        key.size--;
    if (!key.size)
        return err_set(err, "`key` is empty");
    if (key.size > 2000 || (user && (strlen(user) > 2000 || strchr(user, ':'))))
        return err_set(err, "`key` or `user` is none: it is too long, or there is a colon in the user's name");
    for (size_t i = 0; i < key.size; i++)
        if (key.data[i] <= ' ' || key.data[i] > '~')
            return err_set(err, "`key` holds white space or other characters that no key has");
    opsgenie->key = mem_copy(key);
    put_authorization(settings, opsgenie);
    return true;
}

static void forget(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void opsgenie_close(struct connection *connection)
{
    struct opsgenie *opsgenie = connection->state;
    if (!opsgenie)
        return;
    opsgenie_drop_hooks(opsgenie);
    http_close(opsgenie->http);
    proof_close(opsgenie->proof);
    map_clear(&opsgenie->beats);
    opsgenie_drop_calls(opsgenie);
    free(opsgenie->base);
    forget(opsgenie->key);
    forget(opsgenie->authorization);
    free(opsgenie);
    connection->state = NULL;
}

static bool opsgenie_open(struct connection *connection, struct err *err)
{
    struct opsgenie *opsgenie = mem_zero(sizeof *opsgenie);
    opsgenie->connection = connection;
    connection->state = opsgenie;
    struct http_options http = {.connections = CONNECTIONS, .ca_file = settings_text(connection->settings, "ca")};
    opsgenie->dialect = opsgenie_dialect(connection->settings);
    bool ok = check_keys(connection->settings, opsgenie->dialect, err)
              && proof_open(connection->settings, &opsgenie->proof, err)
              && choose_base(connection->settings, opsgenie, err) && take_key(connection->settings, opsgenie, err)
              && (opsgenie->http = http_open(connection->loop, &http, err)) != NULL;
    if (!ok)
        opsgenie_close(connection);
    return ok;
}

const struct adapter adapter_opsgenie = {
    .name = "opsgenie",
    .summary = "OpsGenie: alerts for the people on call",
    .options = options,
    .source_options = opsgenie_source_options,
    .verbs = opsgenie_verbs,
    .queries = opsgenie_queries,
    .stays_open = true,
    .concurrency = CONCURRENCY,
    .open = opsgenie_open,
    .close = opsgenie_close,
    .listen = opsgenie_listen,
    .silence = opsgenie_silence,
    .ack = opsgenie_ack,
    .put_back = opsgenie_put_back,
    .deliver = opsgenie_deliver,
    .ask = opsgenie_ask,
    .examine = opsgenie_examine,
    .simulator = &simulator_opsgenie,
};
