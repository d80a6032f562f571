/* test_opsgenie_contract.c - every request that the adapter can make, held against the vendor's own description
 *
 * The description (OpenAPI 2, github.com/opsgenie/opsgenie-oas) is no part of this repository.  It is read from
 * HEADGATE_OPSGENIE_SWAGGER, or from ../shared/reference/opsgenie-swagger.json beside the checkout; where it is not
 * there, the tests that need it check nothing, and say so.
 *
 * Checked are the path, the method, each parameter of path and query, and the body: members that are needed, members
 * that nobody knows, types, enums, lengths, formats; through allOf, $ref and the discriminator. */
#include "adapters/opsgenie/opsgenie.h"

#include "core/base/clock.h"

#include "test.h"

extern const struct adapter adapter_opsgenie;

#define FLAWS_MOST 4000

static json_t *contract; /* the description; NULL: it is not there */
static struct buf flaws = BUF_INIT(FLAWS_MOST);
static unsigned requests; /* that were checked */

static bool read_contract(void)
{
    const char *path = getenv("HEADGATE_OPSGENIE_SWAGGER");
    path = path && *path ? path : "../shared/reference/opsgenie-swagger.json";
    if (!contract)
        contract = json_load_file(path, 0, NULL);
    if (!contract)
        fprintf(stderr, "NOT CHECKED: the vendor's description of OpsGenie's API is not at %s\n", path);
    return contract;
}

static void flaw(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void flaw(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_addv(&flaws, format, args);
    va_end(args);
    buf_add_char(&flaws, '\n');
}

/* ---- schemas ------------------------------------------------------------------------------------------------ */

static json_t *resolve(json_t *schema)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    if (!ref)
        return schema;
    json_t *at = contract;
    char name[200];
    for (ref += 2; *ref; ref += strcspn(ref, "/"), ref += *ref == '/') {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(ref, "/"), ref);
        at = json_object_get(at, name);
    }
    assert_non_null(at);
    return resolve(at);
}

/* The definition that a discriminator's value chooses: TeamRecipient for a Recipient of type team. */
static json_t *choose(json_t *schema, const json_t *value)
{
    const char *by = json_string_value(json_object_get(schema, "discriminator"));
    const char *chosen = by ? json_string_value(json_object_get(value, by)) : NULL;
    const char *name;
    json_t *definition;
    json_object_foreach(json_object_get(contract, "definitions"), name, definition) {
        const char *is = json_string_value(json_object_get(definition, "x-discriminator-value"));
        json_t *base = resolve(json_array_get(json_object_get(definition, "allOf"), 0));
        if (chosen && is && strcmp(is, chosen) == 0 && base == schema)
            return definition;
    }
    return schema;
}

static json_t *member_schema(json_t *schema, const char *member)
{
    json_t *found = json_object_get(json_object_get(schema, "properties"), member), *part;
    size_t index;
    json_array_foreach(json_object_get(schema, "allOf"), index, part)
        found = found ? found : member_schema(resolve(part), member);
    return found ? found : json_object_get(schema, "additionalProperties");
}

static void check_needed(json_t *schema, const json_t *value, const char *where)
{
    size_t index;
    json_t *name, *part;
    json_array_foreach(json_object_get(schema, "required"), index, name)
        if (!json_object_get(value, json_string_value(name)))
            flaw("%s: `%s` is needed", where, json_string_value(name));
    json_array_foreach(json_object_get(schema, "allOf"), index, part)
        check_needed(resolve(part), value, where);
}

static void check_enum(json_t *schema, const char *text, const char *where)
{
    json_t *allowed = json_object_get(schema, "enum"), *one;
    size_t index;
    bool is_one = !allowed;
    json_array_foreach(allowed, index, one)
        is_one = is_one || strcmp(json_string_value(one), text) == 0;
    if (!is_one)
        flaw("%s: \"%s\" is not allowed", where, text);
}

static void check_text(json_t *schema, const json_t *value, const char *where)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    const char *format = json_string_value(json_object_get(schema, "format"));
    json_t *most = json_object_get(schema, "maxLength");
    int64_t ms;
    if (type && strcmp(type, "string") != 0)
        flaw("%s: is a text, not %s", where, type);
    check_enum(schema, json_string_value(value), where);
    if (most && json_string_length(value) > (size_t)json_integer_value(most))
        flaw("%s: is too long", where);
    if (format && strcmp(format, "date-time") == 0
        && !clock_parse(json_string_value(value), json_string_length(value), &ms))
        flaw("%s: \"%s\" is no date-time", where, json_string_value(value));
}

static void check_value(json_t *schema, const json_t *value, const char *where)
{
    schema = choose(resolve(schema), value);
    const char *type = json_string_value(json_object_get(schema, "type")), *member;
    bool is_object = !type || strcmp(type, "object") == 0, is_array = type && strcmp(type, "array") == 0;
    json_t *item, *of;
    size_t index;
    char inner[400];
    if (json_is_object(value) && is_object) {
        check_needed(schema, value, where);
        json_object_foreach((json_t *)(uintptr_t)value, member, item) {
            snprintf(inner, sizeof inner, "%.300s.%.90s", where, member);
            if (!(of = member_schema(schema, member)))
                flaw("%s: is not known", inner);
            else
                check_value(of, item, inner);
        }
    } else if (json_is_array(value) && is_array) {
        json_array_foreach(value, index, item) {
            snprintf(inner, sizeof inner, "%.300s[%zu]", where, index);
            check_value(json_object_get(schema, "items"), item, inner);
        }
    } else if (json_is_string(value)) {
        check_text(schema, value, where);
    } else if (!json_is_integer(value) || !type || strcmp(type, "integer") != 0) {
        flaw("%s: is no %s", where, type ? type : "object");
    }
}

/* ---- paths and queries -------------------------------------------------------------------------------------- */

/* "/v2/alerts/a%2Fb/close" fits "/v2/alerts/{identifier}/close": segment by segment. */
static bool path_fits(const char *template, const char *path, size_t size)
{
    const char *end = path + size;
    while (*template && path < end) {
        size_t of_template = strcspn(template + 1, "/") + 1, of_path = strcspn(path + 1, "/?") + 1;
        bool is_any = template[1] == '{';
        if (is_any ? of_path == 1 : of_template != of_path || memcmp(template, path, of_path) != 0)
            return false;
        template += of_template;
        path += of_path;
    }
    return !*template && path == end;
}

/* A path without parameters is meant before one that has some. */
static json_t *find_path(const char *path, size_t size, const char **found)
{
    const char *template;
    json_t *item, *best = NULL;
    json_object_foreach(json_object_get(contract, "paths"), template, item) {
        if (path_fits(template, path, size) && (!best || !strchr(template, '{'))) {
            best = item;
            *found = template;
        }
    }
    return best;
}

static json_t *find_parameter(json_t *operation, const char *in, const char *name, size_t size)
{
    json_t *parameter;
    size_t index;
    json_array_foreach(json_object_get(operation, "parameters"), index, parameter) {
        json_t *at = resolve(parameter);
        const char *is = json_string_value(json_object_get(at, "name"));
        if (strcmp(json_string_value(json_object_get(at, "in")), in) == 0
            && (!name || (strlen(is) == size && memcmp(is, name, size) == 0)))
            return at;
    }
    return NULL;
}

static void check_parameter(json_t *parameter, const char *value, size_t size, const char *where)
{
    const char *type = json_string_value(json_object_get(parameter, "type"));
    json_t *most = json_object_get(parameter, "maximum"), *least = json_object_get(parameter, "minimum");
    char text[200], *end = NULL;
    snprintf(text, sizeof text, "%.*s", (int)size, value);
    check_enum(parameter, text, where);
    if (strcmp(type, "integer") != 0)
        return;
    long number = strtol(text, &end, 10);
    if (!*text || *end || (most && number > json_integer_value(most)) || (least && number < json_integer_value(least)))
        flaw("%s: %s is not an integer in its bounds", where, text);
}

static void check_query(json_t *operation, const char *query, const char *where)
{
    json_t *parameter, *at;
    size_t index;
    struct buf names = BUF_INIT(2000);
    for (const char *pair = query; *pair; pair += strcspn(pair, "&"), pair += *pair == '&') {
        size_t name = strcspn(pair, "=&"), size = strcspn(pair, "&");
        at = find_parameter(operation, "query", pair, name);
        buf_addf(&names, "&%.*s=", (int)name, pair);
        if (!at)
            flaw("%s: the query's `%.*s` is not known", where, (int)name, pair);
        else
            check_parameter(at, pair + name + 1, size - name - 1, where);
    }
    json_array_foreach(json_object_get(operation, "parameters"), index, parameter) {
        char name[100];
        at = resolve(parameter);
        snprintf(name, sizeof name, "&%s=", json_string_value(json_object_get(at, "name")));
        if (json_is_true(json_object_get(at, "required"))
            && find_parameter(operation, "query", name + 1, strlen(name) - 2) == at
            && !(names.size && strstr(names.data, name)))
            flaw("%s: the query needs %s", where, name);
    }
    buf_clear(&names);
}

static void check_body(json_t *operation, struct slice body, const char *where)
{
    json_t *parameter = find_parameter(operation, "body", NULL, 0);
    json_t *json = body.size ? json_loadb(body.data, body.size, 0, NULL) : NULL;
    if (body.size && !parameter)
        flaw("%s: takes no body", where);
    else if (body.size && !json)
        flaw("%s: the body is no JSON", where);
    else if (!body.size && json_is_true(json_object_get(parameter, "required")))
        flaw("%s: needs a body", where);
    else if (json)
        check_value(json_object_get(parameter, "schema"), json, where);
    json_decref(json);
}

static void check_request(const struct opsgenie_request *request, const char *name)
{
    const char *path = request->path.data, *query = strchr(path, '?'), *template = "";
    size_t size = query ? (size_t)(query - path) : strlen(path);
    char method[10] = "", where[200];
    for (size_t i = 0; request->method[i] && i < sizeof method - 1; i++)
        method[i] = (char)(request->method[i] | 0x20);
    json_t *operation = json_object_get(find_path(path, size, &template), method);
    snprintf(where, sizeof where, "%s: %s %s", name, request->method, template);
    requests++;
    if (!operation) {
        flaw("%s: %s %s is not in the description", name, request->method, path);
        return;
    }
    check_query(operation, query ? query + 1 : "", where);
    check_body(operation, buf_slice(&request->body), where);
}

static void expect_no_flaw(void)
{
    char *text = buf_take(&flaws);
    flaws = (struct buf)BUF_INIT(FLAWS_MOST);
    if (text && *text)
        fail_msg("%s", text);
    free(text);
}

/* ---- what the adapter can say -------------------------------------------------------------------------------- */

/* A value for every field there is, by its name; several where the field has several shapes. */
static const struct sample {
    const char *field;
    enum record_kind kind;
    const char *value;
} samples[] = {
    {"alias", RECORD_TEXT, "offline 7/\xc3\xbc?#%"},
    {"id", RECORD_TEXT, "a7d3c1f0-5b2e-4c1a-9f00-3e6d2b8c4411-1763804400123"},
    {"tiny", RECORD_TEXT, "412"},
    {"name", RECORD_TEXT, "nightly job.v2"},
    {"message", RECORD_TEXT, "Controller 7 is \"offline\""},
    {"description", RECORD_TEXT, "since 3:00\nand nobody knows why"},
    {"priority", RECORD_TEXT, "P1"},
    {"tags", RECORD_JSON, "[\"storage\",7,true]"},
    {"keys", RECORD_JSON, "[\"site\",\"load\"]"},
    {"details", RECORD_JSON, "{\"site\":\"N\xc3\xb8rre\",\"count\":3,\"load\":0.1,\"new\":true}"},
    {"responders", RECORD_JSON,
     "[{\"type\":\"team\",\"name\":\"night\"},{\"type\":\"user\",\"username\":\"n@e.com\"}]"},
    {"responders", RECORD_JSON, "[{\"type\":\"escalation\",\"id\":\"e1\"},{\"type\":\"schedule\",\"name\":\"s\"}]"},
    {"visible_to", RECORD_JSON, "[{\"type\":\"team\",\"id\":\"t1\"},{\"type\":\"user\",\"id\":\"u1\"}]"},
    {"actions", RECORD_JSON, "[\"restart\"]"},
    {"entity", RECORD_TEXT, "host7"},
    {"user", RECORD_TEXT, "nina"},
    {"source", RECORD_TEXT, "headgate-test"},
    {"note", RECORD_TEXT, "seen by nobody"},
    {"duration", RECORD_INTEGER, "7200000"},
    {"escalation", RECORD_TEXT, "storage escalation"},
    {"escalation", RECORD_JSON, "{\"id\":\"e1\"}"},
    {"owner", RECORD_TEXT, "nina@example.com"},
    {"owner", RECORD_JSON, "{\"id\":\"u1\"}"},
    {"responder", RECORD_JSON, "{\"type\":\"team\",\"name\":\"night\"}"},
    {"responder", RECORD_JSON, "{\"type\":\"user\",\"id\":\"u1\"}"},
    {"query", RECORD_TEXT, "status: open AND tag: \"a&b\""},
    {"limit", RECORD_INTEGER, "100"},
    {"offset", RECORD_INTEGER, "19900"},
    {"sort", RECORD_TEXT, "lastOccurredAt"},
    {"sort", RECORD_TEXT, "updatedAt"},
    {"sort", RECORD_TEXT, "createdAt"},
    {"order", RECORD_TEXT, "asc"},
    {"order", RECORD_TEXT, "desc"},
};
#define SHAPES 3 /* the most that a field has */

/* The n-th sample of that name, or its last. */
static const struct sample *sample_of(const char *field, unsigned shape)
{
    const struct sample *found = NULL;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        if (strcmp(samples[i].field, field) == 0 && (!found || shape)) {
            shape -= found != NULL;
            found = &samples[i];
        }
    }
    if (!found)
        fail_msg("there is no sample of the field `%s`: add one", field);
    return found;
}

static bool is_name(const char *field)
{
    return strcmp(field, "alias") == 0 || strcmp(field, "id") == 0 || strcmp(field, "tiny") == 0;
}

/* All fields, or only those that are needed; of the names of an alert only `name`. */
static void fill(struct buf *record, const struct option *fields, const char *name, bool is_full, unsigned shape)
{
    for (const struct option *field = fields; field->name; field++) {
        if (is_name(field->name) ? strcmp(field->name, name) != 0 : !is_full && !field->is_required)
            continue;
        const struct sample *sample = sample_of(field->name, shape);
        if (sample->kind == RECORD_INTEGER)
            record_add_integer(record, field->name, strtoll(sample->value, NULL, 10));
        else
            record_add(record, field->name, sample->kind, slice_of(sample->value));
    }
}

static bool has_field(const struct option *fields, const char *name)
{
    while (fields->name && strcmp(fields->name, name) != 0)
        fields++;
    return fields->name;
}

static void check_verb(const struct settings *settings, const struct verb *verb, const char *name, bool is_full,
                       unsigned shape)
{
    struct connection connection = {.name = "alerts", .adapter = &adapter_opsgenie, .settings = settings};
    struct buf fields = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    fill(&fields, verb->fields, name, is_full, shape);
    struct ask ask = {.connection = &connection, .verb = verb, .now_ms = 1763804400123, .fields = buf_slice(&fields)};
    if (!verb->prepare(&ask, &out, &err)
        || !opsgenie_request_write(&request, settings, verb, buf_slice(&out), SLICE_NONE, &err))
        fail_msg("%s: %s", verb->name, err.text);
    check_request(&request, verb->name);
    opsgenie_request_clear(&request);
    buf_clear(&fields);
    buf_clear(&out);
}

static void check_read(const struct settings *settings, const struct query *query, const char *name, bool is_full,
                       unsigned shape)
{
    struct buf fields = BUF_INIT(1 << 20);
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    struct err err = ERR_INIT;
    fill(&fields, query->fields, name, is_full, shape);
    if (!opsgenie_request_read(&request, settings, query, buf_slice(&fields), &err))
        fail_msg("%s: %s", query->name, err.text);
    check_request(&request, query->name);
    opsgenie_request_clear(&request);
    buf_clear(&fields);
}

static const char *const names[] = {"alias", "id", "tiny"};

TEST(every_request_is_one_that_the_vendor_describes)
{
    if (!read_contract())
        return;
    struct settings *settings = settings_new(adapter_opsgenie.options);
    for (size_t i = 0; i < 3 * 2 * SHAPES; i++) {
        const char *name = names[i % 3];
        bool is_full = i / 3 % 2;
        unsigned shape = (unsigned)(i / 6);
        for (const struct verb *verb = adapter_opsgenie.verbs; verb->name; verb++)
            if (has_field(verb->fields, name) || (i % 3 == 0 && !has_field(verb->fields, "alias")))
                check_verb(settings, verb, name, is_full, shape);
        for (const struct query *query = adapter_opsgenie.queries; query->name; query++)
            if (has_field(query->fields, name) || (i % 3 == 0 && !has_field(query->fields, "alias")))
                check_read(settings, query, name, is_full, shape);
    }
    struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
    opsgenie_request_outcome(&request, OPSGENIE_V2, "0c5f2d1e-1111");
    check_request(&request, "the outcome");
    opsgenie_request_clear(&request);
    settings_free(settings);
    fprintf(stderr, "%u requests were checked against the vendor's description\n", requests);
    assert_true(requests > 100);
    expect_no_flaw();
}

/* The check itself: each of these is a mistake that somebody made, and must be seen. */
TEST(what_the_vendor_does_not_describe_is_found)
{
    static const struct {
        const char *method, *path, *body, *words;
    } rows[] = {
        {"POST", "/v2/alerts", "{\"message\":\"m\",\"teams\":\"night\"}", ".teams: is not known"},
        {"POST", "/v2/alerts", "{\"alias\":\"a\"}", "`message` is needed"},
        {"POST", "/v2/alerts", "{\"message\":\"m\",\"priority\":\"P6\"}", "\"P6\" is not allowed"},
        {"POST", "/v2/alerts", "{\"message\":\"m\",\"tags\":\"a,b\"}", "is a text, not array"},
        {"POST", "/v2/alerts", "{\"message\":\"m\",\"details\":{\"a\":1}}", ".details.a: is no string"},
        {"POST", "/v2/alerts", "{\"message\":\"m\",\"responders\":[{\"name\":\"x\"}]}", "`type` is needed"},
        {"POST", "/v2/alerts", "{\"message\":\"m\",\"responders\":[{\"type\":\"team\",\"username\":\"x\"}]}",
         ".username: is not known"},
        {"POST", "/v2/alerts", "", "needs a body"},
        {"POST", "/v2/alerts/a/close?identifierType=name", "{}", "\"name\" is not allowed"},
        {"POST", "/v2/alerts/a/snooze", "{\"endTime\":\"tomorrow\"}", "no date-time"},
        {"DELETE", "/v2/alerts/a/tags?identifierType=id", "", "the query needs &tags="},
        {"GET", "/v2/alerts?limit=x", "", "not an integer"},
        {"PATCH", "/v2/alerts/a/message", "{\"message\":\"m\"}", "is not in the description"},
        {"POST", "/v1/alerts", "{\"message\":\"m\"}", "is not in the description"},
    };
    if (!read_contract())
        return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct opsgenie_request request = OPSGENIE_REQUEST_INIT;
        request.method = rows[i].method;
        buf_add_text(&request.path, rows[i].path);
        buf_add_text(&request.body, rows[i].body);
        check_request(&request, "row");
        char *text = buf_take(&flaws);
        flaws = (struct buf)BUF_INIT(FLAWS_MOST);
        if (!text || !strstr(text, rows[i].words))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, text, rows[i].words);
        free(text);
        opsgenie_request_clear(&request);
    }
    json_decref(contract);
    contract = NULL;
}
