/* test.c - `headgate test`: specs of flows and rules, by busted, in this very program
 *
 * The specs are ordinary Lua with all its libraries; the flow that they look at runs in the same world as in the
 * daemon, by the functions below, which scripts/headgate/spec.lua makes pleasant to use. */
#include "core/cli/cli.h"

#include "core/base/log.h"
#include "core/flow/offline.h"
#include "core/lua/json.h"
#include "core/lua/scripts.h"

#include <ftw.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cli_help help = {
    .usage = "test FLOW | RULE.lua | --all FOLDER",
    .text = "Runs the spec of a flow (its folder, or its name) or of a rule (its file), with busted.  Nothing is\n"
            "delivered and nothing is read from outside.  Ends with 1 if a test fails.",
    .options = "crapj",
    .most = 1};

/* ---- what a spec may call: headgate_native ------------------------------------------------------------- */

struct reading {
    lua_State *L;
    int function; /* stack index of the spec's function that answers look-ups */
};

/* reads(connection, query, fields_json) -> json; an error of it is why the look-up has no answer. */
static void answer(struct run *run, void *context)
{
    struct reading *reading = context;
    lua_State *L = reading->L;
    struct slice record = buf_slice(&run->query_fields);
    struct field field;
    json_t *json = json_object();
    for (size_t at = 0; record_next(record, &at, &field);) {
        char name[256];
        memcpy(name, field.name.data, field.name.size);
        name[field.name.size] = '\0';
        json_object_set_new(json, name,
                            field.kind == RECORD_INTEGER ? json_integer(record_get_integer(record, name, 0))
                                                         : json_stringn(field.value.data, field.value.size));
    }
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    lua_pushvalue(L, reading->function);
    lua_pushstring(L, run->query_connection->name);
    lua_pushstring(L, run->query->name);
    lua_pushstring(L, text);
    free(text);
    bool ok = lua_pcall(L, 3, 1, 0) == LUA_OK && lua_isstring(L, -1);
    struct slice said = {luaL_tolstring(L, -1, NULL), 0};
    said.size = strlen(said.data);
    char *copy = mem_copy(said);
    lua_pop(L, 2);
    if (ok)
        run_answer(run, slice_of(copy));
    else
        run_no_answer(run, true, copy);
    free(copy);
}

static struct offline *offline_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* run(folder, event_json, reads) -> json, as offline_run gives it */
static int native_run(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    struct slice event;
    event.data = luaL_checklstring(L, 2, &event.size);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct reading reading = {L, 3};
    static struct err err; /* an error leaps over this frame */
    err = (struct err)ERR_INIT;
    struct instance *instance = offline_load(offline_of(L), folder, &err);
    json_t *result = instance ? offline_run(instance, event, answer, &reading, &err) : NULL;
    instance_release(instance);
    if (!result)
        return luaL_error(L, "%s", err.text);
    char *text = json_dumps(result, JSON_COMPACT);
    json_decref(result);
    lua_pushstring(L, text);
    free(text);
    return 1;
}

static int native_decode(lua_State *L)
{
    struct slice text;
    static struct err err;
    text.data = luaL_checklstring(L, 1, &text.size);
    return json_push(L, text, &err) ? 1 : luaL_error(L, "%s", err.text);
}

static int native_encode(lua_State *L)
{
    struct buf text = BUF_INIT((size_t)64 << 20);
    static struct err err;
    luaL_checkany(L, 1);
    if (!json_add(L, 1, &text, &err)) {
        buf_clear(&text);
        return luaL_error(L, "%s", err.text);
    }
    lua_pushlstring(L, text.data, text.size);
    buf_clear(&text);
    return 1;
}

/* A rule is pure Lua: its spec gets it as a value, with its own `require` of rules. */
static int native_rule(lua_State *L)
{
    char module[200];
    snprintf(module, sizeof module, "rules.%s", luaL_checkstring(L, 1));
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    return 1;
}

/* package.searchers: "rules.x" and "headgate.x" as the daemon finds them. */
static int search_module(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct buf chunk = BUF_INIT(500);
    struct slice source;
    const struct release *rule;
    buf_add_char(&chunk, '@');
    if (!rulebook_find(&offline_of(L)->rules, name, &source, &chunk, &rule)) {
        buf_clear(&chunk);
        lua_pushfstring(L, "\n\tno rule or script of Headgate '%s'", name);
        return 1;
    }
    int status = luaL_loadbufferx(L, source.data, source.size, chunk.data, "t");
    buf_clear(&chunk);
    return status == LUA_OK ? 1 : lua_error(L);
}

static void add_native(lua_State *L, struct offline *offline, const char *name, lua_CFunction function)
{
    lua_pushlightuserdata(L, offline);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

static lua_State *new_state(struct offline *offline)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    json_open(L); /* the table with null and array */
    add_native(L, offline, "run", native_run);
    add_native(L, offline, "rule", native_rule);
    add_native(L, offline, "decode", native_decode);
    add_native(L, offline, "encode", native_encode);
    lua_setglobal(L, "headgate_native");
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    lua_pushlightuserdata(L, offline);
    lua_pushcclosure(L, search_module, 1);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 2);
    return L;
}

/* ---- which specs ------------------------------------------------------------------------------------------- */

static char *specs[1000];
static int spec_count;

static int collect(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about, (void)place;
    size_t size = strlen(path);
    if (kind == FTW_F && size > 9 && strcmp(path + size - 9, "_spec.lua") == 0 && spec_count < 999)
        specs[spec_count++] = mem_text(path);
    return 0;
}

static bool find_specs(const struct offline *offline, const char *given, struct err *err)
{
    char path[4096];
    struct stat about;
    size_t size = strlen(given);
    snprintf(path, sizeof path, "%s", given);
    if (stat(path, &about) != 0 && !strchr(given, '/'))
        snprintf(path, sizeof path, "%s/%s", offline->config->flows, given);
    if (size > 4 && strcmp(given + size - 4, ".lua") == 0) /* a rule's file: the spec beside it */
        snprintf(path + strlen(path) - 4, 16, "_spec.lua");
    if (stat(path, &about) != 0)
        return err_set(err, "%s: there is no such file or folder", path);
    nftw(path, collect, 16, FTW_PHYS);
    return true;
}

/* arg = {"-o", output, spec...}; busted's runner looks there, and ends the process with the number of failures. */
static int run_busted(lua_State *L, const struct cli_args *args)
{
    const char *output = args->plain || !isatty(STDOUT_FILENO) ? "plainTerminal" : "utfTerminal";
    if (args->json)
        output = "json";
    lua_newtable(L);
    lua_pushstring(L, "headgate test");
    lua_rawseti(L, -2, 0);
    lua_pushstring(L, "-o");
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, output);
    lua_rawseti(L, -2, 2);
    for (int i = 0; i < spec_count; i++) {
        lua_pushstring(L, specs[i]);
        lua_rawseti(L, -2, i + 3);
    }
    lua_setglobal(L, "arg");
    /* Ends by os.exit: 0, or 1 where something failed. */
    static const char runner[] =
        "local exit = os.exit\n"
        "os.exit = function(code) exit(code == true or code == 0, true) end\n"
        "local ok, busted = pcall(require, 'busted.runner')\n"
        "if not ok then error('busted is needed to run specs: install the package lua-busted', 0) end\n"
        "busted { standalone = false }\n";
    if (luaL_loadbufferx(L, runner, sizeof runner - 1, "=headgate test", "t") == LUA_OK
        && lua_pcall(L, 0, 0, 0) == LUA_OK)
        return 0;
    return cli_fail(69, "%s", luaL_tolstring(L, -1, NULL));
}

int cli_test(int argc, char **argv)
{
    struct cli_args args;
    static struct offline offline; /* specs use it until the process ends */
    struct err err = ERR_INIT;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help, &args, &exit_code))
        return exit_code;
    if (!args.count && !args.all)
        return cli_fail(64, "of which flow or rule? usage: headgate %s", help.usage);
    log_open(LOG_LEVEL_WARNING, LOG_STYLE_GUESS);
    if (!offline_open(&offline, cli_config_path(&args), args.rules, false, &err))
        return cli_fail(78, "%s", err.text);
    if (!find_specs(&offline, args.all ? args.all : args.rest[0], &err))
        return cli_fail(66, "%s", err.text);
    if (!spec_count) {
        printf("there is no spec (NAME_spec.lua)\n");
        return 0;
    }
    lua_State *L = new_state(&offline);
    exit_code = run_busted(L, &args);
    lua_close(L);
    return exit_code;
}
