/* The limit of the whole time of a request: Load.request_ns in loadgen/engine/api.py. */
#ifndef LOADGEN_OVERDUE_H
#define LOADGEN_OVERDUE_H

#include "engine.h"

static inline bool is_overdue(const struct engine *engine, const struct connection *c, int64_t at_ns)
{
    return engine->load.request_ns && at_ns - c->sent_ns > engine->load.request_ns && c->number != NOBODY;
}

#endif
