/* events.h - what hooks.c, events.c and cloudevents.c share: the events of one request, before they are handed over */
#ifndef HEADGATE_HTTP_EVENTS_H
#define HEADGATE_HTTP_EVENTS_H

#include "adapters/http/web.h"

#include <jansson.h>

#define WEB_BODY_MAX ((size_t)256 << 20)

struct web_event {
    struct buf body;
    char *content_type; /* owned; NULL: none was said */
    json_t *properties; /* owned; object */
    int64_t time_ms;    /* 0: it does not say when it happened */
};

/* events.c: %XX once, and in a form + as a space; what is no escape stays. */
bool web_percent_decode(struct buf *out, struct slice text, bool is_form);
/* cloudevents.c */
bool web_events_have_type(const struct request *request, const char *prefix);
/* Both add attributes to the event; false with a sentence for the sender.  `envelope`: with its data. */
bool web_cloudevent_binary(const struct request *request, struct web_event *event, struct err *err);
bool web_cloudevent_structured(const json_t *envelope, struct web_event *event, struct err *err);

#endif
