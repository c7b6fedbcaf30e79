/* The running check of one body: loadgen/engine/body.py in C, rule by rule. */
#ifndef LOADGEN_BODY_H
#define LOADGEN_BODY_H

#include <stdbool.h>

#include "tape.h"

enum {
    ANCHOR_WITHIN_BYTES = 8192, /* body.py, _ANCHOR_WITHIN_BYTES */
    OVERRUN_BYTES = 65536       /* body.py, _OVERRUN_BYTES */
};

/* Bytes put by until more have come. */
struct stash {
    char *at;
    uint32_t bytes, room;
};

/* False when there is no memory. */
bool stash_put(struct stash *stash, const char *data, size_t bytes);
/* Empty it; what it had of memory beyond a little goes back. */
void stash_empty(struct stash *stash);
void stash_free(struct stash *stash);

struct body {
    const struct tape *tape;
    const struct check *check;
    int64_t at; /* offset in the content of the next byte; -1 while the anchor is awaited */
    int64_t positions; /* how often a byte of the period stands in the content */
    uint32_t literal;
    bool right;
    struct stash waiting; /* for the anchor */
};

void body_begin(struct body *body, const struct tape *tape, const struct op *op);

/* One piece of the body; false: hopeless.  Up to ANCHOR_WITHIN_BYTES in front of `data` may be overwritten. */
bool body_look(struct body *body, char *data, size_t bytes);

/* How many of the next bytes may go by unseen: `body_skip` counts them. */
int64_t body_unchecked_ahead(const struct body *body);
bool body_skip(struct body *body, int64_t bytes);

enum outcome body_verdict(const struct body *body);

#endif
