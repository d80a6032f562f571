/* reference.c - ${env:NAME}, ${file:PATH} and ${credential:NAME} inside a text
 *
 *     url: "https://headgate:${env:PARTNER_PASSWORD}@partner.example.com/"
 *
 * A text that holds a reference is a secret from then on: it goes into `out`, from there into the
 * settings, and into nothing else; no message holds more of it than the name that the reference
 * uses.  The name is only repeated if it looks like one, so a password that happens to hold "${"
 * stays out of messages too.  Nothing is put in quotes or percent signs on the way: inside a URL
 * the secret stands as URLs want it, percent-encoded. */
#include "core/config/yaml.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <ctype.h>
#include <stdlib.h>

#define SECRET_MAX (64 << 10)  /* bytes of one secret: a chain of certificates fits */
#define REFERENCE_NAME_MAX 500 /* bytes of a name or path */

static const char forms[] = "${env:NAME}, ${file:PATH} or ${credential:NAME}";

/* One reference while it is resolved. */
struct reference {
    const struct yaml *at;             /* the text that it stands in */
    const char *option;                /* the option's name, for messages */
    const char *folder;                /* relative paths begin here */
    char name[REFERENCE_NAME_MAX + 1]; /* what stands behind the colon */
};

static bool starts(struct slice text, const char *start)
{
    size_t size = strlen(start);
    return text.size >= size && memcmp(text.data, start, size) == 0;
}

static bool is_name(const char *name, const char *also)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(also, *c))
            return false;
    return *name != '\0';
}

/* The end of its last line is not part of a secret; all else is. */
static void strip_line_break(struct buf *secret)
{
    if (secret->size && secret->data[secret->size - 1] == '\n')
        secret->size--;
    if (secret->size && secret->data[secret->size - 1] == '\r')
        secret->size--;
}

static bool read_secret_file(const struct reference *reference, const char *path, const char *kind, struct buf *out,
                             struct err *err)
{
    struct buf secret = BUF_INIT(SECRET_MAX);
    buf_reserve(&secret, SECRET_MAX); /* at once: growing would leave copies behind */
    struct err why = ERR_INIT;
    bool ok = file_read(path, &secret, &why);
    if (!ok)
        yaml_err(reference->at, err, "%s: cannot read the %s %s (%s); expected a file with the secret in it",
                 reference->option, kind, reference->name, why.text);
    if (ok) {
        strip_line_break(&secret);
        if (secret.size == 0)
            ok = yaml_err(reference->at, err, "%s: the %s %s is empty; expected the secret in it", reference->option,
                          kind, reference->name);
        else if (memchr(secret.data, 0, secret.size))
            ok = yaml_err(reference->at, err, "%s: the %s %s holds a zero byte; expected text", reference->option, kind,
                          reference->name);
    }
    if (ok) {
        log_hide(buf_slice(&secret));
        buf_add_slice(out, buf_slice(&secret));
    }
    explicit_bzero(secret.data, secret.room);
    buf_clear(&secret);
    return ok;
}

static bool resolve_env(const struct reference *reference, bool may_read, struct buf *out, struct err *err)
{
    if (!is_name(reference->name, "_") || isdigit((unsigned char)reference->name[0]))
        return yaml_err(reference->at, err,
                        "%s: found ${env:...} without a proper name in it; expected letters, "
                        "digits and _, as in ${env:BROKER_PASSWORD}",
                        reference->option);
    if (!may_read)
        return true;
    const char *value = getenv(reference->name);
    if (!value)
        return yaml_err(reference->at, err,
                        "%s: the environment variable %s is not set; set it where headgate is "
                        "started, or use ${file:PATH} or ${credential:NAME}",
                        reference->option, reference->name);
    if (!*value)
        return yaml_err(reference->at, err,
                        "%s: the environment variable %s is set, but empty; expected the secret in "
                        "it",
                        reference->option, reference->name);
    log_hide(slice_of(value));
    buf_add_text(out, value);
    return true;
}

static bool resolve_file(const struct reference *reference, bool may_read, struct buf *out, struct err *err)
{
    for (const char *c = reference->name; *c; c++)
        if (iscntrl((unsigned char)*c))
            return yaml_err(reference->at, err,
                            "%s: found a control character in the path of ${file:...}; expected a "
                            "path such as ${file:keys/broker.pem}",
                            reference->option);
    if (!may_read)
        return true;
    struct buf path = BUF_INIT(8192);
    if (reference->name[0] != '/')
        buf_addf(&path, "%s/", reference->folder);
    buf_add_text(&path, reference->name);
    bool ok = read_secret_file(reference, path.data, "file", out, err);
    buf_clear(&path);
    return ok;
}

static bool resolve_credential(const struct reference *reference, bool may_read, struct buf *out, struct err *err)
{
    if (!is_name(reference->name, "_.-") || reference->name[0] == '.')
        return yaml_err(reference->at, err,
                        "%s: found ${credential:...} without a proper name in it; expected letters, "
                        "digits, _ . and -, as in ${credential:relay}",
                        reference->option);
    if (!may_read)
        return true;
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || !*folder)
        return yaml_err(reference->at, err,
                        "%s: cannot read the credential %s: CREDENTIALS_DIRECTORY is not set; "
                        "systemd sets it for a service with LoadCredential=%s:PATH",
                        reference->option, reference->name, reference->name);
    struct buf path = BUF_INIT(8192);
    buf_addf(&path, "%s/%s", folder, reference->name);
    bool ok = read_secret_file(reference, path.data, "credential", out, err);
    buf_clear(&path);
    return ok;
}

/* `text` begins with "${"; on success *used is the size of the reference. */
static bool resolve_one(struct reference *reference, struct slice text, bool may_read, struct buf *out, size_t *used,
                        struct err *err)
{
    static const struct {
        const char *start; /* of the reference */
        bool (*resolve)(const struct reference *, bool, struct buf *, struct err *);
    } kinds[] = {{"${env:", resolve_env}, {"${file:", resolve_file}, {"${credential:", resolve_credential}};

    const char *end = memchr(text.data, '}', text.size);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t start = strlen(kinds[i].start);
        if (!starts(text, kinds[i].start))
            continue;
        if (!end)
            return yaml_err(reference->at, err, "%s: found %s... without its closing brace; expected %s",
                            reference->option, kinds[i].start, forms);
        size_t size = (size_t)(end - text.data) - start;
        if (size == 0 || size > REFERENCE_NAME_MAX)
            return yaml_err(reference->at, err, "%s: found %s...} with a name of %zu bytes; allowed are 1 to %d",
                            reference->option, kinds[i].start, size, REFERENCE_NAME_MAX);
        memcpy(reference->name, text.data + start, size);
        reference->name[size] = '\0';
        *used = start + size + 1;
        if (!may_read)
            buf_add(out, text.data, *used);
        return kinds[i].resolve(reference, may_read, out, err);
    }
    return yaml_err(reference->at, err,
                    "%s: found \"${\", but no reference that is known; expected %s; "
                    "for a plain ${ write $${",
                    reference->option, forms);
}

static bool too_long(const struct yaml *value, const char *name, size_t limit, struct err *err)
{
    return yaml_err(value, err, "%s: found a text that is too long; allowed are %zu bytes", name, limit);
}

bool yaml_resolve(const struct yaml *value, const char *name, const char *folder, bool may_read_secrets,
                  struct buf *out, struct err *err)
{
    if (!strstr(value->text.data, "${")) {
        buf_add_slice(out, value->text);
        return !out->is_over || too_long(value, name, out->limit, err);
    }
    struct reference reference = {.at = value, .option = name, .folder = folder};
    buf_reserve(out, out->limit); /* at once: growing would leave copies behind */
    size_t at = 0;
    while (at < value->text.size) {
        struct slice rest = {value->text.data + at, value->text.size - at};
        size_t used = 1;
        if (starts(rest, "$${")) {
            buf_add_text(out, "${");
            used = 3;
        } else if (!starts(rest, "${")) {
            buf_add(out, rest.data, 1);
        } else if (!folder) {
            return yaml_err(value, err,
                            "%s: found a reference ${...}; they are allowed in headgate.yaml only, "
                            "because a flow sees no secrets; for a plain ${ write $${",
                            name);
        } else if (!resolve_one(&reference, rest, may_read_secrets, out, &used, err)) {
            return false;
        }
        at += used;
    }
    return !out->is_over || too_long(value, name, out->limit, err);
}
