/* tokens.h - who may use the admin API over the network, and for what: tokens.yaml
 *
 *     - {name: monitoring, role: viewer, token: "${file:monitoring.token}"}
 *     - {name: ada, role: admin, sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}
 *
 * A token is kept as its SHA-256 only, however it was written.  Whoever holds one acts under its name: that name is
 * what the audit keeps. */
#ifndef HEADGATE_CONFIG_TOKENS_H
#define HEADGATE_CONFIG_TOKENS_H

#include "core/base/err.h"
#include "core/base/hash.h"

#include <stdbool.h>

/* Each may do what those before it may, and more. */
enum role {
    ROLE_VIEWER,   /* looks */
    ROLE_OPERATOR, /* opens and closes gates, decides what becomes of the held */
    ROLE_ADMIN     /* deploys, reloads */
};

struct token {
    char *name;
    enum role role;
    unsigned char digest[HASH_SIZE]; /* SHA-256 of the token */
    struct token *next;              /* in the file's order */
};

/* Reads and checks the file, which may not be open to others; NULL with an error, which holds no token. */
struct token *tokens_load(const char *path, struct err *err);
void tokens_free(struct token *tokens);
bool tokens_equal(const struct token *a, const struct token *b);
const char *role_name(enum role role);
void token_digest(struct slice token, unsigned char digest[HASH_SIZE]);

#endif
