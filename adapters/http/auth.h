/* auth.h - what auth.c and token.c share: secrets that are overwritten when they are given back */
#ifndef HEADGATE_HTTP_AUTH_H
#define HEADGATE_HTTP_AUTH_H

#include "adapters/http/web.h"

#include <openssl/evp.h>

/* A secret of the settings without the line end that its file may have; NULL after an error.  Freed by web_forget. */
char *web_secret(const struct settings *settings, const char *name, struct err *err);
void web_forget(char *secret);

static inline void web_forget_buf(struct buf *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->room);
    buf_clear(secret);
}

static inline bool web_base64(struct buf *out, struct slice bytes)
{
    char *room = buf_reserve(out, 4 * ((bytes.size + 2) / 3) + 1);
    if (!room)
        return false;
    out->size += (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)bytes.data, (int)bytes.size);
    return true;
}

#endif
