/* sandbox_commands.h - between the dialogue (sandbox_session.c) and its commands (sandbox_commands.c) */
#ifndef HEADGATE_SMTP_SANDBOX_COMMANDS_H
#define HEADGATE_SMTP_SANDBOX_COMMANDS_H

#include "adapters/smtp/sandbox.h"

/* Where a dialogue stands; those of a login come last. */
enum stage {
    STAGE_GREETED,     /* no EHLO yet, or none since TLS began */
    STAGE_READY,       /* MAIL may come */
    STAGE_MAIL,        /* RCPT may come */
    STAGE_RCPT,        /* RCPT or DATA may come */
    STAGE_BODY_FIRST,  /* 354 was said, nothing has come yet */
    STAGE_BODY,        /* the mail is coming in */
    STAGE_LOGIN_PLAIN, /* the one answer of AUTH PLAIN is due */
    STAGE_LOGIN_USER,  /* AUTH LOGIN: the user */
    STAGE_LOGIN_PASSWORD,
};

/* A reply line; too many of 5yz end the session. */
void sandbox_session_reply(struct sandbox_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Answers what no good client does, and keeps it as a violation. */
void sandbox_session_refuse(struct sandbox_session *session, const char *reply, const char *violation);
/* Ends the transaction, if there is one. */
void sandbox_session_forget(struct sandbox_session *session);

void sandbox_command_ehlo(struct sandbox_session *session, struct slice argument);
void sandbox_command_helo(struct sandbox_session *session, struct slice argument);
void sandbox_command_mail(struct sandbox_session *session, struct slice argument);
void sandbox_command_rcpt(struct sandbox_session *session, struct slice argument);
void sandbox_command_data(struct sandbox_session *session, struct slice argument);
void sandbox_command_rset(struct sandbox_session *session, struct slice argument);
void sandbox_command_noop(struct sandbox_session *session, struct slice argument);
void sandbox_command_quit(struct sandbox_session *session, struct slice argument);
void sandbox_command_vrfy(struct sandbox_session *session, struct slice argument);
void sandbox_command_starttls(struct sandbox_session *session, struct slice argument);
void sandbox_command_auth(struct sandbox_session *session, struct slice argument);
/* A line that belongs to AUTH. */
void sandbox_command_login(struct sandbox_session *session, struct slice line);

#endif
