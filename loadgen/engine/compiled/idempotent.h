#ifndef LOADGEN_IDEMPOTENT_H
#define LOADGEN_IDEMPOTENT_H

#include <string.h>

#include "engine.h"

/* Whether the request may be sent twice with the effect of once: http1.IDEMPOTENT. */
static inline bool is_idempotent(const struct engine *engine, const struct connection *c)
{
    static const char *const methods[] = {"GET ", "HEAD ", "OPTIONS ", "TRACE ", "PUT ", "DELETE "};
    struct text line = tape_text(&engine->tape, engine->tape.ops[c->row].line);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (line.bytes >= strlen(methods[i]) && memcmp(line.at, methods[i], strlen(methods[i])) == 0)
            return true;
    return false;
}

#endif
