/* Creates and destroys engines: all of an engine's memory and descriptors are obtained and released here, except the
   backlog, which openloop.c lets grow. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine.h"

/* Zeroed memory; `count` may be 0. */
static void *allocate(size_t count, size_t bytes)
{
    return calloc(count ? count : 1, bytes);
}

static bool allocate_all(struct engine *engine)
{
    engine->targets = allocate(engine->target_count, sizeof *engine->targets);
    engine->remotes = allocate(engine->remote_count, sizeof *engine->remotes);
    engine->sources = allocate(engine->source_count, sizeof *engine->sources);
    engine->connections = allocate(engine->connection_count, sizeof *engine->connections);
    engine->agenda.entries = allocate(engine->connection_count, sizeof *engine->agenda.entries);
    engine->tcp.rows = allocate(engine->connection_count, sizeof *engine->tcp.rows);
    engine->tcp.seen = allocate(engine->connection_count, sizeof *engine->tcp.seen);
    engine->pages = allocate(engine->users, sizeof *engine->pages);
    engine->heads = allocate(1, sizeof *engine->heads);
    engine->ring.records = allocate(RING_RECORDS, sizeof *engine->ring.records);
    engine->dues.offsets_ns = allocate(engine->load.open ? DUES : 0, sizeof *engine->dues.offsets_ns);
    engine->buffer = allocate(REPLY_ROOM_BYTES + BUFFER_BYTES, 1);
    size_t request_bytes = engine->values.request_bytes;
    engine->request = allocate(request_bytes > REQUEST_BYTES ? request_bytes : REQUEST_BYTES, 1);
    return engine->targets && engine->remotes && engine->sources && engine->connections && engine->agenda.entries &&
           engine->tcp.rows && engine->tcp.seen && engine->pages && engine->heads && engine->ring.records &&
           engine->dues.offsets_ns && engine->buffer && engine->request;
}

/* 0, or an errno. */
static int open_descriptors(struct engine *engine)
{
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll < 0)
        return errno;
    engine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->wake < 0)
        return errno;
    engine->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->told < 0)
        return errno;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    return epoll_ctl(engine->epoll, EPOLL_CTL_ADD, engine->wake, &event) ? errno : 0;
}

int engine_create(const struct setup *setup, struct engine **made)
{
    *made = NULL;
    struct engine *engine = allocate(1, sizeof *engine);
    if (engine == NULL)
        return ENOMEM;
    engine->epoll = engine->wake = engine->told = -1;
    engine->waiting_spare = engine->canary.slot = NOBODY;
    engine->canary.times = setup->canary;
    engine->tape = setup->tape;
    engine->values = setup->values;
    engine->number = setup->values.first;
    engine->load = setup->load;
    engine->load.lane_ns_per_byte = setup->load.ns_per_byte * (setup->lanes ? setup->lanes : 1);
    engine->target_count = setup->targets;
    engine->remote_count = setup->remotes;
    engine->source_count = setup->sources;
    engine->connection_count = setup->connections;
    engine->lanes = setup->lanes;
    engine->users = setup->lanes ? setup->connections / setup->lanes : 0; /* the canary is less than a user */
    int error = allocate_all(engine) ? open_descriptors(engine) : ENOMEM;
    if (error) {
        engine_destroy(engine);
        return error;
    }
    for (uint32_t i = 0; i < engine->connection_count; i++) {
        struct connection *c = &engine->connections[i];
        c->fd = -1;
        c->number = setup->number_of[i];
        c->target = setup->target_of[i];
        c->remote = setup->remote_of[i];
        c->source = setup->source_of[i];
        if (c->number == NOBODY) {
            engine->canary.slot = i;
            engine->tape.rows--;
        } else if (engine->users) {
            c->lane = (uint8_t)(1 + i / engine->users);
        }
    }
    *made = engine;
    return 0;
}

void engine_destroy(struct engine *engine)
{
    if (engine == NULL)
        return;
    for (uint32_t i = 0; engine->connections && i < engine->connection_count; i++)
        reply_free(&engine->connections[i].reply);
    int fds[] = {engine->epoll, engine->wake, engine->told};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(engine->targets);
    free(engine->remotes);
    free(engine->sources);
    free(engine->connections);
    free(engine->agenda.entries);
    free(engine->tcp.rows);
    free(engine->tcp.seen);
    free(engine->pages);
    free(engine->heads);
    free(engine->ring.records);
    free(engine->dues.offsets_ns);
    free(engine->waiting);
    free(engine->buffer);
    free(engine->request);
    free(engine);
}

bool engine_set_target(struct engine *engine, uint32_t index, struct text host_line, uint32_t unsent_connection)
{
    if (index >= engine->target_count)
        return false;
    struct target *target = &engine->targets[index];
    target->host_line = host_line;
    target->unsent_connection = unsent_connection;
    return true;
}

static bool set_address(struct address *made, const void *address, size_t bytes)
{
    if (bytes > sizeof made->storage)
        return false;
    memcpy(&made->storage, address, bytes);
    made->bytes = (socklen_t)bytes;
    return true;
}

bool engine_set_remote(struct engine *engine, uint32_t index, const void *address, size_t bytes)
{
    return index < engine->remote_count && set_address(&engine->remotes[index], address, bytes);
}

bool engine_set_source(struct engine *engine, uint32_t index, const void *address, size_t bytes)
{
    return index < engine->source_count && set_address(&engine->sources[index], address, bytes);
}
