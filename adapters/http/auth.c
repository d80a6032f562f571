/* auth.c - who we are, as a far side wants to hear it; see web.h
 *
 * A connection has one way: a bearer token, user and password, a key in a header, or OAuth 2.0 (token.c).  Beside it
 * the body may be signed.  What is secret is kept here and in no text: a far side that repeats it is overwritten. */
#include "adapters/http/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SECRET_MAX 8000
#define HIDE_LEAST 4 /* bytes: a shorter "secret" would stand in every text */

struct web_auth {
    char *line;              /* "Authorization: Bearer ...", owned; NULL: none, or a token's */
    char *secrets[4];        /* to hide; owned; NULL: none */
    struct web_token *token; /* NULL: no OAuth */
    bool signs, is_standard, is_base64;
    struct buf sign_key;
    char *sign_header, *sign_prefix; /* of sign: hmac */
};

void web_forget(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

char *web_secret(const struct settings *settings, const char *name, struct err *err)
{
    struct slice text = slice_of(settings_text(settings, name));
    while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
        text.size--;
    bool ok = text.size > 0 && text.size <= SECRET_MAX;
    for (size_t i = 0; ok && i < text.size; i++)
        ok = (unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f;
    if (ok)
        return mem_copy(text);
    err_set(err, "`%s` is empty, too long, or not one line", name);
    return NULL;
}

/* ---- what is set --------------------------------------------------------------------------------------- */

static bool need_both(const struct settings *settings, const char *a, const char *b, struct err *err)
{
    if (settings_has(settings, a) == settings_has(settings, b))
        return true;
    bool has_a = settings_has(settings, a);
    return err_set(err, "`%s` needs `%s`, too", has_a ? a : b, has_a ? b : a);
}

static bool check_ways(const struct settings *settings, struct err *err)
{
    static const char *const ways[] = {"bearer", "user", "key", "oauth"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (!settings_has(settings, ways[i]))
            continue;
        if (found)
            return err_set(err, "`%s` and `%s` are two ways to say who we are: leave one out", found, ways[i]);
        found = ways[i];
    }
    return need_both(settings, "user", "password", err) && need_both(settings, "key", "key_header", err)
           && need_both(settings, "client_id", "client_secret", err) && need_both(settings, "oauth", "client_id", err)
           && need_both(settings, "sign", "sign_secret", err);
}

static bool make_line(struct web_auth *auth, const struct settings *settings, struct err *err)
{
    struct buf line = BUF_INIT(2 * SECRET_MAX), pair = BUF_INIT(2 * SECRET_MAX);
    bool is_basic = settings_has(settings, "user"), is_key = settings_has(settings, "key");
    const char *name = is_basic ? "password" : is_key ? "key" : "bearer";
    if (!settings_has(settings, name))
        return true;
    bool ok = (auth->secrets[0] = web_secret(settings, name, err)) != NULL;
    if (ok && is_basic) {
        const char *user = settings_text(settings, "user");
        ok = !strchr(user, ':') || err_set(err, "`user` cannot have a colon in it");
        buf_addf(&pair, "%s:%s", user, auth->secrets[0]);
        ok = ok && buf_add_text(&line, "Authorization: Basic ") && web_base64(&line, buf_slice(&pair));
        if (ok)
            auth->secrets[1] = mem_text(line.data + sizeof "Authorization: Basic " - 1);
    } else if (ok && is_key) {
        const char *header = settings_text(settings, "key_header");
        ok = web_header_check(NULL, slice_of(header), slice_of(auth->secrets[0]), err)
             && buf_addf(&line, "%s: %s", header, auth->secrets[0]);
    } else if (ok) {
        ok = buf_addf(&line, "Authorization: Bearer %s", auth->secrets[0]);
    }
    if (ok)
        auth->line = mem_text(line.data);
    web_forget_buf(&line);
    web_forget_buf(&pair);
    return ok;
}

static bool make_signature(struct web_auth *auth, const struct settings *settings, struct err *err)
{
    const char *sign = settings_text(settings, "sign"), *header = settings_text(settings, "sign_header");
    if (!sign)
        return !header || err_set(err, "`sign_header` without `sign` makes no sense: leave it out");
    auth->signs = true;
    auth->is_standard = strcmp(sign, "standard") == 0;
    auth->is_base64 = strcmp(settings_text(settings, "sign_encoding"), "base64") == 0;
    auth->secrets[2] = web_secret(settings, "sign_secret", err);
    if (!auth->secrets[2])
        return false;
    if (auth->is_standard)
        return proof_standard_key(&auth->sign_key, auth->secrets[2])
               || err_set(err, "`sign_secret` is not what `sign: standard` needs: whsec_ and base64");
    if (!header)
        return err_set(err, "`sign: hmac` needs `sign_header`: the name of the header that the signature stands in");
    auth->sign_header = mem_text(header);
    auth->sign_prefix = mem_text(settings_has(settings, "sign_prefix") ? settings_text(settings, "sign_prefix") : "");
    return web_header_check(NULL, slice_of(header), slice_of("x"), err)
           && buf_add_text(&auth->sign_key, auth->secrets[2]);
}

struct web_auth *web_auth_open(struct connection *connection, struct err *err)
{
    const struct settings *settings = connection->settings;
    struct web_auth *auth = mem_zero(sizeof *auth);
    auth->sign_key = (struct buf)BUF_INIT(SECRET_MAX);
    bool ok = check_ways(settings, err) && make_line(auth, settings, err) && make_signature(auth, settings, err);
    if (ok && settings_has(settings, "oauth"))
        ok = (auth->token = web_token_open(connection, err)) != NULL;
    if (ok)
        return auth;
    web_auth_close(auth);
    return NULL;
}

void web_auth_close(struct web_auth *auth)
{
    if (!auth)
        return;
    web_token_close(auth->token);
    web_forget(auth->line);
    for (size_t i = 0; i < sizeof auth->secrets / sizeof auth->secrets[0]; i++)
        web_forget(auth->secrets[i]);
    web_forget_buf(&auth->sign_key);
    free(auth->sign_header);
    free(auth->sign_prefix);
    free(auth);
}

/* ---- what is sent ----------------------------------------------------------------------------------------- */

bool web_auth_renews(const struct web_auth *auth)
{
    return auth->token != NULL;
}

void web_auth_line(struct web_auth *auth, const char *refused, web_line_done *done, void *context)
{
    if (auth->token)
        web_token_line(auth->token, refused, done, context);
    else
        done(auth->line ? auth->line : "", NULL, context);
}

static bool sign_standard(const struct web_auth *auth, const char *id, struct slice body, int64_t now_ms,
                          struct buf *lines)
{
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(now_ms / 1000));
    return buf_addf(lines, "webhook-id: %s\nwebhook-timestamp: %s\nwebhook-signature: ", id, seconds)
           && proof_sign_standard(lines, buf_slice(&auth->sign_key), slice_of(id), slice_of(seconds), body)
           && buf_add_char(lines, '\n');
}

bool web_auth_sign(const struct web_auth *auth, const char *id, struct slice body, int64_t now_ms, struct buf *lines)
{
    if (!auth->signs)
        return true;
    if (auth->is_standard)
        return sign_standard(auth, id, body, now_ms, lines);
    return buf_addf(lines, "%s: %s", auth->sign_header, auth->sign_prefix)
           && proof_sign_hmac(lines, buf_slice(&auth->sign_key), body, auth->is_base64) && buf_add_char(lines, '\n');
}

bool web_auth_owns(const struct settings *settings, struct slice header)
{
    static const char *const options[] = {"key_header", "sign_header", "idempotency_header"};
    static const char *const standard[] = {"webhook-id", "webhook-timestamp", "webhook-signature"};
    const char *sign = settings_text(settings, "sign");
    for (size_t i = 0; i < 3; i++) {
        const char *name = settings_text(settings, options[i]);
        if (name && strlen(name) == header.size && strncasecmp(name, header.data, header.size) == 0)
            return true;
        if (sign && strcmp(sign, "standard") == 0 && strlen(standard[i]) == header.size
            && strncasecmp(standard[i], header.data, header.size) == 0)
            return true;
    }
    return false;
}

/* ---- what is not told --------------------------------------------------------------------------------------- */

void web_hide(const char *secret, char *text)
{
    size_t size = secret ? strlen(secret) : 0;
    if (size < HIDE_LEAST)
        return;
    for (char *at = strstr(text, secret); at; at = strstr(at, secret))
        memset(at, '*', size);
    size_t cut = strlen(text); /* the text may have been cut inside of it */
    for (size_t most = size - 1 < cut ? size - 1 : cut; most >= HIDE_LEAST; most--) {
        if (memcmp(text + cut - most, secret, most) == 0) {
            memset(text + cut - most, '*', most);
            return;
        }
    }
}

void web_auth_hide(const struct web_auth *auth, char *text)
{
    for (size_t i = 0; i < sizeof auth->secrets / sizeof auth->secrets[0]; i++)
        web_hide(auth->secrets[i], text);
    if (auth->token)
        web_token_hide(auth->token, text);
}
