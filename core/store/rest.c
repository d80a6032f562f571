/* rest.c - see rest.h */
#include "core/store/rest.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Only what LMDB and our copies make is in there. */
static bool remove_place(const char *place, struct err *err)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "data.mdb.partial"};
    char path[REST_PATH_MAX + 20];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", place, names[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return err_set(err, "%s: %s", path, strerror(errno));
    }
    return rmdir(place) == 0 || errno == ENOENT || err_set(err, "%s: %s", place, strerror(errno));
}

bool rest_copy(const struct environment *env, MDB_env *from, char place[REST_PATH_MAX], struct err *err)
{
    char path[REST_PATH_MAX + 20];
    snprintf(place, REST_PATH_MAX, "%s/store.new", env->folder);
    snprintf(path, sizeof path, "%s/data.mdb", place);
    return remove_place(place, err) && file_make_folder(place, err) && copy_to_file(from, path, err);
}

static bool sync_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        err_set(err, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

static void name_aside(const struct environment *env, char *aside)
{
    time_t now = (time_t)(clock_now_ms() / 1000);
    struct tm utc;
    char moment[40];
    gmtime_r(&now, &utc);
    strftime(moment, sizeof moment, "%Y-%m-%dT%H%M%SZ", &utc);
    snprintf(aside, REST_PATH_MAX, "%s/store-aside-%s", env->folder, moment);
}

static bool exchange(const char *place, const char *old, unsigned how, struct err *err)
{
    return renameat2(AT_FDCWD, place, AT_FDCWD, old, how) == 0
           || err_set(err, "%s cannot take the place of %s: %s", place, old, strerror(errno));
}

bool rest_exchange(const struct environment *env, char *aside, struct err *err)
{
    char place[REST_PATH_MAX], old[REST_PATH_MAX], lock[REST_PATH_MAX + 20];
    struct stat about;
    snprintf(place, sizeof place, "%s/store.new", env->folder);
    snprintf(old, sizeof old, "%s/store", env->folder);
    snprintf(lock, sizeof lock, "%s/lock.mdb", place); /* of the process that filled it */
    if (aside)
        aside[0] = '\0';
    if (unlink(lock) != 0 && errno != ENOENT)
        return err_set(err, "%s: %s", lock, strerror(errno));
    if (lstat(old, &about) != 0)
        return exchange(place, old, RENAME_NOREPLACE, err) && sync_folder(env->folder, err);
    if (!aside)
        return exchange(place, old, RENAME_EXCHANGE, err) && sync_folder(env->folder, err) && remove_place(place, err);
    name_aside(env, aside); /* the old one is to be there at once: store.new is nobody's to keep */
    return exchange(place, aside, RENAME_NOREPLACE, err) && exchange(aside, old, RENAME_EXCHANGE, err)
           && sync_folder(env->folder, err);
}

static int64_t bytes_in(const char *place)
{
    char path[REST_PATH_MAX + 20];
    struct stat about;
    snprintf(path, sizeof path, "%s/data.mdb", place);
    return stat(path, &about) == 0 ? (int64_t)about.st_size : 0;
}

bool rest_compact(const char *folder, int64_t *bytes_before, int64_t *bytes_after, enum store_failure *failure,
                  struct err *err)
{
    struct environment env;
    char place[REST_PATH_MAX], old[REST_PATH_MAX];
    bool ok = environment_open(&env, folder, failure, err);
    snprintf(old, sizeof old, "%s/store", folder);
    *bytes_before = bytes_in(old);
    ok = ok && rest_copy(&env, env.mdb, place, err);
    *bytes_after = ok ? bytes_in(place) : 0;
    environment_shut(&env);
    ok = ok && rest_exchange(&env, NULL, err);
    environment_close(&env);
    return ok;
}
