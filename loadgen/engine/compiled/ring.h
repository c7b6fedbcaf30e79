/* Finished operations on their way from the thread that plays to the one that counts: one writes, one reads, no lock. */
#ifndef LOADGEN_RING_H
#define LOADGEN_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tape.h"

enum { RING_RECORDS = 1 << 16 };

struct ring {
    struct record *records;
    atomic_uint_fast64_t written, read;
    atomic_bool asked; /* the reader has been told that there is something to count */
};

static inline uint64_t ring_used(struct ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_relaxed) -
           atomic_load_explicit(&ring->read, memory_order_acquire);
}

/* Where the next record goes; the ring must not be full. */
static inline struct record *ring_slot(struct ring *ring)
{
    return &ring->records[atomic_load_explicit(&ring->written, memory_order_relaxed) % RING_RECORDS];
}

static inline void ring_push(struct ring *ring)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    atomic_store_explicit(&ring->written, written + 1, memory_order_release);
}

/* The reader's side: what can be read in one stretch; then `ring_take` gives so many back. */
static inline uint64_t ring_stretch(struct ring *ring, const struct record **at)
{
    uint64_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    uint64_t ready = atomic_load_explicit(&ring->written, memory_order_acquire) - read;
    uint64_t to_end = RING_RECORDS - read % RING_RECORDS;
    *at = &ring->records[read % RING_RECORDS];
    return ready < to_end ? ready : to_end;
}

static inline void ring_take(struct ring *ring, uint64_t records)
{
    uint64_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    atomic_store_explicit(&ring->asked, false, memory_order_relaxed);
    atomic_store_explicit(&ring->read, read + records, memory_order_release);
}

#endif
