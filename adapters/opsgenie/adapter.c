/* adapter.c - OpsGenie: alerts for the people on call
 *
 * All alerts are addressed by alias, the name that the flow gives them: OpsGenie keeps at most one
 * open alert of an alias, so a create that is sent twice calls nobody twice.  Effects go out over
 * HTTPS; nothing comes in.  See README.md for the far side's rules, opsgenie.h for the files. */
#include "adapters/opsgenie/opsgenie.h"

#include <stdio.h>
#include <stdlib.h>

#define CONCURRENCY 16 /* most of the time each waits for its outcome */
#define CONNECTIONS 5

extern const struct simulator simulator_opsgenie;

static const struct option options[] = {
    {.name = "key",
     .kind = OPTION_SECRET,
     .is_required = true,
     .help = "Key of an API integration; an account key may read alerts, but not create them."},
    {.name = "region", .kind = OPTION_TEXT, .choices = "us|eu", .help = "Where the account is; default: us."},
    {.name = "api",
     .kind = OPTION_TEXT,
     .help = "Base URL in place of `region`; plain http:// is taken for this machine only."},
    {.name = "source",
     .kind = OPTION_TEXT,
     .fallback = "headgate",
     .least = 1,
     .most = 100,
     .help = "Sent with each call: who OpsGenie shows as its origin."},
    {.name = "ca", .kind = OPTION_TEXT, .help = "PEM file of the certificates to trust; default: the system's."},
    OPTION_END};

static const struct option get_fields[] = {
    {.name = "alias", .kind = OPTION_TEXT, .is_required = true, .help = "Which alert."}, OPTION_END};

static const struct query queries[] = {
    {.name = "get", .summary = "The alert of this alias as OpsGenie shows it, or null.", .fields = get_fields},
    {.name = NULL}};

static bool choose_base(const struct settings *settings, struct opsgenie *opsgenie, struct err *err)
{
    const char *api = settings_text(settings, "api"), *region = settings_text(settings, "region");
    if (api && region)
        return err_set(err, "`api` and `region` say the same thing: leave one out");
    if (!api)
        api = region && strcmp(region, "eu") == 0 ? "https://api.eu.opsgenie.com" : "https://api.opsgenie.com";
    if (!http_check_base(api, err))
        return err_wrap(err, "`api`");
    size_t size = strlen(api);
    while (size && api[size - 1] == '/')
        size--;
    opsgenie->base = mem_copy((struct slice){api, size});
    return true;
}

/* A key that was read from a file brings the file's line end along. */
static bool take_key(const struct settings *settings, struct opsgenie *opsgenie, struct err *err)
{
    static const char white[] = " \t\r\n";
    const char *said = settings_text(settings, "key");
    struct slice key = slice_of(said);
    while (key.size && strchr(white, key.data[0]))
        key.data++, key.size--;
    while (key.size && strchr(white, key.data[key.size - 1]))
        key.size--;
    if (!key.size)
        return err_set(err, "`key` is empty");
    for (size_t i = 0; i < key.size; i++)
        if (key.data[i] <= ' ' || key.data[i] > '~')
            return err_set(err, "`key` holds white space or other characters that no key has");
    opsgenie->key = mem_copy(key);
    size_t room = key.size + sizeof "Authorization: GenieKey ";
    opsgenie->authorization = mem_new(room);
    snprintf(opsgenie->authorization, room, "Authorization: GenieKey %s", opsgenie->key);
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
    http_close(opsgenie->http);
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
    bool ok = choose_base(connection->settings, opsgenie, err) && take_key(connection->settings, opsgenie, err)
              && (opsgenie->http = http_open(connection->loop, &http, err)) != NULL;
    if (!ok)
        opsgenie_close(connection);
    return ok;
}

const struct adapter adapter_opsgenie = {
    .name = "opsgenie",
    .summary = "OpsGenie: alerts for the people on call",
    .options = options,
    .verbs = opsgenie_verbs,
    .queries = queries,
    .concurrency = CONCURRENCY,
    .open = opsgenie_open,
    .close = opsgenie_close,
    .deliver = opsgenie_deliver,
    .ask = opsgenie_ask,
    .examine = opsgenie_examine,
    .simulator = &simulator_opsgenie,
};
