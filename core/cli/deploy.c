/* deploy.c - `headgate deploy` and `headgate releases` */
#include "core/cli/cli.h"

#include "core/base/utf8.h"
#include "core/flow/release.h"

#include <openssl/evp.h>
#include <stdlib.h>

static const struct cli_help help_deploy = {
    .usage = "deploy flows/NAME | rules/NAME.lua [--why TEXT]",
    .text =
        "Hands the folder of a flow, or the file of a rule, to the daemon.  It is loaded, checked and tested by its\n"
        "spec beside the running release; then the daemon switches between two events.  Runs that began finish\n"
        "under their release.  A release that does not load, or fails its check or its spec, changes nothing.\n"
        "A new flow begins with its gate off: `headgate on` opens it.",
    .options = "csjw",
    .least = 1,
    .most = 1};

static const struct cli_help help_releases = {
    .usage = "releases NAME",
    .text = "Lists what was released of a flow (or of a rule of that name), and which release is live.",
    .options = "csj",
    .least = 1,
    .most = 1};

static json_t *file_json(struct slice content)
{
    if (utf8_is_valid(content) && !memchr(content.data ? content.data : "", 0, content.size))
        return json_stringn(content.data ? content.data : "", content.size);
    unsigned char *base64 = mem_new(content.size / 3 * 4 + 8);
    EVP_EncodeBlock(base64, (const unsigned char *)content.data, (int)content.size);
    json_t *json = json_pack("{s:s}", "base64", base64);
    free(base64);
    return json;
}

int cli_deploy(int argc, char **argv)
{
    struct cli_args args;
    struct err err = ERR_INIT;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help_deploy, &args, &exit_code))
        return exit_code;
    struct release *release = release_from_path(args.rest[0], &err);
    if (!release)
        return cli_fail(66, "%s", err.text);
    json_t *files = json_object();
    for (size_t i = 0; i < release->count; i++)
        json_object_set_new(files, release->files[i].path, file_json(release->files[i].content));
    json_t *body = json_pack("{s:s, s:s, s:o, s:s}", "kind", release_kind_name(release->kind), "name", release->name,
                             "files", files, "why", args.why ? args.why : "");
    release_free(release);
    json_t *answer = cli_ask(&args, "POST", "/v1/deploy", body, &exit_code);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    printf("%s\n", cli_text(answer, "text"));
    json_decref(answer);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = cli_number(*(json_t *const *)a, "at"), y = cli_number(*(json_t *const *)b, "at");
    return x < y ? 1 : x > y ? -1 : 0;
}

static void print_releases(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **sorted = mem_new((count ? count : 1) * sizeof *sorted);
    struct grid grid = GRID_INIT(4, 0);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(list, i);
    qsort(sorted, count, sizeof *sorted, by_time);
    grid_add(&grid, "RELEASE");
    grid_add(&grid, "RELEASED");
    grid_add(&grid, "BY");
    grid_add(&grid, "%s", "");
    for (size_t i = 0; i < count; i++) {
        char room[32];
        grid_add(&grid, "%.12s", cli_text(sorted[i], "release"));
        grid_add(&grid, "%s", cli_moment(cli_number(sorted[i], "at"), room));
        grid_add(&grid, "%s", cli_text(sorted[i], "who"));
        grid_add(&grid, "%s", json_is_true(json_object_get(sorted[i], "live")) ? "live" : "");
    }
    grid_print(&grid);
    free(sorted);
}

int cli_releases(int argc, char **argv)
{
    struct cli_args args;
    int exit_code = 0;
    if (!cli_parse(argc, argv, &help_releases, &args, &exit_code))
        return exit_code;
    char path[300], *name = cli_escape(args.rest[0]);
    snprintf(path, sizeof path, "/v1/releases?name=%s", name);
    free(name);
    json_t *answer = cli_ask(&args, "GET", path, NULL, &exit_code);
    if (!answer)
        return exit_code;
    if (args.json)
        return cli_print_json(answer);
    print_releases(json_object_get(answer, "releases"));
    json_decref(answer);
    return 0;
}
