/* store.c - opening, closing, and the loop thread's side of the store; the writer is in writer.c */
#include "core/store/store.h"

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

#define FIRST_MAP_BYTES ((size_t)16 << 20)
#define SLACK_BYTES                                                                                                    \
    ((int64_t)1 << 30) /* address space; what fills it is bounded by what sources deliver unacknowledged */

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",         [TABLE_RELEASES] = "releases", [TABLE_GATES] = "gates", [TABLE_AUDIT] = "audit",
    [TABLE_SOURCES] = "sources",   [TABLE_INBOX] = "inbox",       [TABLE_SEEN] = "seen",   [TABLE_OUTBOX] = "outbox",
    [TABLE_ATTEMPTS] = "attempts", [TABLE_RECEIPTS] = "receipts", [TABLE_SENT] = "sent",   [TABLE_HELD] = "held",
    [TABLE_TRAILS] = "trails",     [TABLE_COUNTERS] = "counters"};

/* The lock is a file of our own, outside of LMDB's folder: closing LMDB's own files would drop LMDB's locks. */
static bool take_lock(struct store *store, enum store_failure *failure, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", store->folder);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[32] = "";
        ssize_t size = read(store->lock_fd, pid, sizeof pid - 1);
        pid[size > 0 ? size : 0] = '\0';
        *failure = STORE_IN_USE;
        return err_set(err,
                       "%s: another headgate%s%s uses this data folder; stop it first, or give this one a folder of "
                       "its own (`data:` in headgate.yaml)",
                       store->folder, pid[0] ? " with process id " : "", pid);
    }
    if (ftruncate(store->lock_fd, 0) != 0 || dprintf(store->lock_fd, "%d", (int)getpid()) < 0)
        log_debug("store: %s: cannot note the process id", path);
    return true;
}

static bool check_schema(struct store *store, MDB_txn *txn, struct err *err)
{
    MDB_val key = to_val(slice_of("schema")), value;
    int status = mdb_get(txn, store->tables[TABLE_META], &key, &value);
    if (status == MDB_NOTFOUND) {
        value = to_val(slice_of(STORE_SCHEMA));
        status = mdb_put(txn, store->tables[TABLE_META], &key, &value, 0);
        return status == 0 || err_set(err, "%s", mdb_strerror(status));
    }
    if (status != 0)
        return err_set(err, "%s", mdb_strerror(status));
    return slice_is(from_val(value), STORE_SCHEMA)
           || err_set(err,
                      "it was written with schema %.*s, this headgate knows schema " STORE_SCHEMA
                      "; run the version that wrote it, or a newer one",
                      SLICE_ARG(from_val(value)));
}

static bool open_tables(struct store *store, struct err *err)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (status != 0)
        return err_set(err, "%s", mdb_strerror(status));
    for (int i = 0; i < TABLE_COUNT && status == 0; i++)
        status = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &store->tables[i]);
    if (status != 0 || !check_schema(store, txn, err)) {
        mdb_txn_abort(txn);
        return status == 0 ? false : err_set(err, "%s", mdb_strerror(status));
    }
    status = mdb_txn_commit(txn);
    return status == 0 || err_set(err, "%s", mdb_strerror(status));
}

static bool open_environment(struct store *store, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/store/data.mdb", store->folder);
    struct stat about = {.st_size = 0};
    stat(path, &about); /* where there is none yet, the size stays 0 */
    snprintf(path, sizeof path, "%s/store", store->folder);
    if (!file_make_folder(path, err))
        return false;

    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    store->map_bytes = FIRST_MAP_BYTES;
    while (store->map_bytes < (size_t)about.st_size + FIRST_MAP_BYTES / 2)
        store->map_bytes *= 2;
    store->limit_bytes = (store->limit_bytes + (int64_t)page - 1) / (int64_t)page * (int64_t)page;

    int status = mdb_env_create(&store->env);
    if (status == 0)
        status = mdb_env_set_mapsize(store->env, store->map_bytes);
    if (status == 0)
        status = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    /* No MDB_WRITEMAP: with it a full disk is a SIGBUS, without it an error that we can wait out. */
    if (status == 0)
        status = mdb_env_open(store->env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600);
    int dead = 0;
    if (status == 0)
        status = mdb_reader_check(store->env, &dead);
    if (status != 0)
        return err_set(err, "%s", mdb_strerror(status));
    if (dead)
        log_info("store: cleared %d stale readers", dead);
    return open_tables(store, err);
}

/* ---- what the store thread tells -------------------------------------------------------- */

static void run_done(struct store *store, struct mail *changes)
{
    store_refresh(store);
    while (changes) {
        struct change *change = (struct change *)changes;
        changes = changes->next;
        if (change->done)
            change->done(change->context);
        change_done(change);
    }
}

static void grow_if_wanted(struct store *store)
{
    if (!store->grow_to || store->pictures)
        return;
    store_refresh(store);
    int status = mdb_env_set_mapsize(store->env, store->grow_to);
    if (status != 0)
        log_error("store: cannot enlarge the map to %zu bytes: %s", store->grow_to, mdb_strerror(status));
    else
        log_debug("store: the map is %zu MiB now", store->grow_to >> 20);
    store->grow_to = 0;
    pthread_mutex_lock(&store->grow_mutex);
    store->has_grown = true;
    pthread_cond_signal(&store->grown);
    pthread_mutex_unlock(&store->grow_mutex);
}

static void handle_note(struct store *store, struct note *note)
{
    switch (note->kind) {
    case NOTE_DONE: run_done(store, note->changes); break;
    case NOTE_STATE:
        store->state = note->state;
        store->on_state(store->context, note->state, note->why);
        break;
    case NOTE_GROW:
        store->grow_to = note->map_bytes;
        grow_if_wanted(store);
        break;
    case NOTE_ENDED: store->has_ended = true; break;
    }
    free(note);
}

static void handle_notes(struct store *store)
{
    for (struct mail *mail = mailbox_take(&store->notes); mail;) {
        struct note *note = (struct note *)mail;
        mail = mail->next;
        handle_note(store, note);
    }
}

static void on_notes(uv_async_t *async)
{
    handle_notes(async->data);
}

static void wake_loop(void *context)
{
    uv_async_send(context);
}

/* A read transaction that sleeps with the loop would pin old pages, and the file would grow. */
static void on_before_wait(uv_prepare_t *prepare)
{
    store_refresh(prepare->data);
}

static void ignore_state(void *context, enum store_state state, const char *why)
{
    (void)context, (void)state, (void)why;
}

static void free_store(struct store *store)
{
    if (store->reader)
        mdb_txn_abort(store->reader);
    if (store->env)
        mdb_env_close(store->env);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    mailbox_clear(&store->changes);
    mailbox_clear(&store->notes);
    free(store->folder);
    free(store);
    change_clear_spare();
}

struct store *store_open(uv_loop_t *loop, const struct store_options *options, enum store_failure *failure,
                         struct err *err)
{
    struct store *store = mem_zero(sizeof *store);
    store->folder = mem_text(options->folder);
    store->lock_fd = -1;
    store->limit_bytes = options->limit_bytes < STORE_LEAST_LIMIT ? STORE_LEAST_LIMIT : options->limit_bytes;
    store->slack_bytes = options->slack_bytes ? options->slack_bytes : SLACK_BYTES;
    store->on_state = options->on_state ? options->on_state : ignore_state;
    store->context = options->context;
    mailbox_init(&store->changes, NULL, NULL);
    mailbox_init(&store->notes, wake_loop, &store->notes_arrived);
    pthread_mutex_init(&store->grow_mutex, NULL);
    pthread_cond_init(&store->grown, NULL);
    *failure = STORE_FAILED;

    if (!file_make_folder(options->folder, err) || !take_lock(store, failure, err) || !open_environment(store, err)
        || mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->reader) != 0) {
        err_wrap(err, "store");
        free_store(store);
        return NULL;
    }
    mdb_txn_reset(store->reader);
    uv_async_init(loop, &store->notes_arrived, on_notes);
    store->notes_arrived.data = store;
    uv_prepare_init(loop, &store->before_wait);
    store->before_wait.data = store;
    uv_prepare_start(&store->before_wait, on_before_wait);
    uv_unref((uv_handle_t *)&store->before_wait);
    if (pthread_create(&store->thread, NULL, store_thread, store) != 0)
        abort();
    return store;
}

static void on_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;
    if (--store->handles == 0)
        free_store(store);
}

void store_close(struct store *store)
{
    atomic_store(&store->is_closing, true);
    mailbox_put(&store->changes, &store->stop);
    while (!store->has_ended) {
        for (struct mail *mail = mailbox_wait(&store->notes, 1000); mail;) {
            struct note *note = (struct note *)mail;
            mail = mail->next;
            handle_note(store, note);
        }
    }
    pthread_join(store->thread, NULL);
    uv_prepare_stop(&store->before_wait);
    store->handles = 2;
    uv_close((uv_handle_t *)&store->notes_arrived, on_closed);
    uv_close((uv_handle_t *)&store->before_wait, on_closed);
}

enum store_state store_get_state(const struct store *store)
{
    return store->state;
}

int64_t store_used_bytes(const struct store *store)
{
    return atomic_load(&((struct store *)store)->used_bytes);
}

void store_commit(struct store *store, struct change *change)
{
    mailbox_put(&store->changes, &change->mail);
}

/* ---- pictures ------------------------------------------------------------------------------ */

struct picture {
    struct store *store;
    MDB_txn *txn;
};

struct picture *picture_open(struct store *store, struct err *err)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        err_set(err, "store: cannot read: %s", mdb_strerror(status));
        return NULL;
    }
    struct picture *picture = mem_zero(sizeof *picture);
    picture->store = store;
    picture->txn = txn;
    store->pictures++;
    return picture;
}

void picture_close(struct picture *picture)
{
    struct store *store = picture->store;
    mdb_txn_abort(picture->txn);
    free(picture);
    store->pictures--;
    grow_if_wanted(store);
}

bool store_is_pictured(const struct store *store)
{
    return store->pictures > 0;
}

MDB_txn *picture_txn(struct picture *picture)
{
    return picture->txn;
}

MDB_dbi picture_table(struct picture *picture, enum table table)
{
    return picture->store->tables[table];
}
