/* sandbox_session.c - one SMTP dialogue, as strict as RFC 5321 lets a server be
 *
 *     GREETING ──EHLO──► READY ──MAIL──► MAIL ──RCPT──► RCPT ──DATA──► BODY ──dot──► READY
 *                        │   ▲ ◄──────── RSET, a new EHLO ──┘
 *                        ├ STARTTLS ──► GREETING, under TLS
 *                        └ AUTH ──► LOGIN_* ──► READY, authenticated
 *
 * What a well-made client never does is answered with an error and *flagged*: a command out of
 * turn, one that came before the reply to the one before it (PIPELINING is not offered: such a
 * command was injected), a bare CR or LF, a line that is too long, an unstuffed dot.  Tests ask the
 * inspection for flags and want none.
 *
 * This file only turns bytes into replies and wishes; sandbox_link.c has the socket.  A mail counts
 * as kept the instant before `250` is put into `out`: a cut after that leaves it kept. */
#include "adapters/smtp/sandbox.h"

#include "adapters/smtp/sandbox_commands.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define COMMAND_MAX 512     /* octets with CRLF, RFC 5321 4.5.3.1.4 */
#define AUTH_LINE_MAX 12288 /* the same for a line of AUTH, RFC 4954 4 */
#define LINE_MAX_OCTETS 998 /* of a mail, without CRLF, RFC 5321 4.5.3.1.6 */
#define INPUT_MAX (1 << 20) /* what may wait here without an end of line */
#define REFUSED_MAX 20      /* refused commands before the session is ended */

#define IMPATIENT "something was sent before the reply to what came before it"
#define IMPATIENT_REPLY "503 5.5.0 PIPELINING is not offered"

enum line_flag { FLAG_LONG = 1, FLAG_BARE = 2, FLAG_8BIT = 4, FLAG_NUL = 8, FLAG_DOT = 16, FLAG_SMUGGLED = 32 };

void sandbox_session_init(struct sandbox_session *session, struct sandbox_host *host, uint64_t id)
{
    *session = (struct sandbox_session){.host = host, .id = id, .is_tls = host->is_implicit_tls};
    session->in = (struct buf)BUF_INIT(INPUT_MAX + 65536);
    session->body = (struct buf)BUF_INIT(host->size_limit + 1);
    session->out = (struct buf)BUF_INIT(65536);
}

void sandbox_session_forget(struct sandbox_session *session)
{
    for (size_t i = 0; i < session->envelope.to_count; i++)
        free(session->envelope.to[i]);
    session->envelope = (struct sandbox_envelope){.session = session->id};
    session->rcpt_refused = 0;
    session->flagged = 0;
    session->is_too_big = session->has_bare = false;
    buf_clear(&session->body); /* not reset: one large mail must not hold its memory for the whole session */
}

void sandbox_session_clear(struct sandbox_session *session)
{
    sandbox_session_forget(session);
    buf_clear(&session->in);
    buf_clear(&session->out);
    OPENSSL_cleanse(session->login_user, sizeof session->login_user);
}

void sandbox_session_reply(struct sandbox_session *session, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t from = session->out.size;
    buf_addv(&session->out, format, args);
    va_end(args);
    buf_add_text(&session->out, "\r\n");
    if (session->out.data[from] == '5' && ++session->refused > REFUSED_MAX) {
        buf_add_text(&session->out, "421 4.7.0 too many errors\r\n");
        session->wish = WISH_END;
    }
}

/* Does what a phase does, or what a fault wants instead. */
static void phase_run(struct sandbox_session *session, enum sandbox_phase phase, char *const *to, size_t to_count,
                      void (*command)(struct sandbox_session *, struct slice), struct slice argument)
{
    struct sandbox_fault fault;
    if (!sandbox_phase_take(&session->host->phases, phase, to, to_count, &fault)) {
        command(session, argument);
        return;
    }
    session->wait_ms = fault.delay_ms;
    if (fault.cut == CUT_BEFORE) {
        session->wish = WISH_CUT;
        return;
    }
    bool is_refusal = fault.reply[0] >= '4';
    size_t mark = session->out.size;
    if (!is_refusal)
        command(session, argument);
    /* Another "yes" replaces only a "yes": a fault does not make a bad command good. */
    if (is_refusal || (fault.reply[0] && session->out.size > mark && session->out.data[mark] < '4')) {
        session->out.size = mark;
        buf_addf(&session->out, "%s\r\n", fault.reply);
        if (strncmp(fault.reply, "421", 3) == 0 || (is_refusal && phase == PHASE_GREETING))
            session->wish = WISH_END;
        if (is_refusal && phase == PHASE_RCPT)
            session->rcpt_refused++;
    }
    if (fault.cut == CUT_AFTER || fault.hang) {
        session->out.size = mark;
        session->wish = fault.hang ? WISH_HANG : WISH_CUT;
    }
}

static void greet(struct sandbox_session *session, struct slice argument)
{
    (void)argument;
    sandbox_session_reply(session, "220 sandbox.headgate.test ESMTP, nothing leaves this machine");
}

void sandbox_session_greet(struct sandbox_session *session)
{
    phase_run(session, PHASE_GREETING, NULL, 0, greet, SLICE_NONE);
}

/* ---- the mail itself ----------------------------------------------------------------------- */

static void flag_once(struct sandbox_session *session, enum line_flag kind, const char *text)
{
    if (session->flagged & kind)
        return;
    session->flagged |= kind;
    sandbox_mail_flag(session->host->mails, session->id, "%s", text);
}

static bool has_8bit(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if ((unsigned char)line.data[i] >= 0x80)
            return true;
    return false;
}

/* `line` stands between two CRLFs, so whatever CR or LF is in it is bare. */
static void check_line(struct sandbox_session *session, struct slice line)
{
    if (line.size > LINE_MAX_OCTETS)
        flag_once(session, FLAG_LONG, "a line of the mail is longer than 998 octets");
    if (memchr(line.data, '\0', line.size))
        flag_once(session, FLAG_NUL, "a NUL in the mail");
    if (!session->envelope.is_8bit && has_8bit(line))
        flag_once(session, FLAG_8BIT, "8-bit octets in the mail without BODY=8BITMIME");
    if (memchr(line.data, '\n', line.size) || memchr(line.data, '\r', line.size)) {
        session->has_bare = true;
        flag_once(session, FLAG_BARE, "a bare CR or LF in the mail");
    }
    if (memmem(line.data, line.size, "\n.", 2))
        flag_once(session, FLAG_SMUGGLED, "a dot after a bare LF: another server may take it for the mail's end");
    if (line.size > 1 && line.data[0] == '.' && line.data[1] != '.')
        flag_once(session, FLAG_DOT, "a line begins with a dot that is not doubled");
}

static void take_line(struct sandbox_session *session, struct slice line)
{
    check_line(session, line);
    if (line.size && line.data[0] == '.')
        line = (struct slice){line.data + 1, line.size - 1};
    if (session->is_too_big)
        return;
    buf_add_slice(&session->body, line);
    buf_add(&session->body, "\r\n", 2);
    if (session->body.is_over || session->body.size > session->host->size_limit) {
        session->is_too_big = true;
        buf_clear(&session->body);
    }
}

static void take_mail(struct sandbox_session *session, struct slice argument)
{
    (void)argument;
    struct sandbox_mails *mails = session->host->mails;
    const struct sandbox_envelope *envelope = &session->envelope;
    if (session->is_too_big) {
        sandbox_session_reply(session, "552 5.3.4 larger than %zu octets", session->host->size_limit);
    } else if (session->has_bare) {
        sandbox_session_reply(session, "554 5.6.0 bare CR or LF in the mail");
    } else {
        if (envelope->said_size > session->body.size)
            sandbox_mail_flag(mails, session->id, "the mail ends after %zu octets though SIZE=%zu was said",
                              session->body.size, envelope->said_size);
        sandbox_mail_keep(mails, envelope, buf_slice(&session->body));
        sandbox_session_reply(session, "250 2.0.0 kept");
    }
}

static void on_dot(struct sandbox_session *session)
{
    phase_run(session, PHASE_DOT, session->envelope.to, session->envelope.to_count, take_mail, SLICE_NONE);
    sandbox_session_forget(session);
    session->stage = STAGE_READY;
}

/* A fault while the mail comes in: false if nothing more is to be read now. */
static bool body_begins(struct sandbox_session *session)
{
    struct sandbox_fault fault;
    session->stage = STAGE_BODY;
    if (!sandbox_phase_take(&session->host->phases, PHASE_BODY, session->envelope.to, session->envelope.to_count,
                            &fault))
        return true;
    session->wait_ms = fault.delay_ms;
    if (fault.cut) {
        session->wish = WISH_CUT;
    } else if (fault.hang) {
        session->wish = WISH_STALL;
    } else if (fault.reply[0]) {
        buf_addf(&session->out, "%s\r\n", fault.reply);
        session->wish = WISH_END;
    }
    return false;
}

static bool take_body(struct sandbox_session *session)
{
    if (session->stage == STAGE_BODY_FIRST && session->in.size > 0 && !body_begins(session))
        return session->wish == WISH_GO_ON && session->wait_ms == 0;
    size_t at = 0;
    bool is_end = false;
    while (!is_end) {
        const char *line = session->in.data + at;
        const char *end = at < session->in.size ? memmem(line, session->in.size - at, "\r\n", 2) : NULL;
        if (!end)
            break;
        at = (size_t)(end - session->in.data) + 2;
        is_end = end - line == 1 && line[0] == '.';
        if (!is_end)
            take_line(session, (struct slice){line, (size_t)(end - line)});
    }
    if (at) {
        memmove(session->in.data, session->in.data + at, session->in.size - at);
        session->in.size -= at;
    }
    if (is_end)
        on_dot(session);
    return is_end;
}

/* ---- commands ------------------------------------------------------------------------------- */

static const struct command {
    const char *verb;
    enum sandbox_phase phase; /* PHASE_COUNT: no faults */
    void (*run)(struct sandbox_session *session, struct slice argument);
} commands[] = {
    {"EHLO", PHASE_EHLO, sandbox_command_ehlo},  {"HELO", PHASE_EHLO, sandbox_command_helo},
    {"MAIL", PHASE_MAIL, sandbox_command_mail},  {"RCPT", PHASE_RCPT, sandbox_command_rcpt},
    {"DATA", PHASE_DATA, sandbox_command_data},  {"AUTH", PHASE_AUTH, sandbox_command_auth},
    {"RSET", PHASE_COUNT, sandbox_command_rset}, {"NOOP", PHASE_COUNT, sandbox_command_noop},
    {"QUIT", PHASE_COUNT, sandbox_command_quit}, {"STARTTLS", PHASE_COUNT, sandbox_command_starttls},
    {"VRFY", PHASE_COUNT, sandbox_command_vrfy},
};

void sandbox_session_refuse(struct sandbox_session *session, const char *reply, const char *violation)
{
    sandbox_mail_flag(session->host->mails, session->id, "%s", violation);
    sandbox_session_reply(session, "%s", reply);
}

/* The address in "TO:<address>...", for a fault that waits for it. */
static void lend_address(struct slice argument, char *address, size_t room)
{
    const char *from = memchr(argument.data, '<', argument.size);
    const char *to = from ? memchr(from, '>', argument.size - (size_t)(from - argument.data)) : NULL;
    snprintf(address, room, "%.*s", to ? (int)(to - from - 1) : 0, to ? from + 1 : "");
}

static void run_command(struct sandbox_session *session, const struct command *command, struct slice argument)
{
    char address[SANDBOX_ADDRESS_MAX + 1], *one[] = {address};
    if (command->phase == PHASE_COUNT) {
        command->run(session, argument);
    } else if (command->phase == PHASE_RCPT) {
        lend_address(argument, address, sizeof address);
        phase_run(session, PHASE_RCPT, one, 1, command->run, argument);
    } else {
        phase_run(session, command->phase, session->envelope.to, session->envelope.to_count, command->run, argument);
    }
}

static void take_command(struct sandbox_session *session, struct slice line)
{
    if (memchr(line.data, '\n', line.size) || memchr(line.data, '\r', line.size)
        || memchr(line.data, '\0', line.size)) {
        sandbox_session_refuse(session, "500 5.5.2 bare CR, LF or NUL", "a bare CR, LF or NUL in a command");
        return;
    }
    if (session->stage >= STAGE_LOGIN_PLAIN) {
        sandbox_command_login(session, line);
        return;
    }
    size_t verb = 0;
    while (verb < line.size && isalpha((unsigned char)line.data[verb]))
        verb++;
    bool has_argument = verb < line.size && line.data[verb] == ' ';
    if (line.size + 2 > (strncasecmp(line.data, "AUTH ", 5) == 0 ? AUTH_LINE_MAX : COMMAND_MAX)) {
        sandbox_session_refuse(session, "500 5.5.2 line too long", "a command line is too long");
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strlen(commands[i].verb) == verb && strncasecmp(line.data, commands[i].verb, verb) == 0
            && (has_argument || verb == line.size)) {
            size_t skip = has_argument ? verb + 1 : verb;
            run_command(session, &commands[i], (struct slice){line.data + skip, line.size - skip});
            return;
        }
    }
    /* Its words are not repeated: after a failed login they may be a secret. */
    sandbox_session_refuse(session, "500 5.5.1 no such command", "an unknown command");
}

static bool take_dialogue(struct sandbox_session *session)
{
    const char *end = session->in.size ? memmem(session->in.data, session->in.size, "\r\n", 2) : NULL;
    if (!end)
        return false;
    char *line = mem_copy((struct slice){session->in.data, (size_t)(end - session->in.data)});
    size_t size = (size_t)(end - session->in.data);
    memmove(session->in.data, session->in.data + size + 2, session->in.size - size - 2);
    session->in.size -= size + 2;
    take_command(session, (struct slice){line, size});
    OPENSSL_cleanse(line, size);
    free(line);
    return true;
}

/* ---- bytes in --------------------------------------------------------------------------------- */

static void end_badly(struct sandbox_session *session, const char *reply, const char *violation)
{
    sandbox_session_refuse(session, reply, violation);
    session->wish = WISH_END;
}

/* While a reply waits to be sent, the client must wait too. */
void sandbox_session_feed(struct sandbox_session *session, struct slice bytes)
{
    if (session->wish != WISH_GO_ON)
        return;
    if (session->wait_ms > 0 && session->stage != STAGE_BODY)
        end_badly(session, IMPATIENT_REPLY, IMPATIENT);
    else if (!buf_add_slice(&session->in, bytes))
        end_badly(session, "500 5.5.2 line too long", "a line without an end");
}

/* One step at a time, each followed by the sending of its reply.  What is already here when a reply
 * has not even been sent was not written by a client that waits for it. */
void sandbox_session_go_on(struct sandbox_session *session)
{
    bool is_body = session->stage == STAGE_BODY || session->stage == STAGE_BODY_FIRST;
    bool is_step = session->wish == WISH_GO_ON && (is_body ? take_body(session) : take_dialogue(session));
    if (session->in.size > INPUT_MAX && session->wish == WISH_GO_ON) {
        end_badly(session, "500 5.5.2 line too long", "a line without an end");
    } else if (is_step && session->in.size > 0 && session->wish == WISH_GO_ON) {
        end_badly(session, IMPATIENT_REPLY, IMPATIENT);
    } else if (is_step && session->in.size > 0 && session->wish == WISH_TLS) {
        sandbox_mail_flag(session->host->mails, session->id, "something was sent in clear behind STARTTLS");
        session->in.size = 0;
    }
}
