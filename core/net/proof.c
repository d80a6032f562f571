/* proof.c - see proof.h */
#include "core/net/proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <strings.h>

#define MAC_SIZE 32
#define TEXT_MAX 4000 /* bytes of a secret, and of a header that is looked at */
#define SECRETS 2     /* the present one and the one before */

enum scheme { SCHEME_STANDARD, SCHEME_HMAC, SCHEME_BASIC, SCHEME_BEARER, SCHEME_TOKEN, SCHEME_NONE };
static const char *const scheme_names[] = {"standard", "hmac", "basic", "bearer", "token", "none"};

struct proof {
    enum scheme scheme;
    char *keys[SECRETS]; /* owned: raw bytes, or the whole text that is expected */
    size_t sizes[SECRETS];
    unsigned count; /* of keys */
    char *header;   /* hmac, token: whose value is looked at */
    char *prefix;   /* hmac: of the value; never NULL */
    bool is_base64; /* hmac: the signature, not hex */
};

/* ---- signatures ---------------------------------------------------------------------------------- */

static bool add_base64(struct buf *out, const unsigned char *bytes, size_t size)
{
    char *room = buf_reserve(out, 4 * ((size + 2) / 3) + 1);
    if (!room)
        return false;
    out->size += (size_t)EVP_EncodeBlock((unsigned char *)room, bytes, (int)size);
    return true;
}

bool proof_sign_hmac(struct buf *out, struct slice key, struct slice body, bool is_base64)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char mac[MAC_SIZE];
    if (!HMAC(EVP_sha256(), key.data ? key.data : "", (int)key.size,
              (const unsigned char *)(body.data ? body.data : ""), body.size, mac, NULL))
        return false;
    if (is_base64)
        return add_base64(out, mac, sizeof mac);
    for (size_t i = 0; i < sizeof mac; i++)
        buf_add(out, (char[]){digits[mac[i] >> 4], digits[mac[i] & 15]}, 2);
    return !out->is_over;
}

bool proof_sign_standard(struct buf *out, struct slice key, struct slice id, struct slice timestamp, struct slice body)
{
    struct buf text = BUF_INIT(id.size + timestamp.size + body.size + 2);
    bool ok = buf_add_slice(&text, id) && buf_add_char(&text, '.') && buf_add_slice(&text, timestamp)
              && buf_add_char(&text, '.') && buf_add_slice(&text, body) && buf_add_text(out, "v1,")
              && proof_sign_hmac(out, key, buf_slice(&text), true);
    buf_clear(&text);
    return ok;
}

bool proof_standard_key(struct buf *key, const char *secret)
{
    struct slice text = slice_of(strncmp(secret, "whsec_", 6) == 0 ? secret + 6 : secret);
    while (text.size && text.data[text.size - 1] == '=')
        text.size--;
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!text.size || strspn(text.data, letters) < text.size || text.size % 4 == 1 || text.size > TEXT_MAX)
        return false;
    struct buf padded = BUF_INIT(TEXT_MAX + 4);
    buf_add_slice(&padded, text);
    while (padded.size % 4)
        buf_add_char(&padded, '=');
    char *room = buf_reserve(key, padded.size);
    int size = room ? EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)padded.data, (int)padded.size) : -1;
    if (size >= 0)
        key->size += (size_t)size - (padded.size - text.size);
    explicit_bzero(padded.data, padded.size);
    buf_clear(&padded);
    return size >= 0;
}

/* Takes the same time whatever is in them: what is compared has one size, that of a digest. */
static bool is_same(struct slice a, struct slice b)
{
    unsigned char digests[2][MAC_SIZE];
    bool ok = EVP_Digest(a.data ? a.data : "", a.size, digests[0], NULL, EVP_sha256(), NULL)
              && EVP_Digest(b.data ? b.data : "", b.size, digests[1], NULL, EVP_sha256(), NULL);
    return ok && CRYPTO_memcmp(digests[0], digests[1], MAC_SIZE) == 0;
}

/* ---- what is set ----------------------------------------------------------------------------------- */

static void forget(struct buf *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->room);
    buf_clear(secret);
}

/* A secret that was read from a file brings the file's line end along. */
static struct slice trimmed(const char *text)
{
    struct slice slice = slice_of(text);
    while (slice.size && strchr(" \t\r\n", slice.data[slice.size - 1]))
        slice.size--;
    return slice;
}

static bool add_key(struct proof *proof, const char *name, const char *said, struct err *err)
{
    struct buf key = BUF_INIT(2 * TEXT_MAX);
    struct slice text = trimmed(said);
    char *secret = mem_copy(text);
    bool ok = text.size > 0 && text.size <= TEXT_MAX;
    if (ok && proof->scheme == SCHEME_STANDARD)
        ok = proof_standard_key(&key, secret);
    else if (ok && proof->scheme == SCHEME_BASIC)
        ok = strchr(secret, ':') && buf_add_text(&key, "Basic ")
             && add_base64(&key, (const unsigned char *)secret, text.size);
    else if (ok && proof->scheme == SCHEME_BEARER)
        ok = buf_addf(&key, "Bearer %s", secret);
    else if (ok)
        ok = buf_add_slice(&key, text);
    if (ok) {
        proof->sizes[proof->count] = key.size;
        proof->keys[proof->count++] = mem_copy(buf_slice(&key));
    }
    explicit_bzero(secret, text.size);
    free(secret);
    forget(&key);
    return ok
           || err_set(err, "`%s` is not what `webhook_verify: %s` needs: %s", name, scheme_names[proof->scheme],
                      proof->scheme == SCHEME_STANDARD ? "whsec_ and base64"
                      : proof->scheme == SCHEME_BASIC  ? "user:password"
                                                       : "a text that is not empty, of at most 4000 bytes");
}

static bool check_header(struct proof *proof, const struct settings *settings, struct err *err)
{
    const char *header = settings_text(settings, "webhook_header"), *prefix = settings_text(settings, "webhook_prefix");
    bool needs = proof->scheme == SCHEME_HMAC || proof->scheme == SCHEME_TOKEN;
    if (needs != (header != NULL))
        return err_set(err,
                       needs ? "`webhook_verify: %s` needs `webhook_header`: the name of the header that holds it"
                             : "`webhook_verify: %s` has its own header: leave `webhook_header` out",
                       scheme_names[proof->scheme]);
    if (prefix && proof->scheme != SCHEME_HMAC)
        return err_set(err, "`webhook_prefix` is for `webhook_verify: hmac` only: leave it out");
    proof->header = mem_text(header);
    proof->prefix = mem_text(prefix ? prefix : "");
    proof->is_base64 = strcmp(settings_text(settings, "webhook_encoding"), "base64") == 0;
    return true;
}

static bool read_settings(struct proof *proof, const struct settings *settings, struct err *err)
{
    const char *secret = settings_text(settings, "webhook_secret");
    const char *before = settings_text(settings, "webhook_secret_before");
    if (!check_header(proof, settings, err))
        return false;
    if ((proof->scheme == SCHEME_NONE) != (secret == NULL))
        return err_set(err, secret ? "`webhook_verify: none` needs no secret: leave `webhook_secret` out"
                                   : "`webhook_verify` needs `webhook_secret`, too");
    if (before && !secret)
        return err_set(err, "`webhook_secret_before` without `webhook_secret` makes no sense: leave it out");
    return (!secret || add_key(proof, "webhook_secret", secret, err))
           && (!before || add_key(proof, "webhook_secret_before", before, err));
}

bool proof_open(const struct settings *settings, struct proof **proof, struct err *err)
{
    const char *verify = settings_text(settings, "webhook_verify");
    *proof = NULL;
    if (!verify) {
        static const char *const others[] = {"webhook_secret", "webhook_secret_before", "webhook_header",
                                             "webhook_prefix"};
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            if (settings_has(settings, others[i]))
                return err_set(err, "`%s` without `webhook_verify`: say how webhooks are verified", others[i]);
        return true;
    }
    *proof = mem_zero(sizeof **proof);
    while (strcmp(scheme_names[(*proof)->scheme], verify) != 0)
        (*proof)->scheme++;
    if (read_settings(*proof, settings, err))
        return true;
    proof_close(*proof);
    *proof = NULL;
    return false;
}

void proof_close(struct proof *proof)
{
    if (!proof)
        return;
    for (unsigned i = 0; i < proof->count; i++) {
        explicit_bzero(proof->keys[i], proof->sizes[i]);
        free(proof->keys[i]);
    }
    free(proof->header);
    free(proof->prefix);
    free(proof);
}

const char *proof_challenge(const struct proof *proof)
{
    return proof->scheme == SCHEME_BASIC    ? "Basic realm=\"webhooks\", charset=\"UTF-8\""
           : proof->scheme == SCHEME_BEARER ? "Bearer realm=\"webhooks\""
                                            : NULL;
}

/* ---- what comes -------------------------------------------------------------------------------------- */

static struct slice key_at(const struct proof *proof, unsigned i)
{
    return (struct slice){proof->keys[i], proof->sizes[i]};
}

static bool is_one_of(const struct proof *proof, struct slice given)
{
    bool is_one = false;
    for (unsigned i = 0; i < proof->count; i++)
        is_one |= is_same(given, key_at(proof, i));
    return is_one;
}

/* The scheme's name is written in any case. */
static const char *authorization_fails(const struct proof *proof, const char *given)
{
    const char *scheme = proof->scheme == SCHEME_BASIC ? "Basic " : "Bearer ";
    size_t size = strlen(scheme);
    if (!given)
        return "it has no Authorization header";
    if (strncasecmp(given, scheme, size) != 0)
        return "its Authorization is of another kind";
    struct buf text = BUF_INIT(2 * TEXT_MAX);
    bool ok = buf_add_text(&text, scheme) && buf_add_text(&text, given + size) && is_one_of(proof, buf_slice(&text));
    forget(&text);
    return ok ? NULL : "its Authorization is not the right one";
}

static const char *hmac_fails(const struct proof *proof, const struct proof_subject *subject)
{
    const char *given = subject->header(subject->context, proof->header);
    size_t prefix = strlen(proof->prefix);
    if (!given)
        return "it has no signature";
    if (strncmp(given, proof->prefix, prefix) != 0)
        return "its signature has another prefix";
    char *text = mem_text(given + prefix);
    for (char *c = text; *c && !proof->is_base64; c++)
        *c = *c >= 'A' && *c <= 'F' ? (char)(*c + 32) : *c;
    bool fits = false;
    for (unsigned i = 0; i < proof->count; i++) {
        struct buf wanted = BUF_INIT(200);
        fits |= proof_sign_hmac(&wanted, key_at(proof, i), subject->body, proof->is_base64)
                && is_same(slice_of(text), buf_slice(&wanted));
        buf_clear(&wanted);
    }
    free(text);
    return fits ? NULL : "its signature does not fit";
}

static const char *timestamp_fails(const char *timestamp, int64_t now_ms)
{
    size_t digits = strspn(timestamp, "0123456789");
    if (!digits || digits > 12 || timestamp[digits])
        return "its webhook-timestamp is no time";
    int64_t off_ms = now_ms - strtoll(timestamp, NULL, 10) * 1000;
    return off_ms > PROOF_TOLERANCE_MS    ? "its webhook-timestamp is older than five minutes"
           : off_ms < -PROOF_TOLERANCE_MS ? "its webhook-timestamp is more than five minutes ahead"
                                          : NULL;
}

/* Several signatures stand behind each other with spaces; those of other versions are passed over. */
static bool has_signature(const char *list, struct slice wanted)
{
    bool fits = false;
    for (const char *at = list; *at;) {
        at += strspn(at, " ");
        struct slice one = {at, strcspn(at, " ")};
        fits |= is_same(one, wanted);
        at += one.size;
    }
    return fits;
}

static const char *standard_fails(const struct proof *proof, const struct proof_subject *subject)
{
    const char *id = subject->header(subject->context, "webhook-id");
    const char *timestamp = subject->header(subject->context, "webhook-timestamp");
    const char *list = subject->header(subject->context, "webhook-signature");
    if (!id || !id[0] || !timestamp || !list)
        return "it has no webhook-id, webhook-timestamp or webhook-signature";
    if (strlen(list) > TEXT_MAX)
        return "its webhook-signature is too long";
    bool fits = false;
    for (unsigned i = 0; i < proof->count; i++) {
        struct buf wanted = BUF_INIT(200);
        fits |= proof_sign_standard(&wanted, key_at(proof, i), slice_of(id), slice_of(timestamp), subject->body)
                && has_signature(list, buf_slice(&wanted));
        buf_clear(&wanted);
    }
    return fits ? timestamp_fails(timestamp, subject->now_ms) : "its signature does not fit";
}

const char *proof_fails(const struct proof *proof, const struct proof_subject *subject)
{
    const char *token;
    switch (proof->scheme) {
    case SCHEME_STANDARD: return standard_fails(proof, subject);
    case SCHEME_HMAC: return hmac_fails(proof, subject);
    case SCHEME_BASIC:
    case SCHEME_BEARER: return authorization_fails(proof, subject->header(subject->context, "authorization"));
    case SCHEME_TOKEN:
        token = subject->header(subject->context, proof->header);
        return !token ? "it has no token" : is_one_of(proof, slice_of(token)) ? NULL : "its token is not the right one";
    case SCHEME_NONE: break;
    }
    return NULL;
}
