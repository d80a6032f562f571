/* examine.c - looking at the broker for `headgate doctor`
 *
 * On a connection of its own and on a thread of libuv's pool, so neither the loop nor the flows notice.  Only
 * passive looks: nothing is declared, bound or consumed.  AMQP cannot list bindings; what is shown of them is
 * what this node remembers to have made. */
#include "adapters/amqp/rabbit.h"

#define CHANNEL 1

struct finding {
    struct finding *next;
    bool is_good;
    const char *about; /* a constant */
    char text[ERR_MAX];
};

/* One examination; made and freed on the loop thread. */
struct job {
    uv_work_t work;
    struct rabbit_setup *setup;
    struct examination *examination;
    char *exchange, *queue;        /* of the source; NULL without one */
    char *because;                 /* why the queue is adopted; NULL: it is our own */
    bool is_adopted, was_declared; /* the queue */
    struct buf bindings;           /* words, from the source's memory */
    atomic_bool stop;              /* stays false: every wait in there has an end */
    struct finding *first, **last;
};

static void find(struct job *job, bool is_good, const char *about, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void find(struct job *job, bool is_good, const char *about, const char *format, ...)
{
    struct finding *finding = mem_zero(sizeof *finding);
    finding->is_good = is_good;
    finding->about = about;
    va_list args;
    va_start(args, format);
    vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
    *job->last = finding;
    job->last = &finding->next;
}

static void look_at_exchange(struct job *job, struct rabbit_session *session)
{
    enum rabbit_answer answer = rabbit_session_open_channel(session, CHANNEL);
    if (answer == RABBIT_OK)
        answer = rabbit_session_look_at_exchange(session, CHANNEL, job->exchange);
    if (answer == RABBIT_OK)
        find(job, true, "exchange", "%s exists", job->exchange);
    else
        find(job, false, "exchange", "%s", answer == RABBIT_CLOSED ? session->close_text : session->why.text);
    if (answer == RABBIT_OK) {
        amqp_channel_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("done")};
        rabbit_session_call(session, CHANNEL, AMQP_CHANNEL_CLOSE_METHOD, &close, AMQP_CHANNEL_CLOSE_OK_METHOD);
    }
}

static void look_at_queue(struct job *job, struct rabbit_session *session)
{
    enum rabbit_answer answer = rabbit_session_open_channel(session, CHANNEL);
    if (answer == RABBIT_OK)
        answer = rabbit_session_look_at_queue(session, CHANNEL, job->queue);
    if (answer == RABBIT_OK) {
        bool is_ours = job->was_declared || job->is_adopted;
        if (job->because)
            find(job, true, "adopted", "%s was not declared by Headgate; because: %s", job->queue, job->because);
        find(job, is_ours, "queue", "%s exists, %u messages waiting%s", job->queue, session->message_count,
             is_ours ? "" : "; it was not declared by this Headgate");
        find(job, job->is_adopted || session->consumer_count <= 1, "consumers", "%u, ours included",
             session->consumer_count);
    } else if (answer == RABBIT_CLOSED && session->close_code == AMQP_NOT_FOUND && !job->is_adopted) {
        find(job, true, "queue", "%s does not exist yet; it is declared when the gate opens", job->queue);
    } else {
        find(job, false, "queue", "%s", answer == RABBIT_CLOSED ? session->close_text : session->why.text);
    }
    if (job->bindings.size)
        find(job, true, "bindings", "%s (as last made by this node)", job->bindings.data);
}

static void on_work(uv_work_t *work)
{
    struct job *job = work->data;
    struct rabbit_session session = {.link.fd = -1};
    struct err err = ERR_INIT;
    if (!rabbit_session_open(&session, job->setup, "doctor", &job->stop, &err)) {
        find(job, false, "connection", "%s", err.text);
    } else {
        find(job, true, "connection", "%s at %s:%d, %s", session.server, job->setup->address.host,
             job->setup->address.port, job->setup->address.is_tls ? "over TLS" : "not encrypted");
        find(job, true, "credentials", "accepted for user %s, virtual host %s", job->setup->address.user,
             job->setup->address.vhost);
        if (job->exchange)
            look_at_exchange(job, &session);
        if (job->queue)
            look_at_queue(job, &session);
    }
    rabbit_session_close(&session);
}

static void on_done(uv_work_t *work, int status)
{
    (void)status; /* it is never cancelled */
    struct job *job = work->data;
    for (struct finding *finding = job->first, *next; finding; finding = next) {
        next = finding->next;
        examination_finds(job->examination, finding->is_good, finding->about, "%s", finding->text);
        free(finding);
    }
    examination_ends(job->examination);
    rabbit_setup_release(job->setup);
    buf_clear(&job->bindings);
    free(job->exchange);
    free(job->queue);
    free(job->because);
    free(job);
}

void rabbit_examine(struct connection *connection, struct rabbit_setup *setup, struct source *source,
                    struct examination *examination)
{
    struct job *job = mem_zero(sizeof *job);
    job->work.data = job;
    job->setup = setup;
    atomic_fetch_add(&setup->users, 1);
    job->examination = examination;
    job->last = &job->first;
    job->bindings = (struct buf)BUF_INIT(1000);
    if (source) {
        job->exchange = mem_text(settings_text(source->settings, "exchange"));
        job->queue = rabbit_tap_queue(source);
        job->is_adopted = settings_text(source->settings, "queue") != NULL;
        job->because = mem_text(settings_text(source->settings, "because"));
        job->was_declared = source->declared_before;
        struct field field;
        for (size_t at = 0; record_next(source->memory, &at, &field);)
            buf_addf(&job->bindings, slice_is(field.name, "key") ? " %.*s" : "%.*s:", SLICE_ARG(field.value));
    }
    uv_queue_work(connection->loop, &job->work, on_work, on_done);
}
