/* forward.c - the yardstick: a bare forwarder, as a competent person would write it in an afternoon
 *
 *     forward PORT FROM TO [COUNT]      queue FROM ─► queue TO, until COUNT messages are through or SIGTERM comes
 *
 * librabbitmq's plain calls, one thread, two connections.  A message is acknowledged when its copy was confirmed:
 * up to WINDOW are under way, and whatever confirms are at hand are answered by one ack with `multiple`.  There is no
 * Lua, no disk, no memory of what was seen: a crash forwards up to WINDOW messages twice.  At the end it prints the
 * messages, its CPU time in microseconds and its largest memory in kB. */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WINDOW 512 /* messages under way; a power of two */

struct forwarder {
    amqp_connection_state_t in, out;
    const char *from, *to;
    uint64_t count;            /* messages to forward; 0: no end */
    uint64_t sent, confirmed;  /* numbers of the newest publication, and of the newest below which all are confirmed */
    uint64_t tags[WINDOW];     /* delivery tag of publication n, at n % WINDOW */
    bool is_confirmed[WINDOW]; /* confirmed before an older one was */
};

static volatile sig_atomic_t is_stopped;

static void on_term(int number)
{
    (void)number;
    is_stopped = 1;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "forward: %s: %s\n", what, why);
    exit(1);
}

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        die(what, amqp_error_string2(reply.library_error));
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        die(what, "the broker refuses");
}

static void check_status(int status, const char *what)
{
    if (status != AMQP_STATUS_OK)
        die(what, amqp_error_string2(status));
}

static amqp_connection_state_t open_link(const char *port)
{
    amqp_connection_state_t link = amqp_new_connection();
    amqp_socket_t *sock = amqp_tcp_socket_new(link);
    check_status(amqp_socket_open(sock, "127.0.0.1", atoi(port)), "connect");
    check(amqp_login(link, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(link, 1);
    check(amqp_get_rpc_reply(link), "open a channel");
    return link;
}

static bool has_waiting(amqp_connection_state_t link)
{
    return amqp_data_in_buffer(link) || amqp_frames_enqueued(link);
}

static bool may_take(const struct forwarder *forwarder)
{
    return forwarder->sent - forwarder->confirmed < WINDOW
           && (forwarder->count == 0 || forwarder->sent < forwarder->count);
}

/* One message, if one is at hand. */
static bool forward_one(struct forwarder *forwarder)
{
    amqp_envelope_t envelope;
    struct timeval none = {0, 0};
    amqp_maybe_release_buffers(forwarder->in);
    amqp_rpc_reply_t reply = amqp_consume_message(forwarder->in, &envelope, &none, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
        return false;
    check(reply, "consume");
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .content_type = amqp_cstring_bytes("application/json"),
    };
    forwarder->tags[++forwarder->sent % WINDOW] = envelope.delivery_tag;
    forwarder->is_confirmed[forwarder->sent % WINDOW] = false;
    check_status(amqp_basic_publish(forwarder->out, 1, amqp_empty_bytes, amqp_cstring_bytes(forwarder->to), 1, 0,
                                    &properties, envelope.message.body),
                 "publish");
    amqp_destroy_envelope(&envelope);
    return true;
}

static void on_confirm(struct forwarder *forwarder, const amqp_basic_ack_t *ack)
{
    for (uint64_t n = ack->multiple ? forwarder->confirmed + 1 : ack->delivery_tag; n <= ack->delivery_tag; n++)
        forwarder->is_confirmed[n % WINDOW] = true;
}

/* All confirms that are at hand, then one ack for them. */
static void take_confirms(struct forwarder *forwarder)
{
    struct timeval none = {0, 0};
    amqp_frame_t frame;
    int status;
    while ((status = amqp_simple_wait_frame_noblock(forwarder->out, &frame, &none)) == AMQP_STATUS_OK) {
        if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
            on_confirm(forwarder, frame.payload.method.decoded);
        else if (frame.frame_type == AMQP_FRAME_METHOD)
            die("publish", amqp_method_name(frame.payload.method.id));
    }
    if (status != AMQP_STATUS_TIMEOUT)
        check_status(status, "wait for confirms");
    amqp_maybe_release_buffers(forwarder->out);
    uint64_t before = forwarder->confirmed;
    while (forwarder->confirmed < forwarder->sent && forwarder->is_confirmed[(forwarder->confirmed + 1) % WINDOW])
        forwarder->confirmed++;
    if (forwarder->confirmed > before)
        check_status(amqp_basic_ack(forwarder->in, 1, forwarder->tags[forwarder->confirmed % WINDOW], 1), "ack");
}

static void run(struct forwarder *forwarder)
{
    while (!is_stopped && (forwarder->count == 0 || forwarder->confirmed < forwarder->count)) {
        struct pollfd fds[2] = {
            {.fd = may_take(forwarder) ? amqp_get_sockfd(forwarder->in) : -1, .events = POLLIN},
            {.fd = amqp_get_sockfd(forwarder->out), .events = POLLIN},
        };
        bool has_in = fds[0].fd >= 0 && has_waiting(forwarder->in), has_out = has_waiting(forwarder->out);
        if (poll(fds, 2, has_in || has_out ? 0 : -1) < 0 && errno != EINTR)
            die("poll", strerror(errno));
        has_in = has_in || (fds[0].fd >= 0 && fds[0].revents);
        while (has_in && may_take(forwarder) && forward_one(forwarder))
            ;
        if (has_out || fds[1].revents)
            take_confirms(forwarder);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: forward PORT FROM TO [COUNT]\n", stderr);
        return 64;
    }
    static struct forwarder forwarder;
    forwarder.from = argv[2];
    forwarder.to = argv[3];
    forwarder.count = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
    forwarder.out = open_link(argv[1]);
    amqp_confirm_select(forwarder.out, 1);
    check(amqp_get_rpc_reply(forwarder.out), "confirm.select");
    forwarder.in = open_link(argv[1]);
    amqp_basic_qos(forwarder.in, 1, 0, WINDOW, 0);
    amqp_basic_consume(forwarder.in, 1, amqp_cstring_bytes(forwarder.from), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    check(amqp_get_rpc_reply(forwarder.in), "consume");
    run(&forwarder);
    amqp_connection_close(forwarder.in, AMQP_REPLY_SUCCESS);
    amqp_connection_close(forwarder.out, AMQP_REPLY_SUCCESS);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("%llu %lld %ld\n", (unsigned long long)forwarder.confirmed,
           (long long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec
               + used.ru_stime.tv_usec,
           used.ru_maxrss);
    return 0;
}
