/* faults.h - the n-th call fails: of LMDB, of the disk under it, of memory
 *
 *      for n = 1, 2, ... until the scenario runs without meeting the n-th call:
 *          a child process runs the scenario, and its n-th call fails
 *              it ends well, or as it is designed to: with 74, or by abort where there was no memory
 *          the parent opens what is left, and looks whether it holds what the child was told is done
 *
 * Calls are caught by functions of the same name in this program: the linker prefers them, also for what liblmdb.so
 * asks of the C library.  malloc and its like are caught for our own code only (--wrap, see the Makefile): inside of
 * LMDB a lack of memory is an error of the call. */
#ifndef HEADGATE_TESTS_UNIT_FAULTS_H
#define HEADGATE_TESTS_UNIT_FAULTS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/engine/verify.h"

#include "core_kit.h"

enum fault_kind { FAULT_NONE, FAULT_LMDB, FAULT_DISK, FAULT_MEMORY };

static struct {
    _Atomic int armed; /* enum fault_kind */
    _Atomic int left;  /* calls until the one that fails */
    bool is_other;     /* of two errors that a call may give, the other one */
} fault;

#define NOTED_MOST 64

/* What the child tells the parent; survives it. */
static struct noted {
    bool did_fail;              /* the n-th call was met */
    char call[32];              /* its name */
    bool is_done[NOTED_MOST];   /* by the scenario: the child was told that it is on disk */
    unsigned times[NOTED_MOST]; /* by the scenario: how often something was seen outside */
    bool has_ended;             /* the scenario came to its end */
} * noted;

/* True for the call that is to fail. */
static bool fails(enum fault_kind kind, const char *call)
{
    if (atomic_load(&fault.armed) != (int)kind || atomic_fetch_sub(&fault.left, 1) != 1)
        return false;
    atomic_store(&fault.armed, FAULT_NONE);
    noted->did_fail = true;
    snprintf(noted->call, sizeof noted->call, "%s", call);
    return true;
}

#define REAL(name) ((__typeof__(&name))real_function(#name))

static void *real_function(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        _exit(99);
    return function;
}

/* ---- LMDB ------------------------------------------------------------------------------------------------- */

#define EITHER(one, other) (fault.is_other ? (other) : (one))
#define FAILS_LMDB(call, one, other)                                                                                   \
    if (fails(FAULT_LMDB, call))                                                                                       \
    return EITHER(one, other)

int mdb_env_create(MDB_env **env)
{
    FAILS_LMDB("mdb_env_create", ENOMEM, ENOMEM);
    return REAL(mdb_env_create)(env);
}

int mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
    FAILS_LMDB("mdb_env_open", EACCES, MDB_INVALID);
    return REAL(mdb_env_open)(env, path, flags, mode);
}

int mdb_env_set_mapsize(MDB_env *env, size_t size)
{
    FAILS_LMDB("mdb_env_set_mapsize", ENOMEM, EINVAL);
    return REAL(mdb_env_set_mapsize)(env, size);
}

int mdb_reader_check(MDB_env *env, int *dead)
{
    FAILS_LMDB("mdb_reader_check", EACCES, MDB_PANIC);
    return REAL(mdb_reader_check)(env, dead);
}

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *dbi)
{
    FAILS_LMDB("mdb_dbi_open", ENOMEM, MDB_MAP_FULL);
    return REAL(mdb_dbi_open)(txn, name, flags, dbi);
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn)
{
    FAILS_LMDB("mdb_txn_begin", ENOMEM, MDB_READERS_FULL);
    return REAL(mdb_txn_begin)(env, parent, flags, txn);
}

int mdb_txn_renew(MDB_txn *txn)
{
    FAILS_LMDB("mdb_txn_renew", ENOMEM, MDB_PANIC);
    return REAL(mdb_txn_renew)(txn);
}

/* A commit that fails has freed the transaction. */
int mdb_txn_commit(MDB_txn *txn)
{
    if (fails(FAULT_LMDB, "mdb_txn_commit")) {
        mdb_txn_abort(txn);
        return EITHER(ENOSPC, EIO);
    }
    return REAL(mdb_txn_commit)(txn);
}

int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    FAILS_LMDB("mdb_get", MDB_PAGE_NOTFOUND, MDB_CORRUPTED);
    return REAL(mdb_get)(txn, dbi, key, data);
}

int mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags)
{
    FAILS_LMDB("mdb_put", MDB_MAP_FULL, ENOMEM);
    return REAL(mdb_put)(txn, dbi, key, data, flags);
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    FAILS_LMDB("mdb_del", MDB_MAP_FULL, ENOMEM);
    return REAL(mdb_del)(txn, dbi, key, data);
}

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    FAILS_LMDB("mdb_cursor_open", ENOMEM, MDB_BAD_TXN);
    return REAL(mdb_cursor_open)(txn, dbi, cursor);
}

int mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    FAILS_LMDB("mdb_cursor_get", MDB_PAGE_NOTFOUND, MDB_CORRUPTED);
    return REAL(mdb_cursor_get)(cursor, key, data, op);
}

int mdb_cursor_del(MDB_cursor *cursor, unsigned flags)
{
    FAILS_LMDB("mdb_cursor_del", MDB_MAP_FULL, ENOMEM);
    return REAL(mdb_cursor_del)(cursor, flags);
}

int mdb_env_copyfd2(MDB_env *env, mdb_filehandle_t fd, unsigned flags)
{
    FAILS_LMDB("mdb_env_copyfd2", ENOSPC, EIO);
    return REAL(mdb_env_copyfd2)(env, fd, flags);
}

/* ---- the disk under LMDB: what is written is there when its process is gone, so nothing needs to be synced
 * ------------------------------------------------------------------------------------ */

#define FAILS_DISK(call, one, other)                                                                                   \
    if (fails(FAULT_DISK, call)) {                                                                                     \
        errno = EITHER(one, other);                                                                                    \
        return -1;                                                                                                     \
    }

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    FAILS_DISK("pwrite", ENOSPC, EIO);
    return REAL(pwrite)(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    FAILS_DISK("writev", ENOSPC, EIO);
    return REAL(writev)(fd, parts, count);
}

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    FAILS_DISK("pread", EIO, EIO);
    return REAL(pread)(fd, data, size, at);
}

int fdatasync(int fd)
{
    (void)fd;
    FAILS_DISK("fdatasync", EIO, ENOSPC);
    return 0;
}

int fsync(int fd)
{
    (void)fd;
    FAILS_DISK("fsync", EIO, ENOSPC);
    return 0;
}

/* LMDB writes its last page by a descriptor that syncs. */
int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return REAL(open)(path, flags & ~O_DSYNC, mode);
}

int ftruncate(int fd, off_t size)
{
    FAILS_DISK("ftruncate", ENOSPC, EIO);
    return REAL(ftruncate)(fd, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t from)
{
    if (fd >= 0 && fails(FAULT_DISK, "mmap")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return REAL(mmap)(at, size, protection, flags, fd, from);
}

/* The writer waits between two tries; here it need not. */
int usleep(useconds_t microseconds)
{
    (void)microseconds;
    return poll(NULL, 0, 1);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails(FAULT_MEMORY, "malloc") ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(FAULT_MEMORY, "calloc") ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(FAULT_MEMORY, "realloc") ? NULL : __real_realloc(old, size);
}

/* ---- again and again ----------------------------------------------------------------------------------------------
 */

#define CALLS_MOST 5000 /* a scenario that makes more is too large */

struct scenario {
    void (*run)(void);   /* in the child, armed by arm(); sets noted->has_ended at its end */
    void (*check)(void); /* in the parent, on what is left: nothing lost, books balanced, and work goes on */
};

static enum fault_kind kind_to_arm;
static int call_to_fail;

/* The scenario calls this where it begins to count. */
static void arm(void)
{
    atomic_store(&fault.left, call_to_fail);
    atomic_store(&fault.armed, kind_to_arm);
}

UNUSED static void disarm(void)
{
    atomic_store(&fault.armed, FAULT_NONE);
}

/* The child's output is only of use where something is wrong. */
static void run_child(const struct scenario *scenario, const char *log)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion that fails ends this process, not only the test */
    if (!freopen(log, "w", stderr) || !freopen(log, "a", stdout))
        _exit(99);
    alarm(30);
    scenario->run();
    noted->has_ended = true;
    _exit(0);
}

static bool is_as_designed(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return noted->has_ended;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 74)
        return noted->did_fail && kind_to_arm != FAULT_MEMORY;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && noted->did_fail && kind_to_arm == FAULT_MEMORY;
}

/* One n; false: the scenario does not make so many calls. */
static bool try_call(const struct scenario *scenario, const char *folder)
{
    char log[200];
    int status;
    snprintf(log, sizeof log, "%s.log", folder);
    memset(noted, 0, sizeof *noted);
    snprintf(kit.folder, sizeof kit.folder, "%s", folder);
    pid_t child = fork();
    if (child == 0)
        run_child(scenario, log);
    waitpid(child, &status, 0);
    if (!is_as_designed(status)) {
        struct buf text = BUF_INIT(1 << 20);
        struct err err = ERR_INIT;
        file_read(log, &text, &err);
        fail_msg("call %d, %s%s: ended with %d, signal %d: %s", call_to_fail, noted->call, fault.is_other ? "'" : "",
                 WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0, text.data);
    }
    snprintf(kit.folder, sizeof kit.folder, "%s", folder);
    scenario->check();
    memset(&kit, 0, sizeof kit);
    return noted->did_fail;
}

/* What one try leaves behind; by hand, because there are hundreds. */
static void remove_folder(const char *folder)
{
    static const char *const names[] = {"store/data.mdb", "store/lock.mdb", "store", "store-before-2.mdb", "lock"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    snprintf(path, sizeof path, "%s.log", folder);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(folder), 0);
}

static void fail_each_call(enum fault_kind kind, const struct scenario *scenario)
{
    char folder[100];
    static unsigned folders;
    unsigned tried = 0;
    int64_t began_ns = clock_mono_ns();
    if (!noted)
        noted = mmap(NULL, sizeof *noted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_folder();                             /* made, and removed, by this process */
    log_open(LOG_LEVEL_ERROR, LOG_STYLE_TEXT); /* each child warns of the same */
    kind_to_arm = kind;
    for (int other = 0; other < (kind == FAULT_MEMORY ? 1 : 2); other++) {
        fault.is_other = other;
        for (call_to_fail = 1; call_to_fail < CALLS_MOST; call_to_fail++) {
            snprintf(folder, sizeof folder, "%s/f%u", test_folder(), ++folders);
            bool is_met = try_call(scenario, folder);
            remove_folder(folder);
            if (!is_met)
                break;
            tried++;
        }
        assert_true(call_to_fail > 1 && call_to_fail < CALLS_MOST);
    }
    print_message("# %u calls failed, each in turn, in %.1f s\n", tried, (double)(clock_mono_ns() - began_ns) / 1e9);
}

/* ---- looking -------------------------------------------------------------------------------------------------- */

UNUSED static void expect_nothing_found(void)
{
    struct err err = ERR_INIT;
    struct verified verified;
    struct picture *picture = picture_open(kit.store, &err);
    verify(picture, &verified);
    picture_close(picture);
    if (verified.finding_count)
        fail_msg("call %d, %s: %s", call_to_fail, noted->call, verified.findings.data);
    verified_clear(&verified);
}

#endif
