/* log.c - see log.h */
#include "core/base/log.h"

#include "core/base/buf.h"
#include "core/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384

static enum { STYLE_TERMINAL, STYLE_JOURNAL, STYLE_JSON } style = STYLE_TERMINAL;
static enum log_level least_level = LOG_LEVEL_INFO;

static const struct level {
    const char *word;
    const char *journal; /* sd-daemon(3) prefix */
    const char *colour;
} levels[] = {
    {"debug", "<7>", "\033[2m"}, {"info", "<6>", ""}, {"warning", "<4>", "\033[33m"}, {"error", "<3>", "\033[31m"}};

void log_open(enum log_level least)
{
    least_level = least;
    if (isatty(STDERR_FILENO))
        style = STYLE_TERMINAL;
    else
        style = getenv("JOURNAL_STREAM") ? STYLE_JOURNAL : STYLE_JSON;
}

/* A text may carry a traceback: its line ends stay visible as "\n" within one line. */
static void add_one_line(struct buf *line, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\n')
            buf_add_text(line, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_addf(line, "\\x%02x", c);
        else
            buf_add_char(line, (char)c);
    }
}

static void add_terminal(struct buf *line, const struct level *level, struct slice text)
{
    int64_t now_ms = clock_now_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm local;
    localtime_r(&seconds, &local);
    bool colour = !getenv("NO_COLOR") && isatty(STDERR_FILENO) && level->colour[0];
    buf_addf(line, "%02d:%02d:%02d.%03d %s%-7s ", local.tm_hour, local.tm_min, local.tm_sec, (int)(now_ms % 1000),
             colour ? level->colour : "", level->word);
    add_one_line(line, text);
    if (colour)
        buf_add_text(line, "\033[0m");
}

static void write_line(enum log_level number, const char *format, va_list args)
{
    if (number < least_level)
        return;
    const struct level *level = &levels[number];
    struct buf text = BUF_INIT(LINE_MAX_BYTES);
    struct buf line = BUF_INIT(4 * LINE_MAX_BYTES);
    if (!buf_addv(&text, format, args))
        buf_add_text(&text, "(a log text that is too long)");

    if (style == STYLE_TERMINAL) {
        add_terminal(&line, level, buf_slice(&text));
    } else if (style == STYLE_JOURNAL) {
        buf_add_text(&line, level->journal);
        add_one_line(&line, buf_slice(&text));
    } else {
        char now[CLOCK_TEXT_MAX];
        buf_addf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"text\":", clock_text(clock_now_ms(), now), level->word);
        buf_add_json(&line, buf_slice(&text));
        buf_add_char(&line, '}');
    }
    buf_add_char(&line, '\n');
    /* One write a line: lines of several threads do not mix.  A log that cannot be written is no reason to stop. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.size);
    (void)ignored;
    buf_clear(&text);
    buf_clear(&line);
}

#define LOG_FUNCTION(name, number)                                                                                     \
    void log_##name(const char *format, ...)                                                                           \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        write_line(number, format, args);                                                                              \
        va_end(args);                                                                                                  \
    }

LOG_FUNCTION(debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(info, LOG_LEVEL_INFO)
LOG_FUNCTION(warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(error, LOG_LEVEL_ERROR)
