/* test_lane_room.c - a backlog that has filled the store drains, and then the store takes events in again */
#include "lane_kit.h"

#define LARGE 8000 /* bytes of an effect */

static void add_large(struct change *change, int number)
{
    static char text[LARGE];
    struct buf row = BUF_INIT(2 * LARGE), fields = BUF_INIT(2 * LARGE);
    char key[16];
    memset(text, 'x', sizeof text);
    snprintf(key, sizeof key, "k%d", number % 50);
    record_add_integer(&fields, "number", number);
    record_add_text(&fields, "text", (struct slice){text, sizeof text});
    struct effect effect = {.flow = "f",
                            .release = "r",
                            .step = "s",
                            .key = slice_of(key),
                            .event_id = slice_of("e"),
                            .verb = fake_verbs,
                            .asked_ms = clock_now_ms(),
                            .fields = buf_slice(&fields)};
    snprintf(effect.id, sizeof effect.id, "large-%d", number);
    effect_encode(&effect, &row);
    lane_add(lane, change, buf_slice(&row));
    buf_clear(&row);
    buf_clear(&fields);
}

static int last_of_key[50];

static void take_in_order(struct delivery *delivery)
{
    int number = number_of(delivery), key = number % 50;
    assert_true(number > last_of_key[key]);
    last_of_key[key] = number;
    delivery_done(delivery, "ok");
}

TEST(an_outbox_that_has_filled_the_store_drains_in_order_and_makes_room)
{
    kit.limit_bytes = STORE_LEAST_LIMIT;
    kit_open();
    lane = kit_lane(0, 8);
    connection_pause(&kit.connections[0], 3600000, "an outage");
    int count = 0;
    while (count < 1200) { /* what was taken in before the sources were paused goes in above the mark */
        struct change *change = change_new(on_committed, lane);
        for (int i = 0; i < 50; i++)
            add_large(change, count++);
        is_committed = false;
        store_commit(kit.store, change);
        WAIT_UNTIL(is_committed);
    }
    WAIT_UNTIL(was_told(STORE_HIGH));
    assert_int_equal(view_of().waiting, count);
    reopen_lane(); /* the outage is over, and a start finds the store above its mark */
    memset(last_of_key, -1, sizeof last_of_key);
    kit.on_deliver = take_in_order;
    WAIT_UNTIL(view_of().waiting == 0);
    assert_int_equal(kit.delivery_count, count);
    expect_settled();
    WAIT_UNTIL(store_get_state(kit.store) == STORE_OK);
    kit_close();
}
