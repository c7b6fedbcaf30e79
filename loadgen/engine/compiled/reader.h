/* A reply reader with memory of its own, for tests that compare it with loadgen.engine.http1 and body. */
#ifndef LOADGEN_READER_H
#define LOADGEN_READER_H

#include "reply.h"

struct reader {
    struct reply reply;
    struct heads heads;
    size_t room; /* the longest piece that fits */
    char buffer[]; /* REPLY_ROOM_BYTES, then `room` bytes */
};

/* A reader of pieces of up to `room` bytes; NULL when there is no memory. */
struct reader *reader_create(size_t room);

/* Free a reader; NULL is allowed. */
void reader_destroy(struct reader *reader);

/* Prepare for the reply to row `row` of the tape.  False when there is no such row. */
bool reader_begin(struct reader *reader, const struct tape *tape, uint32_t row);

/* As reply_feed; `bytes` must be at most `room`. */
int reader_feed(struct reader *reader, const void *data, size_t bytes);

#endif
