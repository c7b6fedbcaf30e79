#define _GNU_SOURCE
#include "framing.h"

#include <string.h>

void reply_begin(struct reply *reply, struct heads *heads, const struct tape *tape, const struct op *op)
{
    reply->bodyless = op->flags & FLAG_NO_BODY;
    reply->known = &heads->of[reply->bodyless ? HEADS : op->check % HEADS];
    body_begin(&reply->body, tape, op);
    if (reply->kept.at != NULL)
        stash_empty(&reply->kept);
    reply->cookie = tape_text(tape, op->cookie);
    reply->cookie_right = reply->cookie.bytes == 0;
    reply->left = 0;
    reply->body_bytes = 0;
    reply->status = 0;
    reply->state = HEAD;
    reply->reusable = false;
    reply->surplus = false;
    reply->wrong.bytes = 0;
}

bool reply_started(const struct reply *reply)
{
    return reply->state != HEAD || reply->kept.bytes;
}

void reply_free(struct reply *reply)
{
    stash_free(&reply->kept);
    stash_free(&reply->body.waiting);
}

int reply_eof(struct reply *reply)
{
    bool started = reply_started(reply);
    int state = reply->state;
    reply->state = OVER;
    reply->reusable = false;
    if (state == UNTIL_CLOSE)
        return REPLY_DONE;
    return started ? OUTCOME_CLOSED_EARLY : OUTCOME_NO_REPLY;
}

/* Whether the head at *data equals the known head, so that it need not be parsed.  Moves *data behind it. */
static bool recall(struct reply *reply, char **data, const char *end)
{
    const struct head *known = reply->known;
    if (!known->bytes || reply->cookie.bytes || end - *data < known->bytes ||
        memcmp(*data, known->at, known->bytes) != 0)
        return false;
    reply->status = known->status;
    reply->state = known->state;
    reply->left = known->left;
    reply->reusable = known->reusable;
    *data += known->bytes;
    return true;
}

/* Remember the parsed head at `at`, of `bytes` bytes with its empty line. */
static void remember(const struct reply *reply, const char *at, size_t bytes)
{
    struct head *known = reply->known;
    if (reply->cookie.bytes || bytes > KNOWN_HEAD_BYTES)
        return;
    memcpy(known->at, at, bytes);
    known->bytes = (uint16_t)bytes;
    known->status = reply->status;
    known->state = reply->state;
    known->left = reply->left;
    known->reusable = reply->reusable;
}

/* Read heads up to the end of the final one, and move *data behind it.  0, REPLY_MORE or an outcome. */
static int read_head(struct reply *reply, char **data, const char *end)
{
    char *at = *data;
    if (recall(reply, data, end))
        return 0;
    while (true) {
        struct found found;
        int wrong = head_scan(reply, at, end, &found);
        if (wrong)
            return wrong;
        if (found.after == NULL) /* keep an unfinished head until more bytes come */
            return stash_put(&reply->kept, at, (size_t)(end - at)) ? REPLY_MORE
                                                                   : reply_fail(reply, OUTCOME_LOCAL_LIMIT);
        if (found.status >= 200) {
            reply->status = (uint16_t)found.status;
            *data = found.after;
            wrong = reply_frame(reply, at, &found);
            if (!wrong && !found.folded)
                remember(reply, at, (size_t)(found.after - at));
            return wrong;
        }
        at = found.after; /* an interim reply (1xx): the final one follows */
    }
}

static bool pass(struct reply *reply, char *data, size_t bytes)
{
    reply->body_bytes += (int64_t)bytes;
    return body_look(&reply->body, data, bytes);
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The size in a chunk line (RFC 9112, 7.1); -1 when the line is wrong.  An unfinished line may have no digits yet. */
static int64_t chunk_size(const char *line, const char *stop, bool unfinished)
{
    int64_t value = 0;
    int digit, digits = 0, significant = 0;
    while (line < stop && is_blank(*line))
        line++;
    for (; line < stop && (digit = hex_digit(*line)) >= 0; line++, digits++) {
        significant += significant || digit;
        if (significant > 15)
            return -1;
        value = value * 16 + digit;
    }
    while (line < stop && is_blank(*line))
        line++;
    if (line == stop)
        return digits || unfinished ? value : -1;
    return digits && *line == ';' && memchr(line, '\r', (size_t)(stop - line)) == NULL ? value : -1;
}

/* Process a complete line between chunks, which ends before the LF at `lf`: 0 (the state OVER means that the reply is
   complete), or an outcome. */
static int read_line(struct reply *reply, const char *line, const char *lf)
{
    const char *stop = line_stop(line, lf);
    size_t bytes = (size_t)(stop - line);
    if (reply->state == TRAILERS) {
        bool fits = lf - line <= MAX_HEAD_BYTES + 1;
        if (bytes == 0 && fits) {
            reply->state = OVER;
            return 0;
        }
        reply->left += (int64_t)bytes;
        if (reply->left > MAX_HEAD_BYTES || !fits)
            return reply_fail_at(reply, OUTCOME_HEAD_TOO_LARGE, line, stop);
        return head_is_field(line, stop) ? 0 : reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
    }
    if (lf - line > MAX_CHUNK_LINE_BYTES + 1)
        return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
    if (reply->state == CHUNK_END) {
        if (bytes)
            return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
        reply->state = CHUNK_SIZE;
        return 0;
    }
    reply->left = chunk_size(line, stop, false);
    if (reply->left < 0)
        return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
    reply->state = reply->left ? CHUNK_DATA : TRAILERS;
    return 0;
}

/* Keep the beginning of a line between chunks, until more bytes come: REPLY_MORE, or an outcome if it cannot become a
   right line. */
static int keep_line(struct reply *reply, const char *line, const char *end)
{
    const char *stop = line_stop(line, end);
    int64_t bytes = stop - line;
    if (reply->state == TRAILERS) {
        if (end - line > MAX_HEAD_BYTES + 1 || reply->left + bytes > MAX_HEAD_BYTES)
            return reply_fail_at(reply, OUTCOME_HEAD_TOO_LARGE, line, stop);
    } else {
        bool wrong = reply->state == CHUNK_END ? bytes > 0 : chunk_size(line, stop, true) < 0;
        if (wrong || end - line > MAX_CHUNK_LINE_BYTES + 1) /* it may end in a CR */
            return reply_fail_at(reply, OUTCOME_MALFORMED, line, stop);
    }
    return stash_put(&reply->kept, line, (size_t)(end - line)) ? REPLY_MORE : reply_fail(reply, OUTCOME_LOCAL_LIMIT);
}

/* The reply is complete. */
static int over(struct reply *reply, bool surplus)
{
    reply->state = OVER;
    if (surplus) {
        reply->surplus = true;
        reply->reusable = false;
    }
    return REPLY_DONE;
}

static int read_chunks(struct reply *reply, char *data, const char *end)
{
    while (true) {
        if (reply->state == CHUNK_DATA) {
            size_t take = (size_t)(end - data);
            if ((int64_t)take > reply->left)
                take = (size_t)reply->left;
            if (take && !pass(reply, data, take))
                return reply_fail(reply, OUTCOME_BAD_LENGTH);
            data += take;
            reply->left -= (int64_t)take;
            if (reply->left)
                return REPLY_MORE;
            reply->state = CHUNK_END;
        }
        char *lf = memchr(data, '\n', (size_t)(end - data));
        if (lf == NULL)
            return keep_line(reply, data, end);
        int wrong = read_line(reply, data, lf);
        if (wrong)
            return wrong;
        data = lf + 1;
        if (reply->state == OVER)
            return over(reply, data < end);
    }
}

int reply_feed(struct reply *reply, char *data, size_t bytes)
{
    const char *end = data + bytes;
    if (reply->kept.bytes) { /* a head or a chunk line */
        data -= reply->kept.bytes;
        memcpy(data, reply->kept.at, reply->kept.bytes);
        reply->kept.bytes = 0;
    }
    if (reply->state == HEAD) {
        int result = read_head(reply, &data, end);
        if (result)
            return result;
    }
    switch (reply->state) {
    case FIXED: {
        size_t take = (size_t)(end - data);
        if ((int64_t)take > reply->left)
            take = (size_t)reply->left;
        if (take && !pass(reply, data, take))
            return reply_fail(reply, OUTCOME_BAD_LENGTH);
        reply->left -= (int64_t)take;
        if (reply->left)
            return REPLY_MORE;
        return over(reply, data + take < end);
    }
    case UNTIL_CLOSE:
        if (data < end && !pass(reply, data, (size_t)(end - data)))
            return reply_fail(reply, OUTCOME_BAD_LENGTH);
        return REPLY_MORE;
    case OVER:
        return OUTCOME_MALFORMED;
    default:
        return read_chunks(reply, data, end);
    }
}

int64_t reply_unchecked_ahead(const struct reply *reply)
{
    if (reply->state != FIXED && reply->state != CHUNK_DATA)
        return 0;
    /* Never skip the last byte: reading it also shows bytes that follow the reply. */
    int64_t ahead = body_unchecked_ahead(&reply->body);
    return ahead < reply->left ? ahead : reply->left - 1;
}

int reply_skip(struct reply *reply, int64_t bytes)
{
    reply->body_bytes += bytes;
    reply->left -= bytes;
    return body_skip(&reply->body, bytes) ? REPLY_MORE : reply_fail(reply, OUTCOME_BAD_LENGTH);
}
