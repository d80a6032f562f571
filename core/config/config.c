/* config.c - headgate.yaml, checked
 *
 * The file is read once, whole, into a tree (yaml.c), each of its maps is checked against a table
 * of options (options.c), and what remains to be checked here is what tables cannot say: names of
 * connections, adapters, folders, the socket's path.
 *
 * A key of a later version is refused with a sentence of its own.  A setting that is silently
 * ignored would be a lie, and "unknown key" would send a reader of the design in circles. */
#include "core/config/config.h"

#include "core/base/endpoint.h"
#include "core/base/file.h"
#include "core/base/nearest.h"
#include "core/config/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_PATH_MAX (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

const struct option config_common_options[] = {
    {.name = "adapter", .kind = OPTION_TEXT, .is_required = true, .help = "what kind of system this connects to"},
    {.name = "environment",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 64,
     .help = "the environment this belongs to; a node of another environment refuses to open it"},
    {.name = "concurrency",
     .kind = OPTION_INTEGER,
     .least = 1,
     .most = 1000,
     .help = "how many deliveries may be under way at once"},
    {.name = "rate",
     .kind = OPTION_RATES,
     .most = 4,
     .help = "how many calls may begin in a time: 10/s, or several that all hold: [10/s, 1000/h, 40000/d]"},
    {.name = "max_age",
     .kind = OPTION_DURATION,
     .fallback = "5d",
     .least = 1000,
     .most = INT64_C(366) * 86400000,
     .help = "an effect that could not be delivered for so long is held, as expired, and not tried any more"},
    {.name = "when_unknown",
     .kind = OPTION_TEXT,
     .choices = "retry|hold",
     .fallback = "hold",
     .help =
         "what to do with an effect that was sent without an answer, where sending it twice is not the same as once"},
    OPTION_END,
};

static const struct option node_options[] = {
    {.name = "environment",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 64,
     .help = "the name of the environment that this node works in"},
    {.name = "data",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 4000,
     .help = "the folder of the store"},
    {.name = "flows",
     .kind = OPTION_TEXT,
     .fallback = "flows",
     .least = 1,
     .most = 4000,
     .help = "the folder of the flows"},
    {.name = "rules",
     .kind = OPTION_TEXT,
     .fallback = "rules",
     .least = 1,
     .most = 4000,
     .help = "the folder of the rules"},
    OPTION_END,
};

static const struct option admin_options[] = {
    {.name = "socket",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 4000,
     .help = "where the command line finds the daemon"},
    {.name = "listen",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 300,
     .help = "address and port of the admin API on TCP, such as 127.0.0.1:8280"},
    {.name = "tokens",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 4000,
     .help = "the file that says who may use it there"},
    OPTION_END,
};

static const struct option store_options[] = {
    {.name = "limit",
     .kind = OPTION_SIZE,
     .fallback = "64GiB",
     .least = 8 << 20,
     .most = INT64_C(16) << 40,
     .help = "how large the store may grow"},
    OPTION_END,
};

/* Names that already mean something where flows are written. */
static const char *const taken_names[] = {
    "and",          "break",          "do",        "else",     "elseif",   "end",    "false",        "for",
    "function",     "goto",           "if",        "in",       "local",    "nil",    "not",          "or",
    "repeat",       "return",         "then",      "true",     "until",    "while", /* Lua's words */
    "assert",       "collectgarbage", "coroutine", "debug",    "dofile",   "error",  "getmetatable", "io",
    "ipairs",       "load",           "loadfile",  "math",     "next",     "os",     "package",      "pairs",
    "pcall",        "print",          "rawequal",  "rawget",   "rawlen",   "rawset", "require",      "select",
    "setmetatable", "string",         "table",     "tonumber", "tostring", "type",   "utf8",         "warn",
    "xpcall", /* Lua's functions and libraries */
    "event",        "json",           "log",       "now",      "state",    "step",   "timer",        "uuid",
    NULL, /* Headgate's */
};

/* Everything that is at hand while the file is checked. */
struct loading {
    const char *file;                   /* as it was given, for messages */
    const struct adapter *const *known; /* the adapters there are; ends with NULL */
    bool may_read_secrets;              /* of connections */
    struct config *config;              /* what comes of it */
    struct err *err;                    /* where to say what is wrong */
};

/* ---- one connection ------------------------------------------------------------------------- */

static bool is_connection_name(const struct loading *loading, const struct yaml *entry)
{
    char shown[YAML_SHOWN_MAX];
    struct slice name = entry->key;
    bool ok = name.size <= NAME_MAX_BYTES && name.data[0] >= 'a' && name.data[0] <= 'z';
    for (size_t i = 0; ok && i < name.size; i++)
        ok = (name.data[i] >= 'a' && name.data[i] <= 'z') || (name.data[i] >= '0' && name.data[i] <= '9')
             || name.data[i] == '_';
    if (!ok)
        return yaml_err_key(entry, loading->err,
                            "found %s as the name of a connection; a name begins with a small "
                            "letter and goes on with small letters, digits and _, at most %d, such as \"broker\"",
                            yaml_shown_key(entry, shown), NAME_MAX_BYTES);
    for (const char *const *taken = taken_names; *taken; taken++)
        if (slice_is(name, *taken))
            return yaml_err_key(entry, loading->err,
                                "a connection cannot be named %s, which already means something "
                                "in a flow; expected another name, such as \"my_%s\"",
                                yaml_shown_key(entry, shown), *taken);
    return true;
}

static const struct adapter *find_adapter(const struct loading *loading, const struct yaml *at)
{
    char shown[YAML_SHOWN_MAX];
    struct yaml *name = yaml_get(at, "adapter");
    bool is_name = name && name->kind == YAML_SCALAR && !yaml_is_nothing(name)
                   && strspn(name->text.data, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
                          == name->text.size; /* a URL, with a password in it, is not repeated */
    struct nearest nearest = nearest_for(is_name ? name->text : SLICE_NONE);
    for (const struct adapter *const *adapter = loading->known; *adapter; adapter++) {
        if (is_name && slice_is(name->text, (*adapter)->name))
            return *adapter;
        nearest_offer(&nearest, slice_of((*adapter)->name));
    }
    const char *known = nearest_text(&nearest, "this version has");
    if (!name)
        yaml_err(at, loading->err,
                 "adapter is missing here; expected `adapter: ` and the kind of system that this "
                 "connects to%s",
                 known);
    else if (!is_name)
        yaml_err(name, loading->err, "adapter: found %s; expected the name of an adapter%s", yaml_found(name), known);
    else
        yaml_err(name, loading->err, "adapter: there is no adapter %s%s", yaml_shown(name->text, shown), known);
    return NULL;
}

/* The names of a table and `fuse`, which is a map of its own, ending with NULL; the caller frees the array. */
static const char **names_of(const struct option *options)
{
    size_t count = 0;
    while (options[count].name)
        count++;
    const char **names = mem_zero((count + 2) * sizeof names[0]);
    for (size_t i = 0; i < count; i++)
        names[i] = options[i].name;
    names[count] = "fuse";
    return names;
}

static bool read_connection(struct loading *loading, const struct yaml *at, struct config_connection *connection)
{
    if (!is_connection_name(loading, at))
        return false;
    if (at->kind != YAML_MAP)
        return yaml_err(at, loading->err, "%s: found %s; expected a map such as {adapter: ..., ...}", at->key.data,
                        yaml_found(at));
    connection->name = mem_copy(at->key);
    connection->line = at->key_line;
    connection->adapter = find_adapter(loading, at);
    if (!connection->adapter)
        return false;
    const struct option *own = connection->adapter->options;
    connection->common = settings_new(config_common_options);
    connection->settings = settings_new(own);
    const char **own_names = names_of(own), **common_names = names_of(config_common_options);
    const char *folder = loading->config->folder;
    bool ok =
        yaml_settings(at, config_common_options, own_names, folder, true, connection->common, loading->err)
        && yaml_settings(at, own, common_names, folder, loading->may_read_secrets, connection->settings, loading->err)
        && limits_read_fuse(yaml_get(at, "fuse"), &connection->fuse, loading->err);
    free(own_names);
    free(common_names);
    const char *environment = ok ? settings_text(connection->common, "environment") : NULL;
    connection->is_elsewhere = environment && strcmp(environment, loading->config->environment) != 0;
    return ok;
}

static bool read_connections(struct loading *loading, const struct yaml *at)
{
    if (at && at->kind != YAML_MAP)
        return yaml_err(at, loading->err,
                        "connections: found %s; expected a map of lines such as `broker: "
                        "{adapter: ..., ...}`",
                        yaml_found(at));
    struct config_connection **last = &loading->config->connections;
    for (const struct yaml *entry = at ? at->first : NULL; entry; entry = entry->next) {
        *last = mem_zero(sizeof **last);
        if (!read_connection(loading, entry, *last))
            return false;
        last = &(*last)->next;
    }
    return true;
}

/* ---- the node --------------------------------------------------------------------------------- */

static char *absolute(const char *folder, const char *path)
{
    struct buf whole = BUF_INIT(16384);
    if (path[0] != '/')
        buf_addf(&whole, "%s/", strcmp(folder, "/") == 0 ? "" : folder);
    buf_add_text(&whole, path);
    while (whole.size > 1 && whole.data[whole.size - 1] == '/')
        whole.data[--whole.size] = '\0';
    return buf_take(&whole);
}

static bool read_node(struct loading *loading, const struct yaml *root)
{
    static const char *const elsewhere[] = {"admin", "webhooks", "store", "connections", NULL};
    struct config *config = loading->config;
    struct settings *node = settings_new(node_options);
    bool ok = yaml_settings(root, node_options, elsewhere, config->folder, true, node, loading->err);
    if (ok) {
        config->environment = mem_text(settings_text(node, "environment"));
        config->data = absolute(config->folder, settings_text(node, "data"));
        config->flows = absolute(config->folder, settings_text(node, "flows"));
        config->rules = absolute(config->folder, settings_text(node, "rules"));
    }
    settings_free(node);
    return ok;
}

static bool read_admin_socket(struct loading *loading, const struct yaml *root, const struct settings *admin)
{
    struct config *config = loading->config;
    const char *said = settings_text(admin, "socket");
    config->admin_socket = said ? absolute(config->folder, said) : absolute(config->data, "admin.sock");
    size_t size = strlen(config->admin_socket);
    const struct yaml *cause = said ? yaml_get(yaml_get(root, "admin"), "socket") : yaml_get(root, "data");
    return size <= SOCKET_PATH_MAX
           || yaml_err(cause, loading->err,
                       "%s: the path of the admin socket%s has %zu bytes; allowed are %zu; "
                       "name a shorter one, as in `admin: {socket: /run/headgate/admin.sock}`",
                       said ? "socket" : "data", said ? "" : ", admin.sock in this folder,", size, SOCKET_PATH_MAX);
}

/* The command line does not need the tokens, and may not be allowed to read them. */
static bool read_admin_listen(struct loading *loading, const struct yaml *at, const struct settings *admin)
{
    struct config *config = loading->config;
    const char *listen = settings_text(admin, "listen"), *tokens = settings_text(admin, "tokens");
    struct err why = ERR_INIT;
    if (listen && !endpoint_parse(listen, &config->admin_host, &config->admin_port, &why))
        return yaml_err(yaml_get(at, "listen"), loading->err, "listen: %s", why.text);
    if (tokens && !listen)
        return yaml_err_key(yaml_get(at, "tokens"), loading->err,
                            "tokens: they are for the admin API on TCP, which is not asked for; add `listen: "
                            "\"127.0.0.1:8280\"`, or leave them out");
    config->admin_tokens = tokens ? absolute(config->folder, tokens) : NULL;
    if (tokens && loading->may_read_secrets)
        config->tokens = tokens_load(config->admin_tokens, loading->err);
    return !tokens || !loading->may_read_secrets || config->tokens;
}

static bool read_admin(struct loading *loading, const struct yaml *root)
{
    const struct yaml *at = yaml_get(root, "admin");
    struct settings *admin = settings_new(admin_options);
    bool ok = (!at || yaml_settings(at, admin_options, NULL, loading->config->folder, true, admin, loading->err))
              && read_admin_socket(loading, root, admin) && read_admin_listen(loading, at, admin);
    settings_free(admin);
    return ok;
}

static bool read_store(struct loading *loading, const struct yaml *root)
{
    const struct yaml *at = yaml_get(root, "store");
    struct settings *store = settings_new(store_options);
    bool ok = !at || yaml_settings(at, store_options, NULL, loading->config->folder, true, store, loading->err);
    loading->config->store_limit = settings_number(store, "limit");
    settings_free(store);
    return ok;
}

/* ---- the file ---------------------------------------------------------------------------------- */

/* The file's own place, not that of what a link points to: paths are relative to where a person sees it. */
static bool find_place(const char *path, struct config *config, struct err *err)
{
    char *here = getcwd(NULL, 0);
    if (!here)
        return err_set(err, "%s: cannot tell which folder this is: %s", path, strerror(errno));
    config->path = absolute(here, path);
    free(here);
    char *slash = strrchr(config->path, '/');
    size_t size = (size_t)(slash - config->path);
    config->folder = mem_copy((struct slice){config->path, size ? size : 1});
    return true;
}

struct config *config_load_with(const char *path, const struct adapter *const *known, bool may_read_secrets,
                                struct err *err)
{
    struct config *config = mem_zero(sizeof *config);
    struct loading loading = {path, known, may_read_secrets, config, err};
    struct buf source = BUF_INIT(YAML_SIZE_MAX);
    buf_reserve(&source, YAML_SIZE_MAX); /* at once: growing would leave copies of passwords behind */
    struct yaml *root = NULL;

    bool ok = find_place(path, config, err) && file_read(path, &source, err)
              && (root = yaml_parse(path, buf_slice(&source), err)) != NULL && read_node(&loading, root)
              && read_admin(&loading, root) && config_read_webhooks(config, root, err) && read_store(&loading, root)
              && read_connections(&loading, yaml_get(root, "connections"));

    yaml_tree_free(root);
    explicit_bzero(source.data, source.size);
    buf_clear(&source);
    if (ok)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load(const char *path, struct err *err)
{
    return config_load_with(path, adapters, true, err);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    while (config->connections) {
        struct config_connection *connection = config->connections;
        config->connections = connection->next;
        settings_free(connection->settings);
        settings_free(connection->common);
        free(connection->name);
        free(connection);
    }
    free(config->path);
    free(config->folder);
    free(config->environment);
    free(config->data);
    free(config->flows);
    free(config->rules);
    free(config->admin_socket);
    free(config->webhooks_host);
    free(config->admin_host);
    free(config->admin_tokens);
    tokens_free(config->tokens);
    free(config);
}

const struct config_connection *config_find(const struct config *config, struct slice name)
{
    for (const struct config_connection *connection = config->connections; connection; connection = connection->next)
        if (slice_is(name, connection->name))
            return connection;
    return NULL;
}

const char *config_default_path(void)
{
    return access("headgate.yaml", F_OK) == 0 ? "headgate.yaml" : "/etc/headgate/headgate.yaml";
}
