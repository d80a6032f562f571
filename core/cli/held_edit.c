/* held_edit.c - `headgate held edit N`: a field from the command line or a file, or the event's body in an editor
 *
 * The daemon keeps the original beside what is edited, and the audit keeps who did it and why. */
#include "core/cli/cli.h"

#include "core/base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUE_MAX ((size_t)12 << 20) /* what a request of the admin API holds */

static char *read_all(FILE *from)
{
    struct buf text = BUF_INIT(VALUE_MAX);
    char chunk[65536];
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, from)) > 0;)
        buf_add(&text, chunk, size);
    bool is_over = text.is_over;
    char *copy = is_over ? NULL : mem_copy(buf_slice(&text));
    buf_clear(&text);
    return copy;
}

/* What stands behind "FIELD=": itself, or the content of a file.  NULL after an error. */
static char *take_value(const char *said, int *exit_code)
{
    if (said[0] != '@')
        return mem_text(said);
    FILE *from = strcmp(said, "@-") == 0 ? stdin : fopen(said + 1, "r");
    char *text = from ? read_all(from) : NULL;
    if (!from)
        *exit_code = cli_fail(66, "%s: %s", said + 1, strerror(errno));
    else if (!text)
        *exit_code = cli_fail(65, "%s: it is larger than %zu MiB", said + 1, VALUE_MAX >> 20);
    if (from && from != stdin)
        fclose(from);
    return text;
}

static bool add_set(json_t *fields, const char *set, int *exit_code)
{
    const char *equals = strchr(set, '=');
    if (!equals || equals == set) {
        *exit_code = cli_fail(64, "--set: found %s; expected FIELD=VALUE, such as body=@order.json", set);
        return false;
    }
    char *name = mem_copy((struct slice){set, (size_t)(equals - set)}), *value = take_value(equals + 1, exit_code);
    json_t *text = value ? json_string(value) : NULL;
    if (text)
        json_object_set_new(fields, name, text);
    else if (value)
        *exit_code = cli_fail(65, "--set: %s is not UTF-8", name);
    free(name);
    free(value);
    return text != NULL;
}

/* ---- in an editor -------------------------------------------------------------------------------------- */

static char *fetch_body(const struct cli_args *args, const char *number, int *exit_code)
{
    char path[100];
    snprintf(path, sizeof path, "/v1/held/%.20s", number);
    json_t *item = cli_ask(args, "GET", path, NULL, exit_code);
    if (!item)
        return NULL;
    const char *body = json_string_value(json_object_get(json_object_get(item, "event"), "body"));
    char *copy = body ? mem_text(body) : NULL;
    json_decref(item);
    if (!copy)
        *exit_code = cli_fail(64,
                              "held %s is an effect: say what to change, --set FIELD=VALUE; `headgate held show "
                              "%s` lists its fields",
                              number, number);
    return copy;
}

static bool run_editor(const char *path, int *exit_code)
{
    const char *visual = getenv("VISUAL"), *editor = visual && visual[0] ? visual : getenv("EDITOR");
    char *const argv[] = {"sh",         "-c", "$1 \"$2\"", "sh", (char *)(editor && editor[0] ? editor : "vi"),
                          (char *)path, NULL};
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        execv("/bin/sh", argv);
        _exit(127);
    }
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    *exit_code = cli_fail(1, "the editor did not end well; nothing has changed");
    return false;
}

/* The body as the person left it, or NULL: unchanged, or an error. */
static char *edit_text(const char *body, int *exit_code)
{
    char path[] = "/tmp/headgate-held.XXXXXX";
    int fd = mkstemp(path); /* mode 0600: an event may hold what not everybody should read */
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    char *edited = NULL;
    if (!file || fputs(body, file) < 0 || fclose(file) != 0)
        *exit_code = cli_fail(73, "%s: %s", path, strerror(errno));
    else if (run_editor(path, exit_code) && (file = fopen(path, "r"))) {
        edited = read_all(file);
        fclose(file);
    }
    unlink(path);
    if (edited && strcmp(edited, body) == 0) {
        free(edited);
        edited = NULL;
        printf("unchanged\n");
    }
    return edited;
}

static bool add_edited_body(const struct cli_args *args, const char *number, json_t *fields, int *exit_code)
{
    char *body = fetch_body(args, number, exit_code);
    char *edited = body ? edit_text(body, exit_code) : NULL;
    if (edited)
        json_object_set_new(fields, "body", json_string(edited));
    free(body);
    bool ok = edited != NULL;
    free(edited);
    return ok;
}

int held_edit(const struct cli_args *args, const char *number)
{
    char path[100];
    int exit_code = 0;
    json_t *fields = json_object();
    if (!args->why || !args->why[0]) {
        json_decref(fields);
        return cli_fail(64, "say why: headgate held edit %s --why \"...\"; the audit keeps it", number);
    }
    bool ok = true;
    for (size_t i = 0; ok && i < args->set_count; i++)
        ok = add_set(fields, args->sets[i], &exit_code);
    if (ok && !args->set_count)
        ok = add_edited_body(args, number, fields, &exit_code);
    if (!ok) {
        json_decref(fields);
        return exit_code;
    }
    snprintf(path, sizeof path, "/v1/held/%.20s/edit", number);
    json_t *answer =
        cli_ask(args, "POST", path, json_pack("{s:s, s:o}", "why", args->why, "fields", fields), &exit_code);
    if (!answer)
        return exit_code;
    if (args->json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}
