/* doctor.c - GET /v1/doctor: every connection, and every flow's source, looked at by its adapter
 *
 * Adapters answer when they have looked; who has not answered after a while is said to hang. */
#include "core/admin/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 15000

struct visit; /* all examinations of one request */

struct examination {
    struct visit *visit; /* NULL: the request was answered without this one */
    char subject[2 * NAME_MAX_BYTES + 32];
    bool has_ended;
    struct examination *next;
};

struct visit {
    struct admin *admin;
    struct request *request;
    json_t *findings;
    struct examination *examinations;
    unsigned open;
    uv_timer_t timer;
};

static void add_finding(struct visit *visit, const char *subject, const char *about, bool is_good, const char *text)
{
    json_array_append_new(visit->findings, json_pack("{s:s, s:s, s:b, s:o}", "subject", subject, "about", about, "good",
                                                     is_good, "text", json_of(slice_of(text))));
}

void examination_finds(struct examination *examination, bool is_good, const char *about, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (examination->visit)
        add_finding(examination->visit, examination->subject, about, is_good, text);
}

static void free_visit(uv_handle_t *handle)
{
    free(handle->data);
}

static void end(struct visit *visit)
{
    for (struct examination *each = visit->examinations, *next; each; each = next) {
        next = each->next;
        each->visit = NULL;
        if (each->has_ended)
            free(each);
        else
            add_finding(visit, each->subject, "answer", false, "no answer within 15 seconds");
    }
    reply_json(visit->request, 200, json_pack("{s:o}", "findings", visit->findings));
    uv_close((uv_handle_t *)&visit->timer, free_visit);
}

void examination_ends(struct examination *examination)
{
    struct visit *visit = examination->visit;
    examination->has_ended = true;
    if (!visit) {
        free(examination); /* too late: nobody waits */
        return;
    }
    if (--visit->open == 0)
        end(visit);
}

static void on_timeout(uv_timer_t *timer)
{
    end(timer->data);
}

static void examine(struct visit *visit, struct connection *connection, struct source *source)
{
    struct examination *examination = mem_zero(sizeof *examination);
    examination->visit = visit;
    examination->next = visit->examinations;
    visit->examinations = examination;
    visit->open++;
    if (source)
        snprintf(examination->subject, sizeof examination->subject, "flow %s", source->flow);
    else
        snprintf(examination->subject, sizeof examination->subject, "connection %s", connection->name);
    struct lane_view view;
    lane_look(connection->lane, &view);
    if (strcmp(view.state, "refused") == 0) {
        examination_finds(examination, false, "connection", "%s is not opened: %s", connection->name, view.text);
        examination_ends(examination);
    } else if (connection->adapter->examine) {
        connection->adapter->examine(connection, source, examination);
    } else {
        examination_ends(examination);
    }
}

static void examine_source(void *context, struct source *source)
{
    examine(context, source->connection, source);
}

void answer_doctor(struct admin *admin, struct request *request)
{
    struct visit *visit = mem_zero(sizeof *visit);
    struct connection *connection;
    struct flow *flow;
    visit->admin = admin;
    visit->request = request;
    visit->findings = json_array();
    visit->open = 1; /* this function itself: an examination may end at once */
    uv_timer_init(engine_loop(admin->engine), &visit->timer);
    visit->timer.data = visit;
    uv_timer_start(&visit->timer, on_timeout, PATIENCE_MS, 0);
    uv_unref((uv_handle_t *)&visit->timer); /* a daemon that stops does not wait for it */
    for (size_t i = 0; (connection = engine_connection_at(admin->engine, i)); i++)
        examine(visit, connection, NULL);
    for (size_t i = 0; (flow = engine_flow_at(admin->engine, i)); i++) {
        char subject[NAME_MAX_BYTES + 16];
        snprintf(subject, sizeof subject, "flow %s", flow_name(flow));
        const struct flow_trip *trip = flow_tripped(flow);
        if (trip)
            add_finding(visit, subject, "gate", false, trip->reason);
        add_finding(visit, subject, "release", flow_live(flow) != NULL,
                    !flow_live(flow)   ? "cannot be loaded, see the log"
                    : trip             ? "loaded, gate tripped"
                    : flow_is_on(flow) ? "loaded, gate on"
                                       : "loaded, gate off");
        flow_each_source(flow, examine_source, visit);
    }
    if (--visit->open == 0)
        end(visit);
}
