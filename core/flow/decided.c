/* decided.c - see decided.h */
#include "core/flow/decided.h"

#include "core/base/buf.h"

#include <stdlib.h>

uint64_t decided_begin(struct decided *decided)
{
    return ++decided->last;
}

void decided_put(struct decided *decided, uint64_t change, struct slice key, const struct slice *value,
                 int64_t expires_ms)
{
    size_t size = value ? value->size : 0;
    struct decided_row *row = mem_new(sizeof *row + size);
    *row = (struct decided_row){.change = change, .is_gone = !value, .expires_ms = expires_ms, .size = size};
    if (size)
        memcpy(row + 1, value->data, size);
    free(map_get(&decided->rows, key));
    map_put(&decided->rows, key, row);
}

const struct decided_row *decided_get(const struct decided *decided, struct slice key)
{
    return map_get(&decided->rows, key);
}

struct slice decided_value(const struct decided_row *row)
{
    return (struct slice){(const char *)(row + 1), row->size};
}

void decided_done(struct decided *decided, uint64_t change, struct slice key)
{
    struct decided_row *row = map_get(&decided->rows, key);
    if (!row || row->change != change)
        return;
    map_remove(&decided->rows, key);
    free(row);
}

static void free_row(void *context, struct slice key, void *value)
{
    (void)context, (void)key;
    free(value);
}

void decided_clear(struct decided *decided)
{
    map_each(&decided->rows, free_row, NULL);
    map_clear(&decided->rows);
}
