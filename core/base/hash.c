/* hash.c - see hash.h */
#include "core/base/hash.h"

#include <endian.h>
#include <openssl/sha.h>

/* The low-level calls allocate nothing, and this runs for every event. */
void hash_parts(const struct slice *parts, size_t count, unsigned char digest[HASH_SIZE])
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    SHA256_CTX context;
    SHA256_Init(&context);
    for (size_t i = 0; i < count; i++) {
        uint64_t size = htole64(parts[i].size);
        SHA256_Update(&context, &size, sizeof size);
        SHA256_Update(&context, parts[i].data, parts[i].size);
    }
    SHA256_Final(digest, &context);
#pragma GCC diagnostic pop
}

void hash_hex(const unsigned char *bytes, size_t size, char *text)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *text++ = digit[bytes[i] >> 4];
        *text++ = digit[bytes[i] & 15];
    }
    *text = '\0';
}

uint64_t hash_quick(struct slice data)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < data.size; i++)
        hash = (hash ^ (unsigned char)data.data[i]) * 1099511628211u;
    return hash ^ (hash >> 29);
}
