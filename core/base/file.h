/* file.h - whole files, with a ceiling */
#ifndef HEADGATE_BASE_FILE_H
#define HEADGATE_BASE_FILE_H

#include "core/base/buf.h"
#include "core/base/err.h"

/* Reads all of `path` into `out`, up to out->limit.  The error names the path and the reason. */
bool file_read(const char *path, struct buf *out, struct err *err);
/* Makes `path` and its parents, mode 0700 where new. */
bool file_make_folder(const char *path, struct err *err);

#endif
