/* change.c - the gates: as people set them, and as fuses trip them; each change with its audit row
 *
 *      on, off     what people want; it stays while the gate is tripped
 *      trip        by a fuse (flow/trip.c), in the change of what blew it      reset, by a person, with a reason
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>

struct changing {
    struct engine *engine;
    engine_done done;
    void *context;
    struct flow *flow; /* whose gate it is */
    bool is_on;
    bool is_reset; /* of a tripped gate; else on or off */
    char text[1000];
};

static struct changing *changing_new(struct engine *engine, struct flow *flow, engine_done done, void *context)
{
    struct changing *changing = mem_zero(sizeof *changing);
    changing->engine = engine;
    changing->flow = flow;
    changing->done = done;
    changing->context = context;
    return changing;
}

static void let_leave(struct engine *engine)
{
    for (size_t i = 0; i < engine->connection_count; i++)
        lane_unpark(engine->connections[i]->lane);
}

static void on_committed(void *context)
{
    struct changing *changing = context;
    if (changing->is_reset) {
        flow_set_trip(changing->flow, NULL);
        let_leave(changing->engine);
    } else {
        flow_set_gate(changing->flow, changing->is_on);
    }
    log_info("%s", changing->text);
    changing->done(changing->context, true, changing->text);
    free(changing);
}

/* The flow and the row of its gate; NULL after an answer that there is none. */
static struct flow *find(struct engine *engine, const char *name, struct gate_row *row, engine_done done, void *context)
{
    char text[300];
    struct flow *flow = engine_flow(engine, name);
    if (flow && gate_read(engine, RELEASE_FLOW, name, row))
        return flow;
    snprintf(text, sizeof text, "there is no flow %s; `headgate status` lists them, `headgate deploy` adds one", name);
    done(context, false, text);
    return NULL;
}

void engine_set_gate(struct engine *engine, const char *name, bool is_on, const struct author *author, engine_done done,
                     void *context)
{
    struct gate_row row;
    char text[1000] = "";
    struct flow *flow = find(engine, name, &row, done, context);
    if (!flow)
        return;
    if (is_on && !flow_live(flow))
        snprintf(text, sizeof text, "flow %s has no release that can be loaded; the log says why", name);
    else if (is_on && row.trip.at_ms)
        snprintf(text, sizeof text,
                 "the gate of flow %s is tripped: %s. Look into it, then `headgate reset %s --why TEXT` opens it", name,
                 row.trip.reason, name);
    if (text[0]) {
        done(context, false, text);
        return;
    }
    struct changing *changing = changing_new(engine, flow, done, context);
    struct change *change = change_new(on_committed, changing);
    changing->is_on = is_on;
    snprintf(changing->text, sizeof changing->text, "flow %s: gate %s (was %s), by %s: %s%s", name,
             is_on ? "on" : "off", row.is_on ? "on" : "off", author->who, author->why,
             row.trip.at_ms ? "; it stays tripped, too: what it asked for leaves after `headgate reset`" : "");
    audit_write(engine, change, author, "gate", name,
                row.is_on == is_on ? "(unchanged)"
                : is_on            ? "off -> on"
                                   : "on -> off");
    row.is_on = is_on;
    gate_write(engine, change, RELEASE_FLOW, name, &row);
    store_commit(engine->store, change);
}

/* ---- tripped, and reset ------------------------------------------------------------------------------ */

void engine_on_trip(void *context, struct change *change, struct flow *flow)
{
    struct engine *engine = context;
    struct gate_row row;
    const struct flow_trip *trip = flow_tripped(flow);
    struct author author = {"headgate", trip->reason};
    if (!gate_read(engine, RELEASE_FLOW, flow_name(flow), &row))
        return;
    audit_write(engine, change, &author, "gate", flow_name(flow), row.is_on ? "on -> tripped" : "off -> tripped");
    row.trip = *trip;
    gate_write(engine, change, RELEASE_FLOW, flow_name(flow), &row);
}

void engine_reset(struct engine *engine, const char *name, const struct author *author, engine_done done, void *context)
{
    struct gate_row row;
    char text[300];
    struct flow *flow = find(engine, name, &row, done, context);
    if (!flow)
        return;
    if (!row.trip.at_ms) {
        snprintf(text, sizeof text, "the gate of flow %s is not tripped; it is %s", name, row.is_on ? "on" : "off");
        done(context, false, text);
        return;
    }
    struct changing *changing = changing_new(engine, flow, done, context);
    struct change *change = change_new(on_committed, changing);
    changing->is_reset = true;
    snprintf(changing->text, sizeof changing->text, "flow %s: reset, gate %s (was tripped: %s), by %s: %s", name,
             row.is_on ? "on" : "off", row.trip.reason, author->who, author->why);
    audit_write(engine, change, author, "gate", name, row.is_on ? "tripped -> on" : "tripped -> off");
    flow_reset_fuses(flow, change);
    row.trip = (struct flow_trip){.at_ms = 0};
    gate_write(engine, change, RELEASE_FLOW, name, &row);
    store_commit(engine->store, change);
}

/* ---- what lanes ask and say ----------------------------------------------------------------------------- */

bool engine_is_parked(void *context, const char *name)
{
    struct flow *flow = engine_flow(context, name);
    return flow && flow_tripped(flow);
}

void engine_on_answer(void *context, struct change *change, const struct connection *connection, const char *name,
                      bool is_good, const char *text)
{
    struct flow *flow = engine_flow(context, name);
    if (flow)
        flow_note_answer(flow, change, connection, is_good, text);
}
