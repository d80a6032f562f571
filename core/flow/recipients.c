/* recipients.c - see recipients.h */
#include "core/flow/recipients.h"

#include "core/base/map.h"
#include "core/campaign/campaign.h"

#include <stdlib.h>

bool recipients_recognise(const struct verb *verb, struct slice as_written, struct buf *recipient, struct err *err)
{
    if (!as_written.size)
        return err_set(err, "`%s` is empty", verb->recipient_field);
    if (verb->canonical ? verb->canonical(as_written, recipient, err) : buf_add_slice(recipient, as_written))
        return true;
    if (recipient->is_over)
        return err_set(err, "`%s` is longer than %d bytes", verb->recipient_field, RECIPIENT_MAX);
    return err_wrap(err, "`%s`", verb->recipient_field);
}

static bool take_campaign(struct asked *asked, struct slice campaign, struct err *err)
{
    if (!campaign_name_is_good(campaign, err))
        return err_wrap(err, "`%s`", asked->verb->campaign_field);
    asked->campaign = mem_copy(campaign);
    return true;
}

bool recipients_one(struct asked *asked, struct slice fields, struct err *err)
{
    const struct verb *verb = asked->verb;
    struct slice campaign = verb->campaign_field ? record_get(fields, verb->campaign_field) : SLICE_NONE;
    struct slice as_written = verb->recipient_field ? record_get(fields, verb->recipient_field) : SLICE_NONE;
    if ((as_written.size || campaign.data) && !recipients_recognise(verb, as_written, &asked->recipient, err))
        return false;
    if (!campaign.data)
        return true;
    if (!take_campaign(asked, campaign, err))
        return false;
    effect_make_campaign_id(asked->connection->name, campaign, buf_slice(&asked->recipient), asked->id);
    return true;
}

bool recipients_list(struct asked *asked, struct slice fields, struct slice entries, struct err *err)
{
    const struct verb *verb = asked->verb;
    struct map seen = MAP_INIT;
    struct buf recipient = BUF_INIT(RECIPIENT_MAX);
    struct field entry;
    bool ok = true;
    asked->is_list = true;
    if (!record_has(fields, verb->campaign_field))
        return err_set(err, "`%s` is a list: that needs a `%s`, in which nobody is written to twice",
                       verb->recipient_field, verb->campaign_field);
    if (!take_campaign(asked, record_get(fields, verb->campaign_field), err))
        return false;
    for (size_t at = 0; ok && record_next(entries, &at, &entry);) {
        struct slice as_written = record_get(entry.value, verb->recipient_field);
        struct err no_recipient = ERR_INIT;
        buf_reset(&recipient);
        bool is_one = recipients_recognise(verb, as_written, &recipient, &no_recipient);
        struct slice name = is_one ? buf_slice(&recipient) : as_written;
        if (name.size && map_get(&seen, name)) {
            asked->duplicate_count++;
            continue;
        }
        if (name.size)
            map_put(&seen, name, asked);
        asked->recipient_count++;
        ok = record_add_text(&asked->recipients, "r", entry.value) || err_set(err, "the list is too large");
    }
    map_clear(&seen);
    buf_clear(&recipient);
    return ok && (buf_add_slice(&asked->fields, fields) || err_set(err, "it is too large"));
}
