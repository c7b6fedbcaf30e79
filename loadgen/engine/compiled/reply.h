/* The reading side of an HTTP/1.x client without I/O: loadgen/engine/http1.py in C, rule by rule. */
#ifndef LOADGEN_REPLY_H
#define LOADGEN_REPLY_H

#include "body.h"

enum {
    REPLY_MORE = -1,
    REPLY_DONE = OUTCOME_OK,
    MAX_HEAD_BYTES = 16384,     /* http1.py, MAX_HEAD_BYTES */
    MAX_CHUNK_LINE_BYTES = 256, /* http1.py, MAX_CHUNK_LINE_BYTES */
    /* What must be writable in front of the bytes that are fed: what was put by of a head or chunk line, and of a
       body before its anchor, goes there, so that a piece and what came before it are in one. */
    REPLY_ROOM_BYTES = 32768,
    HEADS = 64,
    KNOWN_HEAD_BYTES = 496
};

/* What a head said: servers repeat theirs byte for byte until their clock goes on. */
struct head {
    int64_t left;
    uint16_t bytes; /* 0: none */
    uint16_t status;
    uint8_t state;
    bool reusable;
    char at[KNOWN_HEAD_BYTES];
};

/* The last head of a reply with this check, or one that shares its place. */
struct heads {
    struct head of[HEADS];
};

struct reply {
    struct body body;
    struct stash kept; /* an unfinished head or chunk line */
    struct text cookie; /* that the head should set */
    struct head *known;
    int64_t left;       /* bytes still to come of a fixed body or chunk; of trailers: bytes seen */
    int64_t body_bytes;
    uint16_t status;
    uint8_t state;
    bool reusable;
    bool cookie_right;
};

/* `heads` are all zero at first, may be shared, and must outlast the reply. */
void reply_begin(struct reply *reply, struct heads *heads, const struct tape *tape, const struct op *op);

/* Reads data[..bytes]: REPLY_MORE, REPLY_DONE or the outcome that it failed with. */
int reply_feed(struct reply *reply, char *data, size_t bytes);

/* The server closed. */
int reply_eof(struct reply *reply);

/* Whether any byte of the reply was seen. */
bool reply_started(const struct reply *reply);

/* How many of the next bytes are body that nobody needs to see; `reply_skip` says that so many of them came. */
int64_t reply_unchecked_ahead(const struct reply *reply);
int reply_skip(struct reply *reply, int64_t bytes);

void reply_free(struct reply *reply);

#endif
