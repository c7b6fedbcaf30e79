/* Requests: made from the tape, and handed to the kernel. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/uio.h>

#include "engine.h"

void request_number(struct engine *engine, struct connection *c)
{
    c->moment = (struct moment){engine->number, clock_ns(CLOCK_REALTIME)};
    engine->number += engine->values.step;
}

ssize_t request_send(struct engine *engine, const struct connection *c, size_t *left)
{
    const struct op *op = &engine->tape.ops[c->row];
    if (op->template) { /* written anew for each part: cheaper than memory for each connection */
        size_t whole = values_write(&engine->values, op->template, &c->moment, engine->targets[c->target].host_line,
                                    c->number, engine->request);
        *left = whole - c->out_at;
        return send(c->fd, engine->request + c->out_at, *left, MSG_NOSIGNAL);
    }
    struct text pieces[3] = {tape_text(&engine->tape, op->line), engine->targets[c->target].host_line,
                             tape_text(&engine->tape, op->rest)};
    if (op->flags & FLAG_OWN_HOST)
        pieces[1].bytes = 0;
    size_t bytes = pieces[0].bytes + pieces[1].bytes + pieces[2].bytes;
    *left = bytes - c->out_at;
    if (bytes <= REQUEST_BYTES) {
        char *at = engine->request;
        for (int i = 0; i < 3; i++)
            at = mempcpy(at, pieces[i].at, pieces[i].bytes);
        return send(c->fd, engine->request + c->out_at, *left, MSG_NOSIGNAL);
    }
    struct iovec parts[3];
    size_t skip = c->out_at, count = 0;
    for (int i = 0; i < 3; i++) {
        size_t gone = skip < pieces[i].bytes ? skip : pieces[i].bytes;
        skip -= gone;
        if (gone < pieces[i].bytes)
            parts[count++] = (struct iovec){(void *)(pieces[i].at + gone), pieces[i].bytes - gone};
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    return sendmsg(c->fd, &message, MSG_NOSIGNAL);
}
