/* copy.c - see copy.h
 *
 *      PATH.partial ──written──► fsync ──► renamed to PATH, unless that exists ──► the folder is synced
 *
 * The instant at which the copy is there is the rename.  A crash before it leaves PATH.partial, which the next copy to
 * that path begins anew. */
#include "core/store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4200

static void partial_path(const char *path, char partial[PATH_ROOM])
{
    snprintf(partial, PATH_ROOM, "%s.partial", path);
}

int copy_begin(const char *path, struct err *err)
{
    char partial[PATH_ROOM];
    struct stat about;
    partial_path(path, partial);
    if (lstat(path, &about) == 0) {
        err_set(err, "%s exists; a copy never overwrites: give it another name", path);
        return -1;
    }
    int fd = open(partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err_set(err, "%s: %s", partial, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && ftruncate(fd, 0) == 0)
        return fd;
    err_set(err, "%s: another copy is being written there", partial);
    close(fd);
    return -1;
}

bool copy_end(int fd, const char *path, struct err *err)
{
    char partial[PATH_ROOM], folder[PATH_ROOM];
    partial_path(path, partial);
    snprintf(folder, sizeof folder, "%s", path);
    int folder_fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fsync(fd) == 0 && folder_fd >= 0 && renameat2(AT_FDCWD, partial, AT_FDCWD, path, RENAME_NOREPLACE) == 0
              && fsync(folder_fd) == 0;
    if (!ok) {
        err_set(err, "%s: %s", path, strerror(errno));
        unlink(partial);
    }
    if (folder_fd >= 0)
        close(folder_fd);
    close(fd);
    return ok;
}

void copy_drop(int fd, const char *path)
{
    char partial[PATH_ROOM];
    partial_path(path, partial);
    unlink(partial);
    close(fd);
}

bool copy_to_file(MDB_env *mdb, const char *path, struct err *err)
{
    int fd = copy_begin(path, err);
    if (fd < 0)
        return false;
    int status = mdb_env_copyfd2(mdb, fd, MDB_CP_COMPACT);
    if (status == 0)
        return copy_end(fd, path, err);
    copy_drop(fd, path);
    return err_set(err, "%s: %s", path, mdb_strerror(status));
}
