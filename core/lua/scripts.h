/* scripts.h - the Lua files of scripts/headgate, built into the program */
#ifndef HEADGATE_LUA_SCRIPTS_H
#define HEADGATE_LUA_SCRIPTS_H

#include <stddef.h>

struct script {
    const char *name;   /* "first" for scripts/headgate/first.lua; NULL ends the list */
    const char *source; /* zero-terminated */
    size_t size;
};

extern const struct script scripts[]; /* made by scripts/embed.lua */

#endif
