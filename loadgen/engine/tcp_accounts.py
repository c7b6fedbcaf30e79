"""Turns what the kernel counted for each connection into views of TCP, by window and target.  All engines share it.

An engine has a table with one row (columns FIELDS) per connection of the load.  It looks at open TCP connections in
turn, and at each TCP connection once more when it ends, so that the retransmits are complete.  Of TCP connections that
end within QUICK_NS, it looks at QUICK_LOOKS in a second, and counts those that are skipped.  What was counted between
two reports belongs to the window in which most of that time lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.api import Segment
from loadgen.measure.histogram import TOP_NS, Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.tcp_view import COUNTERS, LOOKS, PATH_DTYPE, SLOT_DTYPE, TcpView
from loadgen.model.units import NS_PER_MS, NS_PER_S

FIELDS = (*COUNTERS, *LOOKS, "rtts", "rtt_us")
"""The columns of the table: sums, and the last sample of the round-trip time, which is number `rtts`."""

LOOK_NS = 100 * NS_PER_MS
"""The time between two groups of looks."""

LOOKS_AT_ONCE = 100
"""The most connections of a group: 0.1 to 0.2 ms of work."""

ROUND_NS = NS_PER_S
"""An open TCP connection is looked at once in this time at most."""

QUICK_NS = 200 * NS_PER_MS
"""A TCP connection that ends sooner has sent nothing again if its request was one segment: the kernel waits so long."""

QUICK_LOOKS = 1000
"""The most looks in a second at the ends of such TCP connections; a load may open many thousands of them."""

INFO_BYTES = 232
"""How much of struct tcp_info is asked for."""

_RTTS, _RTT_US = FIELDS.index("rtts"), FIELDS.index("rtt_us")
_SUMS = len(COUNTERS) + len(LOOKS)
_NS_PER_US = 1000


class TcpAccounts:
    """The views of one engine.

    `numbers` are the global numbers of its connections, `target_of` their targets, both by row of the table.
    `streams`: see :class:`loadgen.engine.api.Load`; connections of one TCP connection have its numbers in the row of
    the first one.
    """

    def __init__(self, numbers: NDArray[np.int64], target_of: NDArray[np.int32], streams: int) -> None:
        self._numbers = numbers
        self._target_of = target_of
        self._streams = streams
        self._known = np.zeros((len(numbers), len(FIELDS)), np.int64)
        self._since_ns = 0

    def start(self, segment: Segment) -> None:
        """Begin a segment."""
        self._since_ns = segment.start_ns

    def view(self, table: NDArray[np.int64], segment: Segment, now_ns: int) -> TcpView:
        """What is new in the table, at `now_ns`."""
        new = table - self._known
        self._known = table.copy()
        middle_ns = (self._since_ns + now_ns) // 2
        self._since_ns = now_ns
        window = segment.index if segment.window_start_ns <= middle_ns < segment.window_end_ns else -1
        seen = np.flatnonzero(new[:, :_SUMS].any(axis=1))
        if not len(seen):
            return TcpView.NOTHING
        targets, number = np.unique(self._target_of[seen], return_inverse=True)
        paths = np.zeros(len(targets), PATH_DTYPE)
        paths["window"], paths["target"] = window, targets
        for at, name in enumerate((*COUNTERS, *LOOKS)):
            np.add.at(paths[name], number, new[seen, at])
        sampled = new[seen, _RTTS] > 0
        rtt_ns = np.minimum(table[seen, _RTT_US] * _NS_PER_US, TOP_NS)
        rtt = Histograms.of(Histogram.of(rtt_ns[sampled & (number == at)]) for at in range(len(targets)))
        return TcpView(self._slots(new, window), paths, rtt)

    def _slots(self, new: NDArray[np.int64], window: int) -> NDArray[np.void]:
        """The connections with a retransmit or a segment out of order."""
        lost = new[:, :2]
        if self._streams:
            shared = self._numbers // self._streams
            _, first, number = np.unique(shared, return_index=True, return_inverse=True)
            lost = lost[first][number]
        at = np.flatnonzero(lost.any(axis=1))
        rows = np.zeros(len(at), SLOT_DTYPE)
        rows["window"], rows["connection"] = window, self._numbers[at]
        rows["retransmits"], rows["out_of_order"] = lost[at].T
        return rows
