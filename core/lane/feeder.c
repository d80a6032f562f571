/* feeder.c - from lists into the outbox, a few hundred at a time
 *
 *      list row, recipient rows ──few of it in the outbox?──► prepare ──► outbox row, ledger row; recipient row gone
 *                                                                │            one change, then the next
 *                                                                ├ written to before ──► counted as duplicate
 *                                                                ├ cannot be prepared ──► counted, the ledger says why
 *                                                                └ a fuse blows ──► the flow is tripped, the list waits
 *      parked rows of a campaign that was paused ──resumed──► outbox, under a new number
 *      either, of a campaign that was cancelled ──► counted as cancelled, nobody is written to
 *
 * What is sent to a recipient is made at that moment, from the fields that were frozen when the list was handed over
 * and the files of the release that did it.  Each source of recipients (a supply) has one change under way at most: the
 * next look at the store sees all that was done before. */
#include "core/lane/feeder.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define LOW 200                      /* effects of a campaign in the outbox, below which more are fed */
#define FEED_ROWS 200                /* in one change */
#define FEED_BYTES ((size_t)4 << 20) /* of one change, roughly */
#define FEED_NS 8000000              /* that making them may keep the loop busy */
#define DROP_ROWS 1000               /* of a cancelled list, in one change */

static struct supply *supply_new(struct lane *lane, uint64_t list, struct slice campaign)
{
    struct supply *supply = mem_zero(sizeof *supply), **end = &lane->supplies;
    supply->lane = lane;
    supply->list = list;
    supply->taken = (struct buf)BUF_INIT(FEED_ROWS * (RECIPIENT_MAX + 1));
    snprintf(supply->campaign, sizeof supply->campaign, "%.*s", SLICE_ARG(campaign));
    while (*end)
        end = &(*end)->next;
    *end = supply;
    lane->feeds = true;
    return supply;
}

static void supply_free(struct supply *supply)
{
    struct supply **at = &supply->lane->supplies;
    while (*at != supply)
        at = &(*at)->next;
    *at = supply->next;
    if (supply->release)
        supply->lane->options.releases->close(supply->release);
    buf_clear(&supply->taken);
    free(supply->row);
    free(supply->flow);
    free(supply->release_hash);
    free(supply->step);
    free(supply);
}

/* ---- a change of it ------------------------------------------------------------------------------ */

static void on_fed(void *context)
{
    struct supply *supply = context;
    struct lane *lane = supply->lane;
    struct slice taken = buf_slice(&supply->taken);
    for (size_t at = 0, size; at < taken.size; at += size + 1) {
        size = strlen(taken.data + at);
        ledger_committed(&lane->ledger, slice_of(supply->campaign), (struct slice){taken.data + at, size});
    }
    buf_reset(&supply->taken);
    if (supply->claim)
        lane->options.fuses->end(lane->options.fuses->context, supply->claim);
    supply->claim = NULL;
    supply->is_busy = false;
    lane->feeds = true;
    lane_wake(lane);
    if (supply->is_over)
        supply_free(supply);
}

static struct change *begin(struct supply *supply)
{
    supply->is_busy = true;
    return change_new(on_fed, supply);
}

void supply_count(struct supply *supply, struct change *change, enum campaign_counter counter)
{
    campaign_count(change, supply->lane->connection->name, slice_of(supply->campaign), counter, 1);
}

/* By itself: nobody is written to before a person has looked. */
static void pause_campaign(struct supply *supply, struct change *change, const char *why)
{
    struct lane *lane = supply->lane;
    campaign_set_state(lane->store, change, lane->connection->name, slice_of(supply->campaign), CAMPAIGN_PAUSED,
                       "headgate", why);
    log_error("campaign %s (%s): paused: %s", supply->campaign, lane->connection->name, why);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static bool goes_on(struct feeding *feeding, size_t bytes)
{
    feeding->rows++;
    feeding->bytes += bytes;
    return feeding->rows < feeding->most && feeding->bytes < FEED_BYTES && clock_mono_ns() < feeding->until_ns;
}

static bool feed_row(void *context, struct slice key, struct slice row)
{
    struct feeding *feeding = context;
    if (!feed_one(feeding, row)) {
        feeding->rows++; /* it was met: the list is not over */
        return false;
    }
    change_delete(feeding->change, TABLE_RECIPIENTS, key);
    return goes_on(feeding, feeding->row.size);
}

static bool drop_row(void *context, struct slice key, struct slice row)
{
    struct feeding *feeding = context;
    (void)row;
    change_delete(feeding->change, TABLE_RECIPIENTS, key);
    supply_count(feeding->supply, feeding->change, CAMPAIGN_GIVEN_UP);
    return goes_on(feeding, 0);
}

static bool resume_row(void *context, struct slice key, struct slice row)
{
    struct feeding *feeding = context;
    struct lane *lane = feeding->supply->lane;
    change_delete(feeding->change, TABLE_PARKED, key);
    lane_retry(lane, feeding->change, row, store_key_number(key));
    return goes_on(feeding, row.size);
}

static bool refuse_row(void *context, struct slice key, struct slice row)
{
    struct feeding *feeding = context;
    struct lane *lane = feeding->supply->lane;
    change_delete(feeding->change, TABLE_PARKED, key);
    static const char text[] = "its campaign was cancelled";
    receipt_refused(lane, feeding->change, store_key_number(key), record_get(row, "id"), text);
    lane_tell(lane, feeding->change,
              &(struct lane_outcome){.flow = record_get(row, "flow"),
                                     .verb = record_get(row, "verb"),
                                     .id = record_get(row, "id"),
                                     .next = record_get(row, "next"),
                                     .outcome = "refused",
                                     .text = text});
    supply_count(feeding->supply, feeding->change, CAMPAIGN_GIVEN_UP);
    return goes_on(feeding, 0);
}

static void walk(struct supply *supply, bool is_cancelled)
{
    struct lane *lane = supply->lane;
    struct feeding feeding = {.supply = supply,
                              .change = begin(supply),
                              .most = is_cancelled && supply->list ? DROP_ROWS : FEED_ROWS,
                              .until_ns = clock_mono_ns() + FEED_NS,
                              .fields = BUF_INIT(EFFECT_ROW_MAX),
                              .out = BUF_INIT(EFFECT_ROW_MAX - 65536),
                              .row = BUF_INIT(EFFECT_ROW_MAX),
                              .recipient = BUF_INIT(RECIPIENT_MAX)};
    struct store_key prefix = supply->list ? list_key(lane->connection->name, supply->list)
                                           : ledger_prefix(lane->connection->name, slice_of(supply->campaign));
    if (supply->list)
        store_scan(lane->store, TABLE_RECIPIENTS, store_key_slice(&prefix), SLICE_NONE,
                   is_cancelled ? drop_row : feed_row, &feeding);
    else
        store_scan(lane->store, TABLE_PARKED, store_key_slice(&prefix), SLICE_NONE,
                   is_cancelled ? refuse_row : resume_row, &feeding);
    if (!feeding.rows) {
        supply->is_over = true;
        if (supply->list)
            change_delete(feeding.change, TABLE_LISTS, store_key_slice(&prefix));
    }
    if (supply->claim)
        lane->options.fuses->count(lane->options.fuses->context, feeding.change, supply->claim);
    supply->fed += feeding.rows;
    store_commit(lane->store, feeding.change);
    buf_clear(&feeding.fields);
    buf_clear(&feeding.out);
    buf_clear(&feeding.row);
    buf_clear(&feeding.recipient);
}

/* ---- what to do now -------------------------------------------------------------------------------------- */

/* The list's verb and release are here; else its campaign is paused, and a person reads why. */
static bool is_ready(struct supply *supply)
{
    struct lane *lane = supply->lane;
    struct err err = ERR_INIT;
    if (!supply->list || supply->release)
        return true;
    for (const struct verb *verb = lane->connection->adapter->verbs; verb && verb->name; verb++)
        if (slice_is(record_get(supply_row(supply), "verb"), verb->name) && verb->recipient_field)
            supply->verb = verb;
    if (!supply->verb)
        err_set(&err, "this version of the adapter has no verb that its list asks for");
    else
        supply->release =
            lane->options.releases->open(lane->options.releases->context, supply->flow, supply->release_hash, &err);
    if (supply->release)
        return true;
    struct change *change = begin(supply);
    pause_campaign(supply, change, err.text);
    store_commit(lane->store, change);
    return false;
}

/* The flow that handed the list over may let nothing leave. */
static bool is_tripped(const struct supply *supply)
{
    return supply->list && lane_parks(supply->lane, supply->flow);
}

static void step(struct supply *supply)
{
    struct lane *lane = supply->lane;
    struct slice campaign = slice_of(supply->campaign);
    struct campaign_view view = {.state = CAMPAIGN_RUNNING};
    campaign_look(lane->store, lane->connection->name, campaign, &view);
    if (view.state == CAMPAIGN_PAUSED || (view.state == CAMPAIGN_RUNNING && is_tripped(supply))) {
        supply->fed_ns = 0;
        return;
    }
    if (!supply->fed_ns) {
        supply->fed_ns = clock_mono_ns();
        supply->fed = 0;
    }
    if (view.state == CAMPAIGN_CANCELLED)
        walk(supply, true);
    else if ((lane->backlogs[PRIORITY_LOW].waiting < LOW
              || campaign_counted(lane->store, lane->connection->name, campaign, CAMPAIGN_OUTBOX) < LOW)
             && is_ready(supply))
        walk(supply, false);
}

void feeder_work(struct lane *lane)
{
    if (!lane->feeds)
        return;
    lane->feeds = false;
    for (struct supply *supply = lane->supplies; supply; supply = supply->next)
        if (!supply->is_busy)
            step(supply);
}

static void add_list(struct lane *lane, uint64_t number, struct slice row)
{
    struct supply *supply = supply_new(lane, number, record_get(row, "campaign"));
    supply->row = mem_copy(row);
    supply->row_size = row.size;
    supply->flow = mem_copy(record_get(row, "flow"));
    supply->release_hash = mem_copy(record_get(row, "release"));
    supply->step = mem_copy(record_get(row, "step"));
}

void feeder_parked(struct lane *lane, struct slice campaign)
{
    for (struct supply *supply = lane->supplies; supply; supply = supply->next)
        if (!supply->list && !supply->is_over && slice_is(campaign, supply->campaign))
            return;
    supply_new(lane, 0, campaign);
}

/* ---- handing over --------------------------------------------------------------------------------------- */

uint64_t lane_hand_over(struct lane *lane, struct change *change, const struct list *list)
{
    uint64_t number = ++lane->last_list;
    change_count(change, lane->list_counter, 1);
    list_put(lane->store, change, lane->connection->name, number, list);
    return number;
}

void lane_feed(struct lane *lane, uint64_t list)
{
    struct store_key key = list_key(lane->connection->name, list);
    struct slice row;
    if (store_get(lane->store, TABLE_LISTS, store_key_slice(&key), &row))
        add_list(lane, list, row);
}

void lane_look_at_campaigns(struct lane *lane)
{
    lane->feeds = true;
}

double lane_feed_rate(const struct lane *lane, const char *campaign)
{
    for (const struct supply *supply = lane->supplies; supply; supply = supply->next) {
        int64_t ns = clock_mono_ns() - supply->fed_ns;
        if (supply->fed_ns && supply->fed && ns > 0 && strcmp(supply->campaign, campaign) == 0)
            return (double)supply->fed / ((double)ns / 1e9);
    }
    return 0;
}

/* ---- opening and closing ---------------------------------------------------------------------------------- */

static bool open_list(void *context, struct slice key, struct slice row)
{
    add_list(context, store_key_number(key), row);
    return true;
}

static bool first_parked(void *context, struct slice key, struct slice row)
{
    (void)row;
    *(struct slice *)context = key;
    return false;
}

/* One look for each campaign that has parked rows, however many. */
static void open_parked(struct lane *lane, const struct store_key *prefix)
{
    struct store_key from = *prefix;
    for (;;) {
        struct slice key = SLICE_NONE;
        store_scan(lane->store, TABLE_PARKED, store_key_slice(prefix), store_key_slice(&from), first_parked, &key);
        if (!key.size)
            return;
        struct slice campaign = slice_of(key.data + prefix->size);
        feeder_parked(lane, campaign);
        from = ledger_prefix(lane->connection->name, campaign);
        from.bytes[from.size - 1] = '\1'; /* behind all of this campaign */
    }
}

void feeder_open(struct lane *lane)
{
    struct store_key prefix = STORE_KEY_INIT;
    snprintf(lane->list_counter, sizeof lane->list_counter, "lane.%s.lists", lane->connection->name);
    lane->last_list = (uint64_t)store_counter(lane->store, lane->list_counter);
    store_key_add_text(&prefix, lane->connection->name);
    store_scan(lane->store, TABLE_LISTS, store_key_slice(&prefix), SLICE_NONE, open_list, lane);
    open_parked(lane, &prefix);
}

void feeder_close(struct lane *lane)
{
    while (lane->supplies)
        supply_free(lane->supplies);
}
