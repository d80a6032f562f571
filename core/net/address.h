/* address.h - is this address out there, or inside where no stranger should make us go?
 *
 * A request that somebody else's words lead to (a URL from a flow, a name in somebody's DNS) must not reach the
 * machine itself, its neighbours or a cloud's metadata service.  What counts is the address that is really connected
 * to, after names were looked up. */
#ifndef HEADGATE_NET_ADDRESS_H
#define HEADGATE_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* A unicast address of the public internet.  Loopback, private, link-local, shared, documentation, multicast and
 * reserved ones are not, nor is an IPv6 address that leads to an IPv4 one of these. */
bool address_is_public(const struct sockaddr *address);

#define ADDRESS_TEXT_MAX 64
/* "192.168.1.7", "fd00::1"; returns `text` of ADDRESS_TEXT_MAX bytes. */
const char *address_text(const struct sockaddr *address, char *text);

#endif
