/* test_smtp_sandbox.c - the simulated mailbox keeps SMTP's rules, and shows who breaks them
 *
 * The simulator runs on a loop in a thread of its own; the tests are blocking clients on loopback
 * that know SMTP by heart.  Every read has a deadline, so nothing can hang. */
#include "tests/unit/smtp_scene.h"

/* ---- what arrives ---------------------------------------------------------------------------------- */

TEST(a_mail_is_kept_byte_for_byte_without_its_stuffed_dots)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    assert_int_equal(bring(&scene, "ada@example.net", HEADERS "\r\n..one dot\r\n...two\r\n"), 250);
    char *source = http(&scene, "GET", "/sandbox/mailbox/mails/1", "");
    assert_string_equal(source, HEADERS "\r\n.one dot\r\n..two\r\n");
    free(source);
    shows(&scene, "/sandbox/mailbox/mails", "\"from\":\"support@example.com\",\"to\":[\"ada@example.net\"]");
    shows(&scene, SUMMARY, "\"violations\":0");
    scene_close(&scene);
}

TEST(a_message_id_that_came_before_makes_a_repeat)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 250);
    shows(&scene, SUMMARY, "\"repeats\":0");
    assert_int_equal(bring(&scene, "bob@example.net", MAIL), 250);
    shows(&scene, SUMMARY, "\"repeats\":1");
    shows(&scene, "/sandbox/mailbox/recipients", "\"bob@example.net\":{\"mails\":1,\"repeats\":1}");
    shows(&scene, "/sandbox/mailbox/mails?to=ada@example.net", "\"id\":1");
    char *ada = http(&scene, "GET", "/sandbox/mailbox/mails?to=ADA@example.net", "");
    assert_null(strstr(ada, "\"id\":2"));
    free(ada);
    shows(&scene, "/sandbox/mailbox/mails?limit=1", "[{\"id\":2");
    shows(&scene, "/sandbox/mailbox/mails?after=1", "[{\"id\":2");
    free(http(&scene, "POST", "/sandbox/mailbox/reset", ""));
    shows(&scene, SUMMARY, "\"count\":0");
    scene_close(&scene);
}

TEST(an_encoded_subject_is_shown_decoded)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    assert_int_equal(bring(&scene, "ada@example.net",
                           "Date: Sun, 22 Nov 2026 09:41:07 +0000\r\nFrom: a@example.com\r\nTo: b@example.com\r\n"
                           "Message-ID: <s@example.com>\r\n"
                           "Subject: =?UTF-8?B?U3TDtnI=?=\r\n =?UTF-8?Q?ung_=C3=BCber?= all\r\n\r\nx\r\n"),
                     250);
    shows(&scene, "/sandbox/mailbox/mails",
          "\"subject\":\"St\xc3\xb6rung \xc3\xbc"
          "ber all\"");
    shows(&scene, SUMMARY, "\"violations\":0");
    scene_close(&scene);
}

TEST(many_mails_go_through_one_session)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client = client_greeted(&scene);
    for (int i = 0; i < 50; i++)
        assert_int_equal(send_mail(&client, "ada@example.net", MAIL), 250);
    assert_int_equal(say(&client, "QUIT\r\n"), 221);
    assert_int_equal(reply(&client), 0);
    client_close(&client);
    shows(&scene, SUMMARY, "\"count\":50");
    shows(&scene, SUMMARY, "\"violations\":0");
    scene_close(&scene);
}

TEST(a_mail_that_breaks_off_leaves_nothing)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client = client_greeted(&scene);
    assert_int_equal(begin_mail(&client, "ada@example.net"), 354);
    client_write(&client, MAIL, strlen(MAIL));
    client_close(&client);
    shows(&scene, SUMMARY, "\"count\":0");
    scene_close(&scene);
}

TEST(a_mail_over_the_limit_is_refused)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client = client_greeted(&scene);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com> SIZE=100001\r\n"), 552);
    struct buf mail = BUF_INIT(1 << 20);
    buf_add_text(&mail, HEADERS "\r\n");
    while (mail.size < 110000)
        buf_add_text(&mail, "0123456789012345678901234567890123456789\r\n");
    assert_int_equal(send_mail(&client, "ada@example.net", mail.data), 552);
    assert_int_equal(send_mail(&client, "ada@example.net", MAIL), 250);
    shows(&scene, SUMMARY, "\"count\":1");
    buf_clear(&mail);
    client_close(&client);
    scene_close(&scene);
}

/* ---- strictness ---------------------------------------------------------------------------------------- */

TEST(a_command_hidden_behind_another_is_flagged)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client = client_greeted(&scene);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com>\r\nRCPT TO:<evil@example.com>\r\n"), 250);
    assert_int_equal(reply(&client), 503);
    assert_int_equal(reply(&client), 0);
    client_close(&client);
    shows(&scene, VIOLATIONS, "before the reply");
    scene_close(&scene);
}

TEST(what_comes_out_of_turn_is_refused_and_flagged)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client = client_open(&scene);
    assert_int_equal(reply(&client), 220);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com>\r\n"), 503);
    assert_int_equal(say(&client, "EHLO\r\n"), 501);
    assert_int_equal(say(&client, "EHLO x\r\n"), 250);
    assert_int_equal(say(&client, "RCPT TO:<a@example.com>\r\n"), 503);
    assert_int_equal(say(&client, "DATA\r\n"), 503);
    assert_int_equal(say(&client, "MAIL FROM: <a@example.com>\r\n"), 501);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com> SMTPUTF8\r\n"), 555);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com>\r\n"), 250);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com>\r\n"), 503);
    assert_int_equal(say(&client, "RCPT TO:<a>b@example.com>\r\n"), 501);
    assert_int_equal(say(&client, "RCPT TO:<a@example.com> NOTIFY=FAILURE\r\n"), 555);
    assert_int_equal(say(&client, "DATA\r\n"), 554);
    assert_int_equal(say(&client, "FROBNICATE\r\n"), 500);
    assert_int_equal(say(&client, "NOOP\nNOOP\r\n"), 500);
    assert_int_equal(say(&client, "STARTTLS\r\n"), 502);
    assert_int_equal(say(&client, "AUTH PLAIN AGEAYg==\r\n"), 502);
    client_close(&client);
    shows(&scene, SUMMARY, "\"violations\":14");
    scene_close(&scene);
}

TEST(a_bare_line_feed_in_a_mail_is_refused_and_flagged)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    assert_int_equal(bring(&scene, "ada@example.net", HEADERS "\r\none\n.\ntwo\r\n"), 554);
    shows(&scene, VIOLATIONS, "a bare CR or LF in the mail");
    shows(&scene, VIOLATIONS, "a dot after a bare LF");
    shows(&scene, SUMMARY, "\"count\":0");
    assert_int_equal(bring(&scene, "ada@example.net", HEADERS "\r\none\rtwo\r\n"), 554);
    scene_close(&scene);
}

static void flagged(const char *mail, const char *violation)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    assert_int_equal(bring(&scene, "ada@example.net", mail), 250);
    shows(&scene, VIOLATIONS, violation);
    shows(&scene, SUMMARY, "\"violations\":1");
    scene_close(&scene);
}

TEST(a_line_that_is_too_long_is_flagged)
{
    char mail[2000];
    snprintf(mail, sizeof mail, "%s\r\n%0998d\r\n", HEADERS, 0);
    static struct scene scene;
    scene_open(&scene, NULL, false);
    assert_int_equal(bring(&scene, "ada@example.net", mail), 250);
    shows(&scene, SUMMARY, "\"violations\":0");
    scene_close(&scene);
    snprintf(mail, sizeof mail, "%s\r\n%0999d\r\n", HEADERS, 0);
    flagged(mail, "longer than 998");
}

TEST(every_flaw_of_a_mail_is_flagged)
{
    flagged(HEADERS "\r\n\xc3\xbc\r\n", "8-bit octets");
    flagged(HEADERS "\r\n.unstuffed\r\n", "not doubled");
    flagged(HEADERS "Bcc: x@example.com\r\n\r\nx\r\n", "Bcc");
    flagged(HEADERS "Subject: again\r\n\r\nx\r\n", "Subject stands there twice");
    flagged(HEADERS "no colon\r\n\r\nx\r\n", "without a proper name");
    flagged(HEADERS "X-A: =?UTF-8?B?w7w=?= =?UTF-8?B?ww==?=\r\n\r\nx\r\n", "ends inside a character");
    flagged(HEADERS "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\nx\r\n", "not closed");
    flagged("From: a@example.com\r\nTo: b@example.com\r\nMessage-ID: <1@x>\r\nSubject: x\r\n\r\nx\r\n",
            "Date is missing");
    flagged("Date: Sun, 22 Nov 2026 09:41:07 GMT\r\nFrom: a@example.com\r\nTo: b@example.com\r\n"
            "Message-ID: <1@x>\r\nSubject: x\r\n\r\nx\r\n",
            "Date is not");
    flagged("Date: Sun, 22 Nov 2026 09:41:07 +0000\r\nFrom: a@example.com\r\nTo: b@example.com\r\n"
            "Message-ID: 1@x\r\nSubject: x\r\n\r\nx\r\n",
            "Message-ID is not");
}

TEST(a_mail_shorter_than_it_said_is_flagged)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client = client_greeted(&scene);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com> SIZE=5000\r\n"), 250);
    assert_int_equal(say(&client, "RCPT TO:<b@example.com>\r\n"), 250);
    assert_int_equal(say(&client, "DATA\r\n"), 354);
    client_write(&client, MAIL, strlen(MAIL));
    assert_int_equal(say(&client, ".\r\n"), 250);
    client_close(&client);
    shows(&scene, VIOLATIONS, "SIZE=5000 was said");
    scene_close(&scene);
}

/* ---- faults --------------------------------------------------------------------------------------------- */

TEST(a_cut_after_the_dot_leaves_the_mail_kept)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    fault(&scene, "{\"phase\": \"dot\", \"cut\": \"after\"}");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 0);
    shows(&scene, SUMMARY, "\"count\":1");
    fault(&scene, "{\"phase\": \"dot\", \"cut\": \"before\"}");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 0);
    shows(&scene, SUMMARY, "\"count\":1");
    fault(&scene, "{\"phase\": \"body\", \"cut\": \"before\"}");
    struct client client = client_greeted(&scene);
    assert_int_equal(begin_mail(&client, "ada@example.net"), 354);
    client_write(&client, "Date: ", 6);
    assert_int_equal(reply(&client), 0);
    client_close(&client);
    shows(&scene, SUMMARY, "\"count\":1");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 250);
    shows(&scene, SUMMARY, "\"violations\":0");
    scene_close(&scene);
}

TEST(a_fault_for_one_recipient_strikes_as_often_as_asked)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    fault(&scene, "{\"phase\": \"rcpt\", \"to\": \"ada@example.net\", \"times\": 2, \"reply\": \"450 4.2.0 later\"}");
    assert_int_equal(bring(&scene, "bob@example.net", MAIL), 250);
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 450);
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 450);
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 250);
    fault(&scene, "{\"phase\": \"dot\", \"to\": \"ada@example.net\", \"reply\": \"554 5.7.1 no\", \"times\": -1}");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 554);
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 554);
    assert_int_equal(bring(&scene, "bob@example.net", MAIL), 250);
    free(http(&scene, "DELETE", "/sandbox/mailbox/faults", ""));
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 250);
    shows(&scene, SUMMARY, "\"count\":4");
    scene_close(&scene);
}

TEST(every_phase_can_fail)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    struct client client;
    fault(&scene, "{\"phase\": \"greeting\", \"reply\": \"554 5.3.2 no\"}");
    client = client_open(&scene);
    assert_int_equal(reply(&client), 554);
    assert_int_equal(reply(&client), 0);
    client_close(&client);
    fault(&scene, "{\"phase\": \"ehlo\", \"reply\": \"421 4.3.2 busy\"}");
    client = client_open(&scene);
    assert_int_equal(reply(&client), 220);
    assert_int_equal(say(&client, "EHLO x\r\n"), 421);
    assert_int_equal(reply(&client), 0);
    client_close(&client);
    fault(&scene, "{\"phase\": \"mail\", \"reply\": \"451 4.3.0 later\"}");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 451);
    fault(&scene, "{\"phase\": \"data\", \"cut\": \"before\"}");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 0);
    fault(&scene, "{\"phase\": \"dot\", \"reply\": \"252 2.0.0 perhaps\"}");
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 252);
    shows(&scene, SUMMARY, "\"count\":1");
    scene_close(&scene);
}

TEST(a_fault_that_makes_no_sense_is_refused)
{
    static const char *const wishes[] = {"{",
                                         "{}",
                                         "{\"phase\": \"dot\"}",
                                         "{\"phase\": \"no\", \"hang\": true}",
                                         "{\"phase\": \"mail\", \"to\": \"a@b\", \"hang\": true}",
                                         "{\"phase\": \"dot\", \"reply\": \"no\"}",
                                         "{\"phase\": \"dot\", \"hang\": true, \"typo\": 1}"};
    static struct scene scene;
    scene_open(&scene, NULL, false);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        char *text = http(&scene, "POST", "/sandbox/mailbox/faults", wishes[i]);
        assert_non_null(strstr(text, "\"error\""));
        free(text);
    }
    shows(&scene, "/sandbox/mailbox/faults", "[]");
    scene_close(&scene);
}

TEST(a_late_reply_comes_late_and_who_does_not_wait_is_flagged)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    fault(&scene, "{\"phase\": \"dot\", \"delay_ms\": 300}");
    uint64_t start = uv_hrtime();
    assert_int_equal(bring(&scene, "ada@example.net", MAIL), 250);
    assert_true(uv_hrtime() - start >= 200000000u);
    shows(&scene, SUMMARY, "\"violations\":0");
    fault(&scene, "{\"phase\": \"dot\", \"delay_ms\": 2000}");
    struct client client = client_greeted(&scene);
    assert_int_equal(begin_mail(&client, "ada@example.net"), 354);
    client_write(&client, MAIL ".\r\n", strlen(MAIL ".\r\n"));
    while (true) { /* until the dot is taken and its reply waits */
        char *text = http(&scene, "GET", SUMMARY, "");
        bool is_kept = strstr(text, "\"count\":2");
        free(text);
        if (is_kept)
            break;
    }
    client_write(&client, "NOOP\r\n", 6);
    assert_int_equal(reply(&client), 250);
    assert_int_equal(reply(&client), 503);
    client_close(&client);
    shows(&scene, VIOLATIONS, "before the reply");
    scene_close(&scene);
}

TEST(a_hanging_session_ends_with_the_simulator)
{
    static struct scene scene;
    scene_open(&scene, NULL, false);
    fault(&scene, "{\"phase\": \"dot\", \"hang\": true}");
    struct client client = client_greeted(&scene);
    assert_int_equal(begin_mail(&client, "ada@example.net"), 354);
    client_write(&client, MAIL ".\r\n", strlen(MAIL ".\r\n"));
    fault(&scene, "{\"phase\": \"body\", \"hang\": true}");
    struct client other = client_greeted(&scene);
    assert_int_equal(begin_mail(&other, "bob@example.net"), 354);
    client_write(&other, MAIL, strlen(MAIL));
    shows(&scene, SUMMARY, "\"count\":1");
    scene_close(&scene);
    assert_int_equal(reply(&client), 0); /* closed without a word */
    client_close(&client);
    client_close(&other);
}

/* ---- login and TLS ----------------------------------------------------------------------------------------- */

TEST(without_a_login_nothing_is_taken)
{
    static const char *const login[] = {"mailbox_user", "bot", "mailbox_password", "secret", NULL};
    static struct scene scene;
    scene_open(&scene, login, false);
    struct client client = client_greeted(&scene);
    assert_int_equal(say(&client, "MAIL FROM:<a@example.com>\r\n"), 530);
    assert_int_equal(say(&client, "AUTH PLAIN AGJvdAB3cm9uZw==\r\n"), 535);
    assert_int_equal(say(&client, "AUTH PLAIN\r\n"), 334);
    assert_int_equal(say(&client, "*\r\n"), 501);
    assert_int_equal(say(&client, "AUTH PLAIN AGJvdABzZWNyZXQ=\r\n"), 235);
    assert_int_equal(send_mail(&client, "ada@example.net", MAIL), 250);
    client_close(&client);
    client = client_greeted(&scene);
    assert_int_equal(say(&client, "AUTH LOGIN\r\n"), 334);
    assert_int_equal(say(&client, "Ym90\r\n"), 334);
    assert_int_equal(say(&client, "c2VjcmV0\r\n"), 235);
    fault(&scene, "{\"phase\": \"auth\", \"reply\": \"454 4.7.0 later\"}");
    client_close(&client);
    client = client_greeted(&scene);
    assert_int_equal(say(&client, "AUTH LOGIN\r\n"), 454);
    client_close(&client);
    shows(&scene, SUMMARY, "\"logins\":2,\"bad_logins\":1");
    shows(&scene, SUMMARY, "\"violations\":0");
    char *all = http(&scene, "GET", VIOLATIONS, "");
    assert_null(strstr(all, "secret"));
    free(all);
    scene_close(&scene);
}

/* A key and a certificate that it signed itself, as PEM files. */
static void make_certificate(char *certificate, char *key, size_t room)
{
    snprintf(certificate, room, "%s/certificate.pem", test_folder());
    snprintf(key, room, "%s/key.pem", test_folder());
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, pair);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1,
                               -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_sign(x509, pair, EVP_sha256());
    FILE *file = fopen(certificate, "w");
    PEM_write_X509(file, x509);
    fclose(file);
    file = fopen(key, "w");
    PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(x509);
    EVP_PKEY_free(pair);
}

TEST(starttls_hides_the_login_and_forgets_what_was_said_in_clear)
{
    char certificate[200], key[200];
    make_certificate(certificate, key, sizeof key);
    const char *const tls[] = {"mailbox_certificate", certificate, "mailbox_key", key, "mailbox_user", "bot",
                               "mailbox_password",    "secret",    NULL};
    static struct scene scene;
    scene_open(&scene, tls, false);
    struct client client = client_greeted(&scene);
    assert_int_equal(say(&client, "AUTH PLAIN AGJvdABzZWNyZXQ=\r\n"), 538);
    assert_int_equal(say(&client, "STARTTLS\r\n"), 220);
    begin_tls(&client);
    assert_int_equal(say(&client, "AUTH PLAIN AGJvdABzZWNyZXQ=\r\n"), 503); /* EHLO comes first */
    assert_int_equal(say(&client, "EHLO x\r\n"), 250);
    assert_int_equal(say(&client, "AUTH PLAIN AGJvdABzZWNyZXQ=\r\n"), 235);
    assert_int_equal(send_mail(&client, "ada@example.net", MAIL), 250);
    assert_int_equal(say(&client, "STARTTLS\r\n"), 503);
    assert_int_equal(say(&client, "QUIT\r\n"), 221);
    client_close(&client);
    shows(&scene, SUMMARY, "\"count\":1");
    client = client_greeted(&scene);
    assert_int_equal(say(&client, "STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n"), 220);
    begin_tls(&client);
    assert_int_equal(say(&client, "EHLO x\r\n"), 250); /* not the answer to MAIL */
    client_close(&client);
    shows(&scene, VIOLATIONS, "behind STARTTLS");
    shows(&scene, SUMMARY, "\"violations\":4");
    scene_close(&scene);
}

TEST(tls_from_the_first_byte)
{
    char certificate[200], key[200];
    make_certificate(certificate, key, sizeof key);
    const char *const tls[] = {"mailbox_certificate", certificate, "mailbox_key", key, NULL};
    static struct scene scene;
    scene_open(&scene, tls, true);
    struct client client = client_open(&scene);
    begin_tls(&client);
    assert_int_equal(reply(&client), 220);
    assert_int_equal(say(&client, "EHLO x\r\n"), 250);
    struct buf mail = BUF_INIT(1 << 20);
    buf_add_text(&mail, HEADERS "\r\n");
    while (mail.size < 90000)
        buf_add_text(&mail, "0123456789012345678901234567890123456789\r\n");
    assert_int_equal(send_mail(&client, "ada@example.net", mail.data), 250);
    char *source = http(&scene, "GET", "/sandbox/mailbox/mails/1", "");
    assert_string_equal(source, mail.data);
    free(source);
    buf_clear(&mail);
    client_close(&client);
    client = client_open(&scene); /* a client that speaks in clear */
    client_write(&client, "EHLO x\r\n", 8);
    assert_int_not_equal(reply(&client), 220);
    client_close(&client);
    shows(&scene, SUMMARY, "\"tls_failures\":1");
    scene_close(&scene);
}

TEST(a_taken_port_is_said)
{
    static struct scene scene;
    struct err err = ERR_INIT;
    struct buf says = BUF_INIT(4096);
    scene_open(&scene, NULL, false);
    struct settings *settings = settings_new(simulator_mailbox.options);
    settings_set_number(settings, "mailbox_smtp_port", scene.smtp_port);
    uv_loop_t loop;
    uv_loop_init(&loop);
    assert_null(simulator_mailbox.start(&loop, settings, &says, &err));
    assert_non_null(strstr(err.text, "mailbox: SMTP"));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    settings_free(settings);
    buf_clear(&says);
    scene_close(&scene);
}
