/* restore.c - see restore.h */
#include "core/engine/restore.h"

#include "core/base/clock.h"
#include "core/flow/release.h"
#include "core/store/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct marking {
    struct picture *picture;
    struct change *change;
    const char *text; /* for whoever decides about an effect */
    bool resends;
    int64_t waiting; /* effects */
    int64_t paused;  /* campaigns */
    int64_t tripped; /* flows */
    bool runs;       /* of the flow that is looked at: something would, as soon as it may */
    uint64_t last_audit;
};

static bool mark(void *context, struct slice key, struct slice value)
{
    struct marking *marking = context;
    struct slice attempts = SLICE_NONE;
    struct buf row = BUF_INIT(10000);
    (void)value;
    marking->waiting++;
    if (marking->resends)
        return true;
    picture_get(marking->picture, TABLE_ATTEMPTS, key, &attempts);
    record_add_text(&row, "state", slice_of("sending"));
    record_add_integer(&row, "count", record_get_integer(attempts, "count", 0));
    record_add_integer(&row, "due_ms", 0);
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "text", slice_of(marking->text));
    change_put(marking->change, TABLE_ATTEMPTS, key, buf_slice(&row));
    buf_clear(&row);
    return true;
}

/* A campaign that runs would go on with recipients who may have been written to since. */
static bool pause_campaign(void *context, struct slice key, struct slice value)
{
    struct marking *marking = context;
    struct buf row = BUF_INIT(10000);
    if (marking->resends || !slice_is(record_get(value, "state"), "running"))
        return true;
    buf_add_slice(&row, value); /* of a name that is there twice, the last one counts */
    record_add_text(&row, "state", slice_of("paused"));
    record_add_text(&row, "who", slice_of("restore"));
    record_add_text(&row, "why", slice_of(marking->text));
    record_add_integer(&row, "since", clock_now_ms());
    change_put(marking->change, TABLE_CAMPAIGNS, key, buf_slice(&row));
    marking->paused++;
    buf_clear(&row);
    return true;
}

static bool is_in_inbox(void *context, struct slice key, struct slice value)
{
    (void)key, (void)value;
    ((struct marking *)context)->runs = true;
    return false;
}

/* The first timer is the one that is due first. */
static bool is_due(void *context, struct slice key, struct slice value)
{
    struct marking *marking = context;
    (void)value;
    size_t prefix = strnlen(key.data, key.size) + 1;
    marking->runs |=
        key.size >= prefix + 8 && (int64_t)store_key_number((struct slice){key.data + prefix, 8}) <= clock_now_ms();
    return false;
}

/* Events of the inbox and timers that are due may have run since, and would ask for the same again, of which nothing
 * marks that it was sent: their flow's gate is tripped, so that a person looks first. */
static bool trip(void *context, struct slice key, struct slice value)
{
    struct marking *marking = context;
    struct store_key prefix = STORE_KEY_INIT;
    store_key_add_text(&prefix, release_kind_name(RELEASE_FLOW));
    if (key.size <= prefix.size || memcmp(key.data, prefix.bytes, prefix.size) != 0)
        return true;
    struct slice flow = {key.data + prefix.size, key.size - prefix.size}; /* with the zero behind it */
    marking->runs = false;
    picture_scan(marking->picture, TABLE_INBOX, flow, is_in_inbox, marking);
    picture_scan(marking->picture, TABLE_TIMERS, flow, is_due, marking);
    if (marking->resends || !marking->runs || record_get_integer(value, "tripped_at", 0))
        return true;
    struct buf row = BUF_INIT(10000);
    buf_add_slice(&row, value);
    record_add_integer(&row, "tripped_at", clock_now_ms());
    record_add_text(&row, "reason", slice_of(marking->text));
    record_add_text(&row, "fuse", SLICE_NONE);
    change_put(marking->change, TABLE_GATES, key, buf_slice(&row));
    marking->tripped++;
    buf_clear(&row);
    return true;
}

static bool find_last(void *context, struct slice key, struct slice value)
{
    (void)value;
    ((struct marking *)context)->last_audit = store_key_number(key);
    return true;
}

static void add_audit(struct marking *marking, const struct restore_options *options)
{
    struct store_key key = STORE_KEY_INIT;
    struct buf row = BUF_INIT(65536);
    picture_scan(marking->picture, TABLE_AUDIT, SLICE_NONE, find_last, marking);
    store_key_add_number(&key, marking->last_audit + 1);
    record_add_integer(&row, "at", clock_now_ms());
    record_add_text(&row, "who", slice_of(options->author.who));
    record_add_text(&row, "why", slice_of(options->author.why));
    record_add_text(&row, "what", slice_of("restore"));
    record_add_text(&row, "subject", slice_of("store"));
    record_add_text(&row, "text", slice_of(marking->text));
    change_put(marking->change, TABLE_AUDIT, store_key_slice(&key), buf_slice(&row));
    buf_clear(&row);
}

/* All that the new store needs to be told, in one change. */
static bool tell(struct environment *env, const struct restore_options *options, const char *text,
                 struct restored *restored, struct err *err)
{
    struct marking marking = {.picture = picture_of_environment(env, err), .text = text, .resends = options->resends};
    if (!marking.picture)
        return false;
    marking.change = change_new(NULL, NULL);
    picture_scan(marking.picture, TABLE_OUTBOX, SLICE_NONE, mark, &marking);
    picture_scan(marking.picture, TABLE_CAMPAIGNS, SLICE_NONE, pause_campaign, &marking);
    picture_scan(marking.picture, TABLE_GATES, SLICE_NONE, trip, &marking);
    add_audit(&marking, options);
    picture_close(marking.picture);
    restored->waiting = marking.waiting;
    restored->paused = marking.paused;
    restored->tripped = marking.tripped;
    return environment_write(env, marking.change, err);
}

static void describe(const char *backup, char *text, size_t room)
{
    struct stat about = {.st_mtime = 0};
    char moment[CLOCK_TEXT_MAX];
    stat(backup, &about);
    snprintf(text, room, "the store was put back from a backup of %s: what happened since then is not known",
             clock_text((int64_t)about.st_mtime * 1000, moment));
}

bool restore(const struct restore_options *options, struct restored *restored, enum store_failure *failure,
             struct err *err)
{
    struct environment env = {.lock_fd = -1}, file = {.lock_fd = -1};
    char text[200], place[REST_PATH_MAX];
    *restored = (struct restored){.waiting = 0};
    *failure = STORE_FAILED;
    describe(options->backup, text, sizeof text);
    bool ok = environment_open_file(&file, options->backup, true, err)
              && environment_lock(&env, options->folder, failure, err) && rest_copy(&env, file.mdb, place, err);
    environment_close(&file);
    env.keeps_copies = false; /* of a backup that is older than this version: it is the copy */
    ok = ok && environment_open_at(&env, place, err) && tell(&env, options, text, restored, err);
    environment_shut(&env);
    ok = ok && rest_exchange(&env, restored->aside, err);
    environment_close(&env);
    return ok;
}
