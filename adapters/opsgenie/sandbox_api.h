/* sandbox_api.h - between the routes (sandbox_api.c) and what they lead to (sandbox_read.c, sandbox_write.c) */
#ifndef HEADGATE_OPSGENIE_SANDBOX_API_H
#define HEADGATE_OPSGENIE_SANDBOX_API_H

#include "adapters/opsgenie/sandbox.h"

struct sandbox_route {
    const char *method;
    const char *path;           /* below the root; * is one segment, percent-encoded */
    enum sandbox_domain domain; /* whose rate limit counts */
    enum sandbox_action action; /* of a write */
    void (*run)(struct sandbox_call *call, const struct sandbox_route *route, char **segments); /* after the first */
    bool is_event; /* jsm-events has it, too */
};

/* sandbox_answer.c: each of the first five ends the answer. */
void sandbox_api_refuse(struct sandbox_call *call, int status, const char *message);
void sandbox_api_refuse_fields(struct sandbox_call *call, const json_t *errors); /* 422 */
void sandbox_api_refuse_field(struct sandbox_call *call, const char *field, const char *why);
void sandbox_api_data(struct sandbox_call *call, json_t *data);       /* 200; takes `data` over */
void sandbox_api_finish(struct sandbox_call *call, int status);       /* behind the members that are there already */
int sandbox_api_add_bytes(const char *bytes, size_t size, void *buf); /* for json_dump_callback */
/* identifierType of the query; false: it was refused. */
bool sandbox_api_identifier(struct sandbox_call *call, enum sandbox_identifier *by);

/* sandbox_write.c */
/* The body as an object; an action may come without one.  NULL: it was refused. */
json_t *sandbox_write_take_body(struct sandbox_call *call, enum sandbox_action action);
/* 202: it will be carried out. */
void sandbox_write_accept(struct sandbox_call *call, enum sandbox_action action, enum sandbox_identifier by,
                          const char *identifier, json_t *body);
void sandbox_write_run(struct sandbox_call *call, const struct sandbox_route *route, char **segments);

void sandbox_read_status(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_read_get(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_read_lines(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_read_count(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_read_list(struct sandbox_call *call, const struct sandbox_route *route, char **segments);

/* sandbox_ops.c */
extern const struct sandbox_route sandbox_ops_routes[];
extern const size_t sandbox_ops_route_count;
json_t *sandbox_ops_alert(json_t *shown); /* as jsm-ops shows it; takes `shown` over */

/* sandbox_beat_api.c */
void sandbox_beat_create(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_beat_get(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_beat_ping(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_beat_list_ops(struct sandbox_call *call, const struct sandbox_route *route, char **segments);
void sandbox_beat_ping_ops(struct sandbox_call *call, const struct sandbox_route *route, char **segments);

#endif
