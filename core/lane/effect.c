/* effect.c - see effect.h */
#include "core/lane/effect.h"

#include "core/base/hash.h"

#define PRIORITY_SHIFT 48

const char *const priority_names[PRIORITIES] = {"normal", "high", "low"};

bool priority_parse(struct slice name, enum priority *priority)
{
    for (int i = 0; i < PRIORITIES; i++) {
        if (slice_is(name, priority_names[i])) {
            *priority = (enum priority)i;
            return true;
        }
    }
    return false;
}

enum priority priority_of(uint64_t number)
{
    uint64_t priority = number >> PRIORITY_SHIFT;
    return priority < PRIORITIES ? (enum priority)priority : PRIORITY_NORMAL;
}

uint64_t effect_number(enum priority priority, uint64_t running)
{
    return (uint64_t)priority << PRIORITY_SHIFT | running;
}

/* What most effects do not say is not written. */
static bool add_wishes(const struct effect *effect, struct buf *row)
{
    return (effect->priority == PRIORITY_NORMAL
            || record_add_text(row, "priority", slice_of(priority_names[effect->priority])))
           && (effect->when_unknown == UNKNOWN_AS_CONNECTION
               || record_add_text(row, "when_unknown",
                                  slice_of(effect->when_unknown == UNKNOWN_RETRY ? "retry" : "hold")));
}

#define WAITED_MS 5 /* an event that ran within it was not kept waiting */

bool effect_encode(const struct effect *effect, struct buf *row)
{
    return add_wishes(effect, row) && record_add_text(row, "id", slice_of(effect->id))
           && record_add_text(row, "flow", slice_of(effect->flow))
           && record_add_text(row, "release", slice_of(effect->release))
           && record_add_text(row, "step", slice_of(effect->step))
           && record_add_text(row, "verb", slice_of(effect->verb->name)) && record_add_text(row, "key", effect->key)
           && record_add_text(row, "event_id", effect->event_id)
           && record_add_integer(row, "asked_ms", effect->asked_ms)
           && (effect->asked_ms - effect->received_ms < WAITED_MS || !effect->received_ms
               || record_add_integer(row, "received_ms", effect->received_ms))
           && (!effect->campaign.size || record_add_text(row, "campaign", effect->campaign))
           && (!effect->recipient.size || record_add_text(row, "recipient", effect->recipient))
           && (!effect->next.size || record_add_text(row, "next", effect->next))
           && record_add_text(row, "fields", effect->fields);
}

void effect_make_id(const char *flow, struct slice event_id, const char *step, unsigned position, char *id)
{
    struct slice parts[] = {slice_of(flow), event_id, slice_of(step), {(const char *)&position, sizeof position}};
    unsigned char digest[HASH_SIZE];
    hash_parts(parts, sizeof parts / sizeof *parts, digest);
    hash_hex(digest, (EFFECT_ID_SIZE - 1) / 2, id);
}

void effect_make_campaign_id(const char *connection, struct slice campaign, struct slice recipient, char *id)
{
    struct slice parts[] = {slice_of("campaign"), slice_of(connection), campaign, recipient};
    unsigned char digest[HASH_SIZE];
    hash_parts(parts, sizeof parts / sizeof *parts, digest);
    hash_hex(digest, (EFFECT_ID_SIZE - 1) / 2, id);
}

struct store_key effect_key(const char *connection, uint64_t number)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, connection);
    store_key_add_number(&key, number);
    return key;
}
