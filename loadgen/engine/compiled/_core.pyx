# cython: language_level=3
"""The C engine for Python: `Core` plays segments, and `Reader` exposes the reply reader to tests.

All memory belongs to C (engine_create, reader_create).  This module passes arrays in and reads results.  When it is
imported, it compares the numbers that C was compiled with to Python's (layout.py), and raises ImportError if they
differ.
"""

from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport ENOMEM
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from loadgen.engine.compiled import layout
from loadgen.model.outcome import Outcome


def facts():
    """The numbers that C was compiled with, by name: sizes and offsets in bytes, codes, limits."""
    cdef const fact *one = layout_facts
    found = {}
    while one.name != NULL:
        found[one.name.decode()] = one.value
        one += 1
    return found


layout.check(facts())


cdef class _Tape:
    """The arrays of a tape, kept alive while C reads them."""

    cdef tape tape
    cdef object _held

    def __cinit__(self, ops, checks, bytes data, offsets, status_sets):
        self._held = (ops, checks, data, offsets, status_sets)
        self.tape.ops = <const op *><uintptr_t>ops.ctypes.data
        self.tape.checks = <const check *><uintptr_t>checks.ctypes.data
        self.tape.data = data
        self.tape.offsets = <const int64_t *><uintptr_t>offsets.ctypes.data
        self.tape.status_sets = <const uint64_t *><uintptr_t>status_sets.ctypes.data
        self.tape.rows = len(ops)


cdef class Core:
    """An engine.  Arrays must be contiguous and in range; loadgen.engine.compiled.player ensures it.

    `targets` are tuples (Host line, connection number for unsent operations), `remotes` and `sources` are socket
    addresses to connect to and from.  `numbers`, `target_of`, `remote_of` and `source_of` are uint32 arrays with one
    entry per connection; with `lanes`, see page.h.  If the last number is NOBODY, that connection is the canary: it plays the last row of the
    tape, with `canary_times` (phase, period and the longest delay, in ns).  `values` (a loadgen.schedule.values.Values,
    or None) makes requests of templates; `numbering` is the first number, the step between two, and the length of the
    longest request.  Raises MemoryError, and OSError when no descriptor is left.
    """

    cdef engine *_engine
    cdef object _held

    def __cinit__(
        self, arrays, list targets, list remotes, list sources, numbers, target_of, remote_of, source_of,
        double ns_per_byte, *, int64_t line_bps, int64_t timeout_ns, int64_t error_rest_ns, bint paced_reads,
        bint kernel_stamps, bint open, uint32_t max_backlog, canary_times=(0, 1, 0), int64_t requests=0,
        int64_t request_ns=0, values=None, numbering=(0, 1, 0), uint32_t lanes=0
    ):
        cdef _Tape held_tape = _Tape(*arrays)
        cdef setup given
        cdef text host_line
        cdef bytes address, line
        self._held = (held_tape, [line for line, _ in targets], values)
        given.tape = held_tape.tape
        memset(&given.values, 0, sizeof(given.values))
        if values is not None:
            given.values.pieces = <const piece *><uintptr_t>values.pieces.ctypes.data
            given.values.templates = <const uint32_t *><uintptr_t>values.templates.ctypes.data
            given.values.data = <bytes>values.strings.data
            given.values.offsets = <const int64_t *><uintptr_t>values.strings.offsets.ctypes.data
            given.values.rows, given.values.turn, given.values.seed = values.rows, values.turn, values.seed
            given.values.first, given.values.step, given.values.request_bytes = numbering
        given.load.ns_per_byte = ns_per_byte
        given.load.line_bps, given.load.timeout_ns, given.load.error_rest_ns = line_bps, timeout_ns, error_rest_ns
        given.load.paced_reads, given.load.kernel_stamps, given.load.open = paced_reads, kernel_stamps, open
        given.load.max_backlog, given.load.requests, given.load.request_ns = max_backlog, requests, request_ns
        given.canary.phase_ns, given.canary.period_ns, given.canary.max_behind_ns = canary_times
        given.targets, given.remotes, given.sources = len(targets), len(remotes), len(sources)
        given.connections, given.lanes = len(numbers), lanes
        given.number_of = <const uint32_t *><uintptr_t>numbers.ctypes.data
        given.target_of = <const uint32_t *><uintptr_t>target_of.ctypes.data
        given.remote_of = <const uint32_t *><uintptr_t>remote_of.ctypes.data
        given.source_of = <const uint32_t *><uintptr_t>source_of.ctypes.data
        cdef int error = engine_create(&given, &self._engine)
        if error == ENOMEM:
            raise MemoryError
        if error:
            raise OSError(error, "the engine cannot open its epoll or event descriptors")
        for i, (line, unsent_connection) in enumerate(targets):
            host_line.at = line
            host_line.bytes = len(line)
            engine_set_target(self._engine, i, host_line, unsent_connection)
        for i, address in enumerate(remotes):
            if not engine_set_remote(self._engine, i, <const char *>address, len(address)):
                raise ValueError(f"socket address {i} of the targets has {len(address)} bytes, which is too long")
        for i, address in enumerate(sources):
            if not engine_set_source(self._engine, i, <const char *>address, len(address)):
                raise ValueError(f"the socket address of source {i} has {len(address)} bytes, which is too long")

    def __dealloc__(self):
        engine_destroy(self._engine)

    def arm(self, int64_t start_ns, int64_t end_ns):
        """Prepare for a segment, before the thread that plays it starts."""
        engine_arm(self._engine, start_ns, end_ns)

    def feed(self, offsets_ns):
        """Add due times of an open loop: ns after the start (int64), ascending; an empty array says that these were all.

        Raises ValueError when there is no room for them.
        """
        cdef uint64_t count = len(offsets_ns)
        if count > DUES - self.dues:
            raise ValueError(f"{count} due times do not fit")
        engine_feed(self._engine, <const int64_t *><uintptr_t>offsets_ns.ctypes.data, count)

    @property
    def dues(self):
        """The number of due times that were fed, and whose operations have not begun."""
        return dues_left(&self._engine.dues)

    def play(self, rows, due_ns, uint64_t first, uint64_t step, bint counted=False):
        """Play the segment on the calling thread, without the GIL.  Returns a layout.Ending as int.

        `rows` (uint32) and `due_ns` (int64) are the first operation of each connection in a closed loop.
        In an open loop, number i of the due times that are fed is operation first + i * step of all engines;
        `counted`: the segment ends when these are done.
        """
        cdef const uint32_t *row = <const uint32_t *><uintptr_t>rows.ctypes.data
        cdef const int64_t *due = <const int64_t *><uintptr_t>due_ns.ctypes.data
        cdef arrivals due_later
        cdef why how
        due_later.first, due_later.step, due_later.counted = first, step, counted
        with nogil:
            how = engine_play(self._engine, row, due, &due_later)
        return <int>how

    def renew(self, int64_t until_ns):
        """Let traffic go on until `until_ns`."""
        engine_renew(self._engine, until_ns)

    def stop(self):
        """Make the playing thread end the segment."""
        engine_stop(self._engine)

    @property
    def over(self):
        """Whether the segment has ended and all of its records can be read."""
        return engine_over(self._engine)

    @property
    def open_sockets(self):
        """The number of open TCP connections."""
        return engine_open_sockets(self._engine)

    @property
    def done_ns(self):
        """When the given number of operations was done; 0 before."""
        return self._engine.quota.done_ns

    def fileno(self):
        """An event descriptor.  It is readable when records should be read, or when the segment is over."""
        return self._engine.told

    def records(self):
        """Records that are ready, contiguous in memory, as RECORD_DTYPE.  `take` them before the next call."""
        cdef const record *at = NULL
        cdef uint64_t count = ring_stretch(&self._engine.ring, &at)
        return PyMemoryView_FromMemory(<char *>at, count * sizeof(record), PyBUF_READ)

    def take(self, uint64_t count):
        """Give the memory of `count` records back to the engine."""
        ring_take(&self._engine.ring, count)

    def shown(self):
        """What the report shows of failed operations: the bytes, by target and outcome."""
        cdef uint32_t at
        cdef const shown_text *one
        found = {}
        for at in range(shown_count(&self._engine.shown)):
            one = &self._engine.shown.of[at]
            found[one.target, Outcome(one.outcome)] = one.at[: one.bytes]
        return found

    def tcp(self, table):
        """Write the table of TCP connections (loadgen.engine.tcp_accounts) into `table`, contiguous int64."""
        engine_tcp(self._engine, <int64_t *><uintptr_t>table.ctypes.data, len(table))

    def canary(self):
        """The canary's records since the last call, as bytes of RECORD_DTYPE."""
        cdef bytearray taken = bytearray(CANARY_RECORDS * sizeof(record))
        cdef uint64_t count = canary_take(&self._engine.canary, <record *><char *>taken, CANARY_RECORDS)
        return bytes(taken[: count * sizeof(record)])


cdef class Reader:
    """The reply reader and body check in C, for tests that compare them with loadgen.engine.http1 and body."""

    cdef reader *_reader
    cdef _Tape _tape

    def __cinit__(self, arrays, size_t size):
        """`size` is the longest piece, in bytes.  Raises MemoryError."""
        self._tape = _Tape(*arrays)
        self._reader = reader_create(size)
        if self._reader == NULL:
            raise MemoryError

    def __dealloc__(self):
        reader_destroy(self._reader)

    def begin(self, uint32_t row):
        """Prepare for the reply to `row`.  Raises ValueError when the tape has no such row."""
        if not reader_begin(self._reader, &self._tape.tape, row):
            raise ValueError(f"row {row} is not on the tape, which has {self._tape.tape.rows} rows")

    def feed(self, const unsigned char *data, size_t size):
        """As ReplyReader.feed, with the new piece only.  Raises ValueError when the piece is too long."""
        if size > self._reader.room:
            raise ValueError(f"the piece has {size} bytes; at most {self._reader.room} fit")
        return reader_feed(self._reader, data, size)

    def eof(self):
        """As ReplyReader.eof."""
        return reply_eof(&self._reader.reply)

    def skip(self, int64_t size):
        """Count `size` bytes of unchecked body.  Raises ValueError when they are more than `unchecked_ahead`."""
        if not 0 < size <= reply_unchecked_ahead(&self._reader.reply):
            raise ValueError(f"{size} bytes cannot be skipped: some of them must be checked")
        return reply_skip(&self._reader.reply, size)

    @property
    def unchecked_ahead(self):
        """How many of the next bytes may be skipped."""
        return reply_unchecked_ahead(&self._reader.reply)

    @property
    def verdict(self):
        """As BodyCheck.verdict."""
        return body_verdict(&self._reader.reply.body)

    @property
    def facts(self):
        """(status, body_bytes, reusable, started, whether the cookie is the expected one, surplus, wrong)."""
        return (
            self._reader.reply.status,
            self._reader.reply.body_bytes,
            bool(self._reader.reply.reusable),
            bool(reply_started(&self._reader.reply)),
            bool(self._reader.reply.cookie_right),
            bool(self._reader.reply.surplus),
            self._reader.reply.wrong.at[: self._reader.reply.wrong.bytes],
        )
