# cython: language_level=3
"""The loop of the null responder in C: see deploy/null_responder.py, whose loop in Python does the same."""

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <stdbool.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/resource.h>
    #include <sys/socket.h>
    #include <unistd.h>

    enum { NULL_EVENTS = 256, NULL_READ = 65536, NULL_HEAD_MAX = 65536 };

    struct null_peer {
        char *held;       /* the beginning of a head that has not ended */
        size_t held_bytes;
        size_t skip;      /* bytes of a request body that are not read yet */
        size_t left;      /* bytes of the reply that are not sent yet */
        bool bare;        /* the reply that is being sent has no body (HEAD) */
        bool last;        /* close after the reply */
    };

    struct null_server {
        int epoll;
        const char *reply;
        size_t reply_bytes, head_bytes;
        struct null_peer *peers;
        size_t room;
    };

    static void null_drop(struct null_server *s, int fd)
    {
        free(s->peers[fd].held);
        s->peers[fd] = (struct null_peer){0};
        close(fd);
    }

    /* Send what is left of a reply.  False: the connection is gone. */
    static bool null_send(struct null_server *s, int fd)
    {
        struct null_peer *p = &s->peers[fd];
        size_t whole = p->bare ? s->head_bytes : s->reply_bytes;
        while (p->left) {
            ssize_t count = send(fd, s->reply + (whole - p->left), p->left, MSG_NOSIGNAL);
            if (count < 0) {
                if (errno == EAGAIN)
                    return true;
                null_drop(s, fd);
                return false;
            }
            p->left -= (size_t)count;
        }
        if (p->last) {
            null_drop(s, fd);
            return false;
        }
        return true;
    }

    /* The number of body bytes that the head at `head` announces; the head ends with a NUL. */
    static size_t null_body(const char *head)
    {
        const char *line = strcasestr(head, "\\r\\ncontent-length:");
        return line ? strtoull(line + 17, NULL, 10) : 0;
    }

    /* Answer the requests in data[0..bytes], which has room for a NUL.  False: the connection is gone. */
    static bool null_take(struct null_server *s, int fd, char *data, size_t bytes)
    {
        struct null_peer *p = &s->peers[fd];
        while (bytes && !p->left) {
            if (p->skip) {
                size_t some = p->skip < bytes ? p->skip : bytes;
                p->skip -= some;
                data += some;
                bytes -= some;
                continue;
            }
            char *end = memmem(data, bytes, "\\r\\n\\r\\n", 4);
            if (end == NULL)
                break;
            end[2] = 0; /* the head with the end of its last line */
            p->bare = !strncmp(data, "HEAD ", 5);
            p->last = strcasestr(data, "\\r\\nconnection: close") != NULL;
            p->skip = *data == 'G' ? 0 : null_body(data);
            p->left = p->bare ? s->head_bytes : s->reply_bytes;
            bytes -= (size_t)(end + 4 - data);
            data = end + 4;
            if (p->skip == 0 && !null_send(s, fd))
                return false;
            if (p->skip) { /* answer when the body has come */
                size_t some = p->skip < bytes ? p->skip : bytes;
                p->skip -= some;
                data += some;
                bytes -= some;
                if (p->skip)
                    break;
                if (!null_send(s, fd))
                    return false;
            }
        }
        if (bytes) {
            char *kept = bytes > NULL_HEAD_MAX ? NULL : malloc(bytes);
            if (kept == NULL) {
                null_drop(s, fd);
                return false;
            }
            memcpy(kept, data, bytes);
            free(p->held);
            p->held = kept;
            p->held_bytes = bytes;
        }
        return true;
    }

    static void null_hear(struct null_server *s, int fd)
    {
        static char buffer[NULL_HEAD_MAX + NULL_READ + 1];
        struct null_peer *p = &s->peers[fd];
        while (1) {
            size_t before = p->held_bytes;
            if (before) {
                memcpy(buffer, p->held, before);
                p->held_bytes = 0;
            }
            bool had_body = p->skip != 0;
            ssize_t count = recv(fd, buffer + before, NULL_READ, 0);
            if (count <= 0) {
                if (count == 0 || errno != EAGAIN) {
                    null_drop(s, fd);
                    return;
                }
                p->held_bytes = before;
                return;
            }
            char *data = buffer;
            size_t bytes = before + (size_t)count;
            if (had_body) {
                size_t some = p->skip < bytes ? p->skip : bytes;
                p->skip -= some;
                data += some;
                bytes -= some;
                if (p->skip)
                    continue;
                if (!null_send(s, fd))
                    return;
            }
            if (!null_take(s, fd, data, bytes))
                return;
            if (p->left || count < NULL_READ)
                return; /* level-triggered for reading: more is told again */
        }
    }

    static void null_welcome(struct null_server *s, int listener)
    {
        for (int tries = 0; tries < NULL_EVENTS; tries++) {
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                return;
            struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
            if ((size_t)fd >= s->room || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
                epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event))
                close(fd);
        }
    }

    /* After what happened on fd: wait to send the rest of a reply, or for requests. */
    static void null_wait(struct null_server *s, int fd, bool was_sending)
    {
        bool sends = s->peers[fd].left && !s->peers[fd].skip;
        if (sends == was_sending)
            return;
        struct epoll_event event = {.events = sends ? EPOLLOUT : EPOLLIN, .data.fd = fd};
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &event); /* fails where the connection is gone */
    }

    static int null_serve(int listener, int commands, const char *reply, size_t reply_bytes, size_t head_bytes)
    {
        struct rlimit files;
        getrlimit(RLIMIT_NOFILE, &files);
        struct null_server s = {.epoll = epoll_create1(EPOLL_CLOEXEC), .reply = reply, .reply_bytes = reply_bytes,
                                .head_bytes = head_bytes, .room = files.rlim_cur < 1 << 20 ? files.rlim_cur : 1 << 20};
        s.peers = calloc(s.room, sizeof *s.peers);
        struct epoll_event events[NULL_EVENTS], first = {.events = EPOLLIN, .data.fd = listener};
        if (s.epoll < 0 || s.peers == NULL || epoll_ctl(s.epoll, EPOLL_CTL_ADD, listener, &first))
            return -1;
        first.data.fd = commands;
        if (epoll_ctl(s.epoll, EPOLL_CTL_ADD, commands, &first))
            return -1;
        while (1) {
            int count = epoll_wait(s.epoll, events, NULL_EVENTS, -1);
            if (count < 0 && errno != EINTR)
                return -1;
            for (int i = 0; i < count; i++) {
                int fd = events[i].data.fd;
                if (fd == commands)
                    return 0;
                if (fd == listener) {
                    null_welcome(&s, listener);
                    continue;
                }
                bool sending = s.peers[fd].left && !s.peers[fd].skip;
                if (events[i].events & (EPOLLHUP | EPOLLERR)) {
                    null_drop(&s, fd);
                    continue;
                }
                if (sending) {
                    if (!null_send(&s, fd))
                        continue;
                } else {
                    null_hear(&s, fd);
                }
                null_wait(&s, fd, sending);
            }
        }
    }
    """
    int null_serve(int listener, int commands, const char *reply, size_t reply_bytes, size_t head_bytes) nogil


def serve(int listener, int commands, bytes reply, size_t head_bytes):
    """Answer each request on `listener` with `reply` (HEAD: with its first `head_bytes`) until `commands` is readable.

    Raises OSError when the loop cannot begin.
    """
    cdef const char *text = reply
    cdef size_t reply_bytes = len(reply)
    cdef int failed
    with nogil:
        failed = null_serve(listener, commands, text, reply_bytes, head_bytes)
    if failed:
        raise OSError("the null responder cannot wait for requests")
