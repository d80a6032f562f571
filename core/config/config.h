/* config.h - headgate.yaml, checked */
#ifndef HEADGATE_CONFIG_CONFIG_H
#define HEADGATE_CONFIG_CONFIG_H

#include "core/adapter.h"
#include "core/base/err.h"
#include "core/config/limits.h"
#include "core/config/tokens.h"

/* A connection as it is configured; `common` holds what every adapter's connections may say (config_common_options:
 * adapter, environment, concurrency, rate, max_age, when_unknown). */
struct config_connection {
    char *name;
    const struct adapter *adapter;
    struct settings *settings;      /* the adapter's own options */
    struct settings *common;        /* config_common_options */
    struct limits fuse;             /* below `fuse:` */
    bool is_elsewhere;              /* marked for another environment than this node's: it must not be opened */
    int line;                       /* of its name, for messages */
    struct config_connection *next; /* in the file's order */
};

struct config {
    char *path, *folder;    /* of headgate.yaml; relative paths in it are relative to its folder */
    char *environment;      /* required */
    char *data;             /* absolute; required */
    char *flows, *rules;    /* absolute folders */
    char *admin_socket;     /* absolute; default: DATA/admin.sock; fits into a sockaddr_un */
    char *webhooks_host;    /* `webhooks: {listen: "127.0.0.1:8281"}`; NULL: none are listened for */
    int webhooks_port;      /* 0: any free one */
    int64_t webhooks_limit; /* bytes of a body */
    char *admin_host; /* `admin: {listen: "127.0.0.1:8280"}`: the admin API on TCP beside the socket; NULL: not there */
    int admin_port;   /* 0: any free one */
    char *admin_tokens;   /* absolute path of tokens.yaml; NULL: nobody may do anything there but look at its health */
    struct token *tokens; /* of that file */
    int64_t store_limit;  /* bytes the store may use: `store: {limit: 64GiB}`; at least 8 MiB */
    struct config_connection *connections;
};

extern const struct option config_common_options[];

/* Reads and checks the file, and the secrets that it names.  The error begins with file:line:column where there is
 * one, and holds no secret. */
struct config *config_load(const char *path, struct err *err);
/* The same against any list of adapters (ends with NULL).  `may_read_secrets` false: what connections say stays as it
 * is written, ${env:NAME} and all; for the command line, which only needs to find the daemon's socket. */
struct config *config_load_with(const char *path, const struct adapter *const *known, bool may_read_secrets,
                                struct err *err);
void config_free(struct config *config);
const struct config_connection *config_find(const struct config *config, struct slice name);
/* Where headgate.yaml is looked for without -c: ./headgate.yaml, then /etc/headgate/headgate.yaml. */
const char *config_default_path(void);

#endif
