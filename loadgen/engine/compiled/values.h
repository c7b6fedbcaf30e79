/* Requests that differ each time, written from templates: loadgen/engine/values.py in C. */
#ifndef LOADGEN_VALUES_H
#define LOADGEN_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "tape.h"

/* PieceKind */
enum piece_kind {
    PIECE_TEXT = 0,
    PIECE_HOST = 1,
    PIECE_NUMBER = 2,
    PIECE_UUID = 3,
    PIECE_RANDOM = 4,
    PIECE_SECONDS = 5,
    PIECE_MILLISECONDS = 6,
    PIECE_NANOSECONDS = 7,
    PIECE_CONNECTION = 8,
    PIECE_COLUMN = 9,
    PIECE_LENGTH = 10,
    PIECE_BODY = 11
};

/* PIECE_DTYPE, packed like a numpy record. */
struct __attribute__((packed)) piece {
    int64_t low;
    uint64_t span;
    uint32_t text;
    uint8_t kind, digits;
};

/* The arrays of a Values, which numpy owns. */
struct values {
    const struct piece *pieces;
    const uint32_t *templates; /* template t is pieces[templates[t]] up to, not including, pieces[templates[t + 1]] */
    const char *data;          /* the text of all strings, as in a tape */
    const int64_t *offsets;
    uint64_t rows, turn, seed;
    uint64_t first, step;  /* the engine's first number, and the difference between two */
    size_t request_bytes;  /* the length of the longest request */
};

/* What makes a request differ from others of its template.  With equal numbers an equal request is written. */
struct moment {
    uint64_t number;
    int64_t wall_ns; /* ns since 1970 */
};

/* Write the request of `template` to `to`, which has room for request_bytes; returns its length. */
size_t values_write(const struct values *values, uint32_t template, const struct moment *moment, struct text host_line,
                    uint32_t connection, char *to);

#endif
