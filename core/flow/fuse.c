/* fuse.c - see fuse.h */
#include "core/flow/fuse.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/flow/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PERSON_SIZE 16   /* bytes of a person's hash: the store keeps no addresses here */
#define PERSON_MOST 1024 /* bytes of an address that are looked at */
#define RATIO_WINDOW_MS 600000

struct claimed {
    struct tally tally; /* as of what was decided */
    int64_t window_ms;
    int64_t asking; /* by a claim that is not counted yet */
    unsigned users; /* claims that have it */
    struct store_key key;
};

/* ---- numbers: counters that are read again at once ------------------------------------------------- */

static int64_t *number(struct fuses *fuses, const char *counter)
{
    int64_t *value = map_get(&fuses->numbers, slice_of(counter));
    if (!value) {
        value = mem_new(sizeof *value);
        *value = store_counter(fuses->store, counter);
        map_put(&fuses->numbers, slice_of(counter), value);
    }
    return value;
}

#define COUNTER_MAX (NAME_MAX_BYTES + 40)
static const char *counter_name(char *room, const char *scope, const char *name, const char *what)
{
    snprintf(room, COUNTER_MAX, "%s.%s.%s", scope, name, what);
    return room;
}

static void add(struct fuses *fuses, struct change *change, const char *counter, int64_t difference)
{
    *number(fuses, counter) += difference;
    change_count(change, counter, difference);
}

static int64_t resets_of(struct fuses *fuses, const char *scope, const char *name)
{
    char counter[COUNTER_MAX];
    return *number(fuses, counter_name(counter, scope, name, "resets"));
}

/* ---- claims ------------------------------------------------------------------------------------------ */

static struct claimed *find(struct fuses *fuses, const struct store_key *key)
{
    struct claimed *claimed = map_get(&fuses->under_way, store_key_slice(key));
    struct slice row;
    int64_t expires_ms;
    if (claimed)
        return claimed;
    claimed = mem_zero(sizeof *claimed);
    claimed->key = *key;
    if (store_get_until(fuses->store, TABLE_FUSES, store_key_slice(key), &expires_ms, &row))
        tally_decode(&claimed->tally, row);
    map_put(&fuses->under_way, store_key_slice(key), claimed);
    return claimed;
}

/* Room for one more in the tally of `kind`; it is in the claim from now on. */
static struct claimed *claim_add(struct fuses *fuses, struct fuse_claim *claim, const char *scope, const char *name,
                                 const char *kind, struct slice rest, int64_t window_ms)
{
    struct store_key key = STORE_KEY_INIT;
    store_key_add_text(&key, scope);
    store_key_add_text(&key, name);
    store_key_add_text(&key, kind);
    store_key_add(&key, rest);
    struct claimed *claimed = find(fuses, &key);
    int64_t epoch = resets_of(fuses, scope, name);
    if (claimed->tally.epoch != epoch)
        claimed->tally = (struct tally){.epoch = epoch};
    claimed->window_ms = window_ms;
    claimed->users++;
    claim->list = mem_resize(claim->list, (claim->count + 1) * sizeof claim->list[0]);
    claim->list[claim->count++] = claimed;
    return claimed;
}

void fuse_count(struct fuses *fuses, struct fuse_claim *claim, struct change *change)
{
    int64_t now_ms = clock_now_ms();
    struct buf row = BUF_INIT(sizeof(struct tally));
    (void)fuses;
    for (size_t i = 0; i < claim->count; i++) {
        struct claimed *claimed = claim->list[i];
        if (!claimed->asking)
            continue; /* it is in the claim more than once */
        tally_add(&claimed->tally, claimed->window_ms, now_ms, claimed->asking);
        claimed->asking = 0;
        buf_reset(&row);
        tally_encode(&claimed->tally, &row);
        change_put_until(change, TABLE_FUSES, store_key_slice(&claimed->key),
                         tally_end(&claimed->tally, claimed->window_ms), buf_slice(&row));
    }
    buf_clear(&row);
}

void fuse_end(struct fuses *fuses, struct fuse_claim *claim)
{
    for (size_t i = 0; i < claim->count; i++) {
        struct claimed *claimed = claim->list[i];
        claimed->asking = 0;
        if (--claimed->users == 0) {
            map_remove(&fuses->under_way, store_key_slice(&claimed->key));
            free(claimed);
        }
    }
    free(claim->list);
    claim->list = NULL;
    claim->count = 0;
}

/* ---- one effect ---------------------------------------------------------------------------------------- */

/* One limit that an effect has to keep. */
struct guard {
    const char *scope, *name; /* whose: "flow" and its name, "lane" and its connection's */
    const char *kind;         /* what is counted */
    struct slice rest;
    const struct quota *quota;
    const char *who, *may; /* "flow f", "may reach one person" */
    const char *where;     /* in which file it is said, and how */
};

static const char *window_word(int64_t window_ms)
{
    return window_ms >= 86400000  ? "a day"
           : window_ms >= 3600000 ? "an hour"
           : window_ms >= 60000   ? "a minute"
                                  : "a second";
}

static bool pass(struct fuses *fuses, struct fuse_claim *claim, const struct fuse_load *load, const struct guard *guard,
                 struct err *why)
{
    const struct quota *quota = guard->quota;
    char limit[QUOTA_TEXT_MAX];
    if (!quota || !quota->most)
        return true;
    struct claimed *claimed =
        claim_add(fuses, claim, guard->scope, guard->name, guard->kind, guard->rest, quota->window_ms);
    int64_t after = tally_sum(&claimed->tally, quota->window_ms, clock_now_ms()) + ++claimed->asking;
    if (after <= quota->most)
        return true;
    claim->connection = strcmp(guard->scope, "lane") == 0 ? guard->name : NULL;
    bool is_person = guard->rest.size > 0;
    return err_set(why, "%s.%s%s%.*s would be number %" PRId64 " within %s; %s %s %s (%s%s)", load->connection->name,
                   load->verb->name, is_person ? " to " : "", is_person ? (int)load->recipient.size : 0,
                   is_person ? load->recipient.data : "", after, window_word(quota->window_ms), guard->who, guard->may,
                   quota_text(quota, limit), quota->is_built_in ? "built in; another by " : "", guard->where);
}

static bool pass_flow(struct fuses *fuses, struct fuse_claim *claim, const struct fuse_load *load, struct slice person,
                      struct err *why)
{
    const struct limits *limits = &load->manifest->limits;
    const struct quota *quota = manifest_quota(load->manifest, load->connection->name);
    char who[NAME_MAX_BYTES + 10], may[NAME_MAX_BYTES + 20], where[NAME_MAX_BYTES + 40];
    if (quota && quota->is_built_in && (!person.size || load->is_listed))
        quota = NULL;
    snprintf(who, sizeof who, "flow %s", load->flow);
    snprintf(may, sizeof may, "may ask %s for", load->connection->name);
    snprintf(where, sizeof where, "limits: %s in flow.yaml", load->connection->name);
    struct guard all = {"flow",           load->flow, "/effects",    SLICE_NONE,
                        &limits->effects, who,        "may ask for", "limits: effects in flow.yaml"};
    struct guard to = {"flow", load->flow, load->connection->name, SLICE_NONE, quota, who, may, where};
    struct guard one = {"flow",
                        load->flow,
                        "/person",
                        person,
                        person.size ? &limits->per_recipient : NULL,
                        who,
                        "may reach one person",
                        "limits: per_recipient in flow.yaml"};
    return pass(fuses, claim, load, &all, why) && pass(fuses, claim, load, &to, why)
           && pass(fuses, claim, load, &one, why);
}

static bool pass_connection(struct fuses *fuses, struct fuse_claim *claim, const struct fuse_load *load,
                            struct slice person, struct err *why)
{
    const struct limits *limits = load->connection->fuse;
    char who[NAME_MAX_BYTES + 40];
    if (!limits)
        return true;
    snprintf(who, sizeof who, "connection %s, for all flows,", load->connection->name);
    struct guard all = {"lane",
                        load->connection->name,
                        "/effects",
                        SLICE_NONE,
                        &limits->effects,
                        who,
                        "may be asked for",
                        "fuse: effects in headgate.yaml"};
    struct guard one = {"lane",
                        load->connection->name,
                        "/person",
                        person,
                        person.size ? &limits->per_recipient : NULL,
                        who,
                        "may reach one person",
                        "fuse: per_recipient in headgate.yaml"};
    return pass(fuses, claim, load, &all, why) && pass(fuses, claim, load, &one, why);
}

/* Upper and lower case reach the same person. */
static struct slice person_of(struct slice recipient, unsigned char digest[HASH_SIZE])
{
    char folded[PERSON_MOST];
    size_t size = recipient.size < sizeof folded ? recipient.size : sizeof folded;
    if (!size)
        return SLICE_NONE;
    for (size_t i = 0; i < size; i++)
        folded[i] =
            (char)(recipient.data[i] >= 'A' && recipient.data[i] <= 'Z' ? recipient.data[i] | 0x20 : recipient.data[i]);
    struct slice part = {folded, size};
    hash_parts(&part, 1, digest);
    return (struct slice){(const char *)digest, PERSON_SIZE};
}

/* Its event came again, long after it was forgotten as seen: the lane will find its mark, and not send it. */
static bool was_sent(struct fuses *fuses, const struct fuse_load *load)
{
    struct slice nothing;
    int64_t expires_ms;
    return !load->verb->is_idempotent
           && store_get_until(fuses->store, TABLE_SENT, slice_of(load->effect_id), &expires_ms, &nothing);
}

bool fuse_take(struct fuses *fuses, struct fuse_claim *claim, const struct fuse_load *load, struct err *why)
{
    unsigned char digest[HASH_SIZE];
    struct slice person = person_of(load->recipient, digest);
    const struct quota *quota = manifest_quota(load->manifest, load->connection->name);
    bool is_free = !person.size && !load->manifest->limits.effects.most && (!quota || quota->is_built_in)
                   && (!load->connection->fuse || !load->connection->fuse->effects.most);
    return is_free || was_sent(fuses, load)
           || (pass_flow(fuses, claim, load, person, why) && pass_connection(fuses, claim, load, person, why));
}

/* ---- failures ------------------------------------------------------------------------------------------- */

bool fuse_note(struct fuses *fuses, struct change *change, const char *scope, const char *name, const char *what,
               bool is_good, int64_t most)
{
    char counter[COUNTER_MAX];
    if (!most)
        return true;
    int64_t in_a_row = *number(fuses, counter_name(counter, scope, name, what));
    if (!is_good)
        add(fuses, change, counter, 1);
    else if (in_a_row)
        add(fuses, change, counter, -in_a_row);
    return is_good || in_a_row + 1 < most;
}

bool fuse_note_run(struct fuses *fuses, struct fuse_claim *claim, struct change *change, const char *flow,
                   int64_t percent, bool is_good)
{
    if (!percent)
        return true;
    int64_t now_ms = clock_now_ms();
    struct claimed *runs = claim_add(fuses, claim, "flow", flow, "/runs", SLICE_NONE, RATIO_WINDOW_MS);
    struct claimed *bad = claim_add(fuses, claim, "flow", flow, "/failed", SLICE_NONE, RATIO_WINDOW_MS);
    runs->asking++;
    bad->asking += !is_good;
    fuse_count(fuses, claim, change);
    int64_t all = tally_sum(&runs->tally, RATIO_WINDOW_MS, now_ms);
    return is_good || all < FUSE_RATIO_LEAST || 100 * tally_sum(&bad->tally, RATIO_WINDOW_MS, now_ms) < percent * all;
}

void fuse_reset(struct fuses *fuses, struct change *change, const char *scope, const char *name)
{
    static const char *const streaks[] = {"failing", "failing_effects"};
    char counter[COUNTER_MAX];
    for (size_t i = 0; i < sizeof streaks / sizeof *streaks; i++) {
        int64_t in_a_row = *number(fuses, counter_name(counter, scope, name, streaks[i]));
        if (in_a_row)
            add(fuses, change, counter, -in_a_row);
    }
    add(fuses, change, counter_name(counter, scope, name, "resets"), 1);
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

void fuses_open(struct fuses *fuses, struct store *store)
{
    *fuses = (struct fuses){.store = store};
}

static void free_value(void *context, struct slice key, void *value)
{
    (void)context, (void)key;
    free(value);
}

void fuses_clear(struct fuses *fuses)
{
    map_each(&fuses->under_way, free_value, NULL);
    map_each(&fuses->numbers, free_value, NULL);
    map_clear(&fuses->under_way);
    map_clear(&fuses->numbers);
}
