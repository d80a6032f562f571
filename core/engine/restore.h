/* restore.h - a backup takes the store's place, and what that means for the promise
 *
 * What happened since the backup is not known to it: an effect that waits in it may have been delivered.  Those that
 * the far side can tell from a repeat are sent again.  The others are marked as being sent, exactly as a crash would
 * have left them: when the daemon starts they become unknown, and held for a person (or are sent again, where their
 * connection says `when_unknown: retry`).  Campaigns that ran are paused.  Flows with events in their inbox, or with
 * timers that were due since, would ask for the same again: their gates are tripped until a person resets them.  Nobody
 * guesses whether a person was written to. */
#ifndef HEADGATE_ENGINE_RESTORE_H
#define HEADGATE_ENGINE_RESTORE_H

#include "core/engine/engine.h"

struct restore_options {
    const char *folder; /* DATA */
    const char *backup; /* a file */
    bool resends;       /* nothing is marked: all that waits is sent again */
    struct author author;
};

struct restored {
    char aside[4200]; /* where the store is that was there before; "": there was none */
    int64_t waiting;  /* effects in the outbox */
    int64_t paused;   /* campaigns that ran */
    int64_t tripped;  /* flows with events in the inbox, or timers that are due */
};

bool restore(const struct restore_options *options, struct restored *restored, enum store_failure *failure,
             struct err *err);

#endif
