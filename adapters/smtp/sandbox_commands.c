/* sandbox_commands.c - what each SMTP command does, and when it may come
 *
 * The rules are RFC 5321's; SIZE is RFC 1870, BODY 6152, STARTTLS 3207, AUTH 4954.  An order or a
 * parameter that a client could know to be wrong is refused *and* flagged; what depends on the
 * far side's mood (a full house, a wrong password) is only refused. */
#include "adapters/smtp/sandbox_commands.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define LOCAL_PART_MAX 64

static bool is_domain(struct slice name)
{
    if (name.size > 2 && name.data[0] == '[' && name.data[name.size - 1] == ']')
        return strspn(name.data + 1, "0123456789abcdefABCDEF.:IPv") >= name.size - 2;
    if (name.size == 0 || name.size > 255 || name.data[0] == '.' || name.data[name.size - 1] == '.')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) && c != '-' && !(c == '.' && name.data[i - 1] != '.'))
            return false;
    }
    return true;
}

static bool is_local_part(struct slice name)
{
    if (name.size == 0 || name.size > LOCAL_PART_MAX || name.data[0] == '.' || name.data[name.size - 1] == '.')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) && !strchr("!#$%&'*+-/=?^_`{|}~.", c))
            return false;
        if (c == '.' && name.data[i - 1] == '.')
            return false;
    }
    return true;
}

/* "<local@domain>" at the start of `text` (quoted local parts and source routes are not taken here). */
static bool take_path(struct slice *text, bool may_be_null, char *address)
{
    const char *end = text->size && text->data[0] == '<' ? memchr(text->data, '>', text->size) : NULL;
    if (!end)
        return false;
    struct slice path = {text->data + 1, (size_t)(end - text->data) - 1};
    *text = (struct slice){end + 1, text->size - path.size - 2};
    if (path.size + 2 > SANDBOX_ADDRESS_MAX)
        return false;
    const char *at = path.size ? memrchr(path.data, '@', path.size) : NULL;
    size_t local = at ? (size_t)(at - path.data) : 0;
    bool is_good = path.size == 0 ? may_be_null
                                  : at && is_local_part((struct slice){path.data, local})
                                        && is_domain((struct slice){at + 1, path.size - local - 1});
    snprintf(address, SANDBOX_ADDRESS_MAX + 1, "%.*s", SLICE_ARG(path));
    return is_good && (text->size == 0 || text->data[0] == ' ');
}

/* ---- hello ---------------------------------------------------------------------------------- */

static bool hello(struct sandbox_session *session, struct slice argument)
{
    char *name = mem_copy(argument);
    bool is_good = is_domain((struct slice){name, argument.size});
    free(name);
    if (!is_good) {
        sandbox_session_refuse(session, "501 5.5.4 a domain is needed", "EHLO or HELO without a proper name");
        return false;
    }
    sandbox_session_forget(session);
    session->stage = STAGE_READY;
    return true;
}

void sandbox_command_ehlo(struct sandbox_session *session, struct slice argument)
{
    if (!hello(session, argument))
        return;
    const struct sandbox_host *host = session->host;
    sandbox_session_reply(session, "250-sandbox.headgate.test hears %.*s", SLICE_ARG(argument));
    sandbox_session_reply(session, "250-SIZE %zu", host->size_limit);
    sandbox_session_reply(session, "250-8BITMIME");
    if (host->tls && !session->is_tls)
        sandbox_session_reply(session, "250-STARTTLS");
    if (host->user && (session->is_tls || !host->tls))
        sandbox_session_reply(session, "250-AUTH PLAIN LOGIN");
    sandbox_session_reply(session, "250 ENHANCEDSTATUSCODES");
}

void sandbox_command_helo(struct sandbox_session *session, struct slice argument)
{
    if (hello(session, argument))
        sandbox_session_reply(session, "250 sandbox.headgate.test");
}

/* ---- one transaction ------------------------------------------------------------------------- */

/* One parameter of MAIL, "SIZE=1234"; false: it is refused. */
static bool take_parameter(struct sandbox_envelope *envelope, const char *text)
{
    if (strncasecmp(text, "SIZE=", 5) == 0 && strlen(text + 5) > 0 && strlen(text + 5) <= 18
        && strspn(text + 5, "0123456789") == strlen(text + 5)) {
        envelope->said_size = strtoull(text + 5, NULL, 10);
        return true;
    }
    if (strcasecmp(text, "BODY=8BITMIME") == 0) {
        envelope->is_8bit = true;
        return true;
    }
    return strcasecmp(text, "BODY=7BIT") == 0 || strcasecmp(text, "AUTH=<>") == 0;
}

static bool take_parameters(struct sandbox_envelope *envelope, struct slice text)
{
    char *copy = mem_copy(text), *rest = NULL;
    bool ok = true;
    for (char *word = strtok_r(copy, " ", &rest); ok && word; word = strtok_r(NULL, " ", &rest))
        ok = take_parameter(envelope, word);
    free(copy);
    return ok;
}

void sandbox_command_mail(struct sandbox_session *session, struct slice argument)
{
    struct sandbox_envelope *envelope = &session->envelope;
    struct slice path = {argument.data + 5, argument.size > 5 ? argument.size - 5 : 0};
    if (session->stage != STAGE_READY) {
        sandbox_session_refuse(session, "503 5.5.1 not now", "MAIL out of turn");
    } else if (session->host->user && !session->is_authenticated) {
        sandbox_session_reply(session, "530 5.7.0 authentication required");
    } else if (argument.size < 5 || strncasecmp(argument.data, "FROM:", 5) != 0
               || !take_path(&path, true, envelope->from)) {
        sandbox_session_refuse(session, "501 5.1.7 bad sender address", "MAIL with a bad address or syntax");
    } else if (!take_parameters(envelope, path)) {
        sandbox_session_refuse(session, "555 5.5.4 parameter not offered", "MAIL with a parameter that is not offered");
    } else if (envelope->said_size > session->host->size_limit) {
        sandbox_session_reply(session, "552 5.3.4 larger than %zu octets", session->host->size_limit);
    } else {
        session->stage = STAGE_MAIL;
        sandbox_session_reply(session, "250 2.1.0 ok");
        return;
    }
    if (session->stage == STAGE_READY)
        sandbox_session_forget(session);
}

void sandbox_command_rcpt(struct sandbox_session *session, struct slice argument)
{
    struct sandbox_envelope *envelope = &session->envelope;
    struct slice path = {argument.data + 3, argument.size > 3 ? argument.size - 3 : 0};
    char address[SANDBOX_ADDRESS_MAX + 1];
    if (session->stage != STAGE_MAIL && session->stage != STAGE_RCPT) {
        sandbox_session_refuse(session, "503 5.5.1 MAIL comes first", "RCPT out of turn");
        return;
    }
    if (argument.size < 3 || strncasecmp(argument.data, "TO:", 3) != 0 || !take_path(&path, false, address)) {
        sandbox_session_refuse(session, "501 5.1.3 bad recipient address", "RCPT with a bad address or syntax");
    } else if (path.size > 0) {
        sandbox_session_refuse(session, "555 5.5.4 parameter not offered", "RCPT with a parameter that is not offered");
    } else if (envelope->to_count == SANDBOX_RECIPIENTS_MAX) {
        sandbox_session_reply(session, "452 4.5.3 too many recipients");
    } else {
        envelope->to[envelope->to_count++] = mem_text(address);
        session->stage = STAGE_RCPT;
        sandbox_session_reply(session, "250 2.1.5 ok");
        return;
    }
    session->rcpt_refused++;
}

void sandbox_command_data(struct sandbox_session *session, struct slice argument)
{
    if (argument.size > 0) {
        sandbox_session_refuse(session, "501 5.5.4 no argument", "DATA with an argument");
    } else if (session->stage != STAGE_RCPT && session->stage != STAGE_MAIL) {
        sandbox_session_refuse(session, "503 5.5.1 MAIL and RCPT come first", "DATA out of turn");
    } else if (session->envelope.to_count == 0) {
        sandbox_session_refuse(session, "554 5.5.1 no valid recipients",
                               session->rcpt_refused ? "DATA though every RCPT was refused" : "DATA without RCPT");
    } else {
        session->stage = STAGE_BODY_FIRST;
        sandbox_session_reply(session, "354 go on, end with a dot");
    }
}

/* ---- small ones ------------------------------------------------------------------------------ */

void sandbox_command_rset(struct sandbox_session *session, struct slice argument)
{
    if (argument.size > 0) {
        sandbox_session_refuse(session, "501 5.5.4 no argument", "RSET with an argument");
        return;
    }
    sandbox_session_forget(session);
    if (session->stage != STAGE_GREETED)
        session->stage = STAGE_READY;
    sandbox_session_reply(session, "250 2.0.0 forgotten");
}

void sandbox_command_noop(struct sandbox_session *session, struct slice argument)
{
    (void)argument;
    sandbox_session_reply(session, "250 2.0.0 ok");
}

void sandbox_command_quit(struct sandbox_session *session, struct slice argument)
{
    if (argument.size > 0) {
        sandbox_session_refuse(session, "501 5.5.4 no argument", "QUIT with an argument");
        return;
    }
    sandbox_session_reply(session, "221 2.0.0 bye");
    session->wish = WISH_END;
}

void sandbox_command_vrfy(struct sandbox_session *session, struct slice argument)
{
    (void)argument;
    sandbox_session_reply(session, "252 2.1.5 send it and see");
}

void sandbox_command_starttls(struct sandbox_session *session, struct slice argument)
{
    if (argument.size > 0) {
        sandbox_session_refuse(session, "501 5.5.4 no argument", "STARTTLS with an argument");
    } else if (!session->host->tls) {
        sandbox_session_refuse(session, "502 5.5.1 not offered", "STARTTLS though it is not offered");
    } else if (session->is_tls || session->stage != STAGE_READY) {
        sandbox_session_refuse(session, "503 5.5.1 not now", "STARTTLS out of turn");
    } else {
        sandbox_session_forget(session);
        session->stage = STAGE_GREETED; /* what was said in clear is forgotten, RFC 3207 4.2 */
        session->is_tls = true;
        session->is_authenticated = false;
        session->wish = WISH_TLS;
        sandbox_session_reply(session, "220 2.0.0 begin");
    }
}

/* ---- AUTH ------------------------------------------------------------------------------------ */

/* Base64 into `out`, zero-terminated; the decoded size, or -1. */
static int decode(struct slice text, char *out)
{
    if (text.size % 4 != 0 || text.size / 4 * 3 >= SANDBOX_LOGIN_MAX)
        return -1;
    int size = text.size ? EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text.data, (int)text.size) : 0;
    for (size_t i = text.size; size > 0 && i > 0 && text.data[i - 1] == '='; i--)
        size--;
    if (size >= 0)
        out[size] = '\0';
    return size;
}

static bool is_same(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

static void verdict(struct sandbox_session *session, const char *user, const char *password)
{
    struct sandbox_host *host = session->host;
    session->stage = STAGE_READY;
    session->is_authenticated = is_same(user, host->user) && is_same(password, host->password);
    if (session->is_authenticated) {
        host->logins++;
        sandbox_session_reply(session, "235 2.7.0 welcome");
    } else {
        host->bad_logins++;
        sandbox_session_reply(session, "535 5.7.8 user or password is wrong");
    }
}

void sandbox_command_login(struct sandbox_session *session, struct slice line)
{
    char text[SANDBOX_LOGIN_MAX] = {0};
    int size = decode(line, text);
    if (size < 0) {
        session->stage = STAGE_READY;
        if (slice_is(line, "*"))
            sandbox_session_reply(session, "501 5.7.0 given up");
        else
            sandbox_session_refuse(session, "501 5.5.2 not base64", "an answer to AUTH that is not base64");
    } else if (session->stage == STAGE_LOGIN_PLAIN) {
        /* authorization identity, NUL, user, NUL, password; RFC 4616 */
        const char *user = memchr(text, '\0', (size_t)size);
        const char *password = user ? memchr(user + 1, '\0', (size_t)(text + size - user - 1)) : NULL;
        verdict(session, password ? user + 1 : "", password ? password + 1 : "");
    } else if (session->stage == STAGE_LOGIN_USER) {
        memcpy(session->login_user, text, sizeof text);
        session->stage = STAGE_LOGIN_PASSWORD;
        sandbox_session_reply(session, "334 UGFzc3dvcmQ6");
    } else {
        verdict(session, session->login_user, text);
    }
    OPENSSL_cleanse(text, sizeof text);
}

static bool may_login(struct sandbox_session *session)
{
    const struct sandbox_host *host = session->host;
    if (!host->user)
        sandbox_session_refuse(session, "502 5.5.1 not offered", "AUTH though it is not offered");
    else if (host->tls && !session->is_tls)
        sandbox_session_refuse(session, "538 5.7.11 STARTTLS comes first", "AUTH in clear though TLS is offered");
    else if (session->stage != STAGE_READY || session->is_authenticated)
        sandbox_session_refuse(session, "503 5.5.1 not now", "AUTH out of turn");
    else
        return true;
    return false;
}

void sandbox_command_auth(struct sandbox_session *session, struct slice argument)
{
    const char *space = argument.size ? memchr(argument.data, ' ', argument.size) : NULL;
    size_t name = space ? (size_t)(space - argument.data) : argument.size;
    struct slice initial = space ? (struct slice){space + 1, argument.size - name - 1} : SLICE_NONE;
    if (slice_is(initial, "="))
        initial = (struct slice){"", 0};
    if (!may_login(session))
        return;
    if (name == 5 && strncasecmp(argument.data, "PLAIN", 5) == 0) {
        session->stage = STAGE_LOGIN_PLAIN;
        if (!space)
            sandbox_session_reply(session, "334 ");
    } else if (name == 5 && strncasecmp(argument.data, "LOGIN", 5) == 0) {
        session->stage = STAGE_LOGIN_USER;
        if (!space)
            sandbox_session_reply(session, "334 VXNlcm5hbWU6");
    } else {
        sandbox_session_refuse(session, "504 5.5.4 mechanism not offered", "an AUTH mechanism that is not offered");
        return;
    }
    if (space)
        sandbox_command_login(session, initial);
}
