/* The statuses that a row expects: TapeColumns.right_statuses in C. */
#ifndef LOADGEN_STATUS_H
#define LOADGEN_STATUS_H

#include <stdbool.h>

#include "tape.h"

enum { FIRST_STATUS_SET = 1000, STATUS_WORDS = 10 }; /* optape.FIRST_STATUS_SET, optape.STATUS_WORDS */

static inline bool is_right_status(const struct tape *tape, uint32_t row, uint16_t status)
{
    uint16_t wanted = tape->ops[row].status;
    if (wanted == 0)
        return status >= 200 && status < 400;
    if (wanted < FIRST_STATUS_SET)
        return status == wanted;
    if (status >= STATUS_WORDS * 64)
        return false;
    const uint64_t *set = tape->status_sets + (size_t)(wanted - FIRST_STATUS_SET) * STATUS_WORDS;
    return set[status / 64] >> (status % 64) & 1;
}

#endif
