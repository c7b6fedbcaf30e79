/* The loop of the playing thread: events, timers, records (loadgen/engine/player.py). */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "openloop.h"
#include "page.h"
#include "quota.h"

enum {
    EVENTS = 512,
    PULSE_NS = 100000000,  /* the longest time between two looks at the lease */
    SWEEP_NS = 500000000,  /* the longest time between two looks for time-outs */
    TICK_NS = 1000000,     /* at high load timers are rounded up to this: fewer wake-ups, at most so much later */
    MEASURE_NS = 50000000, /* the rate that tells high load from low is measured over this time */
    BUSY_PER_S = 4000,     /* high load: operations begun per second */
    TIMER_SLACK_NS = 1000,
    ARRIVALS = 1024,     /* operations of an open loop that are begun in a row; see TURN_NS */
    TURN_NS = 10000000,  /* operations are begun for this time, before replies are read, and the end is looked for */
    FOLD_RECORDS = 4096, /* records that are counted at once: counting more would block the core for too long */
    FULL_NS = 50000      /* how often a full ring is looked at again */
};

static void tell(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void engine_ask(struct engine *engine)
{
    tell(engine->told);
}

void engine_record(struct engine *engine, const struct record *record)
{
    if (record->connection == NOBODY) {
        canary_record(&engine->canary, record);
        return;
    }
    struct ring *ring = &engine->ring;
    uint64_t used = ring_used(ring);
    if (used >= FOLD_RECORDS && !atomic_exchange_explicit(&ring->asked, true, memory_order_relaxed))
        tell(engine->told);
    while (used == RING_RECORDS) { /* the reader is behind: no record is lost, and the delay shows as lateness */
        nanosleep(&(struct timespec){.tv_nsec = FULL_NS}, NULL);
        used = ring_used(ring);
    }
    *ring_slot(ring) = *record;
    ring_push(ring);
}

void engine_line_up(struct engine *engine, struct connection *c, uint32_t *first, uint32_t *last)
{
    uint32_t slot = (uint32_t)(c - engine->connections);
    c->next = NOBODY;
    if (*first == NOBODY)
        *first = slot;
    else
        engine->connections[*last].next = slot;
    *last = slot;
}

/* Everything readable is read before the next requests are sent.  Requests sent one right after another find the server
   awake; waking the server costs the client more CPU than all its own work on a request. */
void engine_begin_soon(struct engine *engine, struct connection *c)
{
    c->doing = RESTING;
    engine_line_up(engine, c, &engine->soon_first, &engine->soon_last);
}

static void begin_all_soon(struct engine *engine)
{
    int64_t until_ns = now_ns() + TURN_NS;
    while (engine->soon_first != NOBODY && now_ns() < until_ns) {
        struct connection *c = &engine->connections[engine->soon_first];
        engine->soon_first = c->next;
        connection_begin(engine, c);
    }
}

static void begin(struct engine *engine, const uint32_t *rows, const int64_t *due_ns)
{
    engine->agenda.size = 0;
    engine->soon_first = NOBODY;
    openloop_begin(engine);
    quota_start(engine);
    for (uint32_t i = 0; i < engine->connection_count; i++) {
        struct connection *c = &engine->connections[i];
        if (c->number == NOBODY) {
            canary_start(engine, engine->segment.start_ns);
        } else if (engine->load.open) {
            openloop_free(engine, c);
        } else if (c->lane > 1) {
            c->doing = RESTING;
        } else {
            if (c->lane)
                page_start(engine, c);
            c->row = rows[i];
            c->due_ns = due_ns[i];
            connection_rest(engine, c, c->due_ns);
        }
    }
}

static void end(struct engine *engine)
{
    int64_t at_ns = now_ns();
    openloop_end(engine, at_ns);
    canary_end(engine);
    for (uint32_t i = 0; i < engine->connection_count; i++)
        connection_stop(engine, &engine->connections[i], at_ns);
}

/* When the loop last did what it does periodically. */
struct pace {
    int64_t sweep_ns, swept_ns; /* the time between two sweeps, and the last one */
    int64_t late_ns;            /* of a sweep that is due, and waits until what came before is read; 0: none */
    uint32_t looks;             /* for events, after which all that was there at late_ns is read */
    int64_t measured_ns;
    uint64_t begun;
    bool busy;
};

static void measure(const struct engine *engine, struct pace *pace, int64_t at_ns)
{
    int64_t past_ns = at_ns - pace->measured_ns;
    if (past_ns < MEASURE_NS)
        return;
    pace->busy = (int64_t)(engine->begun - pace->begun) * NS_PER_S > BUSY_PER_S * past_ns;
    pace->measured_ns = at_ns;
    pace->begun = engine->begun;
}

/* Fail what was late at `late_ns`.  Replies that had come by then were read since: an engine that stood still for longer
   than the time limit does not take its own time for that of the servers. */
static void sweep(struct engine *engine, struct pace *pace)
{
    for (uint32_t i = 0; i < engine->connection_count; i++)
        connection_expire(engine, &engine->connections[i], pace->late_ns);
    pace->swept_ns = pace->late_ns;
    pace->late_ns = 0;
}

static int wait_for_events(int epoll, struct epoll_event *events, int64_t wait_ns)
{
    struct timespec wait = {.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
    long count = syscall(SYS_epoll_pwait2, epoll, events, EVENTS, &wait, NULL, 0);
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) /* before Linux 5.11, or a container forbids it: 1 ms */
        count = epoll_wait(epoll, events, EVENTS, (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS));
    return (int)count;
}

/* Sleep until there may be something to do; returns the number of events, or -1 when the wait failed, as by a signal.

   At high load a wake-up per operation costs more CPU than the operation.  So the loop wakes once per tick, and a
   connection that is due waits for the next tick.  With kernel time-stamps replies wait for the tick, too, because the
   stamps do not depend on when a reply is read.  The loop does not wait for the tick while an `urgent` connection makes
   the server wait: while a TCP connection opens, and while a request or a reply is incomplete. */
static int rest(struct engine *engine, const struct pace *pace, struct epoll_event *events)
{
    int64_t at_ns = now_ns(), until_ns = at_ns + PULSE_NS, tick_ns = engine->woke_ns + TICK_NS;
    bool ticking = pace->busy && engine->load.line_bps;
    int64_t due_ns = canary_next_ns(&engine->canary);
    if (engine->agenda.size && engine->agenda.entries[0].at_ns < due_ns)
        due_ns = engine->agenda.entries[0].at_ns;
    if (due_ns < until_ns) {
        if (ticking && due_ns < tick_ns)
            due_ns = tick_ns;
        until_ns = due_ns < until_ns ? due_ns : until_ns;
    }
    int64_t arrival_ns = openloop_next_ns(engine);
    until_ns = arrival_ns < until_ns ? arrival_ns : until_ns;
    until_ns = engine->segment.end_ns < until_ns ? engine->segment.end_ns : until_ns;
    int64_t sweep_ns = pace->late_ns ? at_ns : pace->swept_ns + pace->sweep_ns;
    until_ns = sweep_ns < until_ns ? sweep_ns : until_ns;
    if (engine->soon_first != NOBODY)
        until_ns = at_ns;
    if (ticking && engine->load.kernel_stamps && !engine->urgent && tick_ns > at_ns) {
        struct timespec tick = {.tv_sec = tick_ns / NS_PER_S, .tv_nsec = tick_ns % NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
        at_ns = now_ns();
    }
    return wait_for_events(engine->epoll, events, until_ns > at_ns ? until_ns - at_ns : 0);
}

/* Begin what is due at `at_ns`, but for no longer than two turns: a connect takes milliseconds when ports are scarce, and
   tens of thousands of them would keep the engine from its lease and its end. */
static void begin_due(struct engine *engine, int64_t at_ns)
{
    int64_t until_ns = now_ns() + TURN_NS;
    for (int begun = 0; begun < ARRIVALS && openloop_next_ns(engine) <= at_ns && now_ns() < until_ns; begun++)
        openloop_arrive(engine);
    openloop_settle(engine);
    until_ns = now_ns() + TURN_NS;
    while (engine->agenda.size && engine->agenda.entries[0].at_ns <= at_ns && now_ns() < until_ns)
        connection_wake(engine, &engine->connections[agenda_pop(&engine->agenda)]);
}

/* Leave signals to the interpreter's thread, and let timers fire on time. */
static void prepare_thread(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
}

enum why engine_play(struct engine *engine, const uint32_t *rows, const int64_t *due_ns,
                     const struct arrivals *arrivals)
{
    struct epoll_event events[EVENTS];
    struct pace pace = {.sweep_ns = engine->load.timeout_ns / 8};
    if (engine->load.request_ns && engine->load.request_ns / 8 < pace.sweep_ns)
        pace.sweep_ns = engine->load.request_ns / 8;
    if (pace.sweep_ns > SWEEP_NS)
        pace.sweep_ns = SWEEP_NS;
    if (pace.sweep_ns < NS_PER_MS) /* a time-out of nanoseconds must not keep the core busy */
        pace.sweep_ns = NS_PER_MS;
    prepare_thread();
    engine->segment.arrivals = *arrivals;
    engine->woke_ns = pace.swept_ns = pace.measured_ns = now_ns();
    ahead_measure(&engine->ahead);
    begin(engine, rows, due_ns);
    pace.begun = engine->begun;
    enum why why;
    while (true) {
        int64_t at_ns = engine->woke_ns;
        if (atomic_load(&engine->stop)) {
            why = PLAYED_UNTIL_STOPPED;
            break;
        }
        if (at_ns >= engine->segment.end_ns) {
            why = PLAYED_TO_THE_END;
            break;
        }
        if (at_ns > atomic_load(&engine->lease_ns)) {
            why = PLAYED_UNTIL_THE_LEASE_EXPIRED;
            break;
        }
        begin_due(engine, at_ns);
        if (canary_next_ns(&engine->canary) <= at_ns)
            canary_play(engine, at_ns);
        begin_all_soon(engine);
        if (engine->quota.done_ns) {
            why = PLAYED_TO_THE_END;
            break;
        }
        if (pace.late_ns && !pace.looks)
            sweep(engine, &pace);
        else if (!pace.late_ns && at_ns - pace.swept_ns >= pace.sweep_ns) {
            pace.late_ns = at_ns;
            pace.looks = engine->connection_count / EVENTS + 1;
        }
        measure(engine, &pace, at_ns);
        if (at_ns >= engine->tcp.due_ns)
            tcp_look_around(engine, at_ns);
        int count = rest(engine, &pace, events);
        if (pace.late_ns && count >= 0)
            pace.looks = count < EVENTS ? 0 : pace.looks - 1;
        engine->woke_ns = now_ns();
        if (engine->load.kernel_stamps && engine->woke_ns - engine->ahead.at_ns >= AHEAD_FOR_NS)
            ahead_measure(&engine->ahead);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL)
                connection_event(engine, events[i].data.ptr, events[i].events);
            else if (read(engine->wake, &(uint64_t){0}, sizeof(uint64_t)) < 0)
                continue; /* it was read before */
        }
    }
    end(engine);
    atomic_store(&engine->over, true);
    tell(engine->told);
    return why;
}

void engine_arm(struct engine *engine, int64_t start_ns, int64_t end_ns)
{
    engine->segment = (struct segment){.start_ns = start_ns, .end_ns = end_ns};
    dues_clear(&engine->dues);
    atomic_store(&engine->stop, false);
    atomic_store(&engine->over, false);
}

void engine_feed(struct engine *engine, const int64_t *offsets_ns, uint64_t count)
{
    if (count)
        dues_put(&engine->dues, offsets_ns, count);
    else
        dues_end(&engine->dues);
    tell(engine->wake);
}

void engine_renew(struct engine *engine, int64_t until_ns)
{
    atomic_store(&engine->lease_ns, until_ns);
}

void engine_stop(struct engine *engine)
{
    atomic_store(&engine->stop, true);
    tell(engine->wake);
}

bool engine_over(const struct engine *engine)
{
    return atomic_load(&engine->over);
}

uint32_t engine_open_sockets(const struct engine *engine)
{
    return (uint32_t)atomic_load_explicit(&engine->open_sockets, memory_order_relaxed);
}
