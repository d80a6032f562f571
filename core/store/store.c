/* store.c - opening, closing, and the loop thread's side of the store; the writer is in writer.c */
#include "core/store/store.h"

#include "core/base/log.h"
#include "core/store/internal.h"

#include <stdlib.h>
#include <unistd.h>

#define SLACK_BYTES                                                                                                    \
    ((int64_t)1 << 30) /* address space; what fills it is bounded by what sources deliver unacknowledged */

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

void store_grow_if_wanted(struct store *store)
{
    if (!store->grow_to || store->pictures)
        return;
    store_refresh(store);
    int status = mdb_env_set_mapsize(store->env.mdb, store->grow_to);
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
        store_grow_if_wanted(store);
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
    environment_close(&store->env);
    backup_free(store->backup);
    mailbox_clear(&store->changes);
    mailbox_clear(&store->notes);
    free(store);
    change_clear_spare();
}

static int64_t round_to_pages(int64_t limit_bytes)
{
    int64_t page = sysconf(_SC_PAGESIZE);
    return ((limit_bytes < STORE_LEAST_LIMIT ? STORE_LEAST_LIMIT : limit_bytes) + page - 1) / page * page;
}

struct store *store_open(uv_loop_t *loop, const struct store_options *options, enum store_failure *failure,
                         struct err *err)
{
    struct store *store = mem_zero(sizeof *store);
    store->limit_bytes = round_to_pages(options->limit_bytes);
    store->slack_bytes = options->slack_bytes ? options->slack_bytes : SLACK_BYTES;
    store->on_state = options->on_state ? options->on_state : ignore_state;
    store->context = options->context;
    mailbox_init(&store->changes, NULL, NULL);
    mailbox_init(&store->notes, wake_loop, &store->notes_arrived);
    pthread_mutex_init(&store->grow_mutex, NULL);
    pthread_cond_init(&store->grown, NULL);

    if (!environment_open(&store->env, options->folder, failure, err)
        || mdb_txn_begin(store->env.mdb, NULL, MDB_RDONLY, &store->reader) != 0) {
        err_wrap(err, "store");
        free_store(store);
        return NULL;
    }
    mdb_txn_reset(store->reader);
    store->map_bytes = store->env.map_bytes;
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
