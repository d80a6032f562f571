/* endpoint.c - see endpoint.h
 *
 * A host is always said: whoever leaves it out would listen to the whole world without having meant to. */
#include "core/base/endpoint.h"

#include "core/base/buf.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

bool endpoint_parse(const char *text, char **host, int *port, struct err *err)
{
    static const char help[] = "expected host and port, such as \"127.0.0.1:8281\" or \"[::1]:8281\"";
    const char *colon = strrchr(text, ':');
    bool has_brackets = text[0] == '[';
    struct slice name = {text, colon ? (size_t)(colon - text) : 0};
    if (has_brackets) {
        if (name.size < 3 || name.data[name.size - 1] != ']')
            return err_set(err, "%s", help);
        name = (struct slice){name.data + 1, name.size - 2};
    }
    if (!name.size || (!has_brackets && memchr(name.data, ':', name.size)) || strcspn(name.data, " /@") < name.size)
        return err_set(err, "%s", help);
    size_t digits = strspn(colon + 1, "0123456789");
    long number = digits && digits < 6 ? strtol(colon + 1, NULL, 10) : -1;
    if (colon[1 + digits] || number < 0 || number > 65535)
        return err_set(err, "the port is a number from 0 (any free one) to 65535; %s", help);
    *host = mem_copy(name);
    *port = (int)number;
    return true;
}

bool endpoint_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}
