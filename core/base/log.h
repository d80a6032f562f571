/* log.h - what is going on, for the person who is woken at three
 *
 * One line a message.  On a terminal: time, level, text.  Under systemd (JOURNAL_STREAM): the
 * journal's level prefix and the text.  Else: one JSON object a line.  Control characters in a
 * text are escaped, so no input can forge a second line.  May be called from any thread.
 * Secrets never get here: whoever reads one keeps it out of every text. */
#ifndef HEADGATE_BASE_LOG_H
#define HEADGATE_BASE_LOG_H

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

void log_open(enum log_level least); /* looks at stderr and the environment once */

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
