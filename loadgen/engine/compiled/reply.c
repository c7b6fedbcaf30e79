#define _GNU_SOURCE
#include "framing.h"

#include <string.h>

static const char VERSION[] = "HTTP/1.";
enum { VERSION_BYTES = sizeof VERSION - 1 };

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

/* Keep an unfinished head, within bounds, until more bytes come. */
static int keep_head(struct reply *reply, const char *part, size_t bytes)
{
    if (memcmp(part, VERSION, bytes < VERSION_BYTES ? bytes : VERSION_BYTES) != 0)
        return reply_fail(reply, OUTCOME_MALFORMED);
    if (bytes > MAX_HEAD_BYTES + 3) /* it may hold all but one byte of the empty line */
        return reply_fail(reply, OUTCOME_HEAD_TOO_LARGE);
    return stash_put(&reply->kept, part, bytes) ? REPLY_MORE : reply_fail(reply, OUTCOME_LOCAL_LIMIT);
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
        char *head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (head_end == NULL)
            return keep_head(reply, at, (size_t)(end - at));
        /* at[..head_end + 2] holds the status line and the headers, each with its CRLF */
        size_t bytes = (size_t)(head_end - at);
        if (bytes + 2 < VERSION_BYTES || memcmp(at, VERSION, VERSION_BYTES) != 0)
            return reply_fail(reply, OUTCOME_MALFORMED);
        if (bytes > MAX_HEAD_BYTES)
            return reply_fail(reply, OUTCOME_HEAD_TOO_LARGE);
        /* "HTTP/1.x SSS": RFC 9112, 4. */
        if (bytes < 12 || at[8] != ' ' || !is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11]) ||
            (at[12] != ' ' && at[12] != '\r'))
            return reply_fail(reply, OUTCOME_MALFORMED);
        int status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
        if (status >= 200) {
            reply->status = (uint16_t)status;
            reply->kept.bytes = 0;
            *data = head_end + 4;
            int wrong = reply_frame(reply, at, head_end);
            if (!wrong)
                remember(reply, at, bytes + 4);
            return wrong;
        }
        if (status < 100 || status == 101)
            return reply_fail(reply, OUTCOME_MALFORMED);
        at = head_end + 4; /* an interim reply (1xx): the final one follows */
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

/* The size in a chunk line; -1 when the line is malformed. */
static int64_t chunk_size(const char *line, const char *line_end)
{
    const char *end = memchr(line, ';', (size_t)(line_end - line));
    struct text size = strip(line, end ? end : line_end);
    if (size.bytes == 0 || size.bytes > 15)
        return -1;
    int64_t value = 0;
    for (size_t i = 0; i < size.bytes; i++) {
        int digit = hex_digit(size.at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Process a complete line between chunks: 0 (the state OVER means that the reply is complete), or an outcome. */
static int read_line(struct reply *reply, const char *line, const char *line_end)
{
    size_t bytes = (size_t)(line_end - line);
    if (bytes > MAX_CHUNK_LINE_BYTES)
        return reply_fail(reply, OUTCOME_MALFORMED);
    switch (reply->state) {
    case CHUNK_END:
        if (bytes)
            return reply_fail(reply, OUTCOME_MALFORMED);
        reply->state = CHUNK_SIZE;
        break;
    case CHUNK_SIZE:
        reply->left = chunk_size(line, line_end);
        if (reply->left < 0)
            return reply_fail(reply, OUTCOME_MALFORMED);
        reply->state = reply->left ? CHUNK_DATA : TRAILERS;
        break;
    default: /* TRAILERS */
        if (bytes == 0) {
            reply->state = OVER;
            break;
        }
        reply->left += (int64_t)bytes;
        if (reply->left > MAX_HEAD_BYTES)
            return reply_fail(reply, OUTCOME_HEAD_TOO_LARGE);
    }
    return 0;
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
        char *line_end = memmem(data, (size_t)(end - data), "\r\n", 2);
        if (line_end == NULL) {
            if (end - data > MAX_CHUNK_LINE_BYTES + 1) /* it may end in a CR */
                return reply_fail(reply, OUTCOME_MALFORMED);
            if (!stash_put(&reply->kept, data, (size_t)(end - data)))
                return reply_fail(reply, OUTCOME_LOCAL_LIMIT);
            return REPLY_MORE;
        }
        int wrong = read_line(reply, data, line_end);
        if (wrong)
            return wrong;
        data = line_end + 2;
        if (reply->state == OVER) {
            if (data < end)
                reply->reusable = false;
            return REPLY_DONE;
        }
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
        reply->state = OVER;
        if (data + take < end)
            reply->reusable = false;
        return REPLY_DONE;
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
