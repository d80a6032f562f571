/* limits.c - see limits.h */
#include "core/config/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define QUOTA_MOST INT64_C(1000000000)

const struct option limits_fuse_options[] = {
    {.name = "effects",
     .kind = OPTION_TEXT,
     .help = "so many effects of all flows within a time, such as 5000/h; one more trips the gate of its flow"},
    {.name = "per_recipient",
     .kind = OPTION_TEXT,
     .help = "so many that reach one person, of all flows, such as 10/d; one more trips the gate of its flow"},
    {.name = "failures_in_a_row",
     .kind = OPTION_INTEGER,
     .least = 1,
     .most = 1000000,
     .help = "so many effects refused or unknown, one after another, trip the gate of the flow whose effect was last"},
    OPTION_END,
};

struct unit {
    char letter;
    int64_t ms;
};
static const struct unit units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
#define UNITS (sizeof units / sizeof *units)

bool quota_parse(const char *text, struct quota *quota)
{
    char *end;
    *quota = (struct quota){.most = 0};
    if (strcmp(text, "none") == 0)
        return true;
    if (text[0] < '1' || text[0] > '9')
        return false;
    long long most = strtoll(text, &end, 10);
    if (most > QUOTA_MOST || end[0] != '/' || !end[1] || end[2])
        return false;
    for (size_t i = 0; i < UNITS; i++)
        if (end[1] == units[i].letter)
            *quota = (struct quota){.most = most, .window_ms = units[i].ms};
    return quota->most > 0;
}

const char *quota_text(const struct quota *quota, char *text)
{
    snprintf(text, QUOTA_TEXT_MAX, "none");
    for (size_t i = 0; i < UNITS; i++)
        if (quota->most && quota->window_ms == units[i].ms)
            snprintf(text, QUOTA_TEXT_MAX, "%" PRId64 "/%c", quota->most, units[i].letter);
    return text;
}

bool quota_read(const struct yaml *at, const char *name, struct quota *quota, struct err *err)
{
    char shown[YAML_SHOWN_MAX];
    static const char help[] = "expected a number within a time, such as 500/h, 4/d, 10/m or 5/s, or none";
    if (at->kind != YAML_SCALAR || yaml_is_nothing(at))
        return yaml_err(at, err, "%s: found %s; %s", name, yaml_found(at), help);
    return quota_parse(at->text.data, quota)
           || yaml_err(at, err, "%s: found %s; %s", name, yaml_shown(at->text, shown), help);
}

/* Said at `at`, or the option's default. */
static bool take_quota(const struct yaml *at, const struct settings *settings, const char *name, struct quota *quota,
                       struct err *err)
{
    const struct yaml *said = at ? yaml_get(at, name) : NULL;
    const char *fallback = settings_text(settings, name);
    if (said)
        return quota_read(said, name, quota, err);
    *quota = (struct quota){.most = 0};
    if (fallback && !quota_parse(fallback, quota))
        abort(); /* it stands in our own tables */
    quota->is_built_in = true;
    return true;
}

bool limits_take(const struct yaml *at, const struct settings *settings, struct limits *limits, struct err *err)
{
    limits->failures_in_a_row = settings_number(settings, "failures_in_a_row");
    return take_quota(at, settings, "effects", &limits->effects, err)
           && take_quota(at, settings, "per_recipient", &limits->per_recipient, err);
}

bool limits_read_fuse(const struct yaml *at, struct limits *limits, struct err *err)
{
    *limits = (struct limits){.failures_in_a_row = 0};
    if (!at)
        return true;
    struct settings *settings = settings_new(limits_fuse_options);
    bool ok = yaml_settings(at, limits_fuse_options, NULL, NULL, false, settings, err)
              && limits_take(at, settings, limits, err);
    settings_free(settings);
    return ok;
}
