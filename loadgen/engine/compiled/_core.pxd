# cython: language_level=3
"""What `_core.pyx` uses of the C engine."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "tape.h":
    cdef struct text:
        const char *at
        size_t bytes
    cdef struct op:
        pass
    cdef struct check:
        pass
    cdef struct record:
        pass
    cdef struct tape:
        const op *ops
        const check *checks
        const char *data
        const int64_t *offsets
        const uint64_t *status_sets
        uint32_t rows


cdef extern from "values.h":
    cdef struct piece:
        pass
    cdef struct values:
        const piece *pieces
        const uint32_t *templates
        const char *data
        const int64_t *offsets
        uint64_t rows, turn, seed, first, step
        size_t request_bytes


cdef extern from "body.h":
    cdef struct body:
        pass
    int body_verdict(const body *)


cdef extern from "reply.h":
    cdef struct reply:
        body body
        int64_t body_bytes
        uint16_t status
        bint reusable
        bint cookie_right
        bint surplus
        text wrong
    int reply_eof(reply *)
    bint reply_started(const reply *)
    int64_t reply_unchecked_ahead(const reply *)
    int reply_skip(reply *, int64_t)


cdef extern from "reader.h":
    cdef struct reader:
        reply reply
        size_t room
    reader *reader_create(size_t)
    void reader_destroy(reader *)
    bint reader_begin(reader *, const tape *, uint32_t)
    int reader_feed(reader *, const void *, size_t)


cdef extern from "ring.h":
    cdef struct ring:
        pass
    uint64_t ring_stretch(ring *, const record **)
    void ring_take(ring *, uint64_t)


cdef extern from "dues.h":
    cdef struct dues:
        pass
    enum:
        DUES
    uint64_t dues_left(dues *)


cdef extern from "canary.h":
    cdef struct canary_times:
        int64_t phase_ns
        int64_t period_ns
        int64_t max_behind_ns
    cdef struct canary:
        pass
    enum:
        CANARY_RECORDS
    uint64_t canary_take(canary *, record *, uint64_t)


cdef extern from "shown.h":
    cdef struct shown_text:
        uint32_t target
        uint8_t outcome
        uint8_t bytes
        char at[1]
    cdef struct shown:
        shown_text of[1]
    uint32_t shown_count(const shown *)


cdef extern from "engine.h":
    enum why:
        pass
    cdef struct load:
        double ns_per_byte
        int64_t line_bps
        int64_t timeout_ns
        int64_t error_rest_ns
        bint paced_reads
        bint kernel_stamps
        bint open
        uint32_t max_backlog
        int64_t request_ns
        int64_t requests
    cdef struct arrivals:
        uint64_t first, step
        bint counted
    cdef struct quota:
        int64_t done_ns
    cdef struct setup:
        tape tape
        values values
        load load
        uint32_t targets, remotes, sources, connections, lanes
        const uint32_t *number_of
        const uint32_t *target_of
        const uint32_t *remote_of
        const uint32_t *source_of
        canary_times canary
    cdef struct engine:
        ring ring
        dues dues
        canary canary
        quota quota
        shown shown
        int told
    int engine_create(const setup *, engine **)
    void engine_destroy(engine *)
    bint engine_set_target(engine *, uint32_t, text, uint32_t)
    bint engine_set_remote(engine *, uint32_t, const void *, size_t)
    bint engine_set_source(engine *, uint32_t, const void *, size_t)
    void engine_arm(engine *, int64_t, int64_t)
    void engine_feed(engine *, const int64_t *, uint64_t)
    void engine_renew(engine *, int64_t)
    void engine_stop(engine *)
    bint engine_over(const engine *)
    uint32_t engine_open_sockets(const engine *)
    void engine_tcp(const engine *, int64_t *, size_t)
    why engine_play(engine *, const uint32_t *, const int64_t *, const arrivals *) nogil


cdef extern from "layout.h":
    cdef struct fact:
        const char *name
        int64_t value
    const fact *layout_facts
