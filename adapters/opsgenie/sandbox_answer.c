/* sandbox_answer.c - the shape of OpsGenie's answers
 *
 *     {"data": ..., "took": 0.002, "requestId": "..."}           a read
 *     {"result": "Request will be processed", ...}               an accepted write
 *     {"message": "...", "errors": {"field": "why"}, ...}        a refusal; `errors` with 422 only
 *
 * jsm-ops has no envelope around what is read, and {"errors": [{"title": ..., "detail": ...}]} for a refusal. */
#include "adapters/opsgenie/sandbox_api.h"

#include "core/base/clock.h"

#include <stdlib.h>

static double took(const struct sandbox_call *call)
{
    return (double)(clock_mono_ns() - call->began_ns) / 1e9;
}

/* Ends the answer's object, which holds at least one member. */
void sandbox_api_finish(struct sandbox_call *call, int status)
{
    call->status = status;
    buf_addf(&call->answer, ",\"took\":%.3f,\"requestId\":\"%s\"}", took(call), call->id);
}

static void refuse_ops(struct sandbox_call *call, int status, const char *title, const json_t *detail)
{
    json_t *errors = json_pack("{s:[{s:s, s:O?}]}", "errors", "title", title, "detail", detail);
    buf_reset(&call->answer);
    json_dump_callback(errors, sandbox_api_add_bytes, &call->answer, JSON_COMPACT);
    json_decref(errors);
    call->status = status;
}

void sandbox_api_refuse(struct sandbox_call *call, int status, const char *message)
{
    if (call->dialect == SANDBOX_OPS) {
        refuse_ops(call, status, message, NULL);
        return;
    }
    buf_reset(&call->answer);
    buf_add_text(&call->answer, "{\"message\":");
    buf_add_json(&call->answer, slice_of(message));
    sandbox_api_finish(call, status);
}

void sandbox_api_refuse_fields(struct sandbox_call *call, const json_t *errors)
{
    if (call->dialect == SANDBOX_OPS) {
        refuse_ops(call, 422, "Request body is not processable", errors);
        return;
    }
    char *text = json_dumps(errors, JSON_COMPACT);
    buf_reset(&call->answer);
    buf_addf(&call->answer, "{\"message\":\"Request body is not processable. Please check the errors.\",\"errors\":%s",
             text);
    free(text);
    sandbox_api_finish(call, 422);
}

void sandbox_api_refuse_field(struct sandbox_call *call, const char *field, const char *why)
{
    json_t *errors = json_pack("{s:s}", field, why);
    sandbox_api_refuse_fields(call, errors);
    json_decref(errors);
}

int sandbox_api_add_bytes(const char *bytes, size_t size, void *out)
{
    return buf_add(out, bytes, size) ? 0 : -1;
}

/* Takes `data` over. */
void sandbox_api_data(struct sandbox_call *call, json_t *data)
{
    bool is_ops = call->dialect == SANDBOX_OPS;
    buf_add_text(&call->answer, is_ops ? "" : "{\"data\":");
    json_dump_callback(data, sandbox_api_add_bytes, &call->answer, JSON_COMPACT);
    json_decref(data);
    call->status = 200;
    if (!is_ops)
        sandbox_api_finish(call, 200);
}

bool sandbox_api_identifier(struct sandbox_call *call, enum sandbox_identifier *by)
{
    const char *type = request_query(call->request, "identifierType");
    if (!type || strcmp(type, "id") == 0)
        *by = BY_ID;
    else if (strcmp(type, "alias") == 0)
        *by = BY_ALIAS;
    else if (strcmp(type, "tiny") == 0)
        *by = BY_TINY;
    else
        sandbox_api_refuse_field(call, "identifierType", "should be one of [ id, alias, tiny ]");
    return call->status == 0;
}
