/* message.h - the bytes of one mail */
#ifndef HEADGATE_SMTP_MESSAGE_H
#define HEADGATE_SMTP_MESSAGE_H

#include "adapters/smtp/address.h"
#include "core/base/buf.h"

#include <jansson.h>
#include <stdint.h>

#define SMTP_MESSAGE_MAX (1 << 20) /* octets of a whole message */
#define SMTP_HEADERS_MAX 20        /* headers of a flow */

struct smtp_message {
    struct smtp_mailbox from;     /* checked */
    struct smtp_mailbox reply_to; /* checked; address "" for none */
    const char *to;               /* checked address */
    const char *effect_id;        /* makes Message-ID, boundary and X-Headgate-Delivery */
    int64_t date_ms;              /* of the header Date */
    struct slice subject;         /* UTF-8, one line */
    struct slice text;            /* UTF-8; any line ends */
    struct slice html;            /* the same; size 0 for none */
    const json_t *headers;        /* table from name to text; NULL for none */
};

/* Adds the message to `out`: always the same bytes for the same input.  Lines end with CRLF, dots are not stuffed. */
bool smtp_message_build(const struct smtp_message *message, struct buf *out, struct err *err);

#endif
