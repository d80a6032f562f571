/* held_filter.c - which held things a request means: from the query of a GET, or from {"filter": {...}} of a POST
 *
 *     flow, connection, verb, verdict, kind, key      exactly
 *     release                                         its hash begins so
 *     reason                                          stands in it; capitals do not matter
 *     since, until                                    ms since 1970
 *     first, last                                     numbers, both included */
#include "core/admin/internal.h"

#include <stdlib.h>

static const struct {
    const char *name;
    size_t offset;
    bool is_number;
} members[] = {{"kind", offsetof(struct held_filter, kind), false},
               {"flow", offsetof(struct held_filter, flow), false},
               {"connection", offsetof(struct held_filter, connection), false},
               {"verb", offsetof(struct held_filter, verb), false},
               {"verdict", offsetof(struct held_filter, verdict), false},
               {"key", offsetof(struct held_filter, key), false},
               {"release", offsetof(struct held_filter, release), false},
               {"reason", offsetof(struct held_filter, reason), false},
               {"since", offsetof(struct held_filter, since_ms), true},
               {"until", offsetof(struct held_filter, until_ms), true},
               {"first", offsetof(struct held_filter, first), true},
               {"last", offsetof(struct held_filter, last), true}};
#define MEMBERS (sizeof members / sizeof *members)

static bool set_text(struct held_filter *filter, size_t i, const char *text, struct err *err)
{
    void *member = (char *)filter + members[i].offset;
    char *end;
    if (!members[i].is_number) {
        *(const char **)member = text;
        return true;
    }
    *(int64_t *)member = strtoll(text, &end, 10);
    return (end != text && !*end && *(int64_t *)member >= 0)
           || err_set(err, "%s: found %.100s; expected a number", members[i].name, text);
}

bool filter_of_query(const struct request *request, struct held_filter *filter, struct err *err)
{
    *filter = (struct held_filter){.first = 0};
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *text = request_query(request, members[i].name);
        if (text && text[0] && !set_text(filter, i, text, err))
            return false;
    }
    return true;
}

static bool set_json(struct held_filter *filter, const char *name, const json_t *value, struct err *err)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (strcmp(members[i].name, name) != 0)
            continue;
        void *member = (char *)filter + members[i].offset;
        if (members[i].is_number && json_is_integer(value) && json_integer_value(value) >= 0)
            *(int64_t *)member = json_integer_value(value);
        else if (!members[i].is_number && json_is_string(value))
            *(const char **)member = json_string_value(value);
        else
            return err_set(err, "filter: %s must be a %s", name, members[i].is_number ? "number" : "text");
        return true;
    }
    /* Ignored, it would mean more than was asked for. */
    return err_set(err,
                   "filter: there is no %.100s; there are kind, flow, connection, verb, verdict, key, release, "
                   "reason, since, until, first, last",
                   name);
}

bool filter_of_json(const json_t *json, struct held_filter *filter, struct err *err)
{
    const char *name;
    json_t *value;
    *filter = (struct held_filter){.first = 0};
    if (!json_is_object(json))
        return err_set(err, "which? {\"filter\": {\"flow\": ...}}; an empty filter means all");
    json_object_foreach((json_t *)json, name, value)
        if (!set_json(filter, name, value, err))
            return false;
    return true;
}
