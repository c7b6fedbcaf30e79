/* Runs the compiled reply reader outside of Python, for a build with sanitizers.

   stdin: a tape and streams, written by tests/fuzz/test_reader_sanitized.py.  stdout: one line per stream with the
   results of the reader.  Then streams are mutated and cut at random under the sanitizers: each stream once, and random
   ones for the rest of argv[1] seconds of CPU.  Every piece is in a block of its own size, so that the sanitizer
   detects an access beyond it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reply.h"

struct stream {
    uint32_t row, bytes;
    char *at;
};

static uint64_t dice = 88172645463325252u;

static uint32_t roll(uint32_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 11) % sides;
}

static void *take(size_t bytes)
{
    void *at = malloc(bytes ? bytes : 1);
    if (at == NULL || fread(at, 1, bytes, stdin) != bytes)
        exit(3);
    return at;
}

static uint32_t take_number(void)
{
    uint32_t number;
    if (fread(&number, sizeof number, 1, stdin) != 1)
        exit(3);
    return number;
}

static int feed(struct reply *reply, const char *data, size_t bytes)
{
    char *block = malloc(REPLY_ROOM_BYTES + bytes);
    if (block == NULL)
        exit(3);
    memcpy(block + REPLY_ROOM_BYTES, data, bytes);
    int result = reply_feed(reply, block + REPLY_ROOM_BYTES, bytes);
    free(block);
    return result;
}

static void change(struct stream *stream, uint32_t room)
{
    uint32_t at = stream->bytes ? roll(stream->bytes) : 0, some = 1 + roll(16);
    switch (roll(4)) {
    case 0:
        if (stream->bytes)
            stream->at[at] = (char)roll(256);
        break;
    case 1:
        if (stream->bytes + some <= room) {
            memmove(stream->at + at + some, stream->at + at, stream->bytes - at);
            memset(stream->at + at, "\r\n0:; f"[roll(7)], some);
            stream->bytes += some;
        }
        break;
    case 2:
        some = at + some < stream->bytes ? some : stream->bytes - at;
        memmove(stream->at + at, stream->at + at + some, stream->bytes - at - some);
        stream->bytes -= some;
        break;
    default:
        if (stream->bytes > 1) {
            uint32_t from = roll(stream->bytes);
            some = stream->bytes - (from > at ? from : at);
            memmove(stream->at + at, stream->at + from, roll(some) + 1);
        }
    }
}

static struct heads heads; /* shared by all streams, so that a head is known to later streams */

static void read_in_pieces(struct reply *reply, const struct tape *tape, const struct stream *stream)
{
    uint32_t most = 1 + roll(roll(2) ? 8 : 4000);
    int result = REPLY_MORE;
    reply_begin(reply, &heads, tape, &tape->ops[stream->row]);
    for (uint32_t at = 0; at < stream->bytes && result == REPLY_MORE;) {
        uint32_t piece = 1 + roll(most), left = stream->bytes - at;
        piece = piece < left ? piece : left;
        int64_t ahead = reply_unchecked_ahead(reply);
        if (ahead > 0 && roll(2)) {
            piece = ahead < piece ? (uint32_t)ahead : piece;
            result = reply_skip(reply, piece);
        } else {
            result = feed(reply, stream->at + at, piece);
        }
        at += piece;
    }
    if (result == REPLY_MORE)
        reply_eof(reply);
    body_verdict(&reply->body);
}

int main(int count, char **arguments)
{
    double seconds = count > 1 ? atof(arguments[1]) : 0;
    uint32_t rows = take_number(), checks = take_number(), strings = take_number(), bytes = take_number();
    const struct op *ops = take(rows * sizeof *ops);
    const struct check *check = take(checks * sizeof *check);
    const int64_t *offsets = take((strings + 1) * sizeof *offsets);
    const char *data = take(bytes);
    struct tape tape = {.ops = ops, .checks = check, .data = data, .offsets = offsets, .rows = rows};
    uint32_t streams = take_number();
    struct stream *stream = malloc(streams * sizeof *stream);
    struct reply reply = {0};
    for (uint32_t i = 0; i < streams; i++) {
        stream[i].row = take_number();
        stream[i].bytes = take_number();
        stream[i].at = take(stream[i].bytes);
        reply_begin(&reply, &heads, &tape, &ops[stream[i].row]);
        int result = feed(&reply, stream[i].at, stream[i].bytes);
        bool started = reply_started(&reply);
        if (result == REPLY_MORE)
            result = reply_eof(&reply);
        printf("%d %u %d %lld %d %d %d %d %d\n", result, stream[i].bytes, reply.status, (long long)reply.body_bytes,
               reply.reusable, started, reply.cookie_right, body_verdict(&reply.body), reply.surplus);
    }
    uint32_t room = 65536;
    struct stream changed = {.at = malloc(room)};
    unsigned long tried = 0;
    for (clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC); tried < streams || clock() < end; tried++) {
        const struct stream *from = &stream[tried < streams ? tried : roll(streams)];
        changed.row = roll(8) ? from->row : roll(rows);
        changed.bytes = from->bytes < room ? from->bytes : room;
        memcpy(changed.at, from->at, changed.bytes);
        for (uint32_t times = roll(6); times; times--)
            change(&changed, room);
        read_in_pieces(&reply, &tape, &changed);
    }
    fprintf(stderr, "%lu streams\n", tried);
    for (uint32_t i = 0; i < streams; i++)
        free(stream[i].at);
    free(stream);
    free(changed.at);
    reply_free(&reply);
    free((void *)ops), free((void *)check), free((void *)offsets), free((void *)data);
    return 0;
}
