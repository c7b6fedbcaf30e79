/* Records on their way from the playing thread to the counting thread: one writer, one reader, no lock. */
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
    atomic_bool asked; /* the reader was notified that there are records to count */
};

/* The number of records in the ring, as the writer sees it. */
static inline uint64_t ring_used(struct ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_relaxed) -
           atomic_load_explicit(&ring->read, memory_order_acquire);
}

/* The slot of the next record; the ring must not be full. */
static inline struct record *ring_slot(struct ring *ring)
{
    return &ring->records[atomic_load_explicit(&ring->written, memory_order_relaxed) % RING_RECORDS];
}

/* Publish the record in the slot. */
static inline void ring_push(struct ring *ring)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    atomic_store_explicit(&ring->written, written + 1, memory_order_release);
}

/* For the reader: the number of records that are contiguous at *at.  ring_take gives their slots back. */
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
