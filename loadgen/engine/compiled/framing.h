/* Internal to the reply reader (reply.c, framing.c): its states, helpers for text, and how the body of a reply ends. */
#ifndef LOADGEN_FRAMING_H
#define LOADGEN_FRAMING_H

#include "reply.h"

enum state { HEAD, FIXED, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, OVER };

static inline bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The text from `low` up to `high`, without white space at either end. */
static inline struct text strip(const char *low, const char *high)
{
    while (low < high && is_space(*low))
        low++;
    while (low < high && is_space(high[-1]))
        high--;
    return (struct text){low, (size_t)(high - low)};
}

/* End the reply with `outcome`, which is returned. */
static inline int reply_fail(struct reply *reply, enum outcome outcome)
{
    reply->state = OVER;
    reply->reusable = false;
    return (int)outcome;
}

/* Decide how the body ends (RFC 9112, 6.3) by the head at `at`; `end` points to the CRLF of its last line.  Sets the
   state, `left`, `reusable` and `cookie_right`.  0, or an outcome. */
int reply_frame(struct reply *reply, const char *at, const char *end);

#endif
