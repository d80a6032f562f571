/* pool.h - threads that wait for a relay, so that the loop thread does not */
#ifndef HEADGATE_SMTP_POOL_H
#define HEADGATE_SMTP_POOL_H

#include "adapters/smtp/send.h"
#include "core/base/mailbox.h"

#include <uv.h>

/* One thing to do; one allocation of the caller's, who gets it back through `done`. */
struct smtp_job {
    struct mail mail;              /* to cross threads; first */
    bool is_look;                  /* connect, log in, leave: no mail */
    struct smtp_envelope envelope; /* lent until done */
    void *context;                 /* the caller's */
    struct smtp_outcome outcome;   /* of it */
    bool is_encrypted;             /* look: the connection is */
    struct smtp_worker *worker;    /* the pool's */
};

struct smtp_pool;

struct smtp_pool *smtp_pool_open(uv_loop_t *loop, struct smtp_relay *relay,
                                 void (*done)(struct smtp_job *job, void *context), void *context);
/* Starts a thread if all are busy and there may be more.  `done` is called on the loop thread, not before this
 * returns. */
void smtp_pool_add(struct smtp_pool *pool, struct smtp_job *job);
/* Stops: a message that is not sent as a whole is broken off, one that waits for its answer has up to `grace_ms`.
 * Returns when all threads have ended, every job is `done` by then.  `closed` is called later, by the loop. */
void smtp_pool_close(struct smtp_pool *pool, int64_t grace_ms, void (*closed)(void *context));

#endif
