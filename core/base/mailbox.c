/* mailbox.c - see mailbox.h */
#include "core/base/mailbox.h"

#include <errno.h>
#include <time.h>

void mailbox_init(struct mailbox *box, void (*wake)(void *context), void *context)
{
    pthread_mutex_init(&box->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box->filled, &attr);
    pthread_condattr_destroy(&attr);
    box->first = NULL;
    box->last = &box->first;
    box->count = 0;
    box->wake = wake;
    box->context = context;
}

void mailbox_clear(struct mailbox *box)
{
    pthread_cond_destroy(&box->filled);
    pthread_mutex_destroy(&box->mutex);
}

void mailbox_put(struct mailbox *box, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&box->mutex);
    bool was_empty = box->first == NULL;
    *box->last = mail;
    box->last = &mail->next;
    box->count++;
    if (was_empty) {
        pthread_cond_signal(&box->filled);
        if (box->wake)
            box->wake(box->context);
    }
    pthread_mutex_unlock(&box->mutex);
}

static struct mail *take_locked(struct mailbox *box)
{
    struct mail *all = box->first;
    box->first = NULL;
    box->last = &box->first;
    box->count = 0;
    return all;
}

struct mail *mailbox_take(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    struct mail *all = take_locked(box);
    pthread_mutex_unlock(&box->mutex);
    return all;
}

struct mail *mailbox_wait(struct mailbox *box, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&box->mutex);
    int status = 0;
    while (!box->first && status != ETIMEDOUT)
        status = timeout_ms < 0 ? pthread_cond_wait(&box->filled, &box->mutex)
                                : pthread_cond_timedwait(&box->filled, &box->mutex, &until);
    struct mail *all = take_locked(box);
    pthread_mutex_unlock(&box->mutex);
    return all;
}
