/* backup.c - see backup.h */
#include "core/store/backup.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/copy.h"
#include "core/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 3
#define CHUNK_BYTES 65536

struct backup {
    struct store *store;
    struct backup_view view; /* loop thread; `bytes` is taken from `written` */
    _Atomic int64_t written; /* worker thread */
    _Atomic bool is_stopped; /* loop thread: it is not wanted any more */
    unsigned tries;
    struct picture *picture; /* keeps the map from growing under the copy */
    uv_work_t work;

    /* worker thread */
    int pipe_ends[2]; /* from LMDB to the file */
    int copied;       /* 0, or what LMDB said */
    bool gave_way;    /* the store waited for room */
    bool is_good;
    struct err err;
};

static bool is_in_the_way(const struct backup *backup)
{
    return picture_is_in_the_way(backup->picture);
}

/* ---- on the worker thread, and one more: LMDB's end of the pipe ------------------------------------------ */

static void *copy_into_pipe(void *context)
{
    struct backup *backup = context;
    sigset_t pipe_signal; /* that nobody reads any more is an answer, not a signal */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    backup->copied = mdb_env_copyfd2(backup->store->env.mdb, backup->pipe_ends[1], MDB_CP_COMPACT);
    close(backup->pipe_ends[1]);
    return NULL;
}

static bool write_all(int fd, const char *from, size_t size)
{
    while (size) {
        ssize_t written = write(fd, from, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        from += written;
        size -= (size_t)written;
    }
    return true;
}

/* Until the end of the pipe; false: given up, or the file cannot be written. */
static bool pour(struct backup *backup, int fd)
{
    static _Thread_local char chunk[CHUNK_BYTES];
    for (;;) {
        ssize_t got = read(backup->pipe_ends[0], chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            return true;
        if (atomic_load(&backup->is_stopped))
            return err_set(&backup->err, "it was given up, because the daemon stops");
        backup->gave_way = is_in_the_way(backup);
        if (backup->gave_way)
            return err_set(&backup->err, "it was given up, because the store needed room to grow");
        if (got < 0 || !write_all(fd, chunk, (size_t)got))
            return err_set(&backup->err, "%s: %s", backup->view.path, strerror(errno));
        atomic_fetch_add(&backup->written, got);
    }
}

static void copy(uv_work_t *work)
{
    struct backup *backup = work->data;
    pthread_t thread;
    int fd = copy_begin(backup->view.path, &backup->err);
    if (fd < 0)
        return;
    if (pipe2(backup->pipe_ends, O_CLOEXEC) != 0) {
        err_set(&backup->err, "no pipe: %s", strerror(errno));
        copy_drop(fd, backup->view.path);
        return;
    }
    if (pthread_create(&thread, NULL, copy_into_pipe, backup) != 0)
        abort();
    bool ok = pour(backup, fd);
    close(backup->pipe_ends[0]); /* whoever still writes there ends with EPIPE */
    pthread_join(thread, NULL);
    if (ok && backup->copied != 0)
        ok = err_set(&backup->err, "%s", mdb_strerror(backup->copied));
    if (ok)
        backup->is_good = copy_end(fd, backup->view.path, &backup->err);
    else
        copy_drop(fd, backup->view.path);
}

/* ---- on the loop thread ------------------------------------------------------------------------------------ */

static bool begin(struct backup *backup, struct err *err);

static void on_copied(uv_work_t *work, int status)
{
    struct backup *backup = work->data;
    struct backup_view *view = &backup->view;
    struct err err = ERR_INIT;
    (void)status;
    picture_close(backup->picture); /* the map may grow now, if that is what was wanted */
    backup->picture = NULL;
    view->ms = clock_now_ms() - view->began_ms;
    if (backup->is_good) {
        view->state = BACKUP_DONE;
        log_info("store: a copy of %lld MiB is in %s", (long long)(atomic_load(&backup->written) >> 20), view->path);
        return;
    }
    bool may_try = backup->gave_way && ++backup->tries < TRIES && backup->store->state != STORE_FULL
                   && !atomic_load(&backup->is_stopped);
    if (may_try && begin(backup, &err))
        return;
    view->state = BACKUP_FAILED;
    snprintf(view->text, sizeof view->text, "%s", err.text[0] ? err.text : backup->err.text);
    log_warning("store: no backup: %s", view->text);
}

static bool begin(struct backup *backup, struct err *err)
{
    backup->picture = picture_open(backup->store, err);
    if (!backup->picture)
        return false;
    backup->view.state = BACKUP_RUNS;
    atomic_store(&backup->written, 0);
    backup->gave_way = backup->is_good = false;
    err_clear(&backup->err);
    backup->work.data = backup;
    return uv_queue_work(backup->store->notes_arrived.loop, &backup->work, copy, on_copied) == 0;
}

static void choose_path(const char *path, char *to, size_t room)
{
    struct stat about;
    time_t now = (time_t)(clock_now_ms() / 1000);
    struct tm utc;
    char name[64];
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) {
        snprintf(to, room, "%s", path);
        return;
    }
    gmtime_r(&now, &utc);
    strftime(name, sizeof name, "headgate-store-%Y-%m-%dT%H%M%SZ.mdb", &utc);
    snprintf(to, room, "%s/%s", path, name);
}

bool store_backup(struct store *store, const char *path, struct err *err)
{
    struct stat about;
    if (path[0] != '/' || strlen(path) > 3900)
        return err_set(err, "a backup needs an absolute path of at most 3900 bytes");
    if (store->backup && store->backup->view.state == BACKUP_RUNS)
        return err_set(err, "a backup to %s is under way", store->backup->view.path);
    backup_free(store->backup);
    struct backup *backup = store->backup = mem_zero(sizeof *backup);
    backup->store = store;
    backup->view.began_ms = clock_now_ms();
    backup->view.of = store_used_bytes(store);
    choose_path(path, backup->view.path, sizeof backup->view.path);
    bool ok = lstat(backup->view.path, &about) != 0
              || err_set(err, "%s exists; a copy never overwrites: give it another name", backup->view.path);
    ok = ok && begin(backup, err);
    if (!ok)
        backup->view.state = BACKUP_NONE;
    return ok;
}

void store_backup_look(struct store *store, struct backup_view *view)
{
    *view = store->backup ? store->backup->view : (struct backup_view){.state = BACKUP_NONE};
    if (!store->backup)
        return;
    view->bytes = atomic_load(&store->backup->written);
    if (view->state == BACKUP_RUNS)
        view->ms = clock_now_ms() - view->began_ms;
}

void store_backup_stop(struct store *store)
{
    if (store->backup)
        atomic_store(&store->backup->is_stopped, true);
}

void backup_free(struct backup *backup)
{
    free(backup);
}
