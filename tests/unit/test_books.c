/* test_books.c - the books balance, and the check can fail */
#include "flow_kit.h"

#define LUA                                                                                                            \
    "local step = {} function step.run(event) if event.id == 'bad' then error 'bad' end "                              \
    "if event.id == 'read' then box.get { name = 'n' } end box.put { text = event.id } end return step"

static int nth;

/* One of each: delivered, held, waiting; the rest waits, too. */
static void answer_in_turn(struct delivery *delivery)
{
    nth++;
    if (nth == 1)
        delivery_done(delivery, "ok");
    else if (nth == 2)
        delivery_never(delivery, "no");
    else
        delivery_later(delivery, 600000, "not now");
}

static void make_a_bit_of_everything(void)
{
    nth = 0;
    flow_open(MANIFEST, LUA);
    kit.on_deliver = answer_in_turn;
    arrive_id(1, "one", "a");
    arrive_id(2, "two", "b");
    arrive_id(3, "three", "c");
    arrive_id(4, "one", "a");
    arrive_id(5, "bad", "d");
    arrive_id(6, "read", "e");
    WAIT_UNTIL(kit.question_count == 1);
    question_later(kit.questions[0], "busy");
    flow_set_gate(flow, false); /* what is in the inbox stays there */
    WAIT_UNTIL(kit.ack_count == 6 && nth == 3 && lane_is_idle(kit.connections[0].lane));
}

TEST(every_event_and_effect_is_in_the_books_once)
{
    make_a_bit_of_everything();
    struct books books = read_books();
    const struct flow_book *f = books_flow(&books, "f");
    const struct lane_book *l = books_lane(&books, "box");
    assert_int_equal(f->received, 6);
    assert_int_equal(f->finished, 3);
    assert_int_equal(f->repeat, 1);
    assert_int_equal(f->waiting, 1);
    assert_int_equal(f->held, 1);
    assert_int_equal(l->asked, 3);
    assert_int_equal(l->delivered, 1);
    assert_int_equal(l->held, 1);
    assert_int_equal(l->waiting, 1);
    assert_int_equal(f->difference, 0);
    assert_int_equal(l->difference, 0);
    assert_null(books_flow(&books, "nobody"));
    assert_null(books_lane(&books, "nobody"));
    books_clear(&books);
    bool is_done;
    struct change *change = kit_change(&is_done); /* a person gives the event up */
    flow_discard(flow, change, SLICE_NONE, "");
    held_remove(change, 1);
    kit_commit(change, &is_done);
    expect_balance();
    flow_close();
}

struct first {
    char key[STORE_KEY_MAX];
    size_t size;
    const char *kind; /* of a held row; NULL: any */
};

static bool take_first(void *context, struct slice key, struct slice value)
{
    struct first *first = context;
    if (first->kind && !slice_is(record_get(value, "kind"), first->kind))
        return true;
    memcpy(first->key, key.data, key.size);
    first->size = key.size;
    return false;
}

static void remove_by_hand(enum table table, const char *kind)
{
    struct first first = {.size = 0, .kind = kind};
    bool is_done;
    store_scan(kit.store, table, SLICE_NONE, SLICE_NONE, take_first, &first);
    assert_true(first.size > 0);
    struct change *change = kit_change(&is_done);
    change_delete(change, table, (struct slice){first.key, first.size});
    kit_commit(change, &is_done);
}

TEST(a_row_that_is_removed_by_hand_makes_a_difference)
{
    static const struct {
        enum table table;
        const char *kind;
        int flow, lane;
    } losses[] = {{TABLE_INBOX, NULL, 1, 0},
                  {TABLE_HELD, "event", 2, 0},
                  {TABLE_OUTBOX, NULL, 2, 1},
                  {TABLE_HELD, "effect", 2, 2}};
    make_a_bit_of_everything();
    for (size_t i = 0; i < 4; i++) {
        remove_by_hand(losses[i].table, losses[i].kind);
        struct books books = read_books();
        assert_int_equal(books_flow(&books, "f")->difference, losses[i].flow);
        assert_int_equal(books_lane(&books, "box")->difference, losses[i].lane);
        books_clear(&books);
    }
    flow_close();
}

TEST(a_counter_that_is_wrong_makes_a_difference)
{
    make_a_bit_of_everything();
    bool is_done;
    struct change *change = kit_change(&is_done);
    change_count(change, "flow.f.finished", 1);
    change_count(change, "lane.box.delivered", 1);
    kit_commit(change, &is_done);
    struct books books = read_books();
    assert_int_equal(books_flow(&books, "f")->difference, -1);
    assert_int_equal(books_lane(&books, "box")->difference, -1);
    books_clear(&books);
    flow_close();
}
