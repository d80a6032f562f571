/* sandbox_seen.c - every request that came to the API, for tests to look at
 *
 * A request is a repeat if the same method, path and body came before; of reads that is nothing
 * special, so only repeated writes are counted in the summary.  The last SEEN_KEPT requests (or
 * BYTES_KEPT of them) are kept, the counts are for ever; what is a repeat is known for the last
 * SHAPES_KEPT different ones at least (two generations: a full young one becomes the old one). */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"
#include "core/base/hash.h"

#include <inttypes.h>
#include <stdlib.h>

#define SEEN_KEPT 200000
#define BYTES_KEPT ((size_t)128 << 20)
#define SHAPES_KEPT 200000

struct seen {
    uint64_t number;
    int64_t time_ms;
    char *method, *path;
    char *body;
    size_t body_size;
    int status;     /* -1: not answered yet, 0: the connection was cut */
    uintptr_t copy; /* the n-th of its kind; 1: the first */
};

struct sandbox_seens {
    struct seen *kept[SEEN_KEPT]; /* request `number` is in slot number % SEEN_KEPT */
    uint64_t first, next;         /* numbers: first kept, next to come */
    size_t bytes;                 /* of all kept bodies */
    struct map young, old;        /* what was asked (as a hash) to how often */
    uint64_t count, writes, repeats, cut, refused;
};

struct sandbox_seens *sandbox_seen_new(void)
{
    struct sandbox_seens *seens = mem_zero(sizeof *seens);
    seens->first = seens->next = 1;
    return seens;
}

static void forget_first(struct sandbox_seens *seens)
{
    struct seen **slot = &seens->kept[seens->first++ % SEEN_KEPT];
    seens->bytes -= (*slot)->body_size;
    free((*slot)->method);
    free((*slot)->path);
    free((*slot)->body);
    free(*slot);
    *slot = NULL;
}

void sandbox_seen_reset(struct sandbox_seens *seens)
{
    while (seens->first < seens->next)
        forget_first(seens);
    map_clear(&seens->young);
    map_clear(&seens->old);
    seens->count = seens->writes = seens->repeats = seens->cut = seens->refused = 0;
}

void sandbox_seen_free(struct sandbox_seens *seens)
{
    if (seens)
        sandbox_seen_reset(seens);
    free(seens);
}

static uintptr_t count_shape(struct sandbox_seens *seens, const char *method, const char *path, struct slice body)
{
    unsigned char digest[HASH_SIZE];
    const struct slice parts[] = {slice_of(method), slice_of(path), body};
    hash_parts(parts, 3, digest);
    struct slice key = {(const char *)digest, sizeof digest};
    uintptr_t count = (uintptr_t)map_get(&seens->young, key);
    if (!count)
        count = (uintptr_t)map_get(&seens->old, key);
    if (seens->young.count >= SHAPES_KEPT) {
        map_clear(&seens->old);
        seens->old = seens->young;
        seens->young = (struct map)MAP_INIT;
    }
    map_put(&seens->young, key, (void *)(count + 1));
    return count + 1;
}

uint64_t sandbox_seen_add(struct sandbox_seens *seens, const char *method, const char *path, struct slice body)
{
    while (seens->next - seens->first >= SEEN_KEPT || (seens->bytes > BYTES_KEPT && seens->first < seens->next))
        forget_first(seens);
    struct seen *seen = mem_zero(sizeof *seen);
    seen->number = seens->next++;
    seen->time_ms = clock_now_ms();
    seen->method = mem_text(method);
    seen->path = mem_text(path);
    seen->body = mem_copy(body);
    seen->body_size = body.size;
    seen->status = -1;
    seen->copy = count_shape(seens, method, path, body);
    seens->kept[seen->number % SEEN_KEPT] = seen;
    seens->bytes += body.size;
    seens->count++;
    if (strcmp(method, "GET") != 0) {
        seens->writes++;
        seens->repeats += seen->copy > 1;
    }
    return seen->number;
}

void sandbox_seen_answered(struct sandbox_seens *seens, uint64_t number, int status)
{
    seens->cut += status == 0;
    seens->refused += status >= 400;
    if (number >= seens->first && number < seens->next)
        seens->kept[number % SEEN_KEPT]->status = status;
}

static bool is_wanted(const struct seen *seen, const char *method)
{
    return !method || strcmp(seen->method, method) == 0;
}

static void add_seen(const struct seen *seen, struct buf *out)
{
    char time[CLOCK_TEXT_MAX];
    buf_addf(out, "{\"number\":%" PRIu64 ",\"time\":\"%s\",\"method\":", seen->number, clock_text(seen->time_ms, time));
    buf_add_json(out, slice_of(seen->method));
    buf_add_text(out, ",\"path\":");
    buf_add_json(out, slice_of(seen->path));
    buf_addf(out, ",\"status\":%d,\"copy\":%" PRIuPTR ",\"body\":", seen->status, seen->copy);
    buf_add_json(out, (struct slice){seen->body, seen->body_size});
    buf_add_char(out, '}');
}

bool sandbox_seen_list(const struct sandbox_seens *seens, uint64_t after, size_t limit, const char *method,
                       struct buf *out)
{
    uint64_t first = after >= seens->first ? after + 1 : seens->first, start = seens->next;
    size_t found = 0;
    while (start > first && found < limit)
        found += is_wanted(seens->kept[--start % SEEN_KEPT], method);
    bool is_first = true;
    buf_add_char(out, '[');
    for (uint64_t number = start; number < seens->next; number++) {
        const struct seen *seen = seens->kept[number % SEEN_KEPT];
        if (!is_wanted(seen, method))
            continue;
        buf_add_text(out, is_first ? "" : ",\n");
        add_seen(seen, out);
        is_first = false;
    }
    return buf_add_text(out, "]\n") && !out->is_over;
}

bool sandbox_seen_summary(const struct sandbox_seens *seens, struct buf *out)
{
    return buf_addf(out,
                    "\"requests\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"repeats\":%" PRIu64 ",\"refused\":%" PRIu64
                    ",\"cut\":%" PRIu64,
                    seens->count, seens->writes, seens->repeats, seens->refused, seens->cut);
}
