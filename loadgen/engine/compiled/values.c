#define _GNU_SOURCE
#include "values.h"

#include <string.h>

#include "clock.h"

enum { MOST_DIGITS = 20 };

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

static uint64_t draw(const struct values *values, uint64_t number, uint64_t at)
{
    return mix(mix(values->seed + number * 0x9E3779B97F4A7C15u) + at * 0xD1342543DE82EF95u);
}

static char *write_number(char *to, uint64_t value)
{
    char digits[MOST_DIGITS];
    char *end = digits + sizeof digits, *at = end;
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    return mempcpy(to, at, (size_t)(end - at));
}

static char *write_signed(char *to, int64_t value)
{
    if (value < 0)
        *to++ = '-';
    return write_number(to, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static char *write_uuid(char *to, uint64_t high, uint64_t low)
{
    static const char hex[] = "0123456789abcdef";
    high = (high & ~(uint64_t)0xF000) | 0x4000;               /* version 4 (RFC 9562) */
    low = (low & ~((uint64_t)3 << 62)) | ((uint64_t)2 << 62); /* its variant */
    for (int digit = 0; digit < 32; digit++) {
        uint64_t half = digit < 16 ? high : low;
        if (digit == 8 || digit == 12 || digit == 16 || digit == 20)
            *to++ = '-';
        *to++ = hex[half >> (60 - 4 * (digit % 16)) & 15];
    }
    return to;
}

static char *write_string(const struct values *values, uint64_t index, char *to)
{
    int64_t at = values->offsets[index];
    return mempcpy(to, values->data + at, (size_t)(values->offsets[index + 1] - at));
}

/* Each row once before any row again; see Values. */
static uint64_t row_of(const struct values *values, uint64_t number)
{
    return (number + values->turn * (number / values->rows)) % values->rows;
}

/* Write the length of the body into the `room` bytes kept for it at `to`; returns the new end of the request.  What
   follows moves when the number has fewer digits. */
static char *write_length(char *to, size_t room, const char *body, char *end)
{
    char digits[MOST_DIGITS];
    size_t bytes = (size_t)(write_number(digits, (uint64_t)(end - body)) - digits);
    memcpy(to, digits, bytes);
    if (bytes == room)
        return end;
    memmove(to + bytes, to + room, (size_t)(end - (to + room)));
    return end - (room - bytes);
}

size_t values_write(const struct values *values, uint32_t template, const struct moment *moment, struct text host_line,
                    uint32_t connection, char *to)
{
    const struct piece *pieces = values->pieces + values->templates[template];
    uint32_t count = values->templates[template + 1] - values->templates[template];
    uint64_t number = moment->number, wall_ns = (uint64_t)moment->wall_ns;
    char *at = to, *length = NULL, *body = NULL;
    size_t room = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct piece *piece = &pieces[i];
        switch (piece->kind) {
        case PIECE_TEXT:
            at = write_string(values, piece->text, at);
            break;
        case PIECE_HOST:
            at = mempcpy(at, host_line.at, host_line.bytes);
            break;
        case PIECE_NUMBER:
            at = write_number(at, number);
            break;
        case PIECE_UUID:
            at = write_uuid(at, draw(values, number, 2 * (uint64_t)i), draw(values, number, 2 * (uint64_t)i + 1));
            break;
        case PIECE_RANDOM: {
            unsigned __int128 product = (unsigned __int128)draw(values, number, 2 * (uint64_t)i) * piece->span;
            at = write_signed(at, piece->low + (int64_t)(product >> 64));
            break;
        }
        case PIECE_SECONDS:
            at = write_number(at, wall_ns / NS_PER_S);
            break;
        case PIECE_MILLISECONDS:
            at = write_number(at, wall_ns / NS_PER_MS);
            break;
        case PIECE_NANOSECONDS:
            at = write_number(at, wall_ns);
            break;
        case PIECE_CONNECTION:
            at = write_number(at, connection);
            break;
        case PIECE_COLUMN:
            at = write_string(values, piece->text + row_of(values, number), at);
            break;
        case PIECE_LENGTH:
            length = at;
            room = piece->digits;
            at += room;
            break;
        case PIECE_BODY:
            body = at;
            break;
        }
    }
    if (length != NULL && body != NULL)
        at = write_length(length, room, body, at);
    return (size_t)(at - to);
}
