/* settings.c - the checked answers to a table of options; see settings.h
 *
 * One answer for each option of the table, at the same index.  Every text may hold a secret (a
 * password inside a URL is one), so every text is overwritten before its memory is given back. */
#include "core/base/settings.h"

#include "core/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

struct answer {
    bool is_said;    /* by somebody, or by the option's default */
    bool is_default; /* by the option's default: the first item that is added replaces it */
    int64_t number;  /* of the kinds with a number */
    char *text;      /* of TEXT and SECRET */
    char **items;    /* of LIST and MAP: the values */
    char **keys;     /* of MAP: the key of each value */
    size_t count;    /* how many items */
};

struct settings {
    const struct option *options; /* the table, lent */
    size_t count;                 /* its length */
    struct answer answers[];      /* one for each option */
};

static void forget(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void answer_clear(struct answer *answer)
{
    forget(answer->text);
    for (size_t i = 0; i < answer->count; i++) {
        forget(answer->items[i]);
        if (answer->keys)
            forget(answer->keys[i]);
    }
    free(answer->items);
    free(answer->keys);
    *answer = (struct answer){.is_said = false};
}

static size_t find(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++)
        if (strcmp(settings->options[i].name, name) == 0)
            return i;
    fprintf(stderr, "headgate: there is no option \"%s\" in this table\n", name);
    abort();
}

static const struct answer *answer_of(const struct settings *settings, const char *name)
{
    return &settings->answers[find(settings, name)];
}

/* A default stands in our own tables: one that cannot be read is a bug. */
static void set_default(struct settings *settings, const struct option *option)
{
    int64_t number;
    if (option->kind == OPTION_TEXT || option->kind == OPTION_SECRET) {
        settings_set_text(settings, option->name, slice_of(option->fallback));
    } else if (option->kind == OPTION_LIST) {
        settings_add_item(settings, option->name, slice_of(option->fallback));
    } else if (settings_parse(option->kind, option->fallback, &number)) {
        settings_set_number(settings, option->name, number);
    } else {
        fprintf(stderr, "headgate: the default of option \"%s\" cannot be read: %s\n", option->name, option->fallback);
        abort();
    }
    settings->answers[find(settings, option->name)].is_default = true;
}

struct settings *settings_new(const struct option *options)
{
    size_t count = 0;
    while (options[count].name)
        count++;
    struct settings *settings = mem_zero(sizeof *settings + count * sizeof settings->answers[0]);
    settings->options = options;
    settings->count = count;
    for (size_t i = 0; i < count; i++)
        if (options[i].fallback)
            set_default(settings, &options[i]);
    return settings;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->count; i++)
        answer_clear(&settings->answers[i]);
    free(settings);
}

void settings_set_text(struct settings *settings, const char *name, struct slice text)
{
    struct answer *answer = &settings->answers[find(settings, name)];
    char *copy = mem_copy(text);
    answer_clear(answer);
    *answer = (struct answer){.is_said = true, .text = copy};
}

void settings_set_number(struct settings *settings, const char *name, int64_t number)
{
    struct answer *answer = &settings->answers[find(settings, name)];
    answer_clear(answer);
    *answer = (struct answer){.is_said = true, .number = number};
}

/* An empty list that somebody wrote is an answer too: it replaces the default. */
void settings_set_empty(struct settings *settings, const char *name)
{
    struct answer *answer = &settings->answers[find(settings, name)];
    answer_clear(answer);
    answer->is_said = true;
}

static struct answer *add(struct settings *settings, const char *name, struct slice item)
{
    struct answer *answer = &settings->answers[find(settings, name)];
    if (answer->is_default)
        answer_clear(answer);
    answer->is_said = true;
    answer->items = mem_resize(answer->items, (answer->count + 1) * sizeof answer->items[0]);
    answer->items[answer->count++] = mem_copy(item);
    return answer;
}

void settings_add_item(struct settings *settings, const char *name, struct slice item)
{
    add(settings, name, item);
}

void settings_add_pair(struct settings *settings, const char *name, struct slice key, struct slice value)
{
    struct answer *answer = add(settings, name, value);
    answer->keys = mem_resize(answer->keys, answer->count * sizeof answer->keys[0]);
    answer->keys[answer->count - 1] = mem_copy(key);
}

bool settings_has(const struct settings *settings, const char *name)
{
    return answer_of(settings, name)->is_said;
}

const char *settings_text(const struct settings *settings, const char *name)
{
    return answer_of(settings, name)->text;
}

int64_t settings_number(const struct settings *settings, const char *name)
{
    return answer_of(settings, name)->number;
}

size_t settings_count(const struct settings *settings, const char *name)
{
    return answer_of(settings, name)->count;
}

const char *settings_item(const struct settings *settings, const char *name, size_t index)
{
    const struct answer *answer = answer_of(settings, name);
    return index < answer->count ? answer->items[index] : NULL;
}

const char *settings_key(const struct settings *settings, const char *name, size_t index)
{
    const struct answer *answer = answer_of(settings, name);
    return answer->keys && index < answer->count ? answer->keys[index] : NULL;
}

/* ---- numbers with units ------------------------------------------------------------------- */

struct unit {
    const char *name; /* as it stands behind the number */
    int64_t factor;   /* to what is kept; the largest comes first */
};

static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                        {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit rates[] = {{"/s", 86400}, {"/m", 1440}, {"/h", 24}, {"/d", 1}, {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum option_kind kind)
{
    switch (kind) {
    case OPTION_DURATION: return durations;
    case OPTION_SIZE: return sizes;
    case OPTION_RATE: return rates;
    default: return plain;
    }
}

bool settings_parse(enum option_kind kind, const char *text, int64_t *number)
{
    if (kind == OPTION_BOOLEAN) {
        *number = strcmp(text, "true") == 0;
        return *number || strcmp(text, "false") == 0;
    }
    bool is_negative = kind == OPTION_INTEGER && *text == '-';
    const char *digit = text + is_negative;
    if (*digit < '0' || *digit > '9' || (digit[0] == '0' && digit[1] >= '0' && digit[1] <= '9'))
        return false; /* 010 is eight to some and ten to others */
    int64_t value = 0;
    for (; *digit >= '0' && *digit <= '9'; digit++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *digit - '0', &value))
            return false;
    for (const struct unit *unit = units_of(kind); unit->name; unit++) {
        if (strcmp(unit->name, digit) != 0)
            continue;
        if (__builtin_mul_overflow(value, unit->factor, &value))
            return false;
        *number = is_negative ? -value : value;
        return true;
    }
    return false;
}

const char *settings_print(enum option_kind kind, int64_t number, char *text)
{
    const struct unit *unit = units_of(kind);
    while (unit[1].name && (number == 0 || number % unit->factor != 0))
        unit++;
    if (kind == OPTION_BOOLEAN)
        snprintf(text, SETTINGS_PRINT_MAX, "%s", number ? "true" : "false");
    else
        snprintf(text, SETTINGS_PRINT_MAX, "%lld%s", (long long)(number / unit->factor), unit->name);
    return text;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_answer(const struct answer *a, const struct answer *b)
{
    bool same =
        a->is_said == b->is_said && a->number == b->number && a->count == b->count && same_text(a->text, b->text);
    for (size_t i = 0; same && i < a->count; i++)
        same = same_text(a->items[i], b->items[i]) && (!a->keys || same_text(a->keys[i], b->keys[i]));
    return same;
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
    bool same = a->options == b->options;
    for (size_t i = 0; same && i < a->count; i++)
        same = same_answer(&a->answers[i], &b->answers[i]);
    return same;
}
