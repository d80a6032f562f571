/* internal.h - the parts of headgate.yaml that have files of their own */
#ifndef HEADGATE_CONFIG_INTERNAL_H
#define HEADGATE_CONFIG_INTERNAL_H

#include "core/config/config.h"
#include "core/config/yaml.h"

/* webhooks.c */
bool config_read_webhooks(struct config *config, const struct yaml *root, struct err *err);

#endif
