/* The running check of one body: loadgen/engine/body.py in C, rule by rule. */
#ifndef LOADGEN_BODY_H
#define LOADGEN_BODY_H

#include <stdbool.h>

#include "tape.h"

enum {
    ANCHOR_WITHIN_BYTES = 8192, /* body.ANCHOR_WITHIN_BYTES */
    OVERRUN_BYTES = 65536       /* body.OVERRUN_BYTES */
};

/* Bytes that are kept until more come. */
struct stash {
    char *at;
    uint32_t bytes, room;
};

/* Replace what is kept.  False when there is no memory. */
bool stash_put(struct stash *stash, const char *data, size_t bytes);
/* Forget what is kept; free the memory if it is large. */
void stash_empty(struct stash *stash);
void stash_free(struct stash *stash);

struct body {
    const struct tape *tape;
    const struct check *check;
    int64_t at; /* offset of the next byte in the content; -1 before the anchor */
    int64_t positions; /* number of bytes in the content that the period defines */
    uint32_t literal;
    bool right;
    struct stash waiting; /* bytes before the anchor */
};

/* Prepare for the body of the reply to `op`. */
void body_begin(struct body *body, const struct tape *tape, const struct op *op);

/* Check one piece of the body; false gives the body up.  May overwrite up to ANCHOR_WITHIN_BYTES before `data`. */
bool body_look(struct body *body, char *data, size_t bytes);

/* The number of next bytes that need no check; body_skip counts them without seeing them. */
int64_t body_unchecked_ahead(const struct body *body);
bool body_skip(struct body *body, int64_t bytes);

/* OK, BAD_LENGTH or BAD_CONTENT, after the end of the body. */
enum outcome body_verdict(const struct body *body);

#endif
