"""What the client's kernel says of the TCP connections of an engine (struct tcp_info): sums and samples, mergeable.

The numbers are of the client's end: it sends requests and acknowledgements, and receives replies.  `retransmits` are
the segments that this end sent again, SYN and FIN included.  A reply that was lost on the way is sent again by the
server, which the client's kernel does not count; it sees the segments after the lost one come out of order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import MAX_WINDOWS
from loadgen.measure.histograms import Histograms
from loadgen.measure.wire import pack, read_field, read_int, unpack

COUNTERS = (
    "retransmits",
    "out_of_order",
    "segments_sent",
    "segments_received",
    "busy_us",
    "rwnd_limited_us",
    "sndbuf_limited_us",
)
"""What a TCP connection counts from its start on.

`out_of_order`: segments received out of order.  `busy_us`: time in which the client had sent data that was not
acknowledged yet; of it, the server's receive window (`rwnd_limited_us`) or the client's send buffer
(`sndbuf_limited_us`) was the limit for a part, and the congestion window for the rest.
"""

LOOKS = ("looks", "ordered", "timed", "skipped")
"""How often TCP connections were looked at; how often the kernel said `out_of_order` then (since Linux 5.4), and how
often the other counters (since Linux 4.9); and how many TCP connections were not looked at when they ended."""

SLOT_DTYPE = np.dtype([("window", "<i4"), ("connection", "<u4"), ("retransmits", "<i8"), ("out_of_order", "<i8")])
"""A connection with a retransmit or a segment out of order in a window (-1: time that is not judged)."""

PATH_DTYPE = np.dtype([("window", "<i4"), ("target", "<u4"), *((name, "<i8") for name in (*LOOKS, *COUNTERS))])
"""The sums of a target in a window."""


@dataclass(frozen=True, slots=True, eq=False)
class TcpView:
    """What was seen of TCP connections since the last view.

    `slots` (SLOT_DTYPE): one row per (window, connection), only where a number is not 0.  `paths` (PATH_DTYPE): one row
    per (window, target).  `rtt`: the smoothed round-trip times of these rows, at most one of each connection and look.
    Connections that share a TCP connection (HTTP/2) have its numbers each; in `paths` they count once.
    """

    slots: NDArray[np.void]
    paths: NDArray[np.void]
    rtt: Histograms

    NOTHING: ClassVar[TcpView]

    def __bool__(self) -> bool:
        return bool(len(self.slots) or len(self.paths))

    @classmethod
    def merge_all(cls, views: Iterable[TcpView]) -> TcpView:
        """The sum of any number of views."""
        parts = [one for one in views if one]
        if len(parts) < 2:
            return parts[0] if parts else cls.NOTHING
        slots, _ = _add_up(np.concatenate([one.slots for one in parts]), "connection")
        paths, numbers = _add_up(np.concatenate([one.paths for one in parts]), "target")
        rtt = Histograms.join([one.rtt for one in parts]).add_up(numbers, len(paths))
        return cls(slots, paths, rtt.widened())

    def to_wire(self) -> dict[str, Any]:
        """The view as plain data for msgpack."""
        return {
            "slots": len(self.slots),
            "slot_rows": pack(_matrix(self.slots)),
            "paths": len(self.paths),
            "path_rows": pack(_matrix(self.paths)),
            "rtt": self.rtt.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: object) -> TcpView:
        """The inverse of :meth:`to_wire`.  Raises ValueError, and nothing else, if `wire` is malformed."""
        paths = _read(wire, "paths", "path_rows", PATH_DTYPE)
        rtt = Histograms.from_wires([read_field(wire, "rtt")], [len(paths)]).widened()
        return cls(_read(wire, "slots", "slot_rows", SLOT_DTYPE), paths, rtt)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TcpView):
            return NotImplemented
        return (
            np.array_equal(self.slots, other.slots)
            and np.array_equal(self.paths, other.paths)
            and list(self.rtt) == list(other.rtt)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content


TcpView.NOTHING = TcpView(np.zeros(0, SLOT_DTYPE), np.zeros(0, PATH_DTYPE), Histograms.nothing(0))


def is_known(name: str, sums: Mapping[str, int] | np.void) -> bool:
    """Whether the kernel told the counter `name` at every look; `sums` has LOOKS."""
    if name == "retransmits":
        return True
    return bool(sums["ordered" if name == "out_of_order" else "timed"] == sums["looks"])


def read_tcp(wire: Mapping[str, Any]) -> TcpView:
    """The view in the field `tcp` of a wire form; nothing without the field.  Raises ValueError if malformed."""
    return TcpView.from_wire(wire["tcp"]) if "tcp" in wire else TcpView.NOTHING


def _add_up(rows: NDArray[np.void], name: str) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """One row for each window and `name`, ascending, and for each of `rows` the number of its sum."""
    keys = ((rows["window"].astype(np.int64) + 1) << 32) + rows[name]
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    sums = rows[first]
    for field in (rows.dtype.names or ())[2:]:
        sums[field] = 0
        np.add.at(sums[field], numbers, rows[field])
    return sums, numbers


def _matrix(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """All columns, without a negative number: the window is one higher."""
    matrix = np.array([rows[name] for name in rows.dtype.names or ()], np.int64)
    matrix[0] += 1
    return matrix


def _read(wire: object, count: str, name: str, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    size, names = read_int(wire, count, high=1 << 32), dtype.names or ()
    matrix = unpack(wire, name, size * len(names)).reshape(len(names), -1).astype(np.int64)
    if matrix[0].max(initial=0) > MAX_WINDOWS + 1 or matrix[1].max(initial=0) >= 1 << 32:
        raise ValueError(f"a row in field {name!r} is of a window or a connection that cannot be")
    rows = np.zeros(size, dtype)
    for field, column in zip(names, matrix, strict=True):
        rows[field] = column
    rows["window"] -= 1
    return rows
