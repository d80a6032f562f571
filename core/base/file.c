/* file.c - see file.h */
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_read(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    struct stat about;
    bool ok = fstat(fd, &about) == 0;
    if (ok && S_ISDIR(about.st_mode)) {
        errno = EISDIR;
        ok = false;
    }
    while (ok) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got == 0)
            break;
        if (got < 0) {
            if (errno == EINTR)
                continue;
            ok = false;
        } else if (!buf_add(out, chunk, (size_t)got)) {
            close(fd);
            return err_set(err, "%s: larger than the allowed %zu bytes", path, out->limit);
        }
    }
    if (!ok)
        err_set(err, "%s: %s", path, strerror(errno));
    close(fd);
    return ok;
}

bool file_make_folder(const char *path, struct err *err)
{
    char *copy = mem_text(path);
    bool ok = true;
    for (char *at = copy + 1; ok; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        ok = mkdir(copy, 0700) == 0 || errno == EEXIST || errno == EISDIR;
        if (!ok)
            err_set(err, "%s: cannot make this folder: %s", copy, strerror(errno));
        *at = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
    return ok;
}
