/* What the report shows of failed operations: loadgen/measure/shown.py.  The playing thread adds texts, the controlling
   thread reads them; a text never changes. */
#ifndef LOADGEN_SHOWN_H
#define LOADGEN_SHOWN_H

#include <stdatomic.h>
#include <string.h>

#include "reply.h"

enum { MAX_SHOWN = 64 }; /* shown.MAX_SHOWN */

struct shown_text {
    uint32_t target;
    uint8_t outcome, bytes;
    char at[MAX_SHOWN_BYTES];
};

struct shown {
    struct shown_text of[MAX_SHOWN];
    atomic_uint_fast32_t count;
};

/* Keep a text, if it is the first for the target and the outcome. */
static inline void show(struct shown *shown, uint32_t target, enum outcome outcome, struct text text)
{
    uint32_t count = (uint32_t)atomic_load_explicit(&shown->count, memory_order_relaxed);
    if (text.bytes == 0 || count == MAX_SHOWN)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (shown->of[i].target == target && shown->of[i].outcome == outcome)
            return;
    struct shown_text *one = &shown->of[count];
    one->target = target;
    one->outcome = (uint8_t)outcome;
    one->bytes = (uint8_t)(text.bytes < MAX_SHOWN_BYTES ? text.bytes : MAX_SHOWN_BYTES);
    memcpy(one->at, text.at, one->bytes);
    atomic_store_explicit(&shown->count, count + 1, memory_order_release);
}

/* The number of texts that may be read. */
static inline uint32_t shown_count(const struct shown *shown)
{
    return (uint32_t)atomic_load_explicit(&shown->count, memory_order_acquire);
}

#endif
