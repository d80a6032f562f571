/* notify.c - see notify.h */
#include "core/base/notify.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t address_size; /* 0: nobody listens */
static int64_t watchdog_ms;

/* "/run/systemd/notify" is a file, "@..." an abstract name; other kinds are for virtual machines. */
static void find_socket(const char *name)
{
    size_t size = name ? strlen(name) : 0;
    address_size = 0;
    if (size < 2 || size >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '/'));
}

static int64_t find_watchdog_ms(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    long long period_us = us ? strtoll(us, NULL, 10) : 0;
    bool is_ours = !pid || strtoll(pid, NULL, 10) == getpid();
    if (period_us <= 0 || !is_ours)
        return 0;
    return period_us >= 2000 ? period_us / 2000 : 1;
}

void notify_open(void)
{
    find_socket(getenv("NOTIFY_SOCKET"));
    watchdog_ms = address_size ? find_watchdog_ms() : 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

int64_t notify_watchdog_ms(void)
{
    return watchdog_ms;
}

/* Whether it arrives changes nothing that we do: errors are not looked at. */
void notify_say(const char *format, ...)
{
    char text[1000];
    if (!address_size)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, address_size);
    close(fd);
}

void notify_reloading(void)
{
    notify_say("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / 1000);
}
