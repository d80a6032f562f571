/* fuse.h - a careless flow is stopped before it does harm, outside of Lua
 *
 *      run ends ─► fuse_take for each effect ─► all within their limits ─► fuse_count, in the change of the effects
 *                                            └► one too many ────────────► no effect of it leaves; the gate trips
 *
 * What is counted lies in the same change as what it counts, so it is as true as that after a crash; a run that is run
 * again counts once, because only its last time has effects.  Until the change is on disk its tallies are kept in
 * memory, for the runs that end meanwhile.
 *
 *      fuses      scope \0 name \0 kind \0 rest -> tally (tally.h)     scope: "flow" or "lane"; rest: of a person, a
 * hash counters   flow.NAME.failing, flow.NAME.failing_effects, lane.NAME.failing_effects: in a row, just now
 *                 flow.NAME.resets, lane.NAME.resets: tallies of an earlier number count no more */
#ifndef HEADGATE_FLOW_FUSE_H
#define HEADGATE_FLOW_FUSE_H

#include "core/base/map.h"
#include "core/flow/manifest.h"
#include "core/store/store.h"

struct claimed; /* a tally whose change is not on disk yet */
struct fuses {
    struct store *store;
    struct map under_way; /* key of its row -> struct claimed */
    struct map numbers;   /* counter -> int64, owned: as last decided */
};

void fuses_open(struct fuses *fuses, struct store *store);
void fuses_clear(struct fuses *fuses); /* after the store is closed */

/* One effect that wants to leave. */
struct fuse_load {
    const char *flow;                /* its name */
    const struct manifest *manifest; /* whose limits hold */
    const struct connection *connection;
    const struct verb *verb;
    const char *effect_id;  /* one that was sent before is not counted again: its lane will not send it either */
    struct slice recipient; /* as they are recognised; SLICE_NONE: it reaches nobody in particular */
    bool is_listed;         /* of a list that was handed over as a whole: what is built in for the hour does not hold */
};

/* What one run, or one part of a list, would add.  All zero to begin with. */
struct fuse_claim {
    struct claimed **list;
    size_t count;
    const char *connection; /* whose fuse it was that would blow; NULL: the flow's own */
};
/* Whether this effect, after all that the claim has, is within every limit.  False: `why` is a sentence for people. */
bool fuse_take(struct fuses *fuses, struct fuse_claim *claim, const struct fuse_load *load, struct err *why);
/* All of the claim is asked for: counted in this change.  From its `done`: fuse_end. */
void fuse_count(struct fuses *fuses, struct fuse_claim *claim, struct change *change);
/* The change is on disk; or, without fuse_count: nothing of it is asked for. */
void fuse_end(struct fuses *fuses, struct fuse_claim *claim);

/* How an event (`what`: "failing") or effect ("failing_effects") ended.  False: that is `most` bad ones in a row.
 * `most` 0: there is no such fuse. */
bool fuse_note(struct fuses *fuses, struct change *change, const char *scope, const char *name, const char *what,
               bool is_good, int64_t most);
#define FUSE_RATIO_LEAST 20 /* runs, before their share of failures says anything */
/* How a run ended, for its flow's error_ratio.  False: too many of the last ten minutes became held. */
bool fuse_note_run(struct fuses *fuses, struct fuse_claim *claim, struct change *change, const char *flow,
                   int64_t percent, bool is_good);
/* A person has looked: the fuses of this flow or lane begin anew. */
void fuse_reset(struct fuses *fuses, struct change *change, const char *scope, const char *name);

#endif
