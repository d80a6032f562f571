/* sandbox_check.c - is this a well-formed mail?
 *
 * Looks at a mail as it arrived, dots unstuffed, and names what RFC 5322 (headers), RFC 2045/2046
 * (MIME) and RFC 2047 (encoded words) forbid, and what a sender of ours must not forget.  What
 * concerns single lines (length, bare CR, 8 bits) the session has seen already. */
#include "adapters/smtp/sandbox.h"

#include "core/base/utf8.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define HEADER_MAX 65536
#define ENCODED_WORD_MAX 75

enum { WANTED = 1, ONCE = 2, FORBIDDEN = 4 };

static const struct rule {
    const char *name;
    int flags;
} rules[] = {
    {"Date", WANTED | ONCE},
    {"From", WANTED | ONCE},
    {"To", WANTED | ONCE},
    {"Message-ID", WANTED | ONCE},
    {"Subject", WANTED | ONCE},
    {"MIME-Version", ONCE},
    {"Content-Type", ONCE},
    {"Content-Transfer-Encoding", ONCE},
    {"Cc", ONCE},
    {"Sender", ONCE},
    {"Reply-To", ONCE},
    {"Bcc", FORBIDDEN},
    {"Return-Path", FORBIDDEN},
    {"Received", FORBIDDEN},
};
#define RULE_COUNT (sizeof rules / sizeof *rules)

/* One header field: its lines, folded as they came. */
struct header {
    struct slice name;
    struct slice value; /* behind the colon, with its folds, without the last CRLF */
};

/* The next field from *at on; false at the empty line or the end.  A line without a proper name gives an
 * empty name. */
static bool next_header(struct slice source, size_t *at, struct header *header)
{
    size_t start = *at;
    if (start >= source.size || source.data[start] == '\r')
        return false;
    size_t end = start;
    do {
        const char *line = memchr(source.data + end, '\n', source.size - end);
        end = line ? (size_t)(line - source.data) + 1 : source.size;
    } while (end < source.size && (source.data[end] == ' ' || source.data[end] == '\t'));
    *at = end;
    size_t colon = start;
    while (colon < end && source.data[colon] > ' ' && source.data[colon] < 127 && source.data[colon] != ':')
        colon++;
    size_t last = end;
    while (last > start && (source.data[last - 1] == '\n' || source.data[last - 1] == '\r'))
        last--;
    bool is_named = colon > start && colon < last && source.data[colon] == ':';
    header->name = (struct slice){source.data + start, is_named ? colon - start : 0};
    size_t value = is_named ? colon + 1 : start;
    header->value = (struct slice){source.data + value, last - value};
    return true;
}

static bool is_name(struct slice name, const char *text)
{
    return name.size == strlen(text) && strncasecmp(name.data, text, name.size) == 0;
}

static void unfold(struct slice value, struct buf *out)
{
    while (value.size && isspace((unsigned char)value.data[0]))
        value = (struct slice){value.data + 1, value.size - 1};
    while (value.size && isspace((unsigned char)value.data[value.size - 1]))
        value.size--;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] != '\r' && value.data[i] != '\n')
            buf_add_char(out, value.data[i]);
}

bool sandbox_check_header(struct slice source, const char *name, struct buf *value)
{
    struct header header;
    for (size_t at = 0; next_header(source, &at, &header);) {
        if (is_name(header.name, name)) {
            unfold(header.value, value);
            return true;
        }
    }
    return false;
}

/* ---- encoded words ---------------------------------------------------------------------------- */

struct word {
    struct slice charset, text; /* between the question marks */
    char encoding;              /* 'B' or 'Q' */
    size_t size;                /* of the whole word */
};

static bool take_word(struct slice from, struct word *word)
{
    const char *end = from.data + from.size;
    if (from.size < 9 || memcmp(from.data, "=?", 2) != 0)
        return false;
    const char *charset = from.data + 2;
    const char *mark = memchr(charset, '?', (size_t)(end - charset));
    if (!mark || end - mark < 5 || mark[2] != '?')
        return false;
    const char *text = mark + 3;
    const char *close = memmem(text, (size_t)(end - text), "?=", 2);
    word->encoding = (char)toupper((unsigned char)mark[1]);
    if (!close || (word->encoding != 'B' && word->encoding != 'Q') || memchr(text, ' ', (size_t)(close - text)))
        return false;
    word->charset = (struct slice){charset, (size_t)(mark - charset)};
    word->text = (struct slice){text, (size_t)(close - text)};
    word->size = (size_t)(close + 2 - from.data);
    return true;
}

static bool decode_base64(struct slice text, struct buf *out)
{
    char *to = text.size % 4 == 0 && text.size > 0 && text.size < HEADER_MAX ? buf_reserve(out, text.size) : NULL;
    int size = to ? EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text.data, (int)text.size) : -1;
    for (size_t i = text.size; size > 0 && i > 0 && text.data[i - 1] == '='; i--)
        size--;
    out->size += size > 0 ? (size_t)size : 0;
    return size >= 0;
}

static void decode_q(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char hex[3] = {0};
        if (text.data[i] == '=' && i + 2 < text.size && isxdigit((unsigned char)text.data[i + 1])
            && isxdigit((unsigned char)text.data[i + 2])) {
            memcpy(hex, text.data + i + 1, 2);
            buf_add_char(out, (char)strtol(hex, NULL, 16));
            i += 2;
        } else {
            buf_add_char(out, text.data[i] == '_' ? ' ' : text.data[i]);
        }
    }
}

static void decode_word(const struct word *word, struct buf *out)
{
    struct buf bytes = BUF_INIT(HEADER_MAX);
    if (word->encoding == 'Q')
        decode_q(word->text, &bytes);
    else
        decode_base64(word->text, &bytes);
    bool is_latin = is_name(word->charset, "ISO-8859-1");
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (is_latin && c >= 0x80) {
            buf_add_char(out, (char)(0xc0 | c >> 6));
            buf_add_char(out, (char)(0x80 | (c & 0x3f)));
        } else {
            buf_add_char(out, (char)c);
        }
    }
    buf_clear(&bytes);
}

void sandbox_check_decode(struct slice value, struct buf *out)
{
    size_t at = 0, gap = 0; /* gap: white space behind a word; it vanishes if another word follows */
    bool after_word = false;
    while (at < value.size) {
        struct word word;
        if (take_word((struct slice){value.data + at, value.size - at}, &word)) {
            if (after_word)
                out->size -= gap;
            decode_word(&word, out);
            at += word.size;
            after_word = true;
            gap = 0;
        } else {
            bool is_blank = value.data[at] == ' ' || value.data[at] == '\t';
            gap = is_blank ? gap + 1 : 0;
            after_word = after_word && is_blank;
            buf_add_char(out, value.data[at++]);
        }
    }
}

/* ---- the rules -------------------------------------------------------------------------------- */

struct report {
    sandbox_flag flag;
    void *context; /* of flag */
};

__attribute__((format(printf, 2, 3))) static void tell(const struct report *report, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report->flag(report->context, text);
}

static bool matches(const char *pattern, const char *text)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool is_match = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

static void check_value(const struct report *report, const char *name, const char *text)
{
    if (strcasecmp(name, "Date") == 0
        && !matches("^((Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?[0-9]{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
                    "[0-9]{4} [0-9]{2}:[0-9]{2}(:[0-9]{2})? [+-][0-9]{4}$",
                    text))
        tell(report, "Date is not one of RFC 5322 with a numeric zone");
    if (strcasecmp(name, "Message-ID") == 0 && !matches("^<[^<>@[:space:]]+@[^<>@[:space:]]+>$", text))
        tell(report, "Message-ID is not <unique@domain>");
    if ((strcasecmp(name, "From") == 0 || strcasecmp(name, "To") == 0)
        && !matches("[^@<> ]+@[^@<> ,]+>?( *,.*)?$", text))
        tell(report, "%s names no address", name);
    if (strcasecmp(name, "MIME-Version") == 0 && strcmp(text, "1.0") != 0)
        tell(report, "MIME-Version is not 1.0");
}

static void check_words(const struct report *report, const struct header *header)
{
    struct slice rest = header->value;
    for (const char *at; (at = rest.size ? memmem(rest.data, rest.size, "=?", 2) : NULL);) {
        struct word word;
        rest = (struct slice){at, rest.size - (size_t)(at - rest.data)};
        if (!take_word(rest, &word)) {
            rest = (struct slice){at + 2, rest.size - 2};
            continue;
        }
        struct buf text = BUF_INIT(HEADER_MAX);
        if (word.size > ENCODED_WORD_MAX)
            tell(report, "an encoded word in %.*s is longer than 75 octets", SLICE_ARG(header->name));
        if (word.encoding == 'B' && !decode_base64(word.text, &text))
            tell(report, "an encoded word in %.*s is not base64", SLICE_ARG(header->name));
        else if (word.encoding == 'Q')
            decode_q(word.text, &text);
        if (is_name(word.charset, "UTF-8") && !utf8_is_valid(buf_slice(&text)))
            tell(report, "an encoded word in %.*s ends inside a character", SLICE_ARG(header->name));
        if (is_name(header->name, "Message-ID") || is_name(header->name, "References"))
            tell(report, "an encoded word in %.*s", SLICE_ARG(header->name));
        buf_clear(&text);
        rest = (struct slice){at + word.size, rest.size - word.size};
    }
}

static void check_header(const struct report *report, const struct header *header, unsigned *seen)
{
    if (header->name.size == 0) {
        tell(report, "a header line without a proper name");
        return;
    }
    for (size_t i = 0; i < header->value.size; i++) {
        if ((unsigned char)header->value.data[i] >= 0x80) {
            tell(report, "8-bit octets in the header %.*s", SLICE_ARG(header->name));
            break;
        }
    }
    check_words(report, header);
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (!is_name(header->name, rules[i].name))
            continue;
        if (rules[i].flags & FORBIDDEN)
            tell(report, "%s must not be written by a sender", rules[i].name);
        if ((rules[i].flags & ONCE) && seen[i]++)
            tell(report, "%s stands there twice", rules[i].name);
        struct buf text = BUF_INIT(HEADER_MAX);
        buf_add_text(&text, "");
        unfold(header->value, &text);
        check_value(report, rules[i].name, text.data);
        buf_clear(&text);
    }
}

/* A multipart mail must say its boundary, use it, and close it. */
static void check_parts(const struct report *report, struct slice source, struct slice body)
{
    struct buf type = BUF_INIT(HEADER_MAX), line = BUF_INIT(HEADER_MAX);
    const char *boundary = NULL;
    if (sandbox_check_header(source, "Content-Type", &type) && type.size
        && strncasecmp(type.data, "multipart/", 10) == 0) {
        boundary = strcasestr(type.data, "boundary=");
        if (!boundary)
            tell(report, "multipart without a boundary");
    }
    if (boundary) {
        boundary += strlen("boundary=");
        bool is_quoted = *boundary == '"';
        boundary += is_quoted;
        size_t size = strcspn(boundary, is_quoted ? "\"" : "; \t");
        buf_addf(&line, "\r\n--%.*s--", (int)size, boundary);
        if (size == 0 || size > 70)
            tell(report, "a boundary has 1 to 70 characters");
        else if (!memmem(body.data, body.size, line.data + 2, line.size - 4))
            tell(report, "the boundary does not occur in the mail");
        else if (!memmem(body.data, body.size, line.data, line.size))
            tell(report, "the last part is not closed");
    }
    buf_clear(&type);
    buf_clear(&line);
}

void sandbox_check_mail(struct slice source, sandbox_flag flag, void *context)
{
    const struct report report = {flag, context};
    unsigned seen[RULE_COUNT] = {0};
    struct header header;
    size_t at = 0;
    while (next_header(source, &at, &header))
        check_header(&report, &header, seen);
    for (size_t i = 0; i < RULE_COUNT; i++)
        if ((rules[i].flags & WANTED) && !seen[i])
            tell(&report, "%s is missing", rules[i].name);
    if (at + 2 > source.size || memcmp(source.data + at, "\r\n", 2) != 0)
        tell(&report, "no empty line behind the headers");
    check_parts(&report, source, (struct slice){source.data + at, source.size - at});
}
