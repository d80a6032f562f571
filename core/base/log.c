/* log.c - see log.h */
#include "core/base/log.h"

#include "core/base/buf.h"
#include "core/base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384
#define HIDDEN_LEAST 8 /* bytes of a secret that is hidden */

static enum log_style style = LOG_STYLE_TEXT;
static enum log_level least_level = LOG_LEVEL_INFO;
static _Atomic int64_t counts[LOG_LEVELS];

static const struct level {
    const char *word;
    const char *journal; /* sd-daemon(3) prefix */
    const char *colour;
} levels[LOG_LEVELS] = {
    {"debug", "<7>", "\033[2m"}, {"info", "<6>", ""}, {"warning", "<4>", "\033[33m"}, {"error", "<3>", "\033[31m"}};

/* ---- how a line looks ------------------------------------------------------------------------------------------ */

/* A service whose stderr was redirected elsewhere still has the variable: only the very stream that it names counts. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat here;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &here) == 0
           && here.st_dev == device && here.st_ino == inode;
}

void log_open(enum log_level least, enum log_style wanted)
{
    least_level = least;
    style = wanted != LOG_STYLE_GUESS ? wanted
            : isatty(STDERR_FILENO)   ? LOG_STYLE_TEXT
            : is_journal()            ? LOG_STYLE_JOURNAL
                                      : LOG_STYLE_JSON;
}

/* ---- what must not be seen --------------------------------------------------------------------------------------- */

/* Nodes are put in front and never taken out, so any thread may walk along while another adds. */
struct hidden {
    struct hidden *next;
    size_t size;  /* bytes of `text` */
    char text[1]; /* and more behind it */
};
static struct hidden *_Atomic hidden_first;

void log_hide(struct slice secret)
{
    if (secret.size < HIDDEN_LEAST)
        return;
    for (struct hidden *each = atomic_load(&hidden_first); each; each = each->next)
        if (each->size == secret.size && memcmp(each->text, secret.data, secret.size) == 0)
            return;
    struct hidden *hidden = mem_new(sizeof *hidden + secret.size);
    hidden->size = secret.size;
    memcpy(hidden->text, secret.data, secret.size);
    hidden->next = atomic_load(&hidden_first);
    while (!atomic_compare_exchange_weak(&hidden_first, &hidden->next, hidden))
        ;
}

static void hide_secrets(struct buf *text)
{
    for (struct hidden *each = atomic_load(&hidden_first); each; each = each->next) {
        char *found, *from = text->data;
        while (from && (found = memmem(from, text->size - (size_t)(from - text->data), each->text, each->size))) {
            struct buf whole = BUF_INIT(4 * LINE_MAX_BYTES);
            size_t before = (size_t)(found - text->data);
            buf_add(&whole, text->data, before);
            buf_add_text(&whole, "(secret)");
            size_t end = whole.size;
            buf_add(&whole, found + each->size, text->size - before - each->size);
            buf_clear(text);
            *text = whole;
            from = text->data + end;
        }
    }
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

/* A text may carry a traceback: its line ends stay visible as "\n" within one line.  U+0080 to U+009F are control
 * characters, too: some terminals take U+009B for the beginning of an escape sequence. */
static void add_one_line(struct buf *line, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i], next = i + 1 < text.size ? (unsigned char)text.data[i + 1] : 0;
        if (c == '\n')
            buf_add_text(line, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_addf(line, "\\x%02x", c);
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            buf_addf(line, "\\u%04x", (unsigned char)text.data[++i]);
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

static void add_field(struct buf *line, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    buf_addf(line, ",\"%s\":", name);
    buf_add_json(line, slice_of(value));
}

static void add_json(struct buf *line, const struct level *level, const struct log_about *about, struct slice text)
{
    char now[CLOCK_TEXT_MAX];
    buf_addf(line, "{\"time\":\"%s\",\"level\":\"%s\"", clock_text(clock_now_ms(), now), level->word);
    add_field(line, "flow", about->flow);
    add_field(line, "connection", about->connection);
    add_field(line, "event", about->event);
    add_field(line, "effect", about->effect);
    buf_add_text(line, ",\"text\":");
    buf_add_json(line, text);
    buf_add_char(line, '}');
}

static void write_line(enum log_level number, const struct log_about *about, const char *format, va_list args)
{
    atomic_fetch_add_explicit(&counts[number], 1, memory_order_relaxed);
    if (number < least_level)
        return;
    const struct level *level = &levels[number];
    struct buf text = BUF_INIT(LINE_MAX_BYTES);
    struct buf line = BUF_INIT(8 * LINE_MAX_BYTES);
    if (!buf_addv(&text, format, args))
        buf_add_text(&text, "(a log text that is too long)");
    hide_secrets(&text);

    if (style == LOG_STYLE_JSON) {
        add_json(&line, level, about, buf_slice(&text));
    } else if (style == LOG_STYLE_JOURNAL) {
        buf_add_text(&line, level->journal);
        add_one_line(&line, buf_slice(&text));
    } else {
        add_terminal(&line, level, buf_slice(&text));
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
        write_line(number, &(struct log_about){.flow = NULL}, format, args);                                           \
        va_end(args);                                                                                                  \
    }

LOG_FUNCTION(debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(info, LOG_LEVEL_INFO)
LOG_FUNCTION(warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(error, LOG_LEVEL_ERROR)

void log_about(enum log_level level, struct log_about about, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(level, &about, format, args);
    va_end(args);
}

int64_t log_count(enum log_level level)
{
    return atomic_load_explicit(&counts[level], memory_order_relaxed);
}
