/* sandbox_phase.c - faults on request, by the phase of the SMTP dialogue in which they strike
 *
 * Somebody who tests a client says beforehand what shall go wrong, where and how often:
 *
 *     {"phase": "dot", "cut": "after"}                    the mail is kept, the reply never comes
 *     {"phase": "rcpt", "to": "ada@example.net", "times": 2, "reply": "450 4.2.0 later"}
 *
 * The first fault that fits strikes; used up, it is gone. */
#include "adapters/smtp/sandbox.h"

#include <stdlib.h>
#include <strings.h>

static const char *const phase_name[PHASE_COUNT] = {"greeting", "ehlo", "auth", "mail", "rcpt", "data", "body", "dot"};

static bool read_phase(struct sandbox_fault *fault, const char *text, struct err *err)
{
    for (int i = 0; text && i < PHASE_COUNT; i++) {
        if (strcmp(text, phase_name[i]) == 0) {
            fault->phase = (enum sandbox_phase)i;
            return true;
        }
    }
    return err_set(err, "`phase` must be greeting, ehlo, auth, mail, rcpt, data, body or dot");
}

static bool read_cut(struct sandbox_fault *fault, const char *text, struct err *err)
{
    if (strcmp(text, "before") == 0)
        fault->cut = CUT_BEFORE;
    else if (strcmp(text, "after") == 0)
        fault->cut = CUT_AFTER;
    else
        return err_set(err, "`cut` must be before or after");
    return true;
}

static bool read_text(char *to, size_t room, const char *name, const char *text, struct err *err)
{
    if (strlen(text) >= room)
        return err_set(err, "`%s` is longer than %zu octets", name, room - 1);
    if (strpbrk(text, "\r\n"))
        return err_set(err, "`%s` must be one line", name);
    strcpy(to, text);
    return true;
}

static bool is_reply(const char *text)
{
    return text[0] >= '2' && text[0] <= '5' && strspn(text, "0123456789") == 3 && (text[3] == ' ' || text[3] == '\0');
}

static bool check(const struct sandbox_fault *fault, struct err *err)
{
    if (fault->reply[0] && !is_reply(fault->reply))
        return err_set(err, "`reply` must begin with a code and a space, like \"450 4.2.0 later\"");
    if (fault->to[0] && fault->phase < PHASE_RCPT)
        return err_set(err, "`to` is not known before the phase rcpt");
    if (fault->times == 0 || fault->times < -1)
        return err_set(err, "`times` must be -1 (always) or above 0");
    if (fault->delay_ms < 0 || fault->delay_ms > 3600 * 1000)
        return err_set(err, "`delay_ms` must be from 0 to 3600000");
    if (!fault->reply[0] && !fault->cut && !fault->delay_ms && !fault->hang)
        return err_set(err, "one of `reply`, `cut`, `delay_ms`, `hang` is needed");
    return true;
}

static bool read_fault(struct sandbox_fault *fault, const json_t *wish, struct err *err)
{
    const char *phase = NULL, *to = "", *reply = "", *cut = NULL;
    json_int_t delay_ms = 0;
    int hang = 0;
    json_error_t wrong;

    fault->times = 1;
    if (json_unpack_ex((json_t *)wish, &wrong, JSON_STRICT, "{s:s, s?s, s?i, s?s, s?s, s?I, s?b}", "phase", &phase,
                       "to", &to, "times", &fault->times, "reply", &reply, "cut", &cut, "delay_ms", &delay_ms, "hang",
                       &hang)
        != 0)
        return err_set(err, "%s (known: phase, to, times, reply, cut, delay_ms, hang)", wrong.text);
    fault->delay_ms = delay_ms;
    fault->hang = hang;
    return read_phase(fault, phase, err) && (!cut || read_cut(fault, cut, err))
           && read_text(fault->to, sizeof fault->to, "to", to, err)
           && read_text(fault->reply, sizeof fault->reply, "reply", reply, err) && check(fault, err);
}

bool sandbox_phase_add(struct sandbox_phases *phases, const json_t *wish, struct err *err)
{
    struct sandbox_fault *fault = mem_zero(sizeof *fault);
    if (!read_fault(fault, wish, err)) {
        free(fault);
        return err_wrap(err, "fault");
    }
    struct sandbox_fault **last = &phases->first;
    while (*last)
        last = &(*last)->next;
    *last = fault;
    return true;
}

void sandbox_phase_clear(struct sandbox_phases *phases)
{
    while (phases->first) {
        struct sandbox_fault *fault = phases->first;
        phases->first = fault->next;
        free(fault);
    }
}

static bool concerns(const struct sandbox_fault *fault, enum sandbox_phase phase, char *const *to, size_t to_count)
{
    if (fault->phase != phase)
        return false;
    if (!fault->to[0])
        return true;
    for (size_t i = 0; i < to_count; i++)
        if (strcasecmp(to[i], fault->to) == 0)
            return true;
    return false;
}

bool sandbox_phase_take(struct sandbox_phases *phases, enum sandbox_phase phase, char *const *to, size_t to_count,
                        struct sandbox_fault *fault)
{
    struct sandbox_fault **at = &phases->first;
    while (*at && !concerns(*at, phase, to, to_count))
        at = &(*at)->next;
    if (!*at)
        return false;
    *fault = **at;
    phases->used++;
    if ((*at)->times > 0 && --(*at)->times == 0) {
        struct sandbox_fault *gone = *at;
        *at = gone->next;
        free(gone);
    }
    return true;
}

bool sandbox_phase_list(const struct sandbox_phases *phases, struct buf *out)
{
    static const char *const cut_name[] = {"", "before", "after"};
    buf_add_char(out, '[');
    for (const struct sandbox_fault *fault = phases->first; fault; fault = fault->next) {
        buf_addf(out, "%s{\"phase\":\"%s\",\"to\":", fault == phases->first ? "" : ",", phase_name[fault->phase]);
        buf_add_json(out, slice_of(fault->to));
        buf_addf(out, ",\"times\":%d,\"reply\":", fault->times);
        buf_add_json(out, slice_of(fault->reply));
        buf_addf(out, ",\"cut\":\"%s\",\"delay_ms\":%lld,\"hang\":%s}", cut_name[fault->cut],
                 (long long)fault->delay_ms, fault->hang ? "true" : "false");
    }
    return buf_add_char(out, ']') && !out->is_over;
}
