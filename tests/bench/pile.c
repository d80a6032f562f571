/* pile.c - a backlog, made in seconds, and drained: in a store that nobody has open
 *
 *      pile DATA CONNECTION fill COUNT KEYS   COUNT effects of KEYS keys, written as the engine writes them
 *      pile DATA CONNECTION drain COUNT       delivers so many to a far side that takes each at once; prints ms of
 *                                             opening, effects a second, and the most private memory (KB) */
#include "core/base/clock.h"
#include "core/lane/lane.h"

#include <stdio.h>
#include <stdlib.h>

#define OF_ONE_CHANGE 5000

static long committed, delivered;

static void deliver(struct connection *connection, struct delivery *delivery)
{
    (void)connection;
    delivered++;
    delivery_done(delivery, "ok");
}

static const struct verb verbs[] = {{.name = "publish", .is_idempotent = true}, {.name = NULL}};
static const struct adapter nothing = {.name = "nothing", .verbs = verbs, .deliver = deliver};

static void on_committed(void *context)
{
    (void)context;
    committed++;
}

static void on_state(void *context, enum store_state state, const char *why)
{
    (void)context, (void)state, (void)why;
}

static void add(struct lane *lane, struct change *change, long number, long keys)
{
    static struct buf row = BUF_INIT(4096), fields = BUF_INIT(2048);
    char key[32], event[32];
    snprintf(key, sizeof key, "CTRL-%05ld", number % keys);
    snprintf(event, sizeof event, "event-%ld", number);
    buf_reset(&fields);
    record_add_text(&fields, "exchange", slice_of("bench.nowhere"));
    record_add_text(&fields, "routing_key", slice_of(key));
    record_add_text(&fields, "body",
                    slice_of("{\"controller_id\":\"CTRL\",\"degrees\":82,\"text\":\"it is too hot\"}"));
    struct effect effect = {.flow = "pile",
                            .release = "bench",
                            .step = "run",
                            .verb = &verbs[0],
                            .key = slice_of(key),
                            .event_id = slice_of(event),
                            .asked_ms = clock_now_ms(),
                            .fields = buf_slice(&fields)};
    effect_make_id("pile", slice_of(event), "run", 0, effect.id);
    buf_reset(&row);
    effect_encode(&effect, &row);
    lane_add(lane, change, buf_slice(&row));
}

static void fill(uv_loop_t *loop, struct store *store, struct lane *lane, long count, long keys)
{
    long changes = 0;
    for (long number = 0; number < count; changes++) {
        struct change *change = change_new(on_committed, NULL);
        for (int i = 0; i < OF_ONE_CHANGE && number < count; i++)
            add(lane, change, number++, keys);
        store_commit(store, change);
        while (changes - committed > 8) /* not all of it in memory */
            uv_run(loop, UV_RUN_ONCE);
    }
    while (committed < changes)
        uv_run(loop, UV_RUN_ONCE);
}

static long private_kb(void)
{
    char line[200];
    long kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "RssAnon: %ld", &kb) == 1)
            break;
    if (status)
        fclose(status);
    return kb;
}

static void drain(uv_loop_t *loop, struct lane *lane, long count, int64_t open_ns)
{
    int64_t began_ns = clock_mono_ns();
    long most_kb = 0;
    struct lane_view view;
    lane_start(lane);
    while (delivered < count) {
        uv_run(loop, UV_RUN_ONCE);
        long kb = private_kb();
        most_kb = kb > most_kb ? kb : most_kb;
        lane_look(lane, &view);
        if (!view.waiting)
            break;
    }
    double seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    printf("%.1f %.0f %ld\n", (double)open_ns / 1e6, (double)delivered / seconds, most_kb);
    lane_stop(lane);
    while (!lane_is_idle(lane))
        uv_run(loop, UV_RUN_ONCE);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    struct err err = ERR_INIT;
    enum store_failure failure;
    struct held_numbers held;
    bool fills = argc == 6 && strcmp(argv[3], "fill") == 0;
    if (!fills && !(argc == 5 && strcmp(argv[3], "drain") == 0)) {
        fputs("usage: pile DATA CONNECTION fill COUNT KEYS | pile DATA CONNECTION drain COUNT\n", stderr);
        return 64;
    }
    uv_loop_init(&loop);
    struct store_options options = {.folder = argv[1], .limit_bytes = INT64_C(64) << 30, .on_state = on_state};
    struct store *store = store_open(&loop, &options, &failure, &err);
    if (!store) {
        fprintf(stderr, "pile: %s\n", err.text);
        return 74;
    }
    held_open(&held, store);
    struct connection connection = {.name = argv[2], .adapter = &nothing, .loop = &loop};
    struct lane_options lane_options = {.concurrency = 500, .receipts_ms = 86400000};
    int64_t began_ns = clock_mono_ns();
    struct lane *lane = lane_open(store, &held, &connection, &lane_options);
    if (fills)
        fill(&loop, store, lane, strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10));
    else
        drain(&loop, lane, strtol(argv[4], NULL, 10), clock_mono_ns() - began_ns);
    store_close(store);
    lane_close(lane);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
