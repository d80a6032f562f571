/* rulebook.c - see rulebook.h */
#include "core/flow/rulebook.h"

#include "core/lua/scripts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void rulebook_set(struct rulebook *book, struct release *rule)
{
    struct slice name = slice_of(rule->name);
    release_free(map_remove(&book->rules, name));
    map_put(&book->rules, name, rule);
}

const struct release *rulebook_get(const struct rulebook *book, const char *name)
{
    const struct release *rule = NULL;
    for (; book && !rule; book = book->beneath)
        rule = map_get(&book->rules, slice_of(name));
    return rule;
}

static bool find_script(const char *name, struct slice *source)
{
    for (const struct script *script = scripts; script->name; script++) {
        if (strcmp(script->name, name) == 0) {
            *source = (struct slice){script->source, script->size};
            return true;
        }
    }
    return false;
}

bool rulebook_find(const struct rulebook *book, const char *module, struct slice *source, struct buf *chunk,
                   const struct release **rule)
{
    *rule = NULL;
    if (strncmp(module, "headgate.", 9) == 0) {
        buf_addf(chunk, "headgate/%s.lua", module + 9);
        return find_script(module + 9, source);
    }
    if (strncmp(module, "rules.", 6) != 0 || !(*rule = rulebook_get(book, module + 6)))
        return false;
    char file[NAME_MAX_BYTES + 8];
    snprintf(file, sizeof file, "%s.lua", (*rule)->name);
    buf_addf(chunk, "rules/%s", file);
    return release_find(*rule, file, source);
}

static void free_rule(void *context, struct slice name, void *rule)
{
    (void)context, (void)name;
    release_free(rule);
}

void rulebook_clear(struct rulebook *book)
{
    map_each(&book->rules, free_rule, NULL);
    map_clear(&book->rules);
}

static bool is_rule_file(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > 4 && strcmp(name + size - 4, ".lua") == 0
           && !(size > 9 && strcmp(name + size - 9, "_spec.lua") == 0);
}

bool rulebook_load_folder(struct rulebook *book, const char *folder, struct err *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT || err_set(err, "%s: %s", folder, strerror(errno));
    bool ok = true;
    struct dirent *item;
    while (ok && (item = readdir(dir))) {
        if (!is_rule_file(item->d_name))
            continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, item->d_name);
        struct release *rule = release_from_path(path, err);
        ok = rule != NULL;
        if (ok)
            rulebook_set(book, rule);
    }
    closedir(dir);
    return ok;
}
