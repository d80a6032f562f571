/* sandbox_query.c - the small part of OpsGenie's search language that the sandbox understands
 *
 *     status:open AND alias:"disk full" AND priority:P1 AND tag:storage AND acknowledged:false
 *
 * Terms are joined by AND or a blank.  Whatever else is asked is refused, not guessed. */
#include "adapters/opsgenie/sandbox.h"

#include <stdlib.h>
#include <strings.h>

#define TERMS_MAX 16

enum term_kind { TERM_STATUS, TERM_ALIAS, TERM_PRIORITY, TERM_TAG, TERM_ACKNOWLEDGED, TERM_KINDS };
static const char *const term_name[TERM_KINDS] = {"status", "alias", "priority", "tag", "acknowledged"};

struct sandbox_query {
    struct term {
        enum term_kind kind;
        char *value;
    } terms[TERMS_MAX];
    size_t count;
};

void sandbox_query_free(struct sandbox_query *query)
{
    for (size_t i = 0; query && i < query->count; i++)
        free(query->terms[i].value);
    free(query);
}

/* "name: value" or "name:\"va lue\"" at *text, which moves behind it. */
static bool take_term(struct sandbox_query *query, const char **text, struct err *err)
{
    size_t name = strcspn(*text, ": \"");
    if ((*text)[name] != ':')
        return err_set(err, "'%.*s' is not a term like status:open", (int)name, *text);
    if (query->count == TERMS_MAX)
        return err_set(err, "more than %d terms", TERMS_MAX);
    struct term *term = &query->terms[query->count];
    int kind = 0;
    while (kind < TERM_KINDS && (strlen(term_name[kind]) != name || strncasecmp(term_name[kind], *text, name) != 0))
        kind++;
    if (kind == TERM_KINDS)
        return err_set(err, "'%.*s' cannot be searched in the sandbox (status, alias, priority, tag, acknowledged can)",
                       (int)name, *text);
    const char *value = *text + name + 1;
    value += strspn(value, " ");
    bool is_quoted = *value == '"';
    value += is_quoted;
    size_t size = strcspn(value, is_quoted ? "\"" : " ");
    if (is_quoted && value[size] != '"')
        return err_set(err, "a quotation mark is not closed");
    term->kind = (enum term_kind)kind;
    term->value = mem_copy((struct slice){value, size});
    query->count++;
    *text = value + size + is_quoted;
    return true;
}

struct sandbox_query *sandbox_query_new(const char *text, struct err *err)
{
    struct sandbox_query *query = mem_zero(sizeof *query);
    for (text = text ? text : "";;) {
        text += strspn(text, " ");
        if (strncasecmp(text, "AND ", 4) == 0) {
            text += 4;
        } else if (!*text) {
            return query;
        } else if (!take_term(query, &text, err)) {
            sandbox_query_free(query);
            return NULL;
        }
    }
}

static bool has_tag(const struct sandbox_alert *alert, const char *tag)
{
    const json_t *tags = json_object_get(alert->said, "tags");
    for (size_t i = 0; i < json_array_size(tags); i++)
        if (strcmp(json_string_value(json_array_get(tags, i)), tag) == 0)
            return true;
    return false;
}

static bool fits(const struct term *term, const struct sandbox_alert *alert)
{
    switch (term->kind) {
    case TERM_STATUS: return strcasecmp(term->value, alert->is_open ? "open" : "closed") == 0;
    case TERM_ALIAS: return strcmp(term->value, alert->alias) == 0;
    case TERM_PRIORITY: return strcmp(term->value, json_string_value(json_object_get(alert->said, "priority"))) == 0;
    case TERM_TAG: return has_tag(alert, term->value);
    case TERM_ACKNOWLEDGED: return strcasecmp(term->value, alert->is_acknowledged ? "true" : "false") == 0;
    default: return false;
    }
}

bool sandbox_query_fits(const struct sandbox_query *query, const struct sandbox_alert *alert)
{
    for (size_t i = 0; i < query->count; i++)
        if (!fits(&query->terms[i], alert))
            return false;
    return true;
}
