/* notify.h - telling systemd how it goes: sd_notify(3), without its library
 *
 *     notify_open();                       once, at start
 *     notify_say("READY=1\nSTATUS=...");   one datagram to the socket that NOTIFY_SOCKET names
 *
 * Without systemd all of it does nothing.  One datagram is no reason for a dependency: the protocol is a promise of
 * systemd's (it may be spoken without the library), and this is all of it that we need. */
#ifndef HEADGATE_BASE_NOTIFY_H
#define HEADGATE_BASE_NOTIFY_H

#include <stdint.h>

void notify_open(void); /* reads the environment, and takes it out of there: children are not the service */
void notify_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1, with the moment that systemd asks for; end it with notify_say("READY=1"). */
void notify_reloading(void);
/* How often WATCHDOG=1 should be said: half the time after which systemd would end us; 0: it does not watch. */
int64_t notify_watchdog_ms(void);

#endif
