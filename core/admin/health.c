/* health.c - GET /livez: does the loop go round?  GET /readyz: may this node be given work?
 *
 * An answer at all is the proof that the loop is alive.  A far side that is down makes no node unready: its effects
 * wait in the outbox, and that is what the node is for.  What a person must mend here does. */
#include "core/admin/internal.h"

static void add_reason(json_t *reasons, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_reason(json_t *reasons, const char *format, ...)
{
    struct buf text = BUF_INIT(2000);
    va_list args;
    va_start(args, format);
    buf_addv(&text, format, args);
    va_end(args);
    json_array_append_new(reasons, json_of(buf_slice(&text)));
    buf_clear(&text);
}

static void add_flow_reasons(struct engine *engine, json_t *reasons)
{
    struct flow *flow;
    for (size_t i = 0; (flow = engine_flow_at(engine, i)); i++) {
        struct flow_view view;
        flow_look(flow, &view);
        if (view.is_on && !flow_live(flow))
            add_reason(reasons, "flow %s: its release cannot be loaded; the log says why", view.name);
        else if (view.is_on && view.is_refused)
            add_reason(reasons, "flow %s: a source is refused: %s", view.name, view.source_state);
    }
}

static json_t *find_reasons(struct engine *engine)
{
    json_t *reasons = json_array();
    enum store_state store = store_get_state(engine_store(engine));
    if (engine_is_stopping(engine))
        add_reason(reasons, "the daemon is stopping");
    else if (!engine_is_ready(engine))
        add_reason(reasons, "flows are still being loaded");
    if (store == STORE_HIGH)
        add_reason(reasons, "the store is near its limit: sources are paused until there is room");
    else if (store == STORE_FULL)
        add_reason(reasons, "the store cannot be written: what waits is tried again");
    add_flow_reasons(engine, reasons);
    return reasons;
}

void answer_livez(struct request *request)
{
    reply_json(request, 200, json_pack("{s:b}", "alive", 1));
}

void answer_readyz(struct admin *admin, struct request *request)
{
    json_t *reasons = find_reasons(admin->engine);
    bool ready = json_array_size(reasons) == 0;
    reply_json(request, ready ? 200 : 503, json_pack("{s:b, s:o}", "ready", ready, "reasons", reasons));
}
