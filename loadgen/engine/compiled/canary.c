#include "canary.h"

#include "engine.h"

void canary_start(struct engine *engine, int64_t start_ns)
{
    engine->canary.due_ns = start_ns + engine->canary.times.phase_ns;
    canary_free(engine);
}

void canary_play(struct engine *engine, int64_t at_ns)
{
    struct canary *canary = &engine->canary;
    struct connection *c = &engine->connections[canary->slot];
    int64_t behind_ns = at_ns - canary->due_ns, period_ns = canary->times.period_ns;
    if (behind_ns > canary->times.max_behind_ns)
        canary->due_ns += behind_ns / period_ns * period_ns;
    canary->free = false;
    c->row = engine->tape.rows; /* the row behind those of the load */
    c->due_ns = canary->due_ns;
    canary->due_ns += period_ns;
    connection_begin(engine, c);
}

void canary_free(struct engine *engine)
{
    engine->connections[engine->canary.slot].doing = FREE;
    engine->canary.free = true;
}

void canary_end(struct engine *engine)
{
    engine->canary.free = false;
}

void canary_record(struct canary *canary, const struct record *record)
{
    uint64_t written = atomic_load_explicit(&canary->written, memory_order_relaxed);
    if (written - atomic_load_explicit(&canary->read, memory_order_acquire) == CANARY_RECORDS)
        return;
    canary->records[written % CANARY_RECORDS] = *record;
    atomic_store_explicit(&canary->written, written + 1, memory_order_release);
}

uint64_t canary_take(struct canary *canary, struct record *to, uint64_t room)
{
    uint64_t read = atomic_load_explicit(&canary->read, memory_order_relaxed), count = 0;
    uint64_t written = atomic_load_explicit(&canary->written, memory_order_acquire);
    for (; read < written && count < room; read++)
        to[count++] = canary->records[read % CANARY_RECORDS];
    atomic_store_explicit(&canary->read, read, memory_order_release);
    return count;
}
