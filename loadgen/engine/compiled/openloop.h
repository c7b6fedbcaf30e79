/* The open loop: each operation is due at its own time and goes to any free connection of its target.  The same rules
   as loadgen/engine/openloop.py. */
#ifndef LOADGEN_OPENLOOP_H
#define LOADGEN_OPENLOOP_H

#include "engine.h"

/* When the next operation is due; INT64_MAX when none is known.  Inline because the loop asks in every turn. */
static inline int64_t openloop_next_ns(struct engine *engine)
{
    if (!dues_left(&engine->dues))
        return INT64_MAX;
    return engine->segment.start_ns + dues_next(&engine->dues);
}

/* Whether no operation will be due any more. */
static inline bool openloop_over(struct engine *engine)
{
    return atomic_load_explicit(&engine->dues.whole, memory_order_acquire) && !dues_left(&engine->dues);
}

/* Begin a segment: no connection is free and nothing waits. */
void openloop_begin(struct engine *engine);

/* Dispatch the next operation, which is due. */
void openloop_arrive(struct engine *engine);

/* When the number of operations is given: see whether all are done.  No connection may be about to begin one. */
void openloop_settle(struct engine *engine);

/* Give a connection the operation that has waited longest, or keep it until one is due.  The canary's connection, in any
   kind of loop, waits for the canary's own schedule. */
void openloop_free(struct engine *engine, struct connection *c);

/* End the segment: operations that were due by `at_ns` and never sent are recorded as CUT. */
void openloop_end(struct engine *engine, int64_t at_ns);

#endif
