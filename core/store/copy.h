/* copy.h - a compact copy of the environment, as one file */
#ifndef HEADGATE_STORE_COPY_H
#define HEADGATE_STORE_COPY_H

#include "core/base/err.h"

#include <lmdb.h>
#include <stdbool.h>

/* The copy appears at `path` whole and on disk, or not at all; what is there is never overwritten. */
bool copy_to_file(MDB_env *mdb, const char *path, struct err *err);
/* The same in two halves, for whoever fills the file himself: a new file beside `path`, and its appearance there. */
int copy_begin(const char *path, struct err *err); /* a descriptor; -1: failed */
bool copy_end(int fd, const char *path, struct err *err);
void copy_drop(int fd, const char *path); /* instead of copy_end */

#endif
