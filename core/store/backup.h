/* backup.h - a copy of the store while it runs
 *
 *      store_backup ─► worker: LMDB ──pipe──► PATH.partial ─► fsync ─► renamed to PATH
 *                        └─ the store needs room: given up at once; then from the start, three times at most
 *
 * What the copy shows is the store as it was when it began.  As long as it takes, nothing that is freed is used again,
 * so the file grows by what is written meanwhile.  That is bounded: when the store waits for room, because of that or
 * not, the copy lets go, so that it is never the backup that keeps the store from writing. */
#ifndef HEADGATE_STORE_BACKUP_H
#define HEADGATE_STORE_BACKUP_H

#include "core/store/store.h"

enum backup_state { BACKUP_NONE, BACKUP_RUNS, BACKUP_DONE, BACKUP_FAILED };

struct backup_view {
    enum backup_state state;
    char path[4096];      /* where the copy is, or will be */
    int64_t bytes, of;    /* written; about how many there are */
    int64_t began_ms, ms; /* when it began, how long it took so far */
    char text[2000];      /* why it failed */
};

/* Begins a backup; one at a time. `path`: absolute; a folder gets a file with the time in its name. */
bool store_backup(struct store *store, const char *path, struct err *err);
void store_backup_look(struct store *store, struct backup_view *view); /* the one that runs, or the last */
void store_backup_stop(struct store *store);                           /* gives the one that runs up */

#endif
