/* release.h - an immutable version of a flow or rule, named by its content's hash
 *
 * A flow's release is all files of its folder; a rule's is its file and its spec.  Who has the
 * hash has the content: two folders with the same files are the same release. */
#ifndef HEADGATE_FLOW_RELEASE_H
#define HEADGATE_FLOW_RELEASE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/record.h"

#define RELEASE_MAX ((size_t)4 << 20) /* bytes of all its files */

enum release_kind { RELEASE_FLOW, RELEASE_RULE };

struct release_file {
    char *path;           /* "flow.lua", "templates/offline.de.txt" */
    struct slice content; /* owned */
};

struct release {
    enum release_kind kind;
    char *name; /* of the flow or rule */
    char hash[HASH_TEXT_MAX];
    struct release_file *files; /* sorted by path */
    size_t count;
};

/* From a flow's folder ("flows/offline-case") or a rule's file ("rules/monitored.lua"). */
struct release *release_from_path(const char *path, struct err *err);
/* From the record that release_encode made: fields are paths with contents. */
struct release *release_decode(enum release_kind kind, const char *name, struct slice record, struct err *err);
bool release_encode(const struct release *release, struct buf *record);
/* Takes copies; call release_seal after the last. False: too large, or a path that leaves the folder. */
struct release *release_new(enum release_kind kind, const char *name);
bool release_add(struct release *release, const char *path, struct slice content, struct err *err);
void release_seal(struct release *release); /* sorts, computes the hash */
void release_free(struct release *release);

bool release_find(const struct release *release, const char *path, struct slice *content);
/* Writes the files below `folder` (which exists). */
bool release_write(const struct release *release, const char *folder, struct err *err);
const char *release_kind_name(enum release_kind kind); /* "flow" or "rule" */
/* A name is what a folder or file may be called: [a-z][a-z0-9_-]*, at most NAME_MAX_BYTES. */
bool release_name_is_good(enum release_kind kind, const char *name);

#endif
