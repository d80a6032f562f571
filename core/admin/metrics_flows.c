/* metrics_flows.c - what became of each flow's events, and how the flow is */
#include "core/admin/metrics.h"

#include "core/engine/books.h"

static const struct flow_book no_book;

struct of_flows {
    struct exposition *out;
    struct engine *engine;
    const struct books *books;
};

/* Calls for each flow that is here, in order of names. */
static void each_flow(const struct of_flows *all,
                      void (*each)(struct exposition *out, struct flow *flow, const struct flow_view *view,
                                   const struct flow_book *book))
{
    struct flow *flow;
    for (size_t i = 0; (flow = engine_flow_at(all->engine, i)); i++) {
        struct flow_view view;
        flow_look(flow, &view);
        const struct flow_book *book = books_flow(all->books, view.name);
        each(all->out, flow, &view, book ? book : &no_book);
    }
}

#define EACH(name)                                                                                                     \
    static void name(struct exposition *out, struct flow *flow __attribute__((unused)),                                \
                     const struct flow_view *view __attribute__((unused)),                                             \
                     const struct flow_book *book __attribute__((unused)))

EACH(add_received)
{
    exposition_add(out, "", (double)book->received, "flow", view->name);
}

EACH(add_finished)
{
    const struct {
        const char *outcome;
        int64_t count;
    } all[] = {{"finished", book->finished},
               {"repeat", book->repeat},
               {"dropped", book->dropped},
               {"discarded", book->discarded},
               {"expired", book->expired}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        exposition_add(out, "", (double)all[i].count, "flow", view->name, "outcome", all[i].outcome);
}

EACH(add_failed)
{
    exposition_add(out, "", (double)view->failed, "flow", view->name);
}

EACH(add_waiting)
{
    exposition_add(out, "", (double)view->inbox, "flow", view->name, "state", "inbox");
    exposition_add(out, "", view->under_way, "flow", view->name, "state", "running");
    exposition_add(out, "", (double)book->held, "flow", view->name, "state", "held");
}

EACH(add_timers)
{
    exposition_add(out, "", (double)view->timers, "flow", view->name);
}

EACH(add_difference)
{
    exposition_add(out, "", (double)book->difference, "flow", view->name);
}

EACH(add_gate)
{
    bool tripped = view->trip != NULL;
    exposition_add(out, "", !tripped && !view->is_on, "flow", view->name, "state", "off");
    exposition_add(out, "", !tripped && view->is_on, "flow", view->name, "state", "on");
    exposition_add(out, "", tripped, "flow", view->name, "state", "tripped");
}

EACH(add_listening)
{
    exposition_add(out, "", view->is_listening, "flow", view->name);
}

EACH(add_silent)
{
    exposition_add(out, "", view->is_silent, "flow", view->name);
}

EACH(add_last)
{
    exposition_add(out, "", (double)view->last_event_ms / 1000, "flow", view->name);
}

EACH(add_info)
{
    char release[13];
    snprintf(release, sizeof release, "%s", view->release);
    exposition_add(out, "", 1, "flow", view->name, "version", release, "owner", view->owner);
}

void metrics_of_flows(struct exposition *out, struct engine *engine, const struct books *books)
{
    struct of_flows all = {out, engine, books};
    exposition_family(out, "headgate_messages_received_total", EXPOSITION_COUNTER,
                      "Events that a flow took from its sources.");
    each_flow(&all, add_received);
    exposition_family(out, "headgate_events_finished_total", EXPOSITION_COUNTER,
                      "Events that are settled, and how; all but finished are events that were not run.");
    each_flow(&all, add_finished);
    exposition_family(out, "headgate_events_failed_total", EXPOSITION_COUNTER, "Events that became held.");
    each_flow(&all, add_failed);
    exposition_family(out, "headgate_events", EXPOSITION_GAUGE,
                      "Events that are not settled: in the inbox, running, or held for a person.");
    each_flow(&all, add_waiting);
    exposition_family(out, "headgate_flow_timers", EXPOSITION_GAUGE, "Timers of the flow that wait.");
    each_flow(&all, add_timers);
    exposition_family(out, "headgate_conservation_difference", EXPOSITION_GAUGE,
                      "received - settled - waiting - held; anything but 0 is a lost or doubled event.");
    each_flow(&all, add_difference);
    exposition_family(out, "headgate_gate_state", EXPOSITION_GAUGE, "1 for the state that the flow's gate is in.");
    each_flow(&all, add_gate);
    exposition_family(out, "headgate_flow_listening", EXPOSITION_GAUGE, "1 when all sources of the flow deliver.");
    each_flow(&all, add_listening);
    exposition_family(out, "headgate_flow_silent", EXPOSITION_GAUGE,
                      "1 when fewer events came than the flow's manifest expects.");
    each_flow(&all, add_silent);
    exposition_family(out, "headgate_flow_last_event_timestamp_seconds", EXPOSITION_GAUGE,
                      "When the flow's last event came, since 1970; 0: never.");
    each_flow(&all, add_last);
    exposition_family(out, "headgate_flow_info", EXPOSITION_GAUGE, "The live release of the flow; always 1.");
    each_flow(&all, add_info);
}
