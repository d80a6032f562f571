/* acks.c - which deliveries of a channel are answered
 *
 * The broker numbers the deliveries of a channel 1, 2, 3...  Core finishes them in any order; we acknowledge the
 * longest finished prefix with one `multiple` ack.
 *
 *     open --core acks--> finished --ack sent--> settled (gone once all before it are settled)
 *          --core puts back, nack sent---------> settled
 *
 *     tag      7 8 9 10 11 12 13        first = 7, next = 14
 *     state    F F S F  o  F  o         prefix: ack 10, multiple; 9 was put back by itself, before
 *
 * One event that takes long must not stop the flow behind it: once finished deliveries behind an open one fill
 * much of the prefetch window, they are acked singly (the caller decides when).
 *
 * An ack that names a delivery which is not open any more would close the channel, so each is sent once only. */
#include "adapters/amqp/rabbit.h"

#define ROOM_FIRST 1024

static uint8_t *state_of(const struct rabbit_acks *acks, uint64_t tag)
{
    return &acks->states[tag & (acks->room - 1)];
}

void rabbit_acks_init(struct rabbit_acks *acks)
{
    *acks = (struct rabbit_acks){.first = 1, .next = 1};
}

void rabbit_acks_clear(struct rabbit_acks *acks)
{
    free(acks->states);
    rabbit_acks_init(acks);
}

static void grow(struct rabbit_acks *acks)
{
    struct rabbit_acks old = *acks;
    acks->room = old.room ? 2 * old.room : ROOM_FIRST;
    acks->states = mem_new(acks->room);
    for (uint64_t tag = old.first; tag < old.next; tag++)
        *state_of(acks, tag) = *state_of(&old, tag);
    free(old.states);
}

void rabbit_acks_add(struct rabbit_acks *acks, uint64_t tag)
{
    if (tag < acks->next)
        return; /* the broker would have counted backwards */
    if (acks->first == acks->next)
        acks->first = acks->next = tag;
    while (acks->next <= tag) { /* a gap cannot be; if it is, what is in it is not ours to ack */
        if (acks->next - acks->first == acks->room)
            grow(acks);
        *state_of(acks, acks->next) = acks->next == tag ? RABBIT_OPEN : RABBIT_SETTLED;
        acks->next++;
    }
    acks->open++;
}

static void drop_settled(struct rabbit_acks *acks)
{
    while (acks->first < acks->next && *state_of(acks, acks->first) == RABBIT_SETTLED)
        acks->first++;
}

bool rabbit_acks_settle(struct rabbit_acks *acks, uint64_t tag, enum rabbit_ack state)
{
    if (tag < acks->first || tag >= acks->next || *state_of(acks, tag) != RABBIT_OPEN)
        return false;
    *state_of(acks, tag) = (uint8_t)state;
    acks->open--;
    if (state == RABBIT_FINISHED)
        acks->finished++;
    else
        drop_settled(acks);
    return true;
}

uint64_t rabbit_acks_prefix(struct rabbit_acks *acks)
{
    uint64_t highest = 0;
    for (; acks->first < acks->next && *state_of(acks, acks->first) != RABBIT_OPEN; acks->first++) {
        if (*state_of(acks, acks->first) == RABBIT_FINISHED) {
            highest = acks->first;
            acks->finished--;
        }
    }
    return highest;
}

uint64_t rabbit_acks_single(struct rabbit_acks *acks, uint64_t *at)
{
    for (uint64_t tag = *at > acks->first ? *at : acks->first; tag < acks->next; tag++) {
        if (*state_of(acks, tag) == RABBIT_FINISHED) {
            *state_of(acks, tag) = RABBIT_SETTLED;
            acks->finished--;
            *at = tag + 1;
            return tag;
        }
    }
    return 0;
}
