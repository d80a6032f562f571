/* test_log.c - what a line of the log looks like; what the service manager is told */
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/notify.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "test.h"

/* ---- the log ---------------------------------------------------------------------------------------- */

static char caught[200000];
static int real_stderr = -1;

/* From here on stderr is a file. */
static void catch_begin(void)
{
    char path[200];
    snprintf(path, sizeof path, "%s/log", test_folder());
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w+", stderr));
}

static const char *catch_end(void)
{
    fflush(stderr);
    ssize_t size = pread(STDERR_FILENO, caught, sizeof caught - 1, 0);
    caught[size > 0 ? size : 0] = '\0';
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    return caught;
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

TEST(no_text_can_forge_a_second_line_in_any_style)
{
    static const char nasty[] = "one\n{\"level\":\"error\"}\r\n<2>two\x1b[31m\x7f\xc2\x9b"
                                "31m\xff\x9b";
    for (enum log_style style = LOG_STYLE_TEXT; style <= LOG_STYLE_JSON; style++) {
        catch_begin();
        log_open(LOG_LEVEL_INFO, style);
        log_warning("%s", nasty);
        const char *line = catch_end();
        assert_int_equal(lines_of(line), 1);
        assert_null(strchr(line, '\x1b'));
        assert_null(strchr(line, '\r'));
        assert_true(style == LOG_STYLE_JSON || !strstr(line, "\xc2\x9b"));
    }
}

TEST(json_lines_say_when_how_bad_and_what_it_is_about)
{
    catch_begin();
    log_open(LOG_LEVEL_INFO, LOG_STYLE_JSON);
    log_about(LOG_LEVEL_WARNING,
              (struct log_about){.flow = "f", .connection = "mail", .event = "A-\"1", .effect = "e1"}, "held as %d", 7);
    const char *line = catch_end();
    assert_non_null(strstr(line, "{\"time\":\"20"));
    assert_non_null(strstr(line,
                           "Z\",\"level\":\"warning\",\"flow\":\"f\",\"connection\":\"mail\",\"event\":\"A-\\\"1\","
                           "\"effect\":\"e1\",\"text\":\"held as 7\"}\n"));
}

TEST(the_journal_gets_its_level_in_front_and_no_time)
{
    catch_begin();
    log_open(LOG_LEVEL_INFO, LOG_STYLE_JOURNAL);
    log_error("bad");
    log_debug("not shown");
    assert_string_equal(catch_end(), "<3>bad\n");
}

TEST(only_the_stream_that_the_journal_names_is_taken_for_the_journal)
{
    struct stat here;
    char name[100];
    catch_begin();
    fstat(STDERR_FILENO, &here);
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_open(LOG_LEVEL_INFO, LOG_STYLE_GUESS);
    log_info("elsewhere");
    snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)here.st_dev, (unsigned long long)here.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    log_open(LOG_LEVEL_INFO, LOG_STYLE_GUESS);
    log_info("here");
    unsetenv("JOURNAL_STREAM");
    const char *lines = catch_end();
    assert_int_equal(lines[0], '{');
    assert_non_null(strstr(lines, "\n<6>here\n"));
}

TEST(a_secret_that_slips_into_a_text_is_hidden_wherever_it_stands)
{
    log_hide(slice_of("hunter2-hunter2"));
    log_hide(slice_of("zweites-geheimnis"));
    log_hide(slice_of("short"));
    catch_begin();
    log_open(LOG_LEVEL_INFO, LOG_STYLE_JSON);
    log_info("hunter2-hunter2 at the begin, hunter2-hunter2zweites-geheimnis and at the end hunter2-hunter2");
    log_info("a short word stays");
    const char *lines = catch_end();
    assert_null(strstr(lines, "hunter2"));
    assert_null(strstr(lines, "zweites"));
    assert_non_null(strstr(lines, "\"(secret) at the begin, (secret)(secret) and at the end (secret)\""));
    assert_non_null(strstr(lines, "a short word stays"));
}

TEST(lines_are_counted_by_level)
{
    int64_t before = log_count(LOG_LEVEL_WARNING);
    catch_begin();
    log_open(LOG_LEVEL_ERROR, LOG_STYLE_TEXT);
    log_warning("counted, though not shown");
    catch_end();
    assert_int_equal(log_count(LOG_LEVEL_WARNING), before + 1);
}

/* ---- the service manager -------------------------------------------------------------------------------- */

static int listen_as(const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0 && bind(fd, (const struct sockaddr *)address, size) == 0);
    return fd;
}

static const char *heard(int fd)
{
    static char text[2000];
    ssize_t size = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static void expect_heard(const char *name, const struct sockaddr_un *address, socklen_t size)
{
    int fd = listen_as(address, size);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_open();
    assert_null(getenv("NOTIFY_SOCKET"));
    notify_say("READY=1\nSTATUS=%d flows", 3);
    assert_string_equal(heard(fd), "READY=1\nSTATUS=3 flows");
    notify_reloading();
    const char *text = heard(fd);
    assert_true(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0 && strtoll(text + 27, NULL, 10) > 0);
    close(fd);
    notify_say("READY=1"); /* nobody listens any more: no harm */
}

TEST(systemd_hears_of_it_by_a_socket_in_the_file_system_and_by_an_abstract_one)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[100];
    snprintf(name, sizeof name, "%s/notify", test_folder());
    strcpy(address.sun_path, name);
    expect_heard(name, &address, sizeof address);

    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(name, sizeof name, "@headgate-test-%d", getpid());
    strcpy(address.sun_path, name);
    address.sun_path[0] = '\0';
    expect_heard(name, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
}

static int64_t watchdog(const char *us, const char *pid)
{
    setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
    us ? setenv("WATCHDOG_USEC", us, 1) : unsetenv("WATCHDOG_USEC");
    pid ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID");
    notify_open();
    return notify_watchdog_ms();
}

TEST(the_watchdog_is_fed_at_half_its_patience_if_it_is_ours)
{
    char own[20];
    snprintf(own, sizeof own, "%d", getpid());
    assert_int_equal(watchdog("30000000", own), 15000);
    assert_int_equal(watchdog("30000000", NULL), 15000);
    assert_int_equal(watchdog("1", NULL), 1);
    assert_int_equal(watchdog("30000000", "1"), 0);
    assert_int_equal(watchdog(NULL, NULL), 0);
    assert_int_equal(watchdog("nonsense", NULL), 0);
}
