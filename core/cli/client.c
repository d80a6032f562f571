/* client.c - from the command line to the daemon: HTTP over its Unix socket */
#include "core/cli/cli.h"

#include <curl/curl.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)256 << 20)
#define ANSWER_TIMEOUT_S 120L /* a deploy runs specs */

static size_t add(char *data, size_t one, size_t size, void *context)
{
    (void)one;
    return buf_add(context, data, size) ? size : 0;
}

static char *find_socket(const struct cli_args *args, int *exit_code)
{
    struct err err = ERR_INIT;
    if (args->socket)
        return mem_text(args->socket);
    struct config *config = config_load_with(cli_config_path(args), adapters, false, &err);
    if (!config) {
        *exit_code = cli_fail(78, "%s", err.text);
        return NULL;
    }
    char *socket = mem_text(config->admin_socket);
    config_free(config);
    return socket;
}

static CURLcode transfer(const char *socket, const char *method, const char *path, const char *body, struct buf *answer,
                         long *status)
{
    char url[4096];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    snprintf(url, sizeof url, "http://headgate%s", path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, add);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return code;
}

static json_t *judge(long status, const struct buf *answer, int *exit_code)
{
    json_t *json = json_loadb(answer->data ? answer->data : "", answer->size, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    if (status == 200 && json)
        return json;
    /* 403: not the daemon's user; 404, 409: the daemon says no, and why; 503: it stops */
    *exit_code = status == 403 ? 77 : status == 503 ? 75 : status == 404 || status == 409 ? 1 : status == 400 ? 64 : 70;
    cli_fail(*exit_code, "%s", error ? error : answer->size ? answer->data : "the daemon gave no answer");
    json_decref(json);
    return NULL;
}

json_t *cli_ask(const struct cli_args *args, const char *method, const char *path, json_t *body, int *exit_code)
{
    char *socket = find_socket(args, exit_code);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct buf answer = BUF_INIT(ANSWER_MAX);
    json_t *json = NULL;
    json_decref(body);
    if (socket) {
        long status = 0;
        CURLcode code = transfer(socket, method, path, text, &answer, &status);
        if (code == CURLE_COULDNT_CONNECT)
            *exit_code = cli_fail(69, "no daemon answers at %s; start one with `headgate run`", socket);
        else if (code != CURLE_OK)
            *exit_code = cli_fail(69, "the daemon at %s did not answer: %s", socket, curl_easy_strerror(code));
        else
            json = judge(status, &answer, exit_code);
    }
    buf_clear(&answer);
    free(text);
    free(socket);
    return json;
}

char *cli_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy = mem_text(escaped ? escaped : "");
    curl_free(escaped);
    return copy;
}

json_t *cli_why(const struct cli_args *args)
{
    return json_pack("{s:s}", "why", args->why ? args->why : "");
}

int cli_print_json(json_t *json)
{
    json_dumpf(json, stdout, isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
    putchar('\n');
    json_decref(json);
    return 0;
}
