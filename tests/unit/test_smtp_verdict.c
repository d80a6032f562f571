/* test_smtp_verdict.c - was the mail taken, will it be, will it never be, or does nobody know? */
#include "adapters/smtp/verdict.h"

#include "test.h"

#define RETRY_MS 300000
#define DAY_MS (24 * 3600 * INT64_C(1000))

struct seen {
    CURLcode curl;
    enum smtp_phase phase;
    int code;
    int enhanced[3];
    bool is_body_given;
};

static struct smtp_verdict judge_at(struct seen seen, int64_t age_ms)
{
    struct smtp_outcome outcome = {.curl = seen.curl,
                                   .phase = seen.phase,
                                   .code = seen.code,
                                   .is_body_given = seen.is_body_given,
                                   .text = "words"};
    memcpy(outcome.enhanced, seen.enhanced, sizeof outcome.enhanced);
    struct smtp_verdict verdict;
    smtp_verdict_of(&outcome, RETRY_MS, age_ms, &verdict);
    return verdict;
}

static struct smtp_verdict judge(struct seen seen)
{
    return judge_at(seen, 0);
}

static struct seen silence(CURLcode curl, enum smtp_phase phase)
{
    return (struct seen){.curl = curl, .phase = phase, .is_body_given = phase == SMTP_PHASE_DOT};
}

/* With an enhanced code such as 5.`subject`.`detail`; 0, 0: without one. */
static struct seen answer(CURLcode curl, enum smtp_phase phase, int code, int subject, int detail)
{
    struct seen seen = silence(curl, phase);
    seen.code = code;
    if (subject || detail)
        memcpy(seen.enhanced, (int[]){code / 100, subject, detail}, sizeof seen.enhanced);
    return seen;
}

#define IS(wanted, seen) assert_int_equal(judge(seen).kind, wanted)
#define PAUSES(seen) assert_true(judge(seen).pause_ms > 0)
#define PAUSES_NOT(seen) assert_int_equal(judge(seen).pause_ms, 0)
#define WAITS(wait, seen) assert_int_equal(judge(seen).wait_ms, wait)

TEST(accepted_is_done_whichever_2xx_it_was)
{
    IS(SMTP_DONE, answer(CURLE_OK, SMTP_PHASE_DOT, 250, 0, 0));
    IS(SMTP_DONE, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 252, 0, 0));
    IS(SMTP_DONE, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 251, 1, 5));
}

TEST(silence_after_the_dot_is_unknown_however_it_came)
{
    IS(SMTP_UNKNOWN, silence(CURLE_RECV_ERROR, SMTP_PHASE_DOT));
    IS(SMTP_UNKNOWN, silence(CURLE_SEND_ERROR, SMTP_PHASE_DOT));
    IS(SMTP_UNKNOWN, silence(CURLE_OPERATION_TIMEDOUT, SMTP_PHASE_DOT));
    IS(SMTP_UNKNOWN, silence(CURLE_ABORTED_BY_CALLBACK, SMTP_PHASE_DOT));
    IS(SMTP_UNKNOWN, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 354, 0, 0));
    struct seen last = {.curl = CURLE_SEND_ERROR, .phase = SMTP_PHASE_BODY, .is_body_given = true};
    IS(SMTP_UNKNOWN, last); /* the dot may have left with the rest */
    PAUSES_NOT(silence(CURLE_RECV_ERROR, SMTP_PHASE_DOT));
}

TEST(silence_before_the_dot_is_later)
{
    for (enum smtp_phase phase = SMTP_PHASE_CONNECT; phase <= SMTP_PHASE_BODY; phase++) {
        IS(SMTP_LATER, silence(CURLE_RECV_ERROR, phase));
        IS(SMTP_LATER, silence(CURLE_SEND_ERROR, phase));
        IS(SMTP_LATER, silence(CURLE_OPERATION_TIMEDOUT, phase));
        IS(SMTP_LATER, silence(CURLE_ABORTED_BY_CALLBACK, phase));
    }
    IS(SMTP_LATER, silence(CURLE_COULDNT_CONNECT, SMTP_PHASE_CONNECT));
    IS(SMTP_LATER, silence(CURLE_COULDNT_RESOLVE_HOST, SMTP_PHASE_CONNECT));
    PAUSES_NOT(silence(CURLE_COULDNT_CONNECT, SMTP_PHASE_CONNECT)); /* core's backoff and breaker are enough */
}

TEST(a_4xx_is_later_and_never_unknown)
{
    IS(SMTP_LATER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 450, 2, 0));
    IS(SMTP_LATER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 451, 3, 0));
    IS(SMTP_LATER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 421, 0, 0));
    WAITS(RETRY_MS, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 450, 0, 0));
    WAITS(RETRY_MS, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 452, 0, 0));
    WAITS(RETRY_MS, answer(CURLE_SEND_ERROR, SMTP_PHASE_MAIL, 451, 0, 0));
    WAITS(RETRY_MS, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 452, 7, 1));
    WAITS(0, answer(CURLE_SEND_ERROR, SMTP_PHASE_MAIL, 452, 3, 1));
    WAITS(0, answer(CURLE_RECV_ERROR, SMTP_PHASE_RCPT, 421, 7, 0));
    PAUSES_NOT(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 450, 0, 0));
    PAUSES(answer(CURLE_LOGIN_DENIED, SMTP_PHASE_LOGIN, 454, 0, 0));
    PAUSES(answer(CURLE_SEND_ERROR, SMTP_PHASE_MAIL, 454, 0, 0));
}

TEST(a_5xx_about_the_mail_is_never)
{
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_MAIL, 550, 7, 1));
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 1, 1));
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 553, 0, 0));
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 556, 0, 0));
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_DATA, 554, 0, 0));
    IS(SMTP_NEVER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 554, 7, 1));
    PAUSES_NOT(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 0, 0));
}

TEST(a_code_that_says_that_there_is_no_such_mailbox_is_about_every_mail_to_it)
{
    assert_true(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 1, 1)).is_dead);
    assert_true(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 1, 10)).is_dead);
    assert_true(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 553, 1, 3)).is_dead);
    assert_true(judge(answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 550, 2, 1)).is_dead);
    assert_false(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 1, 2)).is_dead);
    assert_false(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 7, 1)).is_dead);
    assert_false(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 0, 0)).is_dead);
    assert_false(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 450, 1, 1)).is_dead);
    assert_false(judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_MAIL, 550, 1, 1)).is_dead);
}

TEST(credentials_that_are_not_accepted_stop_the_connection_and_burn_no_mail)
{
    const int codes[] = {530, 534, 535, 538};
    for (size_t i = 0; i < 4; i++)
        for (enum smtp_phase phase = SMTP_PHASE_LOGIN; phase <= SMTP_PHASE_DOT; phase++) {
            IS(SMTP_LATER, answer(CURLE_LOGIN_DENIED, phase, codes[i], 0, 0));
            PAUSES(answer(CURLE_LOGIN_DENIED, phase, codes[i], 0, 0));
        }
    IS(SMTP_LATER, answer(CURLE_LOGIN_DENIED, SMTP_PHASE_LOGIN, 550, 0, 0));
    PAUSES(silence(CURLE_LOGIN_DENIED, SMTP_PHASE_LOGIN));
}

TEST(a_server_that_does_not_ask_for_our_credentials_says_nothing_about_the_mail)
{
    struct smtp_outcome outcome = {
        .curl = CURLE_SEND_ERROR, .phase = SMTP_PHASE_RCPT, .code = 554, .is_unauthenticated = true};
    struct smtp_verdict verdict;
    smtp_verdict_of(&outcome, RETRY_MS, 0, &verdict);
    assert_int_equal(verdict.kind, SMTP_LATER);
    assert_true(verdict.pause_ms > 0 && verdict.is_down);
    assert_non_null(strstr(verdict.words, "does not offer AUTH"));
}

TEST(tls_that_cannot_be_had_stops_the_connection)
{
    IS(SMTP_LATER, answer(CURLE_USE_SSL_FAILED, SMTP_PHASE_LOGIN, 250, 0, 0));
    PAUSES(answer(CURLE_USE_SSL_FAILED, SMTP_PHASE_LOGIN, 250, 0, 0));
    assert_non_null(strstr(judge(answer(CURLE_USE_SSL_FAILED, SMTP_PHASE_LOGIN, 250, 0, 0)).words, "STARTTLS"));
    IS(SMTP_LATER, silence(CURLE_PEER_FAILED_VERIFICATION, SMTP_PHASE_CONNECT));
    PAUSES(silence(CURLE_PEER_FAILED_VERIFICATION, SMTP_PHASE_CONNECT));
}

TEST(a_greeting_that_refuses_is_not_about_the_mail)
{
    const int codes[] = {421, 450, 521, 554};
    for (size_t i = 0; i < 4; i++) {
        IS(SMTP_LATER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_CONNECT, codes[i], 0, 0));
        PAUSES(answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_CONNECT, codes[i], 0, 0));
    }
}

TEST(what_the_server_does_not_understand_is_our_fault_not_the_recipients)
{
    const int codes[] = {500, 501, 502, 503, 504, 555};
    for (size_t i = 0; i < 6; i++) {
        struct smtp_verdict verdict = judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, codes[i], 0, 0));
        assert_int_equal(verdict.kind, SMTP_LATER);
        assert_true(verdict.is_alarm);
        assert_true(verdict.wait_ms > verdict.pause_ms && verdict.pause_ms > 0); /* others get through between */
    }
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 501, 1, 3)); /* this address, it says */
}

TEST(a_full_mailbox_is_later_for_a_day_and_a_mail_too_large_is_never)
{
    IS(SMTP_LATER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 552, 0, 0));
    IS(SMTP_LATER, answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 552, 2, 2));
    IS(SMTP_LATER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 552, 2, 2));
    IS(SMTP_NEVER, answer(CURLE_SEND_ERROR, SMTP_PHASE_MAIL, 552, 3, 4));
    IS(SMTP_NEVER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 552, 2, 3));
    IS(SMTP_NEVER, answer(CURLE_WEIRD_SERVER_REPLY, SMTP_PHASE_DOT, 552, 0, 0));
    struct seen full = answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 552, 2, 2);
    assert_int_equal(judge_at(full, DAY_MS - 1).kind, SMTP_LATER);
    assert_int_equal(judge_at(full, DAY_MS).kind, SMTP_NEVER);
}

TEST(the_words_are_those_of_the_server)
{
    struct smtp_verdict verdict = judge(answer(CURLE_SEND_ERROR, SMTP_PHASE_RCPT, 550, 1, 1));
    assert_string_equal(verdict.words, "550 5.1.1 words (to RCPT)");
}

TEST(a_session_that_was_closed_between_two_mails_is_stale)
{
    struct smtp_outcome outcome = {.curl = CURLE_SEND_ERROR, .phase = SMTP_PHASE_MAIL, .code = 421, .is_reused = true};
    assert_true(smtp_verdict_is_stale(&outcome));
    outcome.code = 0;
    assert_true(smtp_verdict_is_stale(&outcome));
    outcome.curl = CURLE_OPERATION_TIMEDOUT; /* that has lasted long enough */
    assert_false(smtp_verdict_is_stale(&outcome));
    outcome = (struct smtp_outcome){.curl = CURLE_SEND_ERROR, .phase = SMTP_PHASE_MAIL, .code = 550, .is_reused = true};
    assert_false(smtp_verdict_is_stale(&outcome));
    outcome = (struct smtp_outcome){.curl = CURLE_RECV_ERROR, .phase = SMTP_PHASE_RCPT, .code = 421, .is_reused = true};
    assert_false(smtp_verdict_is_stale(&outcome));
    outcome = (struct smtp_outcome){.curl = CURLE_SEND_ERROR, .phase = SMTP_PHASE_MAIL, .code = 421};
    assert_false(smtp_verdict_is_stale(&outcome));
}
