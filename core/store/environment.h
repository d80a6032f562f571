/* environment.h - a data folder, locked and opened: what the store, and the tools for a store at rest, begin with
 *
 *      DATA/lock            one process a folder
 *      DATA/store/data.mdb  LMDB's file; its form depends on page size and byte order, so it moves only between
 *                           machines of one kind
 *
 * Opening makes what is missing, refuses what is newer than this program, and upgrades what is older (upgrade.c). */
#ifndef HEADGATE_STORE_ENVIRONMENT_H
#define HEADGATE_STORE_ENVIRONMENT_H

#include "core/store/store.h"

#include <lmdb.h>

#define FIRST_MAP_BYTES ((size_t)16 << 20)
#define NO_TABLE ((MDB_dbi)-1) /* of a table that a file which is only read does not have */

struct environment {
    char *folder; /* DATA, or the file that is only read */
    int lock_fd;  /* of DATA/lock; -1: none */
    MDB_env *mdb;
    MDB_dbi tables[TABLE_COUNT];
    size_t map_bytes;  /* size of the map as it was opened */
    bool keeps_copies; /* of what was there before an upgrade */
    bool is_file;      /* one file, only read: a backup */
};

/* Takes the lock and opens DATA/store; `failure` tells why not.  Whatever happened, environment_close ends it. */
bool environment_open(struct environment *env, const char *folder, enum store_failure *failure, struct err *err);
/* Opens a file that nobody writes, to read it.  A copy must have all its pages: to read one that is missing would be a
 * SIGBUS.  (The file of a store may lack pages at its end that nobody uses.) */
bool environment_open_file(struct environment *env, const char *path, bool is_copy, struct err *err);
void environment_close(struct environment *env);
void environment_shut(struct environment *env); /* keeps the lock */
bool environment_lock(struct environment *env, const char *folder, enum store_failure *failure, struct err *err);
/* Opens the environment in `place` (a folder that holds data.mdb, or will); the lock is the caller's business. */
bool environment_open_at(struct environment *env, const char *place, struct err *err);

/* picture.c: of a store at rest. */
struct picture *picture_of_environment(struct environment *env, struct err *err);
/* writer.c: applies the change at once, in one transaction, and drops it. */
bool environment_write(struct environment *env, struct change *change, struct err *err);

/* upgrade.c: from whatever schema the tables have to STORE_SCHEMA. */
bool environment_upgrade(struct environment *env, struct err *err);

#endif
