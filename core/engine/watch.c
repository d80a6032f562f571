/* watch.c - the folders of flows and rules, compared with what is released
 *
 * At start, what is new to the store is deployed (a flow's gate stays off) and what differs is reported, not applied.
 * With `run --watch` a saved file is deployed.  The folders are looked at twice a second: editors save in too many ways
 * for notifications to be simpler. */
#include "core/base/log.h"
#include "core/engine/internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LOOK_MS 500
#define UNREADABLE "?" /* instead of a hash */

/* One flow's folder or rule's file. */
struct place {
    char *path;
    enum release_kind kind;
    char *name;
    char hash[HASH_TEXT_MAX]; /* of its content when last looked at; "": not yet; or UNREADABLE */
    struct place *next;
};

struct watch {
    struct engine *engine;
    struct place *places;
    uv_timer_t timer;
    bool goes_on;
};

static bool is_place(enum release_kind kind, const char *folder, const char *item)
{
    char path[4096];
    struct stat about;
    size_t size = strlen(item);
    if (item[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, item) >= (int)sizeof path
        || stat(path, &about) != 0)
        return false;
    if (kind == RELEASE_FLOW) {
        snprintf(path, sizeof path, "%s/%s/flow.yaml", folder, item);
        return S_ISDIR(about.st_mode) && stat(path, &about) == 0;
    }
    return S_ISREG(about.st_mode) && size > 4 && strcmp(item + size - 4, ".lua") == 0
           && !(size > 9 && strcmp(item + size - 9, "_spec.lua") == 0);
}

static struct place *place_at(struct watch *watch, enum release_kind kind, const char *folder, const char *item)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, item);
    struct place **at = &watch->places;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->path, path) == 0)
            return *at;
    *at = mem_zero(sizeof **at);
    (*at)->path = mem_text(path);
    (*at)->kind = kind;
    (*at)->name = mem_copy((struct slice){item, strlen(item) - (kind == RELEASE_RULE ? 4 : 0)});
    return *at;
}

static void on_deployed(void *context, bool ok, const char *text)
{
    (void)context, (void)ok, (void)text; /* the deploy has logged it */
}

/* Something is there that was not there, or not so, when last looked. */
static void consider(struct watch *watch, struct place *place, struct release *release)
{
    struct engine *engine = watch->engine;
    struct gate_row row;
    bool is_known = gate_read(engine, place->kind, place->name, &row);
    bool is_live = is_known && strcmp(row.live, release->hash) == 0;
    if (!is_known || (!is_live && watch->goes_on)) {
        struct author author = {"headgate", is_known ? "the file was saved (run --watch)" : "new in its folder"};
        engine_deploy(engine, release, &author, on_deployed, NULL);
        return;
    }
    if (!is_live)
        log_warning("%s %s: %s differs from the live release %.12s and is not applied: `headgate deploy %s`",
                    release_kind_name(place->kind), place->name, place->path, row.live, place->path);
    release_free(release);
}

static void look_at(struct watch *watch, struct place *place)
{
    struct err err = ERR_INIT;
    struct release *release = release_from_path(place->path, &err);
    const char *hash = release ? release->hash : UNREADABLE;
    if (strcmp(place->hash, hash) == 0) {
        release_free(release);
        return;
    }
    snprintf(place->hash, sizeof place->hash, "%s", hash);
    if (release)
        consider(watch, place, release);
    else
        log_warning("%s", err.text);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void look_into(struct watch *watch, enum release_kind kind, const char *folder)
{
    struct dirent **items;
    int count = scandir(folder, &items, NULL, by_name);
    if (count < 0) {
        if (!watch->places)
            log_warning("%ss: %s cannot be read; make it, or say where they are in headgate.yaml",
                        release_kind_name(kind), folder);
        return;
    }
    for (int i = 0; i < count; i++) {
        if (is_place(kind, folder, items[i]->d_name))
            look_at(watch, place_at(watch, kind, folder, items[i]->d_name));
        free(items[i]);
    }
    free(items);
}

/* Rules first: a new flow may require a new rule. */
static void look(struct watch *watch)
{
    look_into(watch, RELEASE_RULE, watch->engine->config->rules);
    look_into(watch, RELEASE_FLOW, watch->engine->config->flows);
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

void watch_folders(struct engine *engine, bool goes_on)
{
    struct watch *watch = mem_zero(sizeof *watch);
    watch->engine = engine;
    watch->goes_on = goes_on;
    engine->watch = watch;
    uv_timer_init(engine->loop, &watch->timer);
    watch->timer.data = watch;
    look(watch);
    if (goes_on)
        uv_timer_start(&watch->timer, on_timer, LOOK_MS, LOOK_MS);
}

static void free_watch(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    while (watch->places) {
        struct place *next = watch->places->next;
        free(watch->places->path);
        free(watch->places->name);
        free(watch->places);
        watch->places = next;
    }
    free(watch);
}

void watch_stop(struct engine *engine)
{
    if (!engine->watch)
        return;
    uv_close((uv_handle_t *)&engine->watch->timer, free_watch);
    engine->watch = NULL;
}

void engine_differences(struct engine *engine, struct buf *lines)
{
    for (struct place *place = engine->watch ? engine->watch->places : NULL; place; place = place->next) {
        struct err err = ERR_INIT;
        struct gate_row row;
        struct release *release = release_from_path(place->path, &err);
        bool is_known = gate_read(engine, place->kind, place->name, &row);
        if (release && (!is_known || strcmp(row.live, release->hash) != 0))
            buf_addf(lines, "%s %s: %s is not what is live\n", release_kind_name(place->kind), place->name,
                     place->path);
        release_free(release);
    }
}
