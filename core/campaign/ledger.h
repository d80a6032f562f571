/* ledger.h - who was written to: one campaign writes to one recipient once, for ever
 *
 *      asked for ──► ledger_find ──nobody yet──► ledger_take ──one change──► row here and effect in the outbox,
 * together │ └── written to before, or just decided: counted as superseded, with a receipt that says when
 *
 * The instant is the commit of the change that has both rows.  A row is never deleted and never expires: restarts,
 * redeploys, jobs that are started twice, retention periods of whatever else do not touch it.  It stays when the effect
 * is refused or held, because then a person decides, and a retry keeps the effect's id.
 *
 *     ledger   connection \0 campaign \0 recipient -> at (ms), number (in the outbox), why (see below)
 *
 * A recipient who cannot be written to at all (an address that is none, a template that lacks a value) is noted with
 * `why`, and is not taken: nothing was written, so that the same list, mended, may be handed over again. */
#ifndef HEADGATE_CAMPAIGN_LEDGER_H
#define HEADGATE_CAMPAIGN_LEDGER_H

#include "core/base/map.h"
#include "core/store/store.h"

#define CAMPAIGN_NAME_MAX 100 /* bytes */
#define RECIPIENT_MAX 254     /* bytes of the form under which a recipient is recognised */

/* One connection's part of it. */
struct ledger {
    struct store *store;
    const char *connection; /* name, lent */
    struct map decided;     /* campaign \0 recipient -> struct taken, owned: rows that are not on disk yet */
};

void ledger_open(struct ledger *ledger, struct store *store, const char *connection);
void ledger_clear(struct ledger *ledger);
/* When was this recipient written to in this campaign? False: not yet. */
bool ledger_find(struct ledger *ledger, struct slice campaign, struct slice recipient, int64_t *at_ms);
/* Takes the recipient, in the same change as the effect; call ledger_committed from the change's `done`. */
void ledger_take(struct ledger *ledger, struct change *change, struct slice campaign, struct slice recipient,
                 uint64_t number);
void ledger_committed(struct ledger *ledger, struct slice campaign, struct slice recipient);
/* Notes why nothing can be written to this recipient, who is not taken. */
void ledger_note(struct ledger *ledger, struct change *change, struct slice campaign, struct slice recipient,
                 const char *why);
/* connection \0 campaign \0 */
struct store_key ledger_prefix(const char *connection, struct slice campaign);

#endif
