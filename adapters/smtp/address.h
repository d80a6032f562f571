/* address.h - what may stand in an envelope and in a header; everything else is refused, not repaired */
#ifndef HEADGATE_SMTP_ADDRESS_H
#define HEADGATE_SMTP_ADDRESS_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/slice.h"

#define SMTP_ADDRESS_MAX 254 /* octets: a path has 256 with its brackets (RFC 5321, 4.5.3.1.3) */
#define SMTP_NAME_MAX 256    /* octets of a display name */
#define SMTP_HEADER_MAX 2000 /* octets of a header's value */

/* One sender or recipient as it stands in a header. */
struct smtp_mailbox {
    char name[SMTP_NAME_MAX + 1];       /* display name in UTF-8, "" for none */
    char address[SMTP_ADDRESS_MAX + 1]; /* checked */
};

/* "ada@example.net", nothing around it. */
bool smtp_address_check(struct slice address, struct err *err);
/* Adds the form under which an address is recognised again: lower case, also before the @, no spaces around it. */
bool smtp_address_canonical(struct slice address, struct buf *out, struct err *err);
struct slice smtp_address_trim(struct slice text); /* without the spaces around it */
/* "Support <support@example.com>", "\"Support, Berlin\" <..>" or the bare address. */
bool smtp_address_parse(struct slice text, struct smtp_mailbox *mailbox, struct err *err);
/* "relay.example.com": letters, digits, hyphens and dots. */
bool smtp_address_check_domain(struct slice domain, struct err *err);
struct slice smtp_address_domain(const char *address); /* of a checked address */
/* A header's text: UTF-8 without control characters, of a bounded size. */
bool smtp_address_check_value(struct slice value, struct err *err);
/* A header that a flow may set: not one that Headgate writes, or that a relay writes.  `is_text`: RFC 2047
 * encoding may be used in it. */
bool smtp_address_check_header(struct slice name, bool *is_text, struct err *err);

#endif
