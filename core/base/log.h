/* log.h - what is going on, for the person who is woken at three
 *
 * One line a message.  On a terminal: time, level, text.  Under systemd, where stderr is the journal's own stream: the
 * journal's level prefix and the text.  Else: one JSON object a line, which also has what the message is about:
 *
 *     {"time":"2026-11-22T09:41:07.512Z","level":"warning","flow":"mail-contacts","event":"A-1","text":"..."}
 *
 * Control characters in a text are escaped, so no input can forge a second line.  May be called from any thread.
 *
 * Whoever reads a secret keeps it out of every text; should one slip in all the same, log_hide is the net below. */
#ifndef HEADGATE_BASE_LOG_H
#define HEADGATE_BASE_LOG_H

#include "core/base/slice.h"

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVELS };

enum log_style { LOG_STYLE_GUESS, LOG_STYLE_TEXT, LOG_STYLE_JOURNAL, LOG_STYLE_JSON };

/* GUESS looks at stderr and the environment, once. */
void log_open(enum log_level least, enum log_style style);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a message is about, where it is known; for machines that read the log.  The text says it, too. */
struct log_about {
    const char *flow;       /* NULL: not of one; so with the others */
    const char *connection; /* a lane's is that of its connection */
    const char *event;      /* its id */
    const char *effect;     /* its id */
};
void log_about(enum log_level level, struct log_about about, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on this text appears as "(secret)" in every line, for as long as the process lives: a password that was
 * replaced is no text for a log either.  What is shorter than 8 bytes is left alone: it would hide ordinary words. */
void log_hide(struct slice secret);

/* Lines of this level that were written, or would have been. */
int64_t log_count(enum log_level level);

#endif
