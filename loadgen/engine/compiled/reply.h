/* The reading side of an HTTP/1.x client without I/O: loadgen/engine/http1.py in C, rule by rule. */
#ifndef LOADGEN_REPLY_H
#define LOADGEN_REPLY_H

#include "body.h"

enum {
    REPLY_MORE = -1,
    REPLY_DONE = OUTCOME_OK,
    MAX_HEAD_BYTES = 16384,     /* http1.MAX_HEAD_BYTES */
    MAX_CHUNK_LINE_BYTES = 4096, /* http1.MAX_CHUNK_LINE_BYTES */
    MAX_SHOWN_BYTES = 120,       /* head.MAX_SHOWN_BYTES */
    /* Writable bytes that must precede the bytes that are fed.  An unfinished head or chunk line, and a body before its
       anchor, is copied there, so that it is contiguous with the new bytes. */
    REPLY_ROOM_BYTES = 32768,
    HEADS = 64,
    KNOWN_HEAD_BYTES = 496
};

/* A parsed head.  Servers repeat a head byte for byte until their Date changes. */
struct head {
    int64_t left;
    uint16_t bytes; /* 0: none */
    uint16_t status;
    uint8_t state;
    bool reusable;
    char at[KNOWN_HEAD_BYTES];
};

/* The last head of a reply, by the index of its check modulo HEADS; behind them that of a reply without a body. */
struct heads {
    struct head of[HEADS + 1];
};

struct reply {
    struct body body;
    struct stash kept; /* an unfinished head or chunk line */
    struct text cookie; /* the cookie that the head must set; empty: any */
    struct text wrong;  /* the line that was not understood, or its beginning; in the bytes that were fed last */
    struct head *known;
    int64_t left;       /* bytes to come of a fixed body or a chunk; in trailers: bytes seen */
    int64_t body_bytes;
    uint16_t status;
    uint8_t state;
    bool reusable;
    bool cookie_right;
    bool bodyless; /* the reply ends with its head, whatever that says */
    bool surplus; /* bytes follow the reply */
};

/* Prepare for the reply to `op`.  `heads` is zero at first, may be shared by replies, and must outlast them. */
void reply_begin(struct reply *reply, struct heads *heads, const struct tape *tape, const struct op *op);

/* Process data[..bytes]: REPLY_MORE, REPLY_DONE, or the outcome of a wrong reply. */
int reply_feed(struct reply *reply, char *data, size_t bytes);

/* Process the end of the stream: REPLY_DONE or an outcome. */
int reply_eof(struct reply *reply);

/* Whether any byte of the reply was processed. */
bool reply_started(const struct reply *reply);

/* The number of next bytes that are body and need no check; reply_skip counts them without seeing them. */
int64_t reply_unchecked_ahead(const struct reply *reply);
int reply_skip(struct reply *reply, int64_t bytes);

/* The line of an error page that says that the port expects TLS; empty if there is none. */
struct text reply_wants_tls(const char *data, size_t bytes);

/* Free the memory that a reply holds. */
void reply_free(struct reply *reply);

#endif
