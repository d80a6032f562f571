/* hooks.c - webhooks in: one route for each flow; see web.h and core/net/webhooks.h
 *
 *      request ─► proven ─► events (a batch: many) ─► committed, all ─► 200
 *                                                  └─ put back, one ──► 503: it comes again, the rest are repeats
 */
#include "adapters/http/web.h"

#include <stdlib.h>

const struct option web_source_options[] = {
    {.name = "path",
     .kind = OPTION_TEXT,
     .least = 2,
     .most = WEBHOOK_PATH_MAX,
     .help = "Where it is sent to; not said: /hooks/CONNECTION/FLOW."},
    {.name = "method",
     .kind = OPTION_TEXT,
     .choices = "POST|PUT|PATCH|GET",
     .fallback = "POST",
     .help = "How it is sent."},
    {.name = "accept",
     .kind = OPTION_TEXT,
     .choices = "json|form|text",
     .fallback = "json",
     .help =
         "What is taken (415 else): JSON, and CloudEvents with it; a form, which becomes JSON; any text, for a flow "
         "of `format: text`."},
    {.name = "rate",
     .kind = OPTION_RATE,
     .least = 1,
     .help = "How many may come in a time; more are told to wait (429)."},
    OPTION_END};

struct web_hook {
    struct web_hook *next, **link; /* all of the connection's */
    struct source *source;
    struct webhook *route;
    enum web_format format;
};

static void on_arrived(struct webhook_call *call, void *context)
{
    struct web_hook *hook = context;
    struct source *source = hook->source;
    struct web_events events = {.records = NULL};
    struct err err = ERR_INIT;
    const char *hidden = settings_text(source->connection->settings, "webhook_header");
    int status = web_events_read(webhook_request(call), hidden, hook->format, &events, &err);
    if (status) {
        webhook_refuse(call, status, "%s", err.text);
        web_events_clear(&events);
        return;
    }
    uint64_t token = webhook_token(call);
    webhook_expect(call, (unsigned)events.count); /* from here on the call may be gone */
    for (size_t i = 0; i < events.count; i++) {
        struct event *event = event_new(buf_slice(&events.records[i]));
        event->token = token;
        source_event(source, event);
    }
    web_events_clear(&events);
}

static enum web_format format_of(const struct source *source)
{
    const char *accept = settings_text(source->settings, "accept");
    return strcmp(accept, "json") == 0 ? WEB_JSON : strcmp(accept, "form") == 0 ? WEB_FORM : WEB_TEXT;
}

bool web_listen(struct source *source, struct err *err)
{
    struct web *web = source->connection->state;
    const struct settings *settings = source->settings;
    struct web_hook *hook = mem_zero(sizeof *hook);
    hook->source = source;
    hook->format = format_of(source);
    hook->route =
        webhook_open(source->connection->webhooks,
                     &(struct webhook_options){
                         .connection = source->connection->name,
                         .flow = source->flow,
                         .path = settings_text(settings, "path"),
                         .methods = settings_text(settings, "method"),
                         .proof = web->proof,
                         .body_limit = source->body_limit,
                         .rate_per_day = settings_has(settings, "rate") ? settings_number(settings, "rate") : 0,
                         .shakes_hands = true,
                         .arrived = on_arrived,
                         .context = hook},
                     err);
    if (!hook->route) {
        free(hook);
        return false;
    }
    hook->next = web->hooks;
    hook->link = &web->hooks;
    if (hook->next)
        hook->next->link = &hook->next;
    web->hooks = hook;
    source->state = hook;
    struct buf says = BUF_INIT(2 * WEBHOOK_PATH_MAX);
    webhook_describe(hook->route, &says);
    source_says(source, SOURCE_LISTENING, "%s", says.data);
    buf_clear(&says);
    return true;
}

void web_silence(struct source *source)
{
    struct web_hook *hook = source->state;
    if (!hook)
        return;
    source->state = NULL;
    *hook->link = hook->next;
    if (hook->next)
        hook->next->link = hook->link;
    webhook_close(hook->route);
    free(hook);
}

void web_drop_hooks(struct web *web)
{
    while (web->hooks)
        web_silence(web->hooks->source);
}

void web_ack(struct connection *connection, struct event *event)
{
    (void)connection;
    webhook_ack(event->token);
}

void web_put_back(struct connection *connection, struct event *event)
{
    (void)connection;
    webhook_put_back(event->token);
}
