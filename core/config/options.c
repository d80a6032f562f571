/* options.c - a map of a YAML file against a table of options
 *
 * The table says what may be said; this says what was said instead, and how it is meant, at the
 * line and column where it stands.  Numbers and choices are repeated in a message ("found 10 s"),
 * texts never: any of them may hold a password. */
#include "core/base/log.h"
#include "core/base/nearest.h"
#include "core/config/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#define RESOLVED_MAX (256 << 10) /* bytes of a text with its references replaced */

/* One check of one map. */
struct check {
    const struct option *options; /* what may be said */
    const char *const *ignore;    /* what somebody else checks; NULL: nothing */
    const char *folder;           /* of files that secrets are read from; NULL: no references */
    bool may_read_secrets;        /* else only their form is checked */
    struct settings *settings;    /* the answers */
    struct err *err;              /* where to say what is wrong */
};

/* How a value of this kind is written. */
static const char *expected(enum option_kind kind)
{
    switch (kind) {
    case OPTION_TEXT: return "a text";
    case OPTION_INTEGER: return "a whole number such as 20";
    case OPTION_BOOLEAN: return "true or false";
    case OPTION_DURATION: return "a duration such as 500ms, 30s, 10m, 2h or 7d";
    case OPTION_SIZE: return "a size such as 64KiB, 1MiB or 2GiB, or a number of bytes";
    case OPTION_RATE: return "a rate such as 10/s, 600/m, 500/h or 4/d";
    case OPTION_RATES: return "a rate such as 10/s, 600/m, 500/h or 4/d, or a list of them";
    case OPTION_SECRET: return "a text, or better \"${env:NAME}\", \"${file:PATH}\" or \"${credential:NAME}\"";
    case OPTION_LIST: return "a list of texts such as [\"one\", \"two\"]";
    case OPTION_MAP: return "a map of texts such as {name: \"value\"}";
    case OPTION_ANY: break; /* only for the fields of verbs, which no YAML is checked against */
    }
    fputs("headgate: an option of this kind cannot stand in YAML\n", stderr);
    abort();
}

/* ", from 1 to 1000" into `text`; "" without bounds. */
static const char *bounds(const struct option *option, char text[100])
{
    bool is_number = option->kind >= OPTION_INTEGER && option->kind <= OPTION_RATE;
    enum option_kind kind = is_number ? option->kind : OPTION_INTEGER; /* of a text, the bytes */
    char least[SETTINGS_PRINT_MAX], most[SETTINGS_PRINT_MAX];
    settings_print(kind, option->least, least);
    settings_print(kind, option->most, most);
    text[0] = '\0';
    if (option->most > option->least)
        snprintf(text, 100, "from %s to %s", least, most);
    else if (option->least)
        snprintf(text, 100, "at least %s", least);
    return text;
}

static bool is_within(const struct option *option, int64_t number)
{
    if (option->least == 0 && option->most == 0)
        return true;
    return number >= option->least && (option->most < option->least || number <= option->most);
}

/* ---- values --------------------------------------------------------------------------------- */

static bool set_number(const struct check *check, const struct option *option, const struct yaml *value)
{
    char shown[YAML_SHOWN_MAX], room[100];
    const char *limits = bounds(option, room);
    const char *comma = *limits ? ", " : "";
    if (value->kind != YAML_SCALAR || yaml_is_nothing(value))
        return yaml_err(value, check->err, "%s: found %s; expected %s%s%s", option->name, yaml_found(value),
                        expected(option->kind), comma, limits);
    bool is_bare = option->kind == OPTION_INTEGER || option->kind == OPTION_BOOLEAN;
    int64_t number;
    bool is_one = settings_parse(option->kind, value->text.data, &number);
    if (is_one && is_bare && value->is_quoted)
        return yaml_err(value, check->err, "%s: found %s in quotes, which is a text; expected %s, without quotes",
                        option->name, yaml_shown(value->text, shown), expected(option->kind));
    if (!is_one)
        return yaml_err(value, check->err, "%s: found %s; expected %s%s%s", option->name,
                        yaml_shown(value->text, shown), expected(option->kind), comma, limits);
    if (!is_within(option, number))
        return yaml_err(value, check->err, "%s: found %s; allowed is %s", option->name, value->text.data, limits);
    settings_set_number(check->settings, option->name, number);
    return true;
}

/* "hold|drop" holds "drop"; offers all to `nearest`. */
static bool is_choice(const char *choices, struct slice text, struct nearest *nearest)
{
    bool is_one = false;
    for (const char *at = choices; *at;) {
        struct slice choice = {at, strcspn(at, "|")};
        nearest_offer(nearest, choice);
        is_one = is_one || slice_equal(choice, text);
        at += choice.size + (at[choice.size] == '|');
    }
    return is_one;
}

/* The text of `value`, checked, with its references replaced. */
static bool take_text(const struct check *check, const struct option *option, const struct yaml *value, struct buf *out)
{
    char shown[YAML_SHOWN_MAX], room[100];
    if (value->kind != YAML_SCALAR || yaml_is_nothing(value)) {
        bool is_item = option->kind == OPTION_LIST || option->kind == OPTION_MAP;
        return yaml_err(value, check->err, "%s: found %s; expected %s", option->name, yaml_found(value),
                        is_item ? "a text" : expected(option->kind));
    }
    if (option->choices) {
        struct nearest nearest = nearest_for(value->text);
        if (!is_choice(option->choices, value->text, &nearest))
            return yaml_err(value, check->err, "%s: found %s%s", option->name, yaml_shown(value->text, shown),
                            nearest_text(&nearest, "allowed"));
    }
    if (!yaml_resolve(value, option->name, check->folder, check->may_read_secrets, out, check->err))
        return false;
    bool is_known = check->may_read_secrets || !strstr(value->text.data, "${");
    if (is_known && !is_within(option, (int64_t)out->size)) /* how long a secret is, is nobody's business either */
        return yaml_err(value, check->err, "%s: found a text that is too %s; allowed is %s bytes", option->name,
                        (int64_t)out->size < option->least ? "short" : "long", bounds(option, room));
    return true;
}

static bool set_text(const struct check *check, const struct option *option, const struct yaml *value)
{
    struct buf text = BUF_INIT(RESOLVED_MAX);
    bool ok = take_text(check, option, value, &text);
    if (ok && option->kind == OPTION_SECRET && check->may_read_secrets)
        log_hide(buf_slice(&text));
    if (ok)
        settings_set_text(check->settings, option->name, buf_slice(&text));
    if (text.data)
        explicit_bzero(text.data, text.room);
    buf_clear(&text);
    return ok;
}

static bool set_items(const struct check *check, const struct option *option, const struct yaml *value)
{
    bool is_list = option->kind == OPTION_LIST;
    if (value->kind != (is_list ? YAML_LIST : YAML_MAP))
        return yaml_err(value, check->err, "%s: found %s; expected %s", option->name, yaml_found(value),
                        expected(option->kind));
    if (option->is_required && !value->first)
        return yaml_err(value, check->err, "%s: found an empty %s; expected at least one text in it", option->name,
                        is_list ? "list" : "map");
    settings_set_empty(check->settings, option->name);
    bool ok = true;
    for (const struct yaml *item = value->first; ok && item; item = item->next) {
        struct buf text = BUF_INIT(RESOLVED_MAX);
        ok = take_text(check, option, item, &text);
        if (ok && is_list)
            settings_add_item(check->settings, option->name, buf_slice(&text));
        else if (ok)
            settings_add_pair(check->settings, option->name, item->key, buf_slice(&text));
        if (text.data)
            explicit_bzero(text.data, text.room);
        buf_clear(&text);
    }
    return ok;
}

/* Each of them is one "10/s"; `most` bounds how many there are. */
static bool set_rates(const struct check *check, const struct option *option, const struct yaml *value)
{
    char shown[YAML_SHOWN_MAX];
    int64_t number, count = 0;
    bool is_list = value->kind == YAML_LIST;
    if (yaml_is_nothing(value) || (is_list ? !value->first : value->kind != YAML_SCALAR))
        return yaml_err(value, check->err, "%s: found %s; expected %s", option->name,
                        is_list ? "an empty list" : yaml_found(value), expected(option->kind));
    settings_set_empty(check->settings, option->name);
    for (const struct yaml *item = is_list ? value->first : value; item; item = is_list ? item->next : NULL) {
        if (item->kind != YAML_SCALAR || !settings_parse(OPTION_RATE, item->text.data, &number) || number < 1)
            return yaml_err(item, check->err, "%s: found %s; expected %s", option->name,
                            item->kind == YAML_SCALAR ? yaml_shown(item->text, shown) : yaml_found(item),
                            expected(option->kind));
        if (++count > option->most)
            return yaml_err(item, check->err, "%s: found more than %lld rates; expected %s", option->name,
                            (long long)option->most, expected(option->kind));
        settings_add_item(check->settings, option->name, item->text);
    }
    return true;
}

static bool set_value(const struct check *check, const struct option *option, const struct yaml *value)
{
    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_SECRET: return set_text(check, option, value);
    case OPTION_LIST:
    case OPTION_MAP: return set_items(check, option, value);
    case OPTION_RATES: return set_rates(check, option, value);
    default: return set_number(check, option, value);
    }
}

/* ---- the map --------------------------------------------------------------------------------- */

static const struct option *find_option(const struct option *options, struct slice name)
{
    for (const struct option *option = options; option->name; option++)
        if (slice_is(name, option->name))
            return option;
    return NULL;
}

static bool is_ignored(const char *const *ignore, struct slice name)
{
    for (; ignore && *ignore; ignore++)
        if (slice_is(name, *ignore))
            return true;
    return false;
}

static void offer_all(const struct check *check, struct nearest *nearest)
{
    for (const struct option *option = check->options; option->name; option++)
        nearest_offer(nearest, slice_of(option->name));
    for (const char *const *name = check->ignore; name && *name; name++)
        if (!find_option(check->options, slice_of(*name)))
            nearest_offer(nearest, slice_of(*name));
}

static bool refuse_key(const struct check *check, const struct yaml *entry)
{
    char shown[YAML_SHOWN_MAX];
    yaml_shown_key(entry, shown);
    struct slice name = {entry->key.data, strcspn(entry->key.data, ":= ")};
    struct nearest nearest = nearest_for(name);
    offer_all(check, &nearest);
    bool is_glued =
        name.size < entry->key.size && (find_option(check->options, name) || is_ignored(check->ignore, name));
    if (is_glued)
        return yaml_err_key(entry, check->err,
                            "found the key %s with more behind it; expected `%.*s: value`, with a "
                            "space behind the colon",
                            shown, SLICE_ARG(name));
    return yaml_err_key(entry, check->err, "unknown key %s%s", shown, nearest_text(&nearest, "allowed"));
}

bool yaml_settings(const struct yaml *at, const struct option *options, const char *const *ignore, const char *folder,
                   bool may_read_secrets, struct settings *settings, struct err *err)
{
    struct check check = {options, ignore, folder, may_read_secrets, settings, err};
    if (at->kind != YAML_MAP) {
        struct nearest nearest = nearest_for(SLICE_NONE);
        offer_all(&check, &nearest);
        return yaml_err(at, err, "found %s; expected a map of `key: value`%s", yaml_found(at),
                        nearest_text(&nearest, "allowed keys"));
    }
    for (const struct yaml *entry = at->first; entry; entry = entry->next) {
        const struct option *option = find_option(options, entry->key);
        if (option ? !set_value(&check, option, entry) : !is_ignored(ignore, entry->key) && !refuse_key(&check, entry))
            return false;
    }
    for (const struct option *option = options; option->name; option++) {
        if (!option->is_required || yaml_get(at, option->name))
            continue;
        struct slice help = slice_of(option->help);
        if (help.size && help.data[help.size - 1] == '.')
            help.size--;
        return yaml_err(at, err, "%s is missing here; expected `%s: ` and %s%s%.*s%s", option->name, option->name,
                        expected(option->kind), help.size ? " (" : "", SLICE_ARG(help), help.size ? ")" : "");
    }
    return true;
}
