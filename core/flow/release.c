/* release.c - see release.h */
#include "core/flow/release.h"

#include "core/adapter.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 4
#define FILES_MAX 500
#define PATH_ROOM 4096

const char *release_kind_name(enum release_kind kind)
{
    return kind == RELEASE_FLOW ? "flow" : "rule";
}

bool release_name_is_good(enum release_kind kind, const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > NAME_MAX_BYTES || name[0] < 'a' || name[0] > 'z')
        return false;
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == (kind == RELEASE_FLOW ? '-' : '_')))
            return false;
    return true;
}

struct release *release_new(enum release_kind kind, const char *name)
{
    struct release *release = mem_zero(sizeof *release);
    release->kind = kind;
    release->name = mem_text(name);
    return release;
}

void release_free(struct release *release)
{
    if (!release)
        return;
    for (size_t i = 0; i < release->count; i++) {
        free(release->files[i].path);
        free((char *)release->files[i].content.data);
    }
    free(release->files);
    free(release->name);
    free(release);
}

/* A path stays inside of its folder: relative, no "..", no empty part. */
static bool path_is_good(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strlen(path) > 200)
        return false;
    for (const char *part = path; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        size_t size = strcspn(part, "/");
        if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
    }
    return true;
}

bool release_add(struct release *release, const char *path, struct slice content, struct err *err)
{
    size_t total = content.size;
    for (size_t i = 0; i < release->count; i++)
        total += release->files[i].content.size;
    if (!path_is_good(path))
        return err_set(err, "\"%s\" is not a path inside of the folder", path);
    if (total > RELEASE_MAX || release->count == FILES_MAX)
        return err_set(err, "%s is too large: a flow may have %d files with %zu MiB in all", release->name, FILES_MAX,
                       RELEASE_MAX >> 20);
    release->files = mem_resize(release->files, (release->count + 1) * sizeof *release->files);
    release->files[release->count++] = (struct release_file){mem_text(path), {mem_copy(content), content.size}};
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct release_file *)a)->path, ((const struct release_file *)b)->path);
}

void release_seal(struct release *release)
{
    qsort(release->files, release->count, sizeof *release->files, by_path);
    struct slice *parts = mem_new((2 * release->count + 2) * sizeof *parts);
    size_t count = 0;
    parts[count++] = slice_of(release_kind_name(release->kind));
    parts[count++] = slice_of(release->name);
    for (size_t i = 0; i < release->count; i++) {
        parts[count++] = slice_of(release->files[i].path);
        parts[count++] = release->files[i].content;
    }
    unsigned char digest[HASH_SIZE];
    hash_parts(parts, count, digest);
    hash_hex(digest, HASH_SIZE, release->hash);
    free(parts);
}

bool release_find(const struct release *release, const char *path, struct slice *content)
{
    for (size_t i = 0; i < release->count; i++) {
        if (strcmp(release->files[i].path, path) == 0) {
            *content = release->files[i].content;
            return true;
        }
    }
    return false;
}

bool release_encode(const struct release *release, struct buf *record)
{
    for (size_t i = 0; i < release->count; i++)
        record_add_text(record, release->files[i].path, release->files[i].content);
    return !record->is_over;
}

struct release *release_decode(enum release_kind kind, const char *name, struct slice record, struct err *err)
{
    struct release *release = release_new(kind, name);
    struct field field;
    for (size_t at = 0; record_next(record, &at, &field);) {
        char path[256];
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(field.name));
        if (!release_add(release, path, field.value, err)) {
            release_free(release);
            return NULL;
        }
    }
    release_seal(release);
    return release;
}

/* ---- files ------------------------------------------------------------------------------------- */

static bool add_file(struct release *release, const char *full, const char *path, struct err *err)
{
    struct buf content = BUF_INIT(RELEASE_MAX);
    bool ok = file_read(full, &content, err) && release_add(release, path, buf_slice(&content), err);
    buf_clear(&content);
    return ok;
}

/* What editors and version control leave beside the files is not part of the flow. */
static bool is_foreign(const char *name)
{
    size_t size = strlen(name);
    return name[0] == '.' || name[0] == '#' || name[size - 1] == '~'
           || (size > 4 && strcmp(name + size - 4, ".swp") == 0);
}

static bool add_folder(struct release *release, const char *root, const char *below, int depth, struct err *err)
{
    char full[PATH_ROOM], path[PATH_ROOM];
    snprintf(full, sizeof full, "%s%s%s", root, below[0] ? "/" : "", below);
    DIR *folder = opendir(full);
    if (!folder)
        return err_set(err, "%s: %s", full, strerror(errno));
    bool ok = true;
    struct dirent *item;
    while (ok && (item = readdir(folder))) {
        struct stat about;
        if (is_foreign(item->d_name))
            continue;
        snprintf(path, sizeof path, "%s%s%s", below, below[0] ? "/" : "", item->d_name);
        if (snprintf(full, sizeof full, "%s/%s", root, path) >= (int)sizeof full || stat(full, &about) != 0)
            ok = err_set(err, "%s: %s", full, strerror(errno));
        else if (S_ISDIR(about.st_mode))
            ok = depth < DEPTH_MAX ? add_folder(release, root, path, depth + 1, err)
                                   : err_set(err, "%s: folders are nested deeper than %d", full, DEPTH_MAX);
        else if (S_ISREG(about.st_mode))
            ok = add_file(release, full, path, err);
    }
    closedir(folder);
    return ok;
}

/* "flows/offline-case/" -> "offline-case"; "rules/monitored.lua" -> "monitored" */
static void name_of(const char *path, char *name, size_t room)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t from = end;
    while (from > 0 && path[from - 1] != '/')
        from--;
    snprintf(name, room, "%.*s", (int)(end - from), path + from);
}

static bool load_rule(struct release *release, const char *path, struct err *err)
{
    char file[NAME_MAX_BYTES + 16], spec[PATH_ROOM];
    snprintf(file, sizeof file, "%s.lua", release->name);
    if (!add_file(release, path, file, err))
        return false;
    snprintf(spec, sizeof spec, "%.*s_spec.lua", (int)(strlen(path) - 4), path);
    snprintf(file, sizeof file, "%s_spec.lua", release->name);
    return access(spec, F_OK) != 0 || add_file(release, spec, file, err);
}

struct release *release_from_path(const char *path, struct err *err)
{
    char name[PATH_ROOM], real[PATH_ROOM];
    struct stat about;
    if (!realpath(path, real) || stat(real, &about) != 0) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    name_of(real, name, sizeof name);
    size_t size = strlen(name);
    bool is_rule = S_ISREG(about.st_mode) && size > 4 && strcmp(name + size - 4, ".lua") == 0;
    if (is_rule)
        name[size - 4] = '\0';
    enum release_kind kind = is_rule ? RELEASE_RULE : RELEASE_FLOW;
    if (!is_rule && !S_ISDIR(about.st_mode)) {
        err_set(err, "%s: neither a flow's folder nor a rule's .lua file", path);
        return NULL;
    }
    if (!release_name_is_good(kind, name)) {
        err_set(err,
                "%s: \"%s\" cannot name a %s: allowed are a to z, 0 to 9 and %s, beginning with a letter, at most %d",
                path, name, release_kind_name(kind), is_rule ? "_" : "-", NAME_MAX_BYTES);
        return NULL;
    }
    struct release *release = release_new(kind, name);
    if (!(is_rule ? load_rule(release, real, err) : add_folder(release, real, "", 1, err))) {
        release_free(release);
        return NULL;
    }
    release_seal(release);
    return release;
}

static bool write_file(const char *path, struct slice content, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    for (size_t at = 0; ok && at < content.size;) {
        ssize_t n = write(fd, content.data + at, content.size - at);
        ok = n >= 0 || errno == EINTR;
        at += n > 0 ? (size_t)n : 0;
    }
    if (!ok)
        err_set(err, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

bool release_write(const struct release *release, const char *folder, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < release->count; i++) {
        char path[PATH_ROOM];
        snprintf(path, sizeof path, "%s/%s", folder, release->files[i].path);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        ok = file_make_folder(path, err);
        *slash = '/';
        ok = ok && write_file(path, release->files[i].content, err);
    }
    return ok;
}
