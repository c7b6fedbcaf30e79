# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Folds records in C; loadgen.measure.fold does the same with numpy.

Callers must call `Rules.places` first, because it rejects records with numbers out of range, and must provide output
arrays that are large enough.
"""

from libc.math cimport rint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, qsort

cdef packed struct record:
    int64_t due_ns
    int64_t sent_ns
    int64_t done_ns
    int64_t bytes
    uint32_t row
    uint32_t connection
    uint32_t outcome
    uint32_t flags

cdef packed struct tally:
    int32_t window
    uint32_t connection
    uint32_t ok
    uint32_t bad
    uint32_t cut
    uint32_t overdue
    uint32_t good
    uint32_t tolerable
    int64_t bytes
    int64_t busy_ns
    int64_t service_ns
    int64_t pacing_ns
    int64_t lateness_ns
    int64_t rest_ns
    int64_t failed_ns
    int64_t unfinished_ns

cdef enum:
    OK, BAD, CUT, STATES  # as in loadgen.measure.cells
    GOOD = 0, TOLERABLE, OVERDUE, BYTES, CONNECTS, RETRIES, REST_NS, SURPLUSES, SUMS  # columns of CellTable.sums
    NOT = 0, FIXED, SO_FAR  # as in loadgen.measure.limits
    CONNECTED = 1, RETRIED = 2, RESTED = 4, SURPLUS = 8, MORE_CONNECTS = 0xFFF0, STATUS_SHIFT = 16  # as in loadgen.measure.record
    RESPONSE = 0, SERVICE, LATENESS, TIMES  # rows of CellTable.times per cell
    HALF_BITS = 10  # as in loadgen.measure.histogram
    DENSE = 16  # up to this ratio of places to values, counting into all places is faster than sorting

cdef int64_t TOP_NS = (<int64_t>1 << 42) - 1
cdef int64_t HIGHEST = (<int64_t>1 << 62), LOWEST = -(<int64_t>1 << 62)


cdef class Rules:
    """The tables and bounds that apply to all records of a segment."""

    cdef const uint8_t[::1] kind, group, state
    cdef const int32_t[::1] target_of
    cdef int kinds, groups
    cdef const uint8_t[::1] cut
    cdef const int64_t[::1] good_ns, tolerable_ns, think_ns
    cdef const double[::1] good_ns_per_byte, tolerable_ns_per_byte
    cdef bint has_window, thinks, is_open, is_unpaced
    cdef int64_t window_start_ns, window_end_ns, spare_good_ns, spare_tolerable_ns, error_rest_ns
    cdef double line_ns_per_byte

    def __init__(
        self,
        const uint8_t[::1] kind,
        const uint8_t[::1] group,
        const uint8_t[::1] state,
        const int32_t[::1] target_of,
        window_ns,
        limits,
        const int64_t[::1] think_ns,
        *,
        int kinds,
        int groups,
        double line_ns_per_byte,
        int64_t error_rest_ns,
        bint is_open,
        bint is_unpaced,
    ):
        """`window_ns`: (start, end), or None without a window.  `limits`: a loadgen.measure.limits.Limits.

        `state`: OK, BAD or CUT by outcome.  `kind`, `group` and `think_ns` (or None): by row of the tape; raises
        ValueError if their lengths differ, or if there are not limits for each kind.
        """
        if think_ns is not None and think_ns.shape[0] != kind.shape[0]:
            raise ValueError(f"there are {think_ns.shape[0]} think times for {kind.shape[0]} rows")
        if limits.kinds != kinds:
            raise ValueError(f"there are limits for {limits.kinds} of {kinds} kinds")
        if kind.shape[0] != group.shape[0]:
            raise ValueError(f"there are {kind.shape[0]} kinds for {group.shape[0]} groups; each row needs one of each")
        self.kind, self.group, self.state, self.target_of = kind, group, state, target_of
        self.kinds, self.groups = kinds, groups
        self.has_window = window_ns is not None
        if self.has_window:
            self.window_start_ns, self.window_end_ns = window_ns
        self.good_ns, self.good_ns_per_byte = limits.good_ns, limits.good_ns_per_byte
        self.tolerable_ns, self.tolerable_ns_per_byte = limits.tolerable_ns, limits.tolerable_ns_per_byte
        self.spare_good_ns, self.spare_tolerable_ns = limits.spare_good_ns, limits.spare_tolerable_ns
        self.think_ns, self.thinks = think_ns, think_ns is not None
        self.line_ns_per_byte = line_ns_per_byte
        self.cut, self.error_rest_ns = limits.cut, error_rest_ns
        self.is_open = is_open
        self.is_unpaced = is_unpaced

    def places(self, const record[::1] records, int64_t[::1] cells, int64_t[::1] tallies):
        """Write the number of each record's cell and of its tally.

        Cell: 2 * target, plus 1 if the operation was due in the window or, in a closed loop without pacing, reaches
        into it.  Tally: the connection, plus the number of connections if the operation counts for the window: due in
        it, or reaching into it.  Returns whether a rest reaches into the window after an operation that does not.  Raises IndexError if a record's connection, row,
        outcome, kind or group is out of range.
        """
        cdef Py_ssize_t at
        cdef const record *one
        cdef bint inside, rests = False
        cdef int64_t connections = self.target_of.shape[0]
        for at in range(records.shape[0]):
            one = &records[at]
            if (
                one.connection >= connections
                or one.row >= <size_t>self.kind.shape[0]
                or one.outcome >= <size_t>self.state.shape[0]
                or self.kind[one.row] >= self.kinds
                or self.group[one.row] >= self.groups
            ):
                raise IndexError("the connection, row, outcome, kind or group of a record is out of range")
            inside = self.has_window and self.window_start_ns <= one.due_ns < self.window_end_ns
            cells[at] = 2 * <int64_t>self.target_of[one.connection] + inside
            if not inside and self.has_window and one.due_ns < self.window_start_ns:
                inside = one.due_ns + busy_ns(self, one, response_ns(one)) + think_of(self, one) > self.window_start_ns
                cells[at] += inside and self.is_unpaced
                if not inside and one.flags & RESTED and (one.sent_ns or not self.is_open):
                    rests |= max(one.done_ns, one.due_ns) + self.error_rest_ns > self.window_start_ns
            tallies[at] = inside * connections + one.connection
        return rests

    def count(
        self,
        const record[::1] records,
        const int64_t[::1] cells,
        int64_t[:, ::1] outcomes,
        int64_t[:, :, :, ::1] counts,
        int64_t[:, ::1] sums,
        const int64_t[::1] rows,
        tally[::1] tallies,
        int64_t[::1] usual,
        int64_t[::1] times_usual,
        int64_t[::1] others,
    ):
        """Add each record to its cell (index in `cells`) and to its tally (index in `rows`).

        `usual` and `times_usual` become the first status code of each cell and the number of its replies; `others` gets
        cell << 16 | code for each reply with another code.  Returns their number.
        """
        cdef Py_ssize_t at
        cdef const record *one
        cdef tally *mine
        cdef int64_t response, cell, received
        cdef double size, for_good, for_tolerable
        cdef bint good, tolerable, overdue, counted, kept, held
        cdef int state, kind
        cdef int64_t code
        cdef Py_ssize_t unusual = 0
        for at in range(records.shape[0]):
            one = &records[at]
            mine = &tallies[rows[at]]
            cell = cells[at]
            state = self.state[one.outcome]
            response, size = response_ns(one), <double>one.bytes
            kind = self.kind[one.row]
            for_good = self.good_ns[kind] + self.good_ns_per_byte[kind] * size
            for_tolerable = self.tolerable_ns[kind] + self.tolerable_ns_per_byte[kind] * size
            good = state == OK and response <= for_good
            tolerable = state == OK and response <= for_tolerable
            overdue = counted = kept = held = False
            if state == CUT:
                if self.cut[kind] == FIXED:
                    overdue = counted = response > for_tolerable
                elif self.cut[kind] == SO_FAR:
                    counted = True
                    kept = response <= for_good + self.spare_good_ns
                    held = response <= for_tolerable + self.spare_tolerable_ns
                    overdue = not held
            outcomes[cell, one.outcome] += 1
            counts[cell, kind, self.group[one.row], state] += 1
            sums[cell, GOOD] += good
            sums[cell, TOLERABLE] += tolerable
            sums[cell, OVERDUE] += overdue
            sums[cell, CONNECTS] += one.flags & CONNECTED
            code = one.flags >> STATUS_SHIFT
            if code:
                if not times_usual[cell]:
                    usual[cell] = code
                if usual[cell] == code:
                    times_usual[cell] += 1
                else:
                    others[unusual] = cell << 16 | code
                    unusual += 1
            if one.flags & (RETRIED | RESTED | SURPLUS | MORE_CONNECTS):
                sums[cell, CONNECTS] += (one.flags & MORE_CONNECTS) >> 4
                sums[cell, RETRIES] += (one.flags & RETRIED) != 0
                sums[cell, SURPLUSES] += (one.flags & SURPLUS) != 0
                sums[cell, REST_NS] += self.error_rest_ns if one.flags & RESTED else 0
            mine.ok += state == OK
            mine.bad += state == BAD
            mine.cut += state == CUT
            mine.good += good or kept
            mine.tolerable += tolerable or held
            mine.overdue += counted
            received = add_time(self, one, state, response, mine)
            sums[cell, BYTES] += received if self.is_unpaced and one.due_ns < self.window_start_ns else one.bytes
        return unusual

    def times(
        self,
        const record[::1] records,
        const int64_t[::1] cells,
        int64_t[::1] starts,
        int32_t[::1] indexes,
        int64_t[::1] counts,
        int64_t[::1] max_ns,
        int64_t[::1] min_ns,
    ):
        """Write response, service and lateness of each cell's records as three rows of histograms.

        `starts` must be zeros.  Returns the number of entries written to `indexes` and `counts`.  Raises MemoryError.
        """
        cdef Py_ssize_t size = records.shape[0], known, at, row, which, found = 0
        cdef int64_t begin, end = 0
        cdef uint16_t *buckets = <uint16_t *>malloc(max(1, size) * sizeof(uint16_t))
        cdef int64_t *order = <int64_t *>malloc(max(1, size) * sizeof(int64_t))
        try:
            if buckets == NULL or order == NULL:
                raise MemoryError
            sort_by_cell(cells, starts, order)
            for row in range(0, max_ns.shape[0], TIMES):
                begin, end = end, starts[row]
                for which in range(TIMES):
                    starts[row + which] = found
                    known = self.fill(
                        records, order + begin, end - begin, which, buckets, &max_ns[row + which], &min_ns[row + which]
                    )
                    found = entries(buckets, known, indexes, counts, found)
            starts[max_ns.shape[0]] = found
        finally:
            free(order)
            free(buckets)
        return found

    cdef Py_ssize_t fill(
        self,
        const record[::1] records,
        const int64_t *order,
        Py_ssize_t records_of_cell,
        Py_ssize_t which,
        uint16_t *buckets,
        int64_t *max_ns,
        int64_t *min_ns,
    ) noexcept:
        """Write the buckets of one time of these records, and its extremes; returns how many records have that time."""
        cdef Py_ssize_t at, size = 0
        cdef const record *one
        cdef int64_t value
        cdef int64_t low = TOP_NS, high = 0
        for at in range(records_of_cell):
            one = &records[order[at]]
            if which == LATENESS:
                if one.sent_ns <= 0:
                    continue
                value = one.sent_ns - one.due_ns
            else:
                if self.state[one.outcome] != OK:
                    continue
                value = one.done_ns - (one.due_ns if which == RESPONSE else one.sent_ns)
            value = min(max(value, 0), TOP_NS)
            low, high = min(low, value), max(high, value)
            buckets[size] = bucket_of(value)
            size += 1
        max_ns[0], min_ns[0] = high, (low if size else 0)
        return size


cdef inline int64_t response_ns(const record *one) noexcept nogil:
    return max(one.done_ns - one.due_ns, 0)


cdef inline int64_t busy_ns(Rules rules, const record *one, int64_t response) noexcept:
    return max(response, <int64_t>(<double>one.bytes * rules.line_ns_per_byte + 0.5))


cdef inline int64_t think_of(Rules rules, const record *one) noexcept:
    return rules.think_ns[one.row] if rules.thinks and rules.state[one.outcome] == OK else 0


cdef inline int64_t overlap(int64_t start, int64_t end, int64_t low, int64_t high) noexcept nogil:
    return max(min(end, high) - max(start, low), 0)


cdef inline int64_t add_time(Rules rules, const record *one, int state, int64_t response, tally *mine) noexcept:
    """Add the time in the operation and its parts, and its bytes; for a window, as far as they lie in it.

    Returns these bytes, also of an operation that failed.  See loadgen.measure.slot_time for the parts.
    """
    cdef int64_t whole = busy_ns(rules, one, response), due = one.due_ns, end = due + whole + think_of(rules, one)
    cdef int64_t low = LOWEST, high = HIGHEST, begun, sent, done, busy, served, received
    if mine.window >= 0:
        low, high = rules.window_start_ns, rules.window_end_ns
    begun = one.sent_ns if one.sent_ns >= 0 else -one.sent_ns
    done = due + response
    sent = min(max(begun, due), done)
    busy = overlap(due, due + whole, low, high)
    received = one.bytes if busy == whole else <int64_t>rint(<double>one.bytes * <double>busy / <double>whole)
    if state != BAD:
        mine.busy_ns += busy
        mine.bytes += received
    if rules.is_open:
        if not begun:
            return received
        sent, done = begun, max(one.done_ns, begun)
        due, end = sent, done
    served = overlap(sent, done, low, high)
    mine.lateness_ns += overlap(due, sent, low, high)
    if state == OK:
        mine.service_ns += served
        mine.pacing_ns += overlap(done, end, low, high)
    elif state == BAD:
        mine.failed_ns += served
    else:
        mine.unfinished_ns += served
        mine.pacing_ns += overlap(done, end, low, high)
    if one.flags & RESTED:
        mine.rest_ns += overlap(done, done + rules.error_rest_ns, low, high)
    return received


cdef extern from *:
    int __builtin_clzll(unsigned long long) nogil


cdef inline uint16_t bucket_of(int64_t value) noexcept nogil:
    """As in loadgen.measure.histogram.bucket_of; fits into 16 bits, because there are 33,792 buckets."""
    cdef int shift = max(64 - __builtin_clzll(<unsigned long long>value | 1) - (HALF_BITS + 1), 0)
    return <uint16_t>((shift << HALF_BITS) + (value >> shift))


cdef void sort_by_cell(const int64_t[::1] cells, int64_t[::1] starts, int64_t *order) noexcept:
    """Order the records by cell.  starts[TIMES * c], initially 0, becomes the end of the records of cell c."""
    cdef Py_ssize_t at
    cdef int64_t *place
    cdef int64_t before = 0
    for at in range(cells.shape[0]):
        starts[TIMES * cells[at]] += 1
    for at in range(0, starts.shape[0] - 1, TIMES):
        before += starts[at]
        starts[at] = before - starts[at]
    for at in range(cells.shape[0]):
        place = &starts[TIMES * cells[at]]
        order[place[0]] = at
        place[0] += 1


cdef int ascending(const void *one, const void *other) noexcept nogil:
    return <int>(<const uint16_t *>one)[0] - <int>(<const uint16_t *>other)[0]


cdef Py_ssize_t entries(
    uint16_t *buckets, Py_ssize_t size, int32_t[::1] indexes, int64_t[::1] counts, Py_ssize_t found
) except -1:
    """Append the distinct buckets, ascending, with their counts, after the `found` entries already written."""
    cdef Py_ssize_t at
    cdef uint32_t low = 0xFFFF, high = 0, span
    cdef uint32_t *sums
    if not size:
        return found
    for at in range(size):
        low, high = min(low, buckets[at]), max(high, buckets[at])
    span = high - low + 1
    if span > DENSE * size:
        qsort(buckets, size, sizeof(uint16_t), ascending)
        for at in range(size):
            if at and buckets[at] == buckets[at - 1]:
                counts[found - 1] += 1
            else:
                indexes[found], counts[found] = buckets[at], 1
                found += 1
        return found
    sums = <uint32_t *>calloc(span, sizeof(uint32_t))
    if sums == NULL:
        raise MemoryError
    for at in range(size):
        sums[buckets[at] - low] += 1
    for at in range(span):
        if sums[at]:
            indexes[found], counts[found] = low + at, sums[at]
            found += 1
    free(sums)
    return found
