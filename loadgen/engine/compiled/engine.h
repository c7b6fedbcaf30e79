/* The compiled engine: plays a tape on one thread that owns all sockets.  It allocates no memory while it plays, except
   for a backlog that grows.

   lifecycle.c creates and destroys an engine, engine.c runs the loop, openloop.c dispatches the operations of an open
   loop, connection.c, request.c, dialing.c and page.c play operations.  _core.pyx is the only caller of engine_*. */
#ifndef LOADGEN_ENGINE_H
#define LOADGEN_ENGINE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "agenda.h"
#include "canary.h"
#include "clock.h"
#include "dues.h"
#include "reply.h"
#include "ring.h"
#include "shown.h"
#include "tcp.h"
#include "values.h"

enum {
    BUFFER_BYTES = 262144,
    REQUEST_BYTES = 16384, /* shorter requests are assembled in one buffer before they are sent */
    NOBODY = 0xFFFFFFFF    /* no slot, no place, no source */
};

enum doing {
    STOPPED,
    RESTING, /* waits until its next operation is due; in an open loop: until its rest after an error ends */
    FREE,    /* open loop: waits for an operation */
    CONNECTING,
    SENDING, /* the kernel accepted part of the request */
    READING,
    PAUSED /* stopped reading because it is ahead of the line speed (paced reads only) */
};

enum why { PLAYED_TO_THE_END, PLAYED_UNTIL_STOPPED, PLAYED_UNTIL_THE_LEASE_EXPIRED };

struct target {
    struct text host_line;
    /* Open loop only: */
    uint32_t unsent_connection;           /* the connection number under which unsent operations are recorded */
    uint32_t free_first, free_last;       /* a list of connection slots */
    uint32_t waiting_first, waiting_last; /* a list of places in the backlog */
    uint32_t waiting;                     /* the length of that list */
};

/* An operation of an open loop that waits for a connection. */
struct waiting {
    int64_t due_ns;
    uint32_t row, next;
};

struct connection {
    struct reply reply;
    int64_t due_ns, sent_ns, progress_ns, received;
    int64_t opened_ns; /* when the TCP connection was opened */
    size_t out_at; /* number of request bytes that the kernel accepted */
    struct moment moment; /* of a request with values */
    uint32_t number, target, row;
    uint32_t remote, source; /* the addresses to connect to and from */
    uint32_t next; /* the slot after this one in the list that holds it, if any */
    int fd;
    uint8_t doing;
    uint8_t lane; /* see page.h */
    bool fetches; /* an embedded object is under way, or waits for the line */
    bool ended;   /* the server has closed its side of the TCP connection */
    uint32_t flags; /* those of a record, of the current operation or of the next one */
    bool unsent;    /* the kernel has not accepted the whole request yet */
    bool urgent;    /* see rest() in engine.c */
};

/* The page that a user loads, once its own reply is there: before, `row` is NOBODY.  See page.h. */
struct page {
    int64_t due_ns, begun_ns, done_ns, bytes;
    uint32_t row, next_object, flags, connects, status;
    enum outcome ended_as;
};

/* An address to connect to or from. */
struct address {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

struct load {
    double ns_per_byte, lane_ns_per_byte; /* of a user's line, and of each of its connections */
    int64_t line_bps, timeout_ns, error_rest_ns;
    bool paced_reads, kernel_stamps, open;
    uint32_t max_backlog;
    int64_t request_ns; /* the longest time of a request; 0 for no limit */
    int64_t requests; /* closed loop: operations of a segment; 0 for no limit */
};

/* The operations of an open loop in a segment, whose due times are in `dues`: number i is operation first + i * step of
   all engines. */
struct arrivals {
    uint64_t first, step;
    bool counted; /* the segment ends when these are done */
};

/* See quota.h. */
struct quota {
    int64_t left; /* operations to begin */
    int64_t done_ns;
    uint32_t idle; /* connections that have nothing to do any more */
};

struct segment {
    int64_t start_ns, end_ns;
    struct arrivals arrivals;
};

struct engine {
    struct tape tape;
    struct values values; /* zeroed without templates */
    struct load load;
    struct target *targets;
    struct connection *connections;
    struct page *pages; /* by user; none if each connection is a user of its own */
    uint32_t users, lanes;
    struct address *remotes, *sources;
    struct heads *heads;
    uint32_t target_count, connection_count, remote_count, source_count;
    struct agenda agenda;
    struct ring ring;
    struct dues dues;
    struct canary canary;
    struct shown shown;
    struct tcp_table tcp;
    struct waiting *waiting; /* the backlog of all targets: an array of places that grows when it is full */
    uint32_t waiting_room, waiting_spare;
    struct segment segment;
    struct quota quota;
    uint64_t arrived;
    char *buffer; /* REPLY_ROOM_BYTES, then BUFFER_BYTES to receive into */
    char *request;
    int epoll;
    int wake;        /* an eventfd: the controlling thread writes, the playing thread reads */
    int told;        /* an eventfd: the playing thread writes, the controlling thread reads */
    int64_t woke_ns; /* the time when epoll last returned */
    struct ahead ahead;
    uint64_t begun;
    uint64_t number; /* of the next request with values */
    uint32_t urgent;
    uint32_t soon_first, soon_last; /* connections that begin an operation once everything readable has been read */
    /* Shared by both threads: */
    atomic_int_fast64_t lease_ns;
    atomic_bool stop, over;
    atomic_uint_fast32_t open_sockets;
};

/* lifecycle.c */

/* What an engine is created from.  `tape` must outlast the engine.  The four arrays have one entry per connection:
   its global number, its target, the address of the target to connect to, and its source (NOBODY leaves the source to
   the kernel).  With `lanes`, the connections are those of users with so many each (see page.h); else 0.  A last connection with the number NOBODY is the canary, which plays the last row of the tape; the load
   plays the others. */
struct setup {
    struct tape tape;
    struct values values;
    struct load load;
    uint32_t targets, remotes, sources, connections, lanes;
    const uint32_t *number_of, *target_of, *remote_of, *source_of;
    struct canary_times canary;
};

/* Create an engine in *made.  0, or an errno, and then *made is NULL. */
int engine_create(const struct setup *setup, struct engine **made);

/* Free an engine with all that it holds; NULL is allowed.  No thread may be playing. */
void engine_destroy(struct engine *engine);

/* Describe each target, address of a target, and source before the first segment.  `host_line` must outlast the engine.
   False when the index or the address is out of range. */
bool engine_set_target(struct engine *engine, uint32_t index, struct text host_line, uint32_t unsent_connection);
bool engine_set_remote(struct engine *engine, uint32_t index, const void *address, size_t bytes);
bool engine_set_source(struct engine *engine, uint32_t index, const void *address, size_t bytes);

/* engine.c, for the controlling thread */

/* Prepare for a segment, before the thread that plays it starts. */
void engine_arm(struct engine *engine, int64_t start_ns, int64_t end_ns);

/* Open loop: add due times, for which there must be room; without any, all were added. */
void engine_feed(struct engine *engine, const int64_t *offsets_ns, uint64_t count);

/* Let traffic go on until `until_ns`. */
void engine_renew(struct engine *engine, int64_t until_ns);

/* Make the playing thread end the segment. */
void engine_stop(struct engine *engine);

/* Whether the segment has ended and all of its records are in the ring. */
bool engine_over(const struct engine *engine);

/* The number of open TCP connections. */
uint32_t engine_open_sockets(const struct engine *engine);

/* tcp.c, for the controlling thread: copy the table's first `rows` rows, TCP_FIELDS numbers each. */
void engine_tcp(const struct engine *engine, int64_t *table, size_t rows);

/* engine.c, for the playing thread */

/* Play a segment.  `rows` and `due_ns` are the first operation of each connection (closed loop only). */
enum why engine_play(struct engine *engine, const uint32_t *rows, const int64_t *due_ns,
                     const struct arrivals *arrivals);

/* Ask the controlling thread for more due times. */
void engine_ask(struct engine *engine);

/* Write a record into the ring; waits while the ring is full. */
void engine_record(struct engine *engine, const struct record *record);

/* Begin the connection's next operation once everything readable has been read. */
void engine_begin_soon(struct engine *engine, struct connection *c);

/* Append a connection to a list of slots. */
void engine_line_up(struct engine *engine, struct connection *c, uint32_t *first, uint32_t *last);

/* connection.c, for the playing thread */

/* Begin the operation of c->row. */
void connection_begin(struct engine *engine, struct connection *c);
/* Handle epoll events. */
void connection_event(struct engine *engine, struct connection *c, uint32_t events);
/* Continue at the time set in the agenda. */
void connection_wake(struct engine *engine, struct connection *c);
/* Fail the operation if nothing has happened for the time-out. */
void connection_expire(struct engine *engine, struct connection *c, int64_t at_ns);
/* End the segment: record an operation in progress as CUT, and close the TCP connection. */
void connection_stop(struct engine *engine, struct connection *c, int64_t at_ns);
/* Wait until `until_ns`. */
void connection_rest(struct engine *engine, struct connection *c, int64_t until_ns);

/* tcp.c, for the playing thread */

/* Look at the open TCP connection; `ended`: it is about to be closed. */
void tcp_look(struct engine *engine, const struct connection *c, bool ended);
/* Look at the next group of connections. */
void tcp_look_around(struct engine *engine, int64_t at_ns);

/* request.c */

/* Give the operation, whose request has values, the next number. */
void request_number(struct engine *engine, struct connection *c);
/* Send the unsent part of the request, *left bytes, as send(2) does: assembled in one buffer if it fits, otherwise from
   its pieces. */
ssize_t request_send(struct engine *engine, const struct connection *c, size_t *left);

/* dialing.c */

/* The outcome of an operation whose connect failed with errno `error`. */
enum outcome connect_outcome(int error);
/* Begin to open a TCP connection: 0 and c->fd, or an errno. */
int dial(struct engine *engine, struct connection *c);

#endif
