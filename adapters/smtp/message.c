/* message.c - the bytes of one mail
 *
 * Built once, when the flow asks, and stored: every attempt sends the same Date, Message-ID and
 * boundary, so that a receiver can recognise a repeat.  Hence nothing here looks at a clock or
 * rolls dice, and a flow's headers are sorted (a Lua table has no order).
 *
 * Every line is ASCII and short: text is quoted-printable, a header that is not ASCII is made of
 * encoded words (RFC 2047).  So no relay needs to announce 8BITMIME, and none has to break lines.
 * (libcurl's own curl_mime would roll new boundaries at each attempt and lets CR LF into headers.) */
#include "adapters/smtp/message.h"

#include "core/base/utf8.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define HEADER_LINE 78  /* octets of a header line where it can be broken (RFC 5322, 2.1.1) */
#define ENCODED_LINE 76 /* octets of a line with an encoded word (RFC 2047, 2) */
#define PIECE_MAX 900   /* octets of a header that cannot be broken; a line has 998 at most */
#define QP_LINE 76      /* octets of a quoted-printable line, with its `=` (RFC 2045, 6.7) */

static struct slice trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* ---- headers ---------------------------------------------------------------------------- */

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}

/* A single space between words: with more of them, a line of nothing but blanks could arise. */
static bool is_fold(struct slice text, size_t at)
{
    return text.data[at] == ' ' && text.data[at - 1] != ' ' && at + 1 < text.size && text.data[at + 1] != ' ';
}

/* Octets of the longest piece that cannot be broken. */
static size_t longest_piece(struct slice text)
{
    size_t longest = 0, size = 0;
    for (size_t i = 0; i < text.size; i++) {
        size = i > 0 && is_fold(text, i) ? 0 : size + 1;
        longest = size > longest ? size : longest;
    }
    return longest;
}

/* Plain text that looks like an encoded word would be decoded by the reader: it is encoded as well. */
static bool needs_encoding(struct slice text)
{
    return !is_ascii(text) || memmem(text.data, text.size, "=?", 2) || longest_piece(text) > PIECE_MAX;
}

static void add_base64(struct buf *out, struct slice from)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < from.size; i += 3) {
        size_t left = from.size - i;
        unsigned bits = (unsigned)(unsigned char)from.data[i] << 16;
        bits |= left > 1 ? (unsigned)(unsigned char)from.data[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned)(unsigned char)from.data[i + 2] : 0;
        buf_add_char(out, digits[bits >> 18]);
        buf_add_char(out, digits[bits >> 12 & 63]);
        buf_add_char(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        buf_add_char(out, left > 2 ? digits[bits & 63] : '=');
    }
}

/* `text` as encoded words that end between characters; `*column`: where on the line we are. */
static void add_encoded(struct buf *out, struct slice text, size_t *column)
{
    const size_t frame = strlen("=?UTF-8?B?") + strlen("?=");
    while (text.size) {
        struct slice part = utf8_cut(text, (ENCODED_LINE - *column - frame) / 4 * 3);
        size_t before = out->size;
        buf_add_text(out, "=?UTF-8?B?");
        add_base64(out, part);
        buf_add_text(out, "?=");
        *column += out->size - before;
        text = (struct slice){text.data + part.size, text.size - part.size};
        if (text.size) {
            buf_add_text(out, "\r\n ");
            *column = 1;
        }
    }
}

/* ASCII `text`, broken before spaces where the line would become longer than HEADER_LINE. */
static void add_folded(struct buf *out, struct slice text, size_t *column)
{
    for (size_t at = 0; at < text.size;) {
        size_t end = at + 1; /* of this word; a space before it belongs to it */
        while (end < text.size && !is_fold(text, end))
            end++;
        if (at > 0 && *column + (end - at) > HEADER_LINE) {
            buf_add_text(out, "\r\n");
            *column = 0;
        }
        buf_add(out, text.data + at, end - at);
        *column += end - at;
        at = end;
    }
}

static bool add_header(struct buf *out, const char *name, struct slice value, bool is_text, struct err *err)
{
    value = trim(value);
    struct err why = ERR_INIT;
    if (!smtp_address_check_value(value, &why))
        return err_set(err, "the header %s: %s", name, why.text);
    if (value.size == 0)
        return err_set(err, "the header %s is empty", name);
    bool is_encoded = needs_encoding(value);
    if (is_encoded && !is_text)
        return err_set(err, "the header %s must be ASCII, in words of at most %d octets", name, PIECE_MAX);
    size_t column = strlen(name) + 2;
    buf_addf(out, "%s: ", name);
    if (is_encoded)
        add_encoded(out, value, &column);
    else
        add_folded(out, value, &column);
    buf_add_text(out, "\r\n");
    return true;
}

/* A display name as RFC 5322 wants it: as it is, quoted, or encoded. */
static void add_name(struct buf *out, struct slice name, size_t *column)
{
    bool is_plain = true;
    for (size_t i = 0; i < name.size; i++)
        is_plain = is_plain && !strchr("()<>[]:;@\\,.\"\t", name.data[i]);
    if (needs_encoding(name)) {
        add_encoded(out, name, column);
    } else if (is_plain) {
        add_folded(out, name, column);
    } else {
        size_t before = out->size;
        buf_add_char(out, '"');
        for (size_t i = 0; i < name.size; i++) {
            if (name.data[i] == '"' || name.data[i] == '\\')
                buf_add_char(out, '\\');
            buf_add_char(out, name.data[i]);
        }
        buf_add_char(out, '"');
        *column += out->size - before;
    }
}

static void add_mailbox(struct buf *out, const char *header, const struct smtp_mailbox *mailbox)
{
    size_t column = strlen(header) + 2;
    buf_addf(out, "%s: ", header);
    if (!mailbox->name[0]) {
        buf_addf(out, "%s\r\n", mailbox->address);
        return;
    }
    add_name(out, slice_of(mailbox->name), &column);
    bool fits = column + strlen(mailbox->address) + 3 <= HEADER_LINE;
    buf_addf(out, "%s <%s>\r\n", fits ? "" : "\r\n", mailbox->address);
}

/* "Sun, 22 Nov 2026 09:41:07 +0000"; strftime's names would follow the locale. */
static void add_date(struct buf *out, int64_t ms)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    buf_addf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
             utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

static int by_name(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the flow added, sorted by name. */
static bool add_own_headers(struct buf *out, const json_t *headers, struct err *err)
{
    const char *names[SMTP_HEADERS_MAX];
    size_t count = 0;
    for (void *at = json_object_iter((json_t *)headers); at; at = json_object_iter_next((json_t *)headers, at)) {
        if (count == SMTP_HEADERS_MAX)
            return err_set(err, "there are more than %d headers", SMTP_HEADERS_MAX);
        names[count++] = json_object_iter_key(at);
    }
    if (count > 1)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(headers, names[i]);
        bool is_text = false;
        if (!smtp_address_check_header(slice_of(names[i]), &is_text, err))
            return false;
        if (i > 0 && strcasecmp(names[i - 1], names[i]) == 0)
            return err_set(err, "the header %s is there twice", names[i]);
        if (!json_is_string(value))
            return err_set(err, "the header %s is not a text", names[i]);
        struct slice text = {json_string_value(value), json_string_length(value)};
        if (!add_header(out, names[i], text, is_text, err))
            return false;
    }
    return true;
}

static bool add_headers(struct buf *out, const struct smtp_message *message, struct err *err)
{
    add_date(out, message->date_ms);
    add_mailbox(out, "From", &message->from);
    if (message->reply_to.address[0])
        add_mailbox(out, "Reply-To", &message->reply_to);
    buf_addf(out, "To: %s\r\n", message->to);
    struct slice domain = smtp_address_domain(message->from.address);
    buf_addf(out, "Message-ID: <%s@%.*s>\r\n", message->effect_id, SLICE_ARG(domain));
    if (!add_header(out, "Subject", message->subject, true, err) || !add_own_headers(out, message->headers, err))
        return false;
    buf_add_text(out, "Auto-Submitted: auto-generated\r\n"); /* RFC 3834: no auto-reply shall answer it */
    buf_addf(out, "X-Headgate-Delivery: %s\r\n", message->effect_id);
    buf_add_text(out, "MIME-Version: 1.0\r\n");
    return true;
}

/* ---- bodies ----------------------------------------------------------------------------- */

/* May the byte at `at` stand for itself?  A dot or "From " at the start of a line may not: some programs on the
 * way give them a meaning of their own. */
static bool is_literal(struct slice line, size_t at, size_t column)
{
    unsigned char c = (unsigned char)line.data[at];
    if (c == ' ' || c == '\t')
        return at + 1 < line.size;
    if (c < '!' || c > '~' || c == '=' || (c == '.' && column == 0))
        return false;
    return !(c == 'F' && column == 0 && line.size - at >= 5 && memcmp(line.data + at, "From ", 5) == 0);
}

static void add_line(struct buf *out, struct slice line)
{
    size_t column = 0;
    for (size_t at = 0; at < line.size; at++) {
        bool literal = is_literal(line, at, column);
        if (column + (literal ? 1 : 3) > QP_LINE - 1) {
            buf_add_text(out, "=\r\n");
            column = 0;
            literal = is_literal(line, at, column);
        }
        if (literal)
            buf_add_char(out, line.data[at]);
        else
            buf_addf(out, "=%02X", (unsigned char)line.data[at]);
        column += literal ? 1 : 3;
    }
    buf_add_text(out, "\r\n");
}

/* LF, CR LF and CR all end a line; the last line is always ended. */
static void add_lines(struct buf *out, struct slice text)
{
    size_t from = 0;
    while (from < text.size && !out->is_over) {
        size_t end = from;
        while (end < text.size && text.data[end] != '\n' && text.data[end] != '\r')
            end++;
        add_line(out, (struct slice){text.data + from, end - from});
        bool is_pair = end + 1 < text.size && text.data[end] == '\r' && text.data[end + 1] == '\n';
        from = end + 1 + is_pair;
    }
}

static bool add_part(struct buf *out, const char *type, struct slice text, struct err *err)
{
    if (!utf8_is_valid(text))
        return err_set(err, "the text/%s is not UTF-8", type);
    if (memchr(text.data, '\0', text.size))
        return err_set(err, "the text/%s has a zero byte", type);
    buf_addf(out, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", type);
    add_lines(out, text);
    return true;
}

/* "=_" cannot occur in quoted-printable text, so this boundary never occurs in a part. */
static bool add_alternatives(struct buf *out, const struct smtp_message *message, struct err *err)
{
    const char *id = message->effect_id;
    buf_addf(out, "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n--=_%s\r\n", id, id);
    if (!add_part(out, "plain", message->text, err))
        return false;
    buf_addf(out, "\r\n--=_%s\r\n", id);
    if (!add_part(out, "html", message->html, err))
        return false;
    buf_addf(out, "\r\n--=_%s--\r\n", id); /* whether all had room is asked at the end */
    return true;
}

bool smtp_message_build(const struct smtp_message *message, struct buf *out, struct err *err)
{
    if (message->text.size == 0)
        return err_set(err, "the mail has no text");
    if (!add_headers(out, message, err))
        return false;
    bool ok = message->html.size ? add_alternatives(out, message, err) : add_part(out, "plain", message->text, err);
    if (ok && out->is_over)
        return err_set(err, "the mail becomes larger than %zu bytes", out->limit);
    return ok;
}
