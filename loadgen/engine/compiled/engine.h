/* The engine that plays a tape: one thread owns all sockets, and nothing is allocated while it plays.
   What a connection does is in connection.c, the loop around it and the open loop in engine.c. */
#ifndef LOADGEN_ENGINE_H
#define LOADGEN_ENGINE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "agenda.h"
#include "clock.h"
#include "reply.h"
#include "ring.h"

enum {
    BUFFER_BYTES = 262144,
    REQUEST_BYTES = 16384, /* requests up to this are put together before they are sent */
    EVENTS = 512,
    NOBODY = 0xFFFFFFFF
};

enum doing {
    STOPPED,
    RESTING, /* waits for its next operation to be due; in an open loop: for its rest after an error to be over */
    FREE,    /* of an open loop: waits for an operation */
    CONNECTING,
    SENDING, /* the kernel took part of the request */
    READING,
    PAUSED /* ahead of the line speed (paced reads only) */
};

enum why { PLAYED_TO_THE_END, PLAYED_UNTIL_STOPPED, PLAYED_UNTIL_THE_LEASE_EXPIRED };

struct target {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    struct text host_line;
    uint32_t unsent_connection; /* the global number under which operations are recorded that never got one */
    uint32_t free_first, free_last;       /* connections' slots, in an open loop */
    uint32_t waiting_first, waiting_last; /* places of operations that wait for one */
    uint32_t waiting;                     /* how many */
};

/* An open loop's operation that waits for a connection. */
struct waiting {
    int64_t due_ns;
    uint32_t row, next;
};

struct connection {
    struct reply reply;
    int64_t due_ns, sent_ns, progress_ns, received;
    size_t out_at; /* how much of the request the kernel has */
    uint32_t number, target, row, source;
    uint32_t next; /* the slot behind it in the line where it stands, if it does */
    int fd;
    uint8_t doing;
    bool connected; /* for this operation */
    bool unsent;    /* part of the request is still here */
    bool urgent;    /* see engine.c */
};

/* An address of this machine to connect from. */
struct source {
    struct sockaddr_storage address;
    socklen_t address_bytes;
};

struct load {
    double ns_per_byte;
    int64_t line_bps, timeout_ns, error_rest_ns;
    bool paced_reads, kernel_stamps, open;
    uint32_t max_backlog;
};

struct segment {
    int64_t start_ns, end_ns;
    /* Of an open loop: when its operations are due after the start, and which they are: operation i of these is
       operation first + i * step of all engines. */
    const int64_t *offsets_ns;
    uint64_t arrivals, first, step;
};

struct engine {
    struct tape tape;
    struct load load;
    struct target *targets;
    struct connection *connections;
    struct source *sources;
    struct heads *heads;
    uint32_t target_count, connection_count;
    struct agenda agenda;
    struct ring ring;
    struct waiting *waiting; /* places; they grow with the longest backlog */
    uint32_t waiting_room, waiting_spare;
    struct segment segment;
    uint64_t arrived;
    char *buffer; /* REPLY_ROOM_BYTES in front of BUFFER_BYTES */
    char *request;
    int epoll, wake, told; /* `wake` is written to by the controlling thread, `told` by the playing one */
    int64_t woke_ns;       /* one stamp when epoll_wait returned */
    struct ahead ahead;
    uint64_t begun;
    uint32_t urgent;
    uint32_t soon_first, soon_last; /* connections whose next operation begins when all that is there has been read */
    /* What both threads see. */
    atomic_int_fast64_t lease_ns;
    atomic_bool stop, over;
    atomic_uint_fast32_t open_sockets;
};

/* connection.c */
void connection_begin(struct engine *engine, struct connection *c);
void connection_event(struct engine *engine, struct connection *c, uint32_t events);
void connection_wake(struct engine *engine, struct connection *c);
void connection_expire(struct engine *engine, struct connection *c, int64_t at_ns);
void connection_stop(struct engine *engine, struct connection *c, int64_t at_ns);
void connection_rest(struct engine *engine, struct connection *c, int64_t until_ns);

/* engine.c: called by connections */
void engine_record(struct engine *engine, const struct record *record);
void engine_free(struct engine *engine, struct connection *c);
void engine_begin_soon(struct engine *engine, struct connection *c);

/* engine.c: called from outside.  0, or an errno. */
int engine_open(struct engine *engine);
void engine_close(struct engine *engine);
void engine_wake(struct engine *engine);
/* Plays a segment; `rows` and `due_ns` are where each connection starts (of a closed loop). */
enum why engine_play(struct engine *engine, const uint32_t *rows, const int64_t *due_ns);

#endif
