/* adapters.c - the registry: the one place that names every adapter
 *
 * A new outside system is one new folder here and one line below. */
#include "core/adapter.h"

extern const struct adapter adapter_amqp;
extern const struct adapter adapter_http;
extern const struct adapter adapter_opsgenie;
extern const struct adapter adapter_smtp;
extern const struct adapter adapter_timer;

const struct adapter *const adapters[] = {&adapter_amqp, &adapter_http,  &adapter_opsgenie,
                                          &adapter_smtp, &adapter_timer, NULL};

const struct adapter *adapter_find(struct slice name)
{
    for (size_t i = 0; adapters[i]; i++)
        if (slice_is(name, adapters[i]->name))
            return adapters[i];
    return NULL;
}
