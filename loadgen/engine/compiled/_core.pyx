# cython: language_level=3
"""What Python sees of the engine in C: an engine to set up, play and read from, and the reply reader for tests."""

from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.buffer cimport PyBUF_READ
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy


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
        uint32_t rows


cdef extern from "body.h":
    cdef struct body:
        pass
    int body_verdict(const body *)


cdef extern from "reply.h":
    enum: REPLY_ROOM_BYTES
    cdef struct reply:
        body body
        int64_t body_bytes
        uint16_t status
        bint reusable
        bint cookie_right
    cdef struct heads:
        pass
    void reply_begin(reply *, heads *, const tape *, const op *)
    int reply_feed(reply *, char *, size_t)
    int reply_eof(reply *)
    bint reply_started(const reply *)
    int64_t reply_unchecked_ahead(const reply *)
    int reply_skip(reply *, int64_t)
    void reply_free(reply *)


cdef extern from "ring.h":
    enum: RING_RECORDS
    cdef struct ring:
        record *records
    uint64_t ring_stretch(ring *, const record **)
    void ring_take(ring *, uint64_t)


cdef extern from "agenda.h":
    cdef struct entry:
        pass
    cdef struct agenda:
        entry *entries


cdef extern from "engine.h":
    enum: BUFFER_BYTES
    enum: REQUEST_BYTES
    enum why:
        pass
    cdef struct target:
        char address
        uint32_t address_bytes
        text host_line
        uint32_t unsent_connection
    cdef struct connection:
        uint32_t number
        uint32_t target
        uint32_t source
    cdef struct source:
        char address
        uint32_t address_bytes
    cdef struct load:
        double ns_per_byte
        int64_t line_bps
        int64_t timeout_ns
        int64_t error_rest_ns
        bint paced_reads
        bint kernel_stamps
        bint open
        uint32_t max_backlog
    cdef struct segment:
        int64_t start_ns
        int64_t end_ns
        const int64_t *offsets_ns
        uint64_t arrivals
        uint64_t first
        uint64_t step
    cdef struct engine:
        tape tape
        load load
        segment segment
        target *targets
        connection *connections
        source *sources
        heads *heads
        uint32_t target_count
        uint32_t connection_count
        agenda agenda
        ring ring
        char *buffer
        char *request
        int epoll
        int wake
        int told
        int64_t lease_ns
        bint stop
        bint over
        uint32_t open_sockets
    int engine_open(engine *)
    void engine_close(engine *)
    void engine_wake(engine *)
    why engine_play(engine *, const uint32_t *, const int64_t *) nogil


cdef void *allocate(size_t count, size_t size) except NULL:
    cdef void *memory = calloc(count if count else 1, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef class _Tape:
    """A tape's arrays, held for as long as C looks at them."""

    cdef tape tape
    cdef object _held

    def __cinit__(self, ops, checks, bytes data, offsets):
        self._held = (ops, checks, data, offsets)
        self.tape.ops = <const op *><uintptr_t>ops.ctypes.data
        self.tape.checks = <const check *><uintptr_t>checks.ctypes.data
        self.tape.data = data
        self.tape.offsets = <const int64_t *><uintptr_t>offsets.ctypes.data
        self.tape.rows = len(ops)


cdef class Core:
    """The engine.  Arrays must be contiguous and in range: loadgen.engine.compiled.player sees to it.

    `targets`: (socket address, Host line, stand-in connection) each; `numbers`, `target_of`, `source_of`: uint32, one
    each connection of this engine; `sources`: socket addresses.
    """

    cdef engine *_engine
    cdef object _held

    def __cinit__(
        self, arrays, list targets, list sources, numbers, target_of, source_of, double ns_per_byte, *, int64_t line_bps,
        int64_t timeout_ns, int64_t error_rest_ns, bint paced_reads, bint kernel_stamps, bint open, uint32_t max_backlog
    ):
        cdef _Tape held_tape = _Tape(*arrays)
        cdef engine *e = <engine *>allocate(1, sizeof(engine))
        cdef uint32_t count = len(numbers)
        cdef const uint32_t *number = <const uint32_t *><uintptr_t>numbers.ctypes.data
        cdef const uint32_t *of = <const uint32_t *><uintptr_t>target_of.ctypes.data
        cdef const uint32_t *by = <const uint32_t *><uintptr_t>source_of.ctypes.data
        cdef uint32_t i
        cdef bytes address, line
        self._engine = e
        self._held = (held_tape, [line for _, line, _ in targets])
        e.epoll = e.wake = e.told = -1
        e.tape = held_tape.tape
        e.load.ns_per_byte = ns_per_byte
        e.load.line_bps = line_bps
        e.load.timeout_ns = timeout_ns
        e.load.error_rest_ns = error_rest_ns
        e.load.paced_reads = paced_reads
        e.load.kernel_stamps = kernel_stamps
        e.load.open = open
        e.load.max_backlog = max_backlog
        e.targets = <target *>allocate(len(targets), sizeof(target))
        e.target_count = len(targets)
        e.sources = <source *>allocate(len(sources), sizeof(source))
        e.connections = <connection *>allocate(count, sizeof(connection))
        e.connection_count = count
        e.heads = <heads *>allocate(1, sizeof(heads))
        e.agenda.entries = <entry *>allocate(count, sizeof(entry))
        e.ring.records = <record *>allocate(RING_RECORDS, sizeof(record))
        e.buffer = <char *>allocate(REPLY_ROOM_BYTES + BUFFER_BYTES, 1)
        e.request = <char *>allocate(REQUEST_BYTES, 1)
        for i, (address, line, stand_in) in enumerate(targets):
            memcpy(&e.targets[i].address, <const char *>address, len(address))
            e.targets[i].address_bytes = len(address)
            e.targets[i].host_line.at = line
            e.targets[i].host_line.bytes = len(line)
            e.targets[i].unsent_connection = stand_in
        for i, address in enumerate(sources):
            memcpy(&e.sources[i].address, <const char *>address, len(address))
            e.sources[i].address_bytes = len(address)
        for i in range(count):
            e.connections[i].number = number[i]
            e.connections[i].target = of[i]
            e.connections[i].source = by[i]
        cdef int error = engine_open(e)
        if error:
            raise OSError(error, "an epoll or event descriptor")

    def __dealloc__(self):
        cdef engine *e = self._engine
        if e == NULL:
            return
        engine_close(e)
        free(e.targets)
        free(e.sources)
        free(e.connections)
        free(e.heads)
        free(e.agenda.entries)
        free(e.ring.records)
        free(e.buffer)
        free(e.request)
        free(e)

    def arm(self, int64_t start_ns, int64_t end_ns):
        """Get ready for a segment."""
        self._engine.segment.start_ns = start_ns
        self._engine.segment.end_ns = end_ns
        self._engine.stop = False
        self._engine.over = False

    def play(self, rows, due_ns, offsets_ns, uint64_t first, uint64_t step):
        """Play the segment on the calling thread: 0 complete, 1 stopped, 2 the lease expired."""
        cdef const uint32_t *row = <const uint32_t *><uintptr_t>rows.ctypes.data
        cdef const int64_t *due = <const int64_t *><uintptr_t>due_ns.ctypes.data
        cdef why how
        self._engine.segment.offsets_ns = <const int64_t *><uintptr_t>offsets_ns.ctypes.data
        self._engine.segment.arrivals = len(offsets_ns)
        self._engine.segment.first = first
        self._engine.segment.step = step
        with nogil:
            how = engine_play(self._engine, row, due)
        return <int>how

    def renew(self, int64_t until_ns):
        """Traffic may go on until then."""
        self._engine.lease_ns = until_ns

    def stop(self):
        """Have the playing thread end the segment."""
        self._engine.stop = True
        engine_wake(self._engine)

    @property
    def over(self):
        """Whether the segment has ended, and all of it is recorded."""
        return self._engine.over

    @property
    def open_sockets(self):
        """How many TCP connections are open."""
        return self._engine.open_sockets

    def fileno(self):
        """An event descriptor: readable when records should be read, or the segment is over."""
        return self._engine.told

    def records(self):
        """Records that are ready, in one stretch of memory, RECORD_DTYPE; `take` them before the next call."""
        cdef const record *at = NULL
        cdef uint64_t count = ring_stretch(&self._engine.ring, &at)
        return PyMemoryView_FromMemory(<char *>at, count * sizeof(record), PyBUF_READ)

    def take(self, uint64_t count):
        """Give the memory of `count` records back."""
        ring_take(&self._engine.ring, count)


cdef class Reader:
    """The reply reader and body check in C, for tests that compare them with loadgen.engine.http1 and body."""

    cdef reply _reply
    cdef heads *_heads
    cdef _Tape _tape
    cdef char *_buffer
    cdef size_t _size

    def __cinit__(self, arrays, size_t size):
        """`size` bytes at most in one piece."""
        self._tape = _Tape(*arrays)
        self._heads = <heads *>allocate(1, sizeof(heads))
        self._buffer = <char *>allocate(REPLY_ROOM_BYTES + size, 1)
        self._size = size

    def __dealloc__(self):
        reply_free(&self._reply)
        free(self._heads)
        free(self._buffer)

    def begin(self, uint32_t row):
        """Get ready for the reply to `row`."""
        if row >= self._tape.tape.rows:
            raise ValueError("no such row")
        reply_begin(&self._reply, self._heads, &self._tape.tape, <const op *>(<const char *>self._tape.tape.ops + row * 33))

    def feed(self, const unsigned char *data, size_t size):
        """As ReplyReader.feed, with the piece alone."""
        if size > self._size:
            raise ValueError("the piece is too long")
        memcpy(self._buffer + REPLY_ROOM_BYTES, data, size)
        return reply_feed(&self._reply, self._buffer + REPLY_ROOM_BYTES, size)

    def eof(self):
        """As ReplyReader.eof."""
        return reply_eof(&self._reply)

    def skip(self, int64_t size):
        """Count so many bytes of unchecked body; they must be at most `unchecked_ahead`."""
        if not 0 < size <= reply_unchecked_ahead(&self._reply):
            raise ValueError("these bytes have to be seen")
        return reply_skip(&self._reply, size)

    @property
    def unchecked_ahead(self):
        """How many bytes may be skipped."""
        return reply_unchecked_ahead(&self._reply)

    @property
    def verdict(self):
        """As BodyCheck.verdict."""
        return body_verdict(&self._reply.body)

    @property
    def facts(self):
        """(status, body_bytes, reusable, started, whether the cookie is right)."""
        return (
            self._reply.status,
            self._reply.body_bytes,
            bool(self._reply.reusable),
            bool(reply_started(&self._reply)),
            bool(self._reply.cookie_right),
        )
