/* address.c - what may stand in an envelope and in a header
 *
 * An address from an event becomes part of an SMTP command, a subject part of a header.  A line
 * break in either would let whoever wrote the event give commands to the relay, or write headers
 * of its own; libcurl 7.88 passes both on as they are.  So nothing gets through that is not known
 * to be harmless.  It is refused and not repaired: who writes to "ada@example.net\r\nRCPT TO:.."
 * is either attacked or broken, and a person should see it. */
#include "adapters/smtp/address.h"

#include "core/base/utf8.h"

#include <strings.h>

#define LOCAL_MAX 64   /* RFC 5321, 4.5.3.1.1 */
#define DOMAIN_MAX 253 /* 255 octets on the wire of DNS */
#define LABEL_MAX 63
#define HEADER_NAME_MAX 40 /* octets: leaves room on its line for an encoded word */

/* A tab is one, too, but harmless in a header. */
static bool has_control(struct slice text, bool tab_is_good)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && !(c == '\t' && tab_is_good)) || c == 0x7f)
            return true;
    }
    return false;
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* atext of RFC 5322: what a local part and a plain display name are made of. */
static bool is_atom_char(char c)
{
    return is_letter_or_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool check_local(struct slice local, struct err *err)
{
    if (local.size == 0)
        return err_set(err, "there is nothing before the @");
    if (local.size > LOCAL_MAX)
        return err_set(err, "the part before the @ is longer than %d octets", LOCAL_MAX);
    if (!is_ascii(local))
        return err_set(err, "the part before the @ is not ASCII, which few relays can carry");
    for (size_t i = 0; i < local.size; i++) {
        char c = local.data[i];
        bool is_inner_dot = c == '.' && i > 0 && i + 1 < local.size && local.data[i - 1] != '.';
        if (!is_atom_char(c) && !is_inner_dot)
            return err_set(err, "`%c` may not stand there before the @", c);
    }
    return true;
}

bool smtp_address_check_domain(struct slice domain, struct err *err)
{
    if (domain.size == 0)
        return err_set(err, "there is no domain");
    if (domain.size > DOMAIN_MAX)
        return err_set(err, "the domain is longer than %d octets", DOMAIN_MAX);
    if (!is_ascii(domain))
        return err_set(err, "the domain is not ASCII: it must be given in its xn-- form");
    size_t label = 0; /* octets of the label so far */
    for (size_t i = 0; i <= domain.size; i++) {
        char c = i < domain.size ? domain.data[i] : '.';
        if (c == '.') {
            if (label == 0 || label > LABEL_MAX || domain.data[i - 1] == '-')
                return err_set(err, "the domain is not well formed");
            label = 0;
        } else if (is_letter_or_digit(c) || (c == '-' && label > 0)) {
            label++;
        } else {
            return err_set(err, "`%c` may not stand there in a domain", c);
        }
    }
    return true;
}

static bool check_parts(struct slice address, struct err *err)
{
    if (address.size == 0)
        return err_set(err, "it is empty");
    if (has_control(address, false))
        return err_set(err, "it has a line break or another control character");
    if (memchr(address.data, ' ', address.size) || memchr(address.data, '<', address.size)
        || memchr(address.data, '>', address.size))
        return err_set(err, "spaces, `<` and `>` may not stand in an address");
    if (address.size > SMTP_ADDRESS_MAX)
        return err_set(err, "it is longer than %d octets", SMTP_ADDRESS_MAX);
    const char *at = memrchr(address.data, '@', address.size);
    if (!at)
        return err_set(err, "it has no @");
    struct slice local = {address.data, (size_t)(at - address.data)};
    struct slice domain = {at + 1, address.size - local.size - 1};
    return check_local(local, err) && smtp_address_check_domain(domain, err);
}

bool smtp_address_check(struct slice address, struct err *err)
{
    if (check_parts(address, err))
        return true;
    /* The words go to logs and pages, which escape; a few octets are enough to recognise it by. */
    struct slice shown = utf8_cut(address, 100);
    return err_wrap(err, "`%.*s` is no mail address", SLICE_ARG(shown));
}

struct slice smtp_address_domain(const char *address)
{
    return slice_of(strrchr(address, '@') + 1);
}

struct slice smtp_address_trim(struct slice text)
{
    while (text.size && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

/* To the letter, what stands before the @ may differ in case (RFC 5321, 2.4).  No host is known that gives ada@ and
 * Ada@ to two people, while the same person stands in two lists in both ways: so that they get one mail, not two, both
 * are the same here.  The mail itself goes to the address as it was written. */
bool smtp_address_canonical(struct slice address, struct buf *out, struct err *err)
{
    address = smtp_address_trim(address);
    if (!smtp_address_check(address, err))
        return false;
    for (size_t i = 0; i < address.size; i++) {
        char c = address.data[i];
        buf_add_char(out, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
    return !out->is_over;
}

/* ---- with a display name ---------------------------------------------------------------- */

/* The display name without its quotes, into mailbox->name. */
static bool take_name(struct slice text, struct smtp_mailbox *mailbox, struct err *err)
{
    bool is_quoted = text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"';
    if (is_quoted)
        text = (struct slice){text.data + 1, text.size - 2};
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (is_quoted && c == '\\' && i + 1 < text.size)
            c = text.data[++i];
        else if (c == '"' || c == '\\' || (!is_quoted && (c == '<' || c == '>')))
            return err_set(err, "`%c` in the name must be inside \"quotes\"", c);
        if (size == SMTP_NAME_MAX)
            return err_set(err, "the name is longer than %d octets", SMTP_NAME_MAX);
        mailbox->name[size++] = c;
    }
    mailbox->name[size] = '\0';
    return true;
}

static bool parse(struct slice text, struct smtp_mailbox *mailbox, struct err *err)
{
    if (!smtp_address_check_value(text, err))
        return false;
    text = smtp_address_trim(text);
    struct slice address = text;
    mailbox->name[0] = '\0';
    if (text.size && text.data[text.size - 1] == '>') {
        const char *open = memrchr(text.data, '<', text.size);
        if (!open)
            return err_set(err, "there is a `>` without a `<`");
        address = (struct slice){open + 1, text.size - 2 - (size_t)(open - text.data)};
        if (!take_name(smtp_address_trim((struct slice){text.data, (size_t)(open - text.data)}), mailbox, err))
            return false;
    }
    if (!smtp_address_check(address, err))
        return false;
    memcpy(mailbox->address, address.data, address.size);
    mailbox->address[address.size] = '\0';
    return true;
}

bool smtp_address_parse(struct slice text, struct smtp_mailbox *mailbox, struct err *err)
{
    return parse(text, mailbox, err) || err_wrap(err, "not of the form `Name <name@example.com>`");
}

/* ---- headers ---------------------------------------------------------------------------- */

bool smtp_address_check_value(struct slice value, struct err *err)
{
    if (value.size > SMTP_HEADER_MAX)
        return err_set(err, "it is longer than %d octets", SMTP_HEADER_MAX);
    if (has_control(value, true))
        return err_set(err, "it has a line break or another control character");
    return utf8_is_valid(value) || err_set(err, "it is not UTF-8");
}

/* What a flow may say.  A list of what it may not would always be one header behind. */
static const struct {
    const char *name; /* ending with "-": all that begin so */
    bool is_text;     /* free text, where RFC 2047 applies */
} allowed[] = {
    {"X-", true},          {"List-", false},    {"In-Reply-To", false}, {"References", false},
    {"Importance", false}, {"Priority", false}, {"Precedence", false},  {"Feedback-ID", false},
    {"Comments", true},    {"Keywords", true},  {"Organization", true},
};

bool smtp_address_check_header(struct slice name, bool *is_text, struct err *err)
{
    bool is_token = name.size > 0 && name.size <= HEADER_NAME_MAX;
    for (size_t i = 0; i < name.size && is_token; i++)
        is_token = is_letter_or_digit(name.data[i]) || name.data[i] == '-';
    if (!is_token)
        return err_set(err, "a header's name is made of at most %d letters, digits and hyphens", HEADER_NAME_MAX);
    bool is_ours = name.size >= 11 && strncasecmp(name.data, "X-Headgate-", 11) == 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && !is_ours; i++) {
        size_t size = strlen(allowed[i].name);
        bool is_prefix = allowed[i].name[size - 1] == '-';
        if (name.size < size + is_prefix || (!is_prefix && name.size != size)
            || strncasecmp(name.data, allowed[i].name, size) != 0)
            continue;
        *is_text = allowed[i].is_text;
        return true;
    }
    return err_set(err,
                   "the header `%.*s` is not for flows to set: there are X-*, List-*, In-Reply-To, References, "
                   "Importance, Priority, Precedence, Feedback-ID, Comments, Keywords, Organization",
                   SLICE_ARG(name));
}
