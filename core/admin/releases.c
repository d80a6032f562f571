/* releases.c - POST /v1/deploy, GET /v1/releases, GET /v1/audit */
#include "core/admin/internal.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* A file's content: a text, or {"base64": ...} for one that is not UTF-8. */
static bool add_file(struct release *release, const char *path, json_t *content, struct err *err)
{
    const char *text = json_string_value(content);
    if (text)
        return release_add(release, path, (struct slice){text, json_string_length(content)}, err);
    json_t *base64 = json_object_get(content, "base64");
    size_t size = json_string_length(base64);
    if (!base64 || size % 4)
        return err_set(err, "file %s: a text or {\"base64\"} is expected", path);
    unsigned char *bytes = mem_new(size / 4 * 3 + 1);
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)json_string_value(base64), (int)size);
    for (size_t i = size; got > 0 && i > 0 && json_string_value(base64)[i - 1] == '='; i--)
        got--;
    bool ok = got >= 0 ? release_add(release, path, (struct slice){(char *)bytes, (size_t)got}, err)
                       : err_set(err, "file %s: this is not base64", path);
    free(bytes);
    return ok;
}

static struct release *parse_release(json_t *json, struct err *err)
{
    const char *kind = json_string_value(json_object_get(json, "kind"));
    const char *name = json_string_value(json_object_get(json, "name"));
    json_t *files = json_object_get(json, "files"), *content;
    enum release_kind which = kind && strcmp(kind, "rule") == 0 ? RELEASE_RULE : RELEASE_FLOW;
    if (!kind || !name || !json_is_object(files) || !release_name_is_good(which, name)) {
        err_set(err, "a deploy says {\"kind\": \"flow\" or \"rule\", \"name\", \"files\", \"why\"}");
        return NULL;
    }
    struct release *release = release_new(which, name);
    const char *path;
    bool ok = true;
    json_object_foreach(files, path, content)
        ok = ok && add_file(release, path, content, err);
    if (!ok) {
        release_free(release);
        return NULL;
    }
    release_seal(release);
    return release;
}

void answer_deploy(struct admin *admin, struct request *request)
{
    struct err err = ERR_INIT;
    struct slice body = request_body(request);
    json_t *json = json_loadb(body.data ? body.data : "", body.size, JSON_REJECT_DUPLICATES, NULL);
    struct release *release = parse_release(json, &err);
    const char *why = json_string_value(json_object_get(json, "why"));
    if (release && why && strlen(why) > WHY_MAX) {
        reply_error(request, 400, "a reason may have at most %d bytes", WHY_MAX);
        release_free(release);
    } else if (release) {
        char *who = take_who(request);
        struct author author = {who, why ? why : ""};
        engine_deploy(admin->engine, release, &author, reply_done, request);
        free(who);
    } else {
        reply_error(request, 400, "%s", err.text);
    }
    json_decref(json);
}

struct listing {
    json_t *list;
    const char *live;
};

static bool add_release(void *context, struct slice key, struct slice row)
{
    struct listing *listing = context;
    struct slice hash = {key.data + key.size - (HASH_TEXT_MAX - 1), HASH_TEXT_MAX - 1};
    json_array_append_new(listing->list, json_pack("{s:o, s:I, s:o, s:b}", "release", json_of(hash), "at",
                                                   (json_int_t)record_get_integer(row, "at", 0), "who",
                                                   json_of_field(row, "who"), "live", slice_is(hash, listing->live)));
    return true;
}

/* Finds the gate of a flow or rule; `kind` NULL: a flow of that name, else a rule. */
static const char *find_gate(struct admin *admin, const char *kind, const char *name, struct store_key *key,
                             struct slice *gate)
{
    static const char *const kinds[] = {"flow", "rule"};
    for (size_t i = 0; i < 2; i++) {
        if (kind && strcmp(kind, kinds[i]) != 0)
            continue;
        *key = (struct store_key)STORE_KEY_INIT;
        store_key_add_text(key, kinds[i]);
        store_key_add_text(key, name);
        if (store_get(engine_store(admin->engine), TABLE_GATES, store_key_slice(key), gate))
            return kinds[i];
    }
    return NULL;
}

void answer_releases(struct admin *admin, struct request *request)
{
    const char *kind = request_query(request, "kind"), *name = request_query(request, "name");
    struct store_key prefix;
    struct slice gate;
    char live[HASH_TEXT_MAX] = "";
    if (!name || strlen(name) > NAME_MAX_BYTES) {
        reply_error(request, 400, "of which flow or rule? /v1/releases?name=...");
        return;
    }
    const char *found = find_gate(admin, kind, name, &prefix, &gate);
    if (!found) {
        reply_error(request, 404, "there is no %s %s", kind ? kind : "flow or rule", name);
        return;
    }
    snprintf(live, sizeof live, "%.*s", SLICE_ARG(record_get(gate, "live")));
    struct listing listing = {json_array(), live};
    store_scan(engine_store(admin->engine), TABLE_RELEASES, store_key_slice(&prefix), SLICE_NONE, add_release,
               &listing);
    reply_json(request, 200, json_pack("{s:s, s:s, s:o}", "kind", found, "name", name, "releases", listing.list));
}

struct auditing {
    json_t *list;
    size_t skip; /* older rows than were asked for */
};

static bool count_audit(void *context, struct slice key, struct slice row)
{
    (void)key, (void)row;
    ++*(size_t *)context;
    return true;
}

static bool add_audit(void *context, struct slice key, struct slice row)
{
    struct auditing *auditing = context;
    if (auditing->skip) {
        auditing->skip--;
        return true;
    }
    json_array_insert_new(auditing->list, 0,
                          json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "number", (json_int_t)store_key_number(key),
                                    "at", (json_int_t)record_get_integer(row, "at", 0), "who",
                                    json_of_field(row, "who"), "what", json_of_field(row, "what"), "subject",
                                    json_of_field(row, "subject"), "text", json_of_field(row, "text"), "why",
                                    json_of_field(row, "why")));
    return true;
}

void answer_audit(struct admin *admin, struct request *request)
{
    const char *limit = request_query(request, "limit");
    size_t most = limit ? strtoul(limit, NULL, 10) : 50, total = 0;
    struct store *store = engine_store(admin->engine);
    store_scan(store, TABLE_AUDIT, SLICE_NONE, SLICE_NONE, count_audit, &total);
    struct auditing auditing = {json_array(), total > most ? total - most : 0};
    store_scan(store, TABLE_AUDIT, SLICE_NONE, SLICE_NONE, add_audit, &auditing);
    reply_json(request, 200, json_pack("{s:o}", "audit", auditing.list));
}
