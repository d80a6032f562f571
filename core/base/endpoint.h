/* endpoint.h - "127.0.0.1:8281" or "[::1]:8281": where something listens */
#ifndef HEADGATE_BASE_ENDPOINT_H
#define HEADGATE_BASE_ENDPOINT_H

#include "core/base/err.h"

/* The host (owned by the caller, without brackets) and the port, 0 for any free one; both are always needed. */
bool endpoint_parse(const char *text, char **host, int *port, struct err *err);
bool endpoint_is_loopback(const char *host); /* this machine only; a name counts if it is localhost */

#endif
