/* cache.c - answers of look-ups that may be a little old; see web.h
 *
 * What is asked for again within its age is not asked of the far side.  An entry is found by a digest of its whole
 * request, credentials apart, because those are the connection's; the oldest are given up when there is no room. */
#include "adapters/http/web.h"

#include "core/base/hash.h"

#include <stdlib.h>
#include <sys/queue.h>

struct entry {
    TAILQ_ENTRY(entry) link;
    unsigned char digest[HASH_SIZE];
    int64_t stored_ns;
    char *answer;
    size_t size; /* of the answer */
};

struct web_cache {
    struct map entries;             /* digest -> entry */
    TAILQ_HEAD(ages, entry) by_age; /* the oldest first */
    size_t used, limit;             /* bytes, with what an entry itself takes */
};

struct web_cache *web_cache_new(size_t limit_bytes)
{
    struct web_cache *cache = mem_zero(sizeof *cache);
    cache->limit = limit_bytes;
    TAILQ_INIT(&cache->by_age);
    return cache;
}

static struct slice digest_of(const struct entry *entry)
{
    return (struct slice){(const char *)entry->digest, HASH_SIZE};
}

static void drop(struct web_cache *cache, struct entry *entry)
{
    map_remove(&cache->entries, digest_of(entry));
    TAILQ_REMOVE(&cache->by_age, entry, link);
    cache->used -= entry->size + sizeof *entry;
    free(entry->answer);
    free(entry);
}

void web_cache_free(struct web_cache *cache)
{
    if (!cache)
        return;
    while (!TAILQ_EMPTY(&cache->by_age))
        drop(cache, TAILQ_FIRST(&cache->by_age));
    map_clear(&cache->entries);
    free(cache);
}

void web_cache_put(struct web_cache *cache, struct slice request, struct slice answer, int64_t now_ns)
{
    struct entry *entry = mem_zero(sizeof *entry);
    hash_parts(&request, 1, entry->digest);
    struct entry *old = map_get(&cache->entries, digest_of(entry));
    if (old)
        drop(cache, old);
    if (answer.size + sizeof *entry > cache->limit / 4) { /* one large answer must not drive all others out */
        free(entry);
        return;
    }
    entry->stored_ns = now_ns;
    entry->answer = mem_copy(answer);
    entry->size = answer.size;
    cache->used += entry->size + sizeof *entry;
    map_put(&cache->entries, digest_of(entry), entry);
    TAILQ_INSERT_TAIL(&cache->by_age, entry, link);
    while (cache->used > cache->limit)
        drop(cache, TAILQ_FIRST(&cache->by_age));
}

bool web_cache_get(struct web_cache *cache, struct slice request, int64_t age_ms, int64_t now_ns, struct slice *answer)
{
    unsigned char digest[HASH_SIZE];
    hash_parts(&request, 1, digest);
    const struct entry *entry = map_get(&cache->entries, (struct slice){(const char *)digest, HASH_SIZE});
    if (!entry || now_ns - entry->stored_ns > age_ms * 1000000)
        return false;
    *answer = (struct slice){entry->answer, entry->size};
    return true;
}
