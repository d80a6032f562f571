/* api.h - what a flow sees of its connections: a table of functions for each
 *
 *     alerts.create { alias = ..., message = ... }     a verb: collected, returns nothing
 *     local alert = alerts.get { alias = ... }          a query: the run waits for the answer
 *
 * Fields are checked against the adapter's table of options: an unknown one, a missing one, one of the wrong type or
 * size raises an error that says which are allowed. */
#ifndef HEADGATE_FLOW_API_H
#define HEADGATE_FLOW_API_H

#include "core/adapter.h"
#include "core/lua/world.h"

/* Puts the table NAME into the world's globals. */
void api_add_connection(struct world *world, struct connection *connection);
/* api_memory.c: puts `state`, `timer` and `uuid` there. */
void api_add_memory(struct world *world);

/* The run that is calling; raises where there is none. `what`: the function, for that error. */
struct run;
struct run *api_run(lua_State *L, const char *what);

#endif
