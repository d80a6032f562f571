/* continuation.h - a run that goes on where an earlier one of its event left off
 *
 *      timer.after, `next` on an effect ─► carried: the event, and the step at which it goes on
 *                                              │ stored with the timer, with the effect
 *      due, delivered, refused ─► event ──────┘─► inbox, in the same change ─► a run that begins at that step
 *
 * A continuation is an ordinary row of the inbox.  Its event is the first one's, with these fields added to the record:
 *
 *     id, key, received_ms    of the first event, so that a newer release cannot find others in it
 *     continues_at            text: the step; the release that is live then must have it
 *     cause                   text: what begins the run has a name; from it follow the ids of this run's effects
 *     timer, result           json: what event.timer or event.result says
 *     because                 text: the same in words, for the trail
 *     late_ms                 integer: how late the timer is; event.late_by */
#ifndef HEADGATE_FLOW_CONTINUATION_H
#define HEADGATE_FLOW_CONTINUATION_H

#include "core/flow/run.h"

#define CARRIED_MOST ((size_t)16 << 20)     /* bytes of an event that can be carried on */
#define CARRIED_RUN_MOST ((size_t)64 << 20) /* of all that one run has carried on */

/* The step of that name, for a run that wants to go on there; -1 with the reason. */
int continuation_step(struct run *run, const char *name, struct err *err);
/* A name for what begins the run, as stable as an effect's id. */
void continuation_cause(struct run *run, char *cause);
/* The record of the run's event, so that it can go on at `step`. */
void continuation_carry(const struct run *run, struct slice record, int step, const char *cause, struct buf *carried);
/* Of a record: begins the run where it says (see run_admit).  False with the reason. */
bool continuation_take_up(struct run *run, struct slice record, struct err *err);

/* What the trail of a run says of why it began, and of its timers. */
void continuation_trail(const struct run *run, struct slice record, struct buf *item);

struct continuation {
    struct slice carried;
    const char *what;       /* "timer" or "result" */
    const char *because;    /* in words */
    struct slice json;      /* what it says */
    const int64_t *late_ms; /* of a timer; NULL: no timer */
};
struct flow;
struct change;
/* Puts it into the flow's inbox, as an event that was received.  Call flow_wake from the change's `done`. */
void continuation_arrives(struct flow *flow, struct change *change, const struct continuation *continuation);

#endif
