/* environment.c - see environment.h */
#include "core/store/environment.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The lock is a file of our own, outside of LMDB's folder: closing LMDB's own files would drop LMDB's locks. */
bool environment_lock(struct environment *env, const char *folder, enum store_failure *failure, struct err *err)
{
    char path[4096];
    *env = (struct environment){.folder = mem_text(folder), .lock_fd = -1, .keeps_copies = true};
    *failure = STORE_FAILED;
    snprintf(path, sizeof path, "%s/lock", folder);
    if (!file_make_folder(folder, err))
        return false;
    env->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (env->lock_fd < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    if (flock(env->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[32] = "";
        ssize_t size = read(env->lock_fd, pid, sizeof pid - 1);
        pid[size > 0 ? size : 0] = '\0';
        *failure = STORE_IN_USE;
        return err_set(err,
                       "%s: another headgate%s%s uses this data folder; stop it first, or give this one a folder of "
                       "its own (`data:` in headgate.yaml)",
                       folder, pid[0] ? " with process id " : "", pid);
    }
    if (ftruncate(env->lock_fd, 0) != 0 || dprintf(env->lock_fd, "%d", (int)getpid()) < 0)
        log_debug("store: %s: cannot note the process id", path);
    return true;
}

static bool open_tables(struct environment *env, MDB_txn *txn, unsigned flags, struct err *err)
{
    for (int i = 0; i < TABLE_COUNT; i++) {
        int status = mdb_dbi_open(txn, table_forms[i].name, flags, &env->tables[i]);
        if (status == MDB_NOTFOUND)
            env->tables[i] = NO_TABLE;
        else if (status != 0)
            return err_set(err, "table %s: %s", table_forms[i].name, mdb_strerror(status));
    }
    return true;
}

static size_t file_bytes(const char *path)
{
    struct stat about = {.st_size = 0};
    stat(path, &about); /* where there is none yet, the size stays 0 */
    return (size_t)about.st_size;
}

static int open_mdb(struct environment *env, const char *path, unsigned flags)
{
    int status = mdb_env_create(&env->mdb);
    if (status == 0)
        status = mdb_env_set_mapsize(env->mdb, env->map_bytes);
    if (status == 0)
        status = mdb_env_set_maxdbs(env->mdb, TABLE_COUNT);
    /* No MDB_WRITEMAP: with it a full disk is a SIGBUS, without it an error that we can wait out. */
    if (status == 0)
        status = mdb_env_open(env->mdb, path, MDB_NOTLS | MDB_NORDAHEAD | flags, 0600);
    return status;
}

/* Tables that are missing are made in the transaction that also finds the schema to be one we know. */
static bool make_tables(struct environment *env, struct err *err)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (status != 0)
        return err_set(err, "%s", mdb_strerror(status));
    if (!open_tables(env, txn, MDB_CREATE, err) || !schema_check(env, txn, err)) {
        mdb_txn_abort(txn);
        return false;
    }
    status = mdb_txn_commit(txn);
    return status == 0 || err_set(err, "%s", mdb_strerror(status));
}

bool environment_open_at(struct environment *env, const char *place, struct err *err)
{
    char path[4096];
    int dead = 0;
    snprintf(path, sizeof path, "%s/data.mdb", place);
    env->map_bytes = FIRST_MAP_BYTES;
    while (env->map_bytes < file_bytes(path) + FIRST_MAP_BYTES / 2)
        env->map_bytes *= 2;
    if (!file_make_folder(place, err))
        return false;
    int status = open_mdb(env, place, 0);
    if (status == 0)
        status = mdb_reader_check(env->mdb, &dead);
    if (status != 0)
        return err_set(err, "%s: %s", place, mdb_strerror(status));
    if (dead)
        log_info("store: cleared %d stale readers", dead);
    return make_tables(env, err) && environment_upgrade(env, err);
}

bool environment_open(struct environment *env, const char *folder, enum store_failure *failure, struct err *err)
{
    char place[4096];
    snprintf(place, sizeof place, "%s/store", folder);
    return environment_lock(env, folder, failure, err) && environment_open_at(env, place, err);
}

static bool is_whole(const struct environment *env, struct err *err)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    size_t wanted = (info.me_last_pgno + 1) * stat.ms_psize, found = file_bytes(env->folder);
    return found >= wanted
           || err_set(err, "%s is cut off: it has %zu bytes of %zu; copy it again", env->folder, found, wanted);
}

bool environment_open_file(struct environment *env, const char *path, bool is_copy, struct err *err)
{
    MDB_txn *txn;
    *env = (struct environment){.folder = mem_text(path), .lock_fd = -1, .is_file = true};
    env->map_bytes = file_bytes(path);
    int status = access(path, R_OK) == 0 ? open_mdb(env, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK) : errno;
    if (status == 0 && is_copy && !is_whole(env, err))
        return false;
    if (status == 0)
        status = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (status != 0)
        return err_set(err, "%s is no store of headgate's that can be read: %s", path, mdb_strerror(status));
    bool ok = open_tables(env, txn, 0, err) && (env->tables[TABLE_META] != NO_TABLE || err_set(err, "it has no tables"))
              && schema_check(env, txn, err);
    mdb_txn_commit(txn); /* of a reader: keeps the handles */
    return ok || err_wrap(err, "%s is no store of headgate's that can be read", path);
}

void environment_shut(struct environment *env)
{
    if (env->mdb)
        mdb_env_close(env->mdb);
    env->mdb = NULL;
}

void environment_close(struct environment *env)
{
    environment_shut(env);
    if (env->lock_fd >= 0)
        close(env->lock_fd);
    free(env->folder);
    *env = (struct environment){.lock_fd = -1};
}
