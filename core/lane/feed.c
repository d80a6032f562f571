/* feed.c - one recipient of a list, on the way into the outbox
 *
 *      fields of the list, and of this one ──► recognised ──► written to before? ──► prepare ──► fuses ──► outbox,
 * ledger
 *
 * What is sent is made at this moment, from the fields that were frozen when the list was handed over and the files of
 * the release that did it. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/utf8.h"
#include "core/lane/feeder.h"

#include <stdio.h>
#include <stdlib.h>

#define WHY_BYTES 300

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
    supply_count(supply, feeding->change, CAMPAIGN_UNFIT);
    if (name.size)
        ledger_note(&supply->lane->ledger, feeding->change, slice_of(supply->campaign), name, why);
    log_debug("campaign %s (%s): nothing is sent to %.*s: %s", supply->campaign, supply->lane->connection->name,
              SLICE_ARG(name), why);
}

static bool prepare(struct feeding *feeding, const char *effect_id, struct err *err)
{
    struct supply *supply = feeding->supply;
    struct ask ask = {.connection = supply->lane->connection,
                      .verb = supply->verb,
                      .flow = supply->flow,
                      .effect_id = effect_id,
                      .now_ms = clock_now_ms(),
                      .fields = buf_slice(&feeding->fields),
                      .file = file_of,
                      .list = files_of,
                      .context = supply};
    bool ok = supply->verb->prepare ? supply->verb->prepare(&ask, &feeding->out, err)
                                    : buf_add_slice(&feeding->out, ask.fields);
    return ok && (!feeding->out.is_over || err_set(err, "it is too large"));
}

static void ask_for(struct feeding *feeding, const char *effect_id)
{
    struct supply *supply = feeding->supply;
    struct slice list = supply_row(supply), recipient = buf_slice(&feeding->recipient);
    struct effect effect = {.flow = supply->flow,
                            .release = supply->release_hash,
                            .step = supply->step,
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
}

static bool is_allowed(struct feeding *feeding, const char *effect_id)
{
    struct supply *supply = feeding->supply;
    const struct lane_fuses *fuses = supply->lane->options.fuses;
    if (!fuses)
        return true;
    struct lane_listed listed = {.connection = supply->lane->connection,
                                 .verb = supply->verb,
                                 .flow = supply->flow,
                                 .effect_id = effect_id,
                                 .recipient = buf_slice(&feeding->recipient)};
    return fuses->allows(fuses->context, feeding->change, &supply->claim, &listed);
}

bool feed_one(struct feeding *feeding, struct slice own)
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
    buf_add_slice(&feeding->fields, record_get(supply_row(supply), "fields"));
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
        supply_count(supply, feeding->change, CAMPAIGN_DUPLICATE);
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
