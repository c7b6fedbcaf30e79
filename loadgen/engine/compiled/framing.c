#define _GNU_SOURCE
#include "framing.h"

#include <string.h>

/* The fields of one name, whose values are one list. */
struct fields {
    const char *line, *stop; /* the line that is shown when they are wrong */
    uint32_t found; /* the number of their lines */
    bool wrong;
};

static bool same(struct text value, const char *word, size_t bytes)
{
    if (value.bytes != bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (lower(value.at[i]) != word[i])
            return false;
    return true;
}

#define SAME(value, word) same(value, word, sizeof word - 1)

/* Where the value begins if the field in the line has this name, in lower case; else NULL. */
static const char *value_if(const char *line, const char *stop, const char *name, size_t bytes)
{
    if ((size_t)(stop - line) <= bytes || !same((struct text){line, bytes}, name, bytes))
        return NULL;
    line += bytes;
    while (line < stop && is_blank(*line))
        line++;
    return line < stop && *line == ':' ? line + 1 : NULL;
}

#define VALUE_IF(line, stop, name) value_if(line, stop, name, sizeof name - 1)

/* The next value of the list at *at, which is moved behind it, or to NULL after the last. */
static struct text next_value(const char **at, const char *stop)
{
    const char *low = *at, *comma = memchr(low, ',', (size_t)(stop - low));
    *at = comma ? comma + 1 : NULL;
    return strip(low, comma ? comma : stop);
}

struct options {
    bool close, keep_alive;
};

static void take_connection(struct options *options, const char *at, const char *stop)
{
    while (at != NULL) {
        struct text value = next_value(&at, stop);
        options->close |= SAME(value, "close");
        options->keep_alive |= SAME(value, "keep-alive");
    }
}

/* All values must be the same number. */
static void take_length(struct reply *reply, struct fields *fields, const char *at, const char *stop)
{
    while (at != NULL && !fields->wrong) {
        struct text value = next_value(&at, stop);
        int64_t length = 0;
        int significant = 0;
        bool right = value.bytes > 0;
        for (size_t i = 0; i < value.bytes && right; i++) {
            int digit = value.at[i] - '0';
            significant += significant || digit;
            right = is_digit(value.at[i]) && significant <= 18;
            if (right)
                length = length * 10 + digit;
        }
        fields->wrong = !right || (reply->left >= 0 && reply->left != length);
        reply->left = length;
    }
}

struct codings {
    uint32_t number, chunked;
    bool wrong, last_is_chunked;
};

static void take_codings(struct codings *codings, const char *at, const char *stop)
{
    while (at != NULL) {
        struct text value = next_value(&at, stop);
        if (value.bytes == 0 || SAME(value, "identity"))
            continue;
        const char *end = value.at + value.bytes, *semicolon = memchr(value.at, ';', value.bytes);
        codings->number++;
        codings->last_is_chunked = SAME(value, "chunked");
        codings->chunked += codings->last_is_chunked;
        /* chunked has no parameters (RFC 9112, 7) */
        codings->wrong |= semicolon && SAME(strip(value.at, semicolon ? semicolon : end), "chunked");
    }
    codings->wrong |= codings->chunked > 1;
}

/* Whether the Set-Cookie value at `low`, up to its attributes, is the expected one. */
static bool same_cookie(const struct reply *reply, const char *low, const char *high)
{
    const char *end = memchr(low, ';', (size_t)(high - low));
    struct text value = strip(low, end ? end : high);
    return value.bytes == reply->cookie.bytes && memcmp(value.at, reply->cookie.at, value.bytes) == 0;
}

int reply_frame(struct reply *reply, const char *at, const struct found *found)
{
    struct options connection = {0};
    struct codings codings = {0};
    struct fields encoding = {0}, length = {0};
    bool cookie_seen = reply->cookie.bytes == 0, old = at[7] == '0';
    const char *value;
    reply->left = -1;
    for (const char *line = found->fields, *lf; line < found->empty; line = lf + 1) {
        lf = memchr(line, '\n', (size_t)(found->empty - line));
        const char *stop = line_stop(line, lf);
        switch (lower(*line)) {
        case 'c':
            if ((value = VALUE_IF(line, stop, "connection"))) {
                take_connection(&connection, value, stop);
            } else if ((value = VALUE_IF(line, stop, "content-length"))) {
                length.found++;
                if (!length.wrong) {
                    length.line = line, length.stop = stop;
                    take_length(reply, &length, value, stop);
                }
            }
            break;
        case 't':
            if ((value = VALUE_IF(line, stop, "transfer-encoding"))) {
                encoding.line = line, encoding.stop = stop;
                take_codings(&codings, value, stop);
            }
            break;
        case 's':
            if (!cookie_seen && (value = VALUE_IF(line, stop, "set-cookie"))) {
                cookie_seen = true;
                reply->cookie_right = same_cookie(reply, value, stop);
            }
            break;
        }
    }
    reply->reusable = !connection.close && (!old || connection.keep_alive);
    if (reply->bodyless || reply->status == 204 || reply->status == 304) {
        reply->left = 0;
        reply->state = FIXED;
    } else if (codings.number) {
        /* Both framings at once may be an attempt at request smuggling (RFC 9112, 6.1): refuse to guess. */
        if (length.found || codings.wrong)
            return reply_fail_at(reply, OUTCOME_MALFORMED, encoding.line, encoding.stop);
        reply->left = 0;
        reply->state = codings.last_is_chunked ? CHUNK_SIZE : UNTIL_CLOSE;
        if (!codings.last_is_chunked || old) /* HTTP/1.0 has no transfer codings (RFC 9112, 6.1) */
            reply->reusable = false;
    } else if (length.found) {
        if (length.wrong)
            return reply_fail_at(reply, OUTCOME_MALFORMED, length.line, length.stop);
        reply->state = FIXED;
    } else {
        reply->left = 0;
        reply->state = UNTIL_CLOSE;
        reply->reusable = false;
    }
    return 0;
}
