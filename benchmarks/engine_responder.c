/* A web server that costs less than any client: one thread on epoll, canned replies.

       engine_responder STATS DELAY_US PORTS

   Listens on PORTS ports of 127.0.0.1 that the kernel chooses, and prints them on one line.  Answers GET /N with a body
   of N bytes.  Of a request it reads only that number and the end of the head.  It expects one request at a time on a
   connection, and never closes a connection by itself.

   With DELAY_US it answers each request that long after the kernel received it, and counts the true latency: from the
   kernel's receive time-stamp of the request to the end of the send of the reply.

   STATS is a file that it maps and keeps its counters in (struct stats), so that other processes can read them. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_BYTES 1000000 /* the largest file of SPECweb99 has 921,600 */
#define TRUTH_BUCKETS 200000 /* 1 µs each; the last bucket also counts all longer times */
#define EVENTS 512
#define BACKLOG 4096
#define NS_PER_S 1000000000LL
#define END_OF_HEAD 0x0a0d0a0du /* \r\n\r\n on a little-endian machine */

struct stats {
    uint64_t requests;
    uint64_t truth[TRUTH_BUCKETS];
};

struct reply {
    size_t length;
    char bytes[];
};

struct connection {
    const struct reply *reply; /* the requested reply; NULL between requests */
    size_t sent;
    uint32_t tail;       /* the last four bytes of the request so far */
    uint32_t generation; /* counts the connections that had this descriptor */
    int64_t received_ns;
};

/* A request whose reply is delayed. */
struct later {
    int64_t due_ns;
    int fd;
    uint32_t generation;
};

static struct reply *replies[MOST_BYTES + 1];
static struct connection *connections;
static struct later *queue; /* a ring: the delay is constant, so replies are due in the order of arrival */
static uint32_t queue_mask, queue_first, queue_end;
static struct stats *stats;
static int64_t delay_ns;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* the clock of the kernel's time-stamps */
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static const struct reply *reply_of(const char *digits, const char *end)
{
    size_t size = 0;
    for (; digits < end && *digits >= '0' && *digits <= '9' && size <= MOST_BYTES; digits++)
        size = size * 10 + (size_t)(*digits - '0');
    if (size > MOST_BYTES)
        return NULL;
    if (replies[size] == NULL) {
        char head[200];
        int length = snprintf(head, sizeof head,
                              "HTTP/1.1 200 OK\r\nServer: responder\r\nConnection: keep-alive\r\n"
                              "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                              size);
        struct reply *made = malloc(sizeof *made + (size_t)length + size);
        if (made == NULL)
            die("malloc");
        made->length = (size_t)length + size;
        memcpy(made->bytes, head, (size_t)length);
        memset(made->bytes + length, '.', size);
        replies[size] = made;
    }
    return replies[size];
}

static void finish(struct connection *c)
{
    stats->requests++;
    if (delay_ns && c->received_ns) {
        int64_t took_us = (now_ns() - c->received_ns) / 1000;
        stats->truth[took_us < 0 ? 0 : took_us < TRUTH_BUCKETS ? took_us : TRUTH_BUCKETS - 1]++;
    }
    c->reply = NULL;
    c->sent = 0;
    c->tail = 0;
}

static void drop(int fd)
{
    connections[fd].generation++;
    connections[fd].reply = NULL;
    close(fd);
}

/* Send as much of the reply as the socket accepts; an edge-triggered event tells when it accepts more. */
static void answer(int fd)
{
    struct connection *c = &connections[fd];
    ssize_t count = send(fd, c->reply->bytes + c->sent, c->reply->length - c->sent, MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN)
            drop(fd);
        return;
    }
    c->sent += (size_t)count;
    if (c->sent == c->reply->length)
        finish(c);
}

static ssize_t receive(int fd, char *buffer, size_t size, int64_t *received_ns)
{
    if (!delay_ns)
        return recv(fd, buffer, size, 0);
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec into = {buffer, size};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(fd, &message, 0);
    *received_ns = 0;
    struct cmsghdr *found = count > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (found && found->cmsg_level == SOL_SOCKET && found->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(found), sizeof stamp);
        *received_ns = stamp.tv_sec * NS_PER_S + stamp.tv_nsec;
    }
    return count;
}

static void hear(int fd)
{
    static char buffer[16384];
    struct connection *c = &connections[fd];
    int64_t received_ns = 0;
    ssize_t count = receive(fd, buffer, sizeof buffer, &received_ns);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    if (c->reply == NULL) {
        c->reply = count > 5 ? reply_of(buffer + 5, buffer + count) : NULL; /* after "GET /" */
        if (c->reply == NULL) {
            drop(fd);
            return;
        }
    }
    for (ssize_t at = count > 4 ? count - 4 : 0; at < count; at++)
        c->tail = c->tail >> 8 | (uint32_t)(unsigned char)buffer[at] << 24;
    if (c->tail != END_OF_HEAD)
        return;
    c->received_ns = received_ns;
    if (!delay_ns) {
        answer(fd);
        return;
    }
    int64_t from_ns = received_ns ? received_ns : now_ns();
    queue[queue_end++ & queue_mask] = (struct later){from_ns + delay_ns, fd, c->generation};
}

static void welcome(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        connections[fd] = (struct connection){.generation = connections[fd].generation};
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
            drop(fd);
    }
}

static int listen_somewhere(int epoll, unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    /* Accepted sockets inherit the option, so that even the first request is stamped. */
    if (fd < 0 || (delay_ns && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int))) ||
        bind(fd, (struct sockaddr *)&address, length) || listen(fd, BACKLOG) ||
        getsockname(fd, (struct sockaddr *)&address, &length) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        die("listen");
    *port = ntohs(address.sin_port);
    return fd;
}

/* Send all replies that are due; returns the time until the next one is due, -1 if none waits. */
static int64_t answer_due(void)
{
    while (queue_first != queue_end) {
        struct later *next = &queue[queue_first & queue_mask];
        int64_t wait_ns = next->due_ns - now_ns();
        if (wait_ns > 0)
            return wait_ns;
        queue_first++;
        if (connections[next->fd].generation == next->generation && connections[next->fd].reply)
            answer(next->fd);
    }
    return -1;
}

static void prepare(const char *file)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (queue_mask = 1; queue_mask < files.rlim_max; queue_mask *= 2) /* room for one request per connection */
        ;
    connections = calloc(files.rlim_max, sizeof *connections);
    queue = calloc(queue_mask--, sizeof *queue);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!connections || !queue || fd < 0 || ftruncate(fd, sizeof *stats))
        die(file);
    stats = mmap(NULL, sizeof *stats, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (stats == MAP_FAILED)
        die(file);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    delay_ns = atoll(argv[2]) * 1000;
    prepare(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC), ports = atoi(argv[3]), last_listener = -1;
    for (int i = 0; i < ports; i++) {
        unsigned port;
        last_listener = listen_somewhere(epoll, &port); /* descriptors ascend: all up to this one are listeners */
        printf("%s%u", i ? " " : "", port);
    }
    puts("");
    fflush(stdout);
    struct epoll_event events[EVENTS];
    while (1) {
        int64_t wait_ns = delay_ns ? answer_due() : -1;
        struct timespec wait = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
        int count = epoll_pwait2(epoll, events, EVENTS, wait_ns < 0 ? NULL : &wait, NULL);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd <= last_listener) {
                welcome(epoll, fd);
                continue;
            }
            if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                drop(fd);
                continue;
            }
            if (connections[fd].sent && events[i].events & EPOLLOUT)
                answer(fd);
            if (events[i].events & EPOLLIN)
                hear(fd);
        }
    }
}
