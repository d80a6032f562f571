/* rulebook.h - what `require` finds: the live release of each rule, and Headgate's own scripts
 *
 * "rules.NAME" is the rule NAME as it is released; "headgate.NAME" is scripts/headgate/NAME.lua, which is part of this
 * program.  A rule that is only tried stands in a rulebook of its own with the live one beneath. */
#ifndef HEADGATE_FLOW_RULEBOOK_H
#define HEADGATE_FLOW_RULEBOOK_H

#include "core/adapter.h"
#include "core/base/map.h"
#include "core/flow/release.h"

struct rulebook {
    struct map rules;               /* name -> struct release, owned */
    const struct rulebook *beneath; /* asked for what is not here; NULL: none */
};

#define RULEBOOK_INIT(below)                                                                                           \
    {                                                                                                                  \
        MAP_INIT, (below)                                                                                              \
    }

void rulebook_set(struct rulebook *book, struct release *rule); /* takes it; replaces one of the same name */
const struct release *rulebook_get(const struct rulebook *book, const char *name);
/* The source of the module, lent, and the name of its chunk ("rules/monitored.lua"). `rule`: its release, or NULL. */
bool rulebook_find(const struct rulebook *book, const char *module, struct slice *source, struct buf *chunk,
                   const struct release **rule);
void rulebook_clear(struct rulebook *book);
/* Adds every NAME.lua (not NAME_spec.lua) of the folder. A folder that does not exist is empty. */
bool rulebook_load_folder(struct rulebook *book, const char *folder, struct err *err);

#endif
