/* rest.h - a store at rest: nobody runs on it, so its file may be replaced
 *
 *      DATA/store.new   made, filled, synced
 *      DATA/store       exchanged with it in one step: before that the old one, after it the new one
 *      DATA/store-aside-TIME: where the old one is kept from that instant on, or it is removed */
#ifndef HEADGATE_STORE_REST_H
#define HEADGATE_STORE_REST_H

#include "core/store/environment.h"

#define REST_PATH_MAX 4200

/* All of them with the lock of the data folder in `env`, and the environment itself closed. */

/* DATA/store.new with a compact copy of `from`. */
bool rest_copy(const struct environment *env, MDB_env *from, char place[REST_PATH_MAX], struct err *err);
/* DATA/store.new becomes DATA/store. `aside`: gets the place of the old one, "" if there was none; NULL: remove it. */
bool rest_exchange(const struct environment *env, char *aside, struct err *err);

/* The store of the folder without its free pages. */
bool rest_compact(const char *folder, int64_t *bytes_before, int64_t *bytes_after, enum store_failure *failure,
                  struct err *err);

#endif
