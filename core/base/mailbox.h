/* mailbox.h - the one queue between threads: batches cross, nothing else is shared
 *
 * Any thread puts, one thread takes.  `wake` is called by the putter when the box was empty and
 * nobody had been woken since the last take: it tells the owner to come and look (uv_async_send,
 * an eventfd, a condition).  It must not block and must not touch the mailbox. */
#ifndef HEADGATE_BASE_MAILBOX_H
#define HEADGATE_BASE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* First member of whatever is sent. */
struct mail {
    struct mail *next;
};

struct mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled; /* for an owner that waits in mailbox_wait */
    struct mail *first, **last;
    size_t count;
    void (*wake)(void *context); /* may be NULL */
    void *context;
};

void mailbox_init(struct mailbox *box, void (*wake)(void *context), void *context);
void mailbox_clear(struct mailbox *box); /* what is left inside stays with its senders */
void mailbox_put(struct mailbox *box, struct mail *mail);
/* Everything that is inside, oldest first, linked by `next`; NULL when empty. */
struct mail *mailbox_take(struct mailbox *box);
/* The same, waiting until there is something or `timeout_ms` have passed (-1: for ever). */
struct mail *mailbox_wait(struct mailbox *box, int timeout_ms);

#endif
