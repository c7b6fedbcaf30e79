/* The canary: a connection of its own to a responder of loadgen.  The same rules as loadgen/engine/canary_slot.py. */
#ifndef LOADGEN_CANARY_H
#define LOADGEN_CANARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tape.h"

enum { CANARY_RECORDS = 1024 }; /* they are read each second; what does not fit is left out */

struct engine;

/* When the canary's operations are due: `phase_ns` after the start of a segment, then every `period_ns`. */
struct canary_times {
    int64_t phase_ns, period_ns, max_behind_ns;
};

struct canary {
    struct canary_times times;
    uint32_t slot;  /* of its connection, whose number is NOBODY; NOBODY without a canary */
    bool free;      /* the connection has no operation */
    int64_t due_ns; /* of the next operation */
    struct record records[CANARY_RECORDS];
    atomic_uint_fast64_t written, read;
};

/* When the canary must be woken; INT64_MAX without a canary, and while its connection is busy. */
static inline int64_t canary_next_ns(const struct canary *canary)
{
    return canary->free ? canary->due_ns : INT64_MAX;
}

/* Begin a segment that starts at `start_ns`. */
void canary_start(struct engine *engine, int64_t start_ns);

/* Play the operation that is due. */
void canary_play(struct engine *engine, int64_t at_ns);

/* The connection has no operation any more. */
void canary_free(struct engine *engine);

/* End the segment. */
void canary_end(struct engine *engine);

/* Keep a record of the canary. */
void canary_record(struct canary *canary, const struct record *record);

/* For the controlling thread: copy at most `room` records to `to`; returns their number. */
uint64_t canary_take(struct canary *canary, struct record *to, uint64_t room);

#endif
