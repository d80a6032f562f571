/* sandbox_write.c - a write is checked, accepted and left to sandbox_work.c
 *
 * Its type (415) and syntax (400) come first, then its meaning (422).  202 says only that it was
 * well formed. */
#include "adapters/opsgenie/sandbox_api.h"

#include <strings.h>

static bool is_json_type(const char *type)
{
    return type && strncasecmp(type, "application/json", 16) == 0
           && (type[16] == '\0' || type[16] == ';' || type[16] == ' ');
}

json_t *sandbox_write_take_body(struct sandbox_call *call, enum sandbox_action action)
{
    struct slice body = request_body(call->request);
    const char *type = request_header(call->request, "Content-Type");
    json_error_t wrong;
    if ((body.size || type) && !is_json_type(type)) {
        sandbox_api_refuse(call, 415, "Content type is not supported, use application/json");
        return NULL;
    }
    if (!body.size && action != ACTION_CREATE)
        return json_object();
    json_t *json = json_loadb(body.size ? body.data : "", body.size, JSON_DECODE_ANY, &wrong);
    if (!json) {
        sandbox_api_refuse(call, 400, "Request body is not valid JSON");
    } else if (!json_is_object(json)) {
        sandbox_api_refuse_field(call, "body", "should be an object");
        json_decref(json);
        return NULL;
    }
    return json;
}

/* "a,b" of a query as an array of texts; NULL where there is nothing. */
static json_t *split(const char *text)
{
    json_t *list = json_array();
    while (text && *text) {
        size_t size = strcspn(text, ",");
        if (size)
            json_array_append_new(list, json_stringn(text, size));
        text += size + (text[size] == ',');
    }
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

/* A DELETE says in its query what others say in their body. */
static json_t *take_query(struct sandbox_call *call, enum sandbox_action action)
{
    static const char *const texts[] = {"user", "note", "source"};
    json_t *body = json_object(), *list = NULL;
    const char *name = action == ACTION_REMOVE_TAGS ? "tags" : "keys";
    for (size_t i = 0; i < 3; i++) {
        const char *text = request_query(call->request, texts[i]);
        if (text)
            json_object_set_new(body, texts[i], json_string(text));
    }
    if (action == ACTION_DELETE)
        return body;
    list = split(request_query(call->request, name));
    if (!list) {
        sandbox_api_refuse_field(call, name, "can not be empty");
        json_decref(body);
        return NULL;
    }
    json_object_set_new(body, name, list);
    return body;
}

void sandbox_write_accept(struct sandbox_call *call, enum sandbox_action action, enum sandbox_identifier by,
                          const char *identifier, json_t *body)
{
    struct sandbox_works *works = call->account->works;
    sandbox_alerts_uuid("write", sandbox_work_next(works), call->id);
    sandbox_work_add(works, call->id, action, by, identifier, body, call->is_dropped);
    buf_add_text(&call->answer, "{\"result\":\"Request will be processed\"");
    sandbox_api_finish(call, 202);
}

void sandbox_write_run(struct sandbox_call *call, const struct sandbox_route *route, char **segments)
{
    enum sandbox_identifier by = BY_ID;
    bool is_delete = strcmp(route->method, "DELETE") == 0;
    if (route->action != ACTION_CREATE && !sandbox_api_identifier(call, &by))
        return;
    json_t *body = is_delete ? take_query(call, route->action) : sandbox_write_take_body(call, route->action);
    json_t *errors = json_object();
    if (body && !is_delete && !sandbox_body_check(route->action, body, errors)) {
        sandbox_api_refuse_fields(call, errors);
    } else if (body) {
        sandbox_write_accept(call, route->action, by, segments[0] ? segments[0] : "", body);
    }
    json_decref(errors);
    json_decref(body);
}
