/* test_opsgenie_update.c - what OpsGenie tells us of an alert, and the event that becomes of it */
#include "adapters/opsgenie/opsgenie.h"

#include "test.h"

static struct opsgenie_update update;
static json_t *properties;

static void forget(void)
{
    buf_clear(&update.record);
    json_decref(properties);
    properties = NULL;
}

static struct slice record(void)
{
    return buf_slice(&update.record);
}

/* Reads the body; the words of the error, or "". */
static const char *read_update(const char *body)
{
    static struct err err;
    err = (struct err)ERR_INIT;
    forget();
    bool ok = opsgenie_update_read(slice_of(body), "headgate", &update, &err);
    struct slice text = record_get(record(), "properties");
    assert_true(ok == (err.text[0] == '\0'));
    if (ok)
        properties = json_loadb(text.data, text.size, 0, NULL);
    return err.text;
}

static const char *property(const char *name)
{
    const char *text = json_string_value(json_object_get(properties, name));
    return text ? text : "";
}

static bool body_says(const char *words)
{
    struct slice body = record_get(record(), "body");
    return memmem(body.data, body.size, words, strlen(words));
}

#define ALERT(rest) "\"alert\":{\"alertId\":\"a7\",\"tinyId\":\"412\",\"alias\":\"disk\"" rest "}"
#define UPDATE(action, rest)                                                                                           \
    "{\"source\":{\"name\":\"web\",\"type\":\"API\"}," ALERT(rest) ",\"action\":\"" action "\"}"

TEST(an_update_says_which_alert_what_was_done_and_when)
{
    assert_string_equal(
        read_update(UPDATE("Close", ",\"username\":\"nina@example.com\",\"updatedAt\":1763804467512000431")), "");
    assert_string_equal(property("action"), "Close");
    assert_string_equal(property("alert_id"), "a7");
    assert_string_equal(property("alias"), "disk");
    assert_string_equal(property("tiny_id"), "412");
    assert_string_equal(property("username"), "nina@example.com");
    assert_string_equal(property("message_id"), "a7 Close 1763804467512000431");
    assert_int_equal(record_get_integer(record(), "time_ms", 0), 1763804467512);
    assert_true(body_says("1763804467512000431")); /* as it came, all digits of it */
    assert_false(update.is_own);
    forget();
}

TEST(a_moment_is_understood_in_ms_and_in_ns)
{
    read_update(UPDATE("Close", ",\"updatedAt\":1763804467512"));
    assert_int_equal(record_get_integer(record(), "time_ms", 0), 1763804467512);
    read_update(UPDATE("Close", ",\"updatedAt\":-5"));
    assert_int_equal(record_get_integer(record(), "time_ms", 0), 0);
    read_update(UPDATE("Close", ",\"updatedAt\":\"soon\""));
    assert_int_equal(record_get_integer(record(), "time_ms", 0), 0);
    forget();
}

/* Equal names: the flow runs once. */
static bool are_the_same(const char *one, const char *other)
{
    char name[300];
    assert_string_equal(read_update(one), "");
    snprintf(name, sizeof name, "%s", property("message_id"));
    assert_string_equal(read_update(other), "");
    assert_true(strlen(name) > 0 && strlen(name) <= KEY_MAX_BYTES);
    return strcmp(name, property("message_id")) == 0;
}

#define ESCALATE(count, who)                                                                                           \
    "{\"escalationId\":\"e1\",\"escalationTime\":0,\"repeatCount\":" count ",\"escalationNotify\":{\"id\":\"" who      \
    "\"},\"alert\":{\"alertId\":\"a7\"},\"action\":\"Escalate\"}"

TEST(the_same_update_has_the_same_name_and_no_other)
{
    assert_true(are_the_same(UPDATE("AddNote", ",\"updatedAt\":1"), UPDATE("AddNote", ",\"updatedAt\":1")));
    assert_false(are_the_same(UPDATE("AddNote", ",\"updatedAt\":1"), UPDATE("AddNote", ",\"updatedAt\":2")));
    assert_false(are_the_same(UPDATE("AddNote", ",\"updatedAt\":1"), UPDATE("AddTags", ",\"updatedAt\":1")));
    /* each team that an alert is routed to tells us of its creation */
    assert_true(are_the_same(UPDATE("Create", ",\"updatedAt\":1"), UPDATE("Create", ",\"updatedAt\":2")));
    assert_true(are_the_same(ESCALATE("0", "u1"), ESCALATE("0", "u1")));
    assert_false(are_the_same(ESCALATE("0", "u1"), ESCALATE("1", "u1")));
    assert_false(are_the_same(ESCALATE("0", "u1"), ESCALATE("0", "u2")));
    assert_false(are_the_same(UPDATE("Restart", ",\"x\":1"), UPDATE("Restart", ",\"x\":2"))); /* no moment: all of it */
    assert_false(are_the_same("{\"action\":\"Create\",\"x\":1}", "{\"action\":\"Create\",\"x\":2}")); /* no alert */
    forget();
}

TEST(an_escalation_has_its_own_shape_and_names_the_alert_by_id_only)
{
    assert_string_equal(read_update(ESCALATE("0", "u1")), "");
    assert_string_equal(property("alert_id"), "a7");
    assert_string_equal(property("alias"), "");
    assert_int_equal(record_get_integer(record(), "time_ms", 0), 0);
    forget();
}

TEST(the_secret_that_is_repeated_in_the_body_is_not_kept)
{
    read_update(
        "{\"headers\":{\"X-Hook-Secret\":\"hush\"}," ALERT(",\"updatedAt\":9007199254740993") ",\"action\":\"Close\"}");
    assert_false(body_says("hush"));
    assert_false(body_says("headers"));
    assert_true(body_says("9007199254740993"));
    /* a repeat with another secret, while it is changed, is still a repeat */
    assert_true(are_the_same("{\"headers\":{\"S\":\"1\"},\"action\":\"Restart\"}",
                             "{\"headers\":{\"S\":\"2\"},\"action\":\"Restart\"}"));
    forget();
}

TEST(an_action_is_known_however_it_is_written_and_a_custom_one_keeps_its_name)
{
    static const char *const rows[][2] = {{"acknowledge", "Acknowledge"},        {"Un Acknowledge", "UnAcknowledge"},
                                          {"Update Priority", "UpdatePriority"}, {"ADDNOTE", "AddNote"},
                                          {"TestAction", "TestAction"},          {"\xc3\xbc", "\xc3\xbc"}};
    char body[300];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(body, sizeof body, UPDATE("%s", ""), rows[i][0]);
        assert_string_equal(read_update(body), "");
        assert_string_equal(property("action"), rows[i][1]);
    }
    assert_true(opsgenie_update_is("Update Priority", "updatepriority"));
    assert_false(opsgenie_update_is("Update", "UpdatePriority"));
    assert_false(opsgenie_update_is_known("TestAction"));
    forget();
}

TEST(what_our_own_calls_caused_is_known)
{
    read_update("{\"source\":{\"name\":\"headgate\",\"type\":\"API\"}," ALERT("") ",\"action\":\"Close\"}");
    assert_true(update.is_own);
    forget();
}

TEST(what_is_no_update_is_refused_with_words)
{
    assert_non_null(strstr(read_update("{\"action\":"), "no JSON"));
    assert_non_null(strstr(read_update(""), "no JSON"));
    assert_non_null(strstr(read_update("[1]"), "no `action`"));
    assert_non_null(strstr(read_update("{\"alert\":{}}"), "no `action`"));
    assert_non_null(strstr(read_update("{\"action\":5}"), "no `action`"));
    forget();
}

TEST(names_that_are_too_long_are_cut_or_hashed)
{
    struct buf body = BUF_INIT(10000);
    buf_addf(&body, "{\"action\":\"%0500d\",\"alert\":{\"alertId\":\"%0500d\",\"updatedAt\":1}}", 0, 0);
    assert_string_equal(read_update(body.data), "");
    assert_true(strlen(property("message_id")) <= KEY_MAX_BYTES);
    assert_true(strlen(property("alert_id")) < 80);
    buf_clear(&body);
    forget();
}
