/* campaign.c - what a lane does for campaigns: one effect for each recipient, none for those who do not want any
 *
 *      asked for ──► in the ledger? ──yes──► superseded: a receipt says when that recipient was written to
 *                         └──no──► outbox row and ledger row, in one change
 *
 *      about to be sent ──► suppressed? ──► refused: the receipt says since when and why
 *                      ├──► campaign paused? ──► parked, out of the way of others; resumed by the feeder
 *                      └──► campaign cancelled? ──► refused
 */
#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "core/campaign/suppressed.h"
#include "core/lane/internal.h"

#include <stdio.h>
#include <stdlib.h>

void campaign_enters(struct lane *lane, struct change *change, struct slice row)
{
    struct slice campaign = record_get(row, "campaign");
    if (campaign.size)
        campaign_count(change, lane->connection->name, campaign, CAMPAIGN_OUTBOX, 1);
}

uint64_t lane_add_once(struct lane *lane, struct change *change, struct slice row)
{
    const char *connection = lane->connection->name;
    struct slice campaign = record_get(row, "campaign"), recipient = record_get(row, "recipient");
    char text[TEXT_MAX], moment[CLOCK_TEXT_MAX];
    int64_t at_ms;
    campaign_begin(lane->store, change, connection, campaign, record_get(row, "flow"));
    campaign_count(change, connection, campaign, CAMPAIGN_TOTAL, 1);
    if (!ledger_find(&lane->ledger, campaign, recipient, &at_ms)) {
        uint64_t number = lane_add(lane, change, row);
        ledger_take(&lane->ledger, change, campaign, recipient, number);
        return number;
    }
    uint64_t number = effect_number(PRIORITY_NORMAL, lane->next_running++);
    snprintf(text, sizeof text, "campaign %.*s wrote to this recipient already (%s)", SLICE_ARG(campaign),
             clock_text(at_ms, moment));
    receipt_superseded(lane, change, number, record_get(row, "id"), text);
    lane_tell(lane, change,
              &(struct lane_outcome){.flow = record_get(row, "flow"),
                                     .verb = record_get(row, "verb"),
                                     .id = record_get(row, "id"),
                                     .next = record_get(row, "next"),
                                     .outcome = "superseded",
                                     .text = text});
    change_count(change, lane->counter_keys[LANE_ASKED], 1);
    change_count(change, lane->counter_keys[LANE_SUPERSEDED], 1);
    campaign_count(change, connection, campaign, CAMPAIGN_DUPLICATE, 1);
    return number;
}

bool lane_has_written(struct lane *lane, struct slice campaign, struct slice recipient)
{
    int64_t at_ms;
    return ledger_find(&lane->ledger, campaign, recipient, &at_ms);
}

void lane_wrote(struct lane *lane, struct slice campaign, struct slice recipient)
{
    ledger_committed(&lane->ledger, campaign, recipient);
}

/* ---- asked for again, perhaps as edited --------------------------------------------------------- */

/* Under which the recipient of the item is recognised as it is now; empty: it reaches nobody who can be. */
static bool recognise(const struct lane *lane, struct slice item, struct buf *recipient, struct err *err)
{
    const struct verb *verb = lane->connection->adapter->verbs;
    while (verb && verb->name && !slice_is(record_get(item, "verb"), verb->name))
        verb++;
    if (!verb || !verb->name || !verb->recipient_field)
        return true;
    struct slice as_written = record_get(record_get(item, "fields"), verb->recipient_field);
    if (!as_written.size)
        return err_set(err, "`%s` is empty", verb->recipient_field);
    return (verb->canonical ? verb->canonical(as_written, recipient, err) : buf_add_slice(recipient, as_written))
           || err_wrap(err, "`%s`", verb->recipient_field);
}

static bool retry_to_another(struct lane *lane, struct change *change, struct slice item, uint64_t number,
                             struct slice recipient, struct err *err)
{
    struct slice campaign = record_get(item, "campaign");
    char moment[CLOCK_TEXT_MAX];
    int64_t at_ms;
    if (ledger_find(&lane->ledger, campaign, recipient, &at_ms))
        return err_set(err, "campaign %.*s wrote to %.*s already (%s)", SLICE_ARG(campaign), SLICE_ARG(recipient),
                       clock_text(at_ms, moment));
    struct buf row = BUF_INIT(EFFECT_ROW_MAX + 100);
    buf_add_slice(&row, item);
    record_add_text(&row, "recipient", recipient); /* the last of a name counts */
    /* It stays among the decided until the lane is closed: edits are few. */
    ledger_take(&lane->ledger, change, campaign, recipient, lane_retry(lane, change, buf_slice(&row), number));
    buf_clear(&row);
    return true;
}

bool lane_retry_edited(struct lane *lane, struct change *change, struct slice item, uint64_t number, struct err *err)
{
    struct slice asked = record_get(item, "campaign").size ? record_get(item, "recipient") : SLICE_NONE;
    struct buf recipient = BUF_INIT(RECIPIENT_MAX);
    bool ok = !asked.size || recognise(lane, item, &recipient, err);
    bool is_another =
        ok && recipient.size && (recipient.size != asked.size || memcmp(recipient.data, asked.data, asked.size) != 0);
    if (is_another)
        ok = retry_to_another(lane, change, item, number, buf_slice(&recipient), err);
    else if (ok)
        lane_retry(lane, change, item, number);
    buf_clear(&recipient);
    return ok;
}

/* ---- before it is sent -------------------------------------------------------------------------- */

/* As the stored fields say: a person may have edited them since it was asked for.  False: it reaches nobody in
 * particular, or nobody who can be recognised. */
static bool find_recipient(const struct work *work, struct buf *recipient)
{
    const struct verb *verb = work->delivery.verb;
    struct slice as_written =
        verb->recipient_field ? record_get(work->delivery.fields, verb->recipient_field) : SLICE_NONE;
    struct err err = ERR_INIT;
    if (!as_written.size)
        return false;
    return verb->canonical ? verb->canonical(as_written, recipient, &err) : buf_add_slice(recipient, as_written);
}

static bool is_suppressed(struct work *work)
{
    struct buf recipient = BUF_INIT(RECIPIENT_MAX);
    struct slice row;
    char text[TEXT_MAX], moment[CLOCK_TEXT_MAX];
    bool found = find_recipient(work, &recipient)
                 && suppressed_find(work->lane->store, work->lane->connection->name, buf_slice(&recipient), &row);
    buf_clear(&recipient);
    if (!found)
        return false;
    struct slice who = record_get(row, "who"), why = record_get(row, "why");
    snprintf(text, sizeof text, "suppressed since %s because %.*s%s%.*s",
             clock_text(record_get_integer(row, "at", 0), moment), SLICE_ARG(utf8_cut(who, 100)),
             who.size ? " says: " : "", SLICE_ARG(utf8_cut(why, 300)));
    work_refuse(work, work_change(work), CAMPAIGN_SUPPRESSED, text);
    return true;
}

static void on_parked(void *context)
{
    struct work *work = context;
    struct lane *lane = work->lane;
    char *campaign = mem_copy(work->campaign);
    work_settled(work);
    feeder_parked(lane, slice_of(campaign));
    free(campaign);
}

static void park(struct work *work, const struct campaign_view *view)
{
    struct lane *lane = work->lane;
    struct change *change = change_new(on_parked, work);
    char text[TEXT_MAX];
    struct store_key from = effect_key(lane->connection->name, work->entry.number);
    struct store_key to = campaign_parked_key(lane->connection->name, work->campaign, work->entry.number);
    struct slice row = SLICE_NONE;
    store_get(lane->store, TABLE_OUTBOX, store_key_slice(&from), &row);
    change_put(change, TABLE_PARKED, store_key_slice(&to), row);
    snprintf(text, sizeof text, "its campaign was paused by %.100s: %.300s", view->who, view->why);
    work_leave(work, change, "parked", text);
    store_commit(lane->store, change);
}

static bool is_stopped(struct work *work)
{
    struct campaign_view view;
    char text[TEXT_MAX];
    if (!work->campaign.size || !campaign_look(work->lane->store, work->lane->connection->name, work->campaign, &view)
        || view.state == CAMPAIGN_RUNNING)
        return false;
    snprintf(text, sizeof text, "its campaign was cancelled by %.100s: %.300s", view.who, view.why);
    if (view.state == CAMPAIGN_PAUSED)
        park(work, &view);
    else
        work_refuse(work, work_change(work), CAMPAIGN_GIVEN_UP, text);
    return true;
}

bool work_is_unwanted(struct work *work)
{
    return is_suppressed(work) || is_stopped(work);
}

/* The far side has no such recipient.  An effect of a campaign is refused by that, and the list of the suppressed is
 * where a person looks; of any other, a person decides about the effect, too. */
void work_bounce(struct work *work, const char *text)
{
    struct lane *lane = work->lane;
    struct suppression suppression = {.why = text, .effect = work->id};
    struct change *change = work_change(work);
    struct buf recipient = BUF_INIT(RECIPIENT_MAX);
    if (find_recipient(work, &recipient))
        suppressed_add(change, lane->connection->name, buf_slice(&recipient), &suppression);
    buf_clear(&recipient);
    if (work->campaign.size)
        work_refuse(work, change, CAMPAIGN_BOUNCED, text);
    else
        work_hold_in(work, change, "never", text, NULL);
}
