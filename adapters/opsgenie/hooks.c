/* hooks.c - updates of alerts come in by webhook, one route for each flow; see core/net/webhooks.h
 *
 *      update ─► proven ─► wanted? ─► event ─► committed ─► 200
 *                             └─ no: 200, nothing happens
 *
 * OpsGenie tells everybody everything; what a flow did not ask for, and what our own calls caused, is
 * not an event of this flow.  Whether and how often OpsGenie repeats what was not answered 200 it does
 * not say: a flow that must not miss a change also asks (`list`) from time to time. */
#include "adapters/opsgenie/opsgenie.h"

#include "core/base/log.h"

#include <stdlib.h>

const struct option opsgenie_source_options[] = {
    {.name = "actions",
     .kind = OPTION_LIST,
     .help = "Which changes: Create, Acknowledge, Close, AddNote, ..., or the name of a custom action; default: all."},
    {.name = "own",
     .kind = OPTION_BOOLEAN,
     .fallback = "false",
     .help = "Also those that our own calls caused (known by `source` of the connection)."},
    {.name = "path",
     .kind = OPTION_TEXT,
     .least = 2,
     .most = WEBHOOK_PATH_MAX,
     .help = "Where they are sent to; not said: /hooks/CONNECTION/FLOW."},
    OPTION_END};

struct opsgenie_hook {
    struct opsgenie_hook *next, **link; /* all of the connection's */
    struct source *source;
    struct webhook *route;
};

static bool is_wanted(const struct source *source, const struct opsgenie_update *update)
{
    size_t count = settings_count(source->settings, "actions");
    bool is = !count;
    for (size_t i = 0; i < count && !is; i++)
        is = opsgenie_update_is(update->action, settings_item(source->settings, "actions", i));
    return is && (!update->is_own || settings_number(source->settings, "own"));
}

static void on_arrived(struct webhook_call *call, void *context)
{
    struct opsgenie_hook *hook = context;
    struct source *source = hook->source;
    struct opsgenie_update update;
    struct err err = ERR_INIT;
    const char *own = settings_text(source->connection->settings, "source");
    if (!opsgenie_update_read(request_body(webhook_request(call)), own, &update, &err)) {
        webhook_refuse(call, 400, "%s", err.text);
    } else if (!is_wanted(source, &update)) {
        webhook_expect(call, 0);
    } else {
        struct event *event = event_new(buf_slice(&update.record));
        event->token = webhook_token(call);
        webhook_expect(call, 1); /* from here on the call may be gone */
        source_event(source, event);
    }
    buf_clear(&update.record);
}

/* A custom action may have any name, so a misspelt one can only be pointed at. */
static void point_at_strangers(const struct source *source)
{
    for (size_t i = 0; i < settings_count(source->settings, "actions"); i++) {
        const char *action = settings_item(source->settings, "actions", i);
        if (!opsgenie_update_is_known(action))
            log_warning("flow %s: %s: \"%s\" is no action of OpsGenie's own: taken for a custom action's name",
                        source->flow, source->connection->name, action);
    }
}

bool opsgenie_listen(struct source *source, struct err *err)
{
    struct opsgenie *opsgenie = source->connection->state;
    struct opsgenie_hook *hook = mem_zero(sizeof *hook);
    struct buf says = BUF_INIT(2 * WEBHOOK_PATH_MAX);
    hook->source = source;
    hook->route = webhook_open(source->connection->webhooks,
                               &(struct webhook_options){.connection = source->connection->name,
                                                         .flow = source->flow,
                                                         .path = settings_text(source->settings, "path"),
                                                         .methods = "POST",
                                                         .proof = opsgenie->proof,
                                                         .body_limit = source->body_limit,
                                                         .arrived = on_arrived,
                                                         .context = hook},
                               err);
    if (!hook->route) {
        free(hook);
        return false;
    }
    source->state = hook;
    hook->next = opsgenie->hooks;
    hook->link = &opsgenie->hooks;
    if (hook->next)
        hook->next->link = &hook->next;
    opsgenie->hooks = hook;
    point_at_strangers(source);
    webhook_describe(hook->route, &says);
    source_says(source, SOURCE_LISTENING, "%s", says.data);
    buf_clear(&says);
    return true;
}

void opsgenie_silence(struct source *source)
{
    struct opsgenie_hook *hook = source->state;
    if (!hook)
        return;
    source->state = NULL;
    *hook->link = hook->next;
    if (hook->next)
        hook->next->link = hook->link;
    webhook_close(hook->route);
    free(hook);
}

void opsgenie_drop_hooks(struct opsgenie *opsgenie)
{
    while (opsgenie->hooks)
        opsgenie_silence(opsgenie->hooks->source);
}

void opsgenie_ack(struct connection *connection, struct event *event)
{
    (void)connection;
    webhook_ack(event->token);
}

void opsgenie_put_back(struct connection *connection, struct event *event)
{
    (void)connection;
    webhook_put_back(event->token);
}
