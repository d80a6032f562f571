/* faulty.c - a machine that fails on request: preloaded into a daemon under test (LD_PRELOAD)
 *
 * The file that HEADGATE_FAULTY names is mapped; the test writes into it while the daemon runs
 * (tests/system/faulty.lua):
 *
 *     commits      counts the write transactions that LMDB committed
 *     kill_before  SIGKILL when this many were committed, before the next one begins to be written; 0: never
 *     kill_after   SIGKILL right after this many were committed, before anybody is told; 0: never
 *     no_space     writes of pages to LMDB's data file say ENOSPC while it is not 0
 *     clock_ms     added to the wall clock
 *
 * A read transaction of Headgate's is never committed, so each mdb_txn_commit is one that wrote. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct faults {
    volatile int64_t commits, kill_before, kill_after, no_space, clock_ms;
};

static struct faults none;
static struct faults *faults = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HEADGATE_FAULTY");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd >= 0 ? mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (mapped != MAP_FAILED)
        faults = mapped;
    if (fd >= 0)
        close(fd);
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

int mdb_txn_commit(MDB_txn *txn)
{
    if (faults->kill_before && faults->commits + 1 >= faults->kill_before)
        raise(SIGKILL);
    int status = REAL(mdb_txn_commit)(txn);
    if (status == 0)
        faults->commits++;
    if (faults->kill_after && faults->commits >= faults->kill_after)
        raise(SIGKILL);
    return status;
}

/* All pages but LMDB's two first, which it writes last and in place: where these fail too, nothing can be trusted any
 * more, and the daemon ends. */
static int is_full(int fd, off_t at)
{
    char link[64], path[4096];
    if (!faults->no_space || at < 2 * sysconf(_SC_PAGESIZE))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path);
    if (size < 8 || memcmp(path + size - 8, "data.mdb", 8) != 0)
        return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    return is_full(fd, at) ? -1 : REAL(pwrite)(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    return is_full(fd, at) ? -1 : REAL(pwrite64)(fd, from, size, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return is_full(fd, at) ? -1 : REAL(pwritev)(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at)
{
    return is_full(fd, at) ? -1 : REAL(pwritev64)(fd, parts, count, at);
}

/* After a seek. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t at = faults->no_space ? lseek(fd, 0, SEEK_CUR) : 0;
    return is_full(fd, at) ? -1 : REAL(writev)(fd, parts, count);
}

ssize_t write(int fd, const void *from, size_t size)
{
    off_t at = faults->no_space ? lseek(fd, 0, SEEK_CUR) : 0;
    return is_full(fd, at) ? -1 : REAL(write)(fd, from, size);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = REAL(clock_gettime)(clock, now);
    if (status != 0 || clock != CLOCK_REALTIME || !faults->clock_ms)
        return status;
    int64_t ns = now->tv_nsec + faults->clock_ms % 1000 * 1000000;
    now->tv_sec += faults->clock_ms / 1000 + (ns >= 1000000000) - (ns < 0);
    now->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return 0;
}
