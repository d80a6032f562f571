/* address.c - see address.h
 *
 * The tables are those of the IANA special-purpose address registries.  Of IPv6 only 2000::/3 is given out to the
 * public, so everything else is not public, and the table names what is special inside of it. */
#include "core/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct net4 {
    uint32_t start;
    unsigned bits; /* of the prefix */
};

#define NET4(a, b, c, d, bits)                                                                                         \
    {                                                                                                                  \
        ((uint32_t)(a) << 24) | ((uint32_t)(b) << 16) | ((uint32_t)(c) << 8) | (uint32_t)(d), bits                     \
    }

static const struct net4 special4[] = {
    NET4(0, 0, 0, 0, 8),       /* this network; 0.0.0.0 connects to the machine itself */
    NET4(10, 0, 0, 0, 8),      /* private */
    NET4(100, 64, 0, 0, 10),   /* shared, behind a carrier's NAT */
    NET4(127, 0, 0, 0, 8),     /* loopback */
    NET4(169, 254, 0, 0, 16),  /* link-local, and the metadata services of clouds */
    NET4(172, 16, 0, 0, 12),   /* private */
    NET4(192, 0, 0, 0, 24),    /* protocol assignments */
    NET4(192, 0, 2, 0, 24),    /* documentation */
    NET4(192, 88, 99, 0, 24),  /* 6to4 relays, no more in use */
    NET4(192, 168, 0, 0, 16),  /* private */
    NET4(198, 18, 0, 0, 15),   /* benchmarks */
    NET4(198, 51, 100, 0, 24), /* documentation */
    NET4(203, 0, 113, 0, 24),  /* documentation */
    NET4(224, 0, 0, 0, 4),     /* multicast */
    NET4(240, 0, 0, 0, 4),     /* reserved, and the broadcast address */
};

struct net6 {
    unsigned char start[8]; /* no prefix here is longer */
    unsigned bits;
};

static const struct net6 special6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* protocol assignments, Teredo (which leads to IPv4) among them */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4, which leads to IPv4 */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < sizeof special4 / sizeof special4[0]; i++)
        if ((address ^ special4[i].start) >> (32 - special4[i].bits) == 0)
            return false;
    return true;
}

static bool begins_with(const unsigned char *address, const unsigned char *start, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;
    return memcmp(address, start, bytes) == 0 && (!rest || (address[bytes] ^ start[bytes]) >> (8 - rest) == 0);
}

static bool is_public6(const unsigned char *address)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(address, mapped, sizeof mapped) == 0 || memcmp(address, nat64, sizeof nat64) == 0) {
        uint32_t inner;
        memcpy(&inner, address + 12, sizeof inner);
        return is_public4(ntohl(inner));
    }
    if (address[0] >> 5 != 1)
        return false;
    for (size_t i = 0; i < sizeof special6 / sizeof special6[0]; i++)
        if (begins_with(address, special6[i].start, special6[i].bits))
            return false;
    return true;
}

bool address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        return is_public4(ntohl(four.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        return is_public6(six.sin6_addr.s6_addr);
    }
    return false;
}

const char *address_text(const struct sockaddr *address, char *text)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    const char *written = NULL;
    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        written = inet_ntop(AF_INET, &four.sin_addr, text, ADDRESS_TEXT_MAX);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&six, address, sizeof six);
        written = inet_ntop(AF_INET6, &six.sin6_addr, text, ADDRESS_TEXT_MAX);
    }
    if (!written)
        snprintf(text, ADDRESS_TEXT_MAX, "an unknown address");
    return text;
}
