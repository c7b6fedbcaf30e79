/* CLOCK_MONOTONIC, and the conversion of the kernel's receive time-stamps, which are of CLOCK_REALTIME, to it. */
#ifndef LOADGEN_CLOCK_H
#define LOADGEN_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

static inline int64_t to_ns(struct timespec at)
{
    return at.tv_sec * NS_PER_S + at.tv_nsec;
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return to_ns(at);
}

static inline int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, measured at `at_ns` with an error of at most `bound_ns`. */
struct ahead {
    int64_t at_ns, by_ns, bound_ns;
};

enum { AHEAD_FOR_NS = 1000000, AHEAD_TRIES = 4, AHEAD_BOUND_NS = 10000 };

/* Measure again.  Called each millisecond, so that a step or slew of the clock has no longer effect.  The thread may be
   interrupted between two readings, so the best of a few tries is taken. */
static inline void ahead_measure(struct ahead *ahead)
{
    int64_t bound_ns = INT64_MAX;
    for (int i = 0; i < AHEAD_TRIES && bound_ns > AHEAD_BOUND_NS; i++) {
        int64_t before = now_ns(), real = clock_ns(CLOCK_REALTIME), after = now_ns();
        if ((after - before) / 2 < bound_ns) {
            bound_ns = (after - before) / 2;
            *ahead = (struct ahead){after, real - (before + bound_ns), bound_ns};
        }
    }
}

#endif
