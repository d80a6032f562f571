/* change.c - the gates, as people set them; each change with its audit row */
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
    char text[300];
};

static struct changing *changing_new(struct engine *engine, engine_done done, void *context)
{
    struct changing *changing = mem_zero(sizeof *changing);
    changing->engine = engine;
    changing->done = done;
    changing->context = context;
    return changing;
}

static void on_committed(void *context)
{
    struct changing *changing = context;
    flow_set_gate(changing->flow, changing->is_on);
    log_info("%s", changing->text);
    changing->done(changing->context, true, changing->text);
    free(changing);
}

void engine_set_gate(struct engine *engine, const char *name, bool is_on, const struct author *author, engine_done done,
                     void *context)
{
    struct flow *flow = engine_flow(engine, name);
    struct gate_row row;
    char text[300];
    if (!flow || !gate_read(engine, RELEASE_FLOW, name, &row)) {
        snprintf(text, sizeof text, "there is no flow %s; `headgate status` lists them, `headgate deploy` adds one",
                 name);
        done(context, false, text);
        return;
    }
    if (is_on && !flow_live(flow)) {
        snprintf(text, sizeof text, "flow %s has no release that can be loaded; the log says why", name);
        done(context, false, text);
        return;
    }
    struct changing *changing = changing_new(engine, done, context);
    struct change *change = change_new(on_committed, changing);
    changing->flow = flow;
    changing->is_on = is_on;
    snprintf(changing->text, sizeof changing->text, "flow %s: gate %s (was %s), by %s: %s", name, is_on ? "on" : "off",
             row.is_on ? "on" : "off", author->who, author->why);
    audit_write(engine, change, author, "gate", name,
                row.is_on == is_on ? "(unchanged)"
                : is_on            ? "off -> on"
                                   : "on -> off");
    row.is_on = is_on;
    gate_write(engine, change, RELEASE_FLOW, name, &row);
    store_commit(engine->store, change);
}
