/* written.c - to a trace: which campaigns wrote to the recipient of that name, and what became of it
 *
 * A trace is asked for with the key of events; an address is often the question of a person ("did she get it?").  The
 * ledger answers for every campaign there ever was, receipts or not. */
#include "core/admin/internal.h"

#include "core/campaign/suppressed.h"

struct writing {
    struct admin *admin;
    struct connection *connection;
    struct buf recipient; /* as they are recognised on it */
    const char *verb;     /* that reaches recipients */
    json_t *list;
};

static json_t *effect_of(struct writing *writing, struct slice row)
{
    json_t *asked = json_pack("[s, s, I]", writing->connection->name, writing->verb,
                              (json_int_t)record_get_integer(row, "number", 0));
    json_t *effect = trace_effect(engine_store(writing->admin->engine), asked);
    json_decref(asked);
    return effect;
}

static bool add_campaign(void *context, struct slice key, struct slice value)
{
    struct writing *writing = context;
    size_t skip = strlen(key.data) + 1;
    struct slice name = {key.data + skip, key.size - skip}, row;
    struct store_key place = ledger_prefix(writing->connection->name, name);
    (void)value;
    store_key_add(&place, buf_slice(&writing->recipient));
    if (!store_get(engine_store(writing->admin->engine), TABLE_LEDGER, store_key_slice(&place), &row))
        return true;
    bool is_unfit = record_has(row, "why");
    json_array_append_new(writing->list,
                          json_pack("{s:o, s:s, s:I, s:o, s:o}", "campaign", json_of(name), "connection",
                                    writing->connection->name, "at", (json_int_t)record_get_integer(row, "at", 0),
                                    "why", json_of_field(row, "why"), "effect",
                                    is_unfit ? json_null() : effect_of(writing, row)));
    return true;
}

static void add_suppression(struct writing *writing)
{
    struct slice row;
    if (suppressed_find(engine_store(writing->admin->engine), writing->connection->name, buf_slice(&writing->recipient),
                        &row))
        json_array_append_new(writing->list,
                              json_pack("{s:s, s:I, s:o, s:o}", "connection", writing->connection->name, "suppressed",
                                        (json_int_t)record_get_integer(row, "at", 0), "who", json_of_field(row, "who"),
                                        "why", json_of_field(row, "why")));
}

json_t *written_to(struct admin *admin, const char *key)
{
    json_t *list = json_array();
    struct connection *connection;
    for (size_t i = 0; (connection = engine_connection_at(admin->engine, i)); i++) {
        struct writing writing = {admin, connection, BUF_INIT(RECIPIENT_MAX), NULL, list};
        struct store_key prefix = STORE_KEY_INIT;
        struct err none = ERR_INIT;
        const struct verb *verb = connection->adapter->verbs;
        while (verb && verb->name && !verb->campaign_field)
            verb++;
        bool is_one = verb && verb->name
                      && (verb->canonical ? verb->canonical(slice_of(key), &writing.recipient, &none)
                                          : buf_add_text(&writing.recipient, key));
        store_key_add_text(&prefix, connection->name);
        if (is_one) {
            writing.verb = verb->name;
            store_scan(engine_store(admin->engine), TABLE_CAMPAIGNS, store_key_slice(&prefix), SLICE_NONE, add_campaign,
                       &writing);
            add_suppression(&writing);
        }
        buf_clear(&writing.recipient);
    }
    return list;
}
