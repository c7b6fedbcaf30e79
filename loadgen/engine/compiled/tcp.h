/* The table of what the kernel counts of TCP connections: loadgen/engine/tcp_looks.py in C. */
#ifndef LOADGEN_TCP_H
#define LOADGEN_TCP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TCP_LOOK_NS = 100000000,
    TCP_LOOKS_AT_ONCE = 100,
    TCP_ROUND_NS = 1000000000,
    TCP_INFO_BYTES = 232,
    TCP_QUICK_NS = 200000000,
    TCP_QUICK_LOOKS = 1000,
    TCP_COUNTERS = 7, /* the first columns: what each TCP connection counts */
    TCP_LOOKS = TCP_COUNTERS,
    TCP_ORDERED,
    TCP_TIMED,
    TCP_SKIPPED,
    TCP_RTTS,
    TCP_RTT_US,
    TCP_FIELDS
};

/* The rows are written by the playing thread, and read by the controlling one, which reads a row again if it was
   written meanwhile: it sees each look as a whole. */
struct tcp_row {
    atomic_uint_fast64_t turn; /* odd while the row is written */
    atomic_int_fast64_t of[TCP_FIELDS];
};

struct tcp_table {
    struct tcp_row *rows;                 /* one per connection slot; that of the first lane for all (page.h) */
    int64_t (*seen)[TCP_COUNTERS];        /* of the open TCP connection of the slot */
    int64_t round_ns, due_ns;             /* the times of the last round, and of the next group of looks */
    uint32_t next;                        /* the slot to look at */
    int64_t quick_ns;                     /* when looks at quick ends were last granted, */
    uint32_t quick_left;                  /* and how many are left of them */
};

#endif
