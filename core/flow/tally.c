/* tally.c - see tally.h; a row is the epoch, then the parts: numbers of 8 bytes, little endian */
#include "core/flow/tally.h"

#include <endian.h>

static int64_t part_of(int64_t window_ms)
{
    return window_ms / TALLY_PARTS > 0 ? window_ms / TALLY_PARTS : 1;
}

/* Also what lies in the future counts: the clock was set back. */
static bool is_within(const struct tally_part *part, int64_t window_ms, int64_t now_ms)
{
    return part->at_ms > now_ms - window_ms - part_of(window_ms);
}

int64_t tally_sum(const struct tally *tally, int64_t window_ms, int64_t now_ms)
{
    int64_t sum = 0;
    for (size_t i = 0; i < tally->count; i++)
        if (is_within(&tally->parts[i], window_ms, now_ms))
            sum += tally->parts[i].count;
    return sum;
}

static void drop_old(struct tally *tally, int64_t window_ms, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < tally->count; i++)
        if (is_within(&tally->parts[i], window_ms, now_ms))
            tally->parts[kept++] = tally->parts[i];
    tally->count = kept;
}

/* Two parts become one that is as young as the younger: nothing is forgotten too early. */
static void merge_oldest(struct tally *tally)
{
    tally->parts[1].count += tally->parts[0].count;
    tally->count--;
    memmove(tally->parts, tally->parts + 1, tally->count * sizeof tally->parts[0]);
}

void tally_add(struct tally *tally, int64_t window_ms, int64_t now_ms, int64_t count)
{
    drop_old(tally, window_ms, now_ms);
    int64_t at_ms = now_ms - now_ms % part_of(window_ms);
    if (tally->count && tally->parts[tally->count - 1].at_ms >= at_ms) {
        tally->parts[tally->count - 1].count += count;
        return;
    }
    if (tally->count == TALLY_MOST)
        merge_oldest(tally);
    tally->parts[tally->count++] = (struct tally_part){at_ms, count};
}

int64_t tally_end(const struct tally *tally, int64_t window_ms)
{
    return tally->count ? tally->parts[tally->count - 1].at_ms + window_ms + part_of(window_ms) : 0;
}

static void add_number(struct buf *row, int64_t number)
{
    uint64_t bytes = htole64((uint64_t)number);
    buf_add(row, &bytes, sizeof bytes);
}

void tally_encode(const struct tally *tally, struct buf *row)
{
    add_number(row, tally->epoch);
    for (size_t i = 0; i < tally->count; i++) {
        add_number(row, tally->parts[i].at_ms);
        add_number(row, tally->parts[i].count);
    }
}

static int64_t number_at(struct slice row, size_t at)
{
    uint64_t bytes;
    memcpy(&bytes, row.data + at, sizeof bytes);
    return (int64_t)le64toh(bytes);
}

void tally_decode(struct tally *tally, struct slice row)
{
    tally->epoch = 0;
    tally->count = 0;
    if (row.size < 8 || (row.size - 8) % 16 != 0 || (row.size - 8) / 16 > TALLY_MOST)
        return;
    tally->epoch = number_at(row, 0);
    for (size_t at = 8; at < row.size; at += 16)
        tally->parts[tally->count++] = (struct tally_part){number_at(row, at), number_at(row, at + 8)};
}
