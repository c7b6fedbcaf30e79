/* The loop that plays a tape, its timers, and the open loop (loadgen/engine/player.py, openloop.py). */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PULSE_NS = 100000000,      /* how often the lease is looked at, at least */
    SWEEP_NS = 500000000,      /* how often time-outs are, at least */
    TICK_NS = 1000000,         /* of timers at load: fewer wake-ups, at most so much later */
    MEASURE_NS = 50000000,     /* over which the rate is measured that says what load is */
    BUSY_PER_S = 4000,         /* operations begun: from here on timers tick */
    TIMER_SLACK_NS = 1000,
    FOLD_RECORDS = 4096,       /* so many are counted at once: more would take the core away for too long */
    FULL_NS = 50000,           /* how often a full ring is looked at again */
    WAITING_AT_FIRST = 256
};

/* ---- records */

static void tell(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void engine_record(struct engine *engine, const struct record *record)
{
    struct ring *ring = &engine->ring;
    uint64_t used = ring_used(ring);
    if (used >= FOLD_RECORDS && !atomic_exchange_explicit(&ring->asked, true, memory_order_relaxed))
        tell(engine->told);
    while (used == RING_RECORDS) { /* whoever counts is behind: all that is lost is time, and the lateness shows it */
        nanosleep(&(struct timespec){.tv_nsec = FULL_NS}, NULL);
        used = ring_used(ring);
    }
    *ring_slot(ring) = *record;
    ring_push(ring);
}

/* ---- the open loop */

static void never_sent(struct engine *engine, int64_t due_ns, uint32_t row, int64_t done_ns, enum outcome outcome)
{
    uint32_t connection = engine->targets[engine->tape.ops[row].target].unsent_connection;
    engine_record(
        engine,
        &(struct record){.due_ns = due_ns, .done_ns = done_ns, .row = row, .connection = connection, .outcome = outcome});
}

static void play_on(struct engine *engine, struct connection *c, uint32_t row, int64_t due_ns)
{
    c->row = row;
    c->due_ns = due_ns;
    connection_begin(engine, c);
}

/* A place for one more that waits; NOBODY when there is no memory. */
static uint32_t take_place(struct engine *engine)
{
    if (engine->waiting_spare == NOBODY) {
        uint32_t had = engine->waiting_room, room = had ? 2 * had : WAITING_AT_FIRST;
        struct waiting *grown = realloc(engine->waiting, room * sizeof *grown);
        if (grown == NULL)
            return NOBODY;
        for (uint32_t i = had; i < room; i++)
            grown[i].next = i + 1 < room ? i + 1 : NOBODY;
        engine->waiting = grown;
        engine->waiting_room = room;
        engine->waiting_spare = had;
    }
    uint32_t place = engine->waiting_spare;
    engine->waiting_spare = engine->waiting[place].next;
    return place;
}

static bool put_in_backlog(struct engine *engine, struct target *target, uint32_t row, int64_t due_ns)
{
    uint32_t place = target->waiting < engine->load.max_backlog ? take_place(engine) : NOBODY;
    if (place == NOBODY)
        return false;
    engine->waiting[place] = (struct waiting){due_ns, row, NOBODY};
    if (target->waiting++)
        engine->waiting[target->waiting_last].next = place;
    else
        target->waiting_first = place;
    target->waiting_last = place;
    return true;
}

/* The one that has waited longest. */
static struct waiting take_from_backlog(struct engine *engine, struct target *target)
{
    uint32_t place = target->waiting_first;
    struct waiting found = engine->waiting[place];
    target->waiting_first = found.next;
    target->waiting--;
    engine->waiting[place].next = engine->waiting_spare;
    engine->waiting_spare = place;
    return found;
}

/* To the end of a line of connections. */
static void line_up(struct engine *engine, struct connection *c, uint32_t *first, uint32_t *last)
{
    uint32_t slot = (uint32_t)(c - engine->connections);
    c->next = NOBODY;
    if (*first == NOBODY)
        *first = slot;
    else
        engine->connections[*last].next = slot;
    *last = slot;
}

void engine_free(struct engine *engine, struct connection *c)
{
    struct target *target = &engine->targets[c->target];
    if (target->waiting) {
        struct waiting next = take_from_backlog(engine, target);
        play_on(engine, c, next.row, next.due_ns);
        return;
    }
    c->doing = FREE;
    line_up(engine, c, &target->free_first, &target->free_last);
}

static int64_t next_arrival_ns(const struct engine *engine)
{
    const struct segment *segment = &engine->segment;
    if (engine->arrived == segment->arrivals)
        return INT64_MAX;
    return segment->start_ns + segment->offsets_ns[engine->arrived];
}

static uint32_t next_arrival_row(struct engine *engine)
{
    return (uint32_t)((engine->segment.first + engine->arrived * engine->segment.step) % engine->tape.rows);
}

static void arrive(struct engine *engine)
{
    uint32_t row = next_arrival_row(engine);
    int64_t due_ns = next_arrival_ns(engine);
    struct target *target = &engine->targets[engine->tape.ops[row].target];
    engine->arrived++;
    if (target->free_first != NOBODY) {
        struct connection *c = &engine->connections[target->free_first];
        target->free_first = c->next;
        play_on(engine, c, row, due_ns);
    } else if (!put_in_backlog(engine, target, row, due_ns)) {
        never_sent(engine, due_ns, row, due_ns, OUTCOME_SHED);
    }
}

/* ---- the loop */

/* Requests that go out one after another find a server awake; each one that has to wake it costs the client more than all
   that it does itself.  So what is there is read first. */
void engine_begin_soon(struct engine *engine, struct connection *c)
{
    c->doing = RESTING;
    line_up(engine, c, &engine->soon_first, &engine->soon_last);
}

static void begin_those(struct engine *engine)
{
    while (engine->soon_first != NOBODY) {
        struct connection *c = &engine->connections[engine->soon_first];
        engine->soon_first = c->next;
        connection_begin(engine, c);
    }
}

static void begin(struct engine *engine, const uint32_t *rows, const int64_t *due_ns)
{
    engine->agenda.size = 0;
    engine->soon_first = NOBODY;
    engine->arrived = 0;
    for (uint32_t t = 0; t < engine->target_count; t++)
        engine->targets[t].free_first = NOBODY;
    for (uint32_t i = 0; i < engine->connection_count; i++) {
        struct connection *c = &engine->connections[i];
        if (engine->load.open) {
            engine_free(engine, c);
        } else {
            c->row = rows[i];
            c->due_ns = due_ns[i];
            connection_rest(engine, c, c->due_ns);
        }
    }
}

static void end(struct engine *engine)
{
    int64_t at_ns = now_ns();
    for (; next_arrival_ns(engine) <= at_ns; engine->arrived++)
        never_sent(engine, next_arrival_ns(engine), next_arrival_row(engine), at_ns, OUTCOME_CUT);
    for (uint32_t t = 0; t < engine->target_count; t++)
        while (engine->targets[t].waiting) {
            struct waiting left = take_from_backlog(engine, &engine->targets[t]);
            never_sent(engine, left.due_ns, left.row, at_ns, OUTCOME_CUT);
        }
    for (uint32_t i = 0; i < engine->connection_count; i++)
        connection_stop(engine, &engine->connections[i], at_ns);
}

/* How the loop paces itself. */
struct pace {
    int64_t sweep_ns, swept_ns; /* every, last */
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

static int wait_for_events(int epoll, struct epoll_event *events, int64_t wait_ns)
{
    struct timespec wait = {.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
    long count = syscall(SYS_epoll_pwait2, epoll, events, EVENTS, &wait, NULL, 0);
    if (count < 0 && errno == ENOSYS) /* before Linux 5.11: to the millisecond */
        count = epoll_wait(epoll, events, EVENTS, (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS));
    return count < 0 ? 0 : (int)count;
}

/* Sleep until something may have to be done, and take in what is ready.

   At load timers tick: a connection that is due waits for the next millisecond.  With the kernel's time-stamps replies
   may wait for it, too, for nobody is charged: a wake-up for each costs more than what it does.  But not while somebody
   waits for us (`urgent`): a connection that opens, a request or a reply that is not whole. */
static int rest(struct engine *engine, const struct pace *pace, struct epoll_event *events)
{
    int64_t at_ns = now_ns(), until_ns = at_ns + PULSE_NS, tick_ns = engine->woke_ns + TICK_NS;
    bool ticking = pace->busy && engine->load.line_bps;
    if (engine->agenda.size) {
        int64_t due_ns = engine->agenda.entries[0].at_ns;
        if (ticking && due_ns < tick_ns)
            due_ns = tick_ns;
        until_ns = due_ns < until_ns ? due_ns : until_ns;
    }
    int64_t arrival_ns = next_arrival_ns(engine);
    until_ns = arrival_ns < until_ns ? arrival_ns : until_ns;
    until_ns = engine->segment.end_ns < until_ns ? engine->segment.end_ns : until_ns;
    until_ns = pace->swept_ns + pace->sweep_ns < until_ns ? pace->swept_ns + pace->sweep_ns : until_ns;
    if (ticking && engine->load.kernel_stamps && !engine->urgent && tick_ns > at_ns) {
        struct timespec tick = {.tv_sec = tick_ns / NS_PER_S, .tv_nsec = tick_ns % NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
        at_ns = now_ns();
    }
    return wait_for_events(engine->epoll, events, until_ns > at_ns ? until_ns - at_ns : 0);
}

static void be_a_thread_of_its_own(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
}

enum why engine_play(struct engine *engine, const uint32_t *rows, const int64_t *due_ns)
{
    struct epoll_event events[EVENTS];
    struct pace pace = {.sweep_ns = engine->load.timeout_ns / 8};
    if (pace.sweep_ns > SWEEP_NS)
        pace.sweep_ns = SWEEP_NS;
    be_a_thread_of_its_own();
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
        while (next_arrival_ns(engine) <= at_ns)
            arrive(engine);
        while (engine->agenda.size && engine->agenda.entries[0].at_ns <= at_ns)
            connection_wake(engine, &engine->connections[agenda_pop(&engine->agenda)]);
        begin_those(engine);
        if (at_ns - pace.swept_ns >= pace.sweep_ns) {
            pace.swept_ns = at_ns;
            for (uint32_t i = 0; i < engine->connection_count; i++)
                connection_expire(engine, &engine->connections[i], at_ns);
        }
        measure(engine, &pace, at_ns);
        int count = rest(engine, &pace, events);
        engine->woke_ns = now_ns();
        if (engine->load.kernel_stamps && engine->woke_ns - engine->ahead.at_ns >= AHEAD_FOR_NS)
            ahead_measure(&engine->ahead);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL)
                connection_event(engine, events[i].data.ptr, events[i].events);
            else if (read(engine->wake, &(uint64_t){0}, sizeof(uint64_t)) < 0)
                continue; /* it was for nothing */
        }
    }
    end(engine);
    atomic_store(&engine->over, true);
    tell(engine->told);
    return why;
}

/* ---- from outside */

void engine_wake(struct engine *engine)
{
    tell(engine->wake);
}

int engine_open(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->connection_count; i++)
        engine->connections[i].fd = -1;
    engine->waiting_spare = NOBODY;
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    engine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    engine->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->epoll < 0 || engine->wake < 0 || engine->told < 0)
        return errno;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    return epoll_ctl(engine->epoll, EPOLL_CTL_ADD, engine->wake, &event) ? errno : 0;
}

void engine_close(struct engine *engine)
{
    for (uint32_t i = 0; engine->connections && i < engine->connection_count; i++)
        reply_free(&engine->connections[i].reply);
    int fds[] = {engine->epoll, engine->wake, engine->told};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(engine->waiting);
}
