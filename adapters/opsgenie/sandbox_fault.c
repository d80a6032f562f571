/* sandbox_fault.c - faults on request, for the requests that fit
 *
 *     {"match": {"method": "POST", "path_prefix": "/v2/alerts"}, "times": 2, "status": 503,
 *      "body": "<html>busy</html>", "content_type": "text/html", "headers": {"Retry-After": "1"}}
 *     {"cut": "after"}                      accepted and carried out, but never answered
 *     {"drop": true, "times": -1}           202, and nothing comes of it
 *     {"delay_ms": 3000}                    done at once, answered late
 *     {"status": 500, "accept": true}       carried out, but the answer is a failure
 *
 * The first fault that fits strikes; used up, it is gone. */
#include "adapters/opsgenie/sandbox.h"

#include <stdlib.h>

static bool check_headers(const json_t *headers, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value) {
        const char *text = json_string_value(value);
        if (!text || strpbrk(text, "\r\n") || !*name || strpbrk(name, " :\r\n"))
            return err_set(err, "`headers` must be an object of one-line strings");
    }
    return !headers || json_is_object(headers) || err_set(err, "`headers` must be an object");
}

static bool check(const struct sandbox_fault *fault, struct err *err)
{
    if (fault->times == 0 || fault->times < -1)
        return err_set(err, "`times` must be -1 (always) or above 0");
    if (fault->status && (fault->status < 200 || fault->status > 599))
        return err_set(err, "`status` must be from 200 to 599");
    if (fault->delay_ms < 0 || fault->delay_ms > 3600 * 1000)
        return err_set(err, "`delay_ms` must be from 0 to 3600000");
    if (!fault->status && !fault->cut && !fault->delay_ms && !fault->drop)
        return err_set(err, "one of `status`, `cut`, `delay_ms`, `drop` is needed");
    if (fault->accept && !fault->status)
        return err_set(err, "`accept` goes with a `status`");
    return check_headers(fault->headers, err);
}

static bool read_cut(struct sandbox_fault *fault, const char *cut, struct err *err)
{
    if (cut && strcmp(cut, "before") == 0)
        fault->cut = CUT_BEFORE;
    else if (cut && strcmp(cut, "after") == 0)
        fault->cut = CUT_AFTER;
    else if (cut)
        return err_set(err, "`cut` must be before or after");
    return true;
}

static bool read_fault(struct sandbox_fault *fault, struct err *err)
{
    const char *cut = NULL;
    json_int_t delay_ms = 0;
    int drop = 0, accept = 0;
    json_error_t wrong;
    fault->times = 1;
    fault->body = "";
    fault->content_type = "application/json";
    if (json_unpack_ex(fault->wish, &wrong, JSON_STRICT,
                       "{s?{s?s, s?s !}, s?i, s?i, s?s, s?s, s?o, s?I, s?s, s?b, s?b}", "match", "method",
                       &fault->method, "path_prefix", &fault->path_prefix, "times", &fault->times, "status",
                       &fault->status, "body", &fault->body, "content_type", &fault->content_type, "headers",
                       &fault->headers, "delay_ms", &delay_ms, "cut", &cut, "drop", &drop, "accept", &accept)
        != 0)
        return err_set(err,
                       "%s (known: match {method, path_prefix}, times, status, body, content_type, headers, delay_ms, "
                       "cut, drop, accept)",
                       wrong.text);
    fault->delay_ms = delay_ms;
    fault->drop = drop;
    fault->accept = accept;
    return read_cut(fault, cut, err) && check(fault, err);
}

void sandbox_fault_free(struct sandbox_fault *fault)
{
    if (fault)
        json_decref(fault->wish);
    free(fault);
}

bool sandbox_fault_add(struct sandbox_faults *faults, json_t *wish, struct err *err)
{
    struct sandbox_fault *fault = mem_zero(sizeof *fault);
    fault->wish = json_incref(wish);
    if (!read_fault(fault, err)) {
        sandbox_fault_free(fault);
        return err_wrap(err, "fault");
    }
    struct sandbox_fault **last = &faults->first;
    while (*last)
        last = &(*last)->next;
    *last = fault;
    return true;
}

void sandbox_fault_clear(struct sandbox_faults *faults)
{
    while (faults->first) {
        struct sandbox_fault *fault = faults->first;
        faults->first = fault->next;
        sandbox_fault_free(fault);
    }
}

static bool concerns(const struct sandbox_fault *fault, const char *method, const char *path)
{
    return (!fault->method || strcmp(fault->method, method) == 0)
           && (!fault->path_prefix || strncmp(path, fault->path_prefix, strlen(fault->path_prefix)) == 0);
}

struct sandbox_fault *sandbox_fault_take(struct sandbox_faults *faults, const char *method, const char *path)
{
    struct sandbox_fault **at = &faults->first;
    while (*at && !concerns(*at, method, path))
        at = &(*at)->next;
    struct sandbox_fault *fault = *at;
    if (!fault)
        return NULL;
    faults->used++;
    if (fault->times > 0 && --fault->times == 0) {
        *at = fault->next;
        return fault;
    }
    struct sandbox_fault *copy = mem_new(sizeof *copy);
    *copy = *fault;
    json_incref(copy->wish);
    return copy;
}

bool sandbox_fault_list(const struct sandbox_faults *faults, struct buf *out)
{
    buf_add_char(out, '[');
    for (const struct sandbox_fault *fault = faults->first; fault; fault = fault->next) {
        char *wish = json_dumps(fault->wish, JSON_COMPACT);
        buf_addf(out, "%s{\"left\":%d,\"fault\":%s}", fault == faults->first ? "" : ",", fault->times, wish);
        free(wish);
    }
    return buf_add_text(out, "]\n") && !out->is_over;
}
