#define _GNU_SOURCE
#include "reply.h"

#include <string.h>

enum state { HEAD, FIXED, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, OVER };

static const char VERSION[] = "HTTP/1.";
enum { VERSION_BYTES = sizeof VERSION - 1 };

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static struct text strip(const char *low, const char *high)
{
    while (low < high && is_space(*low))
        low++;
    while (low < high && is_space(high[-1]))
        high--;
    return (struct text){low, (size_t)(high - low)};
}

static int fail(struct reply *reply, enum outcome outcome)
{
    reply->state = OVER;
    reply->reusable = false;
    return (int)outcome;
}

void reply_begin(struct reply *reply, struct heads *heads, const struct tape *tape, const struct op *op)
{
    reply->known = &heads->of[op->check % HEADS];
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

/* The first line with `name` (lower case, with its colon): its value, stripped; `found` counts such lines. */
struct header {
    struct text value;
    uint32_t found;
};

static bool named(const char *line, const char *end, const char *name, size_t bytes)
{
    if ((size_t)(end - line) < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (lower(line[i]) != name[i])
            return false;
    return true;
}

#define TAKE(header, name)                                                                                             \
    if (named(line, line_end, name, sizeof name - 1) && header.found++ == 0)                                           \
    header.value = strip(line + sizeof name - 1, line_end)

static bool holds(struct text value, const char *word, size_t bytes)
{
    for (size_t i = 0; i + bytes <= value.bytes; i++)
        if (named(value.at + i, value.at + value.bytes, word, bytes))
            return true;
    return false;
}

#define HOLDS(value, word) holds(value, word, sizeof word - 1)

static bool same_cookie(const struct reply *reply, const char *low, const char *high)
{
    const char *end = memchr(low, ';', (size_t)(high - low));
    struct text value = strip(low, end ? end : high);
    return value.bytes == reply->cookie.bytes && memcmp(value.at, reply->cookie.at, value.bytes) == 0;
}

/* How the body of the head at `at`, whose last line's CRLF is at `end`, ends (RFC 9112, 6.3).  0 or an outcome. */
static int frame(struct reply *reply, const char *at, const char *end)
{
    struct header connection = {0}, encoding = {0}, length = {0};
    bool cookie_seen = reply->cookie.bytes == 0;
    const char *line = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
    while (line != end) { /* `line` is at the CRLF before a line */
        line += 2;
        const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        switch (lower(*line)) {
        case 'c':
            TAKE(connection, "connection:");
            TAKE(length, "content-length:");
            break;
        case 't':
            TAKE(encoding, "transfer-encoding:");
            break;
        case 's':
            if (!cookie_seen && named(line, line_end, "set-cookie:", 11)) {
                cookie_seen = true;
                reply->cookie_right = same_cookie(reply, line + 11, line_end);
            }
            break;
        }
        line = line_end;
    }
    reply->reusable = at[7] == '0' ? HOLDS(connection.value, "keep-alive") : !HOLDS(connection.value, "close");
    reply->left = 0;
    if (reply->status == 204 || reply->status == 304) {
        reply->state = FIXED;
    } else if (encoding.value.bytes) {
        /* Both framings at once is how requests are smuggled (RFC 9112, 6.1): refuse to guess. */
        if (length.value.bytes || encoding.value.bytes != 7 || !HOLDS(encoding.value, "chunked"))
            return fail(reply, OUTCOME_MALFORMED);
        reply->state = CHUNK_SIZE;
    } else if (length.value.bytes) {
        if (length.value.bytes > 18 || length.found > 1)
            return fail(reply, OUTCOME_MALFORMED);
        for (size_t i = 0; i < length.value.bytes; i++) {
            if (!is_digit(length.value.at[i]))
                return fail(reply, OUTCOME_MALFORMED);
            reply->left = reply->left * 10 + (length.value.at[i] - '0');
        }
        reply->state = FIXED;
    } else {
        reply->state = UNTIL_CLOSE;
        reply->reusable = false;
    }
    return 0;
}

/* Put an unfinished head by, within bounds. */
static int keep_head(struct reply *reply, const char *part, size_t bytes)
{
    if (memcmp(part, VERSION, bytes < VERSION_BYTES ? bytes : VERSION_BYTES) != 0)
        return fail(reply, OUTCOME_MALFORMED);
    if (bytes > MAX_HEAD_BYTES + 3) /* all but one byte of the empty line may be in it */
        return fail(reply, OUTCOME_HEAD_TOO_LARGE);
    return stash_put(&reply->kept, part, bytes) ? REPLY_MORE : fail(reply, OUTCOME_LOCAL_LIMIT);
}

/* Whether the head at *data is the known one, which then need not be read; *data is moved behind it. */
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

/* Keep what the head at `at`, of so many bytes with its empty line, said. */
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

/* Reads heads up to the end of the real one, and moves *data to what is behind it.  0, REPLY_MORE or an outcome. */
static int read_head(struct reply *reply, char **data, const char *end)
{
    char *at = *data;
    if (recall(reply, data, end))
        return 0;
    while (true) {
        char *head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (head_end == NULL)
            return keep_head(reply, at, (size_t)(end - at));
        /* at[..head_end + 2] is the status line and the headers, each with its CRLF */
        size_t bytes = (size_t)(head_end - at);
        if (bytes + 2 < VERSION_BYTES || memcmp(at, VERSION, VERSION_BYTES) != 0)
            return fail(reply, OUTCOME_MALFORMED);
        if (bytes > MAX_HEAD_BYTES)
            return fail(reply, OUTCOME_HEAD_TOO_LARGE);
        /* "HTTP/1.x SSS": RFC 9112, 4. */
        if (bytes < 12 || at[8] != ' ' || !is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11]) ||
            (at[12] != ' ' && at[12] != '\r'))
            return fail(reply, OUTCOME_MALFORMED);
        int status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
        if (status >= 200) {
            reply->status = (uint16_t)status;
            reply->kept.bytes = 0;
            *data = head_end + 4;
            int wrong = frame(reply, at, head_end);
            if (!wrong)
                remember(reply, at, bytes + 4);
            return wrong;
        }
        if (status < 100 || status == 101)
            return fail(reply, OUTCOME_MALFORMED);
        at = head_end + 4; /* an interim reply (1xx): the real one follows */
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

/* The size in a chunk line; -1 when it has none. */
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

/* One whole line between chunks.  0: go on, REPLY_DONE is told by the state OVER; or an outcome. */
static int read_line(struct reply *reply, const char *line, const char *line_end)
{
    size_t bytes = (size_t)(line_end - line);
    if (bytes > MAX_CHUNK_LINE_BYTES)
        return fail(reply, OUTCOME_MALFORMED);
    switch (reply->state) {
    case CHUNK_END:
        if (bytes)
            return fail(reply, OUTCOME_MALFORMED);
        reply->state = CHUNK_SIZE;
        break;
    case CHUNK_SIZE:
        reply->left = chunk_size(line, line_end);
        if (reply->left < 0)
            return fail(reply, OUTCOME_MALFORMED);
        reply->state = reply->left ? CHUNK_DATA : TRAILERS;
        break;
    default: /* TRAILERS */
        if (bytes == 0) {
            reply->state = OVER;
            break;
        }
        reply->left += (int64_t)bytes;
        if (reply->left > MAX_HEAD_BYTES)
            return fail(reply, OUTCOME_HEAD_TOO_LARGE);
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
                return fail(reply, OUTCOME_BAD_LENGTH);
            data += take;
            reply->left -= (int64_t)take;
            if (reply->left)
                return REPLY_MORE;
            reply->state = CHUNK_END;
        }
        char *line_end = memmem(data, (size_t)(end - data), "\r\n", 2);
        if (line_end == NULL) {
            if (end - data > MAX_CHUNK_LINE_BYTES + 1) /* a CR may be in it already */
                return fail(reply, OUTCOME_MALFORMED);
            if (!stash_put(&reply->kept, data, (size_t)(end - data)))
                return fail(reply, OUTCOME_LOCAL_LIMIT);
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
            return fail(reply, OUTCOME_BAD_LENGTH);
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
            return fail(reply, OUTCOME_BAD_LENGTH);
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
    /* Not its last byte: whoever reads that sees what comes behind. */
    int64_t ahead = body_unchecked_ahead(&reply->body);
    return ahead < reply->left ? ahead : reply->left - 1;
}

int reply_skip(struct reply *reply, int64_t bytes)
{
    reply->body_bytes += bytes;
    reply->left -= bytes;
    return body_skip(&reply->body, bytes) ? REPLY_MORE : fail(reply, OUTCOME_BAD_LENGTH);
}
