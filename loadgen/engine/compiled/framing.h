/* Internal to the reply reader (reply.c, head.c, framing.c): its states, helpers for text, and how the body of a reply
   ends. */
#ifndef LOADGEN_FRAMING_H
#define LOADGEN_FRAMING_H

#include "reply.h"

enum state { HEAD, FIXED, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, OVER };

static inline bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
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

/* The end of the line from `line` to its LF or to the end of the data, without the CRs before it. */
static inline const char *line_stop(const char *line, const char *end)
{
    while (end > line && end[-1] == '\r')
        end--;
    return end;
}

/* End the reply with `outcome`, which is returned. */
static inline int reply_fail(struct reply *reply, enum outcome outcome)
{
    reply->state = OVER;
    reply->reusable = false;
    return (int)outcome;
}

/* The same, because of the line from `line` to `stop`. */
static inline int reply_fail_at(struct reply *reply, enum outcome outcome, const char *line, const char *stop)
{
    size_t bytes = (size_t)(stop - line);
    reply->wrong = (struct text){line, bytes < MAX_SHOWN_BYTES ? bytes : MAX_SHOWN_BYTES};
    return reply_fail(reply, outcome);
}

/* head.c */

/* What was found in the bytes of a head. */
struct found {
    char *after; /* the end of the head, behind its empty line; NULL: it is unfinished */
    const char *fields; /* the first line after the status line */
    const char *empty; /* the empty line */
    int status;
    bool folded; /* a folded field was unfolded in place */
};

/* Read the head at `at` line by line, up to its empty line, and unfold its fields in place.  0, or an outcome. */
int head_scan(struct reply *reply, char *at, const char *end, struct found *found);

/* Whether the line from `line` to `stop` is a field, or continues one. */
bool head_is_field(const char *line, const char *stop);

/* framing.c */

/* Decide how the body ends (RFC 9112, 6.3) by the head at `at`.  Sets the state, `left`, `reusable` and `cookie_right`.
   0, or an outcome. */
int reply_frame(struct reply *reply, const char *at, const struct found *found);

#endif
