/* worker.c - a thread that owns one AMQP connection and only waits
 *
 *     no connection wanted ─► (sleeps) ─► connect ─► up: orders, frames, work, sleep ...
 *                                           ▲   │ failed or lost
 *                                           └───┘ after 0.5 s, doubling up to 30 s, with jitter
 *
 * It sleeps in poll() on its socket and an eventfd, which the mailbox writes to.  It is started by the first
 * order.  When it is told to stop it takes the orders that are left (acks, above all), closes the connection
 * politely and puts a last note: from then on nobody but the loop thread knows of it. */
#include "adapters/amqp/rabbit.h"
#include "core/base/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#define RETRY_LEAST_MS 500
#define RETRY_MOST_MS 30000
#define SETTLED_NS 10000000000LL /* a connection that lived so long was a good one: the backoff begins anew */

struct rabbit_order *rabbit_order_new(enum rabbit_order_kind kind, size_t settlings)
{
    struct rabbit_order *order = mem_zero(sizeof *order + settlings * sizeof order->settlings[0]);
    order->kind = kind;
    order->count = settlings;
    return order;
}

void rabbit_note_put(struct rabbit_worker *worker, enum rabbit_note_kind kind, struct rabbit_tap *tap, int state,
                     struct mail *list, struct slice text)
{
    struct rabbit_note *note = mem_new(sizeof *note + text.size + 1);
    *note = (struct rabbit_note){
        .kind = kind, .tap = tap, .worker = worker, .state = state, .list = list, .size = text.size};
    if (text.size)
        memcpy(note->text, text.data, text.size);
    note->text[text.size] = 0;
    mailbox_put(worker->notes, &note->mail);
}

void rabbit_note_say(struct rabbit_worker *worker, enum rabbit_note_kind kind, struct rabbit_tap *tap, int state,
                     const char *format, ...)
{
    char text[RABBIT_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rabbit_note_put(worker, kind, tap, state, NULL, slice_of(text));
}

static void wake(void *context)
{
    struct rabbit_worker *worker = context;
    uint64_t one = 1;
    if (write(worker->wake_fd, &one, sizeof one) != sizeof one)
        return; /* the counter is full: it is awake */
}

void rabbit_worker_init(struct rabbit_worker *worker, struct rabbit_setup *setup, struct mailbox *notes)
{
    worker->setup = setup;
    worker->notes = notes;
    worker->said = CONNECTION_IDLE;
    worker->session.link.fd = -1;
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->wake_fd < 0)
        abort(); /* no descriptors left at the start */
    mailbox_init(&worker->orders, wake, worker);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void plan_retry(struct rabbit_worker *worker)
{
    int64_t most_ms = RETRY_LEAST_MS;
    for (unsigned i = 0; i < worker->failures && most_ms < RETRY_MOST_MS; i++)
        most_ms *= 2;
    if (most_ms > RETRY_MOST_MS)
        most_ms = RETRY_MOST_MS;
    worker->failures++;
    /* Half of it fixed, half of it by chance: all nodes come back at the same time after an outage. */
    static _Thread_local unsigned seed;
    seed = seed ? seed : (unsigned)clock_mono_ns() ^ (unsigned)(uintptr_t)worker;
    int64_t wait_ms = most_ms / 2 + rand_r(&seed) % (most_ms / 2 + 1);
    worker->retry_ns = clock_mono_ns() + wait_ms * 1000000;
}

static void lose(struct rabbit_worker *worker, const char *why)
{
    rabbit_session_close(&worker->session);
    plan_retry(worker);
    worker->on_down(worker);
    rabbit_note_say(worker, RABBIT_LINK_STATE, NULL, CONNECTION_DOWN, "%s: %s", worker->purpose, why);
}

static void connect_now(struct rabbit_worker *worker)
{
    struct err err = ERR_INIT;
    worker->session.on_frame = worker->on_frame;
    worker->session.context = worker;
    if (!rabbit_session_open(&worker->session, worker->setup, worker->purpose, &worker->stop, &err)) {
        worker->session.why = err;
        lose(worker, err.text);
        return;
    }
    worker->up_ns = clock_mono_ns();
    const struct rabbit_address *to = &worker->setup->address;
    rabbit_note_say(worker, RABBIT_LINK_STATE, NULL, CONNECTION_UP, "%s: connected to %s:%d, %s", worker->purpose,
                    to->host, to->port, worker->session.server);
    worker->on_up(worker);
}

static void take_orders(struct rabbit_worker *worker)
{
    for (struct mail *mail = mailbox_take(&worker->orders), *next; mail; mail = next) {
        next = mail->next;
        struct rabbit_order *order = (struct rabbit_order *)mail;
        worker->take(worker, order);
        free(order);
    }
}

static void sleep_until_something(struct rabbit_worker *worker, int timeout_ms)
{
    struct rabbit_session *session = &worker->session;
    struct pollfd fds[2] = {{.fd = worker->wake_fd, .events = POLLIN}, {.fd = -1}};
    if (session->is_up) {
        fds[1].fd = session->link.fd;
        fds[1].events = session->out.size ? POLLIN | POLLOUT : POLLIN;
        int heartbeat_ms = session->heartbeat_s ? (int)session->heartbeat_s * 1000 / 4 : -1;
        if (heartbeat_ms >= 0 && (timeout_ms < 0 || timeout_ms > heartbeat_ms))
            timeout_ms = heartbeat_ms;
    }
    if (session->is_up && session->has_more)
        timeout_ms = 0;
    if (poll(fds, 2, timeout_ms) <= 0)
        return;
    session->is_readable = fds[1].revents & ~POLLOUT;
    uint64_t count;
    if (fds[0].revents && read(worker->wake_fd, &count, sizeof count) < 0)
        return; /* somebody else took the wake-up; there is nobody else */
}

static int ms_until(int64_t when_ns)
{
    int64_t left_ms = (when_ns - clock_mono_ns()) / 1000000 + 1;
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

static void *run(void *context)
{
    struct rabbit_worker *worker = context;
    bool stops = false;
    while (!stops) {
        stops = atomic_load(&worker->stop); /* looked at before the orders: it is set after the last of them */
        bool was_up = worker->session.is_up;
        if (was_up)
            rabbit_session_pump(&worker->session);
        take_orders(worker);
        if (!was_up && !stops && worker->wants(worker) && clock_mono_ns() >= worker->retry_ns)
            connect_now(worker);
        was_up = was_up || worker->session.is_up;
        int timeout_ms = worker->work(worker, clock_mono_ns());
        if (worker->session.is_up)
            rabbit_session_flush(&worker->session);
        if (was_up && !worker->session.is_up) {
            if (clock_mono_ns() - worker->up_ns > SETTLED_NS)
                worker->failures = 0;
            char why[RABBIT_TEXT_MAX];
            snprintf(why, sizeof why, "lost: %.*s", RABBIT_TEXT_MAX - 10, worker->session.why.text);
            lose(worker, why);
            timeout_ms = 0; /* what the loss left behind is given to the loop by the next round */
        }
        if (!worker->session.is_up && worker->wants(worker)) {
            int retry_ms = ms_until(worker->retry_ns);
            timeout_ms = timeout_ms < 0 || timeout_ms > retry_ms ? retry_ms : timeout_ms;
        }
        if (!stops)
            sleep_until_something(worker, timeout_ms);
    }
    rabbit_session_close(&worker->session);
    worker->end(worker);
    rabbit_note_say(worker, RABBIT_THREAD_ENDS, NULL, 0, "%s", "");
    return NULL;
}

/* ---- the loop thread ------------------------------------------------------------------------ */

static void start(struct rabbit_worker *worker)
{
    /* Signals are the loop thread's business, and a TLS write to a closed socket must not end us by SIGPIPE. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&worker->thread, NULL, run, worker) != 0)
        abort(); /* a process that can start no thread cannot serve */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    worker->is_started = true;
}

void rabbit_worker_order(struct rabbit_worker *worker, struct rabbit_order *order)
{
    mailbox_put(&worker->orders, &order->mail);
    if (!worker->is_started)
        start(worker);
}

void rabbit_worker_stop(struct rabbit_worker *worker)
{
    atomic_store(&worker->stop, true);
    wake(worker);
}

void rabbit_worker_clear(struct rabbit_worker *worker)
{
    if (worker->is_started)
        pthread_join(worker->thread, NULL);
    mailbox_clear(&worker->orders);
    close(worker->wake_fd);
}
