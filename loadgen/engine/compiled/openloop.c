#define _GNU_SOURCE
#include "openloop.h"

#include <stdlib.h>
#include <time.h>

#include "quota.h"

enum {
    WAITING_AT_FIRST = 256,
    UNFED_NS = 50000 /* how often due times are looked for at the end, when the controlling thread is behind */
};

static void record_unsent(struct engine *engine, int64_t due_ns, uint32_t row, int64_t done_ns, enum outcome outcome)
{
    uint32_t connection = engine->targets[engine->tape.ops[row].target].unsent_connection;
    engine_record(engine, &(struct record){.due_ns = due_ns,
                                           .done_ns = done_ns,
                                           .row = row,
                                           .connection = connection,
                                           .outcome = outcome});
}

static void play(struct engine *engine, struct connection *c, uint32_t row, int64_t due_ns)
{
    c->row = row;
    c->due_ns = due_ns;
    connection_begin(engine, c);
}

static uint32_t next_row(const struct engine *engine)
{
    const struct arrivals *arrivals = &engine->segment.arrivals;
    return (uint32_t)((arrivals->first + engine->arrived * arrivals->step) % engine->tape.rows);
}

/* Go on to the next operation. */
static void pass(struct engine *engine)
{
    engine->arrived++;
    if (dues_take(&engine->dues))
        engine_ask(engine);
}

/* A spare place in the backlog; NOBODY when there is no memory. */
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

/* False when the backlog is full. */
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

/* Remove the operation that has waited longest; there must be one. */
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

void openloop_begin(struct engine *engine)
{
    engine->arrived = 0;
    for (uint32_t t = 0; t < engine->target_count; t++)
        engine->targets[t].free_first = NOBODY;
}

void openloop_arrive(struct engine *engine)
{
    uint32_t row = next_row(engine);
    int64_t due_ns = openloop_next_ns(engine);
    struct target *target = &engine->targets[engine->tape.ops[row].target];
    pass(engine);
    if (target->free_first != NOBODY) {
        struct connection *c = &engine->connections[target->free_first];
        target->free_first = c->next;
        play(engine, c, row, due_ns);
    } else if (!put_in_backlog(engine, target, row, due_ns)) {
        record_unsent(engine, due_ns, row, due_ns, OUTCOME_SHED);
    }
}

void openloop_free(struct engine *engine, struct connection *c)
{
    if (c->number == NOBODY) {
        canary_free(engine);
        return;
    }
    struct target *target = &engine->targets[c->target];
    if (target->waiting) {
        struct waiting next = take_from_backlog(engine, target);
        play(engine, c, next.row, next.due_ns);
        return;
    }
    c->doing = FREE;
    engine_line_up(engine, c, &target->free_first, &target->free_last);
}

void openloop_settle(struct engine *engine)
{
    if (!engine->segment.arrivals.counted || !openloop_over(engine))
        return;
    uint32_t idle = 0;
    for (uint32_t t = 0; t < engine->target_count; t++) {
        if (engine->targets[t].waiting)
            return;
        for (uint32_t slot = engine->targets[t].free_first; slot != NOBODY; slot = engine->connections[slot].next)
            idle++;
    }
    quota_close(engine, idle);
}

void openloop_end(struct engine *engine, int64_t at_ns)
{
    while (!openloop_over(engine)) {
        int64_t due_ns = openloop_next_ns(engine);
        if (due_ns == INT64_MAX) { /* not yet known, and asked for */
            nanosleep(&(struct timespec){.tv_nsec = UNFED_NS}, NULL);
            continue;
        }
        if (due_ns > at_ns)
            break;
        record_unsent(engine, due_ns, next_row(engine), at_ns, OUTCOME_CUT);
        pass(engine);
    }
    for (uint32_t t = 0; t < engine->target_count; t++)
        while (engine->targets[t].waiting) {
            struct waiting left = take_from_backlog(engine, &engine->targets[t]);
            record_unsent(engine, left.due_ns, left.row, at_ns, OUTCOME_CUT);
        }
}
