/* One simultaneous connection: loadgen/engine/connection.py in C, rule by rule.

   A socket is registered once, edge-triggered, for all events, so that an operation needs no epoll_ctl.  Therefore a
   socket must be read until the kernel has no more bytes, which a short read shows. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "openloop.h"
#include "page.h"
#include "idempotent.h"
#include "overdue.h"
#include "quota.h"
#include "status.h"
#include "receive.h"

enum {
    PACED_READ_BYTES = 4096,
    SKIP_BYTES = 32768, /* from this many unchecked bytes on it is cheaper to let the kernel drop them */
    READS = 16 /* reads of one connection before the others get their turn */
};

static const uint32_t READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
static const uint32_t ENDED = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

static enum outcome broken(const struct connection *c, int error)
{
    if (c->doing == CONNECTING)
        return connect_outcome(error);
    return reply_started(&c->reply) ? OUTCOME_RESET : OUTCOME_NO_REPLY;
}

static void set_urgent(struct engine *engine, struct connection *c, bool urgent)
{
    engine->urgent += (uint32_t)urgent - (uint32_t)c->urgent;
    c->urgent = urgent;
}

static void drop(struct engine *engine, struct connection *c)
{
    if (c->fd < 0)
        return;
    tcp_look(engine, c, true);
    close(c->fd);
    c->fd = -1;
    c->ended = false;
    atomic_fetch_sub_explicit(&engine->open_sockets, 1, memory_order_relaxed);
}

static void record(struct engine *engine, struct connection *c, int64_t done_ns, enum outcome outcome)
{
    /* without a TCP connection no request was sent */
    if (outcome == OUTCOME_OK && is_overdue(engine, c, done_ns))
        outcome = OUTCOME_TIMED_OUT;
    if (c->lane)
        page_add(engine, c, begun_ns(c), done_ns, outcome);
    else
        engine_record(engine, &(struct record){.due_ns = c->due_ns,
                                               .sent_ns = begun_ns(c),
                                               .done_ns = done_ns,
                                               .bytes = c->received,
                                               .row = c->row,
                                               .connection = c->number,
                                               .outcome = outcome,
                                               .flags = c->flags});
    c->flags = 0;
}

void connection_rest(struct engine *engine, struct connection *c, int64_t until_ns)
{
    c->doing = RESTING;
    agenda_push(&engine->agenda, until_ns, (uint32_t)(c - engine->connections));
}

/* Go on after an operation: the next one is due at `due_ns`, which is after a rest if the operation `rests`. */
static void advance(struct engine *engine, struct connection *c, int64_t due_ns, bool rests)
{
    set_urgent(engine, c, false);
    if (c->lane) {
        page_freed(engine, c);
        return;
    }
    if (engine->load.open || c->number == NOBODY) {
        if (rests)
            connection_rest(engine, c, due_ns);
        else
            openloop_free(engine, c);
        return;
    }
    c->row = engine->tape.ops[c->row].next;
    c->due_ns = due_ns;
    if (engine->quota.left <= 0)
        quota_retire(engine, c);
    else if (!rests && (!engine->load.line_bps || due_ns <= engine->woke_ns))
        engine_begin_soon(engine, c);
    else
        connection_rest(engine, c, due_ns); /* also after a failure in connection_begin, which must not recurse */
}

static void send_again(struct engine *engine, struct connection *c);

/* Record a failed operation, close the TCP connection, rest, then go on.

   A server may close a kept TCP connection at any moment between two requests.  A request that meets such a close is
   sent once more on a new connection if its method allows that; otherwise it fails, but no rest follows. */
static void fail(struct engine *engine, struct connection *c, int64_t at_ns, enum outcome outcome)
{
    bool closed_between = outcome == OUTCOME_NO_REPLY && !(c->flags & CONNECTED) && !c->received;
    if (closed_between && is_idempotent(engine, c)) {
        send_again(engine, c);
        return;
    }
    if (!closed_between)
        c->flags |= RESTED;
    record(engine, c, at_ns, outcome);
    drop(engine, c);
    int64_t due_ns = at_ns > c->due_ns ? at_ns : c->due_ns;
    advance(engine, c, closed_between ? due_ns : due_ns + engine->load.error_rest_ns, !closed_between);
}

/* Judge a complete reply, record the operation, and go on when the line speed allows its bytes. */
static void finish(struct engine *engine, struct connection *c, int64_t done_ns, bool ended)
{
    enum outcome outcome = OUTCOME_BAD_STATUS;
    if (is_right_status(&engine->tape, c->row, c->reply.status)) {
        outcome = body_verdict(&c->reply.body);
        if (outcome == OUTCOME_OK && !c->reply.cookie_right)
            outcome = OUTCOME_BAD_COOKIE;
    }
    /* A whole reply shows that the server works, so no rest is needed.  A paced connection rests nevertheless: the
       replies that it expected would have taken that long, and short error pages must not multiply its requests. */
    bool rests = outcome != OUTCOME_OK && engine->load.line_bps;
    if (rests)
        c->flags |= RESTED;
    if (c->reply.surplus)
        c->flags |= SURPLUS;
    c->flags |= (uint32_t)c->reply.status << STATUS_SHIFT;
    record(engine, c, done_ns, outcome);
    /* If the reply came before the whole request was sent, the next request would be taken for the rest of it. */
    if (ended || !c->reply.reusable || c->unsent || engine->tape.ops[c->row].flags & FLAG_CLOSE_AFTER)
        drop(engine, c);
    int64_t due_ns;
    if (!rests) {
        /* rounded as in loadgen/measure/fold.py, which finds the end of this operation: no ns is counted twice */
        due_ns = c->due_ns + (int64_t)((double)c->received * engine->load.ns_per_byte + 0.5);
        due_ns = done_ns > due_ns ? done_ns : due_ns;
        if (engine->load.line_bps) /* then the reply is good, because the connection does not rest */
            due_ns += engine->tape.ops[c->row].think_ms * NS_PER_MS;
    } else {
        due_ns = (done_ns > c->due_ns ? done_ns : c->due_ns) + engine->load.error_rest_ns;
    }
    advance(engine, c, due_ns, rests);
}

/* Hand the request to the kernel.  On a new TCP connection, a failed connect is reported here. */
static void send_request(struct engine *engine, struct connection *c, int64_t at_ns)
{
    size_t left;
    ssize_t taken = request_send(engine, c, &left);
    if (taken < 0) {
        if (errno != EAGAIN) {
            fail(engine, c, at_ns, broken(c, errno));
            return;
        }
        taken = 0;
    }
    c->unsent = (size_t)taken < left;
    if (!c->unsent) {
        c->doing = READING;
        set_urgent(engine, c, c->received > 0 || c->lane); /* the objects of a page wait for each other */
        return;
    }
    c->out_at += (size_t)taken;
    if (taken || c->doing != CONNECTING)
        c->doing = SENDING;
    set_urgent(engine, c, true);
}

/* Begin to open a TCP connection; false when that failed at once. */
static bool open_connection(struct engine *engine, struct connection *c, int64_t at_ns)
{
    c->doing = CONNECTING;
    int error = dial(engine, c);
    if (error) {
        fail(engine, c, at_ns, connect_outcome(error));
        return false;
    }
    atomic_fetch_add_explicit(&engine->open_sockets, 1, memory_order_relaxed);
    c->flags |= CONNECTED;
    c->opened_ns = at_ns;
    return true;
}

void connection_begin(struct engine *engine, struct connection *c)
{
    if (c->fetches && page_gives_up(engine, c))
        return;
    if (!quota_take(engine, c))
        return;
    int64_t at_ns = now_ns();
    engine->begun++;
    c->sent_ns = c->progress_ns = at_ns;
    c->received = 0;
    c->out_at = 0;
    c->unsent = true;
    if (engine->tape.ops[c->row].template)
        request_number(engine, c);
    reply_begin(&c->reply, engine->heads, &engine->tape, &engine->tape.ops[c->row]);
    if (c->fd < 0 && !open_connection(engine, c, at_ns))
        return;
    send_request(engine, c, at_ns);
}

/* Send the request on a new TCP connection.  The operation keeps the times when it was due and first sent. */
static void send_again(struct engine *engine, struct connection *c)
{
    int64_t at_ns = now_ns();
    drop(engine, c);
    c->flags |= RETRIED;
    c->progress_ns = at_ns;
    c->out_at = 0;
    c->unsent = true;
    reply_begin(&c->reply, engine->heads, &engine->tape, &engine->tape.ops[c->row]);
    if (open_connection(engine, c, at_ns))
        send_request(engine, c, at_ns);
}

/* Stop reading until the line speed allows what was received; false when it already does. */
static bool pause_if_ahead(struct engine *engine, struct connection *c)
{
    int64_t crossed_ns = c->sent_ns + (int64_t)((double)c->received * engine->load.lane_ns_per_byte);
    if (crossed_ns <= now_ns())
        return false;
    c->doing = PAUSED;
    agenda_push(&engine->agenda, crossed_ns, (uint32_t)(c - engine->connections));
    return true;
}

/* Fail the operation with the `result` of reply_feed or reply_skip. */
static void wrong(struct engine *engine, struct connection *c, int64_t at_ns, int result)
{
    enum outcome outcome = (enum outcome)result;
    if (outcome == OUTCOME_BAD_LENGTH) { /* the body check gave up early */
        c->flags |= (uint32_t)c->reply.status << STATUS_SHIFT;
        outcome = is_right_status(&engine->tape, c->row, c->reply.status) ? body_verdict(&c->reply.body)
                                                                          : OUTCOME_BAD_STATUS;
    } else if (c->number != NOBODY) {
        show(&engine->shown, c->target, outcome, c->reply.wrong);
    }
    fail(engine, c, at_ns, outcome);
}

/* Read until the kernel has no more bytes, the reply is complete, or other connections must have their turn. */
static void read_reply(struct engine *engine, struct connection *c)
{
    for (int reads = 0; reads < READS; reads++) {
        int64_t stamp_ns = 0, ahead = reply_unchecked_ahead(&c->reply);
        bool skip = ahead > SKIP_BYTES && !engine->load.paced_reads;
        size_t wanted = engine->load.paced_reads ? PACED_READ_BYTES : BUFFER_BYTES;
        if (skip && ahead < BUFFER_BYTES) /* at most what the buffer holds: some kernels write into it nevertheless */
            wanted = (size_t)ahead;
        ssize_t got = receive(engine, c, wanted, skip, &stamp_ns);
        if (got < 0) {
            if (errno != EAGAIN)
                fail(engine, c, arrived_ns(engine, c, 0), broken(c, errno));
            return;
        }
        int64_t at_ns = arrived_ns(engine, c, stamp_ns);
        if (got == 0) {
            int result = reply_eof(&c->reply);
            if (result == REPLY_DONE)
                finish(engine, c, at_ns, true);
            else
                fail(engine, c, at_ns, (enum outcome)result);
            return;
        }
        c->received += got;
        c->progress_ns = engine->woke_ns;
        int result = skip ? reply_skip(&c->reply, got)
                          : reply_feed(&c->reply, engine->buffer + REPLY_ROOM_BYTES, (size_t)got);
        if (result == REPLY_DONE) {
            if (c->reply.status == 400 && !skip && !is_right_status(&engine->tape, c->row, 400) && c->number != NOBODY)
                show(&engine->shown, c->target, OUTCOME_BAD_STATUS,
                     reply_wants_tls(engine->buffer + REPLY_ROOM_BYTES, (size_t)got));
            finish(engine, c, at_ns, c->ended);
            return;
        }
        if (result != REPLY_MORE) {
            wrong(engine, c, at_ns, result);
            return;
        }
        set_urgent(engine, c, true);
        if (engine->load.paced_reads && !c->unsent) {
            if (pause_if_ahead(engine, c))
                return;
        } else if ((size_t)got < wanted && !c->ended) {
            return;
        }
    }
    /* An edge-triggered event does not repeat; modifying the registration reports unread bytes again. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(engine->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

void connection_event(struct engine *engine, struct connection *c, uint32_t events)
{
    if (c->fd >= 0 && events & ENDED)
        c->ended = true; /* an edge-triggered event does not repeat, and the reply may be read in several turns */
    if (c->fd < 0 || c->doing == PAUSED) /* a paused connection reads when it is woken */
        return;
    if (c->doing == RESTING || c->doing == FREE) {
        /* The server closed an idle connection, or sent bytes that were not asked for. */
        if (events & READABLE) {
            ssize_t got = recv(c->fd, engine->buffer, 1, MSG_PEEK);
            if (got > 0)
                c->flags = SURPLUS;
            if (got >= 0 || errno != EAGAIN)
                drop(engine, c);
        }
        return;
    }
    int64_t sent_ns = c->sent_ns;
    uint32_t flags = c->flags;
    if (events & READABLE)
        read_reply(engine, c);
    if (events & EPOLLOUT && c->unsent && c->sent_ns == sent_ns && c->flags == flags &&
        (c->doing == CONNECTING || c->doing == SENDING)) {
        c->progress_ns = engine->woke_ns;
        send_request(engine, c, engine->woke_ns);
    }
}

void connection_wake(struct engine *engine, struct connection *c)
{
    if (c->doing == PAUSED) {
        c->doing = READING;
        c->progress_ns = engine->woke_ns; /* the connection itself stopped reading: the server is not to blame */
        read_reply(engine, c);
    } else if (engine->load.open || c->number == NOBODY) {
        openloop_free(engine, c);
    } else {
        connection_begin(engine, c);
    }
}

void connection_expire(struct engine *engine, struct connection *c, int64_t at_ns)
{
    bool late = at_ns - c->progress_ns > engine->load.timeout_ns || is_overdue(engine, c, at_ns);
    if (late && c->doing >= CONNECTING && c->doing <= READING)
        fail(engine, c, at_ns, c->doing == CONNECTING ? OUTCOME_UNREACHABLE : OUTCOME_TIMED_OUT);
}

void connection_stop(struct engine *engine, struct connection *c, int64_t at_ns)
{
    if (c->lane == 1)
        page_stop(engine, c, at_ns);
    else if (c->doing >= CONNECTING && !c->lane)
        record(engine, c, at_ns, OUTCOME_CUT);
    c->doing = STOPPED;
    c->fetches = false;
    c->flags = 0;
    set_urgent(engine, c, false);
    drop(engine, c);
}
