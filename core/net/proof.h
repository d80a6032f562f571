/* proof.h - does this request come from who may send it?
 *
 * A connection says once how the webhooks of its far side are proven (PROOF_OPTIONS), with a secret that no flow
 * sees.  All compares take the same time whatever is compared.
 *
 *     standard   Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature "v1,BASE64 v1,BASE64"
 *     hmac       one header holds the HMAC-SHA256 of the body, as in X-Hub-Signature-256: sha256=HEX
 *     basic      Authorization: Basic; the secret is user:password
 *     bearer     Authorization: Bearer SECRET
 *     token      one header holds the secret itself
 *     none       whoever reaches the listener is believed */
#ifndef HEADGATE_NET_PROOF_H
#define HEADGATE_NET_PROOF_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/option.h"
#include "core/base/settings.h"

#define PROOF_TOLERANCE_MS ((int64_t)300000) /* how far a time stamp may be off, both ways */

/* Rows for the options of a connection that takes webhooks. */
#define PROOF_OPTIONS                                                                                                  \
    {.name = "webhook_verify",                                                                                         \
     .kind = OPTION_TEXT,                                                                                              \
     .choices = "standard|hmac|basic|bearer|token|none",                                                               \
     .help = "How webhooks prove who sent them; without it none are taken."},                                          \
        {.name = "webhook_secret",                                                                                     \
         .kind = OPTION_SECRET,                                                                                        \
         .help = "What proves them: whsec_... (standard), the key (hmac), user:password (basic), or the token."},      \
        {.name = "webhook_secret_before",                                                                              \
         .kind = OPTION_SECRET,                                                                                        \
         .help = "The secret before this one, taken as well while the sender is changing over."},                      \
        {.name = "webhook_header",                                                                                     \
         .kind = OPTION_TEXT,                                                                                          \
         .least = 1,                                                                                                   \
         .most = 100,                                                                                                  \
         .help = "hmac, token: the header that holds it, such as X-Hub-Signature-256."},                               \
        {.name = "webhook_prefix",                                                                                     \
         .kind = OPTION_TEXT,                                                                                          \
         .most = 40,                                                                                                   \
         .help = "hmac: what stands before the signature in its header, such as sha256=."},                            \
    {                                                                                                                  \
        .name = "webhook_encoding", .kind = OPTION_TEXT, .choices = "hex|base64", .fallback = "hex",                   \
        .help = "hmac: how the signature is written."                                                                  \
    }

struct proof;

/* What is proven. */
struct proof_subject {
    const char *(*header)(const void *context, const char *name); /* any case; NULL: there is none */
    const void *context;                                          /* of `header` */
    struct slice body;                                            /* as it came, byte for byte */
    int64_t now_ms;
};

/* *proof is NULL where the settings say nothing of webhooks.  False: they contradict themselves. */
bool proof_open(const struct settings *settings, struct proof **proof, struct err *err);
void proof_close(struct proof *proof);
/* NULL: it holds.  Else why not, for a log: a constant. */
const char *proof_fails(const struct proof *proof, const struct proof_subject *subject);
/* For WWW-Authenticate; NULL: there is no such scheme. */
const char *proof_challenge(const struct proof *proof);

/* The value of webhook-signature for one secret ("v1,..."), or of a HMAC header without its prefix; for who signs.
 * `key`: raw bytes.  Added to `out`. */
bool proof_sign_standard(struct buf *out, struct slice key, struct slice id, struct slice timestamp, struct slice body);
bool proof_sign_hmac(struct buf *out, struct slice key, struct slice body, bool is_base64);
/* The bytes of a secret "whsec_BASE64" (the prefix may be missing), added to `key`; false: it is none. */
bool proof_standard_key(struct buf *key, const char *secret);

#endif
