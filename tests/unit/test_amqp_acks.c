/* test_amqp_acks.c - which deliveries of a channel are answered */
#include "adapters/amqp/rabbit.h"

#include "test.h"

static struct rabbit_acks delivered(uint64_t count)
{
    struct rabbit_acks acks;
    rabbit_acks_init(&acks);
    for (uint64_t tag = 1; tag <= count; tag++)
        rabbit_acks_add(&acks, tag);
    return acks;
}

TEST(only_the_longest_finished_prefix_is_acked)
{
    struct rabbit_acks acks = delivered(5);
    assert_true(rabbit_acks_settle(&acks, 3, RABBIT_FINISHED));
    assert_true(rabbit_acks_settle(&acks, 2, RABBIT_FINISHED));
    assert_int_equal(rabbit_acks_prefix(&acks), 0);
    assert_true(rabbit_acks_settle(&acks, 1, RABBIT_FINISHED));
    assert_int_equal(rabbit_acks_prefix(&acks), 3);
    assert_int_equal(rabbit_acks_prefix(&acks), 0); /* never the same tag twice: that would close the channel */
    assert_int_equal(acks.open, 2);
    rabbit_acks_clear(&acks);
}

TEST(a_delivery_that_was_put_back_is_stepped_over_and_never_named)
{
    struct rabbit_acks acks = delivered(4);
    assert_true(rabbit_acks_settle(&acks, 2, RABBIT_SETTLED));
    assert_true(rabbit_acks_settle(&acks, 1, RABBIT_FINISHED));
    assert_int_equal(rabbit_acks_prefix(&acks), 1); /* 2 is no longer open at the broker: naming it is an error */
    assert_true(rabbit_acks_settle(&acks, 4, RABBIT_SETTLED));
    assert_true(rabbit_acks_settle(&acks, 3, RABBIT_FINISHED));
    assert_int_equal(rabbit_acks_prefix(&acks), 3);
    assert_int_equal(acks.open, 0);
    assert_int_equal(acks.finished, 0);
    rabbit_acks_clear(&acks);
}

TEST(a_second_answer_and_one_for_an_unknown_delivery_are_refused)
{
    struct rabbit_acks acks = delivered(2);
    assert_false(rabbit_acks_settle(&acks, 0, RABBIT_FINISHED));
    assert_false(rabbit_acks_settle(&acks, 3, RABBIT_FINISHED));
    assert_true(rabbit_acks_settle(&acks, 2, RABBIT_FINISHED));
    assert_false(rabbit_acks_settle(&acks, 2, RABBIT_FINISHED));
    assert_false(rabbit_acks_settle(&acks, 2, RABBIT_SETTLED));
    assert_int_equal(acks.finished, 1);
    rabbit_acks_clear(&acks);
}

TEST(what_is_finished_behind_an_open_one_can_be_acked_singly)
{
    struct rabbit_acks acks = delivered(6);
    rabbit_acks_settle(&acks, 2, RABBIT_FINISHED);
    rabbit_acks_settle(&acks, 4, RABBIT_FINISHED);
    rabbit_acks_settle(&acks, 5, RABBIT_SETTLED);
    uint64_t at = 0;
    assert_int_equal(rabbit_acks_single(&acks, &at), 2);
    assert_int_equal(rabbit_acks_single(&acks, &at), 4);
    assert_int_equal(rabbit_acks_single(&acks, &at), 0);
    rabbit_acks_settle(&acks, 1, RABBIT_FINISHED);
    assert_int_equal(rabbit_acks_prefix(&acks), 1); /* 2 was acked already; multiple up to it would be an error */
    rabbit_acks_settle(&acks, 3, RABBIT_FINISHED);
    rabbit_acks_settle(&acks, 6, RABBIT_FINISHED);
    assert_int_equal(rabbit_acks_prefix(&acks), 6);
    rabbit_acks_clear(&acks);
}

TEST(one_slow_delivery_lets_any_number_pass)
{
    struct rabbit_acks acks = delivered(1);
    for (uint64_t tag = 2; tag <= 10000; tag++) {
        rabbit_acks_add(&acks, tag);
        rabbit_acks_settle(&acks, tag, tag % 2 ? RABBIT_FINISHED : RABBIT_SETTLED);
    }
    assert_int_equal(rabbit_acks_prefix(&acks), 0);
    assert_int_equal(acks.finished, 4999);
    rabbit_acks_settle(&acks, 1, RABBIT_FINISHED);
    assert_int_equal(rabbit_acks_prefix(&acks), 9999);
    rabbit_acks_clear(&acks);
}

/* Random orders against the plainest model there is: what the broker holds as unacknowledged. */
TEST(in_any_order_everything_is_acked_once_and_nothing_that_is_open)
{
    enum { COUNT = 3000 };
    static bool is_open[COUNT + 1], is_finished[COUNT + 1];
    struct rabbit_acks acks = delivered(0);
    unsigned seed = 7;
    uint64_t next = 1, answered = 0;
    for (uint64_t tag = 1; tag <= COUNT; tag++)
        is_open[tag] = is_finished[tag] = false;
    while (answered < COUNT) {
        for (int i = rand_r(&seed) % 20; i > 0 && next <= COUNT; i--) {
            rabbit_acks_add(&acks, next);
            is_open[next++] = true;
        }
        for (int i = rand_r(&seed) % 20; i > 0; i--) {
            uint64_t tag = 1 + (uint64_t)rand_r(&seed) % COUNT;
            bool is_ack = rand_r(&seed) % 4;
            bool is_answerable = tag < next && is_open[tag] && !is_finished[tag];
            assert_int_equal(rabbit_acks_settle(&acks, tag, is_ack ? RABBIT_FINISHED : RABBIT_SETTLED), is_answerable);
            answered += is_answerable;
            is_finished[tag] = is_finished[tag] || (is_answerable && is_ack);
            is_open[tag] = is_open[tag] && !(is_answerable && !is_ack);
        }
        uint64_t upto = rabbit_acks_prefix(&acks), at = 0, one;
        assert_true(upto == 0 || is_open[upto]); /* else 406 */
        for (uint64_t tag = 1; tag <= upto; tag++) {
            assert_true(!is_open[tag] || is_finished[tag]);
            is_open[tag] = false;
        }
        while (rand_r(&seed) % 3 == 0 && (one = rabbit_acks_single(&acks, &at))) {
            assert_true(is_open[one] && is_finished[one]);
            is_open[one] = false;
        }
    }
    rabbit_acks_prefix(&acks);
    assert_int_equal(acks.open, 0);
    assert_int_equal(acks.finished, 0);
    rabbit_acks_clear(&acks);
}
