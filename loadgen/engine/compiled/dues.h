/* Due times on their way from the controlling thread to the playing thread: one writer, one reader, no lock.  They are
   computed piece by piece, because a long run at a high rate has too many to hold them all. */
#ifndef LOADGEN_DUES_H
#define LOADGEN_DUES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { DUES = 1 << 19 };

struct dues {
    int64_t *offsets_ns; /* after the start of the segment */
    atomic_uint_fast64_t written, read;
    atomic_uint_fast64_t low; /* the writer is asked for more when no more than this are left */
    atomic_bool asked;
    atomic_bool whole; /* the writer has written all of them */
};

/* For either thread; the other one may change the number at any moment, the writer upwards, the reader downwards. */
static inline uint64_t dues_left(struct dues *dues)
{
    return atomic_load_explicit(&dues->written, memory_order_acquire) -
           atomic_load_explicit(&dues->read, memory_order_acquire);
}

/* For the reader: the next one; there must be one. */
static inline int64_t dues_next(struct dues *dues)
{
    return dues->offsets_ns[atomic_load_explicit(&dues->read, memory_order_relaxed) % DUES];
}

/* For the reader: remove the next one.  True if the writer must be told that it is asked for more. */
static inline bool dues_take(struct dues *dues)
{
    uint64_t read = atomic_load_explicit(&dues->read, memory_order_relaxed) + 1;
    atomic_store_explicit(&dues->read, read, memory_order_release);
    return dues_left(dues) <= atomic_load_explicit(&dues->low, memory_order_relaxed) &&
           !atomic_load_explicit(&dues->whole, memory_order_relaxed) &&
           !atomic_exchange_explicit(&dues->asked, true, memory_order_relaxed);
}

/* Before a segment, while no thread plays. */
static inline void dues_clear(struct dues *dues)
{
    dues->written = dues->read = dues->low = 0;
    dues->asked = dues->whole = false;
}

/* For the writer: `count` more, for which there must be room. */
static inline void dues_put(struct dues *dues, const int64_t *offsets_ns, uint64_t count)
{
    uint64_t written = atomic_load_explicit(&dues->written, memory_order_relaxed);
    for (uint64_t i = 0; i < count; i++)
        dues->offsets_ns[(written + i) % DUES] = offsets_ns[i];
    atomic_store_explicit(&dues->written, written + count, memory_order_release);
    atomic_store_explicit(&dues->low, dues_left(dues) / 2, memory_order_relaxed);
    atomic_store_explicit(&dues->asked, false, memory_order_relaxed);
}

/* For the writer: these were all. */
static inline void dues_end(struct dues *dues)
{
    atomic_store_explicit(&dues->whole, true, memory_order_release);
}

#endif
