/* map.h - from bytes to a pointer, in memory; keys are copied, values are loans */
#ifndef HEADGATE_BASE_MAP_H
#define HEADGATE_BASE_MAP_H

#include "core/base/slice.h"

#include <stdint.h>

struct map_node; /* one key with its value */

struct map {
    struct map_node **slots; /* heads of chains; a power of two of them, or NULL while empty */
    size_t slot_count;
    size_t count; /* keys in the map */
};

#define MAP_INIT                                                                                                       \
    {                                                                                                                  \
        NULL, 0, 0                                                                                                     \
    }

void *map_get(const struct map *map, struct slice key);       /* NULL: not there */
void map_put(struct map *map, struct slice key, void *value); /* replaces; `value` is not NULL */
void *map_remove(struct map *map, struct slice key);          /* the value that was there, or NULL */
/* Calls for each entry, in no order; the callback must not change the map. */
void map_each(const struct map *map, void (*each)(void *context, struct slice key, void *value), void *context);
void map_clear(struct map *map);

#endif
