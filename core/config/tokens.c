/* tokens.c - see tokens.h */
#include "core/config/tokens.h"

#include "core/base/file.h"
#include "core/config/yaml.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TOKEN_LEAST 16 /* bytes of a token: a shorter one can be guessed */

static const struct option token_options[] = {
    {.name = "name",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 64,
     .help = "who this is; the audit says it"},
    {.name = "role",
     .kind = OPTION_TEXT,
     .is_required = true,
     .choices = "viewer|operator|admin",
     .help = "viewer looks, operator opens gates and decides about the held, admin also deploys"},
    {.name = "token",
     .kind = OPTION_SECRET,
     .least = TOKEN_LEAST,
     .most = 1000,
     .help = "the token itself, better as a reference"},
    {.name = "sha256",
     .kind = OPTION_TEXT,
     .least = 2 * HASH_SIZE,
     .most = 2 * HASH_SIZE,
     .help = "instead of the token: its SHA-256 in hexadecimal digits"},
    OPTION_END,
};

const char *role_name(enum role role)
{
    static const char *const names[] = {"viewer", "operator", "admin"};
    return names[role];
}

void token_digest(struct slice token, unsigned char digest[HASH_SIZE])
{
    if (EVP_Digest(token.data, token.size, digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

static enum role role_of(const char *name)
{
    return strcmp(name, "admin") == 0 ? ROLE_ADMIN : strcmp(name, "operator") == 0 ? ROLE_OPERATOR : ROLE_VIEWER;
}

static bool parse_digest(const char *hex, unsigned char digest[HASH_SIZE])
{
    for (size_t i = 0; i < HASH_SIZE; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        if (strspn(pair, "0123456789abcdefABCDEF") != 2)
            return false;
        digest[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return true;
}

static bool take_digest(const struct yaml *at, const struct settings *said, struct token *token, struct err *err)
{
    const char *plain = settings_text(said, "token"), *hashed = settings_text(said, "sha256");
    if (!plain == !hashed)
        return yaml_err(at, err, "expected either `token: ` or `sha256: ` here, found %s", plain ? "both" : "neither");
    if (plain)
        token_digest(slice_of(plain), token->digest);
    else if (!parse_digest(hashed, token->digest))
        return yaml_err(yaml_get(at, "sha256"), err,
                        "sha256: expected 64 hexadecimal digits, as `printf %%s TOKEN | sha256sum` prints them");
    return true;
}

static bool is_new(const struct yaml *at, const struct token *others, const struct token *token, struct err *err)
{
    for (; others && others != token; others = others->next) {
        if (strcmp(others->name, token->name) == 0)
            return yaml_err(at, err, "the name %s stands here a second time; the audit could not tell them apart",
                            token->name);
        if (memcmp(others->digest, token->digest, HASH_SIZE) == 0)
            return yaml_err(at, err, "%s has the same token as %s; the audit could not tell them apart", token->name,
                            others->name);
    }
    return true;
}

static bool read_token(const struct yaml *at, const char *folder, struct token *token, struct err *err)
{
    if (at->kind != YAML_MAP)
        return yaml_err(at, err,
                        "found %s; expected a map such as {name: ada, role: admin, token: \"${file:ada.token}\"}",
                        yaml_found(at));
    struct settings *said = settings_new(token_options);
    bool ok = yaml_settings(at, token_options, NULL, folder, true, said, err) && take_digest(at, said, token, err);
    if (ok) {
        token->name = mem_text(settings_text(said, "name"));
        token->role = role_of(settings_text(said, "role"));
    }
    settings_free(said);
    return ok;
}

static bool read_list(const struct yaml *root, const char *folder, struct token **tokens, struct err *err)
{
    struct token **last = tokens;
    if (root->kind != YAML_LIST || !root->first)
        return yaml_err(root, err,
                        "found %s; expected a list of tokens, each a line such as `- {name: ada, role: admin, "
                        "token: \"${file:ada.token}\"}`",
                        root->kind == YAML_LIST ? "an empty list" : yaml_found(root));
    for (const struct yaml *item = root->first; item; item = item->next) {
        *last = mem_zero(sizeof **last);
        if (!read_token(item, folder, *last, err) || !is_new(item, *tokens, *last, err))
            return false;
        last = &(*last)->next;
    }
    return true;
}

static bool is_private(const char *path, struct err *err)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    return (about.st_mode & S_IRWXO) == 0
           || err_set(err,
                      "%s: its mode %03o lets every user of this machine in; it decides who may change this node, so "
                      "`chmod o= %s` first",
                      path, (unsigned)about.st_mode & 0777, path);
}

struct token *tokens_load(const char *path, struct err *err)
{
    struct token *tokens = NULL;
    struct buf source = BUF_INIT(YAML_SIZE_MAX);
    buf_reserve(&source, YAML_SIZE_MAX); /* at once: growing would leave copies behind */
    struct yaml *root = NULL;
    char *folder = mem_text(path), *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    bool ok = is_private(path, err) && file_read(path, &source, err)
              && (root = yaml_parse(path, buf_slice(&source), err)) != NULL && read_list(root, folder, &tokens, err);
    yaml_tree_free(root);
    explicit_bzero(source.data, source.size);
    buf_clear(&source);
    free(folder);
    if (ok)
        return tokens;
    tokens_free(tokens);
    return NULL;
}

void tokens_free(struct token *tokens)
{
    while (tokens) {
        struct token *token = tokens;
        tokens = token->next;
        free(token->name);
        free(token);
    }
}

bool tokens_equal(const struct token *a, const struct token *b)
{
    for (; a && b; a = a->next, b = b->next)
        if (strcmp(a->name, b->name) != 0 || a->role != b->role || memcmp(a->digest, b->digest, HASH_SIZE) != 0)
            return false;
    return !a && !b;
}
