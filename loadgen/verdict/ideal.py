"""What a tape gives on ideal servers: every reply is there at once, so only the simulated line takes time.

The operations are not played one by one.  On ideal servers, each connection moves along the tape at line speed, so its
places on the tape at the beginning and at the end of a window give all sums, as differences of running sums.  The
tallies are those that :mod:`loadgen.measure.fold` makes of the records of such a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.tally import TALLY_DTYPE
from loadgen.model.bound import Bound
from loadgen.model.plan import Phases
from loadgen.model.sending import PACED_READ_BYTES
from loadgen.model.units import NS_PER_S
from loadgen.schedule.timings import Timings


@dataclass(frozen=True, slots=True)
class Line:
    """The simulated line of a connection: its speed, and whether replies are read no faster than it allows."""

    bps: int
    paced_reads: bool = False


@dataclass(frozen=True, slots=True)
class IdealWindow:
    """The measurements of one window on ideal servers.

    `tallies` (TALLY_DTYPE): one row per connection that has an operation in the window.  `ops`: completed operations
    that were due in the window.  `bytes`: received in the operations that were due in the window.
    """

    tallies: NDArray[np.void]
    ops: int
    bytes: int


def play_window(timings: Timings, iteration: int, phases: Phases, line: Line, bound: Bound) -> IdealWindow:
    """The measured window of an iteration, played on ideal servers.

    A reply arrives at once, or, with paced reads, as early as the line and the size of a read allow.  In both cases the
    next operation is due when the line has carried the reply.
    """
    ring = _Ring(timings.reply_bytes, line)
    lead_ns, stop_ns = phases.lead_ns(iteration), phases.length_ns(iteration)
    end_ns = lead_ns + phases.measure_ns
    delay_ns = timings.starts["delay_ns"][iteration]
    connection = np.flatnonzero(delay_ns < end_ns)
    delay_ns = delay_ns[connection]
    # Places on the tape are times on an endless repetition of it.  Each connection is at `shift_ns` + t at time t.
    shift_ns = ring.begins_ns[timings.starts["row"][iteration][connection]] - delay_ns
    opens_ns = np.maximum(delay_ns, lead_ns)
    first = ring.operation_at(shift_ns + opens_ns)
    last = ring.operation_at(shift_ns + end_ns - 1)
    inside = first + (ring.due_ns(first) - shift_ns < lead_ns)  # the first operation that was due in the window
    # Only the last operation may still be in progress when the segment ends.
    until_stop_ns = stop_ns - (ring.due_ns(last) - shift_ns)
    last_row = last % ring.rows
    is_cut = ring.response_ns[last_row] > until_stop_ns
    cut_bytes = np.minimum(until_stop_ns * (line.bps / (8 * NS_PER_S)), timings.reply_bytes[last_row])

    tallies = np.zeros(len(connection), TALLY_DTYPE)
    tallies["connection"] = connection
    tallies["ok"] = last - first + ~is_cut
    tallies["cut"] = is_cut
    for name, fixed_ns, ns_per_byte in (
        ("good", bound.good_ns, bound.good_ns_per_byte),
        ("tolerable", bound.tolerable_ns, bound.tolerable_ns_per_byte),
    ):
        within = ring.response_ns <= fixed_ns + ns_per_byte * timings.reply_bytes
        tallies[name] = ring.total(within, first, last + 1) - (within[last_row] & is_cut)
    if bound.tolerable_ns:
        tallies["overdue"] = is_cut & (until_stop_ns > bound.tolerable_ns)
    tallies["busy_ns"] = end_ns - opens_ns
    tallies["bytes"] = np.rint((end_ns - opens_ns) * (line.bps / (8 * NS_PER_S)))
    is_inside = inside <= last
    received = ring.total(timings.reply_bytes, inside, last) + np.where(
        is_cut, cut_bytes, timings.reply_bytes[last_row]
    )
    return IdealWindow(
        tallies=tallies,
        ops=int((last - inside + ~is_cut)[is_inside].sum()),
        bytes=int(received[is_inside].sum()),
    )


class _Ring:
    """The rows of a tape in time, repeated without an end; operations are numbered from row 0 on."""

    def __init__(self, reply_bytes: NDArray[np.int64], line: Line) -> None:
        ns_per_byte = 8 * NS_PER_S / line.bps
        line_ns = np.maximum((reply_bytes * ns_per_byte).astype(np.int64), 1)
        self.rows = len(reply_bytes)
        self.begins_ns = _running_sum(line_ns)
        # The last read of a reply follows when the line has carried everything before it.
        before_last = (reply_bytes - 1) // PACED_READ_BYTES * PACED_READ_BYTES
        self.response_ns = (before_last * ns_per_byte * line.paced_reads).astype(np.int64)

    def operation_at(self, place_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the operation that the line carries at a place."""
        lap, in_lap_ns = np.divmod(place_ns, self.begins_ns[-1])
        return lap * self.rows + np.searchsorted(self.begins_ns, in_lap_ns, side="right") - 1

    def due_ns(self, operation: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place at which an operation is due."""
        return _upto(self.begins_ns, operation)

    def total(
        self, column: NDArray[np.int64] | NDArray[np.bool_], first: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The sum of a column over the operations from `first` on, up to but not including `end`."""
        sums = _running_sum(column)
        return _upto(sums, end) - _upto(sums, first)


def _running_sum(column: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """The sum of the values before each row; one entry more than there are rows."""
    sums = np.zeros(len(column) + 1, np.int64)
    np.cumsum(column, out=sums[1:])
    return sums


def _upto(sums: NDArray[np.int64], operation: NDArray[np.int64]) -> NDArray[np.int64]:
    lap, row = np.divmod(operation, len(sums) - 1)
    found: NDArray[np.int64] = lap * sums[-1] + sums[row]
    return found
