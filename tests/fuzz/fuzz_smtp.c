/* fuzz_smtp.c - a relay that answers anything
 *
 * A thread on loopback plays the relay: the input, cut at zero bytes, is what it says, one piece for each time that the
 * client has said something, or waits.  Whatever it says, the transaction ends in time with a verdict and a word for a
 * person; it is *done* only if the relay asked for the message and then said 2xx. */
#include "fuzz.h"

#include "adapters/smtp/send.h"
#include "core/base/log.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 1000
#define PATIENCE_MS 1 /* with a client that says nothing */

static int listener;
static char url[64];
static const uint8_t *script;
static size_t script_size;

static bool say(int fd, size_t *at)
{
    if (*at >= script_size)
        return false;
    const uint8_t *from = script + *at, *end = memchr(from, 0, script_size - *at);
    size_t size = end ? (size_t)(end - from) : script_size - *at;
    *at += size + 1;
    return size == 0 || send(fd, from, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static void *play(void *context)
{
    char heard[65536];
    size_t at = 0, used = 0;
    int fd = accept(listener, NULL, NULL);
    (void)context;
    if (fd < 0)
        return NULL;
    while (say(fd, &at)) {
        struct pollfd socket = {.fd = fd, .events = POLLIN};
        if (poll(&socket, 1, PATIENCE_MS) == 0)
            continue; /* it waits for more of what we say */
        ssize_t size = recv(fd, heard + used, sizeof heard - used, 0);
        if (size <= 0)
            break;
        used += (size_t)size;
        if (used > sizeof heard / 2)
            break;
    }
    close(fd);
    return NULL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    (void)argc, (void)argv;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 10) != 0
        || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d/fuzz.example.com", ntohs(address.sin_port));
    return 0;
}

static void judge(const struct smtp_outcome *outcome)
{
    struct smtp_verdict verdict;
    smtp_verdict_of(outcome, 1000, 1000, &verdict);
    FUZZ_EXPECT(verdict.kind != SMTP_DONE || (outcome->code / 100 == 2 && outcome->is_body_given),
                "done, but the last answer was %d in phase %d\n", outcome->code, outcome->phase);
    /* A relay that says 250 before it has the message cannot be told from one that means it; without 354 it can. */
    FUZZ_EXPECT(verdict.kind != SMTP_DONE || memmem(script, script_size, "354", 3),
                "done, but it never asked for it\n");
    FUZZ_EXPECT(verdict.kind == SMTP_DONE || verdict.words[0], "no word for a person\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_relay relay = {.url = url, .is_loopback = true, .answer_timeout_ms = ANSWER_TIMEOUT_MS};
    static const char message[] = "Subject: s\r\n\r\nthe whole body\r\n";
    struct smtp_envelope envelope = {"from@example.com", "to@example.com", {message, sizeof message - 1}};
    struct smtp_outcome outcome;
    pthread_t thread;
    script = data;
    script_size = size;
    if (pthread_create(&thread, NULL, play, NULL) != 0)
        abort();
    struct smtp_session *session = smtp_send_open(&relay);
    smtp_send(session, &envelope, &outcome);
    smtp_send_close(session);
    pthread_join(thread, NULL);
    judge(&outcome);
    return 0;
}
