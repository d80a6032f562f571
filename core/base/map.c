/* map.c - a hash table with chains; see map.h */
#include "core/base/map.h"

#include "core/base/buf.h"
#include "core/base/hash.h"

#include <stdlib.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
    void *value;
    size_t size; /* bytes of the key */
    char key[];
};

static struct map_node **find(const struct map *map, struct slice key, uint64_t hash)
{
    struct map_node **at = &map->slots[hash & (map->slot_count - 1)];
    while (*at && !((*at)->hash == hash && slice_equal((struct slice){(*at)->key, (*at)->size}, key)))
        at = &(*at)->next;
    return at;
}

static void grow(struct map *map)
{
    struct map_node **old = map->slots;
    size_t old_count = map->slot_count;
    map->slot_count = old_count ? old_count * 2 : 16;
    map->slots = mem_zero(map->slot_count * sizeof *map->slots);
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            struct map_node *node = old[i];
            old[i] = node->next;
            struct map_node **slot = &map->slots[node->hash & (map->slot_count - 1)];
            node->next = *slot;
            *slot = node;
        }
    }
    free(old);
}

void *map_get(const struct map *map, struct slice key)
{
    if (!map->count)
        return NULL;
    struct map_node *node = *find(map, key, hash_quick(key));
    return node ? node->value : NULL;
}

void map_put(struct map *map, struct slice key, void *value)
{
    if (map->count >= map->slot_count)
        grow(map);
    uint64_t hash = hash_quick(key);
    struct map_node **at = find(map, key, hash);
    if (!*at) {
        struct map_node *node = mem_new(sizeof *node + key.size);
        node->next = NULL;
        node->hash = hash;
        node->size = key.size;
        if (key.size)
            memcpy(node->key, key.data, key.size);
        *at = node;
        map->count++;
    }
    (*at)->value = value;
}

void *map_remove(struct map *map, struct slice key)
{
    if (!map->count)
        return NULL;
    struct map_node **at = find(map, key, hash_quick(key));
    struct map_node *node = *at;
    if (!node)
        return NULL;
    void *value = node->value;
    *at = node->next;
    free(node);
    map->count--;
    return value;
}

void map_each(const struct map *map, void (*each)(void *context, struct slice key, void *value), void *context)
{
    for (size_t i = 0; i < map->slot_count; i++)
        for (struct map_node *node = map->slots[i]; node; node = node->next)
            each(context, (struct slice){node->key, node->size}, node->value);
}

void map_clear(struct map *map)
{
    for (size_t i = 0; i < map->slot_count; i++) {
        while (map->slots[i]) {
            struct map_node *node = map->slots[i];
            map->slots[i] = node->next;
            free(node);
        }
    }
    free(map->slots);
    *map = (struct map)MAP_INIT;
}
