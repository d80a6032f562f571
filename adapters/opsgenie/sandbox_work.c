/* sandbox_work.c - accepted writes, on their way to be applied
 *
 *     202 ──► waiting ──delay──► applied, in the order of arrival ──► its outcome can be asked for
 *         └─► dropped: nothing comes of it, and its status stays "not processed"
 *
 * All wait equally long, so a queue in order of arrival is also one in order of time, and one timer
 * for its head is enough.  The outcomes of the last WORKS_KEPT writes are kept. */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <stdlib.h>

#define WORKS_KEPT 200000

struct sandbox_works {
    uv_loop_t *loop;
    struct sandbox_alerts *alerts;
    struct sandbox_hooks *hooks;
    uint64_t delay_ms;
    uv_timer_t timer;                      /* for `waiting` */
    struct sandbox_work *kept[WORKS_KEPT]; /* write `number` is in slot number % WORKS_KEPT */
    uint64_t first, waiting, next;         /* numbers: first kept, first not yet applied, next to come */
    uint64_t accepted, applied, failed, dropped;
    void (*closed)(void *context); /* after sandbox_work_close */
    void *context;                 /* of closed */
};

const char *sandbox_work_name(enum sandbox_action action)
{
    static const char *const name[ACTION_COUNT] = {
        "Create",        "Close",           "Acknowledge", "UnAcknowledge",  "AddNote",       "AddDetails",
        "RemoveDetails", "AddTags",         "RemoveTags",  "UpdatePriority", "UpdateMessage", "UpdateDescription",
        "Snooze",        "AssignOwnership", "Escalate",    "AddResponder",   "Delete",
    };
    return name[action];
}

struct sandbox_works *sandbox_work_new(uv_loop_t *loop, struct sandbox_alerts *alerts, struct sandbox_hooks *hooks,
                                       uint64_t delay_ms, void (*closed)(void *context), void *context)
{
    struct sandbox_works *works = mem_zero(sizeof *works);
    works->loop = loop;
    works->alerts = alerts;
    works->hooks = hooks;
    works->delay_ms = delay_ms;
    works->closed = closed;
    works->context = context;
    works->first = works->waiting = works->next = 1;
    uv_timer_init(loop, &works->timer);
    works->timer.data = works;
    return works;
}

static struct sandbox_work *at(const struct sandbox_works *works, uint64_t number)
{
    return number >= works->first && number < works->next ? works->kept[number % WORKS_KEPT] : NULL;
}

static void apply_one(struct sandbox_works *works)
{
    struct sandbox_work *work = at(works, works->waiting++);
    if (!work->is_dropped) {
        sandbox_alerts_apply(works->alerts, work->action, work->by, work->identifier, work->body, &work->outcome);
        work->is_applied = true;
        work->processed_ms = clock_now_ms();
        works->applied++;
        works->failed += !work->outcome.is_success;
        sandbox_hooks_tell(works->hooks, work->action, &work->outcome, work->body);
    }
    json_decref(work->body);
    work->body = NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct sandbox_works *works = timer->data;
    uint64_t now = uv_now(works->loop);
    while (works->waiting < works->next && at(works, works->waiting)->due <= now)
        apply_one(works);
    if (works->waiting < works->next)
        uv_timer_start(timer, on_timer, at(works, works->waiting)->due - now, 0);
}

static void forget_first(struct sandbox_works *works)
{
    if (works->waiting == works->first)
        apply_one(works);
    struct sandbox_work *work = at(works, works->first);
    works->first++;
    free(work->identifier);
    free(work->outcome.alias);
    free(work);
}

void sandbox_work_add(struct sandbox_works *works, const char *id, enum sandbox_action action,
                      enum sandbox_identifier by, const char *identifier, json_t *body, bool is_dropped)
{
    if (works->next - works->first == WORKS_KEPT)
        forget_first(works);
    struct sandbox_work *work = mem_zero(sizeof *work);
    strcpy(work->id, id);
    work->number = works->next++;
    work->action = action;
    work->by = by;
    work->identifier = mem_text(identifier);
    work->body = json_incref(body);
    work->due = uv_now(works->loop) + works->delay_ms;
    work->is_dropped = is_dropped;
    works->kept[work->number % WORKS_KEPT] = work;
    works->accepted++;
    works->dropped += is_dropped;
    if (!uv_is_active((uv_handle_t *)&works->timer))
        uv_timer_start(&works->timer, on_timer, works->delay_ms, 0);
}

uint64_t sandbox_work_next(const struct sandbox_works *works)
{
    return works->next;
}

const struct sandbox_work *sandbox_work_find(const struct sandbox_works *works, const char *id)
{
    const struct sandbox_work *work = at(works, sandbox_alerts_uuid_number(id));
    return work && strcmp(work->id, id) == 0 ? work : NULL;
}

/* What was accepted and not yet applied is forgotten with the rest. */
void sandbox_work_reset(struct sandbox_works *works)
{
    uv_timer_stop(&works->timer);
    for (; works->waiting < works->next; works->waiting++) {
        struct sandbox_work *work = at(works, works->waiting);
        json_decref(work->body);
        work->body = NULL;
    }
    while (works->first < works->next)
        forget_first(works);
    works->accepted = works->applied = works->failed = works->dropped = 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct sandbox_works *works = handle->data;
    void (*closed)(void *) = works->closed;
    void *context = works->context;
    free(works);
    closed(context);
}

void sandbox_work_close(struct sandbox_works *works)
{
    sandbox_work_reset(works);
    uv_close((uv_handle_t *)&works->timer, on_closed);
}

bool sandbox_work_summary(const struct sandbox_works *works, struct buf *out)
{
    return buf_addf(out,
                    "\"accepted\":%" PRIu64 ",\"applied\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"dropped\":%" PRIu64
                    ",\"waiting\":%" PRIu64,
                    works->accepted, works->applied, works->failed, works->dropped, works->next - works->waiting);
}
