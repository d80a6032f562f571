/* campaign.c - see campaign.h */
#include "core/campaign/campaign.h"

#include "core/base/clock.h"
#include "core/base/record.h"
#include "core/base/utf8.h"

#include <stdio.h>

#define COUNTER_KEY_MAX 250

const char *const campaign_counter_names[CAMPAIGN_COUNTERS] = {
    [CAMPAIGN_TOTAL] = "total",        [CAMPAIGN_DUPLICATE] = "duplicate",   [CAMPAIGN_UNFIT] = "unfit",
    [CAMPAIGN_GIVEN_UP] = "cancelled", [CAMPAIGN_SUPERSEDED] = "superseded", [CAMPAIGN_DELIVERED] = "delivered",
    [CAMPAIGN_REFUSED] = "refused",    [CAMPAIGN_BOUNCED] = "bounced",       [CAMPAIGN_SUPPRESSED] = "suppressed",
    [CAMPAIGN_OUTBOX] = "outbox"};

static const char *const states[] = {"running", "paused", "cancelled"};

const char *campaign_state_name(enum campaign_state state)
{
    return states[state];
}

bool campaign_name_is_good(struct slice name, struct err *err)
{
    bool is_good = name.size > 0 && name.size <= CAMPAIGN_NAME_MAX && utf8_is_valid(name);
    for (size_t i = 0; is_good && i < name.size; i++)
        is_good = (unsigned char)name.data[i] >= 0x20 && name.data[i] != 0x7f;
    return is_good
           || err_set(err, "the name of a campaign has 1 to %d bytes and no control characters", CAMPAIGN_NAME_MAX);
}

static struct store_key key_of(const char *connection, struct slice name)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, connection);
    store_key_add(&key, name);
    return key;
}

struct store_key campaign_parked_key(const char *connection, struct slice name, uint64_t number)
{
    struct store_key key = ledger_prefix(connection, name);
    store_key_add_number(&key, number);
    return key;
}

bool campaign_look(struct store *store, const char *connection, struct slice name, struct campaign_view *view)
{
    struct store_key key = key_of(connection, name);
    struct slice row;
    if (!store_get(store, TABLE_CAMPAIGNS, store_key_slice(&key), &row))
        return false;
    struct slice state = record_get(row, "state");
    *view = (struct campaign_view){.at_ms = record_get_integer(row, "at", 0),
                                   .since_ms = record_get_integer(row, "since", 0)};
    view->state = slice_is(state, states[CAMPAIGN_PAUSED])      ? CAMPAIGN_PAUSED
                  : slice_is(state, states[CAMPAIGN_CANCELLED]) ? CAMPAIGN_CANCELLED
                                                                : CAMPAIGN_RUNNING;
    snprintf(view->who, sizeof view->who, "%.*s", SLICE_ARG(utf8_cut(record_get(row, "who"), sizeof view->who - 1)));
    snprintf(view->why, sizeof view->why, "%.*s", SLICE_ARG(utf8_cut(record_get(row, "why"), sizeof view->why - 1)));
    return true;
}

static void put(struct change *change, const struct store_key *key, int64_t at_ms, struct slice flow,
                enum campaign_state state, const char *who, const char *why)
{
    struct buf row = BUF_INIT(8192);
    record_add_integer(&row, "at", at_ms);
    record_add_text(&row, "flow", flow);
    record_add_text(&row, "state", slice_of(states[state]));
    if (who) {
        record_add_integer(&row, "since", clock_now_ms());
        record_add_text(&row, "who", slice_of(who));
        record_add_text(&row, "why", slice_of(why));
    }
    change_put(change, TABLE_CAMPAIGNS, store_key_slice(key), buf_slice(&row));
    buf_clear(&row);
}

/* Two that begin it in the same moment write the same row. */
void campaign_begin(struct store *store, struct change *change, const char *connection, struct slice name,
                    struct slice flow)
{
    struct store_key key = key_of(connection, name);
    struct slice row;
    if (!store_get(store, TABLE_CAMPAIGNS, store_key_slice(&key), &row))
        put(change, &key, clock_now_ms(), flow, CAMPAIGN_RUNNING, NULL, NULL);
}

void campaign_set_state(struct store *store, struct change *change, const char *connection, struct slice name,
                        enum campaign_state state, const char *who, const char *why)
{
    struct store_key key = key_of(connection, name);
    struct slice row = SLICE_NONE;
    store_get(store, TABLE_CAMPAIGNS, store_key_slice(&key), &row);
    put(change, &key, record_get_integer(row, "at", clock_now_ms()), record_get(row, "flow"), state, who, why);
}

static const char *counter_key(char *text, const char *connection, struct slice name, enum campaign_counter counter)
{
    snprintf(text, COUNTER_KEY_MAX, "campaign.%s.%.*s.%s", connection, SLICE_ARG(name),
             campaign_counter_names[counter]);
    return text;
}

void campaign_count(struct change *change, const char *connection, struct slice name, enum campaign_counter counter,
                    int64_t difference)
{
    char text[COUNTER_KEY_MAX];
    change_count(change, counter_key(text, connection, name, counter), difference);
}

int64_t campaign_counted(struct store *store, const char *connection, struct slice name, enum campaign_counter counter)
{
    char text[COUNTER_KEY_MAX];
    return store_counter(store, counter_key(text, connection, name, counter));
}
