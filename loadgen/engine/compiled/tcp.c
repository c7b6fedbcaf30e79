/* Looks at TCP connections (TCP_INFO): some in turn, and each one at its end.  See loadgen/engine/tcp_accounts.py. */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>

#include "engine.h"

enum { RTT_AT = 68, ORDERED_BYTES = 228, TIMED_BYTES = 192 };

/* The counters in struct tcp_info: retransmits, out of order, segments sent and received; then the times, of 8 bytes. */
static const size_t COUNTER_AT[TCP_COUNTERS] = {100, 224, 136, 140, 168, 176, 184};
enum { FIRST_TIME = 4 };

/* The number at an offset; 0 where an older kernel has none. */
static int64_t number_at(const char *info, size_t bytes, size_t at, bool wide)
{
    uint32_t narrow;
    uint64_t whole;
    if (at + (wide ? sizeof whole : sizeof narrow) > bytes)
        return 0;
    if (!wide) {
        memcpy(&narrow, info + at, sizeof narrow);
        return narrow;
    }
    memcpy(&whole, info + at, sizeof whole);
    return (int64_t)whole;
}

static void set(struct tcp_row *row, int field, int64_t value)
{
    atomic_store_explicit(&row->of[field], value, memory_order_release); /* not seen before the odd turn */
}

static void add(struct tcp_row *row, int field, int64_t more)
{
    set(row, field, atomic_load_explicit(&row->of[field], memory_order_relaxed) + more);
}

/* Begin or end to write a row. */
static void turn(struct tcp_row *row)
{
    uint64_t turns = atomic_load_explicit(&row->turn, memory_order_relaxed);
    atomic_store_explicit(&row->turn, turns + 1, memory_order_release);
}

/* Whether a TCP connection ends so soon that it is not looked at, because there were many such ends. */
static bool ends_quickly(struct engine *engine, const struct connection *c)
{
    struct tcp_table *tcp = &engine->tcp;
    if (engine->woke_ns - c->opened_ns >= TCP_QUICK_NS)
        return false;
    if (!tcp->quick_left && engine->woke_ns - tcp->quick_ns >= TCP_ROUND_NS) {
        tcp->quick_ns = engine->woke_ns;
        tcp->quick_left = TCP_QUICK_LOOKS;
    }
    if (!tcp->quick_left)
        return true;
    tcp->quick_left--;
    return false;
}

void tcp_look(struct engine *engine, const struct connection *c, bool ended)
{
    char info[TCP_INFO_BYTES];
    socklen_t bytes = sizeof info;
    if (c->number == NOBODY)
        return;
    size_t slot = (size_t)(c - engine->connections);
    struct tcp_row *row = &engine->tcp.rows[c->lane ? slot % engine->users : slot];
    int64_t *seen = engine->tcp.seen[slot];
    bool skipped = ended && ends_quickly(engine, c);
    if (skipped || getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, info, &bytes)) {
        memset(seen, 0, sizeof *engine->tcp.seen);
        add(row, TCP_SKIPPED, skipped);
        return;
    }
    turn(row);
    for (int i = 0; i < TCP_COUNTERS; i++) {
        int64_t now = number_at(info, bytes, COUNTER_AT[i], i >= FIRST_TIME);
        if (now > seen[i])
            add(row, i, now - seen[i]);
        seen[i] = ended ? 0 : now;
    }
    add(row, TCP_LOOKS, 1);
    add(row, TCP_ORDERED, bytes >= ORDERED_BYTES);
    add(row, TCP_TIMED, bytes >= TIMED_BYTES);
    int64_t rtt_us = number_at(info, bytes, RTT_AT, false);
    if (rtt_us) {
        add(row, TCP_RTTS, 1);
        set(row, TCP_RTT_US, rtt_us);
    }
    turn(row);
}

void tcp_look_around(struct engine *engine, int64_t at_ns)
{
    struct tcp_table *tcp = &engine->tcp;
    if (!tcp->next)
        tcp->round_ns = at_ns;
    uint32_t end = tcp->next + TCP_LOOKS_AT_ONCE;
    for (; tcp->next < end && tcp->next < engine->connection_count; tcp->next++)
        if (engine->connections[tcp->next].fd >= 0)
            tcp_look(engine, &engine->connections[tcp->next], false);
    tcp->due_ns = at_ns + TCP_LOOK_NS;
    if (tcp->next == engine->connection_count) {
        tcp->next = 0;
        if (tcp->due_ns < tcp->round_ns + TCP_ROUND_NS)
            tcp->due_ns = tcp->round_ns + TCP_ROUND_NS;
    }
}

/* Copy a row; false when it was written meanwhile. */
static bool copy(const struct tcp_row *row, int64_t *to)
{
    uint64_t turns = atomic_load_explicit(&row->turn, memory_order_acquire);
    for (int field = 0; field < TCP_FIELDS; field++)
        to[field] = atomic_load_explicit(&row->of[field], memory_order_acquire);
    return !(turns & 1) && atomic_load_explicit(&row->turn, memory_order_relaxed) == turns;
}

void engine_tcp(const struct engine *engine, int64_t *table, size_t rows)
{
    for (size_t i = 0; i < rows && i < engine->connection_count; i++)
        while (!copy(&engine->tcp.rows[i], &table[i * TCP_FIELDS]))
            sched_yield();
}
