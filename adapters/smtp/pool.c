/* pool.c - threads that wait for a relay
 *
 * libcurl's wait for the answer to a message blocks, even under its multi interface; so each
 * session has a thread that does nothing but block.  The loop thread keeps the list of idle ones
 * and gives a job to the one that was idle last: its session is the warmest.
 *
 *     loop thread:  add ──► idle worker's mailbox        results ──► done(job), worker is idle
 *     worker:               wait, send, ───────────────► put
 *
 * A session is closed after a few seconds without work, when it has grown old, and after anything
 * but success.  The thread stays: an idle one costs a stack that nobody touches. */
#include "adapters/smtp/pool.h"

#include "core/base/buf.h"
#include "core/base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX 32
#define IDLE_MS 5000 /* relays close idle sessions after seconds (Postfix: 2 s as a client) to minutes */

struct smtp_worker {
    struct smtp_pool *pool;
    struct mailbox box; /* of jobs; `end` as the last */
    struct mail end;    /* put when the pool closes */
    pthread_t thread;
    struct smtp_worker *next;     /* idle workers */
    struct smtp_session *session; /* the thread's; NULL: none */
};

struct smtp_pool {
    struct smtp_relay *relay;
    void (*done)(struct smtp_job *job, void *context);
    void (*closed)(void *context);
    void *context;
    uv_async_t async;       /* wakes the loop thread */
    struct mailbox results; /* jobs that ended */
    struct smtp_worker *workers[WORKERS_MAX];
    size_t count;               /* of workers */
    struct smtp_worker *idle;   /* the one that was idle last first */
    struct mail *first, **last; /* jobs that wait for a worker */
};

/* ---- on a worker's thread --------------------------------------------------------------- */

static void try_once(struct smtp_worker *worker, struct smtp_job *job)
{
    if (worker->session && (job->is_look || !smtp_send_is_good(worker->session))) {
        smtp_send_close(worker->session);
        worker->session = NULL;
    }
    if (!worker->session)
        worker->session = smtp_send_open(worker->pool->relay);
    if (job->is_look)
        smtp_send_look(worker->session, &job->outcome);
    else
        smtp_send(worker->session, &job->envelope, &job->outcome);
    job->is_encrypted = smtp_send_is_encrypted(worker->session);
    if (job->is_look || job->outcome.curl != CURLE_OK) {
        smtp_send_close(worker->session);
        worker->session = NULL;
    }
}

static void not_begun(struct smtp_job *job)
{
    job->outcome = (struct smtp_outcome){.curl = CURLE_ABORTED_BY_CALLBACK, .phase = SMTP_PHASE_CONNECT};
    snprintf(job->outcome.failure, sizeof job->outcome.failure, "Headgate stops");
}

static void work(struct smtp_worker *worker, struct smtp_job *job)
{
    if (worker->pool->relay->stop_ns) {
        not_begun(job);
        return;
    }
    try_once(worker, job);
    /* A relay may close a session between two mails; that is no reason to wait, nor this mail's fault. */
    if (smtp_verdict_is_stale(&job->outcome))
        try_once(worker, job);
}

static void *run(void *context)
{
    struct smtp_worker *worker = context;
    bool is_ended = false;
    while (!is_ended) {
        struct mail *mail = mailbox_wait(&worker->box, worker->session ? IDLE_MS : -1);
        if (!mail) {
            smtp_send_close(worker->session);
            worker->session = NULL;
        }
        while (mail) {
            struct mail *next = mail->next;
            if (mail == &worker->end) {
                is_ended = true;
            } else {
                work(worker, (struct smtp_job *)mail);
                mailbox_put(&worker->pool->results, mail);
            }
            mail = next;
        }
    }
    smtp_send_close(worker->session);
    return NULL;
}

/* ---- on the loop thread ----------------------------------------------------------------- */

/* NULL: the machine has no thread left. */
static struct smtp_worker *start_worker(struct smtp_pool *pool)
{
    struct smtp_worker *worker = mem_zero(sizeof *worker);
    worker->pool = pool;
    mailbox_init(&worker->box, NULL, NULL);
    sigset_t all, old; /* signals are the loop thread's; and OpenSSL's writes must not die of SIGPIPE */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int status = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (status != 0) {
        mailbox_clear(&worker->box);
        free(worker);
        return NULL;
    }
    pthread_setname_np(worker->thread, "smtp");
    pool->workers[pool->count++] = worker;
    return worker;
}

/* An idle or new worker; NULL: all are busy, and there may or can be no more. */
static struct smtp_worker *find_worker(struct smtp_pool *pool)
{
    struct smtp_worker *worker = pool->idle;
    if (worker)
        pool->idle = worker->next;
    else if (pool->count < WORKERS_MAX)
        worker = start_worker(pool);
    return worker;
}

static void hand_out(struct smtp_pool *pool)
{
    while (pool->first && !pool->relay->stop_ns) {
        struct smtp_worker *worker = find_worker(pool);
        if (!worker)
            return; /* tried again when the next job ends */
        struct smtp_job *job = (struct smtp_job *)pool->first;
        pool->first = job->mail.next;
        if (!pool->first)
            pool->last = &pool->first;
        job->worker = worker;
        mailbox_put(&worker->box, &job->mail);
    }
}

static void take_results(struct smtp_pool *pool)
{
    struct mail *mail = mailbox_take(&pool->results);
    while (mail) {
        struct smtp_job *job = (struct smtp_job *)mail;
        mail = mail->next;
        job->worker->next = pool->idle;
        pool->idle = job->worker;
        pool->done(job, pool->context);
    }
    hand_out(pool);
}

static void on_wake(uv_async_t *async)
{
    take_results(async->data);
}

static void wake(void *async)
{
    uv_async_send(async);
}

struct smtp_pool *smtp_pool_open(uv_loop_t *loop, struct smtp_relay *relay,
                                 void (*done)(struct smtp_job *job, void *context), void *context)
{
    struct smtp_pool *pool = mem_zero(sizeof *pool);
    pool->relay = relay;
    pool->done = done;
    pool->context = context;
    pool->last = &pool->first;
    pool->async.data = pool;
    mailbox_init(&pool->results, wake, &pool->async);
    /* The first thread is started now: so there is always one that a waiting job can hope for. */
    pool->idle = start_worker(pool);
    if (!pool->idle || uv_async_init(loop, &pool->async, on_wake) != 0)
        abort(); /* no thread or descriptor left: as with memory */
    return pool;
}

void smtp_pool_add(struct smtp_pool *pool, struct smtp_job *job)
{
    job->mail.next = NULL;
    *pool->last = &job->mail;
    pool->last = &job->mail.next;
    hand_out(pool);
}

static void on_closed(uv_handle_t *handle)
{
    struct smtp_pool *pool = handle->data;
    pool->closed(pool->context);
    free(pool);
}

void smtp_pool_close(struct smtp_pool *pool, int64_t grace_ms, void (*closed)(void *context))
{
    pool->relay->stop_ns = clock_mono_ns() + grace_ms * 1000000;
    for (size_t i = 0; i < pool->count; i++)
        mailbox_put(&pool->workers[i]->box, &pool->workers[i]->end);
    for (size_t i = 0; i < pool->count; i++)
        pthread_join(pool->workers[i]->thread, NULL);
    take_results(pool);
    while (pool->first) {
        struct smtp_job *job = (struct smtp_job *)pool->first;
        pool->first = job->mail.next;
        not_begun(job);
        pool->done(job, pool->context);
    }
    for (size_t i = 0; i < pool->count; i++) {
        mailbox_clear(&pool->workers[i]->box);
        free(pool->workers[i]);
    }
    mailbox_clear(&pool->results);
    pool->closed = closed;
    uv_close((uv_handle_t *)&pool->async, on_closed);
}
