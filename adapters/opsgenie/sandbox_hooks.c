/* sandbox_hooks.c - tells others what happens to the alerts of the simulated OpsGenie
 *
 *     {"url": "http://127.0.0.1:8281/hooks/alerts/on-call", "headers": {"X-Hook-Secret": "..."}}
 *     {..., "repeat": 1}          each is sent once more than needed
 *     {..., "reverse": true}      of two that follow each other closely the later one comes first
 *     {..., "lose": 2}            the next two are never sent
 *     {..., "retries": 3}         what is not answered 2xx is sent again so often
 *     {..., "style": "ms"}        updatedAt in ms, as newer payloads have it; else in ns, as documented
 *
 * As the real one does, each update repeats the configured headers in its body.  Every update is a
 * letter with a timer of its own: it waits to be sent, or to be sent again. */
#include "adapters/opsgenie/sandbox.h"

#include "core/base/clock.h"
#include "core/net/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REVERSE_MS 300 /* how long a letter waits for one that overtakes it */
#define RETRY_MS 200
#define HEADERS_MOST 20

struct hook {
    struct hook *next;
    json_t *wish; /* as it was asked for; owned */
    const char *url, *style;
    const json_t *headers; /* object of strings, or NULL; lent by `wish` */
    int repeat, lose, retries, reverse;
    bool is_off;
    struct letter *waiting; /* with `reverse`: the one that may be overtaken */
    uint64_t sent, taken;   /* attempts, and those that were answered 2xx */
};

struct letter {
    struct letter *next, **self; /* in hooks->letters */
    struct sandbox_hooks *hooks;
    struct hook *hook;
    uv_timer_t timer;
    char *text;
    int tries;
};

struct sandbox_hooks {
    uv_loop_t *loop;
    struct http *http;
    const struct sandbox_alerts *alerts;
    struct hook *first;
    struct letter *letters;
    int64_t last_ms;  /* of the latest update: two never have the same moment */
    unsigned handles; /* letters that are not closed yet, and one for who holds this */
    void (*closed)(void *context);
    void *context; /* of closed */
};

struct sandbox_hooks *sandbox_hooks_new(uv_loop_t *loop, const struct sandbox_alerts *alerts)
{
    struct sandbox_hooks *hooks = mem_zero(sizeof *hooks);
    struct err err = ERR_INIT;
    hooks->loop = loop;
    hooks->alerts = alerts;
    hooks->handles = 1;
    hooks->http = http_open(loop, &(struct http_options){.connections = 1}, &err); /* one: in order */
    return hooks;
}

static void hooks_release(struct sandbox_hooks *hooks)
{
    if (--hooks->handles > 0)
        return;
    void (*closed)(void *) = hooks->closed;
    void *context = hooks->context;
    while (hooks->first) {
        struct hook *hook = hooks->first;
        hooks->first = hook->next;
        json_decref(hook->wish);
        free(hook);
    }
    free(hooks);
    closed(context);
}

/* ---- letters -------------------------------------------------------------------------------------------- */

static void on_letter_closed(uv_handle_t *handle)
{
    struct letter *letter = handle->data;
    struct sandbox_hooks *hooks = letter->hooks;
    free(letter->text);
    free(letter);
    hooks_release(hooks);
}

static void letter_end(struct letter *letter)
{
    *letter->self = letter->next;
    if (letter->next)
        letter->next->self = letter->self;
    if (letter->hook->waiting == letter)
        letter->hook->waiting = NULL;
    uv_close((uv_handle_t *)&letter->timer, on_letter_closed);
}

static void on_send(uv_timer_t *timer);

static void on_answer(const struct http_reply *reply, void *context)
{
    struct letter *letter = context;
    struct hook *hook = letter->hook;
    bool is_taken = reply->status >= 200 && reply->status < 300;
    hook->taken += is_taken;
    if (!is_taken && letter->tries <= hook->retries && !hook->is_off)
        uv_timer_start(&letter->timer, on_send, RETRY_MS, 0);
    else
        letter_end(letter);
}

static void on_send(uv_timer_t *timer)
{
    struct letter *letter = timer->data;
    struct hook *hook = letter->hook;
    const char *headers[HEADERS_MOST + 2] = {"Content-Type: application/json"}, *name;
    char *lines[HEADERS_MOST];
    size_t count = 0;
    json_t *value;
    json_object_foreach((json_t *)hook->headers, name, value) {
        struct buf line = BUF_INIT(10000);
        buf_addf(&line, "%s: %s", name, json_string_value(value));
        lines[count] = buf_take(&line);
        headers[1 + count] = lines[count];
        count++;
    }
    if (hook->waiting == letter)
        hook->waiting = NULL;
    letter->tries++;
    hook->sent++;
    http_send(
        letter->hooks->http,
        &(struct http_request){.method = "POST", .url = hook->url, .headers = headers, .body = slice_of(letter->text)},
        on_answer, letter);
    while (count)
        free(lines[--count]);
}

static void letter_new(struct sandbox_hooks *hooks, struct hook *hook, const char *text)
{
    struct letter *letter = mem_zero(sizeof *letter);
    *letter = (struct letter){.hooks = hooks, .hook = hook, .text = mem_text(text), .next = hooks->letters};
    letter->self = &hooks->letters;
    if (letter->next)
        letter->next->self = &letter->next;
    hooks->letters = letter;
    hooks->handles++;
    uv_timer_init(hooks->loop, &letter->timer);
    letter->timer.data = letter;
    struct letter *waiting = hook->waiting;
    bool waits = hook->reverse && !waiting;
    hook->waiting = waits ? letter : NULL;
    uv_timer_start(&letter->timer, on_send, waits ? REVERSE_MS : 0, 0);
    if (waiting)
        uv_timer_start(&waiting->timer, on_send, 1, 0);
}

/* ---- what they say ------------------------------------------------------------------------------------------ */

static json_t *joined(const json_t *texts)
{
    struct buf all = BUF_INIT(1 << 20);
    for (size_t i = 0; i < json_array_size(texts); i++)
        buf_addf(&all, "%s%s", i ? "," : "", json_string_value(json_array_get(texts, i)));
    json_t *text = json_stringn(all.data ? all.data : "", all.size);
    buf_clear(&all);
    return text;
}

static void add_extras(enum sandbox_action action, const json_t *body, json_t *told)
{
    const json_t *owner = json_object_get(body, "owner");
    switch (action) {
    case ACTION_CREATE:
        json_object_set(told, "priority", json_object_get(body, "priority"));
        json_object_set(told, "description", json_object_get(body, "description"));
        json_object_set(told, "details", json_object_get(body, "details"));
        break;
    case ACTION_NOTE: json_object_set(told, "note", json_object_get(body, "note")); break;
    case ACTION_ADD_TAGS: json_object_set_new(told, "addedTags", joined(json_object_get(body, "tags"))); break;
    case ACTION_REMOVE_TAGS: json_object_set_new(told, "removedTags", joined(json_object_get(body, "tags"))); break;
    case ACTION_ASSIGN:
        json_object_set(told, "owner", json_object_get(owner, json_object_get(owner, "username") ? "username" : "id"));
        break;
    case ACTION_PRIORITY: json_object_set(told, "priority", json_object_get(body, "priority")); break;
    default: break;
    }
}

static json_t *told_alert(enum sandbox_action action, const struct sandbox_outcome *outcome,
                          const struct sandbox_alert *alert, const json_t *body, int64_t updated)
{
    char tiny[32];
    snprintf(tiny, sizeof tiny, "%" PRIu64, alert ? alert->number : 0);
    json_t *said = alert ? alert->said : NULL;
    json_t *told = json_pack("{s:s, s:s, s:s, s:[], s:[], s:s, s:s, s:I, s:I}", "alertId", outcome->alert_id, "tinyId",
                             tiny, "alias", outcome->alias, "teams", "recipients", "username", sandbox_act_who(body),
                             "userId", SANDBOX_INTEGRATION_ID, "createdAt", (json_int_t)(alert ? alert->created_ms : 0),
                             "updatedAt", (json_int_t)updated);
    static const char *const same[] = {"message", "entity", "tags", "source"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        json_object_set(told, same[i], json_object_get(said, same[i]));
    add_extras(action, body, told);
    return told;
}

/* Escalate alone has another shape, and names nothing of the alert but its id. */
static json_t *payload(const struct hook *hook, enum sandbox_action action, const struct sandbox_outcome *outcome,
                       const struct sandbox_alert *alert, const json_t *body, int64_t moment_ms)
{
    const char *source = json_string_value(json_object_get(body, "source"));
    bool is_ms = strcmp(hook->style, "ms") == 0;
    json_t *whole = json_pack("{s:s, s:s, s:s}", "action", sandbox_work_name(action), "integrationId",
                              SANDBOX_INTEGRATION_ID, "integrationName", "sandbox-hook");
    if (action == ACTION_ESCALATE) {
        json_object_update_new(whole, json_pack("{s:s, s:s, s:i, s:I, s:{s:s, s:s, s:s}, s:{s:s}}", "escalationId",
                                                "e1", "escalationName", "escalation", "escalationTime", 0,
                                                "repeatCount", (json_int_t)(alert ? alert->escalations - 1 : 0),
                                                "escalationNotify", "name", "nina@example.com", "id", "u1", "type",
                                                "default", "alert", "alertId", outcome->alert_id));
    } else {
        json_object_set_new(whole, "source", json_pack("{s:s, s:s}", "name", source ? source : "web", "type", "API"));
        json_object_set_new(
            whole, "alert",
            told_alert(action, outcome, alert, body, is_ms ? moment_ms : moment_ms * 1000000 + moment_ms % 1000000));
    }
    if (hook->headers)
        json_object_set(whole, "headers", (json_t *)hook->headers);
    return whole;
}

void sandbox_hooks_tell(struct sandbox_hooks *hooks, enum sandbox_action action, const struct sandbox_outcome *outcome,
                        const json_t *body)
{
    const struct sandbox_alert *alert = sandbox_alerts_find(hooks->alerts, BY_ID, outcome->alert_id);
    if (!outcome->is_success || (action == ACTION_CREATE && alert && alert->creates > 1))
        return; /* a repeat is only counted */
    int64_t now_ms = clock_now_ms();
    hooks->last_ms = now_ms > hooks->last_ms ? now_ms : hooks->last_ms + 1;
    for (struct hook *hook = hooks->first; hook; hook = hook->next) {
        if (hook->is_off || (hook->lose > 0 && hook->lose--))
            continue;
        json_t *whole = payload(hook, action, outcome, alert, body, hooks->last_ms);
        char *text = json_dumps(whole, JSON_COMPACT);
        for (int i = 0; i <= hook->repeat; i++)
            letter_new(hooks, hook, text);
        free(text);
        json_decref(whole);
    }
}

/* ---- who is told --------------------------------------------------------------------------------------------- */

static bool check(const struct hook *hook, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)hook->headers, name, value) {
        const char *text = json_string_value(value);
        if (!text || strlen(text) > 5000 || strlen(name) > 200)
            return err_set(err, "`headers` must be an object of texts");
    }
    if (json_object_size(hook->headers) > HEADERS_MOST)
        return err_set(err, "more than %d headers", HEADERS_MOST);
    if (strcmp(hook->style, "ms") != 0 && strcmp(hook->style, "ns") != 0)
        return err_set(err, "`style` must be ms or ns");
    if (hook->repeat < 0 || hook->repeat > 100 || hook->retries < 0 || hook->retries > 1000 || hook->lose < 0)
        return err_set(err, "`repeat` must be from 0 to 100, `retries` from 0 to 1000, `lose` not negative");
    return http_check_base(hook->url, err) || err_wrap(err, "`url`");
}

bool sandbox_hooks_add(struct sandbox_hooks *hooks, json_t *wish, struct err *err)
{
    struct hook *hook = mem_zero(sizeof *hook);
    json_error_t wrong;
    hook->wish = json_incref(wish);
    hook->style = "ns";
    bool ok = json_unpack_ex(wish, &wrong, JSON_STRICT, "{s:s, s?o, s?i, s?i, s?i, s?b, s?s}", "url", &hook->url,
                             "headers", &hook->headers, "repeat", &hook->repeat, "lose", &hook->lose, "retries",
                             &hook->retries, "reverse", &hook->reverse, "style", &hook->style)
                  == 0
              || err_set(err, "%s (known: url, headers, repeat, lose, retries, reverse, style)", wrong.text);
    if (!ok || !check(hook, err)) {
        json_decref(hook->wish);
        free(hook);
        return err_wrap(err, "webhook");
    }
    hook->next = hooks->first;
    hooks->first = hook;
    return true;
}

void sandbox_hooks_clear(struct sandbox_hooks *hooks)
{
    for (struct hook *hook = hooks->first; hook; hook = hook->next)
        hook->is_off = true; /* a letter under way may still look at it */
}

bool sandbox_hooks_list(const struct sandbox_hooks *hooks, struct buf *out)
{
    json_t *list = json_array();
    for (const struct hook *hook = hooks->first; hook; hook = hook->next)
        if (!hook->is_off)
            json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "url", hook->url, "sent", (json_int_t)hook->sent,
                                                  "taken", (json_int_t)hook->taken));
    char *text = json_dumps(list, JSON_COMPACT);
    bool ok = buf_addf(out, "%s\n", text);
    free(text);
    json_decref(list);
    return ok;
}

void sandbox_hooks_close(struct sandbox_hooks *hooks, void (*closed)(void *context), void *context)
{
    hooks->closed = closed;
    hooks->context = context;
    if (hooks->http)
        http_close(hooks->http);
    while (hooks->letters)
        letter_end(hooks->letters);
    hooks_release(hooks);
}
