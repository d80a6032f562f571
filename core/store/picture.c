/* picture.c - one consistent picture of the store, for a thread that takes its time
 *
 * A picture keeps alive every page that it shows: what is freed meanwhile is not used again, and the file grows.  So a
 * picture that is long in the making (a verify, a backup) asks now and then whether it is in the way. */
#include "core/store/internal.h"

#include <stdlib.h>

struct picture {
    struct environment *env;
    struct store *store; /* NULL: of a store at rest */
    MDB_txn *txn;
};

static struct picture *open_picture(struct environment *env, struct store *store, struct err *err)
{
    MDB_txn *txn;
    int status = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        err_set(err, "store: cannot read: %s", mdb_strerror(status));
        return NULL;
    }
    struct picture *picture = mem_zero(sizeof *picture);
    *picture = (struct picture){env, store, txn};
    return picture;
}

struct picture *picture_open(struct store *store, struct err *err)
{
    struct picture *picture = open_picture(&store->env, store, err);
    store->pictures += picture != NULL;
    return picture;
}

struct picture *picture_of_environment(struct environment *env, struct err *err)
{
    return open_picture(env, NULL, err);
}

void picture_close(struct picture *picture)
{
    struct store *store = picture->store;
    mdb_txn_abort(picture->txn);
    free(picture);
    if (!store)
        return;
    store->pictures--;
    store_grow_if_wanted(store);
}

bool store_is_pictured(const struct store *store)
{
    return store->pictures > 0;
}

bool picture_is_in_the_way(const struct picture *picture)
{
    return picture->store && atomic_load(&picture->store->wants_room);
}

bool picture_get(struct picture *picture, enum table table, struct slice key, struct slice *value)
{
    return key.size > 0 && picture->env->tables[table] != NO_TABLE
           && txn_get(picture->txn, picture->env->tables[table], key, value);
}

void picture_scan(struct picture *picture, enum table table, struct slice prefix,
                  bool (*each)(void *context, struct slice key, struct slice value), void *context)
{
    txn_scan(picture->txn, picture->env->tables[table], prefix, SLICE_NONE, each, context);
}

MDB_txn *picture_txn(struct picture *picture)
{
    return picture->txn;
}

MDB_dbi picture_table(struct picture *picture, enum table table)
{
    return picture->env->tables[table];
}
