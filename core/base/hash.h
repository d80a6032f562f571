/* hash.h - SHA-256 (OpenSSL) for names that must never collide, FNV-1a for tables in memory */
#ifndef HEADGATE_BASE_HASH_H
#define HEADGATE_BASE_HASH_H

#include "core/base/slice.h"

#include <stdint.h>

#define HASH_SIZE 32
#define HASH_TEXT_MAX (2 * HASH_SIZE + 1)

/* SHA-256 over the parts, each preceded by its size, so that ("ab","c") differs from ("a","bc"). */
void hash_parts(const struct slice *parts, size_t count, unsigned char digest[HASH_SIZE]);
/* Lower-case hex of `size` bytes, zero-terminated; `text` holds 2 * size + 1. */
void hash_hex(const unsigned char *bytes, size_t size, char *text);
uint64_t hash_quick(struct slice data);

#endif
