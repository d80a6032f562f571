/* manifest_limits.c - the map below `limits:` of flow.yaml: how much of a flow is too much
 *
 *      effects_per_event   a run that asks for more fails
 *      the others          are fuses (fuse.h): the gate trips
 *
 * Who says nothing is limited all the same where people are reached: no flow may write to somebody again and again, and
 * none to thousands, only because nobody thought of it. */
#include "core/flow/manifest.h"

#include <stdlib.h>

static const struct option limit_options[] = {
    {.name = "effects_per_event",
     .kind = OPTION_INTEGER,
     .fallback = "20",
     .least = 1,
     .most = 1000,
     .help = "a run that asks for more fails"},
    {.name = "effects",
     .kind = OPTION_TEXT,
     .help = "so many effects within a time, such as 1000/h; more trips the gate"},
    {.name = "per_recipient",
     .kind = OPTION_TEXT,
     .fallback = "20/d",
     .help = "so many that reach one person within a time; more trips the gate"},
    {.name = "failures_in_a_row",
     .kind = OPTION_INTEGER,
     .least = 1,
     .most = 1000000,
     .help = "so many events, or effects, that become held one after another trip the gate"},
    {.name = "error_ratio",
     .kind = OPTION_TEXT,
     .help = "this share of the events of the last ten minutes (at least 20) become held: trips the gate"},
    OPTION_END,
};

static bool read_percent(const struct yaml *at, int64_t *percent, struct err *err)
{
    char shown[YAML_SHOWN_MAX], *end;
    *percent = 0;
    if (!at)
        return true;
    if (at->kind == YAML_SCALAR && at->text.data[0] >= '1' && at->text.data[0] <= '9') {
        *percent = strtol(at->text.data, &end, 10);
        if (*percent <= 100 && strcmp(end, "%") == 0)
            return true;
    }
    return yaml_err(at, err, "error_ratio: found %s; expected a share from 1%% to 100%%, such as 50%%",
                    at->kind == YAML_SCALAR ? yaml_shown(at->text, shown) : yaml_found(at));
}

static bool read_connections(struct manifest *manifest, const struct yaml *at, struct err *err)
{
    size_t count = 0;
    while (manifest->uses[count])
        count++;
    manifest->quotas = mem_zero((count + 1) * sizeof manifest->quotas[0]);
    for (size_t i = 0; i < count; i++) {
        const struct yaml *said = at ? yaml_get(at, manifest->uses[i]) : NULL;
        quota_parse(MANIFEST_PEOPLE_QUOTA, &manifest->quotas[i]);
        manifest->quotas[i].is_built_in = true;
        if (said && !quota_read(said, manifest->uses[i], &manifest->quotas[i], err))
            return false;
    }
    return true;
}

bool manifest_limits(struct manifest *manifest, const struct yaml *at, struct err *err)
{
    struct settings *settings = settings_new(limit_options);
    bool ok = (!at || yaml_settings(at, limit_options, (const char *const *)manifest->uses, NULL, false, settings, err))
              && limits_take(at, settings, &manifest->limits, err)
              && read_percent(at ? yaml_get(at, "error_ratio") : NULL, &manifest->limits.error_percent, err)
              && read_connections(manifest, at, err);
    manifest->effects_per_event = settings_number(settings, "effects_per_event");
    settings_free(settings);
    return ok;
}

const struct quota *manifest_quota(const struct manifest *manifest, const char *connection)
{
    for (size_t i = 0; manifest->uses[i]; i++)
        if (strcmp(manifest->uses[i], connection) == 0)
            return &manifest->quotas[i];
    return NULL;
}
