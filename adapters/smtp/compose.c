/* compose.c - from what a flow asked to what is stored
 *
 *     mail.send { to = "ada@example.net", template = "offline", language = "de-AT", data = event }
 *     mail.send { to = "ada@example.net", subject = "...", text = "...", html = "..." }
 *
 * A template is one to two files of the flow: templates/NAME.LANGUAGE.txt, whose first line is
 * "Subject: ...", followed by an empty one; and, if there is one, templates/NAME.LANGUAGE.html.
 * "de-AT" falls back to "de", and to nothing else: which language to use is decided by the flow
 * (scripts/rules/language.lua), never by which file happens to be there.
 *
 * Everything is checked here, while the run can still fail: what is stored can be sent. */
#include "adapters/smtp/compose.h"

#include "adapters/smtp/message.h"
#include "core/base/template.h"

#include <ctype.h>
#include <stdio.h>

#define PART_MAX ((size_t)SMTP_MESSAGE_MAX) /* bytes of a text; the whole is checked again when it is built */
#define PATH_MAX_BYTES 160
#define TAG_MAX 35 /* bytes of a language tag */

const struct option smtp_compose_fields[] = {
    {.name = "to",
     .kind = OPTION_TEXT,
     .is_required = true,
     .help = "the one recipient's address: ada@example.net; with `campaign`, also a list of recipients: addresses, or "
             "tables with what differs for one: {to = \"ada@example.net\", language = \"de\"}"},
    {.name = "campaign",
     .kind = OPTION_TEXT,
     .least = 1,
     .most = 100,
     .help = "name of the job in whose course it is sent: one campaign writes to one address once, for ever"},
    {.name = "template",
     .kind = OPTION_TEXT,
     .most = 64,
     .least = 1,
     .help = "name of a template: templates/NAME.LANGUAGE.txt, its first line Subject: ..., and perhaps .html"},
    {.name = "language",
     .kind = OPTION_TEXT,
     .help = "language of the template: \"de\"; \"de-AT\" falls back to \"de\""},
    {.name = "data", .kind = OPTION_ANY, .help = "table with the values that the template names; may be the event"},
    {.name = "subject", .kind = OPTION_TEXT, .help = "without a template: the subject"},
    {.name = "text", .kind = OPTION_TEXT, .help = "without a template: the mail as plain text"},
    {.name = "html", .kind = OPTION_TEXT, .help = "without a template: the same as HTML, if wanted"},
    {.name = "from", .kind = OPTION_TEXT, .help = "another sender in the header than the connection's"},
    {.name = "reply_to", .kind = OPTION_TEXT, .help = "where answers go: \"Support <support@example.com>\""},
    {.name = "headers",
     .kind = OPTION_MAP,
     .help = "more headers: X-*, List-*, In-Reply-To, References, Importance, Priority, Precedence, Feedback-ID, "
             "Comments, Keywords, Organization"},
    OPTION_END,
};

struct composition {
    const struct ask *ask;
    struct smtp_message message;    /* what is built so far */
    char to[SMTP_ADDRESS_MAX + 1];  /* checked */
    struct buf subject, text, html; /* rendered; empty without a template */
    json_t *data, *headers;         /* owned; NULL: not given */
};

/* ---- templates -------------------------------------------------------------------------- */

/* "de_at" to "de-AT", as files are named. */
static bool normalise(struct slice tag, char *text, struct err *err)
{
    if (tag.size == 0 || tag.size > TAG_MAX)
        return err_set(err, "`language` must have 1 to %d characters", TAG_MAX);
    size_t start = 0; /* of the subtag */
    for (size_t i = 0; i <= tag.size; i++) {
        char c = i < tag.size ? tag.data[i] : '-';
        if (c == '-' || c == '_') {
            if (i == start)
                return err_set(err, "`%.*s` is not a language", SLICE_ARG(tag));
            if (start > 0 && i - start == 2)
                for (size_t k = start; k < i; k++)
                    text[k] = (char)toupper((unsigned char)text[k]);
            start = i + 1;
            text[i] = i < tag.size ? '-' : '\0';
        } else if (isalnum((unsigned char)c)) {
            text[i] = (char)tolower((unsigned char)c);
        } else {
            return err_set(err, "`%.*s` is not a language", SLICE_ARG(tag));
        }
    }
    return true;
}

/* "templates/offline.de.html, templates/offline.de.txt, templates/offline.en.txt" to "de, en". */
static void add_languages(struct slice files, size_t prefix, struct buf *languages)
{
    while (files.size) {
        const char *comma = memchr(files.data, ',', files.size);
        size_t size = comma ? (size_t)(comma - files.data) : files.size;
        if (size > prefix + 4 && memcmp(files.data + size - 4, ".txt", 4) == 0)
            buf_addf(languages, "%s%.*s", languages->size ? ", " : "", (int)(size - 4 - prefix), files.data + prefix);
        while (size < files.size && (files.data[size] == ',' || files.data[size] == ' '))
            size++;
        files = (struct slice){files.data + size, files.size - size};
    }
}

static bool refuse_template(const struct ask *ask, struct slice name, const char *language, struct err *err)
{
    char prefix[PATH_MAX_BYTES];
    snprintf(prefix, sizeof prefix, "templates/%.*s.", SLICE_ARG(name));
    struct buf files = BUF_INIT(8000), languages = BUF_INIT(1000);
    ask->list(ask, prefix, &files);
    add_languages(buf_slice(&files), strlen(prefix), &languages);
    if (languages.size && language[0])
        err_set(err, "template `%.*s` has no language `%s`: there are %s", SLICE_ARG(name), language, languages.data);
    else if (languages.size)
        err_set(err, "template `%.*s` needs a language: there are %s", SLICE_ARG(name), languages.data);
    else
        err_set(err, "there is no template `%.*s`: the flow has no file %s%s%stxt", SLICE_ARG(name), prefix,
                language[0] ? language : "", language[0] ? "." : "");
    buf_clear(&files);
    buf_clear(&languages);
    return false;
}

/* Finds the text file in the language or one it falls back to; `stem`: its path without "txt". */
static bool find_template(const struct ask *ask, struct slice name, struct slice tag, char stem[PATH_MAX_BYTES],
                          struct slice *content, struct err *err)
{
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '-' && name.data[i] != '_')
            return err_set(err, "`%.*s` is no name of a template: letters, digits, - and _", SLICE_ARG(name));
    char language[TAG_MAX + 1] = "";
    if (tag.data && !normalise(tag, language, err))
        return false;
    char wanted[TAG_MAX + 1];
    memcpy(wanted, language, sizeof wanted);
    for (;;) {
        snprintf(stem, PATH_MAX_BYTES, "templates/%.*s.%s%s", SLICE_ARG(name), wanted, wanted[0] ? "." : "");
        char path[PATH_MAX_BYTES + 4];
        snprintf(path, sizeof path, "%stxt", stem);
        if (ask->file(ask, path, content))
            return true;
        char *region = strrchr(wanted, '-');
        if (!region)
            return refuse_template(ask, name, language, err);
        *region = '\0';
    }
}

/* Takes one line off, without its end. */
static struct slice take_line(struct slice *text)
{
    const char *end = text->size ? memchr(text->data, '\n', text->size) : NULL;
    size_t size = end ? (size_t)(end - text->data) : text->size;
    struct slice line = {text->data, size};
    size_t skip = size + (end != NULL);
    *text = (struct slice){text->data + skip, text->size - skip};
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

/* The subject is taken off before anything is filled in: no value can end it early or begin the text. */
static bool render_text(struct composition *c, const char *path, struct slice content, struct err *err)
{
    static const char start[] = "Subject:";
    struct slice subject = take_line(&content);
    struct slice blank = take_line(&content);
    if (subject.size < sizeof start || memcmp(subject.data, start, sizeof start - 1) != 0 || blank.size)
        return err_set(err, "%s:1: a template begins with a line `Subject: ...` and an empty line", path);
    subject = (struct slice){subject.data + sizeof start - 1, subject.size - (sizeof start - 1)};
    struct template first = {path, 1, subject, false}, rest = {path, 3, content, false};
    if (!template_render(&first, c->data, &c->subject, err) || !template_render(&rest, c->data, &c->text, err))
        return false;
    c->message.subject = buf_slice(&c->subject);
    c->message.text = buf_slice(&c->text);
    return true;
}

static bool use_template(struct composition *c, struct slice name, struct err *err)
{
    const struct ask *ask = c->ask;
    char stem[PATH_MAX_BYTES], path[PATH_MAX_BYTES + 5];
    struct slice content;
    if (!find_template(ask, name, record_get(ask->fields, "language"), stem, &content, err))
        return false;
    snprintf(path, sizeof path, "%stxt", stem);
    if (!render_text(c, path, content, err))
        return false;
    snprintf(path, sizeof path, "%shtml", stem);
    if (!ask->file(ask, path, &content))
        return true;
    struct template html = {path, 1, content, true};
    if (!template_render(&html, c->data, &c->html, err))
        return false;
    c->message.html = buf_slice(&c->html);
    return true;
}

/* ---- the rest --------------------------------------------------------------------------- */

static bool refuse_beside(const struct ask *ask, const char *const *names, const char *why, struct err *err)
{
    for (; *names; names++)
        if (record_has(ask->fields, *names))
            return err_set(err, "`%s` %s", *names, why);
    return true;
}

static bool take_content(struct composition *c, struct err *err)
{
    static const char *const texts[] = {"subject", "text", "html", NULL};
    static const char *const of_template[] = {"language", "data", NULL};
    struct slice fields = c->ask->fields;
    struct slice name = record_get(fields, "template");
    if (name.data)
        return refuse_beside(c->ask, texts, "comes from the template", err) && use_template(c, name, err);
    if (!refuse_beside(c->ask, of_template, "is for a `template`, and there is none", err))
        return false;
    c->message.subject = record_get(fields, "subject");
    c->message.text = record_get(fields, "text");
    c->message.html = record_get(fields, "html");
    return (c->message.subject.data && c->message.text.data) || err_set(err, "say `template`, or `subject` and `text`");
}

static bool take_mailbox(const char *field, struct slice text, struct smtp_mailbox *mailbox, struct err *err)
{
    return smtp_address_parse(text, mailbox, err) || err_wrap(err, "`%s`", field);
}

static bool take_addresses(struct composition *c, struct err *err)
{
    const struct ask *ask = c->ask;
    struct slice to = smtp_address_trim(record_get(ask->fields, "to"));
    if (!smtp_address_check(to, err))
        return err_wrap(err, "`to`");
    memcpy(c->to, to.data, to.size);
    c->message.to = c->to;
    struct slice from = record_get(ask->fields, "from"), reply_to = record_get(ask->fields, "reply_to");
    if (!from.data)
        from = slice_of(settings_text(ask->connection->settings, "from"));
    return take_mailbox("from", from, &c->message.from, err)
           && (!reply_to.data || take_mailbox("reply_to", reply_to, &c->message.reply_to, err));
}

/* A field that is a table; NULL in *json if it is not there and may be. */
static bool take_table(const struct ask *ask, const char *field, json_t **json, struct err *err)
{
    struct slice text = record_get(ask->fields, field);
    if (!text.data)
        return true;
    *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (json_is_array(*json) && json_array_size(*json) == 0) {
        json_decref(*json); /* an empty table */
        *json = json_object();
    }
    return json_is_object(*json) || err_set(err, "`%s` must be a table with names", field);
}

/* The address that gets the relay's notices: `bounce`, or the connection's sender. */
static bool add_record(struct composition *c, struct slice message, struct buf *out, struct err *err)
{
    const struct settings *settings = c->ask->connection->settings;
    struct smtp_mailbox sender;
    const char *bounce = settings_text(settings, "bounce");
    if (!take_mailbox("from", slice_of(bounce ? bounce : settings_text(settings, "from")), &sender, err))
        return false;
    record_add_text(out, "envelope_from", slice_of(sender.address));
    record_add_text(out, "to", slice_of(c->to));
    return record_add_text(out, "message", message) || err_set(err, "the mail is too large to be stored");
}

bool smtp_compose(const struct ask *ask, struct buf *out, struct err *err)
{
    struct composition c = {
        .ask = ask,
        .message = {.effect_id = ask->effect_id, .date_ms = ask->now_ms},
        .subject = BUF_INIT(SMTP_HEADER_MAX),
        .text = BUF_INIT(PART_MAX),
        .html = BUF_INIT(PART_MAX),
    };
    struct buf message = BUF_INIT(SMTP_MESSAGE_MAX);

    bool ok = take_addresses(&c, err) && take_table(ask, "data", &c.data, err)
              && take_table(ask, "headers", &c.headers, err) && take_content(&c, err);
    c.message.headers = c.headers;
    ok = ok && smtp_message_build(&c.message, &message, err) && add_record(&c, buf_slice(&message), out, err);

    json_decref(c.data);
    json_decref(c.headers);
    buf_clear(&c.subject);
    buf_clear(&c.text);
    buf_clear(&c.html);
    buf_clear(&message);
    return ok;
}
