/* webhooks.c - `webhooks:` in headgate.yaml: where other systems send what happened; see config.h */
#include "core/config/internal.h"

#include "core/base/endpoint.h"

static const struct option options[] = {
    {.name = "listen",
     .kind = OPTION_TEXT,
     .is_required = true,
     .least = 1,
     .most = 300,
     .help = "host and port, such as \"127.0.0.1:8281\""},
    {.name = "limit",
     .kind = OPTION_SIZE,
     .fallback = "1MiB",
     .least = 1024,
     .most = 128 << 20,
     .help = "a larger body is refused (413), whatever its flow takes"},
    OPTION_END,
};

bool config_read_webhooks(struct config *config, const struct yaml *root, struct err *err)
{
    const struct yaml *at = yaml_get(root, "webhooks");
    if (!at)
        return true;
    struct settings *settings = settings_new(options);
    struct err why = ERR_INIT;
    bool ok = yaml_settings(at, options, NULL, config->folder, true, settings, err);
    if (ok && !endpoint_parse(settings_text(settings, "listen"), &config->webhooks_host, &config->webhooks_port, &why))
        ok = yaml_err(yaml_get(at, "listen"), err, "listen: %s", why.text);
    config->webhooks_limit = settings_number(settings, "limit");
    settings_free(settings);
    return ok;
}
