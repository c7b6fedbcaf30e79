/* The arrays of an OpTape (loadgen/schedule/optape.py) as C reads them: the memory of numpy itself, never a copy.
   layout.c exports all sizes, offsets and numbers below; layout.py compares them with Python's at import. */
#ifndef LOADGEN_TAPE_H
#define LOADGEN_TAPE_H

#include <stddef.h>
#include <stdint.h>

/* loadgen.model.outcome.Outcome */
enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_CUT = 1,
    OUTCOME_REFUSED = 2,
    OUTCOME_UNREACHABLE = 3,
    OUTCOME_LOCAL_LIMIT = 4,
    OUTCOME_NO_REPLY = 5,
    OUTCOME_RESET = 6,
    OUTCOME_CLOSED_EARLY = 7,
    OUTCOME_TIMED_OUT = 8,
    OUTCOME_MALFORMED = 9,
    OUTCOME_HEAD_TOO_LARGE = 10,
    OUTCOME_BAD_STATUS = 11,
    OUTCOME_BAD_LENGTH = 12,
    OUTCOME_BAD_CONTENT = 13,
    OUTCOME_BAD_COOKIE = 14,
    OUTCOME_SHED = 15,
    OUTCOME_BAD_TLS = 16 /* never recorded here: only the Python engine supports TLS */
};

enum { FLAG_KEEP_ALIVE = 1, FLAG_CLOSE_AFTER = 2, FLAG_NO_BODY = 4, FLAG_OWN_HOST = 8, FLAG_EMBEDDED = 16, LITERALS = 2 };

/* OP_DTYPE, packed like a numpy record. */
struct __attribute__((packed)) op {
    uint32_t line, rest, check, cookie, literal, next, target;
    uint16_t status;
    uint8_t kind, group, flags;
    uint32_t template, think_ms;
};

/* CHECK_DTYPE */
struct __attribute__((packed)) check {
    uint32_t anchor;
    int64_t content_bytes;
    uint32_t prefix, period, stride_bytes, suffix;
    int64_t literal_at[LITERALS];
};

/* RECORD_DTYPE, and its flags */
enum {
    CONNECTED = 1,
    RETRIED = 2,
    RESTED = 4,
    SURPLUS = 8,
    MORE_CONNECTS_SHIFT = 4,
    MOST_MORE_CONNECTS = 0xFFF,
    STATUS_SHIFT = 16
};

struct record {
    int64_t due_ns, sent_ns, done_ns, bytes;
    uint32_t row, connection, outcome, flags;
};

struct text {
    const char *at;
    size_t bytes;
};

struct tape {
    const struct op *ops;
    const struct check *checks;
    const char *data;       /* the text of all strings */
    const int64_t *offsets; /* string i is data[offsets[i]] up to, not including, data[offsets[i + 1]] */
    const uint64_t *status_sets; /* see status.h */
    uint32_t rows;
};

static inline struct text tape_text(const struct tape *tape, uint32_t index)
{
    int64_t at = tape->offsets[index];
    return (struct text){tape->data + at, (size_t)(tape->offsets[index + 1] - at)};
}

#endif
