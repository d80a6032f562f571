/* test_proof.c - who sent a webhook: known signatures, and all that is not quite one */
#include "core/net/proof.h"

#include "core/base/buf.h"

#include "test.h"

static const struct option options[] = {PROOF_OPTIONS, OPTION_END};

#define STANDARD_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define STANDARD_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define STANDARD_TIME "1614265330"
#define STANDARD_NOW INT64_C(1614265330000)
#define STANDARD_BODY "{\"test\": 2432232314}"
#define STANDARD_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

/* Name, value, name, value, ..., NULL. */
static const char *header_in(const void *context, const char *name)
{
    for (const char *const *at = context; *at; at += 2)
        if (strcmp(at[0], name) == 0)
            return at[1];
    return NULL;
}

/* The same list form, of settings. */
static struct proof *proof_of(const char *const *said, struct err *err)
{
    struct settings *settings = settings_new(options);
    struct proof *proof = NULL;
    for (; *said; said += 2)
        settings_set_text(settings, said[0], slice_of(said[1]));
    proof_open(settings, &proof, err);
    settings_free(settings);
    return proof;
}

#define PROOF(...) must((const char *const[]){__VA_ARGS__, NULL})
static struct proof *must(const char *const *said)
{
    struct err err = ERR_INIT;
    struct proof *proof = proof_of(said, &err);
    if (!proof)
        fail_msg("%s", err.text);
    return proof;
}

#define REFUSED(text, ...) is_refused(text, (const char *const[]){__VA_ARGS__, NULL})
static void is_refused(const char *text, const char *const *said)
{
    struct err err = ERR_INIT;
    assert_null(proof_of(said, &err));
    if (!strstr(err.text, text))
        fail_msg("not \"%s\": %s", text, err.text);
    assert_null(strstr(err.text, "hush"));
}

#define FAILS(proof, body, now_ms, ...) fails(proof, body, now_ms, (const char *const[]){__VA_ARGS__, NULL})
static const char *fails(const struct proof *proof, const char *body, int64_t now_ms, const char *const *headers)
{
    struct proof_subject subject = {header_in, headers, slice_of(body), now_ms};
    return proof_fails(proof, &subject);
}

#define STANDARD(proof, now_ms, id, time, signature)                                                                   \
    FAILS(proof, STANDARD_BODY, now_ms, "webhook-id", id, "webhook-timestamp", time, "webhook-signature", signature)

TEST(the_vector_of_standard_webhooks_holds)
{
    struct proof *proof = PROOF("webhook_verify", "standard", "webhook_secret", STANDARD_SECRET "\n");
    assert_null(STANDARD(proof, STANDARD_NOW, STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE));
    assert_null(
        STANDARD(proof, STANDARD_NOW, STANDARD_ID, STANDARD_TIME, "v1a,abc v1,bm9wZQ== " STANDARD_SIGNATURE " v1,x"));
    assert_null(STANDARD(proof, STANDARD_NOW + 299000, STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE));
    assert_non_null(STANDARD(proof, STANDARD_NOW + 301000, STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE));
    assert_non_null(STANDARD(proof, STANDARD_NOW - 301000, STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE));
    assert_non_null(STANDARD(proof, STANDARD_NOW, "msg_other", STANDARD_TIME, STANDARD_SIGNATURE));
    assert_non_null(STANDARD(proof, STANDARD_NOW, STANDARD_ID, "1614265331", STANDARD_SIGNATURE));
    assert_non_null(STANDARD(proof, STANDARD_NOW, STANDARD_ID, STANDARD_TIME, "v1,"));
    assert_non_null(STANDARD(proof, STANDARD_NOW, STANDARD_ID, STANDARD_TIME, ""));
    assert_non_null(STANDARD(proof, STANDARD_NOW, "", STANDARD_TIME, STANDARD_SIGNATURE));
    assert_non_null(FAILS(proof, STANDARD_BODY " ", STANDARD_NOW, "webhook-id", STANDARD_ID, "webhook-timestamp",
                          STANDARD_TIME, "webhook-signature", STANDARD_SIGNATURE));
    assert_non_null(FAILS(proof, STANDARD_BODY, STANDARD_NOW, "webhook-id", STANDARD_ID));
    proof_close(proof);
}

TEST(a_signature_of_the_secret_before_holds_while_it_is_said)
{
    struct proof *both = PROOF("webhook_verify", "standard", "webhook_secret",
                               "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyE=", "webhook_secret_before", STANDARD_SECRET);
    struct proof *only = PROOF("webhook_verify", "standard", "webhook_secret", "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyE=");
    assert_null(STANDARD(both, STANDARD_NOW, STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE));
    assert_non_null(STANDARD(only, STANDARD_NOW, STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE));
    proof_close(both);
    proof_close(only);
}

TEST(a_hmac_in_a_header_holds_as_its_sender_documents_it)
{
    static const char hex[] = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    struct proof *proof = PROOF("webhook_verify", "hmac", "webhook_secret", "It's a Secret to Everybody",
                                "webhook_header", "X-Hub-Signature-256", "webhook_prefix", "sha256=");
    assert_null(FAILS(proof, "Hello, World!", 0, "X-Hub-Signature-256", hex));
    assert_null(FAILS(proof, "Hello, World!", 0, "X-Hub-Signature-256",
                      "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17"));
    assert_non_null(FAILS(proof, "Hello, World", 0, "X-Hub-Signature-256", hex));
    assert_non_null(FAILS(proof, "Hello, World!", 0, "X-Hub-Signature-256", hex + 7));
    assert_non_null(FAILS(proof, "Hello, World!", 0, "X-Hub-Signature-256", "sha256="));
    assert_non_null(FAILS(proof, "Hello, World!", 0, "X-Signature", hex));
    proof_close(proof);
    proof = PROOF("webhook_verify", "hmac", "webhook_secret", "It's a Secret to Everybody", "webhook_header", "X-S",
                  "webhook_encoding", "base64");
    assert_null(FAILS(proof, "Hello, World!", 0, "X-S", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="));
    assert_non_null(FAILS(proof, "Hello, World!", 0, "X-S", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhC="));
    proof_close(proof);
}

TEST(basic_bearer_and_token_hold_for_the_secret_and_nothing_else)
{
    struct proof *basic = PROOF("webhook_verify", "basic", "webhook_secret", "Aladdin:open sesame");
    assert_null(FAILS(basic, "", 0, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_null(FAILS(basic, "", 0, "authorization", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_non_null(FAILS(basic, "", 0, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZTE="));
    assert_non_null(FAILS(basic, "", 0, "authorization", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_non_null(FAILS(basic, "", 0, "x", "y"));
    assert_non_null(strstr(proof_challenge(basic), "Basic"));
    proof_close(basic);
    struct proof *bearer = PROOF("webhook_verify", "bearer", "webhook_secret", "hush");
    assert_null(FAILS(bearer, "", 0, "authorization", "Bearer hush"));
    assert_non_null(FAILS(bearer, "", 0, "authorization", "Bearer hush "));
    assert_non_null(FAILS(bearer, "", 0, "authorization", "Bearer "));
    proof_close(bearer);
    struct proof *token = PROOF("webhook_verify", "token", "webhook_secret", "hush", "webhook_header", "X-Token");
    assert_null(FAILS(token, "", 0, "X-Token", "hush"));
    assert_non_null(FAILS(token, "", 0, "X-Token", "hus"));
    assert_non_null(FAILS(token, "", 0, "X-Other", "hush"));
    proof_close(token);
    struct proof *none = PROOF("webhook_verify", "none");
    assert_null(FAILS(none, "", 0, "x", "y"));
    proof_close(none);
}

TEST(settings_that_contradict_themselves_are_refused_without_the_secret)
{
    struct err err = ERR_INIT;
    assert_null(proof_of((const char *const[]){NULL}, &err));
    assert_string_equal(err.text, "");
    REFUSED("`webhook_secret` without `webhook_verify`", "webhook_secret", "hush");
    REFUSED("needs `webhook_secret`", "webhook_verify", "bearer");
    REFUSED("needs no secret", "webhook_verify", "none", "webhook_secret", "hush");
    REFUSED("needs `webhook_header`", "webhook_verify", "hmac", "webhook_secret", "hush");
    REFUSED("has its own header", "webhook_verify", "bearer", "webhook_secret", "hush", "webhook_header", "X");
    REFUSED("is for `webhook_verify: hmac` only", "webhook_verify", "bearer", "webhook_secret", "hush",
            "webhook_prefix", "x");
    REFUSED("user:password", "webhook_verify", "basic", "webhook_secret", "hush");
    REFUSED("whsec_ and base64", "webhook_verify", "standard", "webhook_secret", "whsec_hush!");
    REFUSED("`webhook_secret_before` is not", "webhook_verify", "standard", "webhook_secret", STANDARD_SECRET,
            "webhook_secret_before", "hush hush");
    REFUSED("not empty", "webhook_verify", "bearer", "webhook_secret", "\n");
}
