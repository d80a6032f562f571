/* pulse.c - what the bench does at the broker and at the daemon, with a clock beside it
 *
 *     pulse PORT load    EXCHANGE KEY COUNT RUN         publishes COUNT messages, confirmed
 *     pulse PORT await   QUEUE COUNT SECONDS            waits until QUEUE holds so many
 *     pulse PORT steady  EXCHANGE KEY QUEUE RATE SECONDS RUN
 *         publishes at a rate, takes what arrives at QUEUE; prints p50 and p99 in ms, how many were lost, came twice,
 *         and the ms between the last message of release 1 and the first of release 2 (-1: there was no second one)
 *     pulse PORT gate    SOCKET FLOW QUEUE ROUNDS
 *         opens and closes the flow's gate over its admin socket; prints a line a round: ms from the request to the
 *         first message at QUEUE, ms from the request to the last one
 *
 * Every message carries when it was sent, and its number; two connections, one thread each.  Exit code 1: too late. */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define KEYS 1009         /* different event keys */
#define CONFIRM_EVERY 200 /* messages loaded between two waits for confirms */
#define QUIET_MS 10000    /* nothing for so long: the rest is lost */
#define OPEN_MS 150       /* how long a gate is open in a round */
#define CLOSED_MS 400     /* silence after which a gate has done its last */

static const char *port;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "pulse: %s: %s\n", what, why);
    exit(1);
}

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        die(what, amqp_error_string2(reply.library_error));
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        die(what, "the broker refuses");
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_until(int64_t when_ns)
{
    struct timespec when = {when_ns / 1000000000, when_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static amqp_connection_state_t open_link(void)
{
    amqp_connection_state_t link = amqp_new_connection();
    amqp_socket_t *sock = amqp_tcp_socket_new(link);
    if (amqp_socket_open(sock, "127.0.0.1", atoi(port)) != AMQP_STATUS_OK)
        die("connect", "nobody listens");
    check(amqp_login(link, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(link, 1);
    check(amqp_get_rpc_reply(link), "open a channel");
    return link;
}

static void close_link(amqp_connection_state_t link)
{
    amqp_connection_close(link, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(link);
}

/* ---- messages ----------------------------------------------------------------------------------------- */

static void publish(amqp_connection_state_t link, const char *exchange, const char *key, const char *run, long number)
{
    char body[600];
    int size =
        snprintf(body, sizeof body,
                 "{\"id\":\"%s-%ld\",\"controller\":\"site-%05ld\",\"number\":%ld,\"sent_ns\":%lld,"
                 "\"kind\":\"temperature\",\"value\":%ld.%ld,\"unit\":\"C\",\"at\":\"2026-11-22T09:41:07Z\","
                 "\"text\":\"The reading was outside of its limits; it was taken three times before this was sent.\","
                 "\"tags\":[\"bench\",\"forward\"]}",
                 run, number, number % KEYS, number, (long long)now_ns(), number % 90, number % 10);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .content_type = amqp_cstring_bytes("application/json"),
    };
    int status = amqp_basic_publish(link, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0, 0, &properties,
                                    (amqp_bytes_t){(size_t)size, body});
    if (status != AMQP_STATUS_OK)
        die("publish", amqp_error_string2(status));
}

/* The number behind `"name":` in a body that somebody may have written anew; -1: it is not there. */
static long long number_in(amqp_bytes_t body, const char *name)
{
    char text[1000], quoted[40];
    snprintf(text, sizeof text, "%.*s", (int)body.len, (char *)body.bytes);
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = strstr(text, quoted);
    return at ? strtoll(at + strlen(quoted), NULL, 10) : -1;
}

static void consume(amqp_connection_state_t link, const char *queue)
{
    amqp_basic_consume(link, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(link), queue);
}

/* False: nothing came for `patience_ms`. */
static bool next_message(amqp_connection_state_t link, long patience_ms, amqp_envelope_t *envelope)
{
    struct timeval patience = {patience_ms / 1000, patience_ms % 1000 * 1000};
    amqp_maybe_release_buffers(link);
    amqp_rpc_reply_t reply = amqp_consume_message(link, envelope, &patience, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
        return false;
    check(reply, "consume");
    return true;
}

/* ---- load, await ---------------------------------------------------------------------------------------- */

static void await_confirm(amqp_connection_state_t link, uint64_t until)
{
    for (uint64_t confirmed = 0; confirmed < until;) {
        amqp_frame_t frame;
        if (amqp_simple_wait_frame(link, &frame) != AMQP_STATUS_OK || frame.frame_type != AMQP_FRAME_METHOD
            || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            die("load", "the broker confirms no more");
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        confirmed = ack->delivery_tag > confirmed ? ack->delivery_tag : confirmed;
        amqp_maybe_release_buffers(link);
    }
}

static int load(const char *exchange, const char *key, long count, const char *run)
{
    amqp_connection_state_t link = open_link();
    amqp_confirm_select(link, 1);
    check(amqp_get_rpc_reply(link), "confirm.select");
    for (long number = 1; number <= count; number++) {
        publish(link, exchange, key, run, number);
        if (number % CONFIRM_EVERY == 0 || number == count)
            await_confirm(link, (uint64_t)number);
    }
    close_link(link);
    return 0;
}

static int await(const char *queue, unsigned count, double seconds)
{
    amqp_connection_state_t link = open_link();
    int64_t until_ns = now_ns() + (int64_t)(seconds * 1e9);
    bool has_all = false;
    while (!has_all && now_ns() < until_ns) {
        amqp_queue_declare_ok_t *look =
            amqp_queue_declare(link, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
        check(amqp_get_rpc_reply(link), queue);
        has_all = look->message_count >= count;
        amqp_maybe_release_buffers(link);
        if (!has_all)
            sleep_until(now_ns() + 20000000);
    }
    close_link(link);
    return has_all ? 0 : 1;
}

/* ---- steady -------------------------------------------------------------------------------------------------- */

struct steady {
    const char *exchange, *key, *run;
    long rate, count;
    double *ms;     /* latency of each that arrived */
    bool *has_come; /* by number */
    long arrived, twice;
    int64_t last_ns[3]; /* when a message of release 1, 2 arrived last */
    double switch_ms;
};

static void *publish_steadily(void *context)
{
    struct steady *steady = context;
    amqp_connection_state_t link = open_link();
    int64_t start_ns = now_ns() + 100000000;
    for (long number = 1; number <= steady->count; number++) {
        sleep_until(start_ns + number * (1000000000 / steady->rate));
        publish(link, steady->exchange, steady->key, steady->run, number);
    }
    close_link(link);
    return NULL;
}

static void take(struct steady *steady, amqp_bytes_t body)
{
    int64_t at_ns = now_ns();
    long long number = number_in(body, "number"), release = number_in(body, "release");
    if (number < 1 || number > steady->count)
        die("steady", "a message that is not ours");
    if (steady->has_come[number]) {
        steady->twice++;
        return;
    }
    steady->has_come[number] = true;
    steady->ms[steady->arrived++] = (double)(at_ns - number_in(body, "sent_ns")) / 1e6;
    if (release == 2 && steady->last_ns[1] && !steady->last_ns[2])
        steady->switch_ms = (double)(at_ns - steady->last_ns[1]) / 1e6;
    if (release == 1 || release == 2)
        steady->last_ns[release] = at_ns;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int run_steadily(const char *queue, struct steady *steady, double seconds)
{
    pthread_t thread;
    amqp_envelope_t envelope;
    amqp_connection_state_t link = open_link();
    steady->count = (long)((double)steady->rate * seconds);
    steady->ms = calloc((size_t)steady->count + 1, sizeof *steady->ms);
    steady->has_come = calloc((size_t)steady->count + 1, sizeof *steady->has_come);
    steady->switch_ms = -1;
    consume(link, queue);
    if (!steady->ms || !steady->has_come || pthread_create(&thread, NULL, publish_steadily, steady) != 0)
        die("steady", "no memory");
    while (steady->arrived < steady->count && next_message(link, QUIET_MS, &envelope)) {
        take(steady, envelope.message.body);
        amqp_destroy_envelope(&envelope);
    }
    while (next_message(link, 200, &envelope)) { /* what comes now has come before */
        take(steady, envelope.message.body);
        amqp_destroy_envelope(&envelope);
    }
    pthread_join(thread, NULL);
    close_link(link);
    qsort(steady->ms, (size_t)steady->arrived, sizeof *steady->ms, by_size);
    printf("%.3f %.3f %ld %ld %.3f\n", steady->ms[steady->arrived / 2], steady->ms[steady->arrived * 99 / 100],
           steady->count - steady->arrived, steady->twice, steady->switch_ms);
    return 0;
}

/* ---- gate ------------------------------------------------------------------------------------------------------ */

static void post(const char *path_of_socket, const char *flow, const char *what)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[500], answer[64] = "";
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of_socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = snprintf(text, sizeof text,
                        "POST /v1/flows/%s/%s HTTP/1.1\r\nHost: headgate\r\nConnection: close\r\n"
                        "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"why\":\"bench\"}",
                        flow, what);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || write(fd, text, (size_t)size) != size
        || read(fd, answer, sizeof answer - 1) <= 0 || !strstr(answer, " 200 "))
        die("gate", answer[0] ? answer : "the daemon does not answer");
    close(fd);
}

static int gate(const char *path_of_socket, const char *flow, const char *queue, long rounds)
{
    amqp_envelope_t envelope;
    amqp_connection_state_t link = open_link();
    consume(link, queue);
    for (long i = 0; i < rounds; i++) {
        int64_t asked_ns = now_ns(), last_ns;
        post(path_of_socket, flow, "on");
        if (!next_message(link, QUIET_MS, &envelope))
            die("gate", "the gate is on and nothing comes");
        double on_ms = (double)(now_ns() - asked_ns) / 1e6;
        amqp_destroy_envelope(&envelope);
        int64_t close_ns = now_ns() + OPEN_MS * 1000000LL;
        while (now_ns() < close_ns && next_message(link, OPEN_MS, &envelope))
            amqp_destroy_envelope(&envelope);
        asked_ns = last_ns = now_ns();
        post(path_of_socket, flow, "off");
        while (next_message(link, CLOSED_MS, &envelope)) {
            last_ns = now_ns();
            amqp_destroy_envelope(&envelope);
        }
        printf("%.3f %.3f\n", on_ms, (double)(last_ns - asked_ns) / 1e6);
        fflush(stdout);
    }
    close_link(link);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    port = argc > 1 ? argv[1] : "";
    if (strcmp(what, "load") == 0 && argc == 7)
        return load(argv[3], argv[4], atol(argv[5]), argv[6]);
    if (strcmp(what, "await") == 0 && argc == 6)
        return await(argv[3], (unsigned)atol(argv[4]), atof(argv[5]));
    if (strcmp(what, "steady") == 0 && argc == 9) {
        struct steady steady = {.exchange = argv[3], .key = argv[4], .rate = atol(argv[6]), .run = argv[8]};
        return run_steadily(argv[5], &steady, atof(argv[7]));
    }
    if (strcmp(what, "gate") == 0 && argc == 7)
        return gate(argv[3], argv[4], argv[5], atol(argv[6]));
    fputs("usage: pulse PORT load|await|steady|gate WORDS...; see the head of pulse.c\n", stderr);
    return 64;
}
