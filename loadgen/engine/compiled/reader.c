#include "reader.h"

#include <stdlib.h>
#include <string.h>

struct reader *reader_create(size_t room)
{
    struct reader *reader = calloc(1, sizeof *reader + REPLY_ROOM_BYTES + room);
    if (reader != NULL)
        reader->room = room;
    return reader;
}

void reader_destroy(struct reader *reader)
{
    if (reader == NULL)
        return;
    reply_free(&reader->reply);
    free(reader);
}

bool reader_begin(struct reader *reader, const struct tape *tape, uint32_t row)
{
    if (row >= tape->rows)
        return false;
    reply_begin(&reader->reply, &reader->heads, tape, &tape->ops[row]);
    return true;
}

int reader_feed(struct reader *reader, const void *data, size_t bytes)
{
    memcpy(reader->buffer + REPLY_ROOM_BYTES, data, bytes);
    return reply_feed(&reader->reply, reader->buffer + REPLY_ROOM_BYTES, bytes);
}
