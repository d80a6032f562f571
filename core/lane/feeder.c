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
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/utf8.h"
#include "core/campaign/list.h"
#include "core/lane/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LOW 200                      /* effects of a campaign in the outbox, below which more are fed */
#define FEED_ROWS 200                /* in one change */
#define FEED_BYTES ((size_t)4 << 20) /* of one change, roughly */
#define FEED_NS 8000000              /* that making them may keep the loop busy */
#define DROP_ROWS 1000               /* of a cancelled list, in one change */
#define WHY_BYTES 300

struct supply {
    struct supply *next;
    struct lane *lane;
    uint64_t list; /* its number; 0: what is parked of the campaign */
    char campaign[CAMPAIGN_NAME_MAX + 1];
    char *row;                /* of the list, a copy; NULL: parked */
    size_t row_size;          /* bytes */
    const struct verb *verb;  /* of the list */
    void *release;            /* of the list, opened when it is needed */
    struct fuse_claim *claim; /* what the change under way counts; NULL: nothing */
    struct buf taken;         /* recipients whose rows are on their way to the disk, each with a zero */
    bool is_busy;             /* a change is under way */
    bool is_over;             /* its last row is gone, once that is on disk */
    uint64_t fed;             /* since `fed_ns` */
    int64_t fed_ns;           /* when it began, or went on after a pause; 0: it does not go on */
};

/* One turn of one supply. */
struct feeding {
    struct supply *supply;
    struct change *change;
    size_t rows, most, bytes;
    int64_t until_ns;
    struct buf fields, out, row, recipient; /* of the recipient at hand */
};

static struct slice row_of(const struct supply *supply)
{
    return (struct slice){supply->row, supply->row_size};
}

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

static void count(struct supply *supply, struct change *change, enum campaign_counter counter, int64_t n)
{
    campaign_count(change, supply->lane->connection->name, slice_of(supply->campaign), counter, n);
}

/* By itself: nobody is written to before a person has looked. */
static void pause_campaign(struct supply *supply, struct change *change, const char *why)
{
    struct lane *lane = supply->lane;
    campaign_set_state(lane->store, change, lane->connection->name, slice_of(supply->campaign), CAMPAIGN_PAUSED,
                       "headgate", why);
    log_error("campaign %s (%s): paused: %s", supply->campaign, lane->connection->name, why);
}

/* ---- one recipient of a list ------------------------------------------------------------------------ */

static bool file_of(const struct ask *ask, const char *path, struct slice *content)
{
    const struct supply *supply = ask->context;
    return supply->lane->options.releases->find(supply->release, path, content);
}

static void files_of(const struct ask *ask, const char *prefix, struct buf *names)
{
    const struct supply *supply = ask->context;
    supply->lane->options.releases->list(supply->release, prefix, names);
}

/* Nothing can be written to them.  The place in the ledger stays free: a mended list may be handed over again. */
static void note_unfit(struct feeding *feeding, struct slice as_written, const struct err *err)
{
    struct supply *supply = feeding->supply;
    struct slice name = feeding->recipient.size ? buf_slice(&feeding->recipient) : utf8_cut(as_written, RECIPIENT_MAX);
    char why[WHY_BYTES];
    snprintf(why, sizeof why, "%.*s", SLICE_ARG(utf8_cut(slice_of(err->text), sizeof why - 1)));
    count(supply, feeding->change, CAMPAIGN_UNFIT, 1);
    if (name.size)
        ledger_note(&supply->lane->ledger, feeding->change, slice_of(supply->campaign), name, why);
    log_warning("campaign %s (%s): nothing is sent to %.*s: %s", supply->campaign, supply->lane->connection->name,
                SLICE_ARG(name), why);
}

static bool prepare(struct feeding *feeding, const char *effect_id, struct err *err)
{
    struct supply *supply = feeding->supply;
    char *flow = mem_copy(record_get(row_of(supply), "flow"));
    struct ask ask = {.connection = supply->lane->connection,
                      .verb = supply->verb,
                      .flow = flow,
                      .effect_id = effect_id,
                      .now_ms = clock_now_ms(),
                      .fields = buf_slice(&feeding->fields),
                      .file = file_of,
                      .list = files_of,
                      .context = supply};
    bool ok = supply->verb->prepare ? supply->verb->prepare(&ask, &feeding->out, err)
                                    : buf_add_slice(&feeding->out, ask.fields);
    free(flow);
    return ok && (!feeding->out.is_over || err_set(err, "it is too large"));
}

static void ask_for(struct feeding *feeding, const char *effect_id)
{
    struct supply *supply = feeding->supply;
    struct slice list = row_of(supply), recipient = buf_slice(&feeding->recipient);
    char *flow = mem_copy(record_get(list, "flow")), *release = mem_copy(record_get(list, "release"));
    char *step = mem_copy(record_get(list, "step"));
    struct effect effect = {.flow = flow,
                            .release = release,
                            .step = step,
                            .verb = supply->verb,
                            .key = recipient.size < KEY_MAX_BYTES ? recipient : slice_of(effect_id),
                            .event_id = record_get(list, "event_id"),
                            .asked_ms = clock_now_ms(),
                            .priority = PRIORITY_LOW,
                            .when_unknown = (enum when_unknown)record_get_integer(list, "when_unknown", 0),
                            .campaign = slice_of(supply->campaign),
                            .recipient = recipient,
                            .fields = buf_slice(&feeding->out)};
    memcpy(effect.id, effect_id, sizeof effect.id);
    if (!effect_encode(&effect, &feeding->row))
        abort(); /* what is prepared is bounded far below */
    uint64_t number = lane_add(supply->lane, feeding->change, buf_slice(&feeding->row));
    ledger_take(&supply->lane->ledger, feeding->change, slice_of(supply->campaign), recipient, number);
    buf_add(&supply->taken, recipient.data, recipient.size);
    buf_add(&supply->taken, "", 1);
    free(flow);
    free(release);
    free(step);
}

static bool is_allowed(struct feeding *feeding, const char *effect_id)
{
    struct supply *supply = feeding->supply;
    const struct lane_fuses *fuses = supply->lane->options.fuses;
    if (!fuses)
        return true;
    char *flow = mem_copy(record_get(row_of(supply), "flow"));
    struct lane_listed listed = {.connection = supply->lane->connection,
                                 .verb = supply->verb,
                                 .flow = flow,
                                 .effect_id = effect_id,
                                 .recipient = buf_slice(&feeding->recipient)};
    bool is_allowed = fuses->allows(fuses->context, feeding->change, &supply->claim, &listed);
    free(flow);
    return is_allowed;
}

/* False: a fuse blew, and this one waits where it is. */
static bool feed_one(struct feeding *feeding, struct slice own)
{
    struct supply *supply = feeding->supply;
    const struct verb *verb = supply->verb;
    struct err err = ERR_INIT;
    int64_t at_ms;
    char id[EFFECT_ID_SIZE];
    buf_reset(&feeding->fields);
    buf_reset(&feeding->out);
    buf_reset(&feeding->row);
    buf_reset(&feeding->recipient);
    buf_add_slice(&feeding->fields, record_get(row_of(supply), "fields"));
    buf_add_slice(&feeding->fields, own); /* of two fields with one name, the last counts */
    struct slice as_written = record_get(buf_slice(&feeding->fields), verb->recipient_field);
    if (!as_written.size)
        err_set(&err, "it is empty");
    if (!as_written.size
        || !(verb->canonical ? verb->canonical(as_written, &feeding->recipient, &err)
                             : buf_add_slice(&feeding->recipient, as_written))) {
        buf_reset(&feeding->recipient);
        note_unfit(feeding, as_written, &err);
        return true;
    }
    if (ledger_find(&supply->lane->ledger, slice_of(supply->campaign), buf_slice(&feeding->recipient), &at_ms)) {
        count(supply, feeding->change, CAMPAIGN_DUPLICATE, 1);
        return true;
    }
    effect_make_campaign_id(supply->lane->connection->name, slice_of(supply->campaign), buf_slice(&feeding->recipient),
                            id);
    if (!prepare(feeding, id, &err))
        note_unfit(feeding, as_written, &err);
    else if (is_allowed(feeding, id))
        ask_for(feeding, id);
    else
        return false;
    return true;
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
    count(feeding->supply, feeding->change, CAMPAIGN_GIVEN_UP, 1);
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
    count(feeding->supply, feeding->change, CAMPAIGN_GIVEN_UP, 1);
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
        if (slice_is(record_get(row_of(supply), "verb"), verb->name) && verb->recipient_field)
            supply->verb = verb;
    char *flow = mem_copy(record_get(row_of(supply), "flow")), *hash = mem_copy(record_get(row_of(supply), "release"));
    if (!supply->verb)
        err_set(&err, "this version of the adapter has no verb that its list asks for");
    else
        supply->release = lane->options.releases->open(lane->options.releases->context, flow, hash, &err);
    free(flow);
    free(hash);
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
    char *flow = mem_copy(record_get(row_of(supply), "flow"));
    bool is = supply->list && lane_parks(supply->lane, flow);
    free(flow);
    return is;
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
