/* campaign.c - what people change of campaigns and of the suppressed; each with its audit row, in one change */
#include "core/base/log.h"
#include "core/campaign/suppressed.h"
#include "core/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- files of a release, for the feeder of a lane ---------------------------------------------------- */

static void *open_release(void *context, const char *flow, const char *hash, struct err *err)
{
    return release_restore(context, RELEASE_FLOW, flow, hash, err);
}

static bool find_file(const void *release, const char *path, struct slice *content)
{
    return release_find(release, path, content);
}

static void list_files(const void *context, const char *prefix, struct buf *names)
{
    const struct release *release = context;
    for (size_t i = 0; i < release->count; i++)
        if (strncmp(release->files[i].path, prefix, strlen(prefix)) == 0)
            buf_addf(names, "%s%s", names->size ? ", " : "", release->files[i].path);
}

static void close_release(void *release)
{
    release_free(release);
}

struct lane_releases engine_releases(struct engine *engine)
{
    return (struct lane_releases){
        .open = open_release, .find = find_file, .list = list_files, .close = close_release, .context = engine};
}

/* ---- fuses of the flows that handed lists over ------------------------------------------------------------ */

/* A flow that is not here any more has no limits. */
static bool allows(void *context, struct change *change, struct fuse_claim **claim, const struct lane_listed *listed)
{
    struct flow *flow = engine_flow(context, listed->flow);
    return !flow || flow_may_feed(flow, change, claim, listed);
}

static void count_fed(void *context, struct change *change, struct fuse_claim *claim)
{
    flows_count_fed(&((struct engine *)context)->flows_context, change, claim);
}

static void have_fed(void *context, struct fuse_claim *claim)
{
    flows_have_fed(&((struct engine *)context)->flows_context, claim);
}

struct lane_fuses engine_fuses(struct engine *engine)
{
    return (struct lane_fuses){.allows = allows, .count = count_fed, .end = have_fed, .context = engine};
}

/* ---- changes ---------------------------------------------------------------------------------------------- */

struct changing {
    struct engine *engine;
    engine_done done;
    void *context;
    struct store_key place; /* in engine->deciding: nobody else may decide about it meanwhile */
    struct lane *lane;      /* NULL: the connection is not here */
    char text[500];
};

static void on_committed(void *context)
{
    struct changing *changing = context;
    map_remove(&changing->engine->deciding, store_key_slice(&changing->place));
    if (changing->lane) {
        lane_look_at_campaigns(changing->lane);
        lane_wake(changing->lane);
    }
    log_info("%s", changing->text);
    changing->done(changing->context, true, changing->text);
    free(changing);
}

__attribute__((format(printf, 3, 4))) static void refuse(engine_done done, void *context, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    done(context, false, text);
}

/* NULL: somebody decides about it just now, and that was answered. */
static struct change *begin(struct engine *engine, const char *what, const char *connection, struct slice name,
                            engine_done done, void *context, struct changing **changing)
{
    struct store_key place = STORE_KEY_INIT;
    store_key_add_text(&place, what);
    store_key_add_text(&place, connection);
    store_key_add(&place, name);
    if (map_get(&engine->deciding, store_key_slice(&place))) {
        refuse(done, context, "somebody is just deciding about %.*s", SLICE_ARG(name));
        return NULL;
    }
    struct connection *of = engine_connection(engine, connection);
    *changing = mem_zero(sizeof **changing);
    **changing = (struct changing){.engine = engine, .done = done, .context = context, .place = place};
    (*changing)->lane = of ? of->lane : NULL;
    map_put(&engine->deciding, store_key_slice(&place), *changing);
    return change_new(on_committed, *changing);
}

static const char *const done_words[] = {"resumed", "paused", "cancelled"};
static const char *const audit_words[] = {"campaign resume", "campaign pause", "campaign cancel"};

void engine_set_campaign(struct engine *engine, const char *connection, const char *name, enum campaign_state state,
                         const struct author *author, engine_done done, void *context)
{
    struct campaign_view view;
    struct changing *changing;
    if (!campaign_look(engine->store, connection, slice_of(name), &view)) {
        refuse(done, context, "connection %s has no campaign %s; `headgate campaigns` lists them", connection, name);
        return;
    }
    if (view.state == CAMPAIGN_CANCELLED || view.state == state) {
        refuse(done, context, "campaign %s is %s already%s%s%s%s%s", name, campaign_state_name(view.state),
               view.who[0] ? ", by " : "", view.who, view.why[0] ? ": " : "", view.why,
               view.state == CAMPAIGN_CANCELLED ? "; that is for ever" : "");
        return;
    }
    struct change *change = begin(engine, "campaign", connection, slice_of(name), done, context, &changing);
    if (!change)
        return;
    campaign_set_state(engine->store, change, connection, slice_of(name), state, author->who, author->why);
    audit_write(engine, change, author, audit_words[state], name, connection);
    snprintf(changing->text, sizeof changing->text, "campaign %s (%s): %s by %s: %.200s", name, connection,
             done_words[state], author->who, author->why);
    store_commit(engine->store, change);
}

/* ---- the suppressed ------------------------------------------------------------------------------------------ */

/* The form under which a recipient is recognised on this connection. */
static bool recognise(struct engine *engine, const char *connection, const char *as_written, struct buf *recipient,
                      struct err *err)
{
    struct connection *of = engine_connection(engine, connection);
    const struct verb *verb = of ? of->adapter->verbs : NULL;
    while (verb && verb->name && !verb->recipient_field)
        verb++;
    if (!of)
        return err_set(err, "there is no connection %s", connection);
    if (!verb || !verb->name)
        return err_set(err, "connection %s reaches no recipients, so nobody can be suppressed on it", connection);
    if (verb->canonical)
        return verb->canonical(slice_of(as_written), recipient, err);
    return buf_add_text(recipient, as_written) || err_set(err, "it is longer than %d bytes", RECIPIENT_MAX);
}

void engine_suppress(struct engine *engine, const char *connection, const char *as_written, bool is_suppressed,
                     const struct author *author, engine_done done, void *context)
{
    struct buf recipient = BUF_INIT(RECIPIENT_MAX);
    struct err err = ERR_INIT;
    struct changing *changing;
    struct slice row;
    if (!as_written[0] || !recognise(engine, connection, as_written, &recipient, &err))
        refuse(done, context, "%.200s: %s", as_written, as_written[0] ? err.text : "whom?");
    else if (suppressed_find(engine->store, connection, buf_slice(&recipient), &row) == is_suppressed)
        refuse(done, context, "%s is %s on %s", recipient.data, is_suppressed ? "suppressed already" : "not suppressed",
               connection);
    else {
        struct change *change =
            begin(engine, "suppressed", connection, buf_slice(&recipient), done, context, &changing);
        struct suppression suppression = {.who = author->who, .why = author->why};
        if (change && is_suppressed)
            suppressed_add(change, connection, buf_slice(&recipient), &suppression);
        else if (change)
            suppressed_remove(change, connection, buf_slice(&recipient));
        if (change) {
            audit_write(engine, change, author, is_suppressed ? "suppressed add" : "suppressed remove", recipient.data,
                        connection);
            snprintf(changing->text, sizeof changing->text, "%s: %s on %s, by %s: %.200s", recipient.data,
                     is_suppressed ? "is suppressed" : "is no longer suppressed", connection, author->who, author->why);
            store_commit(engine->store, change);
        }
    }
    buf_clear(&recipient);
}
