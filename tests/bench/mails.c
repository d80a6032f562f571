/* mails.c - the yardstick of a mail lane: a bare SMTP client
 *
 *     mails PORT COUNT [AT_ONCE]      COUNT mails to the relay on 127.0.0.1, by AT_ONCE (4) threads, sessions kept
 *
 * One mail after the other in each session, every answer read.  No queue, no disk; it stops at the first answer that
 * is not what it hoped for.  Prints mails a second. */
#include <arpa/inet.h>

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE_MOST 64

static int port, each;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Reads one whole reply; its code. */
static int reply(FILE *from)
{
    char line[1000];
    do {
        if (!fgets(line, sizeof line, from))
            exit(1);
    } while (line[3] == '-');
    return atoi(line);
}

static void say(FILE *link, int wanted, const char *text)
{
    if (fseek(link, 0, SEEK_CUR), fputs(text, link) < 0 || fflush(link) != 0 || reply(link) / 100 != wanted)
        exit(1);
}

static void *send_all(void *context)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(0x7f000001)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1, me = (int)(size_t)context;
    char text[2000];
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    FILE *link = fdopen(fd, "r+");
    if (!link || reply(link) != 220)
        exit(1);
    say(link, 2, "EHLO bench.example.com\r\n");
    for (int i = 0; i < each; i++) {
        snprintf(text, sizeof text,
                 "Message-ID: <%d-%d-%d@bench.example.com>\r\nFrom: a@example.com\r\nTo: c%d@example.com\r\n"
                 "Subject: A controller is offline\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%0300d\r\n.\r\n",
                 (int)getpid(), me, i, i, 0);
        say(link, 2, "MAIL FROM:<a@example.com>\r\n");
        say(link, 2, "RCPT TO:<c@example.com>\r\n");
        say(link, 3, "DATA\r\n");
        say(link, 2, text);
    }
    say(link, 2, "QUIT\r\n");
    fclose(link);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[AT_ONCE_MOST];
    if (argc < 3)
        return 64;
    int at_once = argc > 3 ? atoi(argv[3]) : 4;
    port = atoi(argv[1]);
    each = atoi(argv[2]) / at_once;
    double began_s = now_s();
    for (int i = 0; i < at_once; i++)
        pthread_create(&threads[i], NULL, send_all, (void *)(size_t)i);
    for (int i = 0; i < at_once; i++)
        pthread_join(threads[i], NULL);
    printf("%.0f\n", each * at_once / (now_s() - began_s));
    return 0;
}
