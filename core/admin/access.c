/* access.c - who may ask what
 *
 *      Unix socket      the daemon's own user and root (net/server.c sees to it): everything
 *      TCP, no token    /livez, /readyz; /metrics where the listener is on loopback
 *      TCP, bearer      viewer: GET · operator: also gates and what is held · admin: everything
 *
 * A token is compared by its SHA-256, with every one there is and in constant time, so how long an answer takes tells
 * nothing.  No message has a token in it. */
#include "core/admin/internal.h"

#include "core/base/clock.h"
#include "core/base/endpoint.h"
#include "core/base/log.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <strings.h>

#define COMPLAIN_MS 60000 /* a warning about refused tokens at most this often */

/* What an operator decides; all other changes are an admin's. */
static const char *const operator_paths[] = {"/v1/flows/", "/v1/held", "/v1/campaigns", "/v1/suppressed", NULL};

static enum role role_needed(const char *method, const char *path)
{
    if (strcmp(method, "GET") == 0)
        return ROLE_VIEWER;
    for (const char *const *each = operator_paths; *each; each++)
        if (strncmp(path, *each, strlen(*each)) == 0)
            return ROLE_OPERATOR;
    return ROLE_ADMIN;
}

static bool is_open_to_all(const struct admin *admin, const char *method, const char *path)
{
    bool looks = strcmp(method, "GET") == 0;
    if (!looks)
        return false;
    if (strcmp(path, "/livez") == 0 || strcmp(path, "/readyz") == 0)
        return true;
    return strcmp(path, "/metrics") == 0 && endpoint_is_loopback(engine_config(admin->engine)->admin_host);
}

static const struct token *find_token(const struct admin *admin, struct slice said)
{
    unsigned char digest[HASH_SIZE];
    const struct token *found = NULL;
    token_digest(said, digest);
    for (const struct token *each = engine_config(admin->engine)->tokens; each; each = each->next)
        if (CRYPTO_memcmp(each->digest, digest, HASH_SIZE) == 0)
            found = each; /* and on to the last: every request takes the same time */
    return found;
}

static void refuse(struct admin *admin, struct request *request, bool has_token)
{
    admin->refused++;
    int64_t now_ms = clock_mono_ns() / 1000000;
    if (has_token && (!admin->complained_ms || now_ms - admin->complained_ms >= COMPLAIN_MS)) {
        log_warning("admin API: a request with a token that is not in %s was refused (%lld refused since the start)",
                    engine_config(admin->engine)->admin_tokens ? engine_config(admin->engine)->admin_tokens
                                                               : "any file of tokens",
                    (long long)admin->refused);
        admin->complained_ms = now_ms;
    }
    request_reply_header(request, "WWW-Authenticate", "Bearer realm=\"headgate\"");
    reply_error(request, 401, "%s",
                !engine_config(admin->engine)->admin_tokens
                    ? "nobody may ask this here: headgate.yaml names no file of tokens (admin: tokens)"
                : has_token ? "this token is not known here"
                            : "a token is needed: Authorization: Bearer TOKEN");
}

bool access_allows(struct admin *admin, struct request *request)
{
    static const char scheme[] = "Bearer ";
    const char *method = request_method(request), *path = request_path(request);
    if (request_peer_uid(request) != (unsigned)-1 || is_open_to_all(admin, method, path))
        return true;
    const char *header = request_header(request, "Authorization");
    bool has_token = header && strncasecmp(header, scheme, sizeof scheme - 1) == 0;
    const struct token *token = has_token ? find_token(admin, slice_of(header + sizeof scheme - 1)) : NULL;
    if (!token) {
        refuse(admin, request, has_token);
        return false;
    }
    enum role needed = role_needed(method, path);
    if (token->role < needed) {
        reply_error(request, 403, "%s has the role %s; %s %s needs the role %s", token->name, role_name(token->role),
                    method, path, role_name(needed));
        return false;
    }
    request_set_user(request, token->name);
    return true;
}
