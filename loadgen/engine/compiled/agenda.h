/* The times at which connections must be woken: a binary heap.  A connection has at most one entry, so the memory never
   grows. */
#ifndef LOADGEN_AGENDA_H
#define LOADGEN_AGENDA_H

#include <stdint.h>

struct entry {
    int64_t at_ns;
    uint32_t slot; /* of the connection */
};

struct agenda {
    struct entry *entries;
    uint32_t size;
};

/* Wake the connection in `slot` at `at_ns`. */
static inline void agenda_push(struct agenda *agenda, int64_t at_ns, uint32_t slot)
{
    struct entry *heap = agenda->entries;
    uint32_t at = agenda->size++;
    while (at && heap[(at - 1) / 2].at_ns > at_ns) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = (struct entry){at_ns, slot};
}

/* Remove the entry that is due first, and return its slot; the agenda must not be empty. */
static inline uint32_t agenda_pop(struct agenda *agenda)
{
    struct entry *heap = agenda->entries;
    uint32_t first = heap[0].slot, size = --agenda->size, at = 0;
    struct entry last = heap[size];
    for (uint32_t child = 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && heap[child + 1].at_ns < heap[child].at_ns)
            child++;
        if (heap[child].at_ns >= last.at_ns)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

#endif
