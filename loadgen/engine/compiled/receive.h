/* Receiving the bytes of a reply, and when they arrived.  For connection.c only. */
#ifndef LOADGEN_RECEIVE_H
#define LOADGEN_RECEIVE_H

#include <string.h>

#include "engine.h"

enum { FAR_NS = 1000000000 }; /* a stamp farther away was made before or after the clock was set */

/* Receive into the shared buffer, or with `drop` discard the bytes.  *stamp_ns is the kernel's time-stamp of the last
   byte on CLOCK_MONOTONIC; 0 without one. */
static inline ssize_t receive(struct engine *engine, const struct connection *c, size_t bytes, bool drop, int64_t *stamp_ns)
{
    char *at = engine->buffer + REPLY_ROOM_BYTES;
    int flags = drop ? MSG_TRUNC : 0;
    if (!engine->load.kernel_stamps)
        return recv(c->fd, at, bytes, flags);
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr header;
    } control;
    struct iovec part = {at, bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(c->fd, &message, flags);
    *stamp_ns = 0;
    if (got > 0 && message.msg_controllen >= CMSG_LEN(sizeof(struct timespec)) &&
        control.header.cmsg_level == SOL_SOCKET && control.header.cmsg_type == SO_TIMESTAMPNS) {
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(&control.header), sizeof stamp);
        *stamp_ns = to_ns(stamp) - engine->ahead.by_ns;
    }
    return got;
}

/* When the bytes that were just read arrived. */
static inline int64_t arrived_ns(const struct engine *engine, const struct connection *c, int64_t stamp_ns)
{
    int64_t woke_ns = engine->woke_ns;
    if (stamp_ns >= c->sent_ns && stamp_ns - woke_ns < FAR_NS && woke_ns - stamp_ns < FAR_NS)
        return stamp_ns;
    return woke_ns > c->sent_ns ? woke_ns : c->sent_ns;
}

#endif
