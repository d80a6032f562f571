/* send.c - one session with a relay, by libcurl's easy interface
 *
 * libcurl speaks SMTP, but tells too little: whether the dot that ends a message was written decides
 * between *later* and *unknown*.  So we listen to what it says (the debug callback gets each command)
 * and to what it hears (the header callback gets each line of an answer), and keep the phase:
 *
 *     EHLO, AUTH..   MAIL       RCPT       DATA       354        read: no more     answer
 *     ────► LOGIN ──────► MAIL ─────► RCPT ─────► DATA ─────► BODY ──────────► DOT ──────► outcome
 *                                                       a failure here: ▲       ▲ and here: unknown
 *                                                       nothing was taken
 *
 * libcurl asks for more of the message before it writes the dot.  That is the last moment to look
 * whether the server is still there: if it has gone, the read is refused, no dot is written, and the
 * mail may be sent again freely.  The window in which nobody knows cannot be closed, but kept small.
 *
 * What libcurl 7.88 does, and what follows:
 *   - after a time-out it would use a connection again whose answer is still owed, so that all
 *     answers are off by one: any result but success ends the session;
 *   - it goes on without a login if the server offers none: the message is not given then;
 *   - it puts addresses into commands unchecked: the callers check them (address.h);
 *   - it waits for the answer to QUIT as for any other: nothing more is read after QUIT;
 *   - while the message is being written it has no time-out but one that also ends the wait for the
 *     answer: a server that takes nothing is left by us.
 * The commands that are shown to us include the login: they are compared, never kept. */
#include "adapters/smtp/send.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/utf8.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 30000L
#define MAILS_MAX 100                              /* in one session: servers cut longer ones */
#define SESSION_MAX_NS (INT64_C(300) * 1000000000) /* and older ones */
#define SOCKETS_MAX 4                              /* of a session at once; two while IPv6 and IPv4 race */

struct smtp_session {
    CURL *curl;
    struct smtp_relay *relay;
    int sockets[SOCKETS_MAX];      /* open ones; -1: free place */
    unsigned mails;                /* sent in this session */
    int64_t opened_ns;             /* of the first transaction; 0: none yet */
    bool is_good;                  /* every transaction so far ended well */
    bool is_authenticated;         /* on the current connection */
    bool is_encrypted;             /* the current connection */
    bool is_in_reply;              /* between the lines of an answer */
    bool is_over;                  /* QUIT was said: what comes belongs to no transaction */
    struct slice message;          /* of the transaction under way */
    size_t given;                  /* bytes of it that libcurl has */
    int64_t moved_ns;              /* when it last took some */
    const char *why_ended;         /* we ended the transaction ourselves; NULL: no */
    struct smtp_outcome *outcome;  /* of the transaction under way */
    char failure[CURL_ERROR_SIZE]; /* libcurl's words */
};

/* ---- the socket ------------------------------------------------------------------------- */

static void swap_socket(struct smtp_session *session, int old, int new)
{
    for (int i = 0; i < SOCKETS_MAX; i++) {
        if (session->sockets[i] == old) {
            session->sockets[i] = new;
            return;
        }
    }
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0)
        swap_socket(context, -1, fd);
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int on_close(void *context, curl_socket_t fd)
{
    swap_socket(context, fd, -1);
    return close(fd);
}

static bool peer_is_gone(const struct smtp_session *session)
{
    for (int i = 0; i < SOCKETS_MAX; i++) {
        struct pollfd fd = {.fd = session->sockets[i], .events = POLLRDHUP};
        if (fd.fd >= 0 && poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)))
            return true;
    }
    return false;
}

/* Whatever waits for an answer now gets "end of stream" at once; what we said last still goes out. */
static void stop_reading(const struct smtp_session *session)
{
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (session->sockets[i] >= 0)
            shutdown(session->sockets[i], SHUT_RD);
}

/* ---- what is said ----------------------------------------------------------------------- */

static bool begins_with(const char *data, size_t size, const char *start)
{
    size_t n = strlen(start);
    return size >= n && memcmp(data, start, n) == 0;
}

static void enter(struct smtp_session *session, enum smtp_phase phase)
{
    session->outcome->phase = phase;
    session->outcome->code = 0;
    session->outcome->text[0] = '\0';
    memset(session->outcome->enhanced, 0, sizeof session->outcome->enhanced);
    session->is_in_reply = false;
}

static int on_command(CURL *curl, curl_infotype type, char *data, size_t size, void *context)
{
    (void)curl;
    struct smtp_session *session = context;
    if (type != CURLINFO_HEADER_OUT || !session->outcome || session->is_over)
        return 0;
    enum smtp_phase phase = session->outcome->phase;
    if (begins_with(data, size, "QUIT\r\n")) {
        session->is_over = true;
        stop_reading(session);
    } else if (begins_with(data, size, "EHLO ") || begins_with(data, size, "HELO ")) {
        session->is_authenticated = false;
        enter(session, SMTP_PHASE_LOGIN);
    } else if (begins_with(data, size, "MAIL FROM:") || begins_with(data, size, "NOOP\r\n")) {
        enter(session, SMTP_PHASE_MAIL);
    } else if (phase == SMTP_PHASE_MAIL && begins_with(data, size, "RCPT TO:")) {
        enter(session, SMTP_PHASE_RCPT);
    } else if (phase == SMTP_PHASE_RCPT && begins_with(data, size, "DATA\r\n")) {
        enter(session, SMTP_PHASE_DATA);
    } else if (phase == SMTP_PHASE_LOGIN) {
        enter(session, SMTP_PHASE_LOGIN); /* STARTTLS, AUTH and what belongs to it: a new answer is owed */
    }
    return 0;
}

/* ---- what is heard ---------------------------------------------------------------------- */

/* "5.1.1 no such user": takes the code off, if it is one and fits `class`. */
static struct slice take_enhanced(struct slice text, int class, int enhanced[3])
{
    int read[3], size = 0;
    char start[16];
    snprintf(start, sizeof start, "%.*s", (int)(text.size < 15 ? text.size : 15), text.data);
    if (sscanf(start, "%1d.%3d.%3d%n", &read[0], &read[1], &read[2], &size) != 3 || read[1] < 0 || read[2] < 0
        || (start[size] != '\0' && start[size] != ' '))
        return text;
    if (read[0] == class)
        memcpy(enhanced, read, sizeof read);
    size_t skip = (size_t)size + (start[size] == ' ');
    return (struct slice){text.data + skip, text.size - skip};
}

static void add_text(struct smtp_outcome *outcome, struct slice text)
{
    bool is_utf8 = utf8_is_valid(text);
    size_t used = strlen(outcome->text);
    size_t room = sizeof outcome->text - 1 - used;
    if (used && room) {
        outcome->text[used++] = ' ';
        room--;
    }
    struct slice part = utf8_cut(text, room);
    for (size_t i = 0; i < part.size; i++) {
        unsigned char c = (unsigned char)part.data[i];
        outcome->text[used++] = c < ' ' || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : (char)c;
    }
    outcome->text[used] = '\0';
}

/* The last line of an answer was read. */
static void on_answer(struct smtp_session *session, int code)
{
    struct smtp_outcome *outcome = session->outcome;
    outcome->code = code;
    snprintf(outcome->last_reply, sizeof outcome->last_reply, "%d %s", code, outcome->text);
    if (outcome->phase == SMTP_PHASE_LOGIN && code == 235)
        session->is_authenticated = true;
    if (outcome->phase == SMTP_PHASE_LOGIN && code == 220)
        session->is_encrypted = true; /* the answer to STARTTLS; the greeting came before LOGIN */
    if (outcome->phase == SMTP_PHASE_DATA && code == 354) {
        enter(session, SMTP_PHASE_BODY);
        session->moved_ns = clock_mono_ns();
    }
}

static size_t on_line(char *data, size_t size, size_t count, void *context)
{
    struct smtp_session *session = context;
    struct slice line = {data, size * count};
    while (line.size && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.size--;
    int code = 0;
    for (size_t i = 0; i < 3 && i < line.size && line.data[i] >= '0' && line.data[i] <= '9'; i++)
        code = code * 10 + (line.data[i] - '0');
    if (!session->outcome || session->is_over || code < 100)
        return size * count;
    if (!session->is_in_reply)
        enter(session, session->outcome->phase);
    session->is_in_reply = line.size > 3 && line.data[3] == '-';
    struct slice text = line.size > 4 ? (struct slice){line.data + 4, line.size - 4} : SLICE_NONE;
    add_text(session->outcome, take_enhanced(text, code / 100, session->outcome->enhanced));
    if (!session->is_in_reply)
        on_answer(session, code);
    return size * count;
}

/* ---- the message ------------------------------------------------------------------------ */

/* Refuses to give (more of) the message: no dot is written, and the server drops what it has. */
static size_t refuse(struct smtp_session *session, const char *why)
{
    session->why_ended = why;
    session->outcome->is_body_given = false;
    return CURL_READFUNC_ABORT;
}

static size_t on_read(char *to, size_t size, size_t count, void *context)
{
    struct smtp_session *session = context;
    if (session->relay->user && !session->is_authenticated)
        return refuse(session, "there was no login");
    if (peer_is_gone(session))
        return refuse(session, "the server closed the connection before the message was whole");
    if (session->relay->stop_ns)
        return refuse(session, "Headgate stops");
    session->moved_ns = clock_mono_ns();
    size_t left = session->message.size - session->given;
    size_t part = left < size * count ? left : size * count;
    if (part == 0) {
        enter(session, SMTP_PHASE_DOT);
        return 0;
    }
    memcpy(to, session->message.data + session->given, part);
    session->given += part;
    session->outcome->given_bytes = (int64_t)session->given;
    session->outcome->given_ms = clock_now_ms();
    session->outcome->is_body_given = session->given == session->message.size;
    return part;
}

/* Called about once a second, whatever libcurl does. */
static int on_progress(void *context, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)dt, (void)dn, (void)ut, (void)un;
    struct smtp_session *session = context;
    const struct smtp_outcome *outcome = session->outcome;
    int64_t now_ns = clock_mono_ns(), stop_ns = session->relay->stop_ns;
    if (!outcome)
        return 0;
    bool may_own_it = outcome->phase == SMTP_PHASE_DOT || outcome->is_body_given;
    if (stop_ns && (!may_own_it || now_ns > stop_ns))
        session->why_ended = "Headgate stops";
    else if (outcome->phase == SMTP_PHASE_BODY
             && now_ns - session->moved_ns > session->relay->answer_timeout_ms * 1000000)
        session->why_ended = "the server stopped taking the message";
    return session->why_ended != NULL;
}

/* ---- a session -------------------------------------------------------------------------- */

/* Set once, before the first transfer: a connection made under other options would be used again. */
static void set_options(struct smtp_session *session)
{
    CURL *curl = session->curl;
    const struct smtp_relay *relay = session->relay;
    curl_easy_setopt(curl, CURLOPT_URL, relay->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* none from the environment either */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(relay->is_loopback ? CURLUSESSL_TRY : CURLUSESSL_ALL));
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (relay->ca) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, relay->ca);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (relay->user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, relay->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, relay->password);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    long answer_s = (long)((relay->answer_timeout_ms + 999) / 1000);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, answer_s);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, 30L);
}

static void set_callbacks(struct smtp_session *session)
{
    CURL *curl = session->curl;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, session->failure);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L); /* for the debug callback; nothing is printed */
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_command);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, session);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_line);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, session);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, session);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, session);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, session);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, session);
}

struct smtp_session *smtp_send_open(struct smtp_relay *relay)
{
    struct smtp_session *session = mem_zero(sizeof *session);
    session->relay = relay;
    session->is_good = true;
    session->is_encrypted = strncmp(relay->url, "smtps:", 6) == 0;
    for (int i = 0; i < SOCKETS_MAX; i++)
        session->sockets[i] = -1;
    session->curl = curl_easy_init();
    if (!session->curl)
        abort(); /* no memory: as in mem_new */
    set_options(session);
    set_callbacks(session);
    return session;
}

void smtp_send_close(struct smtp_session *session)
{
    if (!session)
        return;
    stop_reading(session);
    curl_easy_cleanup(session->curl);
    free(session);
}

bool smtp_send_is_good(const struct smtp_session *session)
{
    return session->is_good && session->mails < MAILS_MAX && clock_mono_ns() - session->opened_ns < SESSION_MAX_NS;
}

bool smtp_send_is_encrypted(const struct smtp_session *session)
{
    return session->is_encrypted;
}

/* One transfer, with everything that was seen of it in `outcome`. */
static void perform(struct smtp_session *session, struct smtp_outcome *outcome)
{
    *outcome = (struct smtp_outcome){.phase = SMTP_PHASE_CONNECT, .whole_bytes = (int64_t)session->message.size};
    session->outcome = outcome;
    session->is_over = session->is_in_reply = false;
    session->why_ended = NULL;
    session->failure[0] = '\0';
    session->opened_ns = session->opened_ns ? session->opened_ns : clock_mono_ns();

    outcome->curl = curl_easy_perform(session->curl);
    long connects = 1;
    curl_easy_getinfo(session->curl, CURLINFO_NUM_CONNECTS, &connects);
    outcome->is_reused = session->mails > 0 && connects == 0;
    outcome->is_unauthenticated = session->relay->user && !session->is_authenticated;
    snprintf(outcome->failure, sizeof outcome->failure, "%s",
             session->why_ended ? session->why_ended : session->failure);
    session->outcome = NULL;
    session->is_good = outcome->curl == CURLE_OK;
    session->mails++;
}

void smtp_send(struct smtp_session *session, const struct smtp_envelope *envelope, struct smtp_outcome *outcome)
{
    struct curl_slist *recipients = curl_slist_append(NULL, envelope->to);
    session->message = envelope->message;
    session->given = 0;
    curl_easy_setopt(session->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(session->curl, CURLOPT_MAIL_FROM, envelope->from);
    curl_easy_setopt(session->curl, CURLOPT_MAIL_RCPT, recipients); /* not copied */
    curl_easy_setopt(session->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)envelope->message.size);
    perform(session, outcome);
    curl_easy_setopt(session->curl, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(recipients);
}

void smtp_send_look(struct smtp_session *session, struct smtp_outcome *outcome)
{
    curl_easy_setopt(session->curl, CURLOPT_CUSTOMREQUEST, "NOOP");
    curl_easy_setopt(session->curl, CURLOPT_NOBODY, 1L);
    perform(session, outcome);
}
