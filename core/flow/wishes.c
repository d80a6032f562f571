/* wishes.c - see wishes.h */
#include "core/flow/wishes.h"

#include <stdlib.h>

static bool is_state(enum wish_kind kind)
{
    return kind == WISH_SET || kind == WISH_DELETE;
}

static struct wish *find(const struct wishes *wishes, bool about_state, struct slice name)
{
    for (size_t i = 0; i < wishes->count; i++)
        if (is_state(wishes->list[i].kind) == about_state && slice_is(name, wishes->list[i].name))
            return &wishes->list[i];
    return NULL;
}

const struct wish *wishes_find(const struct wishes *wishes, struct slice key)
{
    return find(wishes, true, key);
}

struct wish *wishes_add(struct wishes *wishes, enum wish_kind kind, struct slice name, struct slice json,
                        struct err *err)
{
    struct wish *wish = find(wishes, is_state(kind), name);
    size_t others = wishes->bytes - (wish ? wish->json_size : 0);
    if (!wish && wishes->count == WISHES_MOST) {
        err_set(err, "this run sets more than %d keys and timers", WISHES_MOST);
        return NULL;
    }
    if (others + json.size > WISHES_BYTES) {
        err_set(err, "what this run keeps has more than %zu KiB in all", WISHES_BYTES >> 10);
        return NULL;
    }
    if (!wish) {
        wishes->list = mem_resize(wishes->list, (wishes->count + 1) * sizeof *wishes->list);
        wish = &wishes->list[wishes->count++];
        *wish = (struct wish){.name = mem_copy(name)};
    }
    free(wish->json);
    wish->kind = kind;
    wish->json = json.size ? mem_copy(json) : NULL;
    wish->json_size = json.size;
    wishes->bytes = others + json.size;
    return wish;
}

void wishes_clear(struct wishes *wishes)
{
    for (size_t i = 0; i < wishes->count; i++) {
        free(wishes->list[i].name);
        free(wishes->list[i].json);
    }
    free(wishes->list);
    *wishes = (struct wishes){.list = NULL};
}
