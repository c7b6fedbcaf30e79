/* Pages with embedded objects: loadgen/engine/pages.py in C, rule by rule.  A user has `lanes` connections: user i of n
   has those in the slots i, i + n, ...; `lane` is 1, 2, ... for them, and 0 for any other connection. */
#ifndef LOADGEN_PAGE_H
#define LOADGEN_PAGE_H

#include "engine.h"

/* Begin a segment: `c`, which is a lane, has no page. */
void page_start(struct engine *engine, const struct connection *c);
/* Add a request of `c` that has ended to the page; `begun_ns` as in a record. */
void page_add(struct engine *engine, const struct connection *c, int64_t begun_ns, int64_t done_ns,
              enum outcome outcome);
/* `c` has nothing to do: give the next objects to the connections that are free, or end the page. */
void page_freed(struct engine *engine, struct connection *c);
/* Whether the object that `c` has to request now is given up, because its page has failed; `c` is free then. */
bool page_gives_up(struct engine *engine, struct connection *c);
/* End the segment: called for the first lane before the others, when all still have their sockets. */
void page_stop(struct engine *engine, const struct connection *c, int64_t at_ns);

/* When a request of `c` was begun; negative if no TCP connection came about. */
static inline int64_t begun_ns(const struct connection *c)
{
    return c->doing == CONNECTING && !c->received && !(c->flags & RETRIED) ? -c->sent_ns : c->sent_ns;
}

#endif
