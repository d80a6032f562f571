/* setup.c - what it takes to connect, from the connection's settings
 *
 * Made once, then only read, so all threads may share it; whoever lets go of it last frees it. */
#include "adapters/amqp/rabbit.h"

struct rabbit_setup *rabbit_setup_new(const struct connection *connection, struct err *err)
{
    const struct settings *settings = connection->settings;
    struct rabbit_setup *setup = mem_zero(sizeof *setup);
    atomic_init(&setup->users, 1);
    setup->ca = mem_text(settings_text(settings, "ca"));
    setup->certificate = mem_text(settings_text(settings, "certificate"));
    setup->certificate_key = mem_text(settings_text(settings, "certificate_key"));
    setup->name = mem_text(connection->name);
    setup->environment = mem_text(connection->environment);
    setup->heartbeat_s = (unsigned)(settings_number(settings, "heartbeat") / 1000);
    setup->prefetch = (unsigned)settings_number(settings, "prefetch");
    bool ok = rabbit_url_parse(settings_text(settings, "url"), &setup->address, err);
    if (ok && !setup->address.is_tls && (setup->ca || setup->certificate))
        ok = err_set(err, "certificates need a url that begins with amqps://");
    if (ok && !setup->certificate != !setup->certificate_key)
        ok = err_set(err, "`certificate` and `certificate_key` need each other");
    if (!ok) {
        rabbit_setup_release(setup);
        setup = NULL;
    }
    return setup;
}

void rabbit_setup_release(struct rabbit_setup *setup)
{
    if (atomic_fetch_sub(&setup->users, 1) > 1)
        return;
    rabbit_address_clear(&setup->address);
    free(setup->ca);
    free(setup->certificate);
    free(setup->certificate_key);
    free(setup->name);
    free(setup->environment);
    free(setup);
}
