/* change.c - what people change on a running node: gates and held things; each with its audit row, in one change */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct changing {
    struct engine *engine;
    engine_done done;
    void *context;
    struct flow *flow; /* to adjust or wake; NULL: none */
    struct lane *lane; /* to wake; NULL: none */
    bool sets_gate, is_on;
    uint64_t held; /* the number that is settled; 0: none */
    char text[300];
};

static struct slice number_slice(const uint64_t *number)
{
    return (struct slice){(const char *)number, sizeof *number};
}

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
    if (changing->sets_gate)
        flow_set_gate(changing->flow, changing->is_on);
    else if (changing->flow)
        flow_wake(changing->flow);
    if (changing->lane)
        lane_wake(changing->lane);
    if (changing->held)
        map_remove(&changing->engine->settling, number_slice(&changing->held));
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
    changing->sets_gate = true;
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

/* The row of the number, or an answer that there is none, or that somebody settles it just now: what is not yet on disk
 * must not be done a second time. */
static bool find_held(struct engine *engine, uint64_t number, struct slice *row, engine_done done, void *context)
{
    char text[200];
    bool is_settling = map_get(&engine->settling, number_slice(&number)) != NULL;
    if (!is_settling && held_get(&engine->held, number, row))
        return true;
    if (is_settling)
        snprintf(text, sizeof text, "held %" PRIu64 " is just being retried or discarded", number);
    else
        snprintf(text, sizeof text, "nothing is held as %" PRIu64 "; `headgate held` lists what is", number);
    done(context, false, text);
    return false;
}

static void settle(struct changing *changing, struct change *change, uint64_t number)
{
    changing->held = number;
    map_put(&changing->engine->settling, number_slice(&changing->held), changing);
    held_remove(change, number);
}

static char *text_of(struct slice row, const char *name)
{
    return mem_copy(record_get(row, name));
}

/* An event goes back into its flow's inbox, an effect into its lane's outbox; false: whose it is, is gone. */
static bool take_back(struct changing *changing, struct change *change, struct slice row)
{
    struct engine *engine = changing->engine;
    char *flow = text_of(row, "flow"), *connection = text_of(row, "connection"), *key = text_of(row, "key");
    bool is_event = slice_is(record_get(row, "kind"), "event");
    changing->flow = is_event ? engine_flow(engine, flow) : NULL;
    struct connection *to = is_event ? NULL : engine_connection(engine, connection);
    changing->lane = to ? to->lane : NULL;
    if (changing->flow)
        flow_retry(changing->flow, change, record_get(row, "item"), key);
    else if (changing->lane)
        lane_retry(changing->lane, change, record_get(row, "item"), (uint64_t)record_get_integer(row, "number", 0));
    free(flow);
    free(connection);
    free(key);
    return changing->flow || changing->lane;
}

void engine_retry_held(struct engine *engine, uint64_t number, const struct author *author, engine_done done,
                       void *context)
{
    struct slice row;
    char subject[32];
    if (!find_held(engine, number, &row, done, context))
        return;
    struct changing *changing = changing_new(engine, done, context);
    struct change *change = change_new(on_committed, changing);
    snprintf(subject, sizeof subject, "%" PRIu64, number);
    if (!take_back(changing, change, row)) {
        snprintf(changing->text, sizeof changing->text,
                 "held %s belongs to a flow or connection that is not here any more", subject);
        done(context, false, changing->text);
        change_drop(change);
        free(changing);
        return;
    }
    settle(changing, change, number);
    audit_write(engine, change, author, "held retry", subject, "");
    snprintf(changing->text, sizeof changing->text, "held %s goes back to work, by %s: %s", subject, author->who,
             author->why);
    store_commit(engine->store, change);
}

/* An effect's receipt is the proof that it was refused, by whom and why. What belongs to a flow or connection that is
 * not here any more is counted all the same. */
static void put_refusal(struct engine *engine, struct change *change, struct slice row, const struct author *author)
{
    bool is_event = slice_is(record_get(row, "kind"), "event");
    char *name = text_of(row, is_event ? "flow" : "connection");
    char text[500], counter[NAME_MAX_BYTES + 32];
    struct flow *flow = is_event ? engine_flow(engine, name) : NULL;
    struct connection *connection = is_event ? NULL : engine_connection(engine, name);
    snprintf(text, sizeof text, "discarded by %s: %s", author->who, author->why);
    snprintf(counter, sizeof counter, is_event ? "flow.%s.discarded" : "lane.%s.refused", name);
    if (flow)
        flow_discard(flow, change);
    else if (connection)
        lane_refuse_effect(connection->lane, change, row, text);
    else
        change_count(change, counter, 1);
    free(name);
}

void engine_discard_held(struct engine *engine, uint64_t number, const struct author *author, engine_done done,
                         void *context)
{
    struct slice row;
    char subject[32];
    if (!find_held(engine, number, &row, done, context))
        return;
    struct changing *changing = changing_new(engine, done, context);
    struct change *change = change_new(on_committed, changing);
    snprintf(subject, sizeof subject, "%" PRIu64, number);
    char *reason = text_of(row, "reason");
    put_refusal(engine, change, row, author);
    settle(changing, change, number);
    audit_write(engine, change, author, "held discard", subject, reason);
    free(reason);
    snprintf(changing->text, sizeof changing->text, "held %s is discarded, by %s: %s", subject, author->who,
             author->why);
    store_commit(engine->store, change);
}
