/* The given number of operations of a segment: loadgen/engine/quota.py in C. */
#ifndef LOADGEN_QUOTA_H
#define LOADGEN_QUOTA_H

#include "engine.h"

/* Begin a segment. */
static inline void quota_start(struct engine *engine)
{
    engine->quota.left = engine->load.requests ? engine->load.requests : INT64_MAX;
    engine->quota.idle = 0;
    engine->quota.done_ns = 0;
}

/* One more connection has nothing to do. */
static inline void quota_retire(struct engine *engine, struct connection *c)
{
    uint32_t all = engine->connection_count - (engine->canary.slot != NOBODY);
    if (c != NULL)
        c->doing = RESTING;
    if (++engine->quota.idle >= all && !engine->quota.done_ns)
        engine->quota.done_ns = now_ns();
}

/* No operation is left to begin, and `idle` connections have nothing to do. */
static inline void quota_close(struct engine *engine, uint32_t idle)
{
    engine->quota.left = 0;
    engine->quota.idle = idle - 1;
    quota_retire(engine, NULL);
}

/* Count an operation that is to begin; false when none is left, and then `c` has nothing to do. */
static inline bool quota_take(struct engine *engine, struct connection *c)
{
    if (c->number == NOBODY) /* the canary is not counted */
        return true;
    if (engine->quota.left > 0) {
        engine->quota.left--;
        return true;
    }
    quota_retire(engine, c);
    return false;
}

#endif
