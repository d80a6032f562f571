/* upgrade.c - from the schema of an older version to ours
 *
 *      older  ──copy kept──► step, step, ... ──► ours        each step and its new number: one transaction
 *      ours   ──────────────────────────────────► ours
 *      newer  ──► refused, nothing is written
 *
 * A crash between two steps leaves a store of the schema in between, which the next start takes from there; a step may
 * count on finding exactly what the last version wrote.  Before the first step a compact copy is kept beside the store,
 * DATA/store-before-2.mdb, where the disk has room for it: `headgate store restore` takes it, with the older version.
 *
 * A step says what it needs of the layers above (the names of their counters, the fields of their rows) in its own
 * words: it is about what an older version wrote, and stays as it is when they change.
 *
 * Tables that are new need no step: they are made when a store is opened. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/copy.h"
#include "core/store/internal.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* 0, or what LMDB said. */
typedef int (*upgrade_step)(struct environment *env, MDB_txn *txn);

static int put_waiting(struct environment *env, MDB_txn *txn, const char *connection, uint64_t rows)
{
    char name[STORE_KEY_MAX];
    uint64_t bytes = htole64(rows);
    snprintf(name, sizeof name, "lane.%s.waiting-normal", connection);
    MDB_val key = to_val(slice_of(name)), value = {8, &bytes};
    return mdb_put(txn, env->tables[TABLE_COUNTERS], &key, &value, 0);
}

/* Schema 2 counts what waits in the outbox; schema 1 knew only what is the normal priority now.  The rows of its tables
 * are read as they are. */
static int upgrade_1_to_2(struct environment *env, MDB_txn *txn)
{
    char connection[STORE_KEY_MAX + 1] = "";
    uint64_t rows = 0;
    MDB_cursor *cursor;
    MDB_val key, value;
    int end, status = mdb_cursor_open(txn, env->tables[TABLE_OUTBOX], &cursor);
    if (status != 0)
        return status;
    while ((end = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0 && status == 0) {
        if (strncmp(connection, key.mv_data, key.mv_size) != 0) { /* a name with its zero, then the number */
            status = rows ? put_waiting(env, txn, connection, rows) : 0;
            snprintf(connection, sizeof connection, "%.*s", (int)key.mv_size, (const char *)key.mv_data);
            rows = 0;
        }
        rows++;
    }
    mdb_cursor_close(cursor);
    if (status == 0 && end != MDB_NOTFOUND)
        status = end;
    return status == 0 && rows ? put_waiting(env, txn, connection, rows) : status;
}

/* steps[n] leads from schema n + 1 to schema n + 2. */
static const upgrade_step steps[] = {upgrade_1_to_2};
_Static_assert(sizeof steps / sizeof *steps == STORE_SCHEMA - 1, "each earlier schema has its step");

static int read_schema(struct environment *env, MDB_txn *txn, long *schema)
{
    MDB_val key = to_val(slice_of("schema")), value;
    char text[16];
    int status = mdb_get(txn, env->tables[TABLE_META], &key, &value);
    if (status != 0)
        return status;
    snprintf(text, sizeof text, "%.*s", (int)value.mv_size, (const char *)value.mv_data);
    *schema = strtol(text, NULL, 10);
    return 0;
}

static int write_schema(struct environment *env, MDB_txn *txn, long schema)
{
    char text[16];
    snprintf(text, sizeof text, "%ld", schema);
    MDB_val key = to_val(slice_of("schema")), value = to_val(slice_of(text));
    return mdb_put(txn, env->tables[TABLE_META], &key, &value, 0);
}

bool schema_check(struct environment *env, MDB_txn *txn, struct err *err)
{
    long schema = 0;
    int status = read_schema(env, txn, &schema);
    if (status == MDB_NOTFOUND && !env->is_file)
        status = write_schema(env, txn, schema = STORE_SCHEMA);
    if (status != 0)
        return err_set(err, "its schema cannot be read: %s", mdb_strerror(status));
    return (schema >= 1 && schema <= STORE_SCHEMA)
           || err_set(err,
                      "it was written with schema %ld, this headgate knows schemas up to %d; run the version that "
                      "wrote it, or a newer one",
                      schema, STORE_SCHEMA);
}

static int64_t used_bytes(struct environment *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    return (int64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

/* The copy may fill no disk: as much room as it takes must be left beside it. */
static bool keep_copy(struct environment *env, struct err *err)
{
    char path[4096];
    struct statvfs disk;
    snprintf(path, sizeof path, "%s/store-before-%d.mdb", env->folder, STORE_SCHEMA);
    if (access(path, F_OK) == 0) {
        log_info("store: %s is there already, from an upgrade that did not end: it is kept", path);
        return true;
    }
    int64_t bytes = used_bytes(env);
    if (statvfs(env->folder, &disk) != 0 || (int64_t)(disk.f_bavail * disk.f_frsize) < 2 * bytes) {
        log_warning("store: no copy from before the upgrade is kept: there is no room for two times %lld MiB in %s",
                    (long long)(bytes >> 20), env->folder);
        return true;
    }
    log_info("store: a copy from before the upgrade goes to %s", path);
    return copy_to_file(env->mdb, path, err);
}

static bool step(struct environment *env, long from, struct err *err)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (status != 0)
        return err_set(err, "%s", mdb_strerror(status));
    status = steps[from - 1](env, txn);
    if (status == 0)
        status = write_schema(env, txn, from + 1);
    if (status == 0)
        status = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return status == 0 || err_set(err, "%s", mdb_strerror(status));
}

bool environment_upgrade(struct environment *env, struct err *err)
{
    MDB_txn *txn;
    long schema = 0;
    int status = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (status != 0)
        return err_set(err, "%s", mdb_strerror(status));
    status = read_schema(env, txn, &schema);
    mdb_txn_abort(txn);
    if (status != 0)
        return err_set(err, "its schema cannot be read: %s", mdb_strerror(status));
    if (schema == STORE_SCHEMA)
        return true;
    bool ok = !env->keeps_copies || keep_copy(env, err);
    int64_t began_ns = clock_mono_ns();
    for (long from = schema; ok && from < STORE_SCHEMA; from++)
        ok = step(env, from, err);
    if (!ok)
        return err_wrap(err, "cannot be upgraded from schema %ld to %d, and is as it was", schema, STORE_SCHEMA);
    log_info("store: upgraded from schema %ld to %d in %lld ms", schema, STORE_SCHEMA,
             (long long)(clock_mono_ns() - began_ns) / 1000000);
    return true;
}
