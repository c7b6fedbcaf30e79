#define _GNU_SOURCE
#include "framing.h"

#include <string.h>

/* A header: the value of the first line with its name, without white space around it, and the number of such lines. */
struct header {
    struct text value;
    uint32_t found;
};

/* Whether `line` starts with `name`, which is in lower case, in any case. */
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

/* Whether `value` contains `word`, in any case. */
static bool holds(struct text value, const char *word, size_t bytes)
{
    for (size_t i = 0; i + bytes <= value.bytes; i++)
        if (named(value.at + i, value.at + value.bytes, word, bytes))
            return true;
    return false;
}

#define HOLDS(value, word) holds(value, word, sizeof word - 1)

/* Whether the Set-Cookie value at `low`, up to its attributes, is the expected one. */
static bool same_cookie(const struct reply *reply, const char *low, const char *high)
{
    const char *end = memchr(low, ';', (size_t)(high - low));
    struct text value = strip(low, end ? end : high);
    return value.bytes == reply->cookie.bytes && memcmp(value.at, reply->cookie.at, value.bytes) == 0;
}

int reply_frame(struct reply *reply, const char *at, const char *end)
{
    struct header connection = {0}, encoding = {0}, length = {0};
    bool cookie_seen = reply->cookie.bytes == 0;
    const char *line = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
    while (line != end) { /* `line` points to the CRLF before a line */
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
    if (reply->bodyless || reply->status == 204 || reply->status == 304) {
        reply->state = FIXED;
    } else if (encoding.value.bytes) {
        /* Both framings at once may be an attempt at request smuggling (RFC 9112, 6.1): refuse to guess. */
        if (length.value.bytes || encoding.value.bytes != 7 || !HOLDS(encoding.value, "chunked"))
            return reply_fail(reply, OUTCOME_MALFORMED);
        reply->state = CHUNK_SIZE;
    } else if (length.value.bytes) {
        if (length.value.bytes > 18 || length.found > 1)
            return reply_fail(reply, OUTCOME_MALFORMED);
        for (size_t i = 0; i < length.value.bytes; i++) {
            if (!is_digit(length.value.at[i]))
                return reply_fail(reply, OUTCOME_MALFORMED);
            reply->left = reply->left * 10 + (length.value.at[i] - '0');
        }
        reply->state = FIXED;
    } else {
        reply->state = UNTIL_CLOSE;
        reply->reusable = false;
    }
    return 0;
}
