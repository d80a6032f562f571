/* held_filter.c - which held things the options mean, for `headgate held` */
#include "core/cli/cli.h"

#include "core/base/clock.h"
#include "core/base/settings.h"

#include <stdlib.h>

bool cli_time(const char *text, int64_t *ms)
{
    char whole[64];
    int64_t ago_ms;
    if (settings_parse(OPTION_DURATION, text, &ago_ms)) {
        *ms = clock_now_ms() - ago_ms;
        return true;
    }
    snprintf(whole, sizeof whole, "%.30sT00:00:00Z", text);
    return clock_parse(text, strlen(text), ms) || clock_parse(whole, strlen(whole), ms);
}

static bool add_time(json_t *filter, const char *name, const char *text, int *exit_code)
{
    int64_t ms;
    if (!text)
        return true;
    if (!cli_time(text, &ms)) {
        *exit_code = cli_fail(64, "--%s: found %s; expected 2h, 7d, 2026-11-22 or 2026-11-22T09:41:00Z", name, text);
        return false;
    }
    json_object_set_new(filter, name, json_integer(ms));
    return true;
}

static bool add_choice(json_t *filter, const char *name, const char *text, const char *const *choices, int *exit_code)
{
    if (!text)
        return true;
    for (const char *const *choice = choices; *choice; choice++) {
        if (strcmp(*choice, text) == 0) {
            json_object_set_new(filter, name, json_string(text));
            return true;
        }
    }
    *exit_code = cli_fail(64, "--%s: found %s; expected %s or %s", name, text, choices[0], choices[1]);
    return false;
}

json_t *held_filter(const struct cli_args *args, int *exit_code)
{
    static const char *const kinds[] = {"event", "effect", NULL};
    static const char *const verdicts[] = {"never", "unknown", "expired", NULL};
    const struct {
        const char *name, *value;
    } texts[] = {{"flow", args->flow},
                 {"connection", args->connection},
                 {"key", args->key},
                 {"release", args->release},
                 {"reason", args->reason}};
    json_t *filter = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].value)
            json_object_set_new(filter, texts[i].name, json_string(texts[i].value));
    if (add_choice(filter, "kind", args->kind, kinds, exit_code)
        && add_choice(filter, "verdict", args->verdict, verdicts, exit_code)
        && add_time(filter, "since", args->since, exit_code) && add_time(filter, "until", args->until, exit_code))
        return filter;
    json_decref(filter);
    return NULL;
}

char *held_query(const struct cli_args *args, int *exit_code)
{
    struct buf query = BUF_INIT(65536);
    json_t *filter = held_filter(args, exit_code), *value;
    const char *name;
    if (!filter)
        return NULL;
    buf_addf(&query, "?limit=%ld%s", args->limit ? args->limit : 100, args->group ? "&group=1" : "");
    json_object_foreach(filter, name, value) {
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        char *text = cli_escape(json_is_string(value) ? json_string_value(value) : number);
        buf_addf(&query, "&%s=%s", name, text);
        free(text);
    }
    json_decref(filter);
    return buf_take(&query);
}
