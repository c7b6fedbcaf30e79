/* Opening the client's side of a TCP connection, and what a failure to do so means: loadgen/engine/dialing.py in C. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine.h"

enum { PACED_BUFFER_BYTES = 8192 }; /* small, so that unread bytes of a reply stay in the server's send buffer */

enum outcome connect_outcome(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EADDRINUSE:
        return OUTCOME_LOCAL_LIMIT;
    case ECONNREFUSED:
    case ECONNRESET:
        return OUTCOME_REFUSED;
    default:
        return OUTCOME_UNREACHABLE;
    }
}

static int bind_source(const struct address *source, int fd)
{
    /* Let connect choose the port: the remote address is known then, so a port may be shared by several of them. */
    int on = 1;
    setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)&source->storage, source->bytes);
}

static int dial_from(struct engine *engine, struct connection *c, uint32_t source)
{
    const struct address *remote = &engine->remotes[c->remote];
    int family = remote->storage.ss_family, on = 1, bytes = PACED_BUFFER_BYTES;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (engine->load.paced_reads)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (engine->load.kernel_stamps)
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if ((source != NOBODY && bind_source(&engine->sources[source], fd)) ||
        (connect(fd, (const struct sockaddr *)&remote->storage, remote->bytes) && errno != EINPROGRESS) ||
        epoll_ctl(engine->epoll, EPOLL_CTL_ADD, fd, &event)) {
        int error = errno;
        close(fd);
        return error;
    }
    c->fd = fd;
    return 0;
}

int dial(struct engine *engine, struct connection *c)
{
    int error = dial_from(engine, c, c->source);
    if (c->source == NOBODY)
        return error;
    for (uint32_t step = 1; error == EADDRNOTAVAIL && step < engine->source_count; step++) {
        uint32_t next = (c->source + step) % engine->source_count;
        if (engine->sources[next].storage.ss_family == engine->sources[c->source].storage.ss_family)
            error = dial_from(engine, c, next); /* the source before has no port left to this server */
    }
    return error;
}
